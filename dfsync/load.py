"""Rows into the target, in bulk, through `DataFrame.to_sql`, and the ids that AUTO_INCREMENT gave them."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pymysql
import sqlalchemy as sa

from dfsync import frames, infile
from dfsync.errors import TableFailed
from dfsync.schema import Table
from dfsync.target import error_code, highest_id, refusal
from dfsync.types import arrow_type

log = logging.getLogger(__name__)

_MOST_REFUSALS = 10_000
_LOCAL_REFUSED = {1148, 3948, 4166, 1045, 1227}
# What a single row can be at fault for, beyond the driver's DataError and IntegrityError.
_ROW_FAULTS = {1048, 1153, 1264, 1265, 1292, 1364, 1366, 1367, 1411, 1416, 1441, 1644, 1690, 3140, 3819, 4025, 4078}
_BENT = "The server took {loaded} of {sent} rows, with {warnings} warnings"


class Bent(Exception):
    """`LOAD DATA LOCAL` ignored or changed a row."""


class Loader:
    """Owns one table's part of a transaction: how rows are sent, and the highest id that was there before them.

    The transaction must read from a snapshot (REPEATABLE READ). In it the rows above the snapshot's highest id are
    those that it inserted itself, in the order in which they were sent, whatever other clients insert meanwhile: an
    AUTO_INCREMENT counter only goes up, in every `innodb_autoinc_lock_mode`.
    https://dev.mysql.com/doc/refman/9.7/en/innodb-auto-increment-handling.html
    """

    def __init__(self, connection: sa.Connection, table: Table, id_column: str | None, *, local_infile: bool) -> None:
        self._connection = connection
        self._table = table
        self._id: Any = None if id_column is None else sa.column(id_column)
        self._local = local_infile
        self._refusals = 0
        self._step = int(connection.scalar(sa.text("SELECT @@SESSION.auto_increment_increment")) or 1)
        self._highest = highest_id(connection, table, id_column) if id_column else 0

    def insert(self, frame: pd.DataFrame) -> tuple[pd.Series[Any], pd.DataFrame]:
        """Inserts the rows (index `old_id`, the target's columns conformed and remapped).

        Gives the new id of each row that went in (index `old_id`, Arrow integer; 0 where the table has no
        surrogate id), and the reject frame of those that the server refused. Raises `TableFailed` where the table, and
        not a row, is at fault.
        """
        rejects = self._insert(frame)
        taken = frame.index.difference(rejects.index) if len(rejects) else frame.index
        return pd.Series(self._new_ids(len(taken)), index=taken), rejects

    def _insert(self, frame: pd.DataFrame) -> pd.DataFrame:
        """All at once; where that fails, each half for itself, down to the rows at fault. Rare, and then slow."""
        if frame.empty:
            return frames.no_rejects()
        savepoint = self._connection.begin_nested()
        try:
            self._send(frame)
            savepoint.commit()
            return frames.no_rejects()
        except (sa.exc.DBAPIError, pymysql.MySQLError, Bent) as error:
            if not _at_fault(error):
                raise
            savepoint.rollback()
            log.debug("%s: %d rows in one go failed: %s", self._table.name, len(frame), error)
            if len(frame) == 1:
                return self._refuse(frame, error)
        middle = len(frame) // 2
        return pd.concat([self._insert(frame.iloc[:middle]), self._insert(frame.iloc[middle:])])

    def _send(self, frame: pd.DataFrame) -> None:
        method = self._stream if self._local and len(frame) > 1 else _insert_rows
        rows = frames.to_arrow(frame)
        frame.to_sql(
            self._table.name,
            self._connection,
            if_exists="append",
            index=False,
            method=lambda table, connection, keys, data: method(table, connection, keys, data, rows),
        )

    def _stream(self, table: Any, connection: sa.Connection, keys: list[str], data: Iterable[Any], rows: Any) -> int:
        try:
            loaded, warnings = infile.load(connection, self._table.name, keys, rows)
        except pymysql.MySQLError as error:
            if error_code(error) not in _LOCAL_REFUSED:
                raise
            log.debug("the server refuses LOAD DATA LOCAL (%s), so plain inserts do the job", refusal(error))
            self._local = False
            return _insert_rows(table, connection, keys, data, rows)
        if loaded != rows.num_rows or warnings:
            raise Bent(_BENT.format(loaded=loaded, sent=rows.num_rows, warnings=warnings))
        return loaded

    def _refuse(self, frame: pd.DataFrame, error: Exception) -> pd.DataFrame:
        self._refusals += 1
        reason = refusal(error)
        if self._refusals > _MOST_REFUSALS:
            raise TableFailed(f"the server refused more than {_MOST_REFUSALS} rows, the last one because: {reason}")
        return frames.rejects(frame.index, "", [None], f"refused by the server: {reason}")

    @property
    def _from(self) -> Any:
        return sa.table(self._table.name)

    def _new_ids(self, count: int) -> Any:
        if self._id is None:
            return pd.arrays.ArrowExtensionArray(pa.array(np.zeros(count, dtype=np.int64)))
        type_ = arrow_type(self._table[self._id.name])
        mine = self._id > self._highest
        ask = sa.select(sa.func.count(), sa.func.min(self._id), sa.func.max(self._id))
        found, first, last = self._connection.execute(ask.select_from(self._from).where(mine)).one()
        if found != count:
            raise TableFailed(f"{count} rows were sent and {found} are there; a trigger or another tool interferes")
        if not count:
            return pd.arrays.ArrowExtensionArray(pa.array([], type_))
        self._highest = int(last)
        if last - first == (count - 1) * self._step:
            ids = pa.array(np.arange(count, dtype=np.int64) * self._step + first, type_)
        else:
            listed = sa.select(self._id).select_from(self._from).where(self._id >= first).order_by(self._id)
            ids = pa.array(self._connection.scalars(listed).all(), type_)
        return pd.arrays.ArrowExtensionArray(ids)


def _insert_rows(table: Any, connection: sa.Connection, keys: list[str], data: Iterable[Any], rows: Any) -> int:
    """Many rows a statement: PyMySQL joins them up to its longest statement."""
    statement = str(table.table.insert().compile(dialect=connection.dialect, column_keys=keys))
    result = connection.exec_driver_sql(statement, list(data))
    if result.rowcount != rows.num_rows:
        raise Bent(_BENT.format(loaded=result.rowcount, sent=rows.num_rows, warnings=0))
    return result.rowcount


def _at_fault(error: Exception) -> bool:
    """Whether single rows may be to blame, and not the table, the server or the connection."""
    original = getattr(error, "orig", None) or error
    row_errors = (Bent, pymysql.DataError, pymysql.IntegrityError)
    return isinstance(original, row_errors) or error_code(error) in _ROW_FAULTS
