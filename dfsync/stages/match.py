"""Which source rows are in the target already: the anti-join on the natural key."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from dfsync.model import frames
from dfsync.stages.row_hash import HASH_COLUMNS, row_hashes

FIRST_ID = "first_id"
_PARTITION_ROWS = 300_000


def match(source: pd.DataFrame, target: pd.DataFrame) -> pd.DataFrame:
    """For every source row the target row of the same natural key, or the source row that will make one.

    `source` is indexed by `old_id`, `target` by `new_id`; both hold the natural key's columns, in the form
    in which equal to the target means identical here (see `dfsync.equality`).
    Gives a frame by ascending `old_id`: `new_id` (Arrow integer, NULL where the target has no such row; the lowest of
    several) and `first_id` (int64, the lowest `old_id` of the source rows with the same key: itself where there is no
    other). A NULL in a key equals nothing: such a row has no `new_id` and is its own `first_id`.
    """
    source, target = source.sort_index(), target[list(source.columns)].sort_index()
    keyed = frames.non_null_rows(source)
    target = target[frames.non_null_rows(target)]
    found, (followers, leaders) = first_matches(row_hashes(source[keyed]), row_hashes(target))
    new_id, first_id = np.zeros(len(source), target.index.to_numpy().dtype), source.index.to_numpy().copy()
    known = np.zeros(len(source), dtype=bool)
    known[keyed] = found >= 0
    new_id[known] = target.index.to_numpy()[found[found >= 0]]
    rows = np.flatnonzero(keyed)
    first_id[rows[followers]] = first_id[rows[leaders]]
    columns = {frames.NEW_ID: pa.array(new_id, mask=~known), FIRST_ID: first_id}
    return frames.from_arrow(pa.table(columns), source.index)


def first_matches(source: pd.DataFrame, target: pd.DataFrame) -> tuple[Any, tuple[Any, Any]]:
    """By digests: for each row of the source the place of the first row of the target that is equal, -1 where there is
    none; then the places of the rows of the source that are equal to an earlier one, and those of the first such one.
    """
    sides = [[side[name].to_numpy() for name in HASH_COLUMNS] for side in (target, source)]
    found = np.full(len(source), -1) if len(target) else np.broadcast_to(np.int64(-1), len(source))
    followers, leaders = [np.array([], np.int64)], [np.array([], np.int64)]
    # Part by part, since sorting takes several times the memory of what is sorted.
    parts = 1 + (len(source) + len(target)) // _PARTITION_ROWS
    parted = [_hash_partition(side[0], parts) for side in sides]
    for part in range(parts):
        there, here = (np.flatnonzero(side == part) for side in parted)
        order, group = _group_equal([np.concatenate([t[there], s[here]]) for t, s in zip(*sides, strict=True)])
        ours = order >= len(there)
        rows, group_of = here[order[ours] - len(there)], group[ours]
        leads = np.append(True, np.diff(group_of) != 0)[: len(rows)]
        followers.append(rows[~leads])
        leaders.append(rows[leads][np.cumsum(leads) - 1][~leads])
        if len(there):
            lowest = order[np.append(True, np.diff(group) != 0)]
            matched = lowest[group_of] < len(there)
            found[rows[matched]] = there[lowest[group_of][matched]]
    return found, (np.concatenate(followers), np.concatenate(leaders))


def _group_equal(digests: list[Any]) -> tuple[Any, Any]:
    """The rows in an order that puts equal ones together, in their own order, and the number of each one's group."""
    # Sorted as what is left of one digest with the row's place behind it: one number is sorted much faster than two.
    bits = np.uint64(len(digests[0]).bit_length())
    placed = (digests[-1] << bits) | np.arange(len(digests[0]), dtype=np.uint64)
    placed.sort()
    order = (placed & ((np.uint64(1) << bits) - np.uint64(1))).astype(np.int64)
    alike = np.diff(placed >> bits) == 0
    new = _boundaries(digests, order)
    if (new[1:] & alike).any():
        # Rare: others may stand between equals.
        order = np.lexsort(digests)
        new = _boundaries(digests, order)
    return order, np.cumsum(new)


def _boundaries(digests: list[Any], order: Any) -> Any:
    """bool: where a row in that order differs from the one before it."""
    new = np.zeros(len(order), dtype=bool)
    for digest in digests:
        new[1:] |= np.diff(digest[order]) != 0
    return new


def _hash_partition(digest: Any, parts: int) -> Any:
    """The part in which each digest is."""
    made = np.zeros(len(digest), np.uint16)
    # Piece by piece, for the memory that the steps between take.
    for start in range(0, len(digest) if parts > 1 else 0, _PARTITION_ROWS):
        piece = slice(start, start + _PARTITION_ROWS)
        made[piece] = (digest[piece] >> np.uint64(32)) * np.uint64(parts) >> np.uint64(32)
    return made
