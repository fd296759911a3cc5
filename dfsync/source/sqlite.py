"""The source: a SQLite file, opened read-only and read from one snapshot for the whole run.

Reading goes through ADBC, straight into Arrow. ADBC gives each column of a result one type, so a column whose rows
hold values of several storage classes would be bent into one; such a column is found and read again in several, one
for each class, as a struct (`MIXED`), and nothing is lost. See https://www.sqlite.org/datatype3.html.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from threading import Lock
from typing import Any, Self
from urllib.parse import quote

import adbc_driver_manager
import adbc_driver_sqlite.dbapi
import numpy as np
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite.base import SQLiteIdentifierPreparer

from dfsync.model import frames
from dfsync.model.errors import DfsyncError, Remedy
from dfsync.model.schema import Table
from dfsync.source.reflection import reflect
from dfsync.source.storage_classes import is_valid, may_be_coerced, mixed_column, storage_classes, values_of_class


class _QuotingPreparer(SQLiteIdentifierPreparer):
    """Quotes every name: no list of reserved words is complete."""

    def _requires_quotes(self, value: str) -> bool:
        return True


def _dialect() -> Any:
    dialect: Any = sqlite.dialect(paramstyle="qmark")
    dialect.preparer = _QuotingPreparer
    dialect.identifier_preparer = _QuotingPreparer(dialect)
    return dialect


_DIALECT = _dialect()
_WAIT_MS = 5_000
_ROW = "dfsync row"
_FAULTS = {
    "not a database": "it is not a SQLite database, or it is encrypted",
    "malformed": "it is damaged; sqlite3's .recover may save what is left",
    "locked": "another program holds it locked; try again when that is done",
    "readonly": "it was left in the middle of a write; open it once with sqlite3 so that SQLite can roll that back",
    "to open": "it cannot be opened; check the permissions of the file and its folder",
}
_NEEDS_FOLDER = (
    "it is in WAL mode, in which even reading needs to write into its folder; allow that, or copy the file, with its "
    "-wal if there is one, to a folder of your own"
)
_WAL_FAULTS = {"readonly": _NEEDS_FOLDER, "unable to open": _NEEDS_FOLDER}


class SqliteSource:
    """Owns the connection to the SQLite file and the read transaction that makes the snapshot.

    Of several threads one reads at a time, since a connection of its own would have another snapshot.
    In rollback-journal mode a writer that wants to commit waits until the run is over; in WAL mode it does not.
    Raises `DfsyncError` where the file is missing, locked, damaged, no SQLite database, or without tables.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not os.path.isfile(self.path):
            raise DfsyncError(f"There is no source {self.path}.", Remedy("Name a SQLite file with {source}."))
        self._wal_path = Path(f"{self.path.resolve()}-wal")
        self._wal_existed = self._wal_path.exists()
        self._lock = Lock()
        self.stopped = False
        self._counts: dict[str, int] = {}
        try:
            self._connection: Any = adbc_driver_sqlite.dbapi.connect(_uri(self.path))
        except adbc_driver_manager.Error as error:
            raise self._unreadable(error) from error
        try:
            self.query(sa.text(f"PRAGMA busy_timeout = {_WAIT_MS}"))
            self.schema = reflect(self)
            if not self.schema:
                remedy = Remedy("Name another SQLite file with {source}.")
                raise DfsyncError(f"The source {self.path} has no tables.", remedy)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()
        if not self._wal_existed:
            _remove_empty_wal(self._wal_path)

    def stop(self) -> None:
        """Ends the work of other threads: nothing is read any more."""
        self.stopped = True

    def count(self, table: Table) -> int:
        """How many rows the table has in the snapshot."""
        if table.name not in self._counts:
            ask = sa.select(sa.func.count()).select_from(_table(table))
            self._counts[table.name] = int(self.query(ask)[0][0].as_py())
        return self._counts[table.name]

    def batches(
        self, table: Table, row_id: str | None, columns: Sequence[str], size: int, ids: Any = None
    ) -> Iterator[pd.DataFrame]:
        """The rows of a table by ascending id, `size` at a time: index `old_id`, the columns in Arrow dtypes.

        `row_id` is the integer column that names a row; None takes SQLite's rowid, or where there is none the place in
        the order of the primary key. `ids` (int64, ascending) narrows it to those of its rows.
        """
        key, rows = _row_key(table, row_id)
        # To name every row of a table takes SQLite a third more time than to read it.
        chunks = _all_ranges(size) if ids is None or len(ids) == self.count(table) else _id_ranges(ids, size)
        last: int | None = None
        for chunk, limit in chunks:
            where = _where(key, last, chunk)
            select = sa.select(key.label(_ROW), *(sa.column(c) for c in columns))
            read = self.query(select.select_from(rows).where(*where).order_by(key).limit(limit), limit)
            if not read.num_rows:
                return
            row_ids = _ids(table, read.column(0))
            within = [key >= row_ids[0].as_py(), key <= row_ids[-1].as_py(), *where]
            read = self._restore_storage_classes(table, columns, read, rows, (within, key))
            last = row_ids[-1].as_py()
            yield frames.from_arrow(pa.table(read.columns[1:], names=list(columns)), row_ids)

    def _restore_storage_classes(
        self, table: Table, columns: Sequence[str], read: Any, rows: Any, range_: tuple[Any, Any]
    ) -> Any:
        """The result with every column of several storage classes read again as `MIXED`."""
        where, key = range_
        places = {name: i for i, name in enumerate(columns, start=1) if may_be_coerced(table[name], read.column(i))}
        if not places:
            return read
        ask = sa.select(*map(storage_classes, places)).select_from(rows).where(*where)
        held = [set(classes.as_py().split(",")) - {"null"} for (classes,) in self.query(ask).columns]
        found = dict(zip(places, held, strict=True))
        mixed = {n: c for n, c in found.items() if len(c) > 1 or not is_valid(read.column(places[n]))}
        if not mixed:
            return read
        parts = [values_of_class(name, each) for name, classes in mixed.items() for each in sorted(classes)]
        again = self.query(sa.select(*parts).select_from(rows).where(*where).order_by(key), read.num_rows)
        for name, classes in mixed.items():
            by_class = {each: again.column(f"{each} of {name}") for each in classes}
            read = read.set_column(places[name], name, mixed_column(by_class))
        return read

    def query(self, statement: Any, batch_rows: int = 1024) -> Any:
        """The result as an Arrow table. ADBC takes a column's type from the first `batch_rows` rows."""
        compiled = statement.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
        parameters = [compiled.params[name] for name in compiled.positiontup or ()]
        with self._lock, self._connection.cursor() as cursor:
            if self.stopped:
                raise DfsyncError("The run was stopped.")
            cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": str(batch_rows + 1)})
            try:
                cursor.execute(str(compiled), parameters or None)
                return cursor.fetch_arrow_table().combine_chunks()
            except adbc_driver_manager.Error as error:
                raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> DfsyncError:
        faults = [*(_WAL_FAULTS.items() if _in_wal_mode(self.path) else ()), *_FAULTS.items()]
        reason = next((text for sign, text in faults if sign in str(error)), str(error))
        return DfsyncError(f"The source {self.path} cannot be read: {reason}.")


