"""A table's source rows matched with its target rows: by natural key, else by their whole content."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from dfsync.model.batch import ValueNote
from dfsync.model.types import Mask, NewIds, OldIds, Positions
from dfsync.pipeline.table.context import KEY_BATCH_ROWS, TableContext
from dfsync.pipeline.table.extract import RejectLog, extract, read_batches
from dfsync.pipeline.table.keys import (
    KeyDigests,
    SourceKeys,
    adopt_target_values,
    collect_hashes,
    drop_null_keys,
    hash_keys,
    key_normalizers,
    read_both_sides,
)
from dfsync.pipeline.table.ledger import RowMatches
from dfsync.pipeline.table.spool import KeyFrames
from dfsync.plan.binding import TableBinding
from dfsync.stages.match import first_matches
from dfsync.stages.row_hash import empty_hashes
from dfsync.target.collation import KeyNormalizer
from dfsync.target.read.rows import read_rows, which_exist


@dataclass(frozen=True)
class MatchResult:
    """Which target row each source row has.

    Attributes
    ----------
    parts
        The matched rows: those with a natural key, and those recognised by their content.
    rejects
        Rows whose key does not fit, or whose parent has no target row: they are in no part.
    notes
        The values that the target cannot hold as they are.
    keys
        The natural keys of the rows, with the target's values where it has the row; None without a natural key.
    known
        int64, ascending: the rows without a natural key that are known by their ids, whatever their content.
    """

    parts: tuple[RowMatches, ...]
    rejects: pd.DataFrame
    notes: Sequence[ValueNote]
    keys: KeyFrames | None = None
    known: OldIds = field(default_factory=lambda: np.array([], np.int64))


@dataclass(frozen=True)
class KnownRows:
    """Source rows that are known by their ids.

    Attributes
    ----------
    old_id
        int64, ascending.
    new_id
        The target row of each, which is still there; no two alike.
    rest
        int64, ascending: the other rows.
    """

    old_id: OldIds
    new_id: NewIds
    rest: OldIds


MatchKeyless = Callable[[TableContext, OldIds | None], MatchResult]
_NO_IDS: NewIds = np.array([], np.int64)


def match_table(
    table: TableContext, match_keyless: MatchKeyless | None = None, digests: KeyDigests | None = None
) -> MatchResult:
    """Match all source rows of a table.

    Parameters
    ----------
    table
        The table. The parents' maps must be complete.
    match_keyless
        Matches rows without a natural key; None takes those that are known by their ids, then `match_content`.
    digests
        Takes a digest of each natural key; None where nobody asks for them.

    Returns
    -------
    MatchResult
        Every source row is in one of its parts or among its rejects.
    """
    if not table.binding.key:
        return match_keyless(table, None) if match_keyless else _match_keyless(table, None, _NO_IDS)
    normalizers = key_normalizers(table)
    source, target_keys = read_both_sides(table, normalizers, digests)
    return match_both_sides(table, normalizers, source, target_keys, match_keyless)


def match_both_sides(
    table: TableContext,
    normalizers: Mapping[str, KeyNormalizer],
    source: SourceKeys,
    target_keys: pd.DataFrame,
    match_keyless: MatchKeyless | None = None,
) -> MatchResult:
    """Match rows whose natural keys were read on both sides, as `match_keys` takes them, and those without a key."""
    with table.timer("match"):
        matches, position = match_keys(table, normalizers, source, target_keys)
        keys = adopt_target_values(table, normalizers, source.spool, target_keys, position)
    return with_keyless(table, source, matches, keys, match_keyless)


def with_keyless(
    table: TableContext,
    source: SourceKeys,
    matches: RowMatches,
    keys: KeyFrames,
    match_keyless: MatchKeyless | None = None,
) -> MatchResult:
    """Match the rows without a natural key, beside those that have one.

    Parameters
    ----------
    table
        The table.
    source
        The source's keys.
    matches
        The rows with a natural key.
    keys
        As of `MatchResult`.
    match_keyless
        As of `match_table`.

    Returns
    -------
    MatchResult
    """
    rejects, notes = source.log.rejects(), source.log.notes
    if not len(source.keyless):
        return MatchResult((matches,), rejects, notes, keys)
    if match_keyless:
        content = match_keyless(table, source.keyless)
    else:
        content = _match_keyless(table, source.keyless, matches.new_id[matches.resolved])
    return replace(
        content,
        parts=(matches, *content.parts),
        rejects=pd.concat([rejects, content.rejects]),
        notes=[*notes, *content.notes],
        keys=keys,
    )


def _match_keyless(table: TableContext, ids: OldIds | None, taken: NewIds) -> MatchResult:
    """Match rows by the ids that they had in the last run where these tell, and the rest by their content."""
    if not table.knows_ids:
        return match_content(table, ids)
    rows = find_known_rows(table, ids, taken)
    rest = match_content(table, rows.rest, rows.new_id)
    known = RowMatches(rows.old_id, rows.new_id, np.ones(len(rows.old_id), dtype=bool), rows.old_id)
    return replace(rest, parts=(known, *rest.parts), known=rows.old_id)


def find_known_rows(table: TableContext, ids: OldIds | None, taken: NewIds) -> KnownRows:
    """Find the rows that are known by the ids that the map of the last run has of them.

    Parameters
    ----------
    table
        A table with a surrogate id.
    ids
        int64, ascending: the rows without a natural key. None takes all rows.
    taken
        Target rows that other source rows have.

    Returns
    -------
    KnownRows
    """
    if ids is None:
        read = extract(table, [], KEY_BATCH_ROWS)
        ids = np.concatenate([np.array([], np.int64), *(frame.index.to_numpy() for frame in read)])
    if table.kept is None:
        return KnownRows(ids[:0], ids[:0], ids)
    known, new_id = table.kept.find(ids)
    if table.binding.plan.keep_ids:
        known &= ~table.is_kept_row(ids)
    known &= ~np.isin(new_id, taken)
    # A row that shared the target row of an earlier one is compared by its content again.
    _, first = np.unique(np.where(known, new_id, 0), return_index=True)
    is_first = np.zeros(len(ids), dtype=bool)
    is_first[first] = True
    known &= is_first
    known[known] = exist(table, new_id[known])
    return KnownRows(ids[known], new_id[known].astype(table.binding.id_dtype, copy=False), ids[~known])


def exist(table: TableContext, ids: NewIds) -> Mask:
    """Look which target rows are still there.

    Parameters
    ----------
    table
        The table.
    ids
        New ids, in any order.

    Returns
    -------
    Mask
        One bool per id.
    """
    binding = table.binding
    if binding.id is None or not len(ids):
        return np.zeros(len(ids), dtype=bool)
    ascending, position = np.unique(ids, return_inverse=True)
    there: Mask = which_exist(table.connection, binding.target, binding.id, ascending)[position]
    return there


def match_keys(
    table: TableContext, normalizers: Mapping[str, KeyNormalizer], source: SourceKeys, target_keys: pd.DataFrame
) -> tuple[RowMatches, Positions]:
    """Match rows by their natural keys.

    Parameters
    ----------
    table
        The table.
    normalizers
        Of the key's columns; they have observed every value.
    source
        The source's keys. Its hashes are given up, for their memory.
    target_keys
        The target's keys without NULL, index `new_id`.

    Returns
    -------
    tuple of RowMatches and int64 array
        The array has the position of each row's target row in `target_keys`, -1 where there is none.
    """
    hashes = source.hashes
    source.hashes = empty_hashes()
    if not source.hashed or any(normalizer.needs_server for normalizer in normalizers.values()):
        keyed = (hash_keys(table, normalizers, drop_null_keys(frame)) for frame in source.spool.read())
        hashes = collect_hashes(keyed, len(hashes) if source.hashed else table.count())
    starts = range(0, max(len(target_keys), 1), KEY_BATCH_ROWS)
    pieces = (target_keys.iloc[start : start + KEY_BATCH_ROWS] for start in starts)
    found = first_matches(hashes, pd.concat([hash_keys(table, normalizers, piece) for piece in pieces]))
    old_id = hashes.index.to_numpy()
    del hashes
    matches = row_matches(
        table.binding, old_id, target_keys.index.to_numpy(), found.position, found.representative_of(old_id)
    )
    return matches, found.position


def match_content(table: TableContext, ids: OldIds | None = None, claimed: NewIds = _NO_IDS) -> MatchResult:
    """Match rows by their whole content, because their key holds a NULL or there is none.

    Equal rows are counted: the k-th of the source goes with the k-th of the target. Rows whose ids the plan keeps are
    known by these, so they are in a part of their own, without a target row yet.

    Parameters
    ----------
    table
        The table.
    ids
        int64, ascending; only these source rows. None takes all.
    claimed
        Target rows that are other source rows, whatever their content.

    Returns
    -------
    MatchResult
        Without keys.
    """
    hashes, log = read_content_hashes(table, ids)
    with table.timer("match"):
        target_hashes = read_target_content(table) if len(hashes) else empty_hashes()
        target_hashes = target_hashes[~target_hashes.index.isin(claimed)] if len(claimed) else target_hashes
        kept = hashes.index[:0].to_numpy()
        if table.binding.plan.keep_ids:
            by_id = table.is_kept_row(hashes.index)
            kept, hashes = hashes.index[by_id].to_numpy(), hashes[~by_id]
            target_hashes = target_hashes[~table.is_kept(target_hashes.index)]
        by_own_id = row_matches(table.binding, kept[:0], _NO_IDS, kept[:0])
        if table.binding.plan.keeps_ids:
            by_own_id, hashes, target_hashes = _of_own_ids(table, hashes, target_hashes)
        hasher = table.hasher
        matches = first_matches(hasher.with_occurrence(hashes), hasher.with_occurrence(target_hashes))
    old_id = hashes.index.to_numpy()
    part = row_matches(table.binding, old_id, target_hashes.index.to_numpy(), matches.position)
    unmatched = row_matches(table.binding, kept, np.array([], np.int64), np.full(len(kept), -1))
    parts = [part, *(more for more in (by_own_id, unmatched) if len(more.old_id))]
    return MatchResult(tuple(parts), log.rejects(), log.notes)


def _of_own_ids(
    table: TableContext, hashes: pd.DataFrame, target_hashes: pd.DataFrame
) -> tuple[RowMatches, pd.DataFrame, pd.DataFrame]:
    """Equal rows of one id on both sides are the same, where ids are kept; also give the hashes of the other rows."""
    source_ids, target_ids = hashes.index.to_numpy(), target_hashes.index.to_numpy()
    own = table.own_ids(source_ids)
    _, first = np.unique(own, return_index=True)
    position = np.full(len(own), -1)
    position[first] = target_hashes.index.get_indexer(pd.Index(own[first]))
    known = np.flatnonzero(position >= 0)
    equal = (hashes.to_numpy()[known] == target_hashes.to_numpy()[position[known]]).all(axis=1)
    position[known[~equal]] = -1
    same = position >= 0
    part = row_matches(table.binding, source_ids[same], target_ids, position[same])
    return part, hashes[~same], target_hashes[~np.isin(np.arange(len(target_ids)), position[same])]


def read_content_hashes(table: TableContext, ids: OldIds | None = None) -> tuple[pd.DataFrame, RejectLog]:
    """Hash whole source rows.

    Parameters
    ----------
    table
        The table.
    ids
        int64, ascending; only these rows. None takes all.

    Returns
    -------
    tuple of DataFrame and RejectLog
        uint64 columns `HASH_COLUMNS`, index `old_id`; the rejects and notes of reading.
    """
    log = RejectLog()
    batches = map(log.take, read_batches(table, table.binding.columns, table.batch_size, ids))
    return collect_hashes(map(table.hasher.hashes, batches), table.count(ids)), log


def read_target_content(table: TableContext) -> pd.DataFrame:
    """Hash whole target rows: uint64 columns `HASH_COLUMNS`, index `new_id`, ascending."""
    binding = table.binding
    key = binding.key_names
    batches = read_rows(table.connection, binding.target, binding.id, binding.columns, key)
    # Not beside the empty frame, whose index would turn unsigned ids into floats.
    return pd.concat([table.hasher.hashes(rows[binding.names]) for rows in batches] or [empty_hashes()])


def row_matches(
    binding: TableBinding,
    old_id: OldIds,
    new_ids: NewIds,
    position: Positions,
    representative_id: OldIds | None = None,
) -> RowMatches:
    """Make the matches of rows from the positions of their target rows.

    Parameters
    ----------
    binding
        Says the dtype of new ids.
    old_id
        int64, ascending.
    new_ids
        The ids of the target rows that were compared.
    position
        For each source row a position in `new_ids`, -1 where it has no target row.
    representative_id
        As in `RowMatches`; None where no two rows share a target row.

    Returns
    -------
    RowMatches
    """
    resolved = position >= 0
    # The ids of a target without such rows may be of another dtype, and two dtypes join as floats.
    new_id = np.zeros(len(old_id), binding.id_dtype)
    new_id[resolved] = new_ids[position[resolved]]
    return RowMatches(old_id, new_id, resolved, old_id if representative_id is None else representative_id)
