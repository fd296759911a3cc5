"""The rows of a target table: all of them, or those of given ids."""

from __future__ import annotations

import datetime as dt
import logging
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from dfsync.model import frames
from dfsync.model.schema import Column, Table
from dfsync.model.types import Mask, NewIds, arrow_type
from dfsync.stages.conform.canonical import canonicalize
from dfsync.target.quoting import one_of, quote_literal_identifier

log = logging.getLogger(__name__)
# The pool logs the traceback of every lost connection, which the program reports in a sentence.
logging.getLogger("sqlalchemy.pool").addHandler(logging.NullHandler())
_ROWS_PER_STATEMENT = 50_000
# With some fifty thousand MySQL no longer uses the index (range_optimizer_max_mem_size).
_IDS_PER_STATEMENT = 10_000
# Up to so many ids from the first to the last for each that is asked for, a range is read faster than a list.
_RANGE_RATIO = 2
# The driver returns 0000-00-00, which is no date, as text; it becomes the first day that is one.
_ZERO_DATE = {pa.date32(): dt.date.min, pa.timestamp("us"): dt.datetime.min}


def highest_id(connection: sa.Connection, table: Table, id_column: str) -> int:
    """The highest id of a table, from its index.

    Parameters
    ----------
    connection
        The target.
    table
        The target's table.
    id_column
        Its surrogate id.

    Returns
    -------
    int
        0 where the table is empty.
    """
    return int(connection.scalar(sa.select(sa.func.max(sa.column(id_column))).select_from(sa.table(table.name))) or 0)


def next_id(connection: sa.Connection, table: Table) -> int | None:
    """The id that the target's AUTO_INCREMENT gives to the next row of a table.

    Parameters
    ----------
    connection
        The target.
    table
        The target's table.

    Returns
    -------
    int or None
        As `SHOW CREATE TABLE` has it, since what information_schema says may be a day old. None where the sql_mode
        keeps that from saying it.

    References
    ----------
    https://dev.mysql.com/doc/refman/9.7/en/server-system-variables.html#sysvar_information_schema_stats_expiry
    """
    name = quote_literal_identifier(connection.dialect, table.name)
    # The driver would take a percent sign in the name for a parameter.
    unformatted = {"no_parameters": True}
    definition = str(connection.exec_driver_sql(f"SHOW CREATE TABLE {name}", execution_options=unformatted).one()[1])
    # Behind the last parenthesis of the columns: a comment of a column may say anything.
    found = re.match(r" ENGINE=\w+(?: AUTO_INCREMENT=(\d+))?", definition.rpartition("\n)")[2])
    return int(found[1] or 1) if found else None


def id_span(connection: sa.Connection, table: Table, id_column: str) -> int:
    """How many ids there are from the lowest to the highest, from the index.

    Parameters
    ----------
    connection
        The target.
    table
        The target's table.
    id_column
        Its surrogate id.

    Returns
    -------
    int
        0 where the table is empty; at least the number of its rows.
    """
    own_id: sa.ColumnElement[Any] = sa.column(id_column)
    ends = sa.select(sa.func.min(own_id), sa.func.max(own_id)).select_from(sa.table(table.name))
    lowest, highest = connection.execute(ends).one()
    return 0 if highest is None else int(highest) - int(lowest) + 1


def read_rows(
    connection: sa.Connection, table: Table, id_column: str | None, columns: Sequence[Column], unkeyed: Sequence[str]
) -> Iterator[pd.DataFrame]:
    """Read the rows of a table, batch by batch.

    Parameters
    ----------
    connection
        The target.
    table
        The target's table.
    id_column
        Its surrogate id; None where it has none, and then all rows are one batch.
    columns
        The columns to read.
    unkeyed
        Read only the rows with a NULL in one of these columns; all rows where it is empty.

    Yields
    ------
    pandas.DataFrame
        By ascending id: index `new_id` (int64 or uint64; 0 where there is no surrogate id), the columns in the Arrow
        dtypes of `model.types.arrow_type`.
    """
    names = [column.name for column in columns]
    select = select_columns(table, id_column, names)
    if unkeyed:
        select = select.where(sa.or_(*(sa.column(name).is_(None) for name in unkeyed)))
    if id_column is None:
        yield fetch_batch(connection, select, table, id_column, names)
        return
    last: int | None = None
    ordered = select.order_by(sa.column(id_column)).limit(_ROWS_PER_STATEMENT)
    while True:
        after = ordered if last is None else ordered.where(sa.column(id_column) > last)
        frame = fetch_batch(connection, after, table, id_column, names)
        if not len(frame):
            return
        yield frame
        last = int(frame.index[-1])


def lookup_by_id(
    connection: sa.Connection, table: Table, id_column: str, columns: Sequence[Column], ids: Sequence[int]
) -> pd.DataFrame:
    """Read the rows of these ids.

    Parameters
    ----------
    connection
        The target.
    table
        The target's table.
    id_column
        Its surrogate id.
    columns
        The columns to read.
    ids
        The ids, in any order. An id that the table lacks is ignored.

    Returns
    -------
    pandas.DataFrame
        By ascending id: index `new_id` (int64 or uint64), the columns in the Arrow dtypes of `model.types.arrow_type`.
    """
    names = [column.name for column in columns]
    own_id: sa.ColumnElement[Any] = sa.column(id_column)
    select = select_columns(table, id_column, names).order_by(own_id)
    ordered = sorted(int(i) for i in ids)
    found = [no_rows(table, id_column, names)]
    for start in range(0, len(ordered), _IDS_PER_STATEMENT):
        batch = ordered[start : start + _IDS_PER_STATEMENT]
        where: sa.ColumnElement[bool] = own_id.between(batch[0], batch[-1])
        if batch[-1] - batch[0] + 1 > len(batch):
            where = sa.and_(where, one_of(own_id, batch))
        found.append(fetch_batch(connection, select.where(where), table, id_column, names))
    return pd.concat(found)


