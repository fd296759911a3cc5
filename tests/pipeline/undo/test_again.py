"""Whoever takes a run back twice finds nothing more of it: equal rows that came since are of others."""

from __future__ import annotations

import pytest

from dfsync.commands.runs import runs
from dfsync.model.errors import DfsyncError
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
    assert taken_back(undo(synced, force=True)) == {"note": (2, 0, 0)}
    assert dump(synced) == {**before, "note": []}
