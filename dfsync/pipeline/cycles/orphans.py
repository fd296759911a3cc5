"""Tables in a cycle after their rows were inserted: orphans become rejects, and deferred foreign keys get their values.

An orphan is an inserted row that refers to a row without a target row, or to another orphan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from dfsync.model import frames
from dfsync.model.batch import ValueNote
from dfsync.model.rejects import no_rejects
from dfsync.model.types import Mask, NewIds, Positions
from dfsync.pipeline.cycles.member import OrphanMember
from dfsync.pipeline.cycles.promotion import has_candidate, promote_duplicates, promote_or_reject_duplicates
from dfsync.pipeline.table.extract import extract
from dfsync.plan.model import ForeignKey
from dfsync.stages.remap import EMPTIED, Absence, new_ids, orphan_rejects, orphan_rejects_by_value
from dfsync.stages.row_order import DANGLING, NULL_REF, needing
from dfsync.target.write.update import update


def resolve_orphans(
    members: Sequence[OrphanMember], maps: Mapping[str, pd.DataFrame], *, dry_run: bool
) -> dict[str, NewIds]:
    """Reject orphans until none is left, since one orphan makes the next.

    The target row of an orphan is handed to another row of its natural key where one can replace it.

    Parameters
    ----------
    members
        The tables of the cycle whose rows were inserted.
    maps
        For each table of the cycle, also of one that is only matched, a frame with the column `old_id` (Arrow int64) of
        the rows that have a target row.
    dry_run
        Write nothing.

    Returns
    -------
    dict
        By table the ids of the target rows to delete.
    """
    resolved_ids: dict[str, pd.Index[int]] = {name: pd.Index(mapping[frames.OLD_ID]) for name, mapping in maps.items()}

    # A row of the source that an orphan refers to has no target row, or is another orphan.
    absences = {
        member.binding.plan.name: Absence(
            np.concatenate([member.ledger.old_id, member.ledger.without_target_row()]), "nor in the source"
        )
        for member in members
    }

    def refresh(member: OrphanMember) -> None:
        resolved_ids[member.binding.plan.name] = pd.Index(member.ledger.old_id[member.ledger.resolved])

    while True:
        orphans = _all_orphans(members, resolved_ids)
        for member, columns_at_fault in zip(members, orphans, strict=True):
            if len(columns_at_fault):
                _reject(member, columns_at_fault, absences)
                promote_duplicates(member, dry_run=dry_run)
                refresh(member)
        if any(map(len, orphans)):
            continue
        # No orphan is left that could free a blocked duplicate: those of one table become rejects, and may free others.
        blocked = next((member for member in members if len(member.unclaimed)), None)
        if blocked is None:
            break
        promote_or_reject_duplicates(blocked, dry_run=dry_run)
        refresh(blocked)
    ledgers = {member.binding.plan.name: member.ledger for member in members}
    return {name: ledger.new_id[ledger.created & ~ledger.resolved] for name, ledger in ledgers.items()}


def empty_references(member: OrphanMember, maps: Mapping[str, pd.DataFrame], *, dry_run: bool) -> pd.DataFrame:
    """Give up the deferred foreign keys of which the parent has no target row, where they may be NULL.

    Parameters
    ----------
    member
        A table without orphans. Its `references` are NULL in these cells afterwards.
    maps
        As for `fill_deferred`.
    dry_run
        Write nothing.

    Returns
    -------
    DataFrame
        The reject frame of the rows that the target refused.
    """
    binding, references = member.binding, member.references
    names = [name for name in binding.optional_references if name in references.columns]
    found = {name: new_ids(references[name], maps[binding.plan.parents[name]]) for name in names}
    lost = pd.DataFrame({name: references[name].notna() & found[name].isna() for name in names}, dtype=bool)
    ids = references.index.to_numpy()
    notes = [ValueNote(name, EMPTIED, ids[lost[name].to_numpy()]) for name in names]
    member.cycle_member.sync.record(no_rejects(), [note for note in notes if len(note.ids)])
    member.references = frames.with_columns(references, {name: references[name].mask(lost[name]) for name in names})
    # The parent went in, and the row with its id, before the parent turned out to be an orphan.
    rows = member.ledger.positions(references.index)
    cells = lost[[name for name in names if name in member.cycle_member.early]]
    cells = frames.with_columns(
        cells, {name: cells[name] & member.cycle_member.early[name][rows] for name in cells.columns}
    )
    cells = cells[cells.any(axis=1).to_numpy(dtype=bool)]
    if cells.empty or dry_run or binding.id is None:
        return no_rejects()
    nulls = pd.DataFrame({name: frames.nulls_like(references.loc[cells.index, name]) for name in cells.columns})
    return update(member.table.connection, binding.target, member.target_ids(cells.index), nulls, cells)


def fill_deferred(member: OrphanMember, maps: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Write the deferred foreign keys of the inserted rows, save those that they were inserted with.

    Parameters
    ----------
    member
        A table without orphans.
    maps
        For each table referred to `old_id` and `new_id` (Arrow integers) of its rows.

    Returns
    -------
    DataFrame
        The reject frame of the rows that the target refused.
    """
    binding = member.binding
    deferred = [name for name in member.references.columns if name in binding.plan.deferred]
    rows = member.ledger.positions(member.references.index)
    references = member.references[deferred]
    for name, early in member.cycle_member.early.items():
        references = frames.with_columns(references, {name: references[name].mask(early[rows])})
    references = references[references.notna().any(axis=1).to_numpy(dtype=bool)]
    if references.empty or binding.id is None:
        return no_rejects()
    values = pd.DataFrame({name: new_ids(references[name], maps[binding.plan.parents[name]]) for name in deferred})
    target_ids = member.target_ids(values.index)
    return update(member.table.connection, binding.target, target_ids, values, values.notna().astype(bool))


