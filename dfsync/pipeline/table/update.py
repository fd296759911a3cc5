"""Rows that the target has already, brought to the source's values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from dfsync.model import frames
from dfsync.model.batch import ValueNote
from dfsync.model.frames import INSERTED, MATCHED, empty_frame
from dfsync.model.rejects import no_rejects
from dfsync.model.schema import Column
from dfsync.pipeline.table.context import TableContext
from dfsync.pipeline.table.extract import read_batches
from dfsync.pipeline.table.keys import fetch_rows_by_key
from dfsync.pipeline.table.ledger import RowLedger
from dfsync.stages.diff import diff
from dfsync.target.read.rows import lookup_by_id
from dfsync.target.write.update import update


@dataclass(frozen=True)
class UpdatedBatch:
    """What became of the matched rows of one batch.

    Attributes
    ----------
    ids
        The `old_id` of the rows whose target rows took the source's values.
    unfit
        The reject frame of the rows whose values do not fit: their target rows stay as they are.
    notes
        The values that the target cannot hold as they are.
    """

    ids: pd.Index[int]
    unfit: pd.DataFrame
    notes: Sequence[ValueNote]


def update_rows(table: TableContext, ledger: RowLedger, *, dry_run: bool) -> Iterator[UpdatedBatch]:
    """Give matched rows whose content differs the source's values.

    Of several source rows with one target row the one of the lowest id counts. The natural key never changes.

    Parameters
    ----------
    table
        The table.
    ledger
        Says which rows are matched; only read.
    dry_run
        Find the rows, and write nothing.

    Yields
    ------
    UpdatedBatch
        By ascending `old_id`.
    """
    binding = table.binding
    key = set(binding.key_names)
    columns = [column for column in binding.columns if column.name not in key]
    ids = ledger.old_id[ledger.with_action(MATCHED) & ledger.lowest_of_group()]
    if not key or not columns or not len(ids):
        return
    read = columns if binding.id else binding.columns
    for batch in read_batches(table, read, table.batch_size, ids, deferred=()):
        target_rows, by = _target_rows(table, ledger, batch.frame, columns)
        if dry_run:
            target_rows = pd.concat([target_rows, _dry_run_rows(table, ledger, batch.frame.index, columns)])
        values = batch.frame.loc[target_rows.index, list(target_rows.columns)]
        cells = diff(values, target_rows)
        changed = cells.index[cells.any(axis=1).to_numpy(dtype=bool)]
        refused = no_rejects() if dry_run else update(table.connection, binding.target, by, values, cells)
        unfit = pd.concat([refused, batch.rejects])
        yield UpdatedBatch(changed.difference(refused.index), unfit, batch.notes)


def _target_rows(
    table: TableContext, ledger: RowLedger, rows: pd.DataFrame, columns: list[Column]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The target rows of these rows, by `old_id`, and what names each in the target: its id, else its natural key."""
    binding = table.binding
    names = [column.name for column in columns]
    if binding.id is None:
        key = binding.key_names
        found, _ = fetch_rows_by_key(table.connection, binding, rows, [*key, *names])
        return found[names], found[key]
    # Rows that another client inserted since the snapshot, or deleted, are not there.
    new_ids = ledger.new_id[ledger.positions(rows.index)]
    found = lookup_by_id(table.connection, binding.target, binding.id, columns, new_ids.tolist())
    position = found.index.get_indexer(pd.Index(new_ids))
    old_ids = rows.index[position >= 0]
    by = pd.DataFrame({binding.id: frames.series(pa.array(new_ids[position >= 0]))}).set_axis(old_ids)
    return found.iloc[position[position >= 0]].set_axis(old_ids), by


def _dry_run_rows(table: TableContext, ledger: RowLedger, ids: pd.Index[Any], columns: list[Column]) -> pd.DataFrame:
    """Of these rows those that share a target row which a run would insert, with the values that it would have."""
    representatives = ledger.representative_id[ledger.positions(ids)]
    inserted = ledger.with_action(INSERTED)[ledger.positions(representatives)]
    batches = read_batches(table, columns, table.batch_size, np.unique(representatives[inserted]), deferred=())
    rows = pd.concat([empty_frame(columns), *(batch.frame for batch in batches)])
    return pd.DataFrame(rows.loc[representatives[inserted]].set_axis(ids[inserted]))
