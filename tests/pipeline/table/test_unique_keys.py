"""A dry run and `check` foretell the rows that a second unique key of the target refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine

from dfsync.commands.check import check
from dfsync.model.options import SyncOptions
from tests.support.git_history import counts
from tests.support.scenario import Scenario, failed_rows

PLAN = '[tables.pg]\nnatural_key = ["url"]\n'
TARGET = """CREATE TABLE pg (id INT AUTO_INCREMENT PRIMARY KEY, url VARCHAR(50) NOT NULL UNIQUE,
    path VARCHAR(50) COLLATE utf8mb4_general_ci UNIQUE, a INT, b INT, UNIQUE (b, a)) CHARACTER SET utf8mb4"""


def scenario_of(tmp_path: Path, target: Engine, rows: str, own: str) -> Scenario:
    scenario = Scenario(tmp_path, target)
    columns = "id INTEGER PRIMARY KEY, url TEXT, path TEXT, a INT, b INT"
    scenario.create_source(f"CREATE TABLE pg ({columns}); INSERT INTO pg VALUES {rows}", PLAN)  # noqa: S608
    scenario.create_target(TARGET, f"INSERT INTO pg (url, path, a, b) VALUES {own}")  # noqa: S608
    return scenario


@pytest.mark.parametrize("batch_size", [1, 2, 50])
@pytest.mark.parametrize(
    ("rows", "own", "failed"),
    [
        ("(1, '/a', '0001', 1, 1), (2, '/b', '0002', 2, 2)", "('/z', '0001', 9, 9)", [1]),
        ("(1, '/a', 'straße', 1, 1), (2, '/b', 'STRASE', 2, 2)", "('/z', 'é', 9, 9)", [2]),
        ("(1, '/a', 'E ', 1, 1), (2, '/b', 'F', 2, 2)", "('/z', 'é', 9, 9)", [1]),
        ("(1, '/a', NULL, 1, 1), (2, '/b', NULL, 1, NULL)", "('/z', NULL, 1, NULL)", []),
        ("(1, '/a', 'x', 1, 1), (2, '/b', 'y', 1, 1), (3, '/c', 'y', 2, 2)", "('/z', 'z', 9, 9)", [2]),
        ("(1, '/a', 'z', 1, 1), (2, '/b', 'y', 1, 1), (3, '/c', 'y', 2, 2)", "('/z', 'z', 9, 9)", [1, 3]),
        ("(1, '/z', 'x', 1, 1), (2, '/b', 'z', 2, 2)", "('/z', 'z', 9, 9)", [2]),
    ],
)
def test_as_the_sync_does(
    tmp_path: Path, target: Engine, rows: str, own: str, failed: list[int], batch_size: int
) -> None:
    scenario = scenario_of(tmp_path, target, rows, own)
    rehearsed = scenario.sync(dry_run=True, batch_size=batch_size)
    checked = check(scenario.source, target.url, options=SyncOptions(plan=scenario.plan))
    result = scenario.sync(batch_size=batch_size)
    assert failed_rows(result)["pg"] == failed
    assert failed_rows(rehearsed) == failed_rows(result)
    assert counts(rehearsed) == counts(result)
    assert (checked.tables[0].inserted, checked.tables[0].failed) == (result.counts[0].inserted, len(failed))


def test_check_says_which_key_and_which_value(tmp_path: Path, target: Engine) -> None:
    rows, own = "(1, '/a', '0001', 1, 1), (2, '/b', '0002', 2, 2)", "('/z', '0001', 9, 9)"
    scenario = scenario_of(tmp_path, target, rows, own)
    findings = check(scenario.source, target.url, options=SyncOptions(plan=scenario.plan)).findings
    (error,) = [finding for finding in findings if finding.level == "error"]
    assert (error.column, error.count) == ("path", 1)
    assert "the unique key over path has this value already, in the target (such as '0001' in ID 1)" in error.message


def test_a_foreign_key_in_a_text_column_is_looked_at(tmp_path: Path, target: Engine) -> None:
    scenario = Scenario(tmp_path, target)
    scenario.create_source(
        """CREATE TABLE exp (id INTEGER PRIMARY KEY, name TEXT UNIQUE);
        CREATE TABLE link (id INTEGER PRIMARY KEY, kind TEXT, ref VARCHAR(36));
        INSERT INTO exp VALUES (1, 'a'); INSERT INTO link VALUES (1, 'exp', '1')""",
        """[tables.exp]
        [tables.link]
        natural_key = ["kind", "ref"]
        foreign_keys = { ref = "exp" }""",
    )
    scenario.create_target(
        """CREATE TABLE exp (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(50) UNIQUE);
        CREATE TABLE link (id INT AUTO_INCREMENT PRIMARY KEY, kind VARCHAR(20), ref VARCHAR(36))""",
        "INSERT INTO exp (name) VALUES ('z')",
    )
    checked = check(scenario.source, target.url, options=SyncOptions(plan=scenario.plan))
    assert [(table.inserted, table.failed) for table in checked.tables] == [(1, 0), (1, 0)]
    assert checked.ok
    assert scenario.sync().ok
    assert scenario.read_target("SELECT ref FROM link") == [("2",)]