def _all_orphans(members: Sequence[OrphanMember], resolved_ids: Mapping[str, pd.Index[int]]) -> list[pd.Series[int]]:
    """The orphans of each table: index `old_id`, the number of the first column at fault.

    An orphan with a candidate is left out of the search: what refers to it may keep its target row.
    """
    starts = np.cumsum([0, *(len(member.references) for member in members)])
    graph = _reference_graph(members, starts, resolved_ids)
    orphans = needing(graph, np.zeros(len(graph), dtype=bool))
    at_fault = graph == DANGLING
    if len(graph):
        at_fault |= (graph >= 0) & orphans[np.maximum(graph, 0)]
    first_column = at_fault.argmax(axis=1)
    of_members = []
    for member, start in zip(members, starts, strict=False):
        rows = slice(start, start + len(member.references))
        ids = member.references.index[orphans[rows]]
        of_members.append(pd.Series(first_column[rows][orphans[rows]], ids, dtype="int64"))
    return of_members


def _reference_graph(
    members: Sequence[OrphanMember], starts: Positions, resolved_ids: Mapping[str, pd.Index[int]]
) -> Positions:
    """The rows of all members' `references` one after the other, and by column the row that each refers to.

    `NULL_REF` stands for a row that no orphan can take the target row from, `DANGLING` for one without a target row.
    """
    names = [member.binding.plan.name for member in members]
    graph = np.full((starts[-1], max(len(member.references.columns) for member in members)), NULL_REF)
    for member, start in zip(members, starts, strict=False):
        rows = slice(start, start + len(member.references))
        for slot, (column, parent) in enumerate(member.parents().items()):
            references = member.references[column]
            unresolved = _is_unresolved(references, resolved_ids[parent])
            needed = ~_is_optional(member, column, members[names.index(parent)] if parent in names else None)
            if parent in names:
                number = names.index(parent)
                nodes = _nodes(members[number], starts[number], references, unresolved)
                graph[rows, slot] = np.where(needed, nodes, NULL_REF)
            graph[rows, slot][unresolved & needed] = DANGLING
    if not len(graph):
        return graph
    replaceable = np.concatenate([has_candidate(member) for member in members])
    return np.where((graph >= 0) & replaceable[np.maximum(graph, 0)], NULL_REF, graph)


def _is_optional(member: OrphanMember, column: str, parent: OrphanMember | None) -> Mask:
    """In which rows the reference may become NULL for want of a parent.

    Not in a row that is recognised by its content, where only the inserts can show that the parent gets no target row:
    the next run would look for the row with its parent, and insert it again.
    """
    references = member.references[column]
    if column not in member.binding.optional_references:
        return np.zeros(len(references), dtype=bool)
    optional = np.ones(len(references), dtype=bool)
    if parent is not None and len(member.cycle_member.keyless_ids):
        keyless = np.isin(references.index.to_numpy(), member.cycle_member.keyless_ids)
        optional &= ~(keyless & references.isin(parent.cycle_member.matchable_ids).to_numpy(dtype=bool))
    return optional


def _is_unresolved(references: pd.Series[int], resolved_ids: pd.Index[int]) -> Mask:
    """Which references lead to a row without a target row."""
    resolved = references.fillna(0).astype("int64").isin(resolved_ids).to_numpy(dtype=bool)
    return references.notna().to_numpy(dtype=bool) & ~resolved


def _nodes(parent: OrphanMember, start: int, references: pd.Series[int], unresolved: Mask) -> Positions:
    """The position, counted from `start`, of the row that inserted the target row of each row referred to; `NULL_REF`
    where this run did not insert it.
    """
    ledger = parent.ledger
    nodes: Positions = np.full(len(references), NULL_REF)
    linked = np.flatnonzero(references.notna().to_numpy(dtype=bool) & ~unresolved)
    ids = references.iloc[linked].to_numpy(dtype=np.int64).astype(np.int64)
    representatives = ledger.representative_id[ledger.positions(ids)]
    positions = parent.references.index.get_indexer(pd.Index(representatives))
    nodes[linked] = np.where(positions < 0, NULL_REF, positions + start)
    return nodes


def _reject(member: OrphanMember, orphans: pd.Series[int], absences: Mapping[str, Absence]) -> None:
    """Reject orphans (index `old_id`), each for the column of this number; their target rows are unclaimed then."""
    table, ledger = member.table, member.ledger
    values = member.binding.self_references_by_value()
    for slot, (column, parent) in enumerate(member.parents().items()):
        ids = orphans.index[orphans == slot]
        if column in values:
            for rows in extract(table, [column], table.batch_size, np.sort(ids.to_numpy())):
                ledger.record_reject(orphan_rejects_by_value(rows[column], parent, values[column]))
        else:
            references = member.references.loc[ids, column]
            ledger.record_reject(orphan_rejects(references, ForeignKey(column, parent), absences.get(parent)))
    member.references = member.references.drop(index=orphans.index)
    member.attempted[ledger.positions(orphans.index)] = True
    member.unclaimed = np.union1d(member.unclaimed, orphans.index.to_numpy())
