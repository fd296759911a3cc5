"""Rows are taken back in an order that no key of the target refuses."""

from __future__ import annotations

import pytest

from tests.support.git_history import execute
from tests.support.runs.undone import dump, taken_back, undo
from tests.support.scenario import Scenario

KEYS = '[tables.t]\nnatural_key = ["k"]\n'


@pytest.mark.parametrize("own_id", ["id INTEGER PRIMARY KEY, ", ""])
def test_values_of_a_unique_key_that_moved_on_from_row_to_row(scenario: Scenario, own_id: str) -> None:
    rows = [(str(k), chr(ord("a") + k)) for k in range(9)]
    values = ", ".join(f"('{k}', '{u}')" for k, u in rows)
    later = ", ".join(f"('{k}', '{chr(ord(u) - 1)}')" for k, u in rows)
    table = f"CREATE TABLE t ({own_id}k TEXT NOT NULL {'UNIQUE' if own_id else 'PRIMARY KEY'}, u TEXT UNIQUE)"
    scenario.create_source(f"{table}; INSERT INTO t (k, u) VALUES {later}", KEYS)  # noqa: S608
    scenario.create_target(None, f"INSERT INTO t (k, u) VALUES {values}")  # noqa: S608
    before = dump(scenario)
    result = scenario.sync(on_match="update")
    assert [(c.updated, c.failed) for c in result.counts] == [(9, 0)]
    assert taken_back(undo(scenario)) == {"t": (0, 9, 0)}
    assert dump(scenario) == before


class TestATableWithoutAnIdThatRefersToItself:
    SOURCE = """
    CREATE TABLE kind (code TEXT PRIMARY KEY, up TEXT REFERENCES kind (code)) WITHOUT ROWID;
    INSERT INTO kind VALUES ('a', NULL), ('b', 'a'), ('c', 'b'), ('d', 'a')"""

    @pytest.fixture
    def synced(self, scenario: Scenario) -> Scenario:
        scenario.create_source(self.SOURCE)
        scenario.create_target(None)
        assert scenario.sync().ok
        return scenario

    def test_loses_all_rows_of_the_run(self, synced: Scenario) -> None:
        assert taken_back(undo(synced)) == {"kind": (4, 0, 0)}
        assert dump(synced) == {"kind": []}

    def test_that_refer_to_each_other_in_a_circle(self, synced: Scenario) -> None:
        execute(
            synced.target, "UPDATE kind SET up = 'c' WHERE code = 'a'", "UPDATE kind SET up = code WHERE code = 'd'"
        )
        assert taken_back(undo(synced, force=True)) == {"kind": (4, 0, 0)}

    def test_and_keeps_those_to_which_a_row_of_others_refers(self, synced: Scenario) -> None:
        execute(synced.target, "INSERT INTO kind VALUES ('theirs', 'b')")
        assert taken_back(undo(synced)) == {"kind": (2, 0, 2)}
        assert dump(synced) == {"kind": [("a", None), ("b", "a"), ("theirs", "b")]}
