"""What `check` finds, on a real target, and that it leaves it as it is."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from dfsync.__main__ import main
from dfsync.cli.render.check import check_lines
from dfsync.commands.check import CheckResult, check
from dfsync.commands.create_tables import create_tables
from dfsync.commands.sync import sync
from dfsync.model.errors import DfsyncError
from dfsync.model.options import SyncOptions
from dfsync.plan.validation import Finding
from dfsync.target.config.location import VARIABLE

SOURCE = """
    CREATE TABLE parent (id INTEGER PRIMARY KEY, code VARCHAR(20) NOT NULL UNIQUE);
    CREATE TABLE child (
      id INTEGER PRIMARY KEY, parent_id INTEGER REFERENCES parent(id), name VARCHAR(20) NOT NULL UNIQUE, n TEXT);
    INSERT INTO parent VALUES (1, 'a'), (2, 'b');
    INSERT INTO child VALUES (1, 1, 'x', '1'), (2, 2, 'y', '2'), (3, NULL, 'z', NULL);
"""
PARENT = (
    "CREATE TABLE parent (id BIGINT AUTO_INCREMENT PRIMARY KEY, code VARCHAR(20) NOT NULL UNIQUE) CHARACTER SET utf8mb4"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "source.db"


def fill(path: Path, script: str = SOURCE) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)


def run(target: Engine, *statements: str) -> None:
    with target.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def errors(result: CheckResult) -> list[tuple[str, str | None, int | None]]:
    return [(f.table, f.column, f.count) for f in result.findings if f.level == "error"]


def the(result: CheckResult, table: str, words: str) -> Finding:
    (found,) = [f for f in result.findings if f.table == table and words in f.message]
    return found


def test_nothing_in_the_way(path: Path, target: Engine) -> None:
    fill(path)
    create_tables(path, target.url)
    run(target, "INSERT INTO parent (code) VALUES ('b')")
    result = check(path, target.url)
    assert result.ok
    assert result.findings == ()
    assert [(t.name, t.total, t.inserted, t.matched, t.failed) for t in result.tables] == [
        ("parent", 2, 1, 1, 0),
        ("child", 3, 3, 0, 0),
    ]
    assert check_lines(result)[-1] == "Nothing is in the way of a sync."
    with target.connect() as connection:
        assert connection.scalar(text("SELECT COUNT(*) FROM child")) == 0


def test_a_table_that_the_target_lacks(path: Path, target: Engine) -> None:
    fill(path)
    run(target, PARENT)
    result = check(path, target.url)
    assert errors(result) == [("child", None, None)]
    assert "create-tables" in the(result, "child", "the target has no such table").message
    assert [(t.name, t.inserted) for t in result.tables] == [("parent", 2), ("child", None)]


def test_a_table_of_the_built_in_plan_that_the_source_lacks(tmp_path: Path, target: Engine) -> None:
    path = tmp_path / "git_history.db"
    fill(path, "CREATE TABLE repositories (id INTEGER PRIMARY KEY, slug TEXT NOT NULL UNIQUE)")
    fill(path, "CREATE TABLE commits (id INTEGER PRIMARY KEY, hash TEXT, repository_id INTEGER)")
    create_tables(path, target.url)
    result = check(path, target.url)
    assert result.ok
    assert the(result, "authors", "the source has no such table").level == "note"
    assert (
        "NOTE authors, pull_requests, pr_approvals, staff_details, author_mappings,\n"
        "  staff_metrics, current_year_metrics: the source has no such table, so it is\n"
        "  passed over\n"
    ) in "\n".join(check_lines(result))
    assert [t.name for t in result.tables] == ["repositories", "commits"]


def test_all_that_is_wrong_with_the_columns(path: Path, target: Engine, tmp_path: Path) -> None:
    fill(path)
    # What the target does not number is no id unless a plan says so.
    plan = tmp_path / "plan.toml"
    plan.write_text('[tables.parent]\nid = "id"\n[tables.child]\n')
    options = SyncOptions(plan=plan)
    run(
        target,
        "CREATE TABLE parent (id BIGINT PRIMARY KEY, code VARCHAR(20), must INT NOT NULL, may INT NOT NULL DEFAULT 1)",
        "CREATE TABLE child (id INT AUTO_INCREMENT PRIMARY KEY, parent_id BIGINT, name VARCHAR(20) NOT NULL UNIQUE)",
    )
    result = check(path, target.url, options=options)
    assert errors(result) == [("parent", "must", None), ("parent", "id", None), ("child", "n", None)]
    run(
        target,
        the(result, "parent", "AUTO_INCREMENT").fix or "",
        the(result, "parent", "no index").fix or "",
        "ALTER TABLE parent DROP must",
        "ALTER TABLE child ADD n TEXT",
    )
    assert check(path, target.url, options=options).findings == ()


def test_values_that_would_not_fit(path: Path, target: Engine) -> None:
    fill(path)
    run(
        target,
        PARENT,
        "CREATE TABLE child (id BIGINT AUTO_INCREMENT PRIMARY KEY, parent_id BIGINT NOT NULL, "
        "name VARCHAR(20) NOT NULL UNIQUE, n TINYINT)",
    )
    fill(
        path,
        """
        INSERT INTO child VALUES (4, 99, 'orphan', '4'), (5, 98, 'orphan 2', '5'), (6, 1, 'far', '1000');
        INSERT INTO child VALUES (7, 1, 'a name of more than twenty', '1');
        """,
    )
    result = check(path, target.url)
    assert not result.ok
    assert sorted(errors(result), key=str) == [
        ("child", "n", 1),
        ("child", "name", 1),
        ("child", "parent_id", 1),
        ("child", "parent_id", 2),
    ]
    assert "'1000' in ID 6" in the(result, "child", "out of the range").message
    assert "'99' in ID 4" in the(result, "child", "missing parent").message
    assert "NULL in ID 3" in the(result, "child", "is NULL").message
    assert [(t.name, t.inserted, t.failed) for t in result.tables] == [("parent", 2, 0), ("child", 2, 5)]


def test_values_of_a_table_that_cannot_be_tried(path: Path, target: Engine) -> None:
    fill(path)
    fill(path, "INSERT INTO child VALUES (4, 99, 'orphan', 'n'), (5, 1, 'far', '1000')")
    run(
        target,
        "CREATE TABLE child (id BIGINT PRIMARY KEY, parent_id BIGINT, name VARCHAR(20) NOT NULL UNIQUE, n TINYINT)",
    )
    result = check(path, target.url)
    assert ("child", "parent_id", 1) in errors(result)
    assert [f.count for f in result.findings if f.column == "n"] == [1, 1]


def test_rows_that_exist_need_not_fit(path: Path, target: Engine) -> None:
    fill(
        path,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, k TEXT NOT NULL UNIQUE, n INT); INSERT INTO t VALUES (1, 'a', 999)",
    )
    run(target, "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, k VARCHAR(9) NOT NULL UNIQUE, n TINYINT)")
    run(target, "INSERT INTO t (k) VALUES ('a')")
    assert check(path, target.url).ok


def test_natural_key_without_an_index(path: Path, target: Engine, tmp_path: Path) -> None:
    fill(path, 'CREATE TABLE "a `b`" (id INTEGER PRIMARY KEY, "100%" TEXT, "select" TEXT, b BLOB)')
    plan = tmp_path / "plan.toml"
    plan.write_text('[tables.t]\ntable = "a `b`"\nnatural_key = ["select", "100%", "b"]\n')
    run(target, "CREATE TABLE `a ``b``` (id INT AUTO_INCREMENT PRIMARY KEY, `100%` TEXT, `select` VARCHAR(9), b BLOB)")
    result = check(path, target.url, options=SyncOptions(plan=plan))
    found = the(result, "t", "has no index")
    assert found.level == "warning"
    assert result.ok
    with target.connect().execution_options(no_parameters=True) as connection:
        connection.exec_driver_sql(found.fix or "")
    assert check(path, target.url, options=SyncOptions(plan=plan)).findings == ()


def test_keys_that_the_target_takes_for_the_same(path: Path, target: Engine, tmp_path: Path) -> None:
    fill(
        path,
        """
        CREATE TABLE t (id INTEGER PRIMARY KEY, k VARCHAR(20) UNIQUE);
        INSERT INTO t (k) VALUES ('a'), ('A'), ('b'), ('é'), ('É'), (NULL);
        """,
    )
    plan = tmp_path / "plan.toml"
    plan.write_text('[tables.t]\nnatural_key = ["k"]\n')
    run(
        target,
        "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, k VARCHAR(20) COLLATE utf8mb4_unicode_ci UNIQUE) "
        "CHARACTER SET utf8mb4",
    )
    result = check(path, target.url, options=SyncOptions(plan=plan))
    assert the(result, "t", "collation utf8mb4_unicode_ci").count == 2
    assert the(result, "t", "NULL in the natural key").count == 1
    assert result.ok


def test_rows_that_share_a_target_row(path: Path, target: Engine, tmp_path: Path) -> None:
    fill(path, "CREATE TABLE t (id INTEGER PRIMARY KEY, k VARCHAR(9), n INTEGER)")
    fill(path, "INSERT INTO t VALUES (3, 'a', 1), (4, 'b', 2), (7, 'b', 3), (8, 'B', 4), (9, 'a', 5)")
    plan = tmp_path / "plan.toml"
    plan.write_text('[tables.t]\nnatural_key = ["k"]\n')
    run(
        target,
        "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, k VARCHAR(9) NOT NULL UNIQUE, n INT) CHARACTER SET utf8mb4",
    )
    result = check(path, target.url, options=SyncOptions(plan=plan))
    same, alike = (
        the(result, "t", "the natural key of an earlier row: the target row is shared"),
        the(result, "t", "the target's collation"),
    )
    assert (same.count, alike.count, result.tables[0].shared) == (2, 1, 3)
    assert "(such as ID 7 with ID 4)" in same.message
    assert "(such as ID 8 with ID 4)" in alike.message
    assert "t: 5 rows, 2 would be inserted, 3 exist or share a row, 0 would fail" in check_lines(result)


def test_a_reject_of_a_table_without_an_id(path: Path, target: Engine) -> None:
    fill(path, "CREATE TABLE t (k VARCHAR(9) PRIMARY KEY, n INTEGER); INSERT INTO t VALUES ('a', 1), ('b', 999)")
    run(target, "CREATE TABLE t (k VARCHAR(9) PRIMARY KEY, n TINYINT)")
    assert "'999' in row 2" in the(check(path, target.url), "t", "out of the range").message


def test_whole_content(path: Path, target: Engine) -> None:
    fill(path, "CREATE TABLE t (a TEXT)")
    create_tables(path, target.url)
    assert the(check(path, target.url), "t", "whole content").level == "warning"


def test_an_update_that_is_ambiguous_keeps_no_other_table_from_being_tried(
    path: Path, target: Engine, tmp_path: Path
) -> None:
    fill(
        path,
        "CREATE TABLE price (code TEXT, cents INT); CREATE TABLE t (id INTEGER PRIMARY KEY, k TEXT NOT NULL UNIQUE)",
    )
    fill(path, "INSERT INTO price VALUES ('a', 1); INSERT INTO t VALUES (1, 'x')")
    plan = tmp_path / "plan.toml"
    plan.write_text('[tables.price]\nnatural_key = ["code"]\non_match = "update"\n[tables.t]\n')
    run(
        target,
        "CREATE TABLE price (code VARCHAR(9), cents INT, KEY (code))",
        "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, k VARCHAR(9) NOT NULL UNIQUE)",
    )
    result = check(path, target.url, options=SyncOptions(plan=plan))
    assert errors(result) == [("price", None, None)]
    assert "natural key is not unique" in the(result, "price", "cannot be updated").message
    assert [(t.name, t.inserted) for t in result.tables] == [("price", None), ("t", 1)]


def test_a_natural_key_that_holds_a_unique_key(path: Path, target: Engine, tmp_path: Path) -> None:
    fill(
        path,
        "CREATE TABLE version (name TEXT, n INT, made INT, by_whom TEXT); INSERT INTO version VALUES ('a', 1, 5, 'x')",
    )
    fill(path, "INSERT INTO version VALUES ('b', 1, 6, 'new')")
    plan = tmp_path / "plan.toml"
    plan.write_text('[tables.version]\nnatural_key = ["name", "n", "made"]\non_match = "update"\n')
    run(
        target,
        "CREATE TABLE version (name VARCHAR(9), n INT, made INT, by_whom VARCHAR(9), PRIMARY KEY (name, n))",
        "INSERT INTO version VALUES ('a', 1, 4, 'y'), ('b', 1, 6, 'old')",
    )
    options = SyncOptions(plan=plan)
    result = check(path, target.url, options=options)
    assert errors(result) == [("version", None, 1)]
    # The values are several, so none of them is shown.
    assert the(result, "version", "refused").message.endswith("in the target (such as row 1)")
    assert not [finding for finding in result.findings if "no index" in finding.message]
    synced = sync(path, target.url, out=tmp_path / "out", options=options)
    assert [(c.updated, c.failed) for c in synced.counts] == [(1, 1)]


def test_the_target_is_found_where_the_command_line_finds_it(
    path: Path, target: Engine, target_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(path)
    create_tables(path, target.url)
    monkeypatch.setenv(VARIABLE, target_url)
    result = check(path)
    assert (result.ok, result.target) == (True, check(path, target_url).target)


def test_some_tables(path: Path, target: Engine) -> None:
    fill(path)
    run(target, PARENT)
    assert check(path, target.url, options=SyncOptions(tables=("parent",))).ok
    assert errors(check(path, target.url, options=SyncOptions(tables=("child",)))) == [("child", None, None)]


def test_parents_that_are_missing_in_the_target_are_in_the_way_of_their_children(path: Path, target: Engine) -> None:
    fill(path)
    run(target, "CREATE TABLE child (id BIGINT AUTO_INCREMENT PRIMARY KEY, parent_id BIGINT, name TEXT, n TEXT)")
    assert errors(check(path, target.url, options=SyncOptions(tables=("child",)))) == [("parent", None, None)]


def test_neither_end_can_be_reached(path: Path) -> None:
    with pytest.raises(DfsyncError, match=r"There is no source .* cannot be reached"):
        check(path, "mysql+pymysql://nobody@127.0.0.1:1/none")


def test_command(path: Path, target_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    fill(path)
    assert status("check", "--source", str(path), "--target", target_url) == 1
    said = capsys.readouterr().out
    assert "ERROR parent, child: the target has no such table; create-tables makes it\n" in said
    assert f"\n  dfsync create-tables --source {path}\n" in said
    assert said.endswith("\n1 error: some rows or tables would fail.\n")
    assert max(len(line) for line in said.splitlines()[1:] if "--source" not in line) <= 80

    assert status("create-tables", "--source", str(path), "--target", target_url, "--print") == 0
    assert capsys.readouterr().out.startswith(
        "-- Plan: discovered plan\nCREATE TABLE `parent` (\n  `id` BIGINT NOT NULL AUTO_INCREMENT,\n  `code`"
    )
    assert status("create-tables", "--source", str(path), "--target", target_url) == 0
    assert capsys.readouterr().out.splitlines()[1:] == ["Plan: discovered plan", "Created parent", "Created child"]

    assert status("check", "--source", str(path), "--target", target_url, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is True
    assert answer["findings"] == []
    assert answer["source"] == str(path)
    assert answer["target"].startswith("dfsync_test_")
    assert [table["name"] for table in answer["plan"]["tables"]] == ["parent", "child"]
    assert answer["tables"][1] == {
        "name": "child", "table": "child", "total": 3, "inserted": 3, "matched": 0, "updated": 0, "failed": 0,
        "shared": 0,
    }  # fmt: skip


def test_the_maps_of_another_source_are_told_with_options_or_parameters(
    path: Path, target_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(path)
    other, out = tmp_path / "other.db", str(tmp_path / "out")
    shutil.copy(path, other)
    create_tables(path, target_url)
    sync(other, target_url, out=out)
    (finding,) = (f for f in check(path, target_url, out=out).findings if f.level == "error")
    assert finding.message.endswith("Choose another out= for each source.")
    ends = ("--source", str(path), "--target", target_url, "--out", out)
    assert status("check", *ends) == 1
    assert "Choose another --out for each source." in " ".join(capsys.readouterr().out.split())
    assert status("check", *ends, "--json") == 1
    (said,) = json.loads(capsys.readouterr().out)["findings"]
    assert said["message"].endswith("Choose another --out for each source.")
    assert "error" not in said


def status(*arguments: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["dfsync", *arguments])
        return int(main() or 0)
