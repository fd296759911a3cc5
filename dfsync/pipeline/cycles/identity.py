"""A table that refers to itself: which of its rows are the same row, and which the target has already.

A natural key that holds a reference to the same table can be compared only once the row referred to is matched. So the
keys of both sides are read as a whole and matched together (`dfsync.stages.cycle_match`), and so are the rows without a
natural key, by their whole content.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from dfsync.model import frames
from dfsync.model.frames import empty_frame
from dfsync.model.types import Mask, NewIds, OldIds, Positions
from dfsync.pipeline.cycles.matching import Side, content_hashes, key_hashes, row_set, unmatchable
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
    """The result of the match of a whole table before any row is inserted; arrays by position in `old_id`.

    Attributes
    ----------
    old_id
        Ascending: of every row of the source.
    new_id
        0 where the row is not `matched`.
    matched
        Whether the target has the row.
    representative
        The position of the first row that is the same one; its own where there is no other.
    fit
        Whether the natural key conforms, or the whole row where it is recognised by that.
    log
        The rejects and notes of reading.
    keys
        Index `old_id`; the natural keys that conform (Arrow dtypes), with the source's ids in references to the same
        table.
    target_keys_of_matched
        Index `old_id` of matched rows; the same columns as the target has them, with its own ids.
    """

    old_id: OldIds
    new_id: NewIds
    matched: Mask
    representative: Positions
    fit: Mask
    log: RejectLog
    keys: pd.DataFrame
    target_keys_of_matched: pd.DataFrame

    def target_keys(self, references: list[str], mapping: pd.DataFrame) -> pd.DataFrame:
        """Return the natural keys as the target has them, or would have them once the rows are inserted.

        Parameters
        ----------
        references
            The foreign keys to the same table.
        mapping
            `old_id` and `new_id` (Arrow integers) of the table.

        Returns
        -------
        DataFrame
            Index `old_id`, ascending; the columns of the natural key.
        """
        remapped = {name: new_ids(self.keys[name], mapping) for name in references if name in self.keys}
        dtypes = {name: self.target_keys_of_matched[name].dtype for name in remapped}
        source_keys = frames.with_columns(self.keys, remapped).astype(dtypes)
        unmatched = source_keys.drop(index=self.target_keys_of_matched.index)
        return pd.concat([unmatched, self.target_keys_of_matched]).sort_index()


def identify(member: CycleMember) -> Identities:
    """Match the natural keys of both sides, or whole rows where there is no natural key.

    Parameters
    ----------
    member
        A table of which some row needs another one; see `CycleMember.dependencies`.

    Returns
    -------
    Identities
        Of all rows of the source.
    """
    table, log = member.table, RejectLog()
    ids = member.dependencies.index.to_numpy(dtype=np.int64)
    partitions, keys, target_keys = _read(member, log, ids)
    fit = np.isin(ids, np.concatenate([ids[:0], *(partition.source.ids for partition in partitions)]))
    keyed = keys.index[frames.non_null_rows(keys)] if table.binding.key else keys.index
    blocked = unmatchable(member, keyed)
    partitions = [partition.without(blocked) for partition in partitions]
    with table.timer("match"):
        matches = match_cycle([each.source for each in partitions], [each.target for each in partitions])
    new_id, matched = np.zeros(len(ids), table.binding.id_dtype), np.zeros(len(ids), dtype=bool)
    representative = np.arange(len(ids))
    target_keys_of_matched = target_keys[:0].set_axis(keys.index[:0])
    for partition, match in zip(partitions, matches, strict=True):
        source_ids = partition.source.ids
        rows, known = np.searchsorted(ids, source_ids), match.position >= 0
        representative[rows] = rows[match.representative]
        matched[rows] = known
        new_id[rows[known]] = partition.new_ids[match.position[known]]
        if partition.source.keyed:
            known_ids = pd.Index(source_ids[known], name=frames.OLD_ID)
            target_keys_of_matched = target_keys.iloc[match.position[known]].set_axis(known_ids)
    return Identities(ids, new_id, matched, representative, fit, log, keys, target_keys_of_matched)


@dataclass(frozen=True)
class _Partition:
    """The rows with a natural key, or those without; `new_ids` are those of the target's rows."""

    source: RowSet
    target: RowSet
    new_ids: NewIds

    def without(self, ids: OldIds) -> _Partition:
        """Return all rows of the source but these."""
        return replace(self, source=self.source.only(~np.isin(self.source.ids, ids))) if len(ids) else self


