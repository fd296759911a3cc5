"""The source is only read, from one snapshot, and no value of any type in any row is bent on the way."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dfsync import frames
from dfsync import source as source_module
from dfsync.errors import DfsyncError
from dfsync.source import Source, affinity
from tests.support.read_only_dirs import read_only

EXAMPLES = 10_000 if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 40


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "source.db"


def make(path: Path, *statements: str, rows: list[Any] | None = None, into: str = "t") -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        for statement in statements:
            connection.execute(statement)
        if rows:
            marks = ", ".join("?" * len(rows[0]))
            connection.executemany(f"INSERT INTO {into} VALUES ({marks})", rows)  # noqa: S608
        connection.commit()
    return path


def read(
    path: Path, columns: list[str], table: str = "t", row_id: str | None = "id", size: int = 100, ids: Any = None
) -> list[pd.DataFrame]:
    with Source(path) as source:
        return list(source.batches(source.schema[table], row_id, columns, size, ids))


def values(batches: list[pd.DataFrame], name: str = "v") -> dict[int, Any]:
    """By old id, each value as SQLite has it: a mixed column's one class that is set."""
    found = {}
    for batch in batches:
        for old_id, value in zip(batch.index, frames.arrow(batch[name]).to_pylist(), strict=True):
            parts = list(value.values()) if isinstance(value, dict) else [value]
            found[old_id] = next((part for part in parts if part is not None), None)
    return found


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
    with Source(path) as source:
        query = source.query

        def listen(statement: Any, batch_rows: int = 1024) -> Any:
            asked.append(statement)
            return query(statement, batch_rows)

        monkeypatch.setattr(source, "query", listen)
        assert len(list(source.batches(source.schema["t"], "id", ["v"], 10))) == 1
    assert len(asked) == 2, "the rows, and that there are no more"


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
    with Source(path) as source:
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
    with Source(path) as source:
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


def refusal(path: Path) -> str:
    with pytest.raises(DfsyncError) as raised:
        read_everything(path)
    return str(raised.value)


def read_everything(path: Path) -> None:
    with Source(path) as source:
        for table in source.schema.values():
            list(source.batches(table, None, [c.name for c in table.columns], 10))


WRITER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=0.1, isolation_level=None)
for line in sys.stdin:
    try:
        connection.execute(line)
        print("done", flush=True)
    except sqlite3.Error as error:
        print(error, flush=True)
