"""Tables that refer to themselves or to each other in a circle: rows that turn out to be orphans go, and what was left
empty at first gets its value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from dfsync import frames
from dfsync.levels import unreached
from dfsync.outcome import Outcome
from dfsync.plan import ForeignKey
from dfsync.remap import new_ids, orphaned, orphaned_by_value
from dfsync.result import INSERTED, MATCHED
from dfsync.table import TablePass
from dfsync.update import update


@dataclass
class Member:
    """One table of a circle, after its rows went in."""

    table: TablePass
    outcome: Outcome
    references: pd.DataFrame
    """Of the inserted rows: the old ids in their foreign keys within the circle; in a column that refers to the same
    table by a value, the old id of the row that has it, if that was inserted. Index `old_id`."""
    tried: Any
    """bool, by place in the outcome: the rows that were orphans, or were asked to take an orphan's target row over."""
    waiting: Any
    """int64, ascending: the orphans whose target row waits for who takes it over."""


def member(table: TablePass, outcome: Outcome, names: Sequence[str]) -> Member:
    """`names` are the tables of the circle."""
    columns = [column for column, parent in table.shape.plan.parents.items() if parent in names]
    references = _references(table, outcome, columns, outcome.old_id[outcome.did(INSERTED)])
    return Member(table, outcome, references, np.zeros(len(outcome), dtype=bool), np.array([], np.int64))


def drop_orphans(members: Sequence[Member], maps: Mapping[str, pd.DataFrame], *, dry_run: bool) -> dict[str, Any]:
    """Takes the rows whose parent has no target row out of the outcomes and into the rejects, until none is left, since
    one orphan makes the next. `maps` has the rows of every table of the circle, also of one that is only matched. Gives
    the target ids to delete, by table.
    """
    there = {name: pd.Index(known[frames.OLD_ID]) for name, known in maps.items()}
    again = True
    while again:
        again = False
        for one in members:
            for column in one.references.columns:
                orphans = _orphans(one, column, there)
                if len(orphans):
                    _reject(one, orphans, column)
                    again = _hand_on(one, there, dry_run=dry_run)
        # Who needs what it is to take over may need it no longer, once all others have found their heirs.
        stuck = next((one for one in members if len(one.waiting) and not again), None)
        if stuck:
            again = _hand_on(stuck, there, dry_run=dry_run, patient=False)
    return {one.table.shape.plan.name: one.outcome.new_id[one.outcome.made() & ~one.outcome.known] for one in members}


