"""Tables that refer to themselves or to each other in a circle: rows that turn out to be orphans go, and what was left
empty at first gets its value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from dfsync import frames, target
from dfsync.levels import circular, levels, unreached
from dfsync.outcome import Outcome
from dfsync.plan import ForeignKey
from dfsync.remap import new_ids, orphaned, orphaned_by_value
from dfsync.result import INSERTED, MATCHED
from dfsync.shape import Shape
from dfsync.table import TablePass
from dfsync.update import update

_AT_ONCE = 1_000


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


def member(table: TablePass, outcome: Outcome, names: Sequence[str]) -> Member:
    """`names` are the tables of the circle."""
    columns = [column for column, parent in table.shape.plan.parents.items() if parent in names]
    references = _references(table, outcome, columns, outcome.old_id[outcome.did(INSERTED)])
    return Member(table, outcome, references, np.zeros(len(outcome), dtype=bool))


def drop_orphans(members: Sequence[Member], maps: Mapping[str, pd.DataFrame], *, dry_run: bool) -> dict[str, list[Any]]:
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
                # One that is no foreign key to ids refers to its own table by a value.
                orphans = _orphans(one, column, there[one.table.shape.plan.parents.get(column, name)])
                if len(orphans):
                    doomed[name] += _reject(one, orphans, column, dry_run=dry_run)
                    there[name] = pd.Index(one.outcome.old_id[one.outcome.known])
                    again = True
    return doomed


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


def delete(connection: sa.Connection, member: Member, ids: Sequence[Any]) -> None:
    """Takes rows of this run back that turned out to be orphans: before each one those that refer to it."""
    shape = member.table.shape
    quote = connection.dialect.identifier_preparer.quote_identifier
    own_id = quote(shape.id or "")
    _empty_values(connection, shape, ids)
    for level in reversed(_levels(connection, shape, ids)):
        for start in range(0, len(level), _AT_ONCE):
            chunk = tuple(level[start : start + _AT_ONCE].tolist())
            listed = ", ".join(["%s"] * len(chunk))
            statement = f"DELETE FROM {quote(shape.target.name)} WHERE {own_id} IN ({listed}) ORDER BY {own_id} DESC"  # noqa: S608 quoted by the dialect
            connection.exec_driver_sql(statement, chunk)


def _empty_values(connection: sa.Connection, shape: Shape, ids: Sequence[Any]) -> None:
    """Empties the nullable columns that refer to the same table by a value, since `_levels` goes by ids alone."""
    values = [column.name for column in shape.target.pick(shape.own_values()) if column.nullable]
    if not values:
        return
    own_id: Any = sa.column(shape.id or "")
    there = sa.table(shape.target.name, own_id, *(sa.column(name) for name in values))
    for start in range(0, len(ids), _AT_ONCE):
        chunk = list(ids[start : start + _AT_ONCE])
        connection.execute(sa.update(there).values(dict.fromkeys(values)).where(own_id.in_(chunk)))


def _levels(connection: sa.Connection, shape: Shape, ids: Sequence[Any]) -> list[Any]:
    """The target ids, parents first. Their order alone does not tell: a row that was taken over may refer to a later
    one."""
    own = [c for c, parent in shape.plan.parents.items() if parent == shape.plan.name]
    if not own or not len(ids):
        return [np.sort(np.array(ids, shape.id_dtype))]
    rows = target.find_rows(connection, shape.target, shape.id or "", shape.target.pick(own), ids)
    known = pa.array(rows.index.to_numpy(), shape.id_type)
    places = {name: pc.index_in(frames.arrow(rows[name]).cast(shape.id_type), value_set=known) for name in own}
    references = pd.DataFrame({name: frames.series(place) for name, place in places.items()})
    return [rows.index.to_numpy()[level] for level in [*levels(references), unreached(references)]]


def _by_id(member: Member, ids: pd.Index[Any]) -> pd.DataFrame:
    outcome = member.outcome
    own_ids = pa.array(outcome.new_id[outcome.places(ids)])
    return pd.DataFrame({member.table.shape.id: frames.series(own_ids)}).set_axis(ids)


def _references(table: TablePass, outcome: Outcome, columns: Sequence[str], ids: Any) -> pd.DataFrame:
    """As in `Member.references`, of these rows."""
    by_id = table.reference_ids([column for column in columns if column in table.shape.plan.parents], ids)
    # What a matched row has stays in the target, whatever becomes of the inserted ones.
    inserted = outcome.old_id[outcome.did(INSERTED)]
    owners = {name: table.needed.loc[ids, name] for name in table.shape.own_values()}
    return by_id.assign(**{name: old.where(old.isin(inserted)) for name, old in owners.items()})


def _orphans(member: Member, column: str, parents: pd.Index[Any]) -> pd.Index[Any]:
    old = member.references[column]
    lost = old.notna().to_numpy(dtype=bool) & ~old.fillna(0).astype("int64").isin(parents).to_numpy()
    return member.references.index[lost]


def _reject(member: Member, orphans: pd.Index[Any], column: str, *, dry_run: bool) -> list[Any]:
    """Gives the target ids of those whose target row no other row takes over."""
    outcome = member.outcome
    parents, values = member.table.shape.plan.parents, member.table.shape.own_values()
    if column in values:
        read = member.table.extract([column], member.table.batch_size, np.sort(orphans.to_numpy()))
        name = member.table.shape.plan.name
        member.table.rejects.extend(orphaned_by_value(rows[column], name, values[column]) for rows in read)
    else:
        foreign_key = ForeignKey(column, parents[column])
        member.table.rejects.append(orphaned(member.references.loc[orphans, column], foreign_key))
    member.references = member.references.drop(index=orphans)
    places = outcome.places(orphans)
    _hand_on(member, places, dry_run=dry_run)
    return list(outcome.new_id[places[~outcome.known[places]]])


def _hand_on(member: Member, orphans: Any, *, dry_run: bool) -> None:
    """Of the rows that share an orphan's target row, by natural key, the first one that fits, and does not need
    that row itself, takes it over: each is asked once, since who was an orphan stays one.

    The orphans are places. The others of the natural key stay matched to it then; where none fits, none is.
    """
    table, outcome, tried = member.table, member.outcome, member.tried
    groups = outcome.old_id[orphans]
    tried[orphans] = True
    while True:
        heirs = np.flatnonzero(outcome.known & ~tried & np.isin(outcome.first_id, groups))
        heirs = np.sort(heirs[np.unique(outcome.first_id[heirs], return_index=True)[1]])
        if not len(heirs):
            break
        asked, free = _next_heirs(member, heirs)
        tried[asked] = True
        read = table.read(table.shape.columns, table.batch_size, outcome.old_id[free])
        able = np.concatenate([np.array([], np.int64), *(_take_over(member, rows, dry_run=dry_run) for rows in read)])
        heirs = outcome.places(able)
        outcome.lead(heirs)
        outcome.mark(heirs, INSERTED)
        references = _references(table, outcome, [*member.references.columns], able)
        member.references = pd.concat([member.references, references])
    left = np.isin(outcome.first_id, groups)
    outcome.known[left] = False
    handed = tried & ~left & ~outcome.own
    outcome.mark(handed, MATCHED)


def _next_heirs(member: Member, heirs: Any) -> tuple[Any, Any]:
    """Which of these heirs (places) to ask next, and which of those may take over. One that would need itself is a
    reject."""
    table, outcome = member.table, member.outcome
    if not len(table.needed.columns):
        return heirs, heirs
    free = heirs[~np.isin(outcome.first_id[heirs], _stuck(member, heirs))]
    if len(free):
        return free, free
    # All at once they may stand in each other's way: the first one is tried alone.
    first = heirs[:1]
    stuck = outcome.old_id[np.isin(outcome.first_id, _stuck(member, first))]
    if not len(stuck):
        return first, first
    read = table.extract(list(table.needed.columns), table.batch_size, outcome.old_id[first])
    table.rejects.extend(circular(rows, table.needed, stuck) for rows in read)
    return first, first[:0]


def _stuck(member: Member, heirs: Any) -> Any:
    """The `first_id` of the target rows of this run that would be in no level if these heirs (places) had theirs: they
    would need each other, and the server would refuse to delete them."""
    needed, outcome = member.table.needed, member.outcome
    made = np.flatnonzero(outcome.made())
    made = np.append(made[~np.isin(outcome.old_id[made], outcome.first_id[heirs])], heirs)
    # As a mapping, so that `new_ids` gives the row that made each one's target row.
    leaders = frames.to_frame(pa.table([outcome.old_id, outcome.first_id], names=[frames.OLD_ID, frames.NEW_ID]))
    rows = needed.loc[outcome.old_id[made]]
    references = pd.DataFrame({name: new_ids(rows[name], leaders) for name in needed.columns})
    return unreached(references.set_axis(outcome.first_id[made]))


def _take_over(member: Member, rows: pd.DataFrame, *, dry_run: bool) -> Any:
    """Puts the values of these rows, one of a natural key, into their target row; the `old_id` of those that fit."""
    values = member.table.as_first_sent(rows)
    if dry_run:
        return values.index.to_numpy()
    cells = pd.DataFrame(True, index=values.index, columns=values.columns)
    refused = update(member.table.connection, member.table.shape.target, _by_id(member, values.index), values, cells)
    member.table.rejects.append(refused)
    return values.index.difference(refused.index).to_numpy()
