"""Verifying: whatever was changed after a sync is found, and nothing else."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Engine

import dfsync
from dfsync.__main__ import main
from dfsync.model.errors import DfsyncError
from tests.support.git_history import execute, run_sql
from tests.support.tables.people import EQUAL, TARGET, change, delete, told


def check_columns() -> list[str]:
    return ["old_id", "new_id", "action", "kind", "column", "source_value", "target_value"]


class TestNothingChanged:
    def test_only_what_a_matched_row_kept_differs(self, check: Callable[..., dfsync.VerifyResult], out: Path) -> None:
        result = check()
        assert {t.name: t.equal for t in result.tables} == EQUAL
        people = result.differences["people"]
        assert set(people["old_id"]) == {9}
        assert set(people["action"]) == {"matched"}
        assert set(people["kind"]) == {"kept"}
        assert sorted(people["column"]) == ["born", "boss_id", "height", "name", "owes"]
        assert [t.kept for t in result.tables if t.name == "people"] == [1]
        assert result.ok
        assert not result.strict_ok
        assert sorted(path.name for path in (out / "verify").iterdir()) == ["people.parquet", "summary.json"]

    def test_update_leaves_nothing_that_differs(self, source: Path, synced: Engine, out: Path) -> None:
        dfsync.sync(source, synced.url, out=out, options=dfsync.SyncOptions(on_match="update"))
        result = dfsync.verify(source, synced.url, out=out)
        assert result.ok, result.summary.to_string()
        assert result.summary["equal"].to_dict() == result.summary["total"].to_dict()
        assert result.strict_ok
        assert [path.name for path in (out / "verify").iterdir()] == ["summary.json"]
        assert result.differences["people"].empty
        assert list(result.differences["people"].columns) == list(check_columns())

    @pytest.mark.parametrize("size", [1, 2, 3])
    def test_any_size_of_batch_says_the_same(self, check: Callable[..., dfsync.VerifyResult], size: int) -> None:
        whole, parts = check(), check(batch_size=size)
        assert parts.summary.drop(columns="seconds").equals(whole.summary.drop(columns="seconds"))
        pd.testing.assert_frame_equal(parts.differences["people"], whole.differences["people"])

    def test_some_tables_alone(self, check: Callable[..., dfsync.VerifyResult]) -> None:
        result = check(tables=("people_tags",))
        assert result.ok
        assert [t.name for t in result.tables] == ["people_tags"]


def test_a_parent_table_that_the_source_lacks(target: Engine, out: Path, tmp_path: Path) -> None:
    source = run_sql(
        tmp_path / "history.db",
        """CREATE TABLE repositories (id INTEGER PRIMARY KEY, slug TEXT NOT NULL);
        CREATE TABLE commits (id INTEGER PRIMARY KEY, hash TEXT NOT NULL, repository_id INTEGER NOT NULL);
        CREATE TABLE pr_approvals (id INTEGER PRIMARY KEY, pull_request_id INT, user_email TEXT NOT NULL);
        INSERT INTO pr_approvals VALUES (1, 1, 'a'), (2, 1, 'b')""",
    )
    execute(
        target,
        "CREATE TABLE repositories (id INT AUTO_INCREMENT PRIMARY KEY, slug VARCHAR(40))",
        "CREATE TABLE commits (id INT AUTO_INCREMENT PRIMARY KEY, hash VARCHAR(40), repository_id INT)",
        "CREATE TABLE pr_approvals (id INT AUTO_INCREMENT PRIMARY KEY, pull_request_id INT, user_email VARCHAR(9))",
    )
    assert dfsync.sync(source, target.url, out=out).summary["failed"]["pr_approvals"] == 2
    result = dfsync.verify(source, target.url, out=out)
    assert result.summary["rejected"]["pr_approvals"] == 2
    assert next(table for table in result.tables if table.name == "pull_requests").note == (
        "the source has no table pull_requests"
    )


def test_a_value_of_a_matched_row_that_does_not_fit(synced: Engine, source: Path, out: Path) -> None:
    run_sql(source, "UPDATE people SET name = printf('%51d', 0) WHERE id = 9")
    result = dfsync.verify(source, synced.url, out=out)
    assert "does not fit" in set(result.differences["people"]["kind"])
    assert result.summary.loc["people", "kept"] == 1


def test_of_two_rows_with_one_target_row_each_is_compared(synced: Engine, source: Path, out: Path) -> None:
    run_sql(source, "INSERT INTO people (id, email, name) VALUES (20, 'BOB@x.org', 'Bobby')")
    dfsync.sync(source, synced.url, out=out)
    result = dfsync.verify(source, synced.url, out=out)
    people = result.differences["people"]
    told = people[people["old_id"] == 20][["kind", "column", "source_value"]]
    assert told.iloc[0].tolist() == ["shared", "name", "Bobby"]
    # Dee was there before; Bob, of the lower id, is as the source is.
    assert list(result.summary.loc["people", ["equal", "kept", "shared"]]) == [3, 1, 1]


def test_nothing_but_shared_rows_differs_after_an_update(synced: Engine, source: Path, out: Path) -> None:
    run_sql(source, "INSERT INTO people (id, email, name) VALUES (20, 'BOB@x.org', 'Bobby')")
    dfsync.sync(source, synced.url, out=out, options=dfsync.SyncOptions(on_match="update"))
    result = dfsync.verify(source, synced.url, out=out)
    assert list(result.summary.loc["people", ["changed", "kept", "shared"]]) == [0, 0, 1]
    assert result.ok
    assert not result.strict_ok


def test_names_like_those_of_the_differences(target: Engine, tmp_path: Path, out: Path) -> None:
    source = run_sql(
        tmp_path / "odd.db",
        """CREATE TABLE t (id INTEGER PRIMARY KEY, new_id INT, old_id INT, "action" TEXT, kind TEXT,
            first_id INT NOT NULL UNIQUE);
        INSERT INTO t VALUES (1, 5, 6, 'inserted', 'changed', 7)""",
    )
    execute(
        target,
        """CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, new_id INT, old_id INT, `action` TEXT, kind TEXT,
        first_id INT NOT NULL UNIQUE)""",
        "INSERT INTO t VALUES (1, 1, 1, 'x', 'x', 1)",
    )
    assert dfsync.sync(source, target.url, out=out).ok
    assert dfsync.verify(source, target.url, out=out).ok
    execute(target, "UPDATE t SET new_id = 4, `action` = 'matched' WHERE first_id = 7")
    assert told(dfsync.verify(source, target.url, out=out), "t") == [
        (1, "changed", "new_id", "5", "4"),
        (1, "changed", "action", "inserted", "matched"),
    ]


class TestMappings:
    def test_none_at_all(self, source: Path, target: Engine, out: Path) -> None:
        execute(target, *TARGET)
        with pytest.raises(DfsyncError, match=r"out has no mapping of \w+: it is made by a sync"):
            dfsync.verify(source, target.url, out=out)
        assert not out.exists()

    def test_none_of_a_parent(self, source: Path, synced: Engine, out: Path) -> None:
        (out / "mappings" / "people.parquet").unlink()
        with pytest.raises(DfsyncError, match="no mapping of people"):
            dfsync.verify(source, synced.url, out=out, options=dfsync.SyncOptions(tables=("notes",)))

    def test_a_broken_one(self, source: Path, synced: Engine, out: Path) -> None:
        (out / "mappings" / "tags.parquet").write_bytes(b"PAR1 nonsense")
        with pytest.raises(DfsyncError, match=r"tags\.parquet cannot be read"):
            dfsync.verify(source, synced.url, out=out)

    def test_those_of_another_target(self, source: Path, synced: Engine, out: Path) -> None:
        change(synced, "people", "boss_id = NULL", "TRUE")
        for table in reversed(EQUAL):
            delete(synced, table, "TRUE")
        with pytest.raises(DfsyncError, match="belong to another target, or its rows are gone"):
            dfsync.verify(source, synced.url, out=out)


class TestCommandLine:
    @pytest.fixture
    def run(self, source: Path, synced: Engine, out: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
        url = synced.url.render_as_string(hide_password=False)

        def run(*more: str) -> tuple[int, str]:
            status = main(["verify", "--source", str(source), "--target", url, "--out", str(out), *more])
            return status, capsys.readouterr().out

        return run

    def test_all_is_well(self, run: Callable[..., Any]) -> None:
        status, printed = run("--tables", "notes,tags")
        assert status == 0
        assert "Notes: 4 rows: 4 equal\n" in printed
        assert printed.endswith("\nOVERALL: 6 rows of 2 tables verified, nothing differs\n")

    def test_quiet_leaves_the_overall_line_of_differences(self, run: Callable[..., Any], synced: Engine) -> None:
        assert run("--tables", "notes,tags", "-q") == (0, "")
        assert run("-q") == (0, "")
        kept = "OVERALL: 16 rows of 5 tables verified, nothing differs but 1 row, as the plan asks\n"
        assert run("-q", "--strict") == (1, kept)
        execute(synced, "DELETE FROM notes LIMIT 1")
        changed = "OVERALL: 16 rows of 5 tables verified, 1 differs, and 1 more as the plan asks\n"
        assert run("-q") == (1, changed)

    def test_strict_fails_for_what_the_plan_asks_too(self, run: Callable[..., Any]) -> None:
        assert run("--tables", "people")[0] == 0
        status, printed = run("--tables", "people", "--strict")
        assert status == 1
        assert "People: 4 rows: 3 equal, 1 kept\n" in printed
        assert printed.endswith(" rows of 1 table verified, nothing differs but 1 row, as the plan asks\n")
        assert run("--tables", "notes,tags", "--strict")[0] == 0

    def test_one_that_differs(self, run: Callable[..., Any], synced: Engine) -> None:
        execute(synced, "DELETE FROM notes LIMIT 1")
        assert run("--tables", "notes")[1].endswith(" rows of 1 table verified, 1 differs\n")

    def test_tables_without_rows_share_a_line(self, run: Callable[..., Any], source: Path, synced: Engine) -> None:
        for name in ("drafts", "letters"):
            run_sql(source, f"CREATE TABLE {name} (id INTEGER PRIMARY KEY)")
            execute(synced, f"CREATE TABLE {name} (id INT AUTO_INCREMENT PRIMARY KEY)")
        dfsync.sync(source, synced.url, out=source.parent / "out")
        _, printed = run()
        assert "\n2 tables without rows\n" in printed
        assert "Letters:" not in printed
        _, printed = run("-v")
        assert "\nLetters: 0 rows: nothing to verify\n" in printed
        assert "without rows" not in printed

    def test_differences(self, run: Callable[..., Any], synced: Engine, out: Path) -> None:
        execute(synced, "UPDATE notes SET body = CONCAT('\x1b[31m', body) WHERE body LIKE 'one%'")
        status, printed = run()
        assert status == 1
        assert "Notes: 4 rows: 2 equal, 2 changed" in printed
        assert "\x1b" not in printed
        assert "'\\x1b[31mone'" in printed
        assert "2 changed: not as a sync wrote them" in printed
        assert "1 kept: in the target before the last sync, and not as the source is now; --on-match update" in printed
        assert printed.endswith("\nOVERALL: 16 rows of 5 tables verified, 2 differ, and 1 more as the plan asks\n")
        assert max(map(len, printed.splitlines()[1:])) <= 130
        assert not [line for line in printed.splitlines() if line.endswith(" ")]

    def test_rejected_rows_are_told_at_the_end(
        self, run: Callable[..., Any], source: Path, synced: Engine, out: Path
    ) -> None:
        run_sql(source, "INSERT INTO notes (person_id, body) VALUES (77, 'of nobody')")
        dfsync.sync(source, synced.url, out=out)
        status, printed = run("--tables", "notes")
        assert status == 0
        assert printed.endswith("\nOVERALL: 5 rows of 1 table verified, nothing differs, 1 rejected by the sync\n")

    def test_many_differences_are_in_the_file(
        self, run: Callable[..., Any], synced: Engine, source: Path, out: Path
    ) -> None:
        run_sql(source, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 30)"
                        " INSERT INTO tags (word) SELECT 'tag ' || i FROM n")  # fmt: skip
        dfsync.sync(source, synced.url, out=out)
        execute(synced, "UPDATE tags SET word = CONCAT(word, '!') WHERE word LIKE 'tag %'")
        status, printed = run("--tables", "tags")
        assert status == 1
        assert f"... and 20 more, all in {out}/verify/tags.parquet" in printed
        assert len(pd.read_parquet(out / "verify" / "tags.parquet")) == 30
        execute(synced, "UPDATE tags SET word = REPLACE(word, '!', '')")
        assert run("--tables", "tags")[0] == 0
        assert not (out / "verify" / "tags.parquet").exists()

    def test_json(self, run: Callable[..., Any], synced: Engine) -> None:
        execute(synced, "DELETE FROM notes LIMIT 1")
        status, printed = run("--json")
        said = json.loads(printed)
        assert status == 1
        assert said["ok"] is False
        assert said["strict_ok"] is False
        assert said["source"].endswith(".db")
        assert said["target"].startswith("dfsync_test_")
        assert said["plan"]["source"] == "discovered plan"
        assert said["overall"] == {
            "total": 16, "equal": 14, "changed": 0, "doubled": 0, "deleted": 1, "missing": 0,
            "kept": 1, "shared": 0, "other_values": 0, "rekeyed": 0, "rejected": 0, "unfit": 0,
        }  # fmt: skip

    def test_files_are_private(self, run: Callable[..., Any], out: Path) -> None:
        run()
        assert os.stat(out / "verify").st_mode & 0o077 == 0
        assert os.stat(out / "verify" / "people.parquet").st_mode & 0o077 == 0

    def test_no_mappings_is_status_2(self, run: Callable[..., Any], out: Path) -> None:
        (out / "mappings" / "people.parquet").unlink()
        assert run()[0] == 2
