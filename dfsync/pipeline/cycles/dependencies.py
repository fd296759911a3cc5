"""Which rows of the same table a row needs to be there before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from dfsync.model.frames import empty_frame
from dfsync.model.types import OldIds
from dfsync.pipeline.table.context import KEY_BATCH_ROWS, TableContext
from dfsync.pipeline.table.extract import extract
from dfsync.stages.conform.conform import conform
from dfsync.stages.row_order import cycle_rejects
from dfsync.target.collation import value_owners


def row_dependencies(table: TableContext) -> pd.DataFrame:
    """Read which rows of the same table each row needs.

    Parameters
    ----------
    table
        The table.

    Returns
    -------
    DataFrame
        Index `old_id`; a column of old ids (Arrow int64) for each foreign key to the same table that is not deferred,
        and for each column that refers to it by a value. Without columns where no row needs another.
    """
    plan = table.binding.plan
    own = [column for column, parent in plan.parents.items() if parent == plan.name and column not in plan.deferred]
    values = table.binding.self_references_by_value()
    if not own and not values:
        return pd.DataFrame()
    references = reference_ids(table, own)
    for column, referenced in values.items():
        references[column] = _owners(table, column, referenced)
    return references


def reference_ids(table: TableContext, columns: Sequence[str], ids: OldIds | None = None) -> pd.DataFrame:
    """Read the source's ids in foreign key columns.

    Parameters
    ----------
    table
        The table.
    columns
        Foreign keys.
    ids
        int64, ascending; only these rows. None reads all.

    Returns
    -------
    DataFrame
        Index `old_id`; the columns as Arrow int64, NULL for what is no id.
    """
    as_ids = table.binding.source_columns([column for column in table.binding.columns if column.name in columns])
    nullable = [replace(column, nullable=True) for column in as_ids]
    names = [column.name for column in nullable]
    read = (conform(rows, nullable).frame.reindex(rows.index) for rows in extract(table, names, KEY_BATCH_ROWS, ids))
    return pd.concat([empty_frame(nullable), *read])


def read_values(table: TableContext, column: str, ids: OldIds) -> pd.Series[Any]:
    """Read the values of one column in these rows (int64, ascending) as the target holds them, without NULL."""
    nullable = [replace(c, nullable=True) for c in table.binding.columns if c.name == column]
    read = (conform(rows, nullable).frame for rows in extract(table, [column], KEY_BATCH_ROWS, ids))
    return pd.concat([empty_frame(nullable), *read])[column].dropna()


def rejects_of_cycle(table: TableContext, dependencies: pd.DataFrame, ids: OldIds, cycle: OldIds) -> list[pd.DataFrame]:
    """Make the reject frames of rows that need rows of a cycle; see `dfsync.stages.row_order.cycle_rejects`.

    Parameters
    ----------
    table
        The table.
    dependencies
        As `row_dependencies` gives them.
    ids
        int64, ascending: the rows to reject.
    cycle
        int64: the rows of the cycle.

    Returns
    -------
    list of DataFrame
        Reject frames.
    """
    read = extract(table, list(dependencies.columns), table.batch_size, ids)
    return [cycle_rejects(rows, dependencies, cycle) for rows in read]


def _owners(table: TableContext, column: str, referenced: str) -> pd.Series[int]:
    """For each row the old id of the row whose `referenced` is equal to the value in `column`."""
    both = [replace(c, nullable=True) for c in table.binding.columns if c.name in (column, referenced)]
    read = (conform(rows, both).frame for rows in extract(table, [c.name for c in both], KEY_BATCH_ROWS))
    rows = pd.concat([empty_frame(both), *read])
    referenced_column = next(c for c in both if c.name == referenced)
    return value_owners(table.connection, referenced_column, rows[column], rows[referenced])