def _read(member: CycleMember, log: RejectLog, ids: OldIds) -> tuple[list[_Partition], pd.DataFrame, pd.DataFrame]:
    """The rows of both sides, and the natural keys of source and target."""
    table = member.table
    binding = table.binding
    references = binding.required_self_references
    deferred = {*references, *binding.plan.deferred}
    if not binding.key:
        no_keys = pd.DataFrame(index=pd.Index(ids[:0], name=frames.OLD_ID))
        return _keyless(member, log, None, ids[:0], deferred), no_keys, no_keys
    read = [*map(log.take, read_batches(table, binding.key, KEY_BATCH_ROWS, deferred=deferred))]
    keys = pd.concat(read) if read else empty_frame(binding.key)
    non_null = frames.non_null_rows(keys)
    keyed = keys if non_null.all() else keys[non_null]
    target_keys = _target_keys(table, keyed, references)
    with table.timer("match"):
        sides = key_hashes(table, keyed, target_keys, references)
    partitions = [_partition(table, keyed=True, sides=sides, references=references)]
    if not non_null.all():
        keyless = keys.index[~non_null].to_numpy()
        partitions += _keyless(member, log, keyless, target_keys.index.to_numpy(), deferred)
    return partitions, keys, target_keys


def _target_keys(table: TableContext, keys: pd.DataFrame, references: list[str]) -> pd.DataFrame:
    """The target's natural keys without a NULL, by ascending id; only the requested ones where it has many more."""
    binding = table.binding
    names = binding.key_names
    with table.timer("target keys"):
        if not set(names) & set(references) and is_lookup_cheaper(table, len(keys)):
            target_keys = lookup_by_key(table.connection, binding.target, binding.id, names, keys)
        else:
            target_keys = read_keys(table.connection, binding.target, binding.id, names)
    return target_keys.dropna().sort_index()


def _keyless(
    member: CycleMember, log: RejectLog, ids: OldIds | None, taken: NewIds, deferred: set[str]
) -> list[_Partition]:
    """The rows without a natural key, all rows where `ids` is None: those that are known by their ids, and the rest."""
    table, binding = member.table, member.table.binding
    rest = member.find_known(ids, taken)
    known = _matched_before(member.known, member.known.index.to_numpy(dtype=np.int64))
    batches = map(log.take, read_batches(table, binding.columns, table.batch_size, rest, deferred=deferred))
    if member.content_matches is not None:
        read_ids = np.concatenate([np.array([], np.int64), *(frame.index for frame in batches)])
        return [known, _matched_before(member.content_matches, read_ids)]
    references = binding.required_self_references
    source = content_hashes(table, batches, references)
    with table.timer("match"):
        names = binding.key_names
        target_rows = read_rows(table.connection, binding.target, binding.id, binding.columns, names)
        target = content_hashes(table, target_rows, references).without(member.known.to_numpy())
        return [known, _partition(table, keyed=False, sides=(source, target), references=references)]


def _matched_before(content_matches: pd.Series[int], ids: OldIds) -> _Partition:
    """Rows that were matched together with the other tables of their cycle: the new id stands for the hash of each."""
    positions = content_matches.index.get_indexer(pd.Index(ids))
    all_new_ids = content_matches.to_numpy()
    known = positions >= 0
    new_ids: NewIds = all_new_ids[positions[known]]
    hashes = np.where(known, all_new_ids[positions] if len(all_new_ids) else 0, ids).astype(np.uint64)
    source = RowSet(0, False, ids, np.stack([hashes, (~known).astype(np.uint64)], axis=1), [], [], [])
    target_hashes = np.stack([new_ids.astype(np.uint64), np.zeros(len(new_ids), np.uint64)], axis=1)
    target = RowSet(0, False, new_ids.astype(np.int64), target_hashes, [], [], [])
    return _Partition(source, target, new_ids)


def _partition(table: TableContext, *, keyed: bool, sides: tuple[Side, Side], references: list[str]) -> _Partition:
    """Both sides as arrays; those of the references that they have refer to the one table, number 0."""
    source, target = sides
    slots = {name: 0 for name in references if name in source.references}
    new_ids = pd.Series(target.hashes.index, dtype=table.binding.id_dtype).to_numpy()
    return _Partition(row_set(0, keyed, source, slots), row_set(0, keyed, target, slots), new_ids)
