"""Tables that refer to themselves or to each other in a circle: rows that turn out to be orphans go, and what was left
empty at first gets its value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from dfsync.model import frames
from dfsync.model.frames import INSERTED
from dfsync.model.rejects import no_rejects
from dfsync.model.types import Mask, Positions
from dfsync.pipeline.cycles.dependencies import reference_ids, rejects_of_cycle
from dfsync.pipeline.cycles.member import CycleMember
from dfsync.pipeline.table.context import TableContext
from dfsync.pipeline.table.extract import RejectLog, extract, read_batches
from dfsync.pipeline.table.ledger import RowLedger
from dfsync.pipeline.table.load import with_deferred_nulls
from dfsync.plan.model import ForeignKey
from dfsync.stages.remap import new_ids, orphan_rejects, orphan_rejects_by_value
from dfsync.stages.row_order import (
    DANGLING,
    NULL_REF,
    cyclic_or_downstream,
    needing,
    old_ids,
    parent_positions,
)
from dfsync.target.write.update import update


@dataclass
class OrphanMember:
    """One table of a circle, after its rows went in."""

    member: CycleMember
    references: pd.DataFrame
    """Of the inserted rows: the old ids in their foreign keys within the circle; in a column that refers to the same
    table by a value, the old id of the row that has it, if that was inserted. Index `old_id`."""
    attempted: Any
    """bool, by place in the outcome: the rows that were orphans, or were asked to take an orphan's target row over."""
    unclaimed: Any
    """int64, ascending: the orphans whose target row waits for who takes it over."""

    @property
    def table(self) -> TableContext:
        return self.member.table

    @property
    def ledger(self) -> RowLedger:
        return self.member.sync.ledger


def orphan_member(member: CycleMember, names: Sequence[str]) -> OrphanMember:
    """`names` are the tables of the circle."""
    outcome = member.sync.ledger
    columns = [column for column, parent in member.sync.plan.parents.items() if parent in names]
    references = _references(member, columns, outcome.old_id[outcome.with_action(INSERTED)])
    return OrphanMember(member, references, np.zeros(len(outcome), dtype=bool), np.array([], np.int64))


def resolve_orphans(
    members: Sequence[OrphanMember], maps: Mapping[str, pd.DataFrame], *, dry_run: bool
) -> dict[str, Any]:
    """Takes the rows whose parent has no target row out of the outcomes and into the rejects, until none is left, since
    one orphan makes the next. `maps` has the rows of every table of the circle, also of one that is only matched. Gives
    the target ids to delete, by table.
    """
    there = {name: pd.Index(known[frames.OLD_ID]) for name, known in maps.items()}
    again = True
    while again:
        again = False
        for one, orphans in zip(members, _all_orphans(members, there), strict=True):
            if len(orphans):
                again = True
                _reject(one, orphans)
                _promote_duplicates(one, there, dry_run=dry_run)
        # Who needs what it is to take over may need it no longer, once all others have found their heirs.
        stuck = next((one for one in members if len(one.unclaimed) and not again), None)
        if stuck:
            again = True
            _promote_duplicates(stuck, there, dry_run=dry_run, patient=False)
    return {
        one.table.binding.plan.name: one.ledger.new_id[one.ledger.created & ~one.ledger.resolved] for one in members
    }


def _all_orphans(members: Sequence[OrphanMember], there: Mapping[str, pd.Index[Any]]) -> list[pd.Series[int]]:
    """By table the inserted rows that refer to a row without a target row, or to such an orphan, at any distance: index
    `old_id`, the place of the first column at fault.

    What refers to an orphan is none as long as another row may take its target row over.
    """
    names = [one.table.binding.plan.name for one in members]
    starts = np.cumsum([0, *(len(one.references) for one in members)])
    graph = np.full((starts[-1], max(len(one.references.columns) for one in members)), NULL_REF)
    for one, start in zip(members, starts, strict=False):
        rows = slice(start, start + len(one.references))
        for slot, (column, parent) in enumerate(_parents(one).items()):
            old = one.references[column]
            if parent in names:
                place = names.index(parent)
                graph[rows, slot] = _nodes(members[place], starts[place], old, there[parent])
            else:
                graph[rows, slot] = np.where(_lost(old, there[parent]), DANGLING, NULL_REF)
    kept = np.concatenate([_has_heir(one) for one in members])
    graph = np.where((graph >= 0) & kept[np.maximum(graph, 0)], NULL_REF, graph) if len(kept) else graph
    lost = needing(graph, np.zeros(len(graph), dtype=bool))
    at_fault = (graph == DANGLING) | ((graph >= 0) & lost[np.maximum(graph, 0)]) if len(graph) else graph == DANGLING
    first = at_fault.argmax(axis=1)
    found = []
    for one, start in zip(members, starts, strict=False):
        rows = slice(start, start + len(one.references))
        found.append(pd.Series(first[rows][lost[rows]], one.references.index[lost[rows]], dtype="int64"))
    return found


