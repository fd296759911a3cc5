"""One table's way through the stages: extract, conform, remap, match, load.

First the keys alone are read and matched, so that a row that is there already costs no more than its key; then the rows
that are new travel whole, batch by batch. What comes out is kept in one frame, the outcome, a row per source row.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from dfsync import content, frames, target
from dfsync.conform import conform
from dfsync.equality import comparable
from dfsync.match import FIRST_ID, match
from dfsync.prefetch import prefetch
from dfsync.remap import remap
from dfsync.result import INSERTED, MATCHED, UPDATED
from dfsync.schema import Column
from dfsync.shape import Shape
from dfsync.source import Source
from dfsync.times import Times
from dfsync.types import arrow_type
from dfsync.update import differing, update

_KEY_ROWS = 200_000
_LOOK_UP = 5


class Inserter(Protocol):
    """Takes rows and gives their new ids and rejects: `load.Loader`, or `Rehearsal` in a dry run."""

    def insert(self, frame: pd.DataFrame) -> tuple[pd.Series[Any], pd.DataFrame]: ...


class Rehearsal:
    """Takes every row and gives it an id that no target has, so that the children of new rows are new as well."""

    def __init__(self) -> None:
        self._last = 0

    def insert(self, frame: pd.DataFrame) -> tuple[pd.Series[Any], pd.DataFrame]:
        ids = np.arange(self._last - 1, self._last - 1 - len(frame), -1)
        self._last -= len(frame)
        return frames.series(pa.array(ids)).set_axis(frame.index), frames.no_rejects()


@dataclass
class TablePass:
    """What one table needs on its way, and what has come of it so far."""

    shape: Shape
    source: Source
    connection: sa.Connection
    maps: Mapping[str, pd.DataFrame]
    """By parent: `old_id`, `new_id`, as `remap` takes them."""
    batch_size: int
    times: Times = field(default_factory=Times)
    notes: dict[str, str] = field(default_factory=dict)
    rejects: list[pd.DataFrame] = field(default_factory=list)
    found: pd.Series[Any] | None = None
    """Where it takes more than this table to tell: the `new_id` of each row that is recognised by its content."""

    def read(
        self, columns: Sequence[Column], size: int, ids: Any = None, *, late: Collection[str] | None = None
    ) -> Iterator[pd.DataFrame]:
        """The rows by ascending id, extracted, conformed and remapped; those that do not fit go to the rejects.

        The foreign keys `late` stay as they are: those that are deferred, unless others are named.
        """
        plan = self.shape.plan
        names = [column.name for column in columns]
        late = plan.deferred if late is None else late
        foreign_keys = [fk for fk in plan.foreign_keys or () if fk.column not in late]
        extracted = self.source.batches(self.shape.source, plan.id, names, size, ids)
        for frame in self.times.pulls("extract", extracted):
            with self.times("conform"):
                conformed = conform(frame, self.shape.as_read(columns))
            with self.times("remap"):
                remapped, orphans = remap(conformed.frame, foreign_keys, self.maps)
            self.notes |= conformed.notes
            self.rejects += [bad for bad in (conformed.rejects, orphans) if len(bad)]
            # The ids of a parent may be of another type than the columns that refer to them, unsigned or wider.
            stored = {fk.column: arrow_type(self.shape.target[fk.column]) for fk in foreign_keys if fk.column in names}
            yield remapped.astype({column: pd.ArrowDtype(type_) for column, type_ in stored.items()})

    def reference_ids(self, columns: Sequence[str], ids: Any = None) -> pd.DataFrame:
        """The source's ids in foreign key columns, as they are: index `old_id`, Arrow int64."""
        as_ids = self.shape.as_read([column for column in self.shape.columns if column.name in columns])
        nullable = [replace(column, nullable=True) for column in as_ids]
        names = [column.name for column in nullable]
        extracted = self.source.batches(self.shape.source, self.shape.plan.id, names, _KEY_ROWS, ids)
        none = frames.to_frame(pa.table({name: pa.array([], pa.int64()) for name in names}), [])
        return pd.concat([none, *(conform(frame, nullable).frame for frame in extracted)])

    def owners(self, column: str, referenced: str) -> pd.Series[Any]:
        """For each row the old id of the row of the same table whose `referenced` holds the value in `column`."""
        both = [replace(c, nullable=True) for c in self.shape.columns if c.name in (column, referenced)]
        extracted = self.source.batches(self.shape.source, self.shape.plan.id, [c.name for c in both], _KEY_ROWS)
        none = frames.to_frame(pa.table({c.name: pa.array([], arrow_type(c)) for c in both}), [])
        rows = pd.concat([none, *(conform(frame, both).frame for frame in extracted)])
        owners = pd.DataFrame({"value": rows[referenced].array, frames.OLD_ID: rows.index}).dropna()
        wanted = pd.DataFrame({"value": rows[column].array})
        found = wanted.merge(owners.drop_duplicates("value"), on="value", how="left")[frames.OLD_ID]
        return found.astype(frames.INT64).set_axis(rows.index)

    def keep(self, unfit: pd.DataFrame) -> None:
        """Notes that matched rows keep the target's values, because the source's do not fit."""
        if len(unfit):
            first = f"row {unfit.index[0]}: {unfit['column'].iloc[0]} {unfit['reason'].iloc[0]}"
            self.notes["update"] = (
                f"{len(unfit)} matched rows keep the target's values, because theirs do not fit; {first}"
            )

    def rejected(self, outcome: pd.DataFrame) -> pd.DataFrame:
        """The rejects that stand: who shares the natural key of a row that went in has its target row after all."""
        bad = pd.concat([frames.no_rejects(), *self.rejects])
        bad = bad[~bad.index.duplicated() & ~bad.index.isin(outcome.index[outcome[frames.NEW_ID].notna()])]
        return bad.sort_index()


