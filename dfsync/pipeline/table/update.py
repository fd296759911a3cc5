"""Rows of a table that the target has already, brought to the source's values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from dfsync.model import frames
from dfsync.model.frames import INSERTED, MATCHED, UPDATED, empty_frame
from dfsync.model.rejects import no_rejects
from dfsync.model.schema import Column
from dfsync.pipeline.table.context import TableContext
from dfsync.pipeline.table.ledger import RowLedger
from dfsync.pipeline.table.match import fetch_rows_by_key
from dfsync.stages.diff import differing_cells
from dfsync.target.read.rows import lookup_by_id
from dfsync.target.write.update import update


def update_table(table: TableContext, outcome: RowLedger, *, dry_run: bool) -> None:
    """Matched rows whose content differs take the source's values, and `updated` becomes their action.

    Of several source rows with one target row the one of the lowest id counts. The natural key never changes.
    """
    shape = table.binding
    key = {column.name for column in shape.key}
    columns = [column for column in shape.columns if column.name not in key]
    ids = outcome.old_id[outcome.with_action(MATCHED) & outcome.lowest_of_group()]
    if not key or not columns or not len(ids):
        return
    earlier, unfit = len(table.rejects), [no_rejects()]
    for frame in table.read(columns if shape.id else shape.columns, table.batch_size, ids, late=()):
        there, by = _target_rows(table, outcome, frame, columns)
        if dry_run:
            there = pd.concat([there, _dry_run_rows(table, outcome, frame.index, columns)])
        values = frame.loc[there.index, list(there.columns)]
        cells = differing_cells(values, there)
        changed = cells.index[cells.any(axis=1).to_numpy(dtype=bool)]
        if not dry_run:
            refused = update(table.connection, shape.target, by, values, cells)
            unfit.append(refused)
            changed = changed.difference(refused.index)
        outcome.set_action(outcome.positions(changed), UPDATED)
    table.note_unfit_updates(pd.concat([*unfit, *(bad[bad.index.isin(ids)] for bad in table.rejects[earlier:])]))


def _target_rows(
    table: TableContext, outcome: RowLedger, frame: pd.DataFrame, columns: list[Column]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The target rows of the frame's rows, by `old_id`, and what names each of them in the target: its id, or else its
    natural key. Without those that another client inserted since the snapshot, or deleted."""
    shape = table.binding
    names = [column.name for column in columns]
    if shape.id is None:
        key = [column.name for column in shape.key]
        rows, _ = fetch_rows_by_key(table.connection, shape, frame, [*key, *names])
        return rows[names], rows[key]
    new_ids = outcome.new_id[outcome.positions(frame.index)]
    rows = lookup_by_id(table.connection, shape.target, shape.id, columns, new_ids.tolist())
    place = rows.index.get_indexer(pd.Index(new_ids))
    here = frame.index[place >= 0]
    by = pd.DataFrame({shape.id: frames.series(pa.array(new_ids[place >= 0]))}).set_axis(here)
    return rows.iloc[place[place >= 0]].set_axis(here), by


def _dry_run_rows(table: TableContext, outcome: RowLedger, ids: pd.Index[Any], columns: list[Column]) -> pd.DataFrame:
    """Of these rows (`old_id`) those that share a target row which the dry run would have inserted, with the values
    that it would have."""
    leaders = outcome.representative_id[outcome.positions(ids)]
    led = outcome.with_action(INSERTED)[outcome.positions(leaders)]
    read = table.read(columns, table.batch_size, np.unique(leaders[led]), late=())
    rows = pd.concat([empty_frame(columns), *read])
    return pd.DataFrame(rows.loc[leaders[led]].set_axis(ids[led]))