def _parents(member: OrphanMember) -> dict[str, str]:
    """The table that each column of references leads to; one that is no foreign key to ids refers to its own table by
    a value.
    """
    plan = member.table.binding.plan
    return {column: plan.parents.get(column, plan.name) for column in member.references.columns}


def _lost(old: pd.Series[Any], there: pd.Index[Any]) -> Mask:
    """Which references lead to a row without a target row."""
    lost: Mask = old.notna().to_numpy(dtype=bool) & ~old.fillna(0).astype("int64").isin(there).to_numpy()
    return lost


def _nodes(parent: OrphanMember, start: int, old: pd.Series[Any], there: pd.Index[Any]) -> Positions:
    """The position, counted from `start`, of the row that made the target row of each row referred to; `DANGLING` where
    it has none, `NULL_REF` where it was there before.
    """
    ledger, lost = parent.ledger, _lost(old, there)
    nodes = np.full(len(old), NULL_REF)
    linked = np.flatnonzero(old.notna().to_numpy(dtype=bool) & ~lost)
    owners = ledger.representative_id[ledger.positions(old.iloc[linked].to_numpy(dtype=np.int64))]
    at = parent.references.index.get_indexer(pd.Index(owners))
    nodes[linked] = np.where(at < 0, NULL_REF, at + start)
    nodes[lost] = DANGLING
    return nodes


def _has_heir(member: OrphanMember) -> Mask:
    """Whether another row, which was not asked before, shares the target row of each row of the references."""
    ledger = member.ledger
    able = ledger.resolved & ~member.attempted & ~ledger.is_representative
    shared: Mask = np.isin(member.references.index.to_numpy(), ledger.representative_id[able])
    return shared


