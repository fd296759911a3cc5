"""Which rows of the same table have to be inserted before a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from dfsync.model.frames import empty_frame
from dfsync.model.schema import Column
from dfsync.model.types import OldIds
from dfsync.pipeline.table.context import KEY_BATCH_ROWS, TableContext
from dfsync.pipeline.table.extract import extract
from dfsync.stages.conform.conform import conform
from dfsync.stages.row_order import cycle_rejects
from dfsync.target.collation import value_owners


def row_dependencies(table: TableContext) -> pd.DataFrame:
    """Read which rows of the same table each row needs to be inserted before it.

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
    foreign_keys = table.binding.required_self_references
    values = table.binding.self_references_by_value()
    if not foreign_keys and not values:
        return pd.DataFrame()
    references = reference_ids(table, foreign_keys)
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
        Ascending; only these rows. None reads all.

    Returns
    -------
    DataFrame
        Index `old_id`; the columns as Arrow int64, NULL for what is no id.
    """
    source_columns = table.binding.source_columns([c for c in table.binding.columns if c.name in columns])
    nullable = [replace(column, nullable=True) for column in source_columns]
    return _read_conformed(table, nullable, ids, keep_rejects=True)


def read_values(table: TableContext, column: str, ids: OldIds) -> pd.Series[Any]:
    """Read the values of one column.

    Parameters
    ----------
    table
        The table.
    column
        The column's name.
    ids
        Ascending; only these rows.

    Returns
    -------
    Series
        Index `old_id`; the values as the target holds them (Arrow dtype), without NULL.
    """
    nullable = [replace(c, nullable=True) for c in table.binding.columns if c.name == column]
    return _read_conformed(table, nullable, ids)[column].dropna()


def rejects_of_cycle(table: TableContext, dependencies: pd.DataFrame, ids: OldIds, cycle: OldIds) -> list[pd.DataFrame]:
    """Make the reject frames of rows that need rows of a cycle; see `dfsync.stages.row_order.cycle_rejects`.

    Parameters
    ----------
    table
        The table.
    dependencies
        As `row_dependencies` gives them.
    ids
        Ascending: the rows to reject.
    cycle
        The rows of the cycle.

    Returns
    -------
    list of DataFrame
        Reject frames.
    """
    read = extract(table, list(dependencies.columns), table.batch_size, ids)
    return [cycle_rejects(rows, dependencies, cycle) for rows in read]


def _owners(table: TableContext, column: str, referenced: str) -> pd.Series[int]:
    """For each row the old id of the row whose `referenced` is equal to the value in `column`."""
    columns = [replace(c, nullable=True) for c in table.binding.columns if c.name in (column, referenced)]
    rows = _read_conformed(table, columns)
    referenced_column = next(c for c in columns if c.name == referenced)
    return value_owners(table.connection, referenced_column, rows[column], rows[referenced])


def _read_conformed(
    table: TableContext, columns: Sequence[Column], ids: OldIds | None = None, *, keep_rejects: bool = False
) -> pd.DataFrame:
    """Columns as the target holds them; rows that do not conform are left out, or kept with NULL in all of them."""
    parts = [empty_frame(columns)]
    for rows in extract(table, [column.name for column in columns], KEY_BATCH_ROWS, ids):
        conformed = conform(rows, columns).frame
        parts.append(conformed.reindex(rows.index) if keep_rejects else conformed)
    return pd.concat(parts)
