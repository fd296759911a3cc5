"""A table that refers to itself: which of its rows are the same row, and which the target has already.

A natural key that holds a reference to the same table is known once the row referred to is, so all keys of both ends
are read once, and laid side by side (`cycle_match`). So are the rows without a natural key, by their whole content.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from dfsync.model import frames
from dfsync.model.frames import empty_frame
from dfsync.model.types import Mask, NewIds, OldIds, Positions
from dfsync.pipeline.cycles.matching import Side, content_hashes, key_hashes, row_set, stuck
from dfsync.pipeline.cycles.member import CycleMember
from dfsync.pipeline.table.context import KEY_BATCH_ROWS, TableContext
from dfsync.pipeline.table.extract import RejectLog, read_batches
from dfsync.pipeline.table.keys import is_lookup_cheaper
from dfsync.stages.cycle_match import RowSet, match_cycle
from dfsync.stages.remap import new_ids
from dfsync.target.read.keys import lookup_by_key, read_keys
from dfsync.target.read.rows import read_rows


@dataclass(frozen=True)
class Identities:
    """What is known of the rows of a table before any is inserted; arrays by position in `old_id`."""

    old_id: OldIds
    """Of every row of the source, ascending."""
    new_id: NewIds
    """0 where the row is not `matched`."""
    matched: Mask
    representative: Positions
    """The position of the first row that is the same one."""
    fit: Mask
    """Whether the natural key conforms, or the whole row where it is recognised by that."""
    log: RejectLog
    """The rejects and notes of reading."""
    keys: pd.DataFrame
    """The natural keys (index `old_id`) that conform, with the source's ids in references to the same table."""
    theirs: pd.DataFrame
    """The target's natural keys of matched rows; same index and columns, its own ids."""

    def target_keys(self, references: list[str], mapping: pd.DataFrame) -> pd.DataFrame:
        """The natural keys as the target has them, or would have them, given the map of the table."""
        filled = {name: new_ids(self.keys[name], mapping) for name in references if name in self.keys}
        dtypes = {name: self.theirs[name].dtype for name in filled}
        own = self.keys.assign(**filled).astype(dtypes)
        own = own.drop(index=self.theirs.index)
        return pd.concat([own, self.theirs]).sort_index()


def own_references(table: TableContext) -> list[str]:
    """The foreign keys to the same table that a row must have when it is inserted."""
    plan = table.binding.plan
    return [c for c, parent in plan.parents.items() if parent == plan.name and c not in plan.deferred]


def identify(member: CycleMember) -> Identities:
    """Reads the natural keys of both ends, or whole rows where there is none, and matches them."""
    table, log = member.table, RejectLog()
    ids = member.dependencies.index.to_numpy(dtype=np.int64)
    parts, keys, there = _read(member, log, ids)
    fit = np.isin(ids, np.concatenate([ids[:0], *(part.source.ids for part in parts)]))
    keyed = keys.index[frames.non_null_rows(keys)] if table.binding.key else keys.index
    blocked = stuck(member, keyed)
    parts = [part.without(blocked) for part in parts]
    with table.timer("match"):
        matches = match_cycle([part.source for part in parts], [part.found for part in parts]) if parts else []
    new_id, matched = np.zeros(len(ids), table.binding.id_dtype), np.zeros(len(ids), dtype=bool)
    representative = np.arange(len(ids))
    theirs = there[:0].set_axis(keys.index[:0])
    for part, match in zip(parts, matches, strict=True):
        rows, known = np.searchsorted(ids, part.source.ids), match.position >= 0
        representative[rows] = rows[match.representative]
        matched[rows] = known
        new_id[rows[known]] = part.new_ids[match.position[known]]
        if part.source.keyed:
            theirs = there.iloc[match.position[known]].set_axis(pd.Index(part.source.ids[known], name=frames.OLD_ID))
    return Identities(ids, new_id, matched, representative, fit, log, keys, theirs)


