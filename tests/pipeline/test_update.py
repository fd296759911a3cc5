"""`on_match = "update"`: rows that exist take the source's values, in bulk, and only where they differ."""

# ruff: noqa: E501 -- SQL reads better unbroken
from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from dfsync import SyncOptions, SyncResult, sync
from tests.support.scenario import Scenario

SOURCE = """
    CREATE TABLE team (id INTEGER PRIMARY KEY, title TEXT NOT NULL UNIQUE);
    CREATE TABLE staff (id INTEGER PRIMARY KEY, code TEXT NOT NULL, name TEXT, score REAL, note TEXT,
        team INTEGER REFERENCES team (id));
    INSERT INTO team VALUES (1, 'red'), (2, 'blue');
    INSERT INTO staff VALUES (1, 'a', 'Ann', 1.5, NULL, 1), (2, 'b', 'Bob', 2.5, 'same', 2), (3, 'c', 'Cy', 3.5, 'n', NULL),
        (4, 'A', 'Twin', 9, NULL, NULL)"""
TARGET = """
    CREATE TABLE team (id INT AUTO_INCREMENT PRIMARY KEY, title VARCHAR(20) NOT NULL UNIQUE);
    CREATE TABLE staff (id INT AUTO_INCREMENT PRIMARY KEY, code VARCHAR(5) NOT NULL UNIQUE, name VARCHAR(20), score DOUBLE,
        note VARCHAR(20), team INT, seen INT NOT NULL DEFAULT 0, FOREIGN KEY (team) REFERENCES team (id))
        CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci;
    CREATE TRIGGER touched BEFORE UPDATE ON staff FOR EACH ROW SET NEW.seen = OLD.seen + 1;
    INSERT INTO team (title) VALUES ('green'), ('red'), ('blue');
    INSERT INTO staff (code, name, score, note, team) VALUES
        ('z', 'Zoe', 0, NULL, 1), ('A', 'ann', 1.5, 'old', 3), ('b', 'Bob', 2.5, 'same', 3)"""
STAFF = "SELECT code, name, score, note, team, seen FROM staff ORDER BY id"


@pytest.fixture
def source(tmp_path: Path, target: sa.Engine) -> Path:
    path = tmp_path / "source.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(SOURCE)
    with target.begin() as connection:
        for statement in TARGET.split(";"):
            connection.exec_driver_sql(statement)
    return path


def staff(target: sa.Engine) -> list[tuple[Any, ...]]:
    with target.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.text(STAFF))]


def updated(result: SyncResult) -> tuple[int, ...]:
    found = next(count for count in result.counts if count.name == "staff")
    return found.total, found.inserted, found.matched, found.updated, found.failed


def test_only_what_differs_is_written_and_the_key_never_changes(
    source: Path, target: sa.Engine, target_url: str
) -> None:
    options = SyncOptions(on_match="update")
    result = sync(source, target_url, out=source.parent / "out", options=options)
    assert updated(result) == (4, 1, 2, 1, 0)
    assert staff(target) == [
        ("z", "Zoe", 0.0, None, 1, 0),
        ("A", "Ann", 1.5, None, 2, 1),
        ("b", "Bob", 2.5, "same", 3, 0),
        ("c", "Cy", 3.5, "n", None, 0),
    ]
    actions = result.mappings["staff"].set_index("old_id")["action"].to_dict()
    assert actions == {1: "updated", 2: "matched", 3: "inserted", 4: "matched"}
    assert updated(sync(source, target_url, out=source.parent / "out", options=options)) == (4, 0, 4, 0, 0)
    assert staff(target)[1][-1] == 1


def test_a_plan_asks_for_it_table_by_table(source: Path, target: sa.Engine, target_url: str) -> None:
    plan = source.parent / "plan.toml"
    plan.write_text('[tables.team]\n[tables.staff]\nnatural_key = ["code"]\non_match = "update"\n')
    assert updated(sync(source, target_url, out=source.parent / "out", options=SyncOptions(plan=plan)))[3] == 1


def test_without_it_rows_stay_as_they_are(source: Path, target: sa.Engine, target_url: str) -> None:
    before = staff(target)
    assert updated(sync(source, target_url, out=source.parent / "out"))[3] == 0
    assert staff(target)[:3] == before


def test_a_dry_run_counts_and_writes_nothing(source: Path, target: sa.Engine, target_url: str) -> None:
    before = staff(target)
    result = sync(source, target_url, out=source.parent / "out", options=SyncOptions(on_match="update", dry_run=True))
    assert updated(result)[3] == 1
    assert staff(target) == before


def test_values_that_do_not_fit_keep_the_targets_and_are_said(source: Path, target: sa.Engine, target_url: str) -> None:
    with closing(sqlite3.connect(source)) as database, database:
        database.execute("UPDATE staff SET name = ? WHERE id = 1", ("x" * 30,))
    result = sync(source, target_url, out=source.parent / "out", options=SyncOptions(on_match="update"))
    assert updated(result) == (4, 1, 3, 0, 0)
    assert staff(target)[1][:4] == ("A", "ann", 1.5, "old")


def test_of_all_that_do_not_fit_one_is_said_whichever_end_refuses_it(tmp_path: Path, target: sa.Engine) -> None:
    scenario = Scenario(tmp_path, target)
    rows = ", ".join(f"({i}, 'k{i}', {i}, {9 if i in (2, 1_802) else 0})" for i in range(1, 2_001))
    scenario.create_source(
        f"""CREATE TABLE t (id INTEGER PRIMARY KEY, k TEXT NOT NULL UNIQUE, v INT, w INT); INSERT INTO t VALUES {rows};
        INSERT INTO t VALUES (3000, 'k3000', 70000, 5)"""  # noqa: S608
    )
    scenario.create_target(
        "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, k VARCHAR(9) UNIQUE, v SMALLINT, w INT, CHECK (w <> 9))",
        "INSERT INTO t (k, v, w) VALUES ('k2', 0, 0), ('k1802', 0, 0), ('k3000', 0, 0)",
    )
    result, (note,) = scenario.sync_with_notes(on_match="update", batch_size=1_000)
    assert result.counts[0].failed == 0
    assert re.match(
        r"t\.update: 3 matched rows keep the target's values, because theirs do not fit; row 2: refused by", note
    )


def test_thousands_of_rows_take_few_statements(tmp_path: Path, target: sa.Engine, target_url: str) -> None:
    path = tmp_path / "many.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, k TEXT NOT NULL UNIQUE, v INTEGER, w TEXT)")
        database.executemany(
            "INSERT INTO t VALUES (?, ?, ?, ?)", [(i, f"k{i}", i - 1, "w" * (i % 7)) for i in range(1, 3_001)]
        )
    with target.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, k VARCHAR(10) UNIQUE, v INT, w VARCHAR(10))"
        )
    sync(path, target_url, out=tmp_path / "out")
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE t SET v = v + 1, w = w || 'x' WHERE id % 3")
    statements: list[str] = []

    def heard(*arguments: Any) -> None:
        statements.append(arguments[2])

    event.listen(sa.Engine, "before_cursor_execute", heard)
    try:
        result = sync(path, target_url, out=tmp_path / "out", options=SyncOptions(on_match="update"))
    finally:
        event.remove(sa.Engine, "before_cursor_execute", heard)
    assert result.counts[0].updated == 2_000
    assert sum(statement.startswith("UPDATE") for statement in statements) <= 4
    with target.connect() as connection:
        assert connection.scalar(sa.text("SELECT COUNT(*) FROM t WHERE v = id AND id % 3 <> 0")) == 2_000
