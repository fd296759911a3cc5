"""The source: a SQLite file, opened read-only and read from one snapshot for the whole run.

Reading goes through ADBC, directly into Arrow. ADBC gives each column of a result one type, and converts the values of
other storage classes to it. A column whose rows hold several storage classes is therefore detected and read again, once
for each class, into a struct (`MIXED_STORAGE`), so that no value changes.

References
----------
https://www.sqlite.org/datatype3.html
https://arrow.apache.org/adbc/current/driver/sqlite.html
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, Self, TypeVar

import adbc_driver_manager
import adbc_driver_sqlite.dbapi
import numpy as np
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from dfsync.model import frames
from dfsync.model.errors import DfsyncError, Remedy, TableError
from dfsync.model.partition import Partition
from dfsync.model.schema import Schema, Table
from dfsync.model.source_file import SourceFile
from dfsync.model.types import OldIds
from dfsync.plan.model import Plan
from dfsync.source.base import Queryable
from dfsync.source.dialect import compiled, index_of_ids
from dfsync.source.reflection import reflect
from dfsync.source.storage_classes import is_valid, may_be_coerced, mixed_column, storage_classes, values_of_class
from dfsync.source.wal import in_wal_mode, remove_empty_wal, uri

log = logging.getLogger(__name__)

T = TypeVar("T")


_WAIT_MS = 5_000
_ROW_ID = "dfsync row"
_REASONS = {
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
_WAL_REASONS = {"readonly": _NEEDS_FOLDER, "unable to open": _NEEDS_FOLDER}


_Range = tuple[list[sa.ColumnElement[bool]], sa.ColumnElement[Any]]
"""The conditions of a range of rows, and the expression that orders it."""


class SqliteSource:
    """A SQLite file with the read transaction that makes the snapshot; see `dfsync.source.base.Source`.

    Threads share the connection and read one at a time, since another connection would have another snapshot. In
    rollback-journal mode a writer that wants to commit waits until the run is over; in WAL mode it does not.

    Parameters
    ----------
    path
        The SQLite file.
    reflected
        Gives the tables of the file; it reads them, or knows them from an equal file.
    counts
        The number of rows of the tables that were counted, by name; gets what is counted from now on.
    cache_kib
        The memory for pages of the file; None leaves it to SQLite.

    Raises
    ------
    DfsyncError
        The file is missing, locked, damaged, no SQLite database, or has no tables.

    References
    ----------
    https://www.sqlite.org/isolation.html
    """

    several = False

    def __init__(
        self,
        path: str | Path,
        reflected: Callable[[SqliteSource], Schema] = reflect,
        counts: dict[str, int] | None = None,
        cache_kib: int | None = None,
    ) -> None:
        self.path = Path(path)
        self.files: tuple[SourceFile, ...] = (SourceFile(self.path.stem, self.path),)
        if not os.path.isfile(self.path):
            raise DfsyncError(f"There is no source {self.path}.", Remedy("Name a SQLite file with {source}."))
        self._wal_path = Path(f"{self.path.resolve()}-wal")
        self._wal_existed = self._wal_path.exists()
        self._lock = Lock()
        self.stopped = False
        self.counts: dict[str, int] = {} if counts is None else counts
        self.unsteady: dict[str, str] = {}
        """By table, why the rows of its view or query cannot be read."""
        try:
            self._connection: Any = adbc_driver_sqlite.dbapi.connect(uri(self.path))
        except adbc_driver_manager.Error as error:
            raise self._unreadable(error) from error
        try:
            self.run(f"PRAGMA busy_timeout = {_WAIT_MS}", [], 1)
            if cache_kib is not None:
                self.run(f"PRAGMA cache_size = -{cache_kib}", [], 1)
            self.schema = reflected(self)
            if not self.schema:
                remedy = Remedy("Name another SQLite file with {source}.")
                raise DfsyncError(f"The source {self.path} has no tables.", remedy)
            log.debug("opened the source %s, which has %d tables", self.path, len(self.schema))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the snapshot and close the file. Files that SQLite made beside it are removed where they are empty."""
        self._connection.close()
        if not self._wal_existed:
            remove_empty_wal(self._wal_path)

    def each(self, ask: Callable[[Queryable], T], most: int | None = None) -> list[T]:
        """Ask the file; see `dfsync.source.base.Source`."""
        return [ask(self)]

    @property
    def readable(self) -> tuple[SourceFile, ...]:
        """The file."""
        return self.files

    @property
    def failures(self) -> Mapping[str, str]:
        """Always empty: where the one file fails nothing is left."""
        return {}

    def with_plan(self, plan: Plan) -> Self:
        """Return the source itself: ids of one file need no plan."""
        return self

    def current(self) -> Self:
        """Return the source itself: where it fails nothing is left."""
        return self

    def row_ids(self, table: str) -> None:
        """Return None: the ids are those of the file."""
        return

    def stop(self) -> None:
        """Make every further read raise `DfsyncError`, also in other threads."""
        self.stopped = True

    def count(self, table: Table) -> int:
        """Count the rows of a table in the snapshot.

        Parameters
        ----------
        table
            A table of `schema`.

        Returns
        -------
        int
            Asked for once.
        """
        if table.name not in self.counts:
            statement = sa.select(sa.func.count()).select_from(_table(table))
            self.counts[table.name] = int(self.query(statement)[0][0].as_py())
        return self.counts[table.name]

    def batches(self, partition: Partition, size: int, ids: OldIds | None = None) -> Iterator[pd.DataFrame]:
        """Read the rows of a partition, batch by batch.

        Parameters
        ----------
        partition
            The table, its columns, and the range of row ids.
        size
            Rows per batch; the last one may be shorter.
        ids
            Row ids of the table (int64, ascending, each once): read only these rows. None reads all.

        Yields
        ------
        pandas.DataFrame
            By ascending id: index `old_id` (int64), the partition's columns in Arrow dtypes. A column whose rows hold
            several storage classes has the dtype `MIXED_STORAGE`.

        Raises
        ------
        DfsyncError
            The file cannot be read, a row id is no integer, or the run was stopped.
        """
        for row_ids, rows in self.tables(partition, size, ids):
            yield frames.from_arrow(rows, row_ids)

    def tables(self, partition: Partition, size: int, ids: OldIds | None = None) -> Iterator[tuple[pa.Array, pa.Table]]:
        """As `batches`, in Arrow: the ids (int64) of a batch, and its columns."""
        table = self.schema[partition.table]
        self._make_ready(table, partition.row_id)
        names = list(partition.columns)
        key, rows = row_key(table, partition.row_id)
        last: int | None = None
        for batch_ids, limit in self._ranges(partition, size, ids):
            where = _where(key, partition, last, batch_ids)
            if where:
                select = sa.select(key.label(_ROW_ID), *(sa.column(name) for name in names))
                read = self.query(select.select_from(rows).where(*where).order_by(key).limit(limit), limit)
            else:
                read = self.run(_first_rows(table, partition.row_id, partition.columns), [limit, 0], limit)
            if not read.num_rows:
                return
            row_ids = _ids(table, read.column(0))
            within = [key >= row_ids[0].as_py(), key <= row_ids[-1].as_py(), *where]
            columns = self._restore_storage_classes(table, names, read, rows, (within, key)).columns[1:]
            yield row_ids, pa.table(columns, names=names)
            last = row_ids[-1].as_py()
            if batch_ids is None and read.num_rows < limit:
                return

    def _make_ready(self, table: Table, row_id: str | None) -> None:
        if table.name in self.unsteady:
            raise TableError(self.unsteady[table.name])
        if table.spooled and row_id:
            self.run(index_of_ids(table.sql_name, row_id), [], 1)

    def _ranges(self, partition: Partition, size: int, ids: OldIds | None) -> Iterator[tuple[OldIds | None, int]]:
        """For each query the ids to ask for, None for those after the last, and the most rows to read."""
        # Listing every row id of a table makes SQLite a third slower than reading the whole table.
        if ids is None or len(ids) == self.count(self.schema[partition.table]):
            return _all_ranges(size)
        low = 0 if partition.low is None else int(np.searchsorted(ids, partition.low))
        high = len(ids) if partition.high is None else int(np.searchsorted(ids, partition.high))
        return _id_ranges(ids[low:high], size)

    def _restore_storage_classes(
        self, table: Table, names: Sequence[str], read: pa.Table, rows: sa.FromClause, range_: _Range
    ) -> pa.Table:
        """The result with every column of several storage classes read again as `MIXED_STORAGE`."""
        positions = {name: position for position, name in enumerate(names, start=1)}
        suspects = [name for name in names if may_be_coerced(table[name], read.column(positions[name]))]
        classes = self._storage_classes(suspects, rows, range_)
        invalid = {name for name in suspects if not is_valid(read.column(positions[name]))}
        mixed = {name: held for name, held in classes.items() if len(held) > 1 or name in invalid}
        if not mixed:
            return read
        where, key = range_
        parts = [values_of_class(name, each) for name, held in mixed.items() for each in sorted(held)]
        again = self.query(sa.select(*parts).select_from(rows).where(*where).order_by(key), read.num_rows)
        for name, held in mixed.items():
            by_class = {each: again.column(f"{each} of {name}") for each in held}
            read = read.set_column(positions[name], name, mixed_column(by_class))
        return read

    def _storage_classes(self, names: Sequence[str], rows: sa.FromClause, range_: _Range) -> dict[str, set[str]]:
        """The storage classes of each column in a range of rows, NULL left out."""
        if not names:
            return {}
        where, _ = range_
        (row,) = self.query(sa.select(*map(storage_classes, names)).select_from(rows).where(*where)).to_pylist()
        return {name: set(held.split(",")) - {"null"} for name, held in zip(names, row.values(), strict=True)}

    def query(self, statement: sa.ClauseElement, batch_rows: int = 1024) -> pa.Table:
        """Run a query in the snapshot.

        Parameters
        ----------
        statement
            A query of SQLAlchemy.
        batch_rows
            ADBC takes a column's type from this many rows; a later value of another type is an error.

        Returns
        -------
        pyarrow.Table
            The result, in one chunk.

        Raises
        ------
        DfsyncError
            The file cannot be read, or `stop` was called.
        """
        return self.run(*compiled(statement), batch_rows)

    def run(self, statement: str, parameters: list[Any], batch_rows: int) -> pa.Table:
        """Run the text of a query, as `compiled` gives it; see `query`."""
        with self._lock, self._connection.cursor() as cursor:
            if self.stopped:
                raise DfsyncError("The run was stopped.")
            cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": str(batch_rows + 1)})
            try:
                cursor.execute(statement, parameters or None)
                return cursor.fetch_arrow_table().combine_chunks()
            except adbc_driver_manager.Error as error:
                raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> DfsyncError:
        reasons = [*(_WAL_REASONS.items() if in_wal_mode(self.path) else ()), *_REASONS.items()]
        reason = next((text for sign, text in reasons if sign in str(error)), str(error))
        return DfsyncError(f"The source {self.path} cannot be read: {reason}.")


