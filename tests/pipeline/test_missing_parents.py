"""`on_missing_parent = "null"`: a foreign key that may be empty becomes NULL where its parent gets no target row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

import dfsync
from dfsync.commands.check import CheckResult
from dfsync.model.options import SyncOptions
from dfsync.output.result import TableCounts
from dfsync.stages.remap import EMPTIED
from tests.support.git_history import execute
from tests.support.scenario import Scenario

SOURCE = """
    CREATE TABLE p (id INTEGER PRIMARY KEY, name TEXT UNIQUE);
    CREATE TABLE c (id INTEGER PRIMARY KEY, name TEXT{unique}, p_id INT REFERENCES p, must_id INT{must} REFERENCES p,
        up INT REFERENCES c);
    INSERT INTO p VALUES (1, 'p1'), (2, 'far too long a name'), (3, 'p3');
    INSERT INTO c VALUES (1, 'gone', 99, 1, NULL), (2, 'refused', 2, 1, 1), (3, 'there', 3, 3, 77),
        (4, 'nowhere', NULL, 3, 3), (5, 'lost', 1, 2, 4), (6, 'child of the lost', 1, 1, 5), (7, 'later', 1, 3, 8),
        (8, 'x', 1, 1, 6);
"""
TARGET = """
    CREATE TABLE p (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(10) NOT NULL UNIQUE) AUTO_INCREMENT = 11;
    CREATE TABLE c (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20){unique}, p_id INT, must_id INT{must}, up INT,
        FOREIGN KEY (p_id) REFERENCES p (id), FOREIGN KEY (must_id) REFERENCES p (id),
        FOREIGN KEY (up) REFERENCES c (id)) AUTO_INCREMENT = 101