def match_table(table: TablePass, ids: Any = None) -> pd.DataFrame:
    """The outcome before any row is loaded, by ascending `old_id`, its index: `new_id` (NULL where the target has no
    such row), `first_id`, `action`, and the natural key's columns, with the target's values where it has the row.
    `ids` narrows it to those source rows.

    Rows whose key does not fit or whose parent is missing are not in it: they are in `table.rejects`.
    """
    shape = table.shape
    if not shape.key:
        return _match_content(table, ids)
    keys, there = _both_keys(table, ids)
    unkeyed = keys.isna().any(axis=1).to_numpy()
    keyed = keys if not unkeyed.any() else keys[~unkeyed]
    with table.times("match"):
        outcome = _with_keys(match(*_comparable(table, keyed, there)), keyed, there)
    if unkeyed.any():
        outcome = pd.concat([outcome, _match_content(table, keys.index[unkeyed].to_numpy(), keys)]).sort_index()
    return outcome


def load_table(
    table: TablePass, outcome: pd.DataFrame, inserter: Inserter, done: Callable[[int], None]
) -> pd.DataFrame:
    """Inserts what is new and gives the outcome with every new id; `done` is told how many rows went in.

    Of the rows of one natural key that with the lowest id goes in. Where it does not fit the next one does: hence the
    loop, whose second turn is rare.
    """
    tried: pd.Index[int] = pd.Index([], dtype="int64")
    while True:
        waiting = outcome.loc[outcome[frames.NEW_ID].isna().to_numpy(), FIRST_ID]
        waiting = waiting[~waiting.index.isin(tried)] if len(tried) else waiting
        pending = waiting[~waiting.duplicated()].index
        if pending.empty:
            return outcome
        tried = tried.union(pending)
        inserted = []
        for frame in prefetch(table.read(table.shape.columns, table.batch_size, pending.to_numpy())):
            with table.times("load"):
                empty = {column: frames.nulls_like(frame[column]) for column in table.shape.plan.deferred}
                new_ids, refused = inserter.insert(frame.assign(**empty))
            inserted.append(new_ids)
            if len(refused):
                table.rejects.append(refused)
                outcome = _overtaken(table, outcome, refused.index)
            done(len(new_ids))
        outcome = _settle(outcome, pd.concat(inserted)) if inserted else outcome


def _overtaken(table: TablePass, outcome: pd.DataFrame, refused: pd.Index[Any]) -> pd.DataFrame:
    """The outcome with the target rows that another client inserted, under the same natural key, since the snapshot."""
    shape = table.shape
    names = [column.name for column in shape.key]
    keys = outcome.loc[outcome.index.intersection(refused), names].dropna() if shape.id and names else outcome[:0]
    if shape.id is None or keys.empty:
        return outcome
    with table.connection.engine.connect() as fresh:
        there = target.find_keys(fresh, shape.target, shape.id, names, keys)
    found = match(*_comparable(table, keys, there))[frames.NEW_ID]
    new_id = outcome[frames.NEW_ID].astype(found.dtype)
    return outcome.assign(**{frames.NEW_ID: new_id.where(new_id.notna(), found.reindex(outcome.index))})


