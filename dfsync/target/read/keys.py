"""The natural keys of the target's rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import sqlalchemy as sa

from dfsync.model import frames
from dfsync.model.schema import Column, Table
from dfsync.target import packet
from dfsync.target.collation import cast_as_column, has_non_ascii
from dfsync.target.read.packed import PACKABLE_KINDS, read_keys_packed
from dfsync.target.read.rows import fetch_batch, select_columns

_KEYS_PER_STATEMENT = 500


def read_keys(connection: sa.Connection, table: Table, id_column: str | None, key: Sequence[str]) -> pd.DataFrame:
    """The natural key of every row, in the Arrow types of `types.arrow_type`; index `new_id` (int64 or uint64; 0 where
    the table has no surrogate id).
    """
    columns = table.pick(key)
    select = select_columns(table, id_column, key)
    if id_column is None or not {column.kind for column in columns} <= PACKABLE_KINDS:
        return fetch_batch(connection, select, table, id_column, key)
    own_id: Any = sa.column(id_column)
    parts = [fetch_batch(connection, select.where(sa.false()), table, id_column, key)]
    last = None
    for highest, batch in read_keys_packed(connection, table, id_column, columns):
        if batch is None:
            after = own_id <= highest if last is None else own_id.between(last + 1, highest)
            parts.append(fetch_batch(connection, select.where(after), table, id_column, key))
        else:
            parts.append(frames.target_frame(batch.column(0), batch.drop_columns([batch.column_names[0]]), key))
        last = highest
    return pd.concat(parts)


def lookup_by_key(
    connection: sa.Connection,
    table: Table,
    id_column: str | None,
    key: Sequence[str],
    wanted: pd.DataFrame,
    columns: Sequence[str] | None = None,
) -> pd.DataFrame:
    """As `read_keys`, of the rows alone whose key the server finds equal to one of `wanted` (the key's columns).

    `columns` are wanted in place of the key's.
    """
    names = columns or key
    select = select_columns(table, id_column, names)
    parts = [fetch_batch(connection, select.where(sa.false()), table, id_column, names)]
    keys = sa.tuple_(*(sa.column(c) for c in key)) if len(key) > 1 else sa.column(key[0])
    for chunk in packet.chunks(wanted, packet.max_allowed_packet(connection) // 3, _KEYS_PER_STATEMENT):
        part = frames.to_arrow(chunk)
        sides = [_bind_values(table[name], part.column(place)) for place, name in enumerate(key)]
        rows = zip(*sides, strict=True)
        if len(key) == 1:
            values: list[Any] = [row[0] for row in rows]
        else:
            # Plain values are bound much faster than expressions are compiled.
            plain = not any(isinstance(side[0], sa.ColumnElement) for side in sides)
            values = [row if plain else sa.tuple_(*row) for row in rows]
        parts.append(fetch_batch(connection, select.where(keys.in_(values)), table, id_column, names))
    return pd.concat(parts)


def _bind_values(column: Column, values: Any) -> list[Any]:
    """The values for a comparison with the column.

    What its character set lacks the server may refuse to compare, or compare wrongly together with values that it has:
    as the column would hold it, it finds a row too many, which the caller's own comparison leaves out.
    """
    listed: list[Any] = values.to_pylist()
    if column.charset in (None, "utf8mb4") or not has_non_ascii(values):
        return listed
    return [cast_as_column(column, sa.literal(value)) for value in listed]
