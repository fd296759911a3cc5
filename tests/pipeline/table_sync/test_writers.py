"""Several connections that insert pieces of one table at a time."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from dfsync.pipeline.table import load
from dfsync.pipeline.table_sync import pieces
from tests.support.git_history import counts, execute
from tests.support.scenario import Scenario
from tests.support.tables.visits import JOINED, ROWS, SOURCE, TARGET

TOGETHER = 20.0


@pytest.fixture
def scenario(interleaved_target: Engine, tmp_path: Path) -> Scenario:
    """Places and visits, and an empty target on a server that takes several writers."""
    scenario = Scenario(tmp_path, interleaved_target)
    scenario.create_source(SOURCE)
    scenario.create_target(TARGET)
    return scenario


@pytest.fixture
def side_by_side(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two pieces of a table are always between their inserts and their COMMIT at the same time."""
    meeting, met = threading.Barrier(2), []

    def load_and_meet(table: Any, ids: Any, send: Any) -> Any:
        yield from load.load_rows(table, ids, send)
        meeting.wait(TOGETHER)
        met.append(threading.current_thread().name)

    monkeypatch.setattr(pieces, "load_rows", load_and_meet)
    return met


class TestTwoWriters:
    def test_end_as_one_does(self, scenario: Scenario) -> None:
        result = scenario.sync_twice(commit_every=3, writers=2, batch_size=2)
        assert counts(result) == {"places": (ROWS, 0, 0), "visits": (ROWS, 0, 0)}
        scenario.assert_same(JOINED)

    def test_are_in_their_transactions_at_the_same_time(self, scenario: Scenario, side_by_side: list[str]) -> None:
        result = scenario.sync(commit_every=5, writers=2, batch_size=3, jobs=1)
        assert result.ok
        assert len(side_by_side) == 8
        assert len(set(side_by_side[:4])) == 2
        mapped = scenario.id_maps(result)["places"]
        names: dict[int, str] = dict(scenario.read_target("SELECT id, name FROM places"))
        assert {old: names[new] for old, new in mapped.items()} == dict(scenario.read_source("SELECT * FROM places"))
        scenario.assert_same(JOINED)

    def test_need_a_server_that_lets_them(self, tmp_path: Path, target: Engine) -> None:
        scenario = Scenario(tmp_path, target)
        scenario.create_source(SOURCE)
        scenario.create_target(TARGET)
        mode = scenario.read_target("SELECT @@GLOBAL.innodb_autoinc_lock_mode")[0][0]
        _, notes = scenario.sync_with_notes(commit_every=5, writers=2)
        told = [note for note in notes if "one writer in place of 2" in note]
        assert len(told) == (0 if mode == 2 else 2)
        assert all(f"innodb_autoinc_lock_mode is {mode}" in note for note in told)

    def test_end_each_other_cleanly(self, scenario: Scenario) -> None:
        execute(
            scenario.target,
            """CREATE TRIGGER full BEFORE INSERT ON places FOR EACH ROW IF NEW.name = 'place 6' THEN
            SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 1114, MESSAGE_TEXT = 'the table is full'; END IF""",
        )
        result = scenario.sync(commit_every=2, writers=2, tables=("places",))
        (places,) = result.counts
        assert places.error is not None
        assert "the table is full" in places.error
        there: dict[int, str] = dict(scenario.read_target("SELECT id, name FROM places"))
        assert places.inserted == len(there) < ROWS
        assert places.failed == ROWS - places.inserted
        mapped = scenario.id_maps(result)["places"]
        source: dict[int, str] = dict(scenario.read_source("SELECT * FROM places"))
        assert {new: source[old] for old, new in mapped.items()} == there
        execute(scenario.target, "DROP TRIGGER full")
        again = scenario.sync(commit_every=2, writers=2)
        assert counts(again)["places"] == (ROWS - places.inserted, places.inserted, 0)
        scenario.assert_same(JOINED)
