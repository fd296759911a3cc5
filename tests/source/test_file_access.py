"""The file is only read, from one snapshot; one that cannot be read is refused with the reason."""

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

import pytest
import sqlalchemy as sa

from dfsync.model.errors import DfsyncError
from dfsync.model.partition import Partition
from dfsync.source import sqlite as source_module
from dfsync.source.sqlite import SqliteSource
from tests.support.read_only_dirs import read_only
from tests.support.sqlite_files import make, read, values


def refusal(path: Path) -> str:
    with pytest.raises(DfsyncError) as raised:
        read_everything(path)
    return str(raised.value)


def read_everything(path: Path) -> None:
    with SqliteSource(path) as source:
        for table in source.schema.values():
            list(source.batches(Partition(path, table.name, None, tuple(c.name for c in table.columns)), 10))


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
    assert refusal(tmp_path / "none.db") == f"There is no source {tmp_path}/none.db. Name a SQLite file with source=."
    assert "There is no source" in refusal(tmp_path)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("content", [b"name,email\nx,y\n" * 100, os.urandom(8192)], ids=["csv", "encrypted"])
def test_a_file_that_is_no_database_is_said_so(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert "it is not a SQLite database, or it is encrypted" in refusal(path)
    assert path.read_bytes() == content


def test_an_empty_file_is_a_database_without_tables(path: Path) -> None:
    path.touch()
    with pytest.raises(DfsyncError, match=r"source\.db has no tables\. Name another SQLite file with source=\.$"):
        SqliteSource(path)
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
    with SqliteSource(path) as source, pytest.raises(DfsyncError):
        source.query(sa.text("DELETE FROM t"))
    assert len(values(read(path, ["v"]))) == 499


def test_wal_mode_leaves_nothing_beside_the_file(path: Path) -> None:
    make(path, "CREATE TABLE t (a TEXT)", "INSERT INTO t VALUES ('x')", "PRAGMA journal_mode = WAL")
    before, written = path.read_bytes(), path.stat().st_mtime_ns
    with SqliteSource(path) as source:
        assert source.count(source.schema["t"]) == 1
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (before, written)
    with closing(sqlite3.connect(path)) as other:
        other.execute("SELECT * FROM t").fetchall()
        there = sorted(path.parent.iterdir())
        SqliteSource(path).close()
        assert sorted(path.parent.iterdir()) == there
        other.execute("INSERT INTO t VALUES ('y')")
        other.commit()
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA wal_autocheckpoint = 0")
        with SqliteSource(path) as source:
            other.execute("INSERT INTO t VALUES ('z')")
            other.commit()
            old = path.read_bytes()
        assert path.read_bytes() == old


def test_a_writer_in_wal_mode_is_not_seen_until_the_next_run(path: Path) -> None:
    make(path, "PRAGMA journal_mode = WAL", "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", rows=[(1, "old"), (2, "old")])
    with writing(path) as writer:
        assert writer("UPDATE t SET v = 'older'") == "done"
        with SqliteSource(path) as source:
            table = source.schema["t"]
            batches = source.batches(Partition(path, "t", "id", ("v",)), 1)
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
        with SqliteSource(path) as source:
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
