"""How many rows the tables of a file have, and from which to which id."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from dfsync.model.errors import DfsyncError
from dfsync.model.partition import Partition
from dfsync.model.schema import Table
from dfsync.model.types import OldIds
from dfsync.source.many.row_ids import Span
from dfsync.source.sqlite import SqliteSource, row_key

_IDS_PER_READ = 1_000_000
TableKey = tuple[str, str | None]
"""A source table, and the column that identifies its rows; None as in `Partition.row_id`."""


def measures(number: int, table: Table, row_id: str | None) -> Iterator[sa.ColumnElement[Any]]:
    """Give the expressions that `read_spans` reads for one table.

    Parameters
    ----------
    number
        The table's place among the others of the query.
    table
        The table.
    row_id
        As in `Partition`.

    Yields
    ------
    sqlalchemy.ColumnElement
        Rows, lowest and highest id; those of a table without ids are places from 1 on.
    """
    rows = sa.table(table.sql_name)
    count = sa.select(sa.func.count()).select_from(rows).scalar_subquery()
    low: sa.ColumnElement[Any] = sa.literal_column("1")
    high: sa.ColumnElement[Any] = count
    if row_id or table.rowid:
        key, _ = row_key(table, row_id)
        # SQLite looks up the lowest and the highest alone, and reads the whole table for both at once.
        low, high = (sa.select(end(key)).select_from(rows).scalar_subquery() for end in (sa.func.min, sa.func.max))
    yield from (measure.label(f"{name} {number}") for name, measure in zip("nlh", (count, low, high), strict=True))


def read_spans(source: SqliteSource, sql: str, keys: Sequence[TableKey]) -> dict[TableKey, Span]:
    """Read how many rows each table of a file has, and their lowest and highest id.

    Parameters
    ----------
    source
        The file.
    sql
        Selects the `measures` of the tables.
    keys
        The tables, in the order of the query.

    Returns
    -------
    dict of TableKey to Span

    Raises
    ------
    DfsyncError
        An id is no integer.
    """
    (row,) = source.run(sql, [], 1).to_pylist()
    values = list(row.values())
    spans = {}
    for place, key in enumerate(keys):
        rows, low, high = values[3 * place : 3 * place + 3]
        if rows and not (isinstance(low, int) and isinstance(high, int)):
            raise DfsyncError(f"The id of {key[0]} holds values that are no integers, so it cannot be a surrogate id.")
        spans[key] = Span(rows, low, high) if rows else Span()
        source.counts[key[0]] = rows
    return spans


def read_ids(source: SqliteSource, table: Table, row_id: str | None) -> OldIds:
    """Read all ids of a table of a file.

    Parameters
    ----------
    source
        The file.
    table
        The table.
    row_id
        As in `Partition`.

    Returns
    -------
    int64 array
        Ascending.
    """
    read = source.tables(Partition(source.path, table.name, row_id, ()), _IDS_PER_READ)
    ids: OldIds = pa.chunked_array([ids for ids, _ in read], pa.int64()).to_numpy()
    return ids
