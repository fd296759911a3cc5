"""Rows that cannot go in: each is a reject with a reason, the other rows of its table go in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Engine

from dfsync.output.result import SyncResult
from tests.support.git_history import (
    assert_copied,
    counts,
    create_tables,
    empty_source,
    execute,
    fetch,
    ids,
    run,
    run_sql,
    sample,
    source_rows,
)

WAYS = pytest.mark.parametrize("local_infile", [True, False], ids=["load data local", "plain inserts"])


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def rejected(result: SyncResult, name: str) -> list[tuple[Any, ...]]:
    """Old id, column, value and reason."""
    frame = result.rejects[name]
    assert list(frame.columns) == ["old_id", "column", "value", "reason"]
    return [tuple(None if value is pd.NA else value for value in row) for row in frame.to_numpy(dtype=object)]


class TestAMissingParent:
    @WAYS
    def test_rejects_its_children_and_theirs_and_no_other_row(
        self, target: Engine, tmp_path: Path, out: Path, local_infile: bool
    ) -> None:
        create_tables(target)
        source = run_sql(
            empty_source(tmp_path / "s.db"),
            """INSERT INTO repositories (id, slug) VALUES (1, 'a');
            INSERT INTO pull_requests (id, repository_id, pr_id) VALUES (10, 1, 1), (11, 999, 1), (12, 1, 2);
            INSERT INTO pr_approvals (id, pull_request_id, user_email)
            VALUES (20, 10, 'x'), (21, 11, 'x'), (22, 12, 'x');
            INSERT INTO commits (id, repository_id, hash) VALUES (30, 999, 'h'), (31, 1, 'h');""",
        )
        result = run(source, target, out, local_infile=local_infile)
        assert not result.ok
        assert counts(result) == {
            "repositories": (1, 0, 0),
            "commits": (1, 0, 1),
            "pull_requests": (2, 0, 1),
            "pr_approvals": (2, 0, 1),
        }
        reason = "missing parent: repositories has no row with this id in the target, nor in the source"
        assert rejected(result, "pull_requests") == [(11, "repository_id", "999", reason)]
        assert rejected(result, "commits") == [(30, "repository_id", "999", reason)]
        reason = "missing parent: pull_requests has no row with this id in the target, since it is a reject itself"
        assert rejected(result, "pr_approvals") == [(21, "pull_request_id", "11", reason)]
        assert fetch(
            target,
            "SELECT user_email, pr_id FROM pr_approvals a JOIN pull_requests p"
            " ON p.id = pull_request_id ORDER BY pr_id",
        ) == [("x", 1), ("x", 2)]

    def test_that_comes_later_lets_them_in(self, target: Engine, tmp_path: Path, out: Path) -> None:
        create_tables(target)
        source = run_sql(
            empty_source(tmp_path / "s.db"), "INSERT INTO commits (id, repository_id, hash) VALUES (30, 999, 'h')"
        )
        assert counts(run(source, target, out)) == {"commits": (0, 0, 1)}
        assert (out / "rejects" / "commits.parquet").exists()
        run_sql(source, "INSERT INTO repositories (id, slug) VALUES (999, 'late')")
        result = run(source, target, out)
        assert counts(result) == {"repositories": (1, 0, 0), "commits": (1, 0, 0)}
        assert not (out / "rejects" / "commits.parquet").exists()
        assert result.rejects["commits"].empty

    def test_null_is_no_parent_and_stays_null(self, target: Engine, tmp_path: Path, out: Path) -> None:
        execute(
            target,
            "CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9) UNIQUE)",
            "CREATE TABLE b (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9) UNIQUE, a_id INT REFERENCES a (id))",
        )
        source = run_sql(
            tmp_path / "s.db",
            """CREATE TABLE a (id INTEGER PRIMARY KEY, name TEXT UNIQUE);
            CREATE TABLE b (id INTEGER PRIMARY KEY, name TEXT UNIQUE, a_id INTEGER REFERENCES a (id));
            INSERT INTO a VALUES (5, 'x'); INSERT INTO b VALUES (1, 'p', NULL), (2, 'q', 5), (3, 'r', 6);""",
        )
        result = run(source, target, out)
        assert counts(result) == {"a": (1, 0, 0), "b": (2, 0, 1)}
        assert fetch(target, "SELECT name, a_id FROM b ORDER BY name") == [("p", None), ("q", 1)]


VALUES = """
    CREATE TABLE v (id INTEGER PRIMARY KEY, k TEXT UNIQUE, short TEXT, day TEXT, small INTEGER, must TEXT, price TEXT);
    INSERT INTO v VALUES (1, 'fine', 'abc', '2024-02-29', 127, 'm', '1.25');
    INSERT INTO v VALUES (2, 'long', 'abcdef', '2024-02-29', 1, 'm', NULL);
    INSERT INTO v VALUES (3, 'date', 'abc', '2023-02-29', 1, 'm', NULL);
    INSERT INTO v VALUES (4, 'range', 'abc', NULL, 128, 'm', NULL);
    INSERT INTO v VALUES (5, 'null', 'abc', NULL, 1, NULL, NULL);
    INSERT INTO v VALUES (6, 'word', 'abc', NULL, 'many', 'm', NULL);
    INSERT INTO v VALUES (7, 'also fine', '🦭ä', NULL, '-128', '', '3');
    INSERT INTO v VALUES (8, 'much', 'abc', NULL, 1, 'm', '1000');
    INSERT INTO v VALUES (9, NULL, 'last', NULL, NULL, 'm', NULL);
