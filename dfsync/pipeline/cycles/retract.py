"""Target rows that this run inserted for orphans are deleted again, children before parents."""

from __future__ import annotations

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
from dfsync.target.write.delete import delete_descending, null_self_references


def delete_orphans(connection: sa.Connection, binding: TableBinding, ids: NewIds) -> None:
    """Delete rows of a table that no row outside the `ids` refers to.

    Parameters
    ----------
    connection
        The target, in a transaction.
    binding
        The table, which has a surrogate id.
    ids
        The target's ids of the rows, in any order.
    """
    null_self_references(connection, binding, ids.tolist())
    levels = _levels(connection, binding, ids)
    for run in _descending_runs([np.sort(level)[::-1] for level in reversed(levels)]):
        delete_descending(connection, binding, run.tolist())


def _descending_runs(levels: list[NewIds]) -> list[NewIds]:
    """The ids of the levels one after the other, in parts that descend: a statement deletes its rows in that order, and
    rows that were inserted parents first have all of them in one part.
    """
    ordered: NewIds = np.concatenate(levels)
    return np.split(ordered, np.flatnonzero(ordered[1:] > ordered[:-1]) + 1)


def _levels(connection: sa.Connection, binding: TableBinding, ids: NewIds) -> list[NewIds]:
    """The target ids, parents first. Ascending ids are not enough: a target row that got the values of a duplicate may
    refer to a later one.
    """
    columns = {column.name: column for column in binding.columns}
    foreign_keys = [column for column, parent in binding.plan.parents.items() if parent == binding.plan.name]
    values = binding.self_references_by_value()
    requested = [columns[name] for name in dict.fromkeys([*foreign_keys, *values, *values.values()])]
    if not requested:
        return [np.sort(ids)]
    rows = lookup_by_id(connection, binding.target, binding.id or "", requested, ids.tolist())
    new_ids = rows.index.to_numpy()
    known_ids, rows = pa.array(new_ids, binding.id_type), rows.reset_index(drop=True)
    positions = {
        name: pc.index_in(frames.as_arrow(rows[name]).cast(binding.id_type), value_set=known_ids)
        for name in foreign_keys
    }
    references = pd.DataFrame({name: frames.series(column) for name, column in positions.items()}, index=rows.index)
    for name, referenced in values.items():
        references[name] = value_owners(connection, columns[referenced], rows[name], rows[referenced])
    parents = parent_positions(references)
    return [new_ids[level] for level in [*topological_levels(parents), cyclic_or_downstream(parents)]]
