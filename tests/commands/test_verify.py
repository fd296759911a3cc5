"""Verifying: whatever was changed after a sync is found, and nothing else."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

import dfsync
from dfsync.__main__ import main
from dfsync.model.errors import DfsyncError
from tests.support.git_history import execute, run_sql

SOURCE = """
    CREATE TABLE people (id INTEGER PRIMARY KEY, email TEXT UNIQUE, name TEXT, born DATE, height REAL,
        owes NUMERIC, photo BLOB, boss_id INTEGER REFERENCES people);
    CREATE TABLE notes (nr INTEGER PRIMARY KEY, person_id INTEGER NOT NULL REFERENCES people, body TEXT);
    CREATE TABLE tags (id INTEGER PRIMARY KEY, word TEXT NOT NULL UNIQUE);
    CREATE TABLE people_tags (person_id INTEGER REFERENCES people, tag_id INTEGER REFERENCES tags, since INTEGER,
        PRIMARY KEY (person_id, tag_id));
    CREATE TABLE log (line TEXT, level INTEGER);
    INSERT INTO people VALUES
        (1, 'ann@x.org', 'Ann', '1980-01-31', 1.7, 10.25, x'00ff', NULL),
        (2, 'bob@x.org', 'Bob', NULL, NULL, NULL, NULL, 1),
        (5, 'cyd@x.org', 'Çyd', '1999-12-31', -0.1, 0, x'', 2),
        (9, 'dee@x.org', 'Dee', '2001-02-03', 1e300, -1.5, NULL, 9);
    INSERT INTO notes VALUES (1, 1, 'one'), (2, 1, 'one'), (3, 9, NULL), (4, 5, 'Größe 🙂');
    INSERT INTO tags VALUES (1, 'red'), (2, 'Blue');
    INSERT INTO people_tags VALUES (1, 1, 2001), (1, 2, NULL), (9, 2, 2003);
    INSERT INTO log VALUES ('up', 1), ('up', 1), ('down', NULL)"""
TARGET = (
    """CREATE TABLE people (id INT AUTO_INCREMENT PRIMARY KEY, email VARCHAR(50) UNIQUE, name VARCHAR(50), born DATE,
        height DOUBLE, owes DECIMAL(8, 2), photo BLOB, boss_id INT, FOREIGN KEY (boss_id) REFERENCES people (id))""",
    """CREATE TABLE notes (nr INT AUTO_INCREMENT PRIMARY KEY, person_id INT NOT NULL, body TEXT,
        FOREIGN KEY (person_id) REFERENCES people (id))""",
    "CREATE TABLE tags (id INT AUTO_INCREMENT PRIMARY KEY, word VARCHAR(50) COLLATE utf8mb4_bin NOT NULL UNIQUE)",
    """CREATE TABLE people_tags (person_id INT, tag_id INT, since INT, PRIMARY KEY (person_id, tag_id),
        FOREIGN KEY (person_id) REFERENCES people (id), FOREIGN KEY (tag_id) REFERENCES tags (id))""",
    "CREATE TABLE log (line TEXT, level INT)",
    # The ids of the source are taken here by other things.
    "INSERT INTO people (email, name) VALUES ('zoe@x.org', 'Zoe'), ('DEE@x.org', 'Someone else')",
    "INSERT INTO tags (word) VALUES ('green'), ('Red'), ('Blue')",
)
EQUAL = {"people": 3, "notes": 4, "tags": 2, "people_tags": 3, "log": 3}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return run_sql(tmp_path / "source.db", SOURCE)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def synced(source: Path, target: Engine, out: Path) -> Engine:
    """A target that the source was synced into; Dee was there before, as someone else."""
    execute(target, *TARGET)
    result = dfsync.sync(source, target.url, out=out)
    assert result.ok, result.summary.to_string()
    assert result.summary["matched"].to_dict() == {"people": 1, "notes": 0, "tags": 1, "people_tags": 0, "log": 0}
    return target


@pytest.fixture
def check(source: Path, synced: Engine, out: Path) -> Callable[..., dfsync.VerifyResult]:
    return lambda **options: dfsync.verify(source, synced.url, out=out, options=dfsync.SyncOptions(**options))


def told(result: dfsync.VerifyResult, name: str) -> list[tuple[Any, ...]]:
    """The differences of a table, but for what Dee keeps."""
    frame = result.differences[name].astype(object)
    frame = frame[frame["action"] != "matched"]
    plain = frame.where(frame.notna(), None)[["old_id", "kind", "column", "source_value", "target_value"]]
    return list(plain.itertuples(index=False, name=None))


def new_ids(result_folder: Path, name: str) -> dict[int, int]:
    frame = dfsync.load_mappings(result_folder)[name]
    return dict(zip(frame["old_id"], frame["new_id"], strict=True))


def change(target: Engine, table: str, values: str, where: str) -> None:
    execute(target, f"UPDATE {table} SET {values} WHERE {where}")  # noqa: S608


def delete(target: Engine, table: str, where: str) -> None:
    execute(target, f"DELETE FROM {table} WHERE {where}")  # noqa: S608


def insert(source: Path, table: str, rows: str) -> None:
    run_sql(source, f"INSERT INTO {table} VALUES {rows}")  # noqa: S608


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
        assert not result.ok
        assert [path.name for path in (out / "verify").iterdir()] == ["people.parquet"]

    def test_update_leaves_nothing_that_differs(self, source: Path, synced: Engine, out: Path) -> None:
        dfsync.sync(source, synced.url, out=out, options=dfsync.SyncOptions(on_match="update"))
        result = dfsync.verify(source, synced.url, out=out)
        assert result.ok, result.summary.to_string()
        assert result.summary["equal"].to_dict() == result.summary["total"].to_dict()
        assert not list((out / "verify").glob("*")) if (out / "verify").exists() else True
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


def check_columns() -> list[str]:
    return ["old_id", "new_id", "action", "kind", "column", "source_value", "target_value"]


class TestAChangedCell:
    @pytest.mark.parametrize(
        ("column", "value", "before", "after"),
        [
            ("name", "'Anne'", "Ann", "Anne"),
            ("name", "NULL", "Ann", None),
            ("name", "''", "Ann", ""),
            ("born", "'1980-02-01'", "1980-01-31", "1980-02-01"),
            ("height", "1.7000000000000002", "1.7", "1.7000000000000002"),
            ("owes", "10.26", "10.25", "10.26"),
            ("photo", "x'00fe'", "x'00ff'", "x'00fe'"),
            ("photo", "NULL", "x'00ff'", None),
            ("email", "'other@x.org'", "ann@x.org", "other@x.org"),
        ],
    )
    def test_is_found(
        self,
        check: Callable[..., dfsync.VerifyResult],
        synced: Engine,
        column: str,
        value: str,
        before: str,
        after: str | None,
    ) -> None:
        change(synced, "people", f"{column} = {value}", "email = 'ann@x.org'")
        assert told(check(), "people") == [(1, "changed", column, before, after)]

    def test_from_null(self, check: Callable[..., dfsync.VerifyResult], synced: Engine) -> None:
        execute(synced, "UPDATE people SET owes = 0, photo = '' WHERE email = 'bob@x.org'")
        assert told(check(), "people") == [
            (2, "changed", "owes", None, "0.00"),
            (2, "changed", "photo", None, "x''"),
        ]

    def test_without_a_natural_key(self, check: Callable[..., dfsync.VerifyResult], synced: Engine, out: Path) -> None:
        change(synced, "notes", "body = 'two'", f"nr = {new_ids(out, 'notes')[2]}")
        assert told(check(), "notes") == [(2, "changed", "body", "one", "two")]

    def test_what_the_collation_calls_equal_is_none(
        self, check: Callable[..., dfsync.VerifyResult], synced: Engine, out: Path
    ) -> None:
        execute(synced, "UPDATE people SET name = UPPER(name), email = UPPER(email)")
        change(synced, "notes", "body = 'GRÖSSE 🙂'", f"nr = {new_ids(out, 'notes')[4]}")
        result = check()
        assert told(result, "people") == []
        # Not every collation takes ß for SS.
        (same,) = synced.connect().execute(text("SELECT _utf8mb4'ß' = _utf8mb4'SS'")).one()
        assert same or told(result, "notes") == [(4, "changed", "body", "Größe 🙂", "GRÖSSE 🙂")]

    def test_what_a_binary_collation_calls_different_is_one(
        self, check: Callable[..., dfsync.VerifyResult], synced: Engine
    ) -> None:
        execute(synced, "UPDATE tags SET word = 'RED' WHERE word = 'red' COLLATE utf8mb4_bin")
        assert told(check(), "tags") == [(1, "changed", "word", "red", "RED")]

    def test_in_a_long_text(self, synced: Engine, source: Path, out: Path) -> None:
        body = "Größe " * 2_000
        insert(source, "notes", f"(50, 1, '{body}a'), (51, 1, '{body}a'), (52, 1, '{body}a')")
        dfsync.sync(source, synced.url, out=out)
        ids = new_ids(out, "notes")
        change(synced, "notes", f"body = '{body}b'", f"nr = {ids[50]}")
        change(synced, "notes", f"body = '{body}A'", f"nr = {ids[51]}")
        result = dfsync.verify(source, synced.url, out=out)
        assert told(result, "notes") == [(50, "changed", "body", f"{body}a", f"{body}b")]


class TestRowsThatAreNotThere:
    def test_deleted(self, check: Callable[..., dfsync.VerifyResult], synced: Engine, out: Path) -> None:
        delete(synced, "notes", f"nr = {new_ids(out, 'notes')[3]}")
        result = check()
        assert told(result, "notes") == [(3, "deleted", None, None, None)]
        assert result.summary.loc["notes", "deleted"] == 1

    def test_never_synced(self, check: Callable[..., dfsync.VerifyResult], source: Path) -> None:
        run_sql(source, "INSERT INTO notes VALUES (0, 1, 'new'), (99, 1, 'newer'); INSERT INTO log VALUES ('up', 1)")
        result = check()
        assert told(result, "notes") == [(0, "missing", None, None, None), (99, "missing", None, None, None)]
        assert result.summary.loc["log", "missing"] == 1

    def test_rejected_is_told_apart_and_no_difference(self, synced: Engine, source: Path, out: Path) -> None:
        run_sql(source, "INSERT INTO notes VALUES (7, 77, 'no such person'); INSERT INTO people_tags VALUES (77, 1, 1)")
        dfsync.sync(source, synced.url, out=out)
        result = dfsync.verify(source, synced.url, out=out, options=dfsync.SyncOptions(tables=("notes", "people_tags")))
        assert result.ok
        assert result.summary["rejected"].to_dict() == {"notes": 1, "people_tags": 1}
        assert result.summary["equal"].to_dict() == {"notes": 4, "people_tags": 3}

    def test_equal_rows_are_counted(self, check: Callable[..., dfsync.VerifyResult], synced: Engine) -> None:
        execute(synced, "DELETE FROM log WHERE line = 'up' LIMIT 1")
        result = check()
        assert told(result, "log") == [(2, "missing", None, None, None)]
        assert result.summary.loc["log", "equal"] == 2


class TestForeignKeys:
    def test_pointed_elsewhere(self, check: Callable[..., dfsync.VerifyResult], synced: Engine, out: Path) -> None:
        people, notes = new_ids(out, "people"), new_ids(out, "notes")
        change(synced, "notes", f"person_id = {people[2]}", f"nr = {notes[4]}")
        assert told(check(), "notes") == [(4, "changed", "person_id", str(people[5]), str(people[2]))]

    def test_of_a_table_that_refers_to_itself(
        self, check: Callable[..., dfsync.VerifyResult], synced: Engine, out: Path
    ) -> None:
        people = new_ids(out, "people")
        change(synced, "people", "boss_id = NULL", f"id = {people[5]}")
        assert told(check(), "people") == [(5, "changed", "boss_id", str(people[2]), None)]

    def test_to_a_row_without_a_target_row(self, check: Callable[..., dfsync.VerifyResult], source: Path) -> None:
        run_sql(source, "UPDATE notes SET person_id = 77 WHERE nr = 1")
        ((old_id, kind, column, value, _),) = told(check(), "notes")
        assert (old_id, kind, column, value) == (1, "missing parent", "person_id", "77")

    @pytest.mark.parametrize(("id_type", "type_"), [("BIGINT UNSIGNED", "BIGINT"), ("BIGINT", "BIGINT UNSIGNED")])
    def test_of_another_type_than_the_ids_are(
        self, target: Engine, out: Path, tmp_path: Path, id_type: str, type_: str
    ) -> None:
        source = run_sql(
            tmp_path / "s.db",
            "CREATE TABLE p (id INTEGER PRIMARY KEY, name TEXT UNIQUE); INSERT INTO p VALUES (1, 'a'), (2, 'b');"
            "CREATE TABLE c (id INTEGER PRIMARY KEY, nr TEXT UNIQUE, p_id INTEGER REFERENCES p);"
            "INSERT INTO c VALUES (1, 'x', 1), (2, 'y', 2), (3, 'z', NULL)",
        )
        execute(
            target,
            f"CREATE TABLE p (id {id_type} AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9) UNIQUE) AUTO_INCREMENT = 50",
            f"CREATE TABLE c (id INT AUTO_INCREMENT PRIMARY KEY, nr VARCHAR(9) UNIQUE, p_id {type_})",
        )
        dfsync.sync(source, target.url, out=out)
        assert dfsync.verify(source, target.url, out=out).ok
        execute(target, "UPDATE c SET p_id = 50 WHERE nr = 'y'")
        assert told(dfsync.verify(source, target.url, out=out), "c") == [(2, "changed", "p_id", "51", "50")]


def test_a_parent_table_that_the_source_lacks(target: Engine, out: Path, tmp_path: Path) -> None:
    source = run_sql(
        tmp_path / "history.db",
        """CREATE TABLE commits (id INTEGER PRIMARY KEY, hash TEXT NOT NULL, repository_id INTEGER NOT NULL);
        INSERT INTO commits VALUES (1, 'a', 1), (2, 'b', 1)""",
    )
    execute(target, "CREATE TABLE commits (id INT AUTO_INCREMENT PRIMARY KEY, hash VARCHAR(40), repository_id INT)")
    assert dfsync.sync(source, target.url, out=out).summary["failed"]["commits"] == 2
    result = dfsync.verify(source, target.url, out=out)
    assert result.summary["rejected"]["commits"] == 2
    assert result.tables[0].note == "the source has no table repositories"


class TestLinkTables:
    def test_a_row_that_is_gone(self, check: Callable[..., dfsync.VerifyResult], synced: Engine) -> None:
        execute(synced, "DELETE FROM people_tags WHERE since = 2003")
        ((_, kind, *_),) = told(check(), "people_tags")
        assert kind == "missing"

    def test_a_row_that_points_elsewhere(self, check: Callable[..., dfsync.VerifyResult], synced: Engine) -> None:
        execute(synced, "UPDATE people_tags SET tag_id = 1 WHERE since = 2003")
        assert [kind for _, kind, *_ in told(check(), "people_tags")] == ["missing"]

    def test_another_column(self, check: Callable[..., dfsync.VerifyResult], synced: Engine) -> None:
        execute(synced, "UPDATE people_tags SET since = COALESCE(since, 2000) + 1 WHERE since <> 2003 OR since IS NULL")
        assert [row[1:] for row in told(check(), "people_tags")] == [
            ("changed", "since", "2001", "2002"),
            ("changed", "since", None, "2001"),
        ]


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
    assert not result.ok


def test_names_like_those_of_the_differences(target: Engine, tmp_path: Path, out: Path) -> None:
    source = run_sql(
        tmp_path / "odd.db",
        """CREATE TABLE t (id INTEGER PRIMARY KEY, new_id INT, old_id INT, "action" TEXT, kind TEXT,
            first_id INT UNIQUE);
        INSERT INTO t VALUES (1, 5, 6, 'inserted', 'changed', 7)""",
    )
    execute(
        target,
        """CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, new_id INT, old_id INT, `action` TEXT, kind TEXT,
        first_id INT UNIQUE)""",
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

    def test_quiet_leaves_what_differs_and_the_overall_line(self, run: Callable[..., Any]) -> None:
        assert run("--tables", "notes,tags", "-q") == (0, "OVERALL: 6 rows of 2 tables verified, nothing differs\n")
        status, printed = run("-q")
        assert status == 1
        assert printed.startswith("People: 4 rows: 3 equal, 1 kept\n")
        assert "Notes" not in printed

    def test_one_that_differs(self, run: Callable[..., Any]) -> None:
        assert run("--tables", "people")[1].endswith(" rows of 1 table verified, 1 differs\n")

    def test_differences(self, run: Callable[..., Any], synced: Engine, out: Path) -> None:
        execute(synced, "UPDATE notes SET body = CONCAT('\x1b[31m', body) WHERE body LIKE 'one%'")
        status, printed = run()
        assert status == 1
        assert "Notes: 4 rows: 2 equal, 2 changed" in printed
        assert "\x1b" not in printed
        assert "'\\x1b[31mone'" in printed
        assert "2 changed: not as a sync wrote them" in printed
        assert "1 kept: in the target before the last sync, and not as the source is now; --on-match update" in printed
        assert printed.endswith("\nOVERALL: 16 rows of 5 tables verified, 3 differ\n")
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
        assert said["source"].endswith(".db")
        assert said["target"].startswith("dfsync_test_")
        assert said["plan"]["source"] == "discovered plan"
        assert said["overall"] == {
            "total": 16, "equal": 14, "changed": 0, "kept": 1, "shared": 0, "deleted": 1, "missing": 0, "rejected": 0,
        }  # fmt: skip

    def test_files_are_private(self, run: Callable[..., Any], out: Path) -> None:
        run()
        assert os.stat(out / "verify").st_mode & 0o077 == 0
        assert os.stat(out / "verify" / "people.parquet").st_mode & 0o077 == 0

    def test_no_mappings_is_status_2(self, run: Callable[..., Any], out: Path) -> None:
        (out / "mappings" / "people.parquet").unlink()
        assert run()[0] == 2


CELLS = st.one_of(st.none(), st.text(alphabet="abAB éÉß🙂\\'\t\n", max_size=4), st.integers(-3, 3).map(str))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=12), data=st.data())
def test_exactly_the_changed_cells_are_found(
    target: Engine, tmp_path: Path, rows: list[tuple[str | None, str | None]], data: st.DataObject
) -> None:
    source, out = tmp_path / "random.db", tmp_path / "random"
    source.unlink(missing_ok=True)
    run_sql(source, "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT)")
    quoted = [f"({_sql(a)}, {_sql(b)})" for a, b in rows]
    insert(source, "t (a, b)", ", ".join(quoted))
    execute(
        target,
        "DROP TABLE IF EXISTS t",
        "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, a TEXT COLLATE utf8mb4_bin, b TEXT)",
        "INSERT INTO t (a) VALUES ('there'), ('before')",
    )
    dfsync.sync(source, target.url, out=out)
    ids = new_ids(out, "t")
    changed = data.draw(st.dictionaries(st.sampled_from(sorted(ids)), st.tuples(CELLS, CELLS), max_size=3))
    with target.begin() as connection:
        expected = []
        for old_id, (a, b) in sorted(changed.items()):
            parameters = {"a": a, "b": b, "id": ids[old_id]}
            asked = connection.execute(text("SELECT NOT a <=> :a, NOT b <=> :b FROM t WHERE id = :id"), parameters)
            expected += [(old_id, column) for column, other in zip("ab", asked.one(), strict=True) if other]
            connection.execute(text("UPDATE t SET a = :a, b = :b WHERE id = :id"), parameters)
    found = dfsync.verify(source, target.url, out=out).differences["t"]
    assert list(zip(found["old_id"], found["column"], strict=True)) == expected


def _sql(value: str | None) -> str:
    return "NULL" if value is None else "'" + value.replace("'", "''") + "'"