"""


class TestAValueThatDoesNotFit:
    @WAYS
    @pytest.mark.parametrize("batch_size", [50_000, 2])
    def test_rejects_its_row_alone(
        self, target: Engine, tmp_path: Path, out: Path, local_infile: bool, batch_size: int
    ) -> None:
        execute(
            target,
            "CREATE TABLE v (id INT AUTO_INCREMENT PRIMARY KEY, k VARCHAR(10) UNIQUE, short VARCHAR(5), day DATE,"
            " small TINYINT, must VARCHAR(5) NOT NULL, price DECIMAL(5, 2)) CHARACTER SET utf8mb4",
        )
        source = run_sql(tmp_path / "s.db", VALUES)
        result = run(source, target, out, local_infile=local_infile, batch_size=batch_size)
        assert counts(result) == {"v": (3, 0, 6)}
        found = {old: (column, value) for old, column, value, reason in rejected(result, "v") if reason}
        assert found == {
            2: ("short", "abcdef"),
            3: ("day", "2023-02-29"),
            4: ("small", "128"),
            5: ("must", None),
            6: ("small", "many"),
            8: ("price", "1000"),
        }
        there = fetch(target, "SELECT id, k, short, CAST(day AS CHAR), small, must, CAST(price AS CHAR) FROM v")
        known = ids(result.mappings["v"])
        assert there == [
            (known[1], "fine", "abc", "2024-02-29", 127, "m", "1.25"),
            (known[7], "also fine", "🦭ä", None, -128, "", "3.00"),
            (known[9], None, "last", None, None, "m", None),
        ]
        assert known.keys() == {1, 7, 9}

    def test_in_the_natural_key_is_a_reject_too(self, target: Engine, tmp_path: Path, out: Path) -> None:
        create_tables(target)
        source = run_sql(
            empty_source(tmp_path / "s.db"),
            f"INSERT INTO authors (id, email) VALUES (1, '{'x' * 256}'), (2, 'a@b')",  # noqa: S608
        )
        result = run(source, target, out)
        assert counts(result) == {"authors": (1, 0, 1)}
        ((old, column, value, _),) = rejected(result, "authors")
        assert (old, column, value) == (1, "email", "x" * 200 + "…")

    def test_is_in_the_files_and_in_the_summary(self, target: Engine, tmp_path: Path, out: Path) -> None:
        create_tables(target)
        source = run_sql(
            empty_source(tmp_path / "s.db"),
            "INSERT INTO pull_requests (id, repository_id, pr_id) VALUES (1, 1, 99999999999)",
        )
        run_sql(source, "INSERT INTO repositories (id, slug) VALUES (1, 'a')")
        result = run(source, target, out)
        assert [(column, value) for _, column, value, _ in rejected(result, "pull_requests")] == [
            ("pr_id", "99999999999")
        ]
        summary = json.loads((out / "summary.json").read_text())
        assert summary["ok"] is False
        assert summary["overall"] == {"total": 2, "inserted": 1, "matched": 0, "updated": 0, "failed": 1}
        assert sorted(path.name for path in (out / "rejects").iterdir()) == ["pull_requests.parquet"]
        assert json.loads((out / "id_mappings.json").read_text())["pull_requests"] == {}


class TestWhatOnlyTheServerRefuses:
    @WAYS
    def test_a_check_constraint(self, target: Engine, tmp_path: Path, out: Path, local_infile: bool) -> None:
        create_tables(target)
        execute(target, "ALTER TABLE commits ADD CONSTRAINT few CHECK (lines_added < 55)")
        source = sample(tmp_path / "s.db", 100)
        bad = [id_ for id_, row in source_rows(source, "commits").items() if row["lines_added"] >= 55]
        assert 0 < len(bad) < 50
        result = run(source, target, out, tables=("repositories", "commits"), local_infile=local_infile)
        assert counts(result)["commits"] == (100 - len(bad), 0, len(bad))
        assert [(old, column, value) for old, column, value, _ in rejected(result, "commits")] == [
            (old, None, None) for old in bad
        ]
        assert all(
            "refused by the server: " in reason and "few" in reason for *_, reason in rejected(result, "commits")
        )
        run_sql(source, f"DELETE FROM commits WHERE id IN ({', '.join(map(str, bad))})")  # noqa: S608
        assert_copied(source, target, result.mappings)

    @WAYS
    def test_a_second_unique_key(self, target: Engine, tmp_path: Path, out: Path, local_infile: bool) -> None:
        create_tables(target)
        execute(
            target,
            "ALTER TABLE authors ADD UNIQUE (name)",
            "INSERT INTO authors (id, email, name) VALUES (40, 'theirs', 'Ann')",
        )
        source = run_sql(
            empty_source(tmp_path / "s.db"),
            """INSERT INTO authors (id, email, name) VALUES (1, 'a@b', 'Ben'), (2, 'c@d', 'Ann'), (3, 'e@f', 'Cid'),
            (4, 'g@h', 'Ben'), (5, 'i@j', 'Dan'), (6, 'k@l', NULL), (7, 'm@n', NULL)""",
        )
        result = run(source, target, out, local_infile=local_infile)
        assert counts(result) == {"authors": (5, 0, 2)}
        reasons = {old: reason for old, _, _, reason in rejected(result, "authors")}
        assert reasons.keys() == {2, 4}
        assert "Duplicate entry 'Ann'" in reasons[2]
        there = {id_: (email, name) for id_, email, name in fetch(target, "SELECT id, email, name FROM authors")}
        assert {old: there[new] for old, new in ids(result.mappings["authors"]).items()} == {
            1: ("a@b", "Ben"),
            3: ("e@f", "Cid"),
            5: ("i@j", "Dan"),
            6: ("k@l", None),
            7: ("m@n", None),
        }
        assert there.pop(40) == ("theirs", "Ann")

    @WAYS
    def test_a_foreign_key_that_no_plan_knows(
        self, target: Engine, tmp_path: Path, out: Path, local_infile: bool
    ) -> None:
        create_tables(target)
        execute(
            target,
            "CREATE TABLE states (name VARCHAR(50) PRIMARY KEY)",
            "INSERT INTO states VALUES ('main'), ('master')",
            "ALTER TABLE pull_requests ADD FOREIGN KEY (to_branch) REFERENCES states (name)",
        )
        source = sample(tmp_path / "s.db", 200)
        bad = [
            id_
            for id_, row in source_rows(source, "pull_requests").items()
            if row["to_branch"] not in ("main", "master")
        ]
        assert bad
        tables = ("repositories", "pull_requests", "pr_approvals")
        result = run(source, target, out, tables=tables, local_infile=local_infile)
        assert [old for old, *_ in rejected(result, "pull_requests")] == bad
        approvals = [row for row in source_rows(source, "pr_approvals").values() if row["pull_request_id"] in bad]
        assert [old for old, *_ in rejected(result, "pr_approvals")] == [row["id"] for row in approvals]
        assert len(ids(result.mappings["pull_requests"])) == 20 - len(bad)

    @WAYS
    def test_a_trigger_that_says_no(self, target: Engine, tmp_path: Path, out: Path, local_infile: bool) -> None:
        create_tables(target)
        execute(
            target,
            "CREATE TRIGGER no BEFORE INSERT ON authors FOR EACH ROW BEGIN IF NEW.name = 'Bob' THEN"
            " SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no Bobs'; END IF; END",
        )
        source = run_sql(
            empty_source(tmp_path / "s.db"),
            "INSERT INTO authors (id, email, name) VALUES (1, 'a', 'Ann'), (2, 'b', 'Bob'), (3, 'c', 'Cid')",
        )
        result = run(source, target, out, local_infile=local_infile)
        assert counts(result) == {"authors": (2, 0, 1)}
        assert "no Bobs" in rejected(result, "authors")[0][3]
        assert [name for (name,) in fetch(target, "SELECT name FROM authors ORDER BY id")] == ["Ann", "Cid"]

    def test_a_trigger_that_changes_a_value_is_no_reject(self, target: Engine, tmp_path: Path, out: Path) -> None:
        create_tables(target)
        execute(target, "CREATE TRIGGER low BEFORE INSERT ON authors FOR EACH ROW SET NEW.name = LOWER(NEW.name)")
        source = run_sql(
            empty_source(tmp_path / "s.db"),
            "INSERT INTO authors (id, email, name) VALUES (1, 'a', 'ANN'), (2, 'b', 'BOB')",
        )
        assert counts(run(source, target, out)) == {"authors": (2, 0, 0)}
        assert fetch(target, "SELECT name FROM authors ORDER BY id") == [("ann",), ("bob",)]

    @WAYS
    def test_a_row_without_a_partition(self, target: Engine, tmp_path: Path, out: Path, local_infile: bool) -> None:
        execute(
            target,
            "CREATE TABLE t (id INT AUTO_INCREMENT, n INT, PRIMARY KEY (id, n))"
            " PARTITION BY RANGE (n) (PARTITION low VALUES LESS THAN (10))",
        )
        source = run_sql(
            tmp_path / "s.db",
            "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO t VALUES (1, 5), (2, 50), (3, 6)",
        )
        result = run(source, target, out, local_infile=local_infile)
        assert counts(result) == {"t": (2, 0, 1)}
        assert "Table has no partition for value 50" in rejected(result, "t")[0][3]

    @WAYS
    def test_a_row_that_fits_no_page(self, target: Engine, tmp_path: Path, out: Path, local_infile: bool) -> None:
        columns = [f"c{number}" for number in range(60)]
        declared = ", ".join(f"{name} VARCHAR(255)" for name in columns)
        with target.begin() as connection:
            # Each value fits its column, and not all of them fit the row.
            connection.exec_driver_sql("SET SESSION innodb_strict_mode = 0")
            connection.exec_driver_sql(
                f"CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, {declared}) CHARSET latin1 ROW_FORMAT = COMPACT"
            )
        values = ", ".join(["'" + "x" * 255 + "'"] * len(columns))
        source = run_sql(
            tmp_path / "s.db",
            f"CREATE TABLE t (id INTEGER PRIMARY KEY, {declared});"  # noqa: S608
            f"INSERT INTO t (id, c0) VALUES (1, 'a'), (3, 'c'); INSERT INTO t VALUES (2, {values})",
        )
        result = run(source, target, out, local_infile=local_infile)
        assert counts(result) == {"t": (2, 0, 1)}
        assert "Row size too large" in rejected(result, "t")[0][3]

    def test_an_update_too_large_for_its_undo_log(self, target: Engine, tmp_path: Path, out: Path) -> None:
        columns = [f"c{number}" for number in range(60)]
        declared = ", ".join(f"{name} VARCHAR(700)" for name in columns)
        indexes = ", ".join(f"INDEX ({name})" for name in columns)
        both = ", ".join(["'" + "x" * 700 + "'"] * len(columns))
        execute(
            target,
            f"CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, k VARCHAR(9) UNIQUE, n INT, {declared}, {indexes})"
            " CHARSET latin1 ROW_FORMAT = DYNAMIC",
            f"INSERT INTO t VALUES (1, 'a', 1, {both}), (2, 'b', 1, {both})",  # noqa: S608
        )
        source = run_sql(
            tmp_path / "s.db",
            f"CREATE TABLE t (id INTEGER PRIMARY KEY, k TEXT NOT NULL UNIQUE, n INTEGER, {declared});"  # noqa: S608
            f"INSERT INTO t VALUES (1, 'a', 1, {both.replace('x', 'y')}), (2, 'b', 2, {both})",
        )
        (found,) = run(source, target, out, on_match="update").counts
        assert (found.error, found.matched, found.updated) == (None, 1, 1)
