"""Tables that refer to themselves or to each other in a circle: what was left empty at first gets its value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from dfsync import frames
from dfsync.match import FIRST_ID
from dfsync.remap import MISSING_PARENT, new_ids
from dfsync.result import INSERTED
from dfsync.table import TablePass
from dfsync.update import update

_AT_ONCE = 1_000


@dataclass
class Member:
    """One table of a circle, after its rows went in."""

    table: TablePass
    outcome: pd.DataFrame
    references: pd.DataFrame
    """Of the inserted rows: the old ids in its foreign keys within the circle. Index `old_id`."""


def member(table: TablePass, outcome: pd.DataFrame, names: Sequence[str]) -> Member:
    """`names` are the tables of the circle."""
    columns = [column for column, parent in table.shape.plan.parents.items() if parent in names]
    inserted = outcome.index[(outcome[frames.ACTION] == INSERTED).to_numpy(dtype=bool)]
    return Member(table, outcome, table.reference_ids(columns, inserted.to_numpy()))


def drop_orphans(members: Sequence[Member], maps: Mapping[str, pd.DataFrame]) -> dict[str, list[Any]]:
    """Takes the rows whose parent has no target row out of the outcomes and into the rejects, until none is left, since
    one orphan makes the next. `maps` has the rows of every table of the circle, also of one that is only matched. Gives
    the target ids to delete, by table.
    """
    doomed: dict[str, list[Any]] = {member.table.shape.plan.name: [] for member in members}
    there = {name: pd.Index(known[frames.OLD_ID]) for name, known in maps.items()}
    again = True
    while again:
        again = False
        for one in members:
            name = one.table.shape.plan.name
            for column in one.references.columns:
                orphans = _orphans(one, column, there[one.table.shape.plan.parents[column]])
                if len(orphans):
                    doomed[name] += one.outcome.loc[orphans, frames.NEW_ID].tolist()
                    _reject(one, orphans, column)
                    there[name] = _present(one.outcome)
                    again = True
    return doomed


def fill(member: Member, connection: sa.Connection, maps: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Gives the deferred foreign keys of the inserted rows their new values; the reject frame of rows refused."""
    shape = member.table.shape
    deferred = [name for name in member.references.columns if name in shape.plan.deferred]
    old = member.references[deferred]
    old = old[old.notna().any(axis=1).to_numpy(dtype=bool)]
    if old.empty or shape.id is None:
        return frames.no_rejects()
    values = pd.DataFrame({name: new_ids(old[name], maps[shape.plan.parents[name]]) for name in deferred})
    cells = values.notna().astype(bool)
    frame = values.assign(**{frames.NEW_ID: member.outcome.loc[values.index, frames.NEW_ID]})
    return update(connection, shape.target, shape.id, frame, cells)


def delete(connection: sa.Connection, member: Member, ids: Sequence[Any]) -> None:
    """Takes rows of this run back that turned out to be orphans."""
    shape = member.table.shape
    own_id: Any = sa.column(shape.id or "")
    for start in range(0, len(ids), _AT_ONCE):
        chunk = [int(i) for i in ids[start : start + _AT_ONCE]]
        connection.execute(sa.delete(sa.table(shape.target.name, own_id)).where(own_id.in_(chunk)))


def _present(outcome: pd.DataFrame) -> pd.Index[Any]:
    return outcome.index[outcome[frames.NEW_ID].notna().to_numpy(dtype=bool)]


def _orphans(member: Member, column: str, parents: pd.Index[Any]) -> pd.Index[Any]:
    old = member.references[column]
    lost = old.notna().to_numpy(dtype=bool) & ~old.fillna(0).astype("int64").isin(parents).to_numpy()
    return member.references.index[lost]


def _reject(member: Member, orphans: pd.Index[Any], column: str) -> None:
    outcome = member.outcome
    parent = member.table.shape.plan.parents[column]
    reason = f"{MISSING_PARENT}: {parent} has no row with this id in the target"
    values = member.references.loc[orphans, column].astype(frames.STRING).to_numpy()
    member.table.rejects.append(frames.rejects(orphans, column, values, reason))
    groups = outcome.loc[orphans, FIRST_ID]
    followers = outcome.index[outcome[FIRST_ID].isin(groups).to_numpy()].difference(orphans)
    if len(followers):
        same = f"has the natural key of another row, which is a reject: {reason}"
        member.table.rejects.append(frames.rejects(followers, column, [None] * len(followers), same))
    gone = orphans.union(followers)
    kept = outcome[frames.NEW_ID].where(~np.isin(outcome.index, gone))
    member.outcome = outcome.assign(**{frames.NEW_ID: kept})
    member.references = member.references.drop(index=orphans)