def _table(table: Table) -> sa.TableClause:
    return sa.table(table.sql_name)


def row_key(table: Table, row_id: str | None) -> tuple[sa.ColumnElement[Any], sa.FromClause]:
    """The expression that identifies a row, and what to select from."""
    if row_id or table.rowid:
        return sa.column(row_id or table.rowid or "", is_literal=not row_id), _table(table)
    order: list[Any] = [sa.column(name) for name in table.primary_key]
    numbered = sa.select(sa.func.row_number().over(order_by=order).label(_ROW_ID), sa.text("*")).select_from(
        _table(table)
    )
    return sa.column(_ROW_ID), numbered.subquery()


@lru_cache(maxsize=256)
def _first_rows(table: Table, row_id: str | None, columns: tuple[str, ...]) -> str:
    """The SQL of the first rows of a table by ascending id; its parameters are their number, and 0.

    Kept, since of many files with equal tables each is read by the same statement.
    """
    key, rows = row_key(table, row_id)
    select = sa.select(key.label(_ROW_ID), *(sa.column(name) for name in columns)).select_from(rows).order_by(key)
    return compiled(select.limit(1))[0]


def _all_ranges(size: int) -> Iterator[tuple[None, int]]:
    while True:
        yield None, size


def _id_ranges(ids: OldIds, size: int) -> Iterator[tuple[OldIds, int]]:
    for start in range(0, len(ids), size):
        batch_ids = ids[start : start + size]
        yield batch_ids, len(batch_ids)


def _where(
    key: sa.ColumnElement[Any], partition: Partition, last: int | None, batch_ids: OldIds | None
) -> list[sa.ColumnElement[bool]]:
    if batch_ids is not None:
        low, high = int(batch_ids[0]), int(batch_ids[-1])
        where = [key >= low, key <= high]
        if high - low + 1 > len(batch_ids):
            listed = sa.func.json_each(str(np.asarray(batch_ids).tolist())).table_valued("value")
            where.append(key.in_(sa.select(listed.c.value)))
        return where
    where = [] if partition.high is None else [key < partition.high]
    if last is not None:
        return [key > last, *where]
    return where if partition.low is None else [key >= partition.low, *where]


def _ids(table: Table, column: pa.Array | pa.ChunkedArray) -> pa.Array:
    if not pa.types.is_int64(column.type) or column.null_count:
        raise DfsyncError(f"The id of {table.name} holds values that are no integers, so it cannot be a surrogate id.")
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
