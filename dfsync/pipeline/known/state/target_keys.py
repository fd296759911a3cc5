"""The natural keys of a target that changed little: from the last map where they are as they were, else read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from dfsync.model import frames
from dfsync.model.frames import ACTION, NEW_ID, OLD_ID
from dfsync.model.types import Hashes, Mask, NewIds, OldIds, unique_ids
from dfsync.output.folder.state import RowsState, Segments, TableState
from dfsync.pipeline.known.state.last_state import standing
from dfsync.pipeline.table.context import TableContext
from dfsync.pipeline.table.keys import SourceKeys, choose_keys, drop_null_keys, read_target_keys
from dfsync.target.read.checksums import Checksums
from dfsync.target.read.keys import read_keys
from dfsync.target.read.rows import no_rows

_Range = tuple[int | None, int | None]
"""Ids above the first and up to the second; None is no limit."""
LEAST_SHARE = 0.5
"""Where the map has fewer of the target's rows, all are read."""
LOOKUP_RATIO = 20
"""Of so many rows of the target one may be looked up: reading all of them takes a twentieth of the time for each."""
MOST_RANGES = 50
"""Where the rows that the map lacks lie in more ranges of ids, all are read: each range is a query."""


def can_look_up(table: TableContext, rows: int, now: Checksums) -> bool:
    """Tell whether looking up so many natural keys is faster than reading those of all rows that the target has now."""
    binding = table.binding
    return not rows or (binding.target.is_indexed(binding.plan.key) and rows * LOOKUP_RATIO <= int(now.rows.sum()))


def read_changed_keys(
    table: TableContext, map_path: Path, rows: RowsState, segments: Segments, now: Checksums
) -> pd.DataFrame | None:
    """Read the target's keys, except where a segment is as it was and has only rows of the last map.

    Parameters
    ----------
    table
        The table.
    map_path
        The map of the last run.
    rows, segments
        The state that the last run left.
    now
        The checksums of its segments, in the snapshot of this run.

    Returns
    -------
    pandas.DataFrame or None
        As `read_target_keys` gives all of them; None where that is not worth it.
    """
    new_id, first = np.unique(rows.new_id, return_index=True)
    found = _known_segments(new_id, segments, now)
    if found is None:
        return None
    is_known, ranges = found
    of_map = np.append(is_known, False)[segments.of(new_id)]
    known = _keys_of_map(table, map_path, rows.old_id[first[of_map]], new_id[of_map])
    if known is None:
        return None
    return drop_null_keys(pd.concat([known, *_read_ranges(table, ranges)])).sort_index()


def read_keys_like(
    table: TableContext, source: SourceKeys, ids: OldIds, digests: Hashes, last: TableState, now: Checksums
) -> pd.DataFrame | None:
    """Read those of the target's keys that may be the ones of these source rows.

    In a segment that is as it was, and has only rows of the last run, each row has a digest; it is looked up where a
    source row has the same. All other segments are read. That is right where the target calls only identical keys
    equal.

    Parameters
    ----------
    table
        The table.
    source
        The keys of source rows that are not as they were.
    ids, digests
        These rows, those with a NULL in the key left out, and the digest of the key of each.
    last
        The state that the last run left.
    now
        The checksums of its segments, in the snapshot of this run.

    Returns
    -------
    pandas.DataFrame or None
        As of `read_changed_keys`.
    """
    rows = last.rows
    segments = _known_segments(unique_ids(rows.new_id), last.segments, now)
    if segments is None:
        return None
    is_known, ranges = segments
    of_state = np.append(is_known, False)[last.segments.of(rows.new_id)]
    # As `numpy.isin`, which hashes all of them, in a tenth of the time.
    known = np.sort(rows.digest if of_state.all() else rows.digest[of_state])
    alike = np.searchsorted(known, digests, side="right") > np.searchsorted(known, digests)
    if not can_look_up(table, int(alike.sum()), now):
        return None
    found = _read_ranges(table, ranges)
    if alike.any():
        found.append(read_target_keys(table, choose_keys(table, source, ids[alike]), look_up=True))
    keys = drop_null_keys(pd.concat(found)).sort_index()
    return keys[~keys.index.duplicated()]


def _known_segments(new_ids: NewIds, segments: Segments, now: Checksums) -> tuple[Mask, list[_Range]] | None:
    """The segments that are as they were and have only rows of the last map, whose ids these are, and what is between.

    None where that is not worth it.
    """
    has_only_ours = np.bincount(segments.of(new_ids), minlength=len(segments) + 1)[: len(segments)] == segments.rows
    is_known = standing(segments, now) & has_only_ours
    if not is_known.any() or now.rows[:-1][is_known].sum() < LEAST_SHARE * now.rows.sum():
        return None
    ranges = [*_ranges(segments.last_id, is_known)]
    return (is_known, ranges) if len(ranges) <= MOST_RANGES else None


def _read_ranges(table: TableContext, ranges: Iterable[_Range]) -> list[pd.DataFrame]:
    """Read the keys of all rows whose ids are in the ranges."""
    binding = table.binding
    with table.timer("target keys"):
        return [read_keys(table.connection, binding.target, binding.id, binding.key_names, *each) for each in ranges]


def _ranges(last_id: NewIds, is_known: Mask) -> Iterator[_Range]:
    """The ids that are not known: after which one, and up to which, each of these; what is above the last, too."""
    start: int | None = None
    is_open = False
    # Segment by segment, of which there are at most some thousand.
    for number, known in enumerate(is_known.tolist()):
        if not known and not is_open:
            start, is_open = int(last_id[number - 1]) if number else None, True
        elif known and is_open:
            yield start, int(last_id[number - 1])
            is_open = False
    yield (start if is_open else int(last_id[-1])), None


def _keys_of_map(table: TableContext, path: Path, old_ids: OldIds, new_ids: NewIds) -> pd.DataFrame | None:
    """The target's keys of these rows, whose `new_id` ascend; None where the map lacks one."""
    kept = pq.read_table(path).drop_columns([NEW_ID, ACTION])
    mapped = kept.column(OLD_ID).to_numpy()
    place = np.minimum(np.searchsorted(mapped, old_ids), max(len(mapped) - 1, 0))
    if not np.array_equal(mapped[place], old_ids):
        return None
    binding = table.binding
    like = no_rows(binding.target, binding.id, binding.key_names)
    keys = frames.target_frame(pa.array(new_ids), kept.drop_columns([OLD_ID]).take(pa.array(place)), binding.key_names)
    return keys.astype(like.dtypes.to_dict())