def fill(member: Member, connection: sa.Connection, maps: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Gives the deferred foreign keys of the inserted rows their new values; the reject frame of rows refused."""
    shape = member.table.shape
    deferred = [name for name in member.references.columns if name in shape.plan.deferred]
    old = member.references[deferred]
    old = old[old.notna().any(axis=1).to_numpy(dtype=bool)]
    if old.empty or shape.id is None:
        return frames.no_rejects()
    values = pd.DataFrame({name: new_ids(old[name], maps[shape.plan.parents[name]]) for name in deferred})
    return update(connection, shape.target, _by_id(member, values.index), values, values.notna().astype(bool))


def _by_id(member: Member, ids: pd.Index[Any]) -> pd.DataFrame:
    outcome = member.outcome
    own_ids = pa.array(outcome.new_id[outcome.places(ids)])
    return pd.DataFrame({member.table.shape.id: frames.series(own_ids)}).set_axis(ids)


def _references(table: TablePass, outcome: Outcome, columns: Sequence[str], ids: Any) -> pd.DataFrame:
    """As in `Member.references`, of these rows."""
    by_id = table.reference_ids([column for column in columns if column in table.shape.plan.parents], ids)
    # What a matched row has stays in the target, whatever becomes of the inserted ones.
    inserted = outcome.old_id[outcome.made()]
    owners = {name: table.needed.loc[ids, name] for name in table.shape.own_values()}
    return by_id.assign(**{name: old.where(old.isin(inserted)) for name, old in owners.items()})


def _orphans(member: Member, column: str, there: Mapping[str, pd.Index[Any]]) -> pd.Index[Any]:
    plan = member.table.shape.plan
    # A column that is no foreign key to ids refers to its own table by a value.
    parents = there[plan.parents.get(column, plan.name)]
    old = member.references[column]
    lost = old.notna().to_numpy(dtype=bool) & ~old.fillna(0).astype("int64").isin(parents).to_numpy()
    return member.references.index[lost]


def _reject(member: Member, orphans: pd.Index[Any], column: str) -> None:
    table, outcome = member.table, member.outcome
    name, parents, values = table.shape.plan.name, table.shape.plan.parents, table.shape.own_values()
    if column in values:
        read = table.extract([column], table.batch_size, np.sort(orphans.to_numpy()))
        table.rejects.extend(orphaned_by_value(rows[column], name, values[column]) for rows in read)
    else:
        table.rejects.append(orphaned(member.references.loc[orphans, column], ForeignKey(column, parents[column])))
    member.references = member.references.drop(index=orphans)
    member.tried[outcome.places(orphans)] = True
    member.waiting = np.union1d(member.waiting, orphans.to_numpy())


def _hand_on(member: Member, there: dict[str, pd.Index[Any]], *, dry_run: bool, patient: bool = True) -> bool:
    """Of the rows that share the target row of one that waits, by natural key, the first one that fits takes it over:
    each is asked once, since who was an orphan stays one.

    The others of the natural key stay matched to it then; where none fits, none is. Rows that need one that waits, at
    any distance, wait themselves: their target rows would refer to each other, and could not even be deleted. If not
    `patient`, they are rejects.
    """
    table, outcome, tried = member.table, member.outcome, member.tried
    while True:
        heirs = np.flatnonzero(outcome.known & ~tried & np.isin(outcome.first_id, member.waiting))
        stuck = _stuck(member) if len(heirs) else np.array([], np.int64)
        free = heirs[~_leads(table, outcome.old_id[heirs], stuck)]
        free = np.sort(free[np.unique(outcome.first_id[free], return_index=True)[1]])
        if not len(free):
            break
        tried[free] = True
        read = table.read(table.shape.columns, table.batch_size, outcome.old_id[free])
        able = np.concatenate([np.array([], np.int64), *(_take_over(member, rows, dry_run=dry_run) for rows in read)])
        places = outcome.places(able)
        member.waiting = np.setdiff1d(member.waiting, outcome.first_id[places])
        outcome.lead(places)
        outcome.mark(places, INSERTED)
        references = _references(table, outcome, [*member.references.columns], able)
        member.references = pd.concat([member.references, references])
    if not patient:
        tried[heirs] = True
        table.rejects.extend(table.circle_rejects(outcome.old_id[heirs], stuck))
        heirs = heirs[:0]
    waiting = np.unique(outcome.first_id[heirs])
    outcome.known[np.isin(outcome.first_id, np.setdiff1d(member.waiting, waiting))] = False
    outcome.mark(tried & outcome.known & ~outcome.own, MATCHED)
    member.waiting = waiting
    there[table.shape.plan.name] = pd.Index(outcome.old_id[outcome.known])
    return True


def _leads(table: TablePass, ids: Any, stuck: Any) -> Any:
    """bool: the rows (`old_id`) that need one of those."""
    if not len(stuck):
        return np.zeros(len(ids), dtype=bool)
    return table.needed.loc[ids].isin(stuck).any(axis=1).to_numpy(dtype=bool)


def _stuck(member: Member) -> Any:
    """The old ids of the rows whose target rows this run has made, and that need, at any distance, one that waits."""
    needed, outcome = member.table.needed, member.outcome
    if not len(needed.columns):
        return np.array([], np.int64)
    made = outcome.old_id[outcome.made()]
    # As a mapping, so that `new_ids` gives the row that made each one's target row.
    leaders = frames.to_frame(pa.table([outcome.old_id, outcome.first_id], names=[frames.OLD_ID, frames.NEW_ID]))
    rows = needed.loc[made]
    references = pd.DataFrame({name: new_ids(rows[name], leaders) for name in needed.columns})
    # As if it needed itself.
    waits = frames.series(pa.array(made, mask=~np.isin(made, member.waiting))).set_axis(rows.index)
    return outcome.old_id[np.isin(outcome.first_id, unreached(pd.concat([references, waits], axis=1)))]


def _take_over(member: Member, rows: pd.DataFrame, *, dry_run: bool) -> Any:
    """Puts the values of these rows, one of a natural key, into their target row; the `old_id` of those that fit."""
    values = member.table.as_first_sent(rows)
    if dry_run:
        return values.index.to_numpy()
    cells = pd.DataFrame(True, index=values.index, columns=values.columns)
    refused = update(member.table.connection, member.table.shape.target, _by_id(member, values.index), values, cells)
    member.table.rejects.append(refused)
    return values.index.difference(refused.index).to_numpy()
