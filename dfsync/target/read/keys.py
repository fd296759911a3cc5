"""The natural keys of the target's rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from dfsync.model import frames
from dfsync.model.schema import Column, Table
from dfsync.stages.conform.canonical import canonicalize
from dfsync.target import packet
from dfsync.target.collation import has_non_ascii
from dfsync.target.quoting import one_of
from dfsync.target.read.packed import PACKABLE_KINDS, read_keys_packed
from dfsync.target.read.rows import fetch_batch, no_rows, select_columns

_KEYS_PER_STATEMENT = 500


def read_keys(
    connection: sa.Connection,
    table: Table,
    id_column: str | None,
    key: Sequence[str],
    after: int | None = None,
    until: int | None = None,
) -> pd.DataFrame:
    """Read the natural key of every row of a table, or of the rows of a range of ids.

    Parameters
    ----------
    connection
        The target.
    table
        The target's table.
    id_column
        Its surrogate id; None where it has none.
    key
        The columns of the natural key.
    after, until
        Only the rows whose ids are higher than the first and at most the second; None sets no limit. Not for a table
        without ids.

    Returns
    -------
    pandas.DataFrame
        Index `new_id` (int64 or uint64; 0 where there is no surrogate id), the key's columns in the Arrow dtypes of
        `model.types.arrow_type`.
    """
    columns = table.pick(key)
    select = select_columns(table, id_column, key)
    if id_column is None:
        return fetch_batch(connection, select, table, id_column, key)
    own_id: sa.ColumnElement[Any] = sa.column(id_column)
    if not {column.kind for column in columns} <= PACKABLE_KINDS:
        limits = [own_id > after] if after is not None else []
        limits += [own_id <= until] if until is not None else []
        return fetch_batch(connection, select.where(*limits), table, id_column, key)
    batches = [no_rows(table, id_column, key)]
    last = after
    for highest, batch in read_keys_packed(connection, table, id_column, columns, after, until):
        if batch is None:
            rows = own_id <= highest if last is None else own_id.between(last + 1, highest)
            batches.append(fetch_batch(connection, select.where(rows), table, id_column, key))
        else:
            values = [canonicalize(array, of) for array, of in zip(batch.columns[1:], columns, strict=True)]
            batches.append(frames.target_frame(batch.column(0), pa.table(values, names=batch.column_names[1:]), key))
        last = highest
    return pd.concat(batches)


def lookup_by_key(
    connection: sa.Connection,
    table: Table,
    id_column: str | None,
    key: Sequence[str],
    requested: pd.DataFrame,
    columns: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Read the rows whose natural key the server finds equal to a requested one.

    Parameters
    ----------
    connection
        The target.
    table
        The target's table.
    id_column
        Its surrogate id; None where it has none.
    key
        The columns of the natural key.
    requested
        The key's columns, conformed (Arrow dtypes), no NULL in them.
    columns
        The columns to read; None reads the key's.

    Returns
    -------
    pandas.DataFrame
        As `read_keys`. It may hold rows whose key is equal only because the column's character set replaced a
        character: compare again (`target.collation`).
    """
    names = columns or key
    select = select_columns(table, id_column, names)
    found = [no_rows(table, id_column, names)]
    key_columns = table.pick(key)
    for chunk in packet.chunks(requested, packet.max_allowed_packet(connection) // 3, _KEYS_PER_STATEMENT):
        requested_rows = is_requested(key_columns, frames.to_arrow(chunk))
        found.append(fetch_batch(connection, select.where(requested_rows), table, id_column, names))
    return pd.concat(found)


def is_requested(key: Sequence[Column], requested: pa.Table) -> sa.ColumnElement[bool]:
    """Make the condition that columns hold one of the requested keys.

    Parameters
    ----------
    key
        The columns of the target.
    requested
        Their values, conformed, no NULL among them.

    Returns
    -------
    sqlalchemy.ColumnElement
        The server compares, by the columns' collations.
    """
    columns: list[sa.ColumnElement[Any]] = [sa.column(column.name) for column in key]
    own: sa.ColumnElement[Any] = sa.tuple_(*columns) if len(key) > 1 else columns[0]
    values = [column.to_pylist() for column in requested.columns]
    marks = [_mark(column, of, len(key)) for column, of in zip(key, requested.columns, strict=True)]
    if not any(marks):
        # Binding plain values is much faster than compiling expressions.
        return one_of(own, values[0] if len(key) == 1 else list(zip(*values, strict=True)))
    cells = [[(mark or ":{}").format(f"v{row}_{i}") for row in range(len(requested))] for i, mark in enumerate(marks)]
    listed = ", ".join(f"({', '.join(row)})" for row in zip(*cells, strict=True))
    bound = {f"v{row}_{i}": value for i, of in enumerate(values) for row, value in enumerate(of)}
    return own.op("IN", is_comparison=True)(sa.text(f"({listed})").bindparams(**bound))


def _mark(column: Column, values: pa.ChunkedArray, width: int) -> str | None:
    """The expression of a value for a comparison with the column, its name left open; None for the value itself."""
    # The server may refuse to compare a character that the column's character set lacks, or compare it wrongly. MariaDB
    # finds no key of several columns where one is of UTF-16 or UTF-32 and the values are not. Cast as the column would
    # hold it, it may find a row too many, which the caller's own comparison drops.
    if column.charset in (None, "utf8mb4") or not (width > 1 or has_non_ascii(values)):
        return None
    return f"CONVERT(:{{}} USING {column.charset}) COLLATE {column.collation}"
