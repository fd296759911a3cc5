"""Insert rows in bulk, through `DataFrame.to_sql`, and read back the ids that AUTO_INCREMENT gave them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pymysql
import sqlalchemy as sa
from pandas.io.sql import SQLTable

from dfsync.model import frames
from dfsync.model.errors import TableError
from dfsync.model.schema import Table
from dfsync.model.types import NewIds, Positions, arrow_type
from dfsync.stages.row_order import NULL_REF
from dfsync.target import packet
from dfsync.target.errors import SilentCoercionError, error_code, explain
from dfsync.target.read.packed import read_keys_packed
from dfsync.target.read.rows import highest_id
from dfsync.target.write.bisect import send_with_bisection
from dfsync.target.write.id_zero import keep_zero
from dfsync.target.write.insert import insert_rows
from dfsync.target.write.linked_insert import LinkedRows
from dfsync.target.write.load_data import LocalInfileDisabledError, load_data

log = logging.getLogger(__name__)
_LOCAL_REFUSED = {1148, 3948, 4166, 1045, 1227}
_PARTIAL_LOAD = "The server took {loaded} of {sent} rows, with {warnings} warnings"


class BulkLoader:
    """Inserts the rows of one table in one transaction.

    Parameters
    ----------
    connection
        The target, in a transaction that reads from a snapshot (REPEATABLE READ).
    table
        The target's table.
    id_column
        Its surrogate id; None where it has none.
    local_infile
        Whether to try `LOAD DATA LOCAL`. Plain inserts are used where it is False or the server refuses.

    Notes
    -----
    In the snapshot, the rows above its highest id are those that this transaction inserted, in the order in which they
    were sent, whatever other clients insert meanwhile: an AUTO_INCREMENT counter only goes up, in every
    `innodb_autoinc_lock_mode`.

    References
    ----------
    https://dev.mysql.com/doc/refman/9.7/en/innodb-auto-increment-handling.html
    """

    def __init__(self, connection: sa.Connection, table: Table, id_column: str | None, *, local_infile: bool) -> None:
        self._connection = connection
        self._table = table
        self._id: sa.ColumnClause[Any] | None = None if id_column is None else sa.column(id_column)
        self._local = local_infile
        self._highest: int | None = None

    @cached_property
    def _max_packet(self) -> int:
        return packet.max_allowed_packet(self._connection)

    @cached_property
    def _increment(self) -> int:
        return int(self._connection.scalar(sa.text("SELECT @@SESSION.auto_increment_increment")) or 1)

    def insert(self, frame: pd.DataFrame) -> tuple[pd.Series[Any], pd.DataFrame]:
        """Insert rows.

        Parameters
        ----------
        frame
            Index `old_id` (int64), the columns under the target's names, conformed and remapped (Arrow dtypes).

        Returns
        -------
        new_ids : pandas.Series
            The new id of each inserted row: index `old_id`, Arrow integer; 0 where there is no surrogate id.
        rejects : pandas.DataFrame
            The reject frame (`model.rejects`) of the rows that the server refused.

        Raises
        ------
        TableError
            The number of new rows is not that of the rows sent, or too many rows were refused.
        """
        rejects = send_with_bisection(self._connection, frame, self._send)
        inserted = frame.index.difference(rejects.index) if len(rejects) else frame.index
        return pd.Series(self._new_ids(len(inserted)), index=inserted), rejects

    def send_with_ids(self, frame: pd.DataFrame, ids: NewIds) -> None:
        """Insert rows under ids that are given, in one statement where they fit one.

        Parameters
        ----------
        frame
            As in `insert`.
        ids
            One for each row.

        Raises
        ------
        Exception
            What the server raises; `dfsync.target.write.bisect.send_with_bisection` calls this.
        """
        assert self._id is not None
        own_ids = frames.series(pa.array(ids, arrow_type(self._table[self._id.name]))).set_axis(frame.index)
        with keep_zero(self._connection) if (ids == 0).any() else nullcontext():
            self._send(frames.with_columns(frame, {self._id.name: own_ids}))

    def insert_linked(
        self,
        frame: pd.DataFrame,
        parents: Mapping[str, Positions],
        by_value: Mapping[str, Positions],
        *,
        optional: bool = False,
    ) -> tuple[pd.Series[Any], pd.DataFrame]:
        """As `insert`, of rows that refer to others among them, which must come before them.

        Parameters
        ----------
        frame
            As in `insert`.
        parents
            By column for each row the position in the frame of the row whose new id it gets, `NULL_REF` (-1) where it
            keeps what it has.
        by_value
            The same where it has the value already by which it refers to that row.
        optional
            Whether the `parents` may also be written later, so that a row may be left out.

        Returns
        -------
        tuple of Series and DataFrame
            As in `insert`. A row that is in neither refers to one that was refused, and was not sent; or it is
            `optional`, and another client inserts at the same time.
        """
        if all((places == NULL_REF).all() for places in (*parents.values(), *by_value.values())):
            return self.insert(frame)
        unsigned = self._id is not None and pa.types.is_uint64(arrow_type(self._table[self._id.name]))
        step = np.uint64(self._increment) if unsigned else np.int64(self._increment)
        execute = self._connection.exec_driver_sql if optional else None
        linked = LinkedRows(frame, parents, by_value, self._insert_part, step, execute)
        rejects = send_with_bisection(self._connection, frame, linked.send)
        ids = frames.series(pa.array(linked.new_ids[linked.taken]))
        return ids.set_axis(frame.index[linked.taken]), rejects

    def _insert_part(self, frame: pd.DataFrame) -> NewIds:
        """Sends the rows and gives their new ids. Where what follows fails, they are rolled back, and the ids above
        `_highest` are again those that this transaction inserts: a counter only goes up.
        """
        self._send(frame)
        return np.asarray(self._new_ids(len(frame)))

    def _send(self, frame: pd.DataFrame) -> None:
        if self._highest is None and self._id is not None:
            # Not earlier: many a night inserts nothing.
            self._highest = highest_id(self._connection, self._table, self._id.name)
        rows = frames.to_arrow(frame)
        if not rows.num_columns:
            self._insert_ids_alone(len(frame))
            return
        # A stream can hold a row that is larger than any statement.
        if self._local and (len(frame) > 1 or not packet.all_fit(frame, self._max_packet)):
            try:
                self._to_sql(rows, self._load_data)
                return
            except (pymysql.MySQLError, LocalInfileDisabledError) as error:
                if not isinstance(error, LocalInfileDisabledError) and error_code(error) not in _LOCAL_REFUSED:
                    raise
                log.debug("the server refuses LOAD DATA LOCAL (%s); plain inserts are used", explain(error))
                self._local = False
        packet.require_fit(frame, self._max_packet)
        for chunk in packet.chunks(frame, self._max_packet // 3):
            self._to_sql(frames.to_arrow(chunk), _insert)

    def _insert_ids_alone(self, count: int) -> None:
        # The id is the table's only column, so to_sql has no column to send.
        name = self._connection.dialect.identifier_preparer.quote_identifier(self._table.name)
        rows = ", ".join(["()"] * count)
        self._connection.exec_driver_sql(f"INSERT INTO {name} () VALUES {rows}")  # noqa: S608 quoted by the dialect

    def _to_sql(self, rows: pa.Table, method: Callable[[str, sa.Connection, pa.Table], int]) -> None:
        # to_sql would build a Python object per cell; a one-row frame names the columns, and the method sends the Arrow
        # table.
        columns_alone = pd.DataFrame(index=[0], columns=rows.column_names, dtype=object)
        columns_alone.to_sql(
            self._table.name, self._connection, if_exists="append", index=False, method=partial(_count, method, rows)
        )

    def _load_data(self, table: str, connection: sa.Connection, rows: pa.Table) -> int:
        loaded, warnings = load_data(connection, table, rows, self._max_packet)
        if warnings:
            warning = connection.exec_driver_sql("SHOW WARNINGS LIMIT 1").first()
            counted = _PARTIAL_LOAD.format(loaded=loaded, sent=rows.num_rows, warnings=warnings)
            raise SilentCoercionError(f"{counted}: {warning[2]}" if warning else counted)
        return loaded

    def _new_ids(self, count: int) -> pd.arrays.ArrowExtensionArray:
        """The ids of the `count` rows that were inserted last, in the order in which they were sent."""
        if self._id is None:
            return pd.arrays.ArrowExtensionArray(pa.array(np.zeros(count, dtype=np.int64)))
        type_ = arrow_type(self._table[self._id.name])
        if self._highest is None:
            return pd.arrays.ArrowExtensionArray(pa.nulls(0, type_))
        inserted = sa.select(self._id).select_from(sa.table(self._table.name)).where(self._id > self._highest)
        # The lowest and the highest come from the index, however many rows are between.
        ends = inserted.with_only_columns(sa.func.min(self._id), sa.func.max(self._id))
        first, last = self._connection.execute(ends).one()
        if count and first is not None and last - first == (count - 1) * self._increment:
            # Arrow adds in the id's own type: an unsigned id may exceed numpy's int64.
            ids = pc.add(pa.array(np.arange(count) * self._increment, type_), pa.scalar(first, type_))
        else:
            ids = self._read_ids_apart(inserted, type_)
            if len(ids) != count:
                counts = f"{count} rows were sent and {len(ids)} are there"
                raise TableError(f"{counts}; a trigger or another tool interferes")
        self._highest = self._highest if last is None else int(last)
        return pd.arrays.ArrowExtensionArray(ids)

    def _read_ids_apart(self, inserted: sa.Select[Any], type_: pa.DataType) -> pa.Array:
        """The ids of rows between which others have inserted theirs."""
        assert self._id is not None
        parts = [part for _, part in read_keys_packed(self._connection, self._table, self._id.name, (), self._highest)]
        if any(part is None for part in parts):
            return pa.array(self._connection.scalars(inserted.order_by(self._id)).all(), type_)
        return pa.concat_arrays(
            [part.column(0).combine_chunks() for part in parts if part is not None] or [pa.nulls(0, type_)]
        )


def _count(
    method: Callable[[str, sa.Connection, pa.Table], int],
    rows: pa.Table,
    table: SQLTable,
    connection: sa.Connection,
    _keys: list[str],
    _data: Iterable[Any],
) -> int:
    """A method of `to_sql`: sends the Arrow table in place of the one-row frame, and requires that all rows load."""
    loaded = method(table.name, connection, rows)
    if loaded != rows.num_rows:
        raise SilentCoercionError(_PARTIAL_LOAD.format(loaded=loaded, sent=rows.num_rows, warnings=0))
    return loaded


def _insert(table: str, connection: sa.Connection, rows: pa.Table) -> int:
    return insert_rows(connection, table, rows)
