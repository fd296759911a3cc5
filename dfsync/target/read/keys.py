"""The natural keys of the target's rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from dfsync.model import frames
from dfsync.model.schema import Column, Table
from dfsync.target import packet
from dfsync.target.collation import cast_as_column, has_non_ascii
from dfsync.target.read.packed import PACKABLE_KINDS, read_keys_packed
from dfsync.target.read.rows import fetch_batch, select_columns

_KEYS_PER_STATEMENT = 500


def read_keys(connection: sa.Connection, table: Table, id_column: str | None, key: Sequence[str]) -> pd.DataFrame:
    """Read the natural key of every row of a table.

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

    Returns
    -------
    pandas.DataFrame
        Index `new_id` (int64 or uint64; 0 where there is no surrogate id), the key's columns in the Arrow dtypes of
        `model.types.arrow_type`.
    """
    columns = table.pick(key)
    select = select_columns(table, id_column, key)
    if id_column is None or not {column.kind for column in columns} <= PACKABLE_KINDS:
        return fetch_batch(connection, select, table, id_column, key)
    own_id: sa.ColumnElement[Any] = sa.column(id_column)
    batches = [fetch_batch(connection, select.where(sa.false()), table, id_column, key)]
    last = None
    for highest, batch in read_keys_packed(connection, table, id_column, columns):
        if batch is None:
            after = own_id <= highest if last is None else own_id.between(last + 1, highest)
            batches.append(fetch_batch(connection, select.where(after), table, id_column, key))
        else:
            batches.append(frames.target_frame(batch.column(0), batch.drop_columns([batch.column_names[0]]), key))
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
    found = [fetch_batch(connection, select.where(sa.false()), table, id_column, names)]
    key_columns = sa.tuple_(*(sa.column(c) for c in key)) if len(key) > 1 else sa.column(key[0])
    for chunk in packet.chunks(requested, packet.max_allowed_packet(connection) // 3, _KEYS_PER_STATEMENT):
        batch = frames.to_arrow(chunk)
        bound = [_bind_values(table[name], batch.column(position)) for position, name in enumerate(key)]
        rows = zip(*bound, strict=True)
        if len(key) == 1:
            values: list[Any] = [row[0] for row in rows]
        else:
            # Binding plain values is much faster than compiling expressions.
            plain = not any(isinstance(values_of_column[0], sa.ColumnElement) for values_of_column in bound)
            values = [row if plain else sa.tuple_(*row) for row in rows]
        found.append(fetch_batch(connection, select.where(key_columns.in_(values)), table, id_column, names))
    return pd.concat(found)


def _bind_values(column: Column, values: pa.Array) -> list[Any]:
    """The values for a comparison with the column."""
    # The server may refuse to compare a character that the column's character set lacks, or compare it wrongly. Cast as
    # the column would hold it, it may find a row too many, which the caller's own comparison drops.
    listed: list[Any] = values.to_pylist()
    if column.charset in (None, "utf8mb4") or not has_non_ascii(values):
        return listed
    return [cast_as_column(column, sa.literal(value)) for value in listed]
