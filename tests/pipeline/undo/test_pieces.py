"""A run in pieces is taken back whole: also one that was killed between two of them, and by an undo that was killed."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine

from dfsync.commands.runs import runs
from tests.pipeline.undo.test_kills import undo_killed_at
from tests.support.git_history import counts
from tests.support.runs.killed import kill_sync
from tests.support.runs.undone import dump, id_mappings, taken_back, undo
from tests.support.scenario import Scenario
from tests.support.tables import visits

OWN = "INSERT INTO places (name) VALUES ('elsewhere'), ('Place 4')"
PIECES = {"commit_every": 4}


@pytest.fixture(params=[1, 2])
def writers(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def scenario(writers: int, tmp_path: Path, target: Engine, request: pytest.FixtureRequest) -> Scenario:
    """Places with a natural key and visits without one, and places of the target's own."""
    scenario = Scenario(tmp_path, target if writers == 1 else request.getfixturevalue("interleaved_target"))
    scenario.create_source(visits.SOURCE, "[tables.places]\n[tables.visits]\nidentity = 'id'\n")
    scenario.create_target(visits.TARGET, OWN)
    return scenario


class TestARunInPieces:
    def test_is_taken_back_whole(self, scenario: Scenario, writers: int) -> None:
        before = dump(scenario)
        first = scenario.sync(**PIECES, writers=writers)
        (record,) = runs(scenario.folder / "out").runs
        assert [len(table.parts) for table in record.tables] == [5, 5]
        assert taken_back(undo(scenario)) == {"places": (visits.ROWS - 1, 0, 0), "visits": (visits.ROWS, 0, 0)}
        assert dump(scenario) == before
        assert id_mappings(scenario) == {"places": {"12": 2}, "visits": {}}
        assert counts(scenario.sync()) == counts(first)
        scenario.assert_same(visits.JOINED)

    def test_by_an_undo_that_is_killed_and_begun_again(self, scenario: Scenario, writers: int) -> None:
        undo_killed_at(scenario, 4, **PIECES, writers=writers)


class TestARunInPiecesThatWasKilled:
    @pytest.mark.parametrize(("call", "number"), [("commit", 7), ("mark_piece", 3), ("fsync", 20)])
    def test_is_taken_back_whole(self, scenario: Scenario, writers: int, call: str, number: int) -> None:
        before = dump(scenario)
        kill_sync(scenario, call, number, **PIECES, writers=writers)
        left = dump(scenario)
        assert left != before
        result = undo(scenario)
        assert result.ok
        assert sum(count for count, _, _ in taken_back(result).values()) == sum(map(len, left.values())) - 2
        assert dump(scenario) == before
        again = scenario.sync(**PIECES, writers=writers)
        assert counts(again) == {"places": (visits.ROWS - 1, 1, 0), "visits": (visits.ROWS, 0, 0)}
        scenario.assert_same(visits.JOINED)

    def test_and_the_run_that_finished_it_too(self, scenario: Scenario, writers: int) -> None:
        before = dump(scenario)
        kill_sync(scenario, "write_piece", 8, **PIECES, writers=writers)
        between = dump(scenario)
        assert scenario.sync(**PIECES, writers=writers).ok
        scenario.assert_same(visits.JOINED)
        assert undo(scenario).ok
        assert dump(scenario) == between
        assert undo(scenario).ok
        assert dump(scenario) == before
        assert scenario.sync().ok
        scenario.assert_same(visits.JOINED)
