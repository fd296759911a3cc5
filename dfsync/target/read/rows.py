"""The rows of a target table: all of them, or those of given ids."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from dfsync.model import frames
from dfsync.model.schema import Column, Table
from dfsync.model.types import arrow_type
from dfsync.stages.conform.canonical import canonicalize

log = logging.getLogger(__name__)
# It shows the traceback of every connection that is lost, which we tell of in a sentence.
logging.getLogger("sqlalchemy.pool").addHandler(logging.NullHandler())
_ROWS_PER_STATEMENT = 50_000
# Beyond some fifty thousand MySQL forgets its index (range_optimizer_max_mem_size).
_IDS_PER_STATEMENT = 10_000
# A date of the target that is no date, like 0000-00-00, comes as text and is taken for the first day that is one.
_ZERO_DATE = {pa.date32(): dt.date.min, pa.timestamp("us"): dt.datetime.min}


def highest_id(connection: sa.Connection, table: Table, id_column: str) -> int:
    """The highest id, 0 where there is none; at the cost of one look into the index."""
    return int(connection.scalar(sa.select(sa.func.max(sa.column(id_column))).select_from(sa.table(table.name))) or 0)


def id_span(connection: sa.Connection, table: Table, id_column: str) -> int:
    """How many ids there are from the lowest to the highest; at the cost of two looks into the index."""
    own_id: Any = sa.column(id_column)
    ends = sa.select(sa.func.min(own_id), sa.func.max(own_id)).select_from(sa.table(table.name))
    lowest, highest = connection.execute(ends).one()
    return 0 if highest is None else int(highest) - int(lowest) + 1


def read_rows(
    connection: sa.Connection, table: Table, id_column: str | None, columns: Sequence[Column], unkeyed: Sequence[str]
) -> Iterator[pd.DataFrame]:
    """Whole rows, indexed by `new_id`, in batches by ascending id: all, or those with a NULL in `unkeyed`."""
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
    """The columns of the rows of those ids that are there, by ascending `new_id`, the index."""
    names = [column.name for column in columns]
    own_id: Any = sa.column(id_column)
    select = select_columns(table, id_column, names).order_by(own_id)
    ordered = sorted(int(i) for i in ids)
    parts = [fetch_batch(connection, select.where(sa.false()), table, id_column, names)]
    for start in range(0, len(ordered), _IDS_PER_STATEMENT):
        chunk = ordered[start : start + _IDS_PER_STATEMENT]
        where: Any = own_id.between(chunk[0], chunk[-1])
        if chunk[-1] - chunk[0] + 1 > len(chunk):
            where = sa.and_(where, own_id.in_(chunk))
        parts.append(fetch_batch(connection, select.where(where), table, id_column, names))
    return pd.concat(parts)


def select_columns(table: Table, id_column: str | None, names: Sequence[str]) -> Any:
    own_id = sa.column(id_column) if id_column else sa.literal(0)
    return sa.select(own_id, *(_select_expression(table[name]) for name in names)).select_from(sa.table(table.name))


def fetch_batch(
    connection: sa.Connection, select: Any, table: Table, id_column: str | None, names: Sequence[str]
) -> pd.DataFrame:
    rows = connection.execute(select).fetchall()
    columns = zip(*rows, strict=True) if rows else ([] for _ in range(len(names) + 1))
    id_type = arrow_type(table[id_column]) if id_column else pa.int64()
    types = [id_type, *(arrow_type(table[name]) for name in names)]
    arrays = [_array(values, type_) for values, type_ in zip(columns, types, strict=True)]
    arrays[1:] = [canonicalize(array, table[name]) for array, name in zip(arrays[1:], names, strict=True)]
    return frames.target_frame(arrays[0], pa.table(arrays[1:], names=[str(i) for i in range(len(names))]), names)


def _array(values: Sequence[Any], type_: Any) -> Any:
    try:
        return pa.array(values, type=type_)
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        if type_ not in _ZERO_DATE:
            raise
        # Value by value: the rare table that holds such dates.
        dates = [_ZERO_DATE[type_] if isinstance(value, str) else value for value in values]
        return pa.array(dates, type=type_)


def _select_expression(column: Column) -> Any:
    """The column as the driver should hand it over: kinds that travel as text come as text."""
    plain: Any = sa.column(column.name)
    if column.kind in ("time", "json", "other"):
        return sa.cast(plain, sa.CHAR).label(column.name)
    if column.kind in ("bit", "float"):
        # A sum shows the bits as a number, and all digits of a FLOAT, which is shown short of some otherwise.
        return (plain + sa.literal_column("0e0" if column.kind == "float" else "0")).label(column.name)
    return plain