@dataclass(frozen=True)
class _Part:
    """The rows with a natural key, or those without."""

    source: RowSet
    found: RowSet
    new_ids: NewIds
    """Of those that were found in the target."""

    def without(self, ids: OldIds) -> _Part:
        """All rows of the source but these."""
        return replace(self, source=self.source.only(~np.isin(self.source.ids, ids))) if len(ids) else self


def _read(member: CycleMember, log: RejectLog, ids: OldIds) -> tuple[list[_Part], pd.DataFrame, pd.DataFrame]:
    """The rows of both ends, and the natural keys of source and target."""
    table = member.table
    shape, own = table.binding, own_references(table)
    late = {*own, *shape.plan.deferred}
    if not shape.key:
        none = pd.DataFrame(index=pd.Index(ids[:0], name=frames.OLD_ID))
        return [_keyless(member, log, None, own, late)], none, none
    read = [*map(log.take, read_batches(table, shape.key, KEY_BATCH_ROWS, deferred=late))]
    keys = pd.concat(read) if read else empty_frame(shape.key)
    whole = frames.non_null_rows(keys)
    there = _target_keys(table, keys[whole], own)
    with table.timer("match"):
        sides = key_hashes(table, keys[whole], there, own)
    parts = [_part(table, keyed=True, sides=sides, own=own)]
    if not whole.all():
        parts.append(_keyless(member, log, keys.index[~whole].to_numpy(), own, late))
    return parts, keys, there


def _target_keys(table: TableContext, keys: pd.DataFrame, own: list[str]) -> pd.DataFrame:
    """The target's natural keys without a NULL, by ascending id; only those at hand where it has many more rows."""
    shape = table.binding
    names = [column.name for column in shape.key]
    with table.timer("target keys"):
        if not set(names) & set(own) and is_lookup_cheaper(table, len(keys)):
            there = lookup_by_key(table.connection, shape.target, shape.id, names, keys)
        else:
            there = read_keys(table.connection, shape.target, shape.id, names)
    return there.dropna().sort_index()


def _keyless(member: CycleMember, log: RejectLog, ids: OldIds | None, own: list[str], late: set[str]) -> _Part:
    table, shape = member.table, member.table.binding
    read = map(log.take, read_batches(table, shape.columns, table.batch_size, ids, deferred=late))
    if member.content_matches is not None:
        return _found_before(
            member.content_matches, np.concatenate([np.array([], np.int64), *(frame.index for frame in read)])
        )
    source = content_hashes(table, read, own)
    with table.timer("match"):
        rows = read_rows(table.connection, shape.target, shape.id, shape.columns, [c.name for c in shape.key])
        return _part(table, keyed=False, sides=(source, content_hashes(table, rows, own)), own=own)


def _found_before(before: pd.Series[int], ids: OldIds) -> _Part:
    """Of rows that were recognised with the other tables of their circle: as if each were called like its new id."""
    at = before.index.get_indexer(pd.Index(ids))
    new_ids: NewIds = before.to_numpy()[at[at >= 0]]
    names = np.where(at >= 0, before.to_numpy()[at] if len(before) else 0, ids).astype(np.uint64)
    source = RowSet(0, False, ids, np.stack([names, (at < 0).astype(np.uint64)], axis=1), [], [], [])
    there = np.stack([new_ids.astype(np.uint64), np.zeros(len(new_ids), np.uint64)], axis=1)
    return _Part(source, RowSet(0, False, new_ids.astype(np.int64), there, [], [], []), new_ids)


def _part(table: TableContext, *, keyed: bool, sides: tuple[Side, Side], own: list[str]) -> _Part:
    source, found = sides
    slots = {name: 0 for name in own if name in source.references}
    new_ids = pd.Series(found.hashes.index, dtype=table.binding.id_dtype).to_numpy()
    return _Part(row_set(0, keyed, source, slots), row_set(0, keyed, found, slots), new_ids)
