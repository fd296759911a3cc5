"""The segments of a table: ranges of new ids, each with its checksums."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np
import sqlalchemy as sa

from dfsync.model.types import NewIds
from dfsync.output.folder.state import Segments
from dfsync.pipeline.table.context import TableContext
from dfsync.target.read.checksums import Checksums, read_checksums

SEGMENT_ROWS = 8_192
"""So many mapped rows have the target rows of one segment."""
MOST_SEGMENTS = 2_000
"""A table of more rows has larger segments, since each is named in the query of the checksums."""

Within = tuple[int | None, int | None]
"""Ids above the first and up to the second; None is no limit."""


def segment_size(rows: int) -> int:
    """How many of so many mapped rows a segment has."""
    return max(SEGMENT_ROWS, rows // MOST_SEGMENTS)


def is_short(rows: int) -> bool:
    """Tell whether a segment of so many rows is to be joined with what comes behind it."""
    return rows < SEGMENT_ROWS // 2


def read_table_checksums(
    connection: sa.Connection, table: TableContext, last_ids: NewIds, within: Within = (None, None)
) -> Checksums:
    """Read the checksums of the natural keys of a table that has a state.

    Parameters
    ----------
    connection
        The target.
    table
        The table.
    last_ids, within
        As of `read_checksums`.

    Returns
    -------
    Checksums
    """
    binding = table.binding
    key = binding.target.pick(binding.plan.key)
    return read_checksums(connection, binding.target, binding.id or "", key, last_ids, within)


def read_segments(connection: sa.Connection, table: TableContext, last_ids: NewIds, within: Within) -> Segments:
    """Read segments.

    Parameters
    ----------
    connection
        The target.
    table
        The table.
    last_ids
        int64, ascending: the highest id of each segment.
    within
        The first one begins above the first of these ids; no row is looked for above the second one.

    Returns
    -------
    Segments
        Without those that have no row: their ids lie in the next one.
    """
    if not len(last_ids):
        return cut(last_ids, _EMPTY, 0)
    read = cut(last_ids, read_table_checksums(connection, table, last_ids, within), len(last_ids))
    return Segments(*(array[read.rows > 0] for array in read.arrays()))


def ends_of(ids: NewIds, size: int) -> NewIds:
    """The last id of each segment of these rows, which ascend; the last segment may have fewer than `size` of them."""
    ends = ids[size - 1 :: size]
    return np.append(ends, ids[-1:]) if len(ids) % size else ends


def cut(last_ids: NewIds, checksums: Checksums, count: int) -> Segments:
    """Make segments of the first checksums of these."""
    return Segments(
        last_ids[:count], checksums.rows[:count], checksums.checksum_1[:count], checksums.checksum_2[:count]
    )


def join_segments(parts: Sequence[Segments]) -> Segments:
    """Join segments by ascending id, without gaps between them."""
    return reduce(Segments.followed_by, parts)


_EMPTY = Checksums(np.zeros(1, np.int64), np.zeros(1, np.uint64), np.zeros(1, np.uint64))