def update_table(table: TablePass, outcome: pd.DataFrame, *, dry_run: bool) -> pd.DataFrame:
    """Matched rows whose content differs take the source's values; the outcome with `updated` as their action.

    Of several source rows with one target row the one of the lowest id counts. The natural key never changes.
    """
    shape = table.shape
    own = (outcome[FIRST_ID] == outcome.index).to_numpy(dtype=bool) & (outcome[frames.ACTION] == MATCHED).to_numpy(
        dtype=bool
    )
    key = {column.name for column in shape.key}
    columns = [column for column in shape.columns if column.name not in key]
    ids = outcome.index[own & outcome[frames.NEW_ID].notna().to_numpy(dtype=bool)].to_numpy()
    if shape.id is None or not columns or not shape.key or not len(ids):
        return outcome
    action = outcome[frames.ACTION].copy()
    for frame in table.read(columns, table.batch_size, ids, late=()):
        source = frame.assign(**{frames.NEW_ID: outcome.loc[frame.index, frames.NEW_ID]})
        there = target.find_rows(table.connection, shape.target, shape.id, columns, source[frames.NEW_ID].tolist())
        aligned = there.set_index(frames.NEW_ID).loc[source[frames.NEW_ID]].set_axis(frame.index)
        cells = differing(frame, aligned[list(frame.columns)])
        changed = cells.index[cells.any(axis=1).to_numpy()]
        if not dry_run:
            refused = update(table.connection, shape.target, shape.id, source, cells)
            table.keep(refused)
            changed = changed.difference(refused.index)
        action.loc[changed] = UPDATED
    table.keep(pd.concat([frames.no_rejects(), *(bad[bad.index.isin(ids)] for bad in table.rejects)]))
    return outcome.assign(**{frames.ACTION: action})


def _settle(outcome: pd.DataFrame, inserted: pd.Series[Any]) -> pd.DataFrame:
    """The outcome with the ids of the inserted rows, also for the rows of the same natural key."""
    if inserted.empty:
        return outcome
    by_group = pd.DataFrame(
        {
            frames.NEW_ID: inserted.to_numpy(),
            FIRST_ID: outcome.loc[inserted.index, FIRST_ID].to_numpy(),
            "of": inserted.index,
        }
    ).astype({frames.NEW_ID: inserted.dtype})
    found = outcome[[FIRST_ID]].merge(by_group, on=FIRST_ID, how="left").set_axis(outcome.index)
    new_id = outcome[frames.NEW_ID].astype(inserted.dtype)
    settled = outcome.assign(**{frames.NEW_ID: new_id.where(new_id.notna(), found[frames.NEW_ID])})
    own = (found["of"] == outcome.index).to_numpy(dtype=bool)
    settled[frames.ACTION] = settled[frames.ACTION].where(~own, INSERTED)
    followers = found["of"].notna().to_numpy() & ~own & new_id.isna().to_numpy()
    if followers.any():
        leaders = found.loc[followers, "of"].astype("int64")
        for name in outcome.columns.difference([frames.NEW_ID, FIRST_ID, frames.ACTION]):
            settled.loc[followers, name] = outcome.loc[leaders, name].array
    return settled