def which_exist(connection: sa.Connection, table: Table, id_column: str, ids: NewIds) -> Mask:
    """Look which ids a table has, without reading those that lie close together one by one.

    Parameters
    ----------
    connection
        The target.
    table
        The target's table.
    id_column
        Its surrogate id.
    ids
        The ids, ascending and unique. There may be millions.

    Returns
    -------
    Mask
        One bool per id.
    """
    starts = range(0, len(ids), _IDS_PER_STATEMENT)
    found = [_which_exist(connection, table, id_column, ids[start : start + _IDS_PER_STATEMENT]) for start in starts]
    return np.concatenate([np.zeros(0, dtype=bool), *found])


def _which_exist(connection: sa.Connection, table: Table, id_column: str, ids: NewIds) -> Mask:
    own_id: sa.ColumnElement[Any] = sa.column(id_column)
    first, last = int(ids[0]), int(ids[-1])
    within = own_id.between(first, last)
    span = last - first + 1
    if span == len(ids):
        number = sa.select(sa.func.count(own_id.distinct())).select_from(sa.table(table.name)).where(within)
        if connection.scalar(number) == span:
            return np.ones(len(ids), dtype=bool)
    wanted = within if span <= _RANGE_RATIO * len(ids) else one_of(own_id, ids.tolist())
    rows = connection.execute(sa.select(own_id).select_from(sa.table(table.name)).where(wanted)).scalars()
    there: Mask = np.isin(ids, np.fromiter(rows, ids.dtype))
    return there


def select_columns(table: Table, id_column: str | None, names: Sequence[str]) -> sa.Select[Any]:
    """The query of a table's id and columns, for `fetch_batch`.

    Parameters
    ----------
    table
        The target's table.
    id_column
        Its surrogate id; None selects 0 in its place.
    names
        The columns to read.

    Returns
    -------
    sqlalchemy.Select
        The id first, then the columns in this order.
    """
    own_id = sa.column(id_column) if id_column else sa.literal(0)
    return sa.select(own_id, *(_select_expression(table[name]) for name in names)).select_from(sa.table(table.name))


def fetch_batch(
    connection: sa.Connection, select: sa.Select[Any], table: Table, id_column: str | None, names: Sequence[str]
) -> pd.DataFrame:
    """Run a query of `select_columns`, narrowed or ordered as the caller likes.

    Parameters
    ----------
    connection
        The target.
    select
        The query.
    table
        The target's table.
    id_column
        Its surrogate id, as `select` was given it.
    names
        The columns, as `select` was given them.

    Returns
    -------
    pandas.DataFrame
        Index `new_id` (int64 or uint64), the columns in the Arrow dtypes of `model.types.arrow_type`, their values
        canonical (`stages.conform.canonical`).
    """
    return _as_frame(connection.execute(select).fetchall(), table, id_column, names)


def no_rows(table: Table, id_column: str | None, names: Sequence[str]) -> pd.DataFrame:
    """Make a frame as `fetch_batch` does, without rows.

    Parameters
    ----------
    table, id_column, names
        As in `fetch_batch`.

    Returns
    -------
    pandas.DataFrame
        Index `new_id`, the columns in their dtypes.
    """
    return _as_frame([], table, id_column, names)


def _as_frame(rows: Sequence[Any], table: Table, id_column: str | None, names: Sequence[str]) -> pd.DataFrame:
    columns = zip(*rows, strict=True) if rows else ([] for _ in range(len(names) + 1))
    id_type = arrow_type(table[id_column]) if id_column else pa.int64()
    types = [id_type, *(arrow_type(table[name]) for name in names)]
    arrays = [_array(values, type_) for values, type_ in zip(columns, types, strict=True)]
    arrays[1:] = [canonicalize(array, table[name]) for array, name in zip(arrays[1:], names, strict=True)]
    return frames.target_frame(arrays[0], pa.table(arrays[1:], names=[str(i) for i in range(len(names))]), names)


def _array(values: Sequence[Any], type_: pa.DataType) -> pa.Array:
    try:
        return pa.array(values, type=type_)
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        if type_ not in _ZERO_DATE:
            raise
        # Value by value: only where a table holds such dates.
        dates = [_ZERO_DATE[type_] if isinstance(value, str) else value for value in values]
        return pa.array(dates, type=type_)


def _select_expression(column: Column) -> sa.ColumnElement[Any]:
    """The column as the driver should return it: kinds that are kept as text are read as text."""
    plain: sa.ColumnElement[Any] = sa.column(column.name)
    if column.kind in ("time", "json", "other"):
        return sa.cast(plain, sa.CHAR).label(column.name)
    if column.kind in ("bit", "float"):
        # A sum is the bits as a number, and has all digits of a FLOAT, which is otherwise rounded to six.
        return (plain + sa.literal_column("0e0" if column.kind == "float" else "0")).label(column.name)
    return plain
