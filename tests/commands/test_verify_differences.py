"""The differences that verifying finds: changed cells, rows that are not there, foreign keys and link tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

import dfsync
from tests.support.git_history import execute, run_sql
from tests.support.tables.people import change, delete, insert, new_ids, told


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
            "CREATE TABLE p (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
            "INSERT INTO p VALUES (1, 'a'), (2, 'b');"
            "CREATE TABLE c (id INTEGER PRIMARY KEY, nr TEXT NOT NULL UNIQUE, p_id INTEGER REFERENCES p);"
            "INSERT INTO c VALUES (1, 'x', 1), (2, 'y', 2), (3, 'z', NULL)",
        )
        execute(
            target,
            f"CREATE TABLE p (id {id_type} AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9) UNIQUE) AUTO_INCREMENT = 50",
            f"CREATE TABLE c (id INT AUTO_INCREMENT PRIMARY KEY, nr VARCHAR(9) NOT NULL UNIQUE, p_id {type_})",
        )
        dfsync.sync(source, target.url, out=out)
        assert dfsync.verify(source, target.url, out=out).ok
        execute(target, "UPDATE c SET p_id = 50 WHERE nr = 'y'")
        assert told(dfsync.verify(source, target.url, out=out), "c") == [(2, "changed", "p_id", "51", "50")]


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
