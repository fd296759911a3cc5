"""Whoever takes a run back twice finds nothing more of it: equal rows that came since are of others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import dfsync.pipeline.undo.run
from dfsync.cli.render.undo import undo_lines
from dfsync.commands.runs import runs
from dfsync.model.errors import DfsyncError
from dfsync.output.journal.maps import forget_rows
from dfsync.output.journal.record import Undone
from dfsync.output.journal.rows import write_rows
from tests.support.git_history import execute
from tests.support.runs.undone import dump, taken_back, undo
from tests.support.scenario import Scenario

SOURCE = """
CREATE TABLE play (album TEXT, at TEXT);
CREATE TABLE word (word TEXT PRIMARY KEY, meaning TEXT) WITHOUT ROWID;
CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
INSERT INTO play VALUES ('Partitas', '1'), ('Partitas', '1');
INSERT INTO word VALUES ('a', 'b');
INSERT INTO note VALUES (1, 'x'), (2, 'y')"""
OTHERS = ("INSERT INTO play VALUES ('Partitas', '1')", "INSERT INTO word VALUES ('a', 'b')")


@pytest.fixture
def synced(scenario: Scenario) -> Scenario:
    scenario.create_source(SOURCE)
    scenario.create_target(None)
    scenario.sync()
    return scenario


def test_a_run_of_which_nothing_is_left_is_refused(synced: Scenario) -> None:
    run = runs(synced.folder / "out").runs[0].id
    assert undo(synced, run).ok
    execute(synced.target, *OTHERS)
    before = dump(synced)
    with pytest.raises(DfsyncError, match="taken back already"):
        undo(synced, run)
    assert dump(synced) == before


def test_only_tables_with_rows_that_stayed_are_looked_at_again(synced: Scenario) -> None:
    execute(synced.target, "UPDATE note SET text = 'theirs' WHERE text = 'x'")
    assert not undo(synced).ok
    execute(synced.target, *OTHERS)
    before = dump(synced)
    assert taken_back(undo(synced, force=True)) == {"note": (1, 0, 0)}
    assert dump(synced) == {**before, "note": []}


def test_it_is_told_what_this_undo_did_and_what_those_before_did(scenario: Scenario) -> None:
    scenario.create_source(SOURCE)
    scenario.create_target(None)
    scenario.sync()
    execute(scenario.target, "UPDATE note SET text = 'theirs' WHERE text = 'x'")
    run = runs(scenario.folder / "out").runs[0].id
    assert taken_back(undo(scenario)) == {"play": (2, 0, 0), "word": (1, 0, 0), "note": (1, 0, 1)}
    looked, again = undo(scenario, all_since=run, dry_run=True), undo(scenario, all_since=run)
    assert looked.runs == again.runs
    assert undo_lines(again)[1:3] == [
        "  note: 0 deleted now (1 before), 1 kept",
        "    1 kept: changed since the run",
    ]
    assert undo_lines(again)[-1] == "Overall: 0 deleted now (1 before), 1 kept"
    assert again.as_dict()["overall"] == {"deleted": 0, "restored": 0, "kept": 1}
    assert again.summary[["deleted", "deleted_before"]].to_numpy().tolist() == [[0, 1]]
    assert runs(scenario.folder / "out").runs[0].table("note").undone == Undone(1, 0, 1)
    assert undo_lines(undo(scenario, force=True))[1] == "  note: 1 deleted now (1 before), 0 kept"
    assert runs(scenario.folder / "out").runs[0].table("note").undone == Undone(2, 0, 0)


MORE = "; INSERT INTO word VALUES ('c', 'd'); INSERT INTO play VALUES (NULL, '2')"


@pytest.mark.parametrize("name", ["play", "word"])
class TestAnUndoThatWasKilledAfterItsCommit:
    """Before the record of the run said what it did."""

    @pytest.fixture
    def killed(self, scenario: Scenario, monkeypatch: pytest.MonkeyPatch, name: str) -> Scenario:
        scenario.create_source(SOURCE + MORE)
        scenario.create_target(None, "INSERT INTO play VALUES ('Partitas', '1')")
        scenario.sync()

        def killed_at(out: Path, table: str, *rows: Any) -> None:
            if table == name:
                raise SystemExit
            forget_rows(out, table, *rows)

        with monkeypatch.context() as patch:
            patch.setattr(dfsync.pipeline.undo.run, "forget_rows", killed_at)
            with pytest.raises(SystemExit):
                undo(scenario)
        assert len(dump(scenario)[name]) == (name == "play")
        return scenario

    def test_takes_no_rows_of_others_that_came_then(self, killed: Scenario, name: str) -> None:
        execute(killed.target, OTHERS[name == "word"])
        result = undo(killed)
        own, theirs = {"play": [("Partitas", "1")], "word": []}, {"play": ("Partitas", "1"), "word": ("a", "b")}
        assert dump(killed) == {"note": [], **own, name: [*own[name], theirs[name]]}
        assert {t.name: t.kept for t in result.runs[0].tables}[name] == 1
        assert not list((killed.folder / "out" / "runs").glob("*/undoing/*.parquet"))

    def test_is_finished_where_none_came(self, killed: Scenario, name: str) -> None:
        assert undo(killed).ok
        assert dump(killed) == {"note": [], "play": [("Partitas", "1")], "word": []}


def test_an_undo_that_was_killed_before_its_commit_is_done_by_the_next(
    synced: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:

    def killed_behind(path: Path, tables: object) -> int:
        written = write_rows(path, tables)  # type: ignore[arg-type]
        if path.parent.name == "undoing" and written:
            raise SystemExit
        return written

    before = dump(synced)
    with monkeypatch.context() as patch:
        patch.setattr(dfsync.pipeline.undo.run, "write_rows", killed_behind)
        with pytest.raises(SystemExit):
            undo(synced)
    assert dump(synced)["play"] == before["play"]
    assert undo(synced).ok
    assert not any(dump(synced).values())
