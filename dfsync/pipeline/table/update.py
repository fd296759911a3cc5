"""Rows that the target has already: compared with the source's, and brought to its values."""

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
from dfsync.model.types import OldIds
from dfsync.output.result import Differing
from dfsync.pipeline.table.context import TableContext
from dfsync.pipeline.table.extract import read_batches
from dfsync.pipeline.table.keys import fetch_rows_by_key
from dfsync.pipeline.table.ledger import RowLedger
from dfsync.stages.diff import CHANGED, cell_differences, diff, no_cell_differences
from dfsync.target.read.rows import lookup_by_id
from dfsync.target.write.update import update

# So many of either kind, those of the lowest ids, take some three seconds.
_MAX_COMPARED_ROWS = 100_000


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
    cells
        In a dry run the cells that a run would update, as of `stages.diff.cell_differences`; else none.
    """

    ids: pd.Index[int]
    unfit: pd.DataFrame
    notes: Sequence[ValueNote]
    cells: pd.DataFrame


@dataclass(frozen=True)
class _Compared:
    """Source rows beside their target rows, by `old_id`; the frames have the same index and columns."""

    source: pd.DataFrame
    target: pd.DataFrame
    cells: pd.DataFrame
    """bool: where they differ."""
    by: pd.DataFrame
    """What names each row in the target: its id, else its natural key."""
    rejects: pd.DataFrame
    notes: Sequence[ValueNote]

    @property
    def changed(self) -> pd.Index[int]:
        """The rows that differ."""
        return self.cells.index[self.cells.any(axis=1).to_numpy(dtype=bool)]

    def differences(self) -> pd.DataFrame:
        """As `stages.diff.cell_differences`, of all columns."""
        found = [no_cell_differences()]
        for name in self.cells.columns:
            differ = self.cells[name].to_numpy(dtype=bool)
            found.append(cell_differences(CHANGED, name, self.source[name][differ], self.target[name][differ]))
        return pd.concat(found).sort_index(kind="stable")


def update_rows(table: TableContext, ledger: RowLedger, known: OldIds, *, dry_run: bool) -> Iterator[UpdatedBatch]:
    """Give matched rows whose content differs the source's values.

    Of several source rows with one target row the one of the lowest id counts. The natural key never changes, and
    where the plan names `update_columns`, only these do. Rows without a key that were matched by their content do not
    differ.

    Parameters
    ----------
    table
        The table.
    ledger
        Says which rows are matched; only read.
    known
        int64, ascending: the rows without a natural key that were matched by their ids. All their columns are compared.
    dry_run
        Find the rows, and write nothing.

    Yields
    ------
    UpdatedBatch
        By ascending `old_id`; those that are `known` behind the others.
    """
    ids = ledger.old_id[ledger.with_action(MATCHED) & ledger.lowest_of_group()]
    chosen = table.binding.plan.update_columns
    for rows, columns in _with_columns(table, ids, known):
        if chosen is not None:
            columns = [column for column in columns if column.name.lower() in map(str.lower, chosen)]
        yield from _update(table, ledger, rows, columns, dry_run=dry_run)


def _update(
    table: TableContext, ledger: RowLedger, ids: OldIds, columns: list[Column], *, dry_run: bool
) -> Iterator[UpdatedBatch]:
    """Bring these columns of rows to the source's values."""
    for batch in _compare(table, ledger, ids, columns, with_new=dry_run):
        refused = no_rejects()
        if not dry_run:
            if table.journal is not None:
                table.journal.note_before(batch.by.loc[batch.changed])
            refused = update(table.connection, table.binding.target, batch.by, batch.source, batch.cells)
        unfit = pd.concat([refused, batch.rejects])
        cells = batch.differences() if dry_run else no_cell_differences()
        yield UpdatedBatch(batch.changed.difference(refused.index), unfit, batch.notes, cells)