"""
NATURAL_KEY = " NOT NULL UNIQUE"
PLAN = '[tables.p]\n\n[tables.c]\non_missing_parent = "null"\n'
ROWS = (
    "SELECT c.name, p.name, m.name, u.name FROM c LEFT JOIN p ON p.id = p_id LEFT JOIN p m ON m.id = must_id "
    "LEFT JOIN c u ON u.id = c.up ORDER BY c.name"
)


@pytest.fixture
def scenario(tmp_path: Path, target: Engine) -> Scenario:
    return Scenario(tmp_path, target)


def create(scenario: Scenario, plan: str = PLAN, *, unique: str = NATURAL_KEY, must: str = " NOT NULL") -> None:
    scenario.create_source(SOURCE.format(unique=unique, must=must), plan)
    scenario.create_target(TARGET.format(unique=unique, must=must))


def check(scenario: Scenario) -> CheckResult:
    return dfsync.check(scenario.source, scenario.target.url, options=SyncOptions(plan=scenario.plan))


def emptied(counts: TableCounts) -> dict[str, int]:
    return {changed["column"]: changed["rows"] for changed in counts.changed_values if changed["note"] == EMPTIED}


@pytest.mark.parametrize("unique", [NATURAL_KEY, ""])
def test_only_a_reference_that_may_not_be_null_rejects_its_row(scenario: Scenario, unique: str) -> None:
    create(scenario, unique=unique)
    foretold = check(scenario)
    result = scenario.sync_twice()
    assert list(result.rejects["c"]["old_id"]) == [5]
    assert scenario.read_target(ROWS) == [
        ("child of the lost", "p1", "p1", None),
        ("gone", None, "p1", None),
        ("later", "p1", "p3", "x"),
        ("nowhere", None, "p3", "there"),
        ("refused", None, "p1", "gone"),
        ("there", "p3", "p3", None),
        ("x", "p1", "p1", "child of the lost"),
    ]
    counts = next(c for c in result.counts if c.name == "c")
    assert emptied(counts) == {"p_id": 2, "up": 2}
    assert (counts.inserted, counts.failed) == (7, 1)
    notes = {(f.column, f.count) for f in foretold.findings if f.message == EMPTIED}
    assert notes == {("p_id", 2), ("up", 2)}


def test_the_run_tells_it(scenario: Scenario) -> None:
    create(scenario)
    result, notes = scenario.sync_with_notes()
    assert notes == [f"c.p_id: 2 values: {EMPTIED}", f"c.up: 2 values: {EMPTIED}"]
    told = [{"column": column, "note": EMPTIED, "rows": 2} for column in ("p_id", "up")]
    assert result.as_dict()["tables"][1]["changed_values"] == told


def test_without_the_setting_such_rows_are_rejects(scenario: Scenario) -> None:
    create(scenario, "[tables.p]\n\n[tables.c]\n")
    assert list(scenario.sync_twice().rejects["c"]["old_id"]) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_verify_finds_nothing_in_the_rows_that_went_in_so(scenario: Scenario) -> None:
    create(scenario)
    scenario.sync()
    assert found(scenario) == []
    execute(scenario.target, "UPDATE c SET p_id = 11 WHERE name = 'gone'")
    assert found(scenario) == [("p_id", "11")]


def found(scenario: Scenario) -> list[tuple[Any, ...]]:
    options = SyncOptions(plan=scenario.plan)
    result = dfsync.verify(scenario.source, scenario.target.url, out=scenario.folder / "out", options=options)
    cells = result.differences["c"][["column", "target_value"]]
    return [tuple(cell) for cell in cells.to_numpy()]


def test_rows_that_were_there_are_emptied_with_on_match_update_alone(scenario: Scenario) -> None:
    create(scenario)
    execute(
        scenario.target,
        "INSERT INTO p (name) VALUES ('own')",
        "INSERT INTO c (name, p_id, must_id) VALUES ('gone', 11, 11)",
    )
    assert emptied(scenario.sync().counts[1]) == {"p_id": 1, "up": 2}
    assert scenario.read_target("SELECT p_id FROM c WHERE name = 'gone'") == [(11,)]
    assert emptied(scenario.sync(on_match="update").counts[1]) == {"p_id": 2, "up": 2}
    assert scenario.read_target("SELECT p_id FROM c WHERE name = 'gone'") == [(None,)]


def test_a_reference_in_the_natural_key_is_not_emptied(scenario: Scenario) -> None:
    create(scenario, PLAN + 'natural_key = ["name", "p_id"]\n')
    assert list(scenario.sync_twice().rejects["c"]["old_id"]) == [1, 2, 5]


def test_a_row_without_a_natural_key_goes_in_once_though_the_server_refuses_its_parent(scenario: Scenario) -> None:
    scenario.create_source(
        """CREATE TABLE c (id INTEGER PRIMARY KEY, name TEXT, up INT REFERENCES c);
        INSERT INTO c VALUES (1, 'bad', NULL), (2, 'x', 1), (3, 'y', 2), (4, 'z', NULL), (5, 'w', 99)""",
        '[tables.c]\nnatural_key = []\non_missing_parent = "null"\n',
    )
    scenario.create_target(
        "CREATE TABLE c (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9), up INT, CHECK (name <> 'bad'), "
        "FOREIGN KEY (up) REFERENCES c (id))"
    )
    result = scenario.sync_twice()
    assert list(result.rejects["c"]["old_id"]) == [1, 2, 3]
    assert sorted(scenario.read_target("SELECT name, up FROM c")) == [("w", None), ("z", None)]


def test_a_circle_of_two_tables(scenario: Scenario) -> None:
    scenario.create_source(
        """CREATE TABLE teams (id INTEGER PRIMARY KEY, name TEXT UNIQUE, lead INT REFERENCES people);
        CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT UNIQUE, team INT NOT NULL REFERENCES teams,
            boss INT REFERENCES people);
        INSERT INTO teams VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 9);
        INSERT INTO people VALUES (1, 'far too long', 1, NULL), (2, 'of b', 2, 1), (3, 'of none', 8, 2),
            (4, 'd', 3, 3)""",
        '[tables.teams]\non_missing_parent = "null"\n\n[tables.people]\non_missing_parent = "null"\n',
    )
    scenario.create_target(
        """CREATE TABLE teams (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9) NOT NULL UNIQUE, lead INT);
        CREATE TABLE people (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9) NOT NULL UNIQUE, team INT NOT NULL,
            boss INT, FOREIGN KEY (team) REFERENCES teams (id), FOREIGN KEY (boss) REFERENCES people (id));
        ALTER TABLE teams ADD FOREIGN KEY (lead) REFERENCES people (id)"""
    )
    result = scenario.sync_twice()
    assert {c.name: emptied(c) for c in result.counts} == {"teams": {"lead": 2}, "people": {"boss": 2}}
    assert list(result.rejects["people"]["old_id"]) == [1, 3]
    leads = "SELECT teams.name, people.name FROM teams LEFT JOIN people ON people.id = lead ORDER BY 1"
    assert scenario.read_target(leads) == [("a", None), ("b", "of b"), ("c", None)]
    assert scenario.read_target("SELECT name, boss FROM people ORDER BY 1") == [("d", None), ("of b", None)]
