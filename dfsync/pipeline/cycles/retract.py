"""Rows of this run that turned out to be orphans, out of the target again: before each one those that refer to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from dfsync.model import frames
from dfsync.model.types import NewIds
from dfsync.plan.binding import TableBinding
from dfsync.stages.row_order import cyclic_or_downstream, parent_positions, topological_levels
from dfsync.target.collation import value_owners
from dfsync.target.read.rows import lookup_by_id
from dfsync.target.write.delete import IDS_PER_STATEMENT, null_self_references


def delete_orphans(connection: sa.Connection, shape: TableBinding, ids: Sequence[Any]) -> None:
    """Deletes the rows of these target ids."""
    quote = connection.dialect.identifier_preparer.quote_identifier
    own_id = quote(shape.id or "")
    null_self_references(connection, shape, ids)
    for run in _descending_runs([np.sort(level)[::-1] for level in reversed(_levels(connection, shape, ids))]):
        for start in range(0, len(run), IDS_PER_STATEMENT):
            chunk = tuple(run[start : start + IDS_PER_STATEMENT].tolist())
            listed = ", ".join(["%s"] * len(chunk))
            statement = f"DELETE FROM {quote(shape.target.name)} WHERE {own_id} IN ({listed}) ORDER BY {own_id} DESC"  # noqa: S608 quoted by the dialect
            connection.exec_driver_sql(statement, chunk)


def _descending_runs(levels: list[NewIds]) -> list[NewIds]:
    """The ids of the levels one after the other, in parts that descend: a statement deletes its rows in that order, and
    rows that were inserted parents first have all of them in one part.
    """
    ordered: NewIds = np.concatenate(levels)
    return np.split(ordered, np.flatnonzero(ordered[1:] > ordered[:-1]) + 1)


def _levels(connection: sa.Connection, shape: TableBinding, ids: Sequence[Any]) -> list[Any]:
    """The target ids, parents first. Their order alone does not tell: a row that was taken over may refer to a later
    one.
    """
    columns = {column.name: column for column in shape.columns}
    own, values = (
        [c for c, parent in shape.plan.parents.items() if parent == shape.plan.name],
        shape.self_references_by_value(),
    )
    wanted = [columns[name] for name in dict.fromkeys([*own, *values, *values.values()])]
    if not wanted:
        return [np.sort(np.array(ids, shape.id_dtype))]
    rows = lookup_by_id(connection, shape.target, shape.id or "", wanted, ids)
    new_ids = rows.index.to_numpy()
    known, rows = pa.array(new_ids, shape.id_type), rows.reset_index(drop=True)
    references = {name: pc.index_in(frames.as_arrow(rows[name]).cast(shape.id_type), value_set=known) for name in own}
    made = pd.DataFrame({name: frames.series(place) for name, place in references.items()}, index=rows.index)
    for name, referenced in values.items():
        made[name] = value_owners(connection, columns[referenced], rows[name], rows[referenced])
    parents = parent_positions(made)
    return [new_ids[level] for level in [*topological_levels(parents), cyclic_or_downstream(parents)]]
