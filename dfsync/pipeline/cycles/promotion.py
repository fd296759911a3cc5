"""The target row of an orphan is handed to a duplicate: another source row of the same natural key.

A duplicate is tried once, since a row that was an orphan stays one. It is blocked while it depends on an orphan whose
target row is unclaimed: their target rows would refer to each other, and could not even be deleted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from dfsync.model import frames
from dfsync.model.types import Mask, OldIds, Positions
from dfsync.pipeline.cycles.dependencies import rejects_of_cycle
from dfsync.pipeline.cycles.member import OrphanMember
from dfsync.pipeline.table.extract import RejectLog, read_batches
from dfsync.pipeline.table.load import with_deferred_nulls
from dfsync.stages.remap import new_ids
from dfsync.stages.row_order import cyclic_or_downstream, old_ids, parent_positions
from dfsync.target.write.update import update

_NO_IDS: OldIds = np.array([], np.int64)


@dataclass(frozen=True)
class Candidates:
    """The rows that may get the target row of an orphan; positions are those of the ledger.

    Attributes
    ----------
    duplicates
        Ascending: all rows not yet attempted that share an unclaimed target row.
    ready
        Ascending: for each of these target rows the first duplicate that is not blocked.
    blocking
        The rows that depend, at any distance, on a row whose target row is unclaimed. A duplicate that refers to one of
        them is blocked.
    """

    duplicates: Positions
    ready: Positions
    blocking: OldIds


def promote_duplicates(member: OrphanMember, *, dry_run: bool) -> None:
    """Hand each unclaimed target row to the first duplicate that can replace the orphan.

    The other rows of the natural key stay matched to that target row; where no duplicate can, none of them is. A target
    row whose remaining duplicates are all blocked stays unclaimed.

    Parameters
    ----------
    member
        A table with unclaimed target rows. The ledger, `references`, `attempted` and `unclaimed` are changed.
    dry_run
        Write nothing.
    """
    blocked = _promote_ready(member, dry_run=dry_run).duplicates
    settle_groups(member, np.unique(member.ledger.representative_id[blocked]))


def promote_or_reject_duplicates(member: OrphanMember, *, dry_run: bool) -> None:
    """Hand unclaimed target rows to duplicates, and reject the duplicates that are still blocked.

    Parameters
    ----------
    member
        As for `promote_duplicates`; afterwards no target row of it is unclaimed.
    dry_run
        Write nothing.
    """
    blocked = _promote_ready(member, dry_run=dry_run)
    member.attempted[blocked.duplicates] = True
    ids = member.ledger.old_id[blocked.duplicates]
    for rejects in rejects_of_cycle(member.table, member.dependencies, ids, blocked.blocking):
        member.ledger.record_reject(rejects)
    settle_groups(member, _NO_IDS)


def has_candidate(member: OrphanMember) -> Mask:
    """Say which inserted rows have a duplicate that was not attempted.

    Parameters
    ----------
    member
        A table.

    Returns
    -------
    Mask
        One bool for each row of `references`.
    """
    ledger = member.ledger
    duplicates = ledger.resolved & ~member.attempted & ~ledger.is_representative
    return np.isin(member.references.index.to_numpy(), ledger.representative_id[duplicates])


def candidates(member: OrphanMember) -> Candidates:
    """Find the duplicates that share an unclaimed target row, and which of them can be tried now.

    Parameters
    ----------
    member
        A table.

    Returns
    -------
    Candidates
        All empty where no duplicate is left.
    """
    ledger = member.ledger
    unclaimed = np.isin(ledger.representative_id, member.unclaimed)
    duplicates = np.flatnonzero(ledger.resolved & ~member.attempted & unclaimed)
    blocking = _dependents_of_unclaimed(member) if len(duplicates) else _NO_IDS
    unblocked = duplicates[~_refers_to(member, ledger.old_id[duplicates], blocking)]
    _, first = np.unique(ledger.representative_id[unblocked], return_index=True)
    return Candidates(duplicates, np.sort(unblocked[first]), blocking)


def promote(member: OrphanMember, positions: Positions, *, dry_run: bool) -> None:
    """Try to hand target rows to duplicates.

    A duplicate that does not conform, or whose values the target refuses, becomes a reject; its target row stays
    unclaimed.

    Parameters
    ----------
    member
        A table.
    positions
        Positions in the ledger, ascending, one row of each natural key.
    dry_run
        Write nothing: every row that conforms replaces the orphan.
    """
    table, ledger = member.table, member.ledger
    member.attempted[positions] = True
    log = RejectLog()
    batches = map(log.take, read_batches(table, table.binding.columns, table.batch_size, ledger.old_id[positions]))
    promoted_ids = np.concatenate([_NO_IDS, *(_overwrite(member, rows, dry_run=dry_run) for rows in batches)])
    member.cycle_member.sync.record(log.rejects(), log.notes)
    promoted = ledger.positions(promoted_ids)
    member.unclaimed = np.setdiff1d(member.unclaimed, ledger.representative_id[promoted])
    ledger.take_over(promoted)
    member.references = pd.concat([member.references, member.read_references(promoted_ids)])


def settle_groups(member: OrphanMember, open_groups: OldIds) -> None:
    """Record what becomes of natural keys whose duplicates were tried.

    Parameters
    ----------
    member
        A table.
    open_groups
        Ascending: the orphans whose target row stays unclaimed. Every other unclaimed target row is given up, and no
        row of its natural key is resolved any more.
    """
    ledger = member.ledger
    given_up = np.setdiff1d(member.unclaimed, open_groups)
    ledger.unresolve(np.isin(ledger.representative_id, given_up))
    ledger.demote(member.attempted & ledger.resolved & ~ledger.is_representative)
    member.unclaimed = open_groups


def _promote_ready(member: OrphanMember, *, dry_run: bool) -> Candidates:
    """Promote until no duplicate is ready, which ends since each is tried once; gives those that are blocked."""
    current = candidates(member)
    while len(current.ready):
        promote(member, current.ready, dry_run=dry_run)
        current = candidates(member)
    return current


def _refers_to(member: OrphanMember, ids: OldIds, referenced: OldIds) -> Mask:
    """Which rows depend on one of the `referenced`, without another between them."""
    if not len(referenced):
        return np.zeros(len(ids), dtype=bool)
    return member.dependencies.loc[ids].isin(referenced).any(axis=1).to_numpy(dtype=bool)


def _dependents_of_unclaimed(member: OrphanMember) -> OldIds:
    """The rows whose target row this run inserted, and that depend, at any distance, on one that is unclaimed."""
    dependencies, ledger = member.dependencies, member.ledger
    if not len(dependencies.columns):
        return _NO_IDS
    inserted = ledger.old_id[ledger.created]
    # In the columns of a mapping, so that `new_ids` gives the representative of each row referred to.
    representatives = frames.from_arrow(
        pa.table([ledger.old_id, ledger.representative_id], names=[frames.OLD_ID, frames.NEW_ID])
    )
    rows = dependencies.loc[inserted]
    references = pd.DataFrame({name: new_ids(rows[name], representatives) for name in dependencies.columns})
    # An unclaimed row counts as one that depends on itself, so that it and its dependents are in no level.
    self_references = frames.series(pa.array(inserted, mask=~np.isin(inserted, member.unclaimed)))
    references = pd.concat([references, self_references.set_axis(rows.index)], axis=1)
    dependents = old_ids(references, cyclic_or_downstream(parent_positions(references)))
    return ledger.old_id[np.isin(ledger.representative_id, dependents)]


def _overwrite(member: OrphanMember, rows: pd.DataFrame, *, dry_run: bool) -> OldIds:
    """Write the values of rows, one of each natural key, to their target row; gives those that were not refused."""
    values = with_deferred_nulls(member.table, rows)
    if dry_run:
        return values.index.to_numpy()
    cells = pd.DataFrame(True, index=values.index, columns=values.columns)
    target_ids = member.target_ids(values.index)
    refused = update(member.table.connection, member.binding.target, target_ids, values, cells)
    member.ledger.record_reject(refused)
    return values.index.difference(refused.index).to_numpy()
