"""Rows of this run that turned out to be orphans, out of the target again: before each one those that refer to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from dfsync import frames, target
from dfsync.equality import owners
from dfsync.levels import levels, unreached
from dfsync.shape import Shape

_AT_ONCE = 1_000


def take_back(connection: sa.Connection, shape: Shape, ids: Sequence[Any]) -> None:
    """Deletes the rows of these target ids."""
    quote = connection.dialect.identifier_preparer.quote_identifier
    own_id = quote(shape.id or "")
    _empty_values(connection, shape, ids)
    for level in reversed(_levels(connection, shape, ids)):
        for start in range(0, len(level), _AT_ONCE):
            chunk = tuple(level[start : start + _AT_ONCE].tolist())
            listed = ", ".join(["%s"] * len(chunk))
            statement = f"DELETE FROM {quote(shape.target.name)} WHERE {own_id} IN ({listed}) ORDER BY {own_id} DESC"  # noqa: S608 quoted by the dialect
            connection.exec_driver_sql(statement, chunk)


def _empty_values(connection: sa.Connection, shape: Shape, ids: Sequence[Any]) -> None:
    """Empties the nullable columns that refer to the same table by a value: a row may do so to itself."""
    values = [column.name for column in shape.target.pick(shape.own_values()) if column.nullable]
    if not values:
        return
    own_id: Any = sa.column(shape.id or "")
    there = sa.table(shape.target.name, own_id, *(sa.column(name) for name in values))
    for start in range(0, len(ids), _AT_ONCE):
        chunk = list(ids[start : start + _AT_ONCE])
        connection.execute(sa.update(there).values(dict.fromkeys(values)).where(own_id.in_(chunk)))


def _levels(connection: sa.Connection, shape: Shape, ids: Sequence[Any]) -> list[Any]:
    """The target ids, parents first. Their order alone does not tell: a row that was taken over may refer to a later
    one."""
    columns = {column.name: column for column in shape.columns}
    own, values = [c for c, parent in shape.plan.parents.items() if parent == shape.plan.name], shape.own_values()
    wanted = [columns[name] for name in dict.fromkeys([*own, *values, *values.values()])]
    if not wanted:
        return [np.sort(np.array(ids, shape.id_dtype))]
    rows = target.find_rows(connection, shape.target, shape.id or "", wanted, ids)
    new_ids = rows.index.to_numpy()
    known, rows = pa.array(new_ids, shape.id_type), rows.reset_index(drop=True)
    references = {name: pc.index_in(frames.arrow(rows[name]).cast(shape.id_type), value_set=known) for name in own}
    made = pd.DataFrame({name: frames.series(place) for name, place in references.items()}, index=rows.index)
    for name, referenced in values.items():
        made[name] = owners(connection, columns[referenced], rows[name], rows[referenced])
    return [new_ids[level] for level in [*levels(made), unreached(made)]]