"""


class Writer:
    """Another process that has the database open, since SQLite's locks hold between processes."""

    def __init__(self, path: Path) -> None:
        command = [sys.executable, "-c", WRITER, str(path)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, statement: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(statement, file=self._process.stdin, flush=True)
        return self._process.stdout.readline().strip()

    def close(self) -> None:
        self._process.communicate()


@contextmanager
def writing(path: Path) -> Iterator[Writer]:
    with closing(Writer(path)) as writer:
        yield writer


def test_a_missing_source_or_a_folder_is_said_so(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.db") == f"There is no source {tmp_path}/none.db. Name a SQLite file with --source."
    assert "There is no source" in refusal(tmp_path)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("content", [b"name,email\nx,y\n" * 100, os.urandom(8192)], ids=["csv", "encrypted"])
def test_a_file_that_is_no_database_is_said_so(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert "it is not a SQLite database, or it is encrypted" in refusal(path)
    assert path.read_bytes() == content


def test_an_empty_file_is_a_database_without_tables(path: Path) -> None:
    path.touch()
    with pytest.raises(DfsyncError, match=r"source\.db has no tables\. Name another SQLite file with --source\.$"):
        Source(path)
    assert path.read_bytes() == b""


def big(path: Path, *pragmas: str) -> Path:
    return make(
        path, *pragmas, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", rows=[(i, "x" * 500) for i in range(1, 500)]
    )


def test_a_truncated_file_is_said_to_be_damaged(path: Path) -> None:
    big(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert "it is damaged" in refusal(path)


def test_a_source_locked_by_a_writer_is_waited_for_and_then_said_so(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    big(path)
    monkeypatch.setattr(source_module, "_WAIT_MS", 300)
    with writing(path) as writer:
        assert writer("BEGIN EXCLUSIVE") == "done"
        start = time.monotonic()
        assert "another program holds it locked; try again when that is done" in refusal(path)
        assert time.monotonic() - start >= 0.3
        assert writer("ROLLBACK") == "done"
        assert len(values(read(path, ["v"]))) == 499


def test_a_lock_that_goes_away_in_time_is_no_error(path: Path) -> None:
    big(path)
    with writing(path) as writer:
        assert writer("BEGIN EXCLUSIVE") == "done"
        threading.Timer(0.4, writer, ["ROLLBACK"]).start()
        assert len(values(read(path, ["v"]))) == 499


def contents(path: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in path.parent.iterdir() if not p.name.endswith("-shm")}


@pytest.mark.parametrize("pragma", ["PRAGMA journal_mode = DELETE", "PRAGMA journal_mode = WAL"])
def test_reading_changes_no_byte_of_the_source(path: Path, pragma: str) -> None:
    big(path, pragma)
    before = contents(path)
    read(path, ["v"])
    after = contents(path)
    assert after.pop("source.db-wal", b"") == before.pop("source.db-wal", b"")
    assert after == before


def test_nothing_can_be_written_through_the_connection(path: Path) -> None:
    big(path)
    with Source(path) as source, pytest.raises(DfsyncError):
        source.query(sa.text("DELETE FROM t"))
    assert len(values(read(path, ["v"]))) == 499


def test_wal_mode_leaves_nothing_beside_the_file(path: Path) -> None:
    make(path, "CREATE TABLE t (a TEXT)", "INSERT INTO t VALUES ('x')", "PRAGMA journal_mode = WAL")
    before, written = path.read_bytes(), path.stat().st_mtime_ns
    with Source(path) as source:
        assert source.count(source.schema["t"]) == 1
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (before, written)
    with closing(sqlite3.connect(path)) as other:
        other.execute("SELECT * FROM t").fetchall()
        there = sorted(path.parent.iterdir())
        Source(path).close()
        assert sorted(path.parent.iterdir()) == there
        other.execute("INSERT INTO t VALUES ('y')")
        other.commit()
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA wal_autocheckpoint = 0")
        with Source(path) as source:
            other.execute("INSERT INTO t VALUES ('z')")
            other.commit()
            old = path.read_bytes()
        assert path.read_bytes() == old


def test_a_writer_in_wal_mode_is_not_seen_until_the_next_run(path: Path) -> None:
    make(path, "PRAGMA journal_mode = WAL", "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", rows=[(1, "old"), (2, "old")])
    with writing(path) as writer:
        assert writer("UPDATE t SET v = 'older'") == "done"
        with Source(path) as source:
            table = source.schema["t"]
            batches = source.batches(table, "id", ["v"], 1)
            first = next(batches)
            assert writer("UPDATE t SET v = 'new'") == "done"
            assert writer("INSERT INTO t VALUES (3, 'new')") == "done"
            assert writer("CREATE TABLE later (x)") == "done"
            assert values([first, *batches]) == {1: "older", 2: "older"}
            assert source.count(table) == 2
        assert values(read(path, ["v"])) == {1: "new", 2: "new", 3: "new"}


def test_a_writer_in_rollback_mode_waits_until_the_run_is_over(path: Path) -> None:
    big(path)
    with writing(path) as writer:
        with Source(path) as source:
            assert writer("DELETE FROM t") == "database is locked"
            assert source.count(source.schema["t"]) == 499
        assert writer("DELETE FROM t") == "done"
        assert read(path, ["v"]) == []


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that other users may enter, as pytest's own is not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@contextmanager
def without_write_permission(folder: Path, mode: int = 0o444) -> Iterator[None]:
    """The folder's files cannot be written; root, who may write all the same, is somebody else for that time."""
    for file in folder.iterdir():
        file.chmod(mode)
    with read_only(folder):
        yield


def test_a_source_in_rollback_mode_can_be_read_without_write_permission(public: Path) -> None:
    path = big(public / "source.db")
    with without_write_permission(public):
        assert len(values(read(path, ["v"]))) == 499


def test_wal_mode_without_write_permission_is_said_so(public: Path) -> None:
    path = big(public / "source.db", "PRAGMA journal_mode = WAL")
    with without_write_permission(public):
        assert "WAL mode" in refusal(path)
    assert len(values(read(path, ["v"]))) == 499


def test_wal_mode_without_write_permission_beside_a_living_writer_is_read(public: Path) -> None:
    path = big(public / "source.db", "PRAGMA journal_mode = WAL")
    with writing(path) as writer:
        assert writer("DELETE FROM t WHERE id > 9") == "done"
        with without_write_permission(public):
            assert len(values(read(path, ["v"]))) == 9


def test_a_source_without_read_permission_is_said_so(public: Path) -> None:
    path = big(public / "source.db")
    with without_write_permission(public, mode=0o000):
        assert "it cannot be opened; check the permissions" in refusal(path)


def hot(path: Path) -> bytes:
    """Leaves the file as a crash in the middle of a write leaves it, with a journal to roll back."""
    big(path)
    live = path.with_name("live.db")
    shutil.copy(path, live)
    with closing(sqlite3.connect(live, isolation_level=None)) as writer:
        writer.execute("PRAGMA cache_size = 1")
        writer.execute("PRAGMA cache_spill = 1")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE t SET v = 'torn' || v")
        shutil.copy(live, path)
        shutil.copy(f"{live}-journal", f"{path}-journal")
        writer.execute("ROLLBACK")
    live.unlink()
    return path.read_bytes()


def test_a_hot_journal_is_said_so_and_not_touched(path: Path) -> None:
    before = hot(path)
    assert b"torn" in before
    journal = Path(f"{path}-journal").read_bytes()
    assert "it was left in the middle of a write; open it once with sqlite3" in refusal(path)
    assert path.read_bytes() == before
    assert Path(f"{path}-journal").read_bytes() == journal


def test_what_the_message_about_a_hot_journal_advises_helps(path: Path) -> None:
    hot(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("SELECT count(*) FROM t").fetchone()
    assert set(values(read(path, ["v"])).values()) == {"x" * 500}


def test_the_ids_column_may_be_of_any_arrow_integer(path: Path) -> None:
    make(path, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", rows=[(1, None)])
    (batch,) = read(path, ["v", "id"])
    assert frames.arrow(batch["id"]).type == pa.int64()
    assert batch["v"].isna().all()
