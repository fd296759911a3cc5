"""Rows of equal content or of equal keys that wait for other rows of the same table."""
# ruff: noqa: S608 -- names of these tests own

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.support.scenario import Scenario
from tests.support.tables.bosses import A_BOSS_EACH, BY_NAME, HERE, below_root, told

THERE_NO_ID = """CREATE TABLE a (name VARCHAR(9) UNIQUE, code VARCHAR(9), boss VARCHAR(9), n INT, UNIQUE (code),
    FOREIGN KEY (boss) REFERENCES a (code))"""
HERE_NO_ID = "CREATE TABLE a (name TEXT, code TEXT, boss TEXT, n INT); INSERT INTO a VALUES "


@pytest.fixture
def scenario(tmp_path: Path, target: Engine) -> Scenario:
    return Scenario(tmp_path, target)


@pytest.mark.parametrize("friend", ["", ", FOREIGN KEY (friend) REFERENCES a (id)"])
@pytest.mark.parametrize(
    "rows",
    [
        "(1, 'root', NULL, NULL, 0), (2, 'x', 1, NULL, 'bad'), (3, 'y', 1, NULL, 0), (4, 'x', 3, NULL, 0), "
        "(5, NULL, 2, NULL, 7), (6, NULL, 4, NULL, 7), (7, NULL, 5, NULL, 8), (8, NULL, 6, NULL, 9)",
        # Below a root that needs itself, and so is found late.
        "(1, 'root', 1, NULL, 0), (2, 'x', 1, NULL, 0), (3, NULL, 2, NULL, 7), (4, 'x', 50, NULL, 0), "
        "(5, NULL, 4, NULL, 7), (6, NULL, 3, NULL, 8), (7, NULL, 5, NULL, 9)",
    ],
)
def test_equal_rows_without_a_key_come_in_an_order_that_stays(scenario: Scenario, friend: str, rows: str) -> None:
    here = HERE if friend else HERE.replace("friend INT REFERENCES a", "friend INT")
    scenario.create_source(here + rows, BY_NAME)
    scenario.create_target(
        A_BOSS_EACH.replace(", FOREIGN KEY (friend) REFERENCES a (id)", friend),
        "INSERT INTO a VALUES (1, 'root', 1, NULL, 0)",
    )
    rehearsed, done = scenario.sync(dry_run=True), scenario.sync_twice()
    assert told(rehearsed) == told(done)
    assert done.counts[0].failed == 0


def test_of_equal_keys_at_different_depths_the_lowest_id_has_the_say_once(scenario: Scenario) -> None:
    below_root(
        scenario,
        "(1, 'root', 1, NULL, 0), (2, 'x', 3, NULL, 5), (3, 'y', 1, NULL, 0), (4, 'x', 1, NULL, 6), "
        "(5, 'x', 3, NULL, 7)",
    )
    assert told(scenario.sync_twice(on_match="update"))[:4] == (None, 2, 2, 1)
    assert scenario.read_target("SELECT boss, n FROM a WHERE name = 'x'") == [(2, 5)]


def test_without_an_id_equal_rows_of_different_depths_are_as_many_as_in_the_source(scenario: Scenario) -> None:
    scenario.create_source(
        HERE_NO_ID + "(NULL, 'a', 'a', 1), (NULL, 'a', 'a', 1), (NULL, 'a', 'a', 1), (NULL, 'b', 'a', 2)",
        '[tables.a]\nid = ""\nnatural_key = ["name"]\n',
    )
    if "MariaDB" not in str(scenario.read_target("SELECT VERSION()")):
        pytest.skip("MySQL wants what is referred to unique")
    scenario.create_target(
        THERE_NO_ID.replace("UNIQUE (code)", "KEY (code)"), "INSERT INTO a VALUES (NULL, 'a', 'a', 1)"
    )
    rehearsed, done = scenario.sync(dry_run=True), scenario.sync_twice()
    assert told(rehearsed) == told(done) == (None, 3, 1, 0, 0, [], 0)
    assert scenario.read_target("SELECT code, COUNT(*) FROM a GROUP BY code ORDER BY code") == [("a", 3), ("b", 1)]


def test_without_an_id_equal_keys_of_different_depths_are_updated_once(scenario: Scenario) -> None:
    scenario.create_source(
        HERE_NO_ID + "('n', 'b', 'a', 2), ('root', 'a', NULL, 0), ('n', 'c', NULL, 3)",
        '[tables.a]\nid = ""\nnatural_key = ["name"]\n',
    )
    scenario.create_target(THERE_NO_ID)
    rehearsed, done = scenario.sync(dry_run=True, on_match="update"), scenario.sync_twice(on_match="update")
    assert told(rehearsed) == told(done) == (None, 2, 0, 1, 0, [], 0)
    assert scenario.read_target("SELECT code, boss, n FROM a WHERE name = 'n'") == [("b", "a", 2)]


def test_of_equal_keys_the_lowest_id_counts_also_beyond_63_bits(scenario: Scenario) -> None:
    scenario.create_source(
        """CREATE TABLE a (id INTEGER PRIMARY KEY, name TEXT, friend INT REFERENCES a);
        INSERT INTO a VALUES (1, 'x', NULL), (2, NULL, 1)""",
        BY_NAME,
    )
    scenario.create_target(
        """CREATE TABLE a (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9), friend BIGINT UNSIGNED,
        KEY (name), FOREIGN KEY (friend) REFERENCES a (id))""",
        f"INSERT INTO a VALUES (7, 'x', NULL), ({2**63 + 5}, 'x', NULL), (9, NULL, {2**63 + 5})",
    )
    result = scenario.sync_twice()
    assert list(result.mappings["a"]["new_id"]) == [7, 2**63 + 6]
    assert scenario.read_target(f"SELECT friend FROM a WHERE id = {2**63 + 6}") == [(7,)]
