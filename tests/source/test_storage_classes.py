"""A value of any storage class, in any row of any column, is read as it is."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dfsync.model.partition import Partition
from dfsync.source.sqlite import SqliteSource
from tests.support.sqlite_files import make, read, values

EXAMPLES = 10_000 if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 40


def exactly(value: Any) -> tuple[type, Any]:
    return type(value), value


ANY = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-5, 5),
    st.floats(allow_nan=False),
    st.text(st.characters(codec="utf-8"), max_size=5),
    st.sampled_from(["1", "1.0", "", "\x00", "a\x00b", "NULL", "\ufeff"]),
    st.binary(max_size=5),
)


@pytest.mark.parametrize("declared", ["", "TEXT", "INTEGER", "REAL", "NUMERIC", "BLOB", "VARCHAR(3)", "BOOLEAN"])
def test_any_value_in_any_row_of_any_column_comes_as_it_is(tmp_path: Path, declared: str) -> None:
    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(ANY, min_size=1, max_size=9), st.integers(1, 4))
    def holds(given_: list[Any], size: int) -> None:
        path = tmp_path / "any.db"
        path.unlink(missing_ok=True)
        make(path, f"CREATE TABLE t (id INTEGER PRIMARY KEY, v {declared})", rows=list(enumerate(given_, 1)))
        with closing(sqlite3.connect(path)) as connection:
            stored = dict(connection.execute("SELECT id, v FROM t").fetchall())
        found = values(read(path, ["v"], size=size))
        assert {i: exactly(v) for i, v in found.items()} == {i: exactly(v) for i, v in stored.items()}

    holds()


def test_text_that_is_not_utf8_comes_as_the_bytes_that_it_is(path: Path) -> None:
    make(path, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)", "INSERT INTO t VALUES (1, CAST(x'ff41' AS TEXT))")
    make(path, "INSERT INTO t VALUES (2, 'fine'), (3, NULL), (4, x'fe')")
    assert values(read(path, ["v"])) == {1: b"\xffA", 2: "fine", 3: None, 4: b"\xfe"}


def test_text_that_is_utf8_beside_bytes_that_read_as_text_stays_what_it_is(path: Path) -> None:
    make(path, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)", rows=[(1, "ABC"), (2, b"ABC")])
    assert values(read(path, ["v"])) == {1: "ABC", 2: b"ABC"}


@pytest.mark.parametrize("number", [0, -7, 2**63 - 1, 1.5, -2.5e-300, 1e22, 123456789.25, float("inf"), float("-inf")])
@pytest.mark.parametrize("texts", [["2024-02-31 10:00:00"], ["", "a"]])
def test_a_number_among_texts_comes_as_the_number_that_it_is(path: Path, number: float, texts: list[str]) -> None:
    given_ = [*texts, number, *texts]
    make(path, "CREATE TABLE t (id INTEGER PRIMARY KEY, v DATETIME)", rows=list(enumerate(given_)))
    assert [exactly(v) for v in values(read(path, ["v"])).values()] == [exactly(v) for v in given_]


def test_texts_that_no_number_is_written_as_are_read_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(1, "2024-02-31 10:00:00"), (2, ""), (3, None), (4, "12:30")]
    make(path, "CREATE TABLE t (id INTEGER PRIMARY KEY, v DATETIME)", rows=rows)
    asked: list[Any] = []
    with SqliteSource(path) as source:
        run = source.run

        def listen(statement: str, parameters: list[Any], batch_rows: int) -> Any:
            asked.append(statement)
            return run(statement, parameters, batch_rows)

        monkeypatch.setattr(source, "run", listen)
        assert len(list(source.batches(Partition(path, "t", "id", ("v",)), 10))) == 1
    assert len(asked) == 1, "the rows: there are fewer than were asked for"


def test_a_column_of_nothing_but_null_and_then_text_loses_nothing(path: Path) -> None:
    rows = [(i, None) for i in range(1, 51)] + [(51, "late"), (52, 2**62)]
    make(path, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", rows=rows)
    batches = read(path, ["v"], size=50)
    assert [len(batch) for batch in batches] == [50, 2]
    assert values(batches)[51] == "late"
    assert values(batches)[52] == 2**62


def test_mixed_columns_stay_beside_their_own_rows(path: Path) -> None:
    rows = [(i * 10, i if i % 2 else str(i), f"n{i}", i / 2) for i in range(1, 100)]
    make(path, "CREATE TABLE t (id INTEGER PRIMARY KEY, v, w TEXT, x REAL)", rows=rows)
    batches = read(path, ["x", "v", "w"], size=7)
    assert list(batches[0].columns) == ["x", "v", "w"]
    assert values(batches) == {i: v for i, v, _, _ in rows}
    assert values(batches, "w") == {i: w for i, _, w, _ in rows}
    assert values(batches, "x") == {i: x for i, _, _, x in rows}