def count_differences(table: TableContext, ledger: RowLedger, known: OldIds, *, only_known: bool) -> Differing:
    """Count the rows that the target had before and that have other values there, among the first ones.

    Parameters
    ----------
    table
        The table.
    ledger
        Says which rows are matched; only read.
    known
        As of `update_rows`.
    only_known
        Compare only those that are `known`.

    Returns
    -------
    Differing
    """
    ids = ledger.old_id[ledger.with_action(MATCHED) & ledger.lowest_of_group() & ~ledger.is_new()]
    if only_known:
        ids = ids[np.isin(ids, known)]
    compared, differing, counts = 0, 0, dict.fromkeys(table.binding.names, 0)
    for rows, columns in _with_columns(table, ids, known):
        for batch in _compare(table, ledger, rows[:_MAX_COMPARED_ROWS], columns, with_new=False):
            compared += len(batch.cells) + len(batch.rejects)
            differing += len(batch.changed) + len(batch.rejects)
            for name, count in batch.cells.sum().items():
                counts[str(name)] += int(count)
            for name, count in batch.rejects["column"].value_counts().items():
                counts[str(name)] = counts.get(str(name), 0) + int(count)
    return Differing(compared=compared, rows=differing, columns={name: n for name, n in counts.items() if n})


def _with_columns(table: TableContext, ids: OldIds, known: OldIds) -> Iterator[tuple[OldIds, list[Column]]]:
    """Rows with the columns in which they may differ: those that are known by their ids behind the others."""
    is_known = np.isin(ids, known)
    yield ids[~is_known], _value_columns(table)
    yield ids[is_known], list(table.binding.columns)


def _value_columns(table: TableContext) -> list[Column]:
    """The columns beside the natural key; none without one, for then all are compared by the match."""
    key = set(table.binding.key_names)
    return [column for column in table.binding.columns if column.name not in key] if key else []


def _compare(
    table: TableContext, ledger: RowLedger, ids: OldIds, columns: list[Column], *, with_new: bool
) -> Iterator[_Compared]:
    """Rows (int64, ascending) beside their target rows; `with_new` also beside those that a run would insert."""
    if not columns or not len(ids):
        return
    binding = table.binding
    # Without an id a row is found by its natural key.
    key = [] if binding.id else [column for column in binding.key if column not in columns]
    for batch in read_batches(table, [*key, *columns], table.batch_size, ids, deferred=()):
        target_rows, by = _target_rows(table, ledger, batch.frame, columns)
        if with_new:
            target_rows = pd.concat([target_rows, _dry_run_rows(table, ledger, batch.frame.index, columns)])
        values = batch.frame.loc[target_rows.index, list(target_rows.columns)]
        yield _Compared(values, target_rows, diff(values, target_rows), by, batch.rejects, batch.notes)


def follow_keys(table: TableContext, ledger: RowLedger, ids: OldIds, *, dry_run: bool) -> pd.DataFrame:
    """Give the target rows of rows that were matched by their ids the natural keys that the source has now.

    Parameters
    ----------
    table
        A table with a surrogate id and a natural key.
    ledger
        Says which target row each row has; only read.
    ids
        int64, ascending: the rows.
    dry_run
        Write nothing.

    Returns
    -------
    DataFrame
        The reject frame of the rows that the server refused.
    """
    refused = _follow(table, ledger, ids, dry_run=dry_run)
    # A unique key refuses a key that another row still has. Row by row, backwards: so a chain of them is loosed.
    left = len(ids) + 1
    while not dry_run and 0 < len(refused) < left:
        left = len(refused)
        again = [_follow(table, ledger, np.array([id_]), dry_run=False) for id_ in refused.index.unique()[::-1]]
        refused = pd.concat([no_rejects(), *again]).sort_index(kind="stable")
    return refused


def _follow(table: TableContext, ledger: RowLedger, ids: OldIds, *, dry_run: bool) -> pd.DataFrame:
    refused = [batch.unfit for batch in _update(table, ledger, ids, list(table.binding.key), dry_run=dry_run)]
    return pd.concat([no_rejects(), *refused])


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
