"""Rows whose ids mean the same in both databases, such as a row 0 that an application knows by its number.

A rare path: a handful of rows, which the plan names one by one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from dfsync.model.rejects import no_rejects, reject_frame
from dfsync.model.types import NewIds, OldIds
from dfsync.pipeline.known.rekey import FOLLOW, compare_keys
from dfsync.pipeline.session.file_rows import row_name
from dfsync.pipeline.table.context import TableContext
from dfsync.pipeline.table.extract import read_batches
from dfsync.pipeline.table.ledger import RowLedger
from dfsync.pipeline.table.load import LoadedBatch
from dfsync.target.read.rows import lookup_by_id
from dfsync.target.write.loader import BulkLoader
from dfsync.target.write.with_ids import insert_with_ids

_EXAMPLES = 3
_TAKES_IT = "the target takes that of the source"
_KEEPS_IT = 'the target keeps its own; on_match = "update" or on_rekey = "follow" gives it that of the source'
_CONTESTED = (
    "the target keeps its own, since another source row has that key; change one of the keys, or take the id out of "
    "keep_ids"
)


@dataclass(frozen=True)
class KeptRows:
    """What becomes of the source rows whose ids the plan keeps.

    Attributes
    ----------
    present
        int64: the target has a row of this id, which is the row, whatever its values are.
    lacking
        int64: the target has neither such a row nor one of its natural key. Of several files the first one's.
    same
        int64: the rows of other files that have the ids of `lacking`.
    rejects
        The reject frame of the rows whose natural key another row of the target has, and of the other rows whose target
        row is that of a kept id: which is the same row only a person can say, so none is changed.
    followers
        int64, ascending: of those that are `present` the ones whose target row is to take the source's natural key.
    notes
        What the user should know of those with another natural key.
    """

    present: OldIds
    lacking: OldIds
    same: OldIds
    rejects: pd.DataFrame
    followers: OldIds = field(default_factory=lambda: np.array([], np.int64))
    notes: tuple[str, ...] = ()


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
    kept = table.is_kept_row(ledger.old_id)
    ids = ledger.old_id[kept]
    if binding.id is None or not len(ids):
        return KeptRows(ids[:0], ids[:0], ids[:0], no_rejects())
    own = table.own_ids(ids)
    found = lookup_by_id(table.connection, binding.target, binding.id, binding.key, np.unique(own).tolist())
    present = np.isin(own, np.asarray(found.index))
    resolved, owners = ledger.resolved[kept], ledger.new_id[kept]
    # Of rows without a natural key the target may have equal ones by other ids.
    taken = resolved & (owners != own) if binding.key else resolved & ~present
    reasons = [
        f"keep_ids: the target has {'another natural key in its' if there else 'no'} row of id {old}, and its row "
        f"{new} has this natural key; {'change one of them' if there else f'give that row the id {old}'} there, or "
        f"take {old} out of keep_ids"
        for old, new, there in zip(own[taken], owners[taken], present[taken], strict=True)
    ]
    others = _others(table, ledger)
    rejects = reject_frame(ids[taken], binding.id, [str(old) for old in own[taken]], reasons)
    lacking = ids[~present & ~taken]
    _, first = np.unique(table.own_ids(lacking), return_index=True)
    same_rows = np.delete(lacking, first)
    same = KeptRows(ids[present & ~taken], np.sort(lacking[first]), same_rows, pd.concat([rejects, others]))
    # Of several files the first one leads: the others share its target row, whatever their values are.
    usable = np.flatnonzero(present & ~taken)
    leads = usable[np.unique(own[usable], return_index=True)[1]]
    unsure = np.sort(ids[leads[~resolved[leads]]])
    return _compared(table, same, unsure, found, ledger.new_id[ledger.positions(others.index)]) if binding.key else same


def _compared(
    table: TableContext, kept: KeptRows, ids: OldIds, target_rows: pd.DataFrame, contested: NewIds
) -> KeptRows:
    """The kept rows, after their natural keys are compared where the match did not find them equal."""
    if not len(ids):
        return kept
    batches = list(read_batches(table, table.binding.key, table.batch_size, ids, deferred=()))
    now = pd.concat([batch.frame for batch in batches])
    # The kept ids are those of both sides.
    own = table.own_ids(now.index)
    there = target_rows.reindex(own).set_axis(now.index)
    other = compare_keys(table, now, there)
    plan = table.binding.plan
    updates, follows = plan.on_match == "update", plan.on_rekey == FOLLOW
    waiting = np.isin(table.own_ids(other.index), contested) & (not follows)
    found = {
        _CONTESTED: other[waiting],
        _TAKES_IT if updates or follows else _KEEPS_IT: other[~waiting],
    }
    notes = tuple(_note(table, rows, outcome) for outcome, rows in found.items() if len(rows))
    followers = other.index[~waiting].to_numpy(dtype=np.int64) if updates or follows else ids[:0]
    return replace(kept, followers=followers, notes=notes)


def _note(table: TableContext, rows: pd.DataFrame, outcome: str) -> str:
    name = table.binding.plan.name
    examples = [
        f"{column} {change} (ID {row_name(table.source, table.binding.plan, int(old))})"
        for old, column, change in rows.head(_EXAMPLES).itertuples(name=None)
    ]
    have = "row of {} that keep_ids names has" if len(rows) == 1 else "rows of {} that keep_ids names have"
    more = ", ..." if len(rows) > _EXAMPLES else ""
    return f"{len(rows)} {have.format(name)} another natural key in the target: {', '.join(examples)}{more}; {outcome}"


def _others(table: TableContext, ledger: RowLedger) -> pd.DataFrame:
    """The reject frame of the rows that have the target row of a kept id, and not the natural key of the kept row."""
    kept = table.is_kept_row(ledger.old_id)
    own = table.own_ids(ledger.old_id[kept])
    to_kept = ledger.resolved & table.is_kept(ledger.new_id) & np.isin(ledger.new_id, own)
    is_itself = np.zeros(len(ledger), dtype=bool)
    is_itself[kept] = own == ledger.new_id[kept]
    with_kept = np.isin(ledger.new_id, ledger.new_id[to_kept & is_itself])
    rows = to_kept & ~with_kept & ~kept
    reasons = [
        f"keep_ids: its target row {new} is the source's row {new}, which has another natural key; change one of the "
        f"keys, or take {new} out of keep_ids"
        for new in ledger.new_id[rows]
    ]
    ids = ledger.old_id[rows]
    return reject_frame(ids, table.binding.id, [str(old) for old in table.own_ids(ids)], reasons)


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
        The new ids are those that the rows have in their files.
    """
    batches = list(read_batches(table, table.binding.columns, table.batch_size, ids))
    frame = pd.concat([batch.frame for batch in batches])
    notes = [note for batch in batches for note in batch.notes]
    refused = no_rejects()
    if not dry_run and table.binding.id is not None:
        loader = BulkLoader(table.connection, table.binding.target, table.binding.id, local_infile=False)
        refused = insert_with_ids(table.connection, loader, frame, table.own_ids(frame.index))
    taken = frame.index.difference(refused.index)
    rejects = pd.concat([refused, *(batch.rejects for batch in batches)])
    return LoadedBatch(pd.Series(table.own_ids(taken), index=taken), rejects, notes, refused.index.to_numpy())
