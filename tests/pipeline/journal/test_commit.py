"""A run whose journal cannot be written commits nothing, and a COMMIT without an answer is settled by looking."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection
from sqlalchemy import Engine

import dfsync.pipeline.journal.rows
import dfsync.pipeline.journal.run
from dfsync.commands.runs import runs
from dfsync.model.errors import DfsyncError, OutputWriteError
from tests.support.runs.undone import undo
from tests.support.scenario import Scenario

SOURCE = """
CREATE TABLE shop (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, city TEXT);
INSERT INTO shop VALUES (1, 'a', 'Ulm'), (2, 'b', 'Bonn');
CREATE TABLE link (a INTEGER NOT NULL REFERENCES shop, b INTEGER NOT NULL, PRIMARY KEY (a, b)) WITHOUT ROWID;
INSERT INTO link VALUES (1, 1), (2, 2);
CREATE TABLE log (line TEXT);
INSERT INTO log VALUES ('x'), ('x')"""


@pytest.fixture
def scenario(tmp_path: Path, target: Engine) -> Scenario:
    scenario = Scenario(tmp_path, target)
    scenario.create_source(SOURCE)
    scenario.create_target(None)
    return scenario


@contextmanager
def no_answer(monkeypatch: pytest.MonkeyPatch, *, counts: bool, also_later: bool = False) -> Iterator[None]:
    """The connection is lost in each COMMIT of rows, before or after the server has done it."""
    lost: list[bool] = []
    writing: set[int] = set()
    connect, commit, execute = Connection.connect, Connection.commit, Connection._execute_command

    def noting_execute(self: Connection, command: int, sql: Any) -> None:
        if b"LOAD DATA" in (sql if isinstance(sql, bytes) else b""):
            writing.add(id(self))
        execute(self, command, sql)

    def failing_commit(self: Connection) -> None:
        if id(self) not in writing:
            commit(self)
            return
        writing.discard(id(self))
        if counts:
            commit(self)
        lost.append(True)
        self._force_close()
        raise pymysql.OperationalError(2013, "Lost connection to server during query")

    def failing_connect(self: Connection, sock: Any = None) -> None:
        if lost and also_later:
            raise pymysql.OperationalError(2003, "Can't connect")
        connect(self, sock)

    with monkeypatch.context() as patch:
        patch.setattr(Connection, "_execute_command", noting_execute)
        patch.setattr(Connection, "commit", failing_commit)
        patch.setattr(Connection, "connect", failing_connect)
        yield
    assert lost


def states(scenario: Scenario) -> list[tuple[str, str]]:
    record = runs(scenario.folder / "out").runs[0]
    return sorted((table.name, part.state) for table in record.tables for part in table.parts)


def test_a_commit_that_counted_is_told_as_such(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    with no_answer(monkeypatch, counts=True):
        result = scenario.sync()
    assert result.ok
    assert sum(c.inserted for c in result.counts) == 6
    assert states(scenario) == [("link", "committed"), ("log", "committed"), ("shop", "committed")]
    assert [c.inserted for c in scenario.sync().counts] == [0, 0, 0]


def test_a_commit_that_did_not_count_is_told_as_such(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    with no_answer(monkeypatch, counts=False):
        result = scenario.sync(tables=("shop",))
    assert ["connection" in str(c.error) for c in result.counts] == [True]
    assert states(scenario) == [("shop", "rolled back")]
    assert scenario.read_target("SELECT * FROM shop") == []
    assert scenario.sync().ok


@pytest.mark.parametrize("counts", [True, False])
def test_what_cannot_be_seen_is_unknown_until_the_next_run(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch, counts: bool
) -> None:
    with no_answer(monkeypatch, counts=counts, also_later=True):
        result = scenario.sync(tables=("shop",), jobs=1)
    (error,) = (c.error for c in result.counts)
    assert error is not None
    assert error.startswith("the connection was lost while the rows were committed")
    assert runs(scenario.folder / "out").summary["state"].tolist() == ["unknown"]
    assert scenario.sync(tables=("shop",)).ok
    assert states(scenario) == [("shop", "committed" if counts else "rolled back")]
    assert len(scenario.read_target("SELECT * FROM shop")) == 2


@pytest.mark.parametrize("name", ["link", "log"])
def test_rows_without_an_id_settle_it_too(scenario: Scenario, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    scenario.sync(tables=("shop",))
    for counts in (False, True):
        with no_answer(monkeypatch, counts=counts):
            result = scenario.sync(tables=(name,))
        assert [c.inserted for c in result.counts] == [2 if counts else 0]


def test_without_room_for_the_journal_nothing_is_committed(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, tables: object) -> int:
        raise OutputWriteError(path, OSError(28, "No space left on device"))

    with monkeypatch.context() as patch:
        patch.setattr(dfsync.pipeline.journal.rows, "write_rows", refuse)
        result = scenario.sync()
    assert ["No space left on device" in str(c.error) for c in result.counts] == [True] * 3
    assert not any(rows for rows in scenario.all_rows().values())
    assert states(scenario) == []
    assert scenario.sync().ok


def test_a_run_that_cannot_have_a_journal_does_not_begin(scenario: Scenario) -> None:
    (scenario.folder / "out").mkdir()
    (scenario.folder / "out" / "runs").write_text("no folder")
    with pytest.raises(DfsyncError, match=r"runs.* cannot be written"):
        scenario.sync()
    assert not any(rows for rows in scenario.all_rows().values())


@pytest.mark.parametrize("damaged", [False, True])
def test_a_journal_that_is_gone_before_anybody_looked_is_told_and_no_run_stumbles_over_it(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, damaged: bool
) -> None:
    with no_answer(monkeypatch, counts=True, also_later=True):
        scenario.sync(tables=("shop",), jobs=1)
    (path,) = (scenario.folder / "out" / "runs").glob("*/inserted/shop.parquet")
    path.unlink()
    if damaged:
        path.write_bytes(b"PAR1")
    run = runs(scenario.folder / "out").runs[0].id
    assert scenario.sync(tables=("shop",)).ok
    assert caplog.messages == [
        f"The run {run} was killed while it committed rows of shop, and its files in {scenario.folder}/out/runs/{run} "
        "were deleted or damaged since: nobody can tell whether these 2 rows are in the target, and no undo takes "
        "them back."
    ]
    assert states(scenario) == [("shop", "journal lost")]
    assert runs(scenario.folder / "out").summary["state"].tolist() == ["journal lost", "done"]
    with pytest.raises(DfsyncError, match="no run that can be taken back"):
        undo(scenario)
    assert len(scenario.read_target("SELECT * FROM shop")) == 2
    scenario.sync()
    assert len(caplog.messages) == 1