def _uri(path: Path, mode: str = "ro") -> str:
    return f"file:{quote(os.fsencode(path.resolve()))}?mode={mode}"


def _remove_empty_wal(log: Path) -> None:
    """Has SQLite take away the empty `-wal`, and the `-shm`, that reading in WAL mode made; while someone else has the
    file open they stay.
    """
    try:
        if log.stat().st_size:
            return
        # Who may only read leaves them behind; the last one who might write does not, and finds nothing to write.
        path = Path(str(log).removesuffix("-wal"))
        with closing(sqlite3.connect(_uri(path, "rw"), timeout=0, uri=True)) as connection:
            connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    except (OSError, sqlite3.Error):
        return


def _in_wal_mode(path: Path) -> bool:
    """By the file's header: https://www.sqlite.org/fileformat.html section 1.3.3."""
    try:
        with path.open("rb") as file:
            return file.read(20)[18:] == b"\x02\x02"
    except OSError:
        return False


def _table(table: Table) -> Any:
    return sa.table(table.name)


def _row_key(table: Table, row_id: str | None) -> tuple[Any, Any]:
    """The expression that names a row, and what to select from."""
    if row_id or table.rowid:
        return sa.column(row_id or table.rowid or "", is_literal=not row_id), _table(table)
    order: list[Any] = [sa.column(name) for name in table.primary_key]
    numbered = sa.select(sa.func.row_number().over(order_by=order).label(_ROW), sa.text("*")).select_from(_table(table))
    return sa.column(_ROW), numbered.subquery()


def _all_ranges(size: int) -> Iterator[tuple[Any, int]]:
    while True:
        yield None, size


def _id_ranges(ids: Any, size: int) -> Iterator[tuple[Any, int]]:
    for start in range(0, len(ids), size):
        chunk = ids[start : start + size]
        yield chunk, len(chunk)


def _where(key: Any, last: int | None, chunk: Any) -> list[Any]:
    if chunk is None:
        return [] if last is None else [key > last]
    low, high = int(chunk[0]), int(chunk[-1])
    where = [key >= low, key <= high]
    if high - low + 1 > len(chunk):
        listed = sa.func.json_each(str(np.asarray(chunk).tolist())).table_valued("value")
        where.append(key.in_(sa.select(listed.c.value)))
    return where


def _ids(table: Table, column: Any) -> Any:
    if not pa.types.is_int64(column.type) or column.null_count:
        raise DfsyncError(f"The id of {table.name} holds values that are no integers, so it cannot be a surrogate id.")
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
