"""Find the source rows that the target already has: the anti-join on the natural key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from dfsync.model import frames
from dfsync.model.types import Hashes, Mask, Positions
from dfsync.stages.row_hash import HASH_COLUMNS, RowHasher

S = TypeVar("S", bound=np.generic)

REPRESENTATIVE_ID = "representative_id"
_PARTITION_ROWS = 300_000


@dataclass(frozen=True)
class Matches:
    """What `first_matches` found, by positions in the two frames.

    Attributes
    ----------
    position
        For each source row the position of the first target row with the same hash, -1 where there is none.
    duplicates
        The source rows that are equal to an earlier source row.
    originals
        For each duplicate the first source row that it is equal to.
    """

    position: Positions
    duplicates: Positions
    originals: Positions

    @property
    def representative(self) -> Positions:
        """For each source row the position of the first source row with the same hash."""
        return self.representative_of(np.arange(len(self.position)))

    def representative_of(self, values: NDArray[S]) -> NDArray[S]:
        """Return for each source row the value of the first row with the same hash; `values` itself without duplicates.

        Parameters
        ----------
        values
            One value per source row, such as its id.

        Returns
        -------
        array
            Of the same dtype.
        """
        if not len(self.duplicates):
            return values
        of_first = values.copy()
        of_first[self.duplicates] = values[self.originals]
        return of_first


def match(source: pd.DataFrame, target: pd.DataFrame, hasher: RowHasher | None = None) -> pd.DataFrame:
    """Find for every source row the target row of the same natural key, or the source row that stands for it.

    Parameters
    ----------
    source
        The columns of the natural key, of Arrow dtypes: index `old_id` (int64, unique). Texts are in the form in which
        equal to the target means identical (see `dfsync.target.collation`).
    target
        The same columns of the target's rows, in the same form: index `new_id` (int64 or uint64, unique).
    hasher
        Compares the keys; None takes one with a random seed.

    Returns
    -------
    pandas.DataFrame
        Index `old_id`, ascending. `new_id` (Arrow integer): the lowest id of the target rows with this key, NULL where
        there is none. `representative_id` (int64): the lowest `old_id` of the source rows with this key, the row's own
        where there is no other. A NULL in a key equals nothing: such a row has no `new_id` and represents itself.
    """
    hasher = hasher or RowHasher.random()
    source, target = source.sort_index(), target[list(source.columns)].sort_index()
    keyed = np.flatnonzero(frames.non_null_rows(source))
    target = target[frames.non_null_rows(target)]
    matches = first_matches(hasher.hashes(source.iloc[keyed]), hasher.hashes(target))
    position = np.full(len(source), -1)
    position[keyed] = matches.position
    representative_id = source.index.to_numpy().copy()
    representative_id[keyed] = matches.representative_of(representative_id[keyed])
    new_id = pa.array(target.index.to_numpy()).take(pa.array(position, mask=position < 0))
    columns = {frames.NEW_ID: new_id, REPRESENTATIVE_ID: representative_id}
    return frames.from_arrow(pa.table(columns), source.index)


def first_matches(source: pd.DataFrame, target: pd.DataFrame) -> Matches:
    """Find for each source row the first target row and the first source row of the same hash.

    Parameters
    ----------
    source, target
        The columns `HASH_COLUMNS` (uint64), as `RowHasher.hashes` returns them; the index does not count.

    Returns
    -------
    Matches
        Positions in `target` and in `source`.
    """
    # The target's rows are laid before the source's and all are sorted by hash, equal ones in the order laid. The
    # first row of each run of equals then answers for the whole run: a target row is the match of its source rows.
    # With letters for hashes, target [c, a] and source [a, b, a] are laid as c0 a1 a2 b3 a4 and sorted as
    #     a1 a2 a4 | b3 | c0
    # Run a starts at 1, a target row: source rows 0 and 2 (a2, a4) match it, and source row 0 represents both. Run b
    # starts at 3, a source row: no match.
    target_side, source_side = ([side[name].to_numpy() for name in HASH_COLUMNS] for side in (target, source))
    # Without a target the array of -1 needs no memory.
    position = np.full(len(source), -1) if len(target) else np.broadcast_to(np.int64(-1), len(source))
    duplicates, originals = [np.array([], np.intp)], [np.array([], np.intp)]
    # Partition by partition, since sorting takes several times the memory of what is sorted.
    count = 1 + (len(source) + len(target)) // _PARTITION_ROWS
    target_partition, source_partition = (_hash_partition(side[0], count) for side in (target_side, source_side))
    for partition in range(count):
        target_rows = np.flatnonzero(target_partition == partition)
        source_rows = np.flatnonzero(source_partition == partition)
        laid = [np.concatenate([t[target_rows], s[source_rows]]) for t, s in zip(target_side, source_side, strict=True)]
        order, starts = _sort_equal(laid)
        run = np.cumsum(starts) - 1
        is_source = order >= len(target_rows)
        rows, run_of_row = source_rows[order[is_source] - len(target_rows)], run[is_source]
        is_first = _starts_of_runs(run_of_row)
        duplicates.append(rows[~is_first])
        originals.append(rows[is_first][np.cumsum(is_first) - 1][~is_first])
        if len(target_rows):
            first = order[starts][run_of_row]
            matched = first < len(target_rows)
            position[rows[matched]] = target_rows[first[matched]]
    return Matches(position, np.concatenate(duplicates), np.concatenate(originals))


def _sort_equal(hashes: list[Hashes]) -> tuple[Positions, Mask]:
    """Return the rows in an order that puts equal ones together, in their own order, and where each run starts."""
    # What is left of one half with the row's position behind it: one number is sorted much faster than two.
    bits = np.uint64(len(hashes[0]).bit_length())
    packed = (hashes[-1] << bits) | np.arange(len(hashes[0]), dtype=np.uint64)
    packed.sort()
    order = (packed & ((np.uint64(1) << bits) - np.uint64(1))).astype(np.intp)
    starts = _boundaries(hashes, order)
    same_bits = np.diff(packed >> bits) == 0
    if (starts[1:] & same_bits).any():
        # Rare: other rows that share these bits may stand between equal ones.
        order = np.lexsort(hashes)
        starts = _boundaries(hashes, order)
    return order, starts


def _boundaries(hashes: list[Hashes], order: Positions) -> Mask:
    """Return where a row, in that order, differs from the row before it."""
    starts = np.zeros(len(order), dtype=bool)
    starts[:1] = True
    for half in hashes:
        starts[1:] |= np.diff(half[order]) != 0
    return starts


def _starts_of_runs(values: NDArray[Any]) -> Mask:
    return np.append(True, np.diff(values) != 0)[: len(values)]


def _hash_partition(hashes: Hashes, count: int) -> NDArray[np.uint16]:
    """Return the number of the partition of each hash."""
    partition = np.zeros(len(hashes), np.uint16)
    # Slice by slice, for the memory of the intermediate steps.
    for start in range(0, len(hashes) if count > 1 else 0, _PARTITION_ROWS):
        part = slice(start, start + _PARTITION_ROWS)
        partition[part] = (hashes[part] >> np.uint64(32)) * np.uint64(count) >> np.uint64(32)
    return partition
