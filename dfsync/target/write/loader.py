"""Rows into the target, in bulk, through `DataFrame.to_sql`, and the ids that AUTO_INCREMENT gave them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pymysql
import sqlalchemy as sa

from dfsync.model import frames
from dfsync.model.errors import TableError
from dfsync.model.schema import Table
from dfsync.model.types import arrow_type
from dfsync.target import packet
from dfsync.target.errors import SilentCoercionError, error_code, explain
from dfsync.target.read.rows import highest_id
from dfsync.target.write.bisect import send_with_bisection
from dfsync.target.write.insert import insert_rows
from dfsync.target.write.load_data import LocalInfileDisabled, load_data

log = logging.getLogger(__name__)
_LOCAL_REFUSED = {1148, 3948, 4166, 1045, 1227}
_PARTIAL_LOAD = "The server took {loaded} of {sent} rows, with {warnings} warnings"


class BulkLoader:
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
        self._max_packet = packet.max_allowed_packet(connection)
        self._increment = int(connection.scalar(sa.text("SELECT @@SESSION.auto_increment_increment")) or 1)
        self._highest = highest_id(connection, table, id_column) if id_column else 0

    def insert(self, frame: pd.DataFrame) -> tuple[pd.Series[Any], pd.DataFrame]:
        """Inserts the rows (index `old_id`, the target's columns conformed and remapped).

        Gives the new id of each row that went in (index `old_id`, Arrow integer; 0 where the table has no
        surrogate id), and the reject frame of those that the server refused. Raises `TableFailed` where the table, and
        not a row, is at fault.
        """
        rejects = send_with_bisection(self._connection, frame, self._send)
        taken = frame.index.difference(rejects.index) if len(rejects) else frame.index
        return pd.Series(self._new_ids(len(taken)), index=taken), rejects

    def _send(self, frame: pd.DataFrame) -> None:
        rows = frames.to_arrow(frame)
        if not rows.num_columns:
            self._insert_ids_alone(len(frame))
            return
        # A stream has room for a row that no statement can hold.
        if self._local and (len(frame) > 1 or not packet.all_fit(frame, self._max_packet)):
            try:
                self._to_sql(rows, self._load_data)
                return
            except (pymysql.MySQLError, LocalInfileDisabled) as error:
                if not isinstance(error, LocalInfileDisabled) and error_code(error) not in _LOCAL_REFUSED:
                    raise
                log.debug("the server refuses LOAD DATA LOCAL (%s), so plain inserts do the job", explain(error))
                self._local = False
        packet.require_fit(frame, self._max_packet)
        for chunk in packet.chunks(frame, self._max_packet // 3):
            self._to_sql(frames.to_arrow(chunk), _insert)

    def _insert_ids_alone(self, count: int) -> None:
        # A table that is nothing but its id: there is no column for to_sql to send.
        name = self._connection.dialect.identifier_preparer.quote_identifier(self._table.name)
        rows = ", ".join(["()"] * count)
        self._connection.exec_driver_sql(f"INSERT INTO {name} () VALUES {rows}")  # noqa: S608 quoted by the dialect

    def _to_sql(self, rows: Any, method: Callable[[str, sa.Connection, Any], int]) -> None:
        # to_sql makes a Python object of every cell before it calls a method. These send the Arrow table as it is, so
        # the frame that goes in at the door is the table's shadow: its columns, and one row in place of them all.
        shadow = pd.DataFrame(index=[0], columns=rows.column_names, dtype=object)
        shadow.to_sql(
            self._table.name, self._connection, if_exists="append", index=False, method=partial(_count, method, rows)
        )

    def _load_data(self, table: str, connection: sa.Connection, rows: Any) -> int:
        loaded, warnings = load_data(connection, table, rows, self._max_packet)
        if warnings:
            said = connection.exec_driver_sql("SHOW WARNINGS LIMIT 1").first()
            counted = _PARTIAL_LOAD.format(loaded=loaded, sent=rows.num_rows, warnings=warnings)
            raise SilentCoercionError(f"{counted}: {said[2]}" if said else counted)
        return loaded

    @property
    def _source(self) -> Any:
        return sa.table(self._table.name)

    def _new_ids(self, count: int) -> Any:
        if self._id is None:
            return pd.arrays.ArrowExtensionArray(pa.array(np.zeros(count, dtype=np.int64)))
        type_ = arrow_type(self._table[self._id.name])
        mine = sa.select(self._id).select_from(self._source).where(self._id > self._highest)
        # The lowest and the highest of an index cost the server no more than a glance, whatever lies between.
        ends = mine.with_only_columns(sa.func.min(self._id), sa.func.max(self._id))
        first, last = self._connection.execute(ends).one()
        if count and first is not None and last - first == (count - 1) * self._increment:
            # Added up in the type itself, as an unsigned id may be more than numpy's integers hold.
            ids = pc.add(pa.array(np.arange(count) * self._increment, type_), pa.scalar(first, type_))
        else:
            ids = pa.array(self._connection.scalars(mine.order_by(self._id)).all(), type_)
            if len(ids) != count:
                there = f"{count} rows were sent and {len(ids)} are there"
                raise TableError(f"{there}; a trigger or another tool interferes")
        self._highest = self._highest if last is None else int(last)
        return pd.arrays.ArrowExtensionArray(ids)


def _count(
    method: Callable[[str, sa.Connection, Any], int],
    rows: Any,
    table: Any,
    connection: sa.Connection,
    _keys: list[str],
    _data: Iterable[Any],
) -> int:
    """The method for `to_sql`, which must have taken every row."""
    loaded = method(table.name, connection, rows)
    if loaded != rows.num_rows:
        raise SilentCoercionError(_PARTIAL_LOAD.format(loaded=loaded, sent=rows.num_rows, warnings=0))
    return loaded


def _insert(table: str, connection: sa.Connection, rows: Any) -> int:
    return insert_rows(connection, table, rows)
