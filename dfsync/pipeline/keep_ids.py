"""Rows whose ids mean the same in both databases, such as a row 0 that an application knows by its number.

A rare path: a handful of rows, which the plan names one by one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from dfsync.model.rejects import no_rejects, reject_frame
from dfsync.model.types import OldIds
from dfsync.pipeline.table.context import TableContext
from dfsync.pipeline.table.extract import read_batches
from dfsync.pipeline.table.ledger import RowLedger
from dfsync.pipeline.table.load import LoadedBatch
from dfsync.target.read.rows import lookup_by_id
from dfsync.target.write.with_ids import insert_with_ids


@dataclass(frozen=True)
class KeptRows:
    """What becomes of the source rows whose ids the plan keeps.

    Attributes
    ----------
    present
        int64: the target has a row of this id, which is the row, whatever its values are.
    lacking
        int64: the target has neither such a row nor one of its natural key.
    rejects
        The reject frame of the rows whose natural key another row of the target has, and of the other rows whose target
        row is that of a kept id: which is the same row only a person can say, so none is changed.
    """

    present: OldIds
    lacking: OldIds
    rejects: pd.DataFrame


def find_kept(table: TableContext, ledger: RowLedger) -> KeptRows:
    """Look for the target rows of the kept ids.

    Parameters
    ----------
    table
        The table.
    ledger
        What the match found, as if no id were kept; only read.

    Returns
    -------
    KeptRows
    """
    binding = table.binding
    kept = table.is_kept(ledger.old_id)
    ids = ledger.old_id[kept]
    if binding.id is None or not len(ids):
        return KeptRows(ids[:0], ids[:0], no_rejects())
    found = lookup_by_id(table.connection, binding.target, binding.id, [], ids.tolist())
    present = np.isin(ids, np.asarray(found.index))
    taken = ledger.resolved[kept] & ~present
    owners = ledger.new_id[kept][taken]
    reasons = [
        f"keep_ids: the target has no row of id {old}, and its row {new} has this natural key; give that row the id "
        f"{old} there, or take {old} out of keep_ids"
        for old, new in zip(ids[taken], owners, strict=True)
    ]
    of_kept = (reject_frame(ids[taken], binding.id, [str(old) for old in ids[taken]], reasons), _others(table, ledger))
    return KeptRows(ids[present], ids[~present & ~taken], pd.concat(of_kept))


def _others(table: TableContext, ledger: RowLedger) -> pd.DataFrame:
    """The reject frame of the rows that have the target row of a kept id, and not the natural key of the kept row."""
    to_kept = ledger.resolved & table.is_kept(ledger.new_id) & np.isin(ledger.new_id, ledger.old_id)
    with_kept = np.isin(ledger.new_id, ledger.new_id[to_kept & (ledger.old_id == ledger.new_id)])
    rows = to_kept & ~with_kept & ~table.is_kept(ledger.old_id)
    reasons = [
        f"keep_ids: its target row {new} is the source's row {new}, which has another natural key; change one of the "
        f"keys, or take {new} out of keep_ids"
        for new in ledger.new_id[rows]
    ]
    ids = ledger.old_id[rows]
    return reject_frame(ids, table.binding.id, [str(old) for old in ids], reasons)


def insert_kept(table: TableContext, ids: OldIds, *, dry_run: bool) -> LoadedBatch:
    """Insert source rows under their own ids.

    Parameters
    ----------
    table
        The table.
    ids
        int64, ascending: the rows, whose ids the target lacks.
    dry_run
        Write nothing.

    Returns
    -------
    LoadedBatch
        The new ids are the old ones.
    """
    batches = list(read_batches(table, table.binding.columns, table.batch_size, ids))
    frame = pd.concat([batch.frame for batch in batches])
    notes = [note for batch in batches for note in batch.notes]
    refused = no_rejects()
    if not dry_run and table.binding.id is not None:
        refused = insert_with_ids(table.connection, table.binding.target, table.binding.id, frame)
    taken = frame.index.difference(refused.index)
    rejects = pd.concat([refused, *(batch.rejects for batch in batches)])
    return LoadedBatch(pd.Series(taken.to_numpy(), index=taken), rejects, notes, refused.index.to_numpy())