def _both_keys(table: TablePass, ids: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The natural keys of source and target, each read while the other one is.

    Of a target that has many more rows than the source only the keys at hand are asked for.
    """
    shape = table.shape
    names = [column.name for column in shape.key]

    def source_keys() -> pd.DataFrame:
        return pd.concat([no_keys(shape), *table.read(shape.key, _KEY_ROWS, ids)])

    few = _LOOK_UP * (len(ids) if ids is not None else table.source.count(shape.source))
    if shape.id and _indexed(shape) and target.highest_id(table.connection, shape.target, shape.id) > few:
        keys = source_keys()
        with table.times("target keys"):
            return keys, target.find_keys(table.connection, shape.target, shape.id, names, keys.dropna())
    with ThreadPoolExecutor(1, thread_name_prefix="dfsync-source-keys") as worker:
        reading = worker.submit(source_keys)
        with table.times("target keys"):
            there = target.read_keys(table.connection, shape.target, shape.id, names)
        return reading.result(), there


def _comparable(table: TablePass, keyed: pd.DataFrame, there: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both sides' keys as `match` takes them."""
    key = table.shape.key
    sides = [comparable(table.connection, column, keyed[column.name], there[column.name]) for column in key]
    named = list(zip([column.name for column in key], sides, strict=True))
    source = pd.DataFrame({name: side[0] for name, side in named}, index=keyed.index)
    found = pd.DataFrame({name: side[1] for name, side in named})
    return source, found.assign(**{frames.NEW_ID: there[frames.NEW_ID]})


def _indexed(shape: Shape) -> bool:
    key = {column.name.lower() for column in shape.key}
    return any({c.lower() for c in index[: len(key)]} == key for index in shape.target.all_indexes())


def _with_keys(outcome: pd.DataFrame, keyed: pd.DataFrame, there: pd.DataFrame) -> pd.DataFrame:
    """The outcome with the natural key: the target's values of a matched row, the source's of the others."""
    ids = pd.Index(there[frames.NEW_ID])
    places = np.full(len(outcome), -1)
    if ids.is_unique:
        # Without a surrogate id there is nothing to tell the target's rows apart by, and no mapping that asks for it.
        matched = outcome[frames.NEW_ID].notna().to_numpy()
        places[matched] = ids.get_indexer(pd.Index(outcome[frames.NEW_ID][matched]))
    taken = pa.array(places, mask=places < 0)
    made = {
        name: frames.series(pc.coalesce(frames.arrow(there[name]).take(taken), frames.arrow(keyed[name])))
        for name in keyed.columns
    }
    return outcome.assign(**{frames.ACTION: MATCHED}, **{name: s.set_axis(outcome.index) for name, s in made.items()})


def no_keys(shape: Shape) -> pd.DataFrame:
    """No rows, with the columns and dtypes of the natural key, whatever the source holds."""
    return frames.to_frame(pa.table({c.name: pa.array([], arrow_type(c)) for c in shape.key}), [])


def no_outcome(shape: Shape) -> pd.DataFrame:
    """The outcome of no row."""
    none = frames.series(pa.array([], pa.int64()))
    return no_keys(shape).assign(**{frames.NEW_ID: none, FIRST_ID: none}).assign(**{frames.ACTION: ""})


def _match_content(table: TablePass, ids: Any, keys: pd.DataFrame | None = None) -> pd.DataFrame:
    """The outcome of rows recognised by their whole content, because their `keys` hold a NULL or there are none."""
    shape = table.shape
    names = [column.name for column in shape.columns]
    source = _digests(list(table.read(shape.columns, table.batch_size, ids)))
    if table.found is not None:
        outcome = pd.DataFrame({frames.NEW_ID: table.found.reindex(source.index), FIRST_ID: source.index})
        return _with_own_keys(outcome, keys)
    with table.times("match"):
        rows = target.read_rows(table.connection, shape.target, shape.id, shape.columns, [c.name for c in shape.key])
        there = [(rows_[frames.NEW_ID], content.digests(rows_[names])) for rows_ in rows]
        digested = content.numbered(pd.concat([_digests([]), *(d for _, d in there)], ignore_index=True))
        new_id = pd.concat([pd.Series([], dtype=frames.INT64), *(i for i, _ in there)], ignore_index=True)
        outcome = match(content.numbered(source), digested.assign(**{frames.NEW_ID: new_id}))
    return _with_own_keys(outcome, keys)


def _with_own_keys(outcome: pd.DataFrame, keys: pd.DataFrame | None) -> pd.DataFrame:
    own = keys.loc[outcome.index] if keys is not None else pd.DataFrame(index=outcome.index)
    return outcome.assign(**{frames.ACTION: MATCHED}, **{name: own[name] for name in own.columns})


def _digests(batches: list[pd.DataFrame]) -> pd.DataFrame:
    none = pd.DataFrame({name: np.array([], dtype=np.uint64) for name in content.KEY[:2]})
    none.index = pd.Index([], dtype="int64", name=frames.OLD_ID)
    return pd.concat([none, *(content.digests(batch) for batch in batches)])
