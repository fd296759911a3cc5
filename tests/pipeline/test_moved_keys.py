"""Natural keys that moved on from row to row: with `on_rekey = "follow"` each target row takes the next one."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.pipeline.test_rekeyed import JOINED, SOURCE, TARGET, decide, rename, told
from tests.support.git_history import execute, run_sql
from tests.support.runs.undone import undo
from tests.support.scenario import Scenario


@pytest.fixture
def synced(tmp_path: Path, target: Engine) -> Scenario:
    """Three users with four orders, which a first run has brought."""
    scenario = Scenario(tmp_path, target)
    scenario.create_source(SOURCE)
    decide(scenario, "follow")
    scenario.create_target(TARGET, "INSERT INTO users VALUES (9, 'zoe', 1)")
    scenario.sync()
    return scenario


def test_keys_that_moved_on_by_one_all_follow(synced: Scenario) -> None:
    before = synced.all_rows()
    rename(synced, bob="ben")
    rename(synced, ann="bob")
    rename(synced, cyd="ann")
    assert told(synced.sync(dry_run=True)) == {"users": (0, 0, 3, 0, 3), "orders": (0, 4, 0, 0, 0)}
    result, notes = synced.sync_with_notes()
    assert told(result) == {"users": (0, 0, 3, 0, 3), "orders": (0, 4, 0, 0, 0)}
    assert notes[0].endswith("on_rekey lets their target rows follow")
    assert synced.read_target("SELECT id, name FROM users WHERE id > 100 ORDER BY id") == [
        (101, "bob"),
        (102, "ben"),
        (103, "ann"),
    ]
    synced.assert_same(JOINED)
    assert told(synced.sync()) == {"users": (0, 3, 0, 0, 0), "orders": (0, 4, 0, 0, 0)}
    assert undo(synced).ok
    assert synced.all_rows() == before


def test_a_new_row_of_a_key_that_moved_on_shares_the_row_that_takes_it(tmp_path: Path, target: Engine) -> None:
    scenario = Scenario(tmp_path, target, tmp_path / "plan.toml")
    scenario.create_source(
        "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO users VALUES (5, 'a'), (6, 'b')",
        '[tables.users]\nnatural_key = ["name"]\non_rekey = "follow"',
    )
    scenario.create_target("CREATE TABLE users (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20) UNIQUE)")
    scenario.sync()
    run_sql(scenario.source, "UPDATE users SET name = char(unicode(name) + 1); INSERT INTO users VALUES (1, 'b')")
    result = scenario.sync()
    assert told(result)["users"] == (0, 1, 2, 0, 2)
    assert scenario.id_maps(result)["users"] == {1: 1, 5: 1, 6: 2}
    assert scenario.read_target("SELECT id, name FROM users ORDER BY id") == [(1, "b"), (2, "c")]


def test_where_the_end_of_them_is_refused_none_takes_the_key_of_another(synced: Scenario) -> None:
    before = synced.read_target("SELECT * FROM users ORDER BY id")
    execute(synced.target, "ALTER TABLE users ADD CHECK (name <> 'ben')")
    rename(synced, bob="ben")
    rename(synced, ann="bob")
    rename(synced, cyd="ann")
    assert told(synced.sync())["users"] == (0, 0, 0, 3, 3)
    assert synced.read_target("SELECT * FROM users ORDER BY id") == before
    rename(synced, ben="bea")
    assert told(synced.sync())["users"] == (0, 0, 3, 0, 3)
    synced.assert_same(JOINED)


def test_keys_that_went_round_in_a_circle_are_rejects(synced: Scenario) -> None:
    before = synced.read_target("SELECT * FROM users ORDER BY id")
    for name, other in (("ann", "x"), ("bob", "ann"), ("cyd", "bob"), ("x", "cyd")):
        rename(synced, **{name: other})
    assert told(synced.sync())["users"] == (0, 0, 0, 3, 3)
    assert synced.read_target("SELECT * FROM users ORDER BY id") == before


def test_without_a_unique_key_they_follow_one_run_after_the_other(synced: Scenario) -> None:
    execute(synced.target, "ALTER TABLE users DROP INDEX name")
    rename(synced, bob="ben")
    rename(synced, ann="bob")
    result, notes = synced.sync_with_notes()
    assert told(result)["users"] == (0, 1, 1, 1, 2)
    assert "with on_rekey: 1 whose target row follows, 1 a reject" in notes[0]
    assert told(synced.sync())["users"] == (0, 2, 1, 0, 1)
    assert synced.read_target("SELECT id, name FROM users WHERE id < 103 AND id > 100 ORDER BY id") == [
        (101, "bob"),
        (102, "ben"),
    ]
