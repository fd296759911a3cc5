"""The source's schema, and its rows in batches by ascending id."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dfsync.model import frames
from dfsync.model.errors import DfsyncError
from dfsync.model.partition import Partition
from dfsync.source.reflection import affinity
from dfsync.source.sqlite import SqliteSource
from tests.support.sqlite_files import make, read, values


def test_a_text_file_in_utf16_is_read_as_the_text_that_it_holds(path: Path) -> None:
    make(path, "PRAGMA encoding = 'UTF-16'", "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", rows=[(1, "é😀"), (2, 5)])
    assert values(read(path, ["v"])) == {1: "é😀", 2: 5}


def test_batches_go_by_ascending_id_and_miss_none(path: Path) -> None:
    ids = [-(2**63), -5, 0, 1, 7, 2**53 + 1, 2**63 - 1]
    make(path, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", rows=[(i, i) for i in reversed(ids)])
    for size in (1, 2, 3, 100):
        batches = read(path, ["v"], size=size)
        assert [i for batch in batches for i in batch.index] == ids
        assert all(batch.index.dtype == np.int64 and batch.index.name == "old_id" for batch in batches)
        assert max(map(len, batches)) <= size


@pytest.mark.parametrize("wanted", [[2], [1, 2, 3], [1, 9], [1, 3, 5, 7, 9], [4, 5, 6], [*range(1, 11)], []])
def test_only_the_rows_that_are_asked_for_are_read(path: Path, wanted: list[int]) -> None:
    make(path, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", rows=[(i, str(i)) for i in range(1, 11)])
    found = values(read(path, ["v"], size=2, ids=np.array(wanted, dtype=np.int64)))
    assert found == {i: str(i) for i in wanted}


def test_no_columns_are_rows_of_ids_alone(path: Path) -> None:
    make(path, "CREATE TABLE t (id INTEGER PRIMARY KEY)", rows=[(3,), (4,)])
    (batch,) = read(path, [])
    assert batch.index.tolist() == [3, 4]
    assert batch.columns.empty


def test_an_empty_table_has_no_batches(path: Path) -> None:
    make(path, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)")
    assert read(path, ["v"]) == []


def test_an_id_that_is_no_integer_is_refused_with_the_tables_name(path: Path) -> None:
    make(path, "CREATE TABLE t (id TEXT PRIMARY KEY, v)", rows=[("x", 1)])
    with pytest.raises(DfsyncError, match="The id of t holds values that are no integers"):
        read(path, ["v"])


@pytest.mark.parametrize("columns", ["id TEXT PRIMARY KEY, v", "rowid TEXT, v, PRIMARY KEY (rowid)", "oid, rowid, v"])
def test_a_table_without_an_integer_key_is_named_by_its_rowid(path: Path, columns: str) -> None:
    make(path, f"CREATE TABLE t ({columns})")
    width = columns.count(",") + 1 - columns.count("PRIMARY KEY (")
    make(path, rows=[("b",) * width, ("a",) * width])
    assert values(read(path, ["v"], row_id=None)) == {1: "b", 2: "a"}


def test_a_table_without_rowid_is_named_by_its_place_in_the_keys_order(path: Path) -> None:
    make(path, "CREATE TABLE t (k TEXT, n, v, PRIMARY KEY (n, k)) WITHOUT ROWID")
    make(path, rows=[("b", 1, "1b"), ("a", 2, "2a"), ("a", 1, "1a"), ("c", 1, 5)])
    batches = read(path, ["v", "k"], row_id=None, size=2)
    assert values(batches) == {1: "1a", 2: "1b", 3: 5, 4: "2a"}
    assert values(read(path, ["v"], row_id=None, ids=np.array([2, 4]))) == {2: "1b", 4: "2a"}


@pytest.mark.parametrize(("table", "row_id"), [("t", "id"), ("t", None), ("w", None)])
@pytest.mark.parametrize("listed", [False, True])
def test_partitions_that_meet_read_every_row_once(path: Path, table: str, row_id: str | None, listed: bool) -> None:
    make(
        path,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v)",
        "CREATE TABLE w (k INTEGER PRIMARY KEY, v) WITHOUT ROWID",
    )
    rows: list[Any] = [(i, "text" if i % 3 else i) for i in (-5, -1, 0, 1, 2, 3, 7, 8, 20, 2**62)]
    for each in ("t", "w"):
        make(path, rows=rows, into=each)
    all_rows = values(read(path, ["v"], table=table, row_id=row_id))
    ids = np.array(sorted(all_rows))[1:] if listed else None
    with SqliteSource(path) as source:
        for low, high in ((-1, 7), (1, 3), (2**62, 2**62)):
            bounds = [(None, low), (low, high), (high, None)]
            parts = [Partition(path, table, row_id, ("v",), *each) for each in bounds]
            batches = [list(source.batches(part, 2, ids)) for part in parts]
            for (start, end), part in zip(bounds, batches, strict=True):
                within = [i for i in all_rows if (start is None or i >= start) and (end is None or i < end)]
                assert list(values(part)) == [i for i in within if ids is None or i in ids]
            assert values([batch for part in batches for batch in part]) == {
                i: value for i, value in all_rows.items() if ids is None or i in ids
            }


def test_a_table_that_takes_every_name_of_the_rowid_can_still_be_read(path: Path) -> None:
    make(path, "CREATE TABLE t (rowid, _rowid_, oid, v)", rows=[("x", "y", "z", 1), ("x", "y", "z", 2)])
    assert sorted(values(read(path, ["v"], row_id=None)).items()) == [(1, 1), (2, 2)]


@pytest.mark.parametrize("name", ['x"; drop table y; --', "a b", "select", "%s", ":x", "?", "é", "[x]", "a.b", "x`y"])
def test_names_are_quoted_wherever_they_stand(path: Path, name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    make(
        path,
        f"CREATE TABLE {quoted} ({quoted} INTEGER PRIMARY KEY, v UNIQUE)",
        f"CREATE TABLE y (a REFERENCES {quoted})",
    )
    make(path, rows=[(5, "x"), (6, 7)], into=quoted)
    assert values(read(path, ["v", name], table=name, row_id=name)) == {5: "x", 6: 7}
    with SqliteSource(path) as source:
        assert source.count(source.schema[name]) == 2
        assert source.schema["y"].references[0].parent == name
        assert source.schema[name].uniques() == [(name,), ("v",)]


def test_the_schema_is_read_as_it_was_declared(path: Path) -> None:
    make(
        path,
        "CREATE TABLE parent (id INTEGER PRIMARY KEY, a, b, UNIQUE (a, b))",
        """CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT NOT NULL DEFAULT 'x', b INT, g AS (b + 1) STORED,
            FOREIGN KEY (b, a) REFERENCES parent (b, a), FOREIGN KEY (b) REFERENCES parent)""",
        "CREATE INDEX i ON t (b)",
        "CREATE UNIQUE INDEX part ON t (a) WHERE b > 1",
        "CREATE UNIQUE INDEX expression ON t (lower(a))",
        "CREATE VIEW seen AS SELECT * FROM t",
    )
    with SqliteSource(path) as source:
        assert list(source.schema) == ["parent", "t"]
        table = source.schema["t"]
    assert [c.name for c in table.columns] == ["id", "a", "b", "g"]
    assert (table["A"].nullable, table["a"].default, table["a"].kind) == (False, "'x'", "text")
    assert [c.name for c in table.columns if c.generated] == ["g"]
    assert table.primary_key == ("id",)
    assert [(i.columns, i.unique) for i in table.indexes] == [(("b",), False)]
    assert {(r.columns, r.parent, r.parent_columns) for r in table.references} == {
        (("b", "a"), "parent", ("b", "a")),
        (("b",), "parent", ()),
    }
    assert source.schema["parent"].uniques() == [("id",), ("a", "b")]


def test_affinity_is_that_of_the_declared_type() -> None:
    declared = [
        "BIGINT",
        "CHARINT",
        "NVARCHAR(9)",
        "CLOB",
        "BLOB",
        "",
        "DOUBLE",
        "FLOAT",
        "REAL",
        "DECIMAL(9,2)",
        "DATE",
    ]
    kinds = ["integer", "integer", "text", "text", "blob", "blob", "real", "real", "real", "numeric", "numeric"]
    assert [affinity(word) for word in declared] == kinds


@pytest.mark.parametrize(
    "name", ["a b.db", "what?.db", "a#b.db", "100%41.db", "é😀.db", "a&mode=rwc.db", "file:x.db", "'x'.db"]
)
def test_a_path_may_hold_any_sign(tmp_path: Path, name: str) -> None:
    make(tmp_path / name, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", rows=[(1, "x")])
    assert values(read(tmp_path / name, ["v"])) == {1: "x"}
    assert os.listdir(tmp_path) == [name]


def test_the_ids_column_may_be_of_any_arrow_integer(path: Path) -> None:
    make(path, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", rows=[(1, None)])
    (batch,) = read(path, ["v", "id"])
    assert frames.as_arrow(batch["id"]).type == pa.int64()
    assert batch["v"].isna().all()