def fill_deferred(member: OrphanMember, connection: sa.Connection, maps: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Gives the deferred foreign keys of the inserted rows their new values; the reject frame of rows refused."""
    shape = member.table.binding
    deferred = [name for name in member.references.columns if name in shape.plan.deferred]
    old = member.references[deferred]
    old = old[old.notna().any(axis=1).to_numpy(dtype=bool)]
    if old.empty or shape.id is None:
        return no_rejects()
    values = pd.DataFrame({name: new_ids(old[name], maps[shape.plan.parents[name]]) for name in deferred})
    return update(connection, shape.target, _by_id(member, values.index), values, values.notna().astype(bool))


def _by_id(member: OrphanMember, ids: pd.Index[Any]) -> pd.DataFrame:
    outcome = member.ledger
    own_ids = pa.array(outcome.new_id[outcome.positions(ids)])
    return pd.DataFrame({member.table.binding.id: frames.series(own_ids)}).set_axis(ids)


def _references(member: CycleMember, columns: Sequence[str], ids: Any) -> pd.DataFrame:
    """As in `Member.references`, of these rows."""
    table, outcome = member.table, member.sync.ledger
    by_id = reference_ids(table, [column for column in columns if column in table.binding.plan.parents], ids)
    # What a matched row has stays in the target, whatever becomes of the inserted ones.
    inserted = outcome.old_id[outcome.created]
    owners = {name: member.dependencies.loc[ids, name] for name in table.binding.self_references_by_value()}
    return by_id.assign(**{name: old.where(old.isin(inserted)) for name, old in owners.items()})


def _reject(member: OrphanMember, orphans: pd.Series[int]) -> None:
    """Reject the orphans (index `old_id`), each for the column at this place."""
    table, outcome = member.table, member.ledger
    values = table.binding.self_references_by_value()
    for slot, (column, parent) in enumerate(_parents(member).items()):
        ids = orphans.index[orphans == slot]
        if column in values:
            for rows in extract(table, [column], table.batch_size, np.sort(ids.to_numpy())):
                outcome.record_reject(orphan_rejects_by_value(rows[column], parent, values[column]))
        else:
            outcome.record_reject(orphan_rejects(member.references.loc[ids, column], ForeignKey(column, parent)))
    member.references = member.references.drop(index=orphans.index)
    member.attempted[outcome.positions(orphans.index)] = True
    member.unclaimed = np.union1d(member.unclaimed, orphans.index.to_numpy())


def _promote_duplicates(
    member: OrphanMember, there: dict[str, pd.Index[Any]], *, dry_run: bool, patient: bool = True
) -> bool:
    """Of the rows that share the target row of one that waits, by natural key, the first one that fits takes it over:
    each is asked once, since who was an orphan stays one.

    The others of the natural key stay matched to it then; where none fits, none is. Rows that need one that waits, at
    any distance, wait themselves: their target rows would refer to each other, and could not even be deleted. If not
    `patient`, they are rejects.
    """
    table, outcome, tried = member.table, member.ledger, member.attempted
    while True:
        heirs = np.flatnonzero(outcome.resolved & ~tried & np.isin(outcome.representative_id, member.unclaimed))
        stuck = _depends_on_waiting(member) if len(heirs) else np.array([], np.int64)
        free = heirs[~_depends_on(member.member, outcome.old_id[heirs], stuck)]
        free = np.sort(free[np.unique(outcome.representative_id[free], return_index=True)[1]])
        if not len(free):
            break
        tried[free] = True
        log = RejectLog()
        read = map(log.take, read_batches(table, table.binding.columns, table.batch_size, outcome.old_id[free]))
        able = np.concatenate(
            [np.array([], np.int64), *(_overwrite_target_row(member, rows, dry_run=dry_run) for rows in read)]
        )
        outcome.record_reject(log.rejects())
        places = outcome.positions(able)
        member.unclaimed = np.setdiff1d(member.unclaimed, outcome.representative_id[places])
        outcome.take_over(places)
        references = _references(member.member, [*member.references.columns], able)
        member.references = pd.concat([member.references, references])
    if not patient:
        tried[heirs] = True
        for rejects in rejects_of_cycle(table, member.member.dependencies, outcome.old_id[heirs], stuck):
            outcome.record_reject(rejects)
        heirs = heirs[:0]
    waiting = np.unique(outcome.representative_id[heirs])
    outcome.unresolve(np.isin(outcome.representative_id, np.setdiff1d(member.unclaimed, waiting)))
    outcome.demote(tried & outcome.resolved & ~outcome.is_representative)
    member.unclaimed = waiting
    there[table.binding.plan.name] = pd.Index(outcome.old_id[outcome.resolved])
    return True


def _depends_on(member: CycleMember, ids: Any, stuck: Any) -> Any:
    """bool: the rows (`old_id`) that need one of those."""
    if not len(stuck):
        return np.zeros(len(ids), dtype=bool)
    return member.dependencies.loc[ids].isin(stuck).any(axis=1).to_numpy(dtype=bool)


def _depends_on_waiting(member: OrphanMember) -> Any:
    """The old ids of the rows whose target rows this run has made, and that need, at any distance, one that waits."""
    needed, outcome = member.member.dependencies, member.ledger
    if not len(needed.columns):
        return np.array([], np.int64)
    made = outcome.old_id[outcome.created]
    # As a mapping, so that `new_ids` gives the row that made each one's target row.
    leaders = frames.from_arrow(
        pa.table([outcome.old_id, outcome.representative_id], names=[frames.OLD_ID, frames.NEW_ID])
    )
    rows = needed.loc[made]
    references = pd.DataFrame({name: new_ids(rows[name], leaders) for name in needed.columns})
    # As if it needed itself.
    waits = frames.series(pa.array(made, mask=~np.isin(made, member.unclaimed))).set_axis(rows.index)
    references = pd.concat([references, waits], axis=1)
    stuck = old_ids(references, cyclic_or_downstream(parent_positions(references)))
    return outcome.old_id[np.isin(outcome.representative_id, stuck)]


def _overwrite_target_row(member: OrphanMember, rows: pd.DataFrame, *, dry_run: bool) -> Any:
    """Puts the values of these rows, one of a natural key, into their target row; the `old_id` of those that fit."""
    values = with_deferred_nulls(member.table, rows)
    if dry_run:
        return values.index.to_numpy()
    cells = pd.DataFrame(True, index=values.index, columns=values.columns)
    refused = update(member.table.connection, member.table.binding.target, _by_id(member, values.index), values, cells)
    member.ledger.record_reject(refused)
    return values.index.difference(refused.index).to_numpy()
