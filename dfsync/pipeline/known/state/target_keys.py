"""The natural keys of a target that changed little: from the last map where they are as they were, else read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from dfsync.model import frames
from dfsync.model.frames import ACTION, NEW_ID, OLD_ID
from dfsync.model.types import Mask, NewIds, OldIds
from dfsync.output.folder.state import RowsState, Segments
from dfsync.pipeline.known.state.last_state import standing
from dfsync.pipeline.table.context import TableContext
from dfsync.pipeline.table.keys import drop_null_keys
from dfsync.target.read.checksums import Checksums
from dfsync.target.read.keys import read_keys
from dfsync.target.read.rows import no_rows

LEAST_SHARE = 0.5
"""Where the map has fewer of the target's rows, all are read."""
MOST_RANGES = 50
"""Where the rows that the map lacks lie in more ranges of ids, all are read: each range is a query."""


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
    segment = segments.of(new_id)
    has_only_ours = np.bincount(segment, minlength=len(segments) + 1)[: len(segments)] == segments.rows
    is_known = standing(segments, now) & has_only_ours
    if not is_known.any() or now.rows[:-1][is_known].sum() < LEAST_SHARE * now.rows.sum():
        return None
    ranges = [*_ranges(segments.last_id, is_known)]
    if len(ranges) > MOST_RANGES:
        return None
    of_map = np.append(is_known, False)[segment]
    known = _keys_of_map(table, map_path, rows.old_id[first[of_map]], new_id[of_map])
    if known is None:
        return None
    binding = table.binding
    with table.timer("target keys"):
        read = [read_keys(table.connection, binding.target, binding.id, binding.key_names, *each) for each in ranges]
    return drop_null_keys(pd.concat([known, *read])).sort_index()


def _ranges(last_id: NewIds, is_known: Mask) -> Iterator[tuple[int | None, int | None]]:
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
