"""The order that references between the rows of one table ask for: what is referred to comes first.

All of it is in the number of rows and references, whatever the number of levels. Rows are named by their position.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from dfsync.model import frames
from dfsync.model.rejects import display_values, no_rejects, reject_frame
from dfsync.model.types import Mask, OldIds, Positions

NULL_REF, DANGLING = -1, -2
_NEEDS_ITSELF = "leads into a circle of rows that need each other, and cannot be left empty until they are in"


class Adjacency:
    """A directed graph in compressed sparse rows: the edges that start at each node, in the order in which they were
    given.
    """

    def __init__(self, starts: Positions, count: int) -> None:
        """
        Parameters
        ----------
        starts
            Where each edge starts: a node below `count`.
        count
            The number of nodes.
        """
        self._edges: Positions = np.argsort(starts, kind="stable")
        self._ends: Positions = np.concatenate([[0], np.cumsum(np.bincount(starts, minlength=count))])

    def of(self, nodes: Positions) -> Positions:
        """The numbers of the edges that start at these nodes."""
        if len(nodes) == 1:
            return self._edges[self._ends[nodes[0]] : self._ends[nodes[0] + 1]]
        low = self._ends[nodes]
        degree = self._ends[nodes + 1] - low
        ends = degree.cumsum()
        if not len(ends) or not ends[-1]:
            return self._edges[:0]
        within: Positions = np.arange(ends[-1]) + (low - ends + degree).repeat(degree)
        return self._edges[within]


def parent_positions(references: pd.DataFrame) -> Positions:
    """By row and column of references the position of the row referred to.

    Parameters
    ----------
    references
        Index `old_id` (int64, unique); in each column old ids of rows of the same table, as nullable integers.

    Returns
    -------
    Positions
        Two dimensions: `NULL_REF` where the reference is NULL, `DANGLING` where the table has no such row.
    """
    found = np.full(references.shape, NULL_REF)
    for slot, name in enumerate(references.columns):
        column = references[name]
        null = column.isna().to_numpy(dtype=bool)
        at = references.index.get_indexer(pd.Index(column.fillna(0).to_numpy(dtype=np.int64)))
        found[:, slot] = np.where(null, NULL_REF, np.where(at < 0, DANGLING, at))
    return found


def topological_levels(parents: Positions) -> Iterator[Positions]:
    """The rows level by level, ascending in each: first those that need no other row, then those that need these alone.

    A row in a cycle, or downstream of one, is in no level. A dangling reference needs nothing.

    Parameters
    ----------
    parents
        As `parent_positions` gives them.
    """
    rows, slots = np.nonzero(parents >= 0)
    children = Adjacency(parents[rows, slots], len(parents))
    waits = np.bincount(rows, minlength=len(parents))
    level = np.flatnonzero(waits == 0)
    while len(level):
        yield level
        below = rows[children.of(level)]
        np.subtract.at(waits, below, 1)
        level = unique(below[waits[below] == 0])


def cyclic_or_downstream(parents: Positions) -> Positions:
    """The rows (ascending) that are in no level: those of cycles, and those that need them at any distance."""
    left = np.ones(len(parents), dtype=bool)
    for level in topological_levels(parents):
        left[level] = False
    return np.flatnonzero(left)


def needing(parents: Positions, lost: Mask) -> Mask:
    """The rows that are `lost`, or need one that is at any distance; a dangling reference makes its row one, too.

    Parameters
    ----------
    parents
        As `parent_positions` gives them.
    """
    lost = lost | (parents == DANGLING).any(axis=1)
    rows, slots = np.nonzero(parents >= 0)
    children = Adjacency(parents[rows, slots], len(parents))
    reached = np.flatnonzero(lost)
    while len(reached):
        below = rows[children.of(reached)]
        reached = unique(below[~lost[below]])
        lost[reached] = True
    return lost


def unique(rows: Positions) -> Positions:
    """Ascending, each once. `numpy.unique` takes its time, also for a single row."""
    if len(rows) < 2:
        return rows
    ordered = np.sort(rows)
    first = np.empty(len(ordered), dtype=bool)
    first[0] = True
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return ordered if first.all() else ordered[first]


def cycle_rejects(rows: pd.DataFrame, references: pd.DataFrame, blocked: OldIds) -> pd.DataFrame:
    """The reject frame of rows that need themselves, at some distance, or a row that does.

    Parameters
    ----------
    rows
        These rows as they were extracted (index `old_id`), with the columns of `references`.
    references
        As for `parent_positions`.
    blocked
        The old ids of all such rows.

    Returns
    -------
    DataFrame
        An entry for each column that leads to one of them.
    """
    leads = references.loc[rows.index].isin(blocked)
    made = [no_rejects()]
    for name in references.columns:
        left = rows[leads[name].to_numpy(dtype=bool)]
        made.append(reject_frame(left.index, name, display_values(frames.as_arrow(left[name])), _NEEDS_ITSELF))
    return pd.concat(made)


def old_ids(references: pd.DataFrame, rows: Positions) -> OldIds:
    """The old ids of these rows."""
    return references.index.to_numpy(dtype=np.int64)[rows]
