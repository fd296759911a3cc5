"""Topological order of the rows of one table: a row that others refer to comes before them.

Rows are given as positions. The time is linear in the number of rows and references, whatever the number of levels,
save for sorting the rows of a level.
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
    """A directed graph in compressed sparse rows: the edges that start at each node, in the order of their numbers.

    Parameters
    ----------
    starts
        By number of the edge the node at which it starts, below `count`.
    count
        The number of nodes.
    """

    def __init__(self, starts: Positions, count: int) -> None:
        self._edges: Positions = np.argsort(starts, kind="stable")
        self._ends: Positions = np.concatenate([[0], np.cumsum(np.bincount(starts, minlength=count))])

    def of(self, nodes: Positions) -> Positions:
        """Return the numbers of the edges that start at these nodes, node by node."""
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
    """Find the position of the row that each reference leads to.

    Parameters
    ----------
    references
        Index `old_id` (int64, unique); in each column old ids of rows of the same table, as nullable integers.

    Returns
    -------
    Positions
        By row and column: `NULL_REF` where the reference is NULL, `DANGLING` where the table has no such row.
    """
    positions = np.full(references.shape, NULL_REF)
    for slot, name in enumerate(references.columns):
        column = references[name]
        null = column.isna().to_numpy(dtype=bool)
        parents = references.index.get_indexer(pd.Index(column.fillna(0).to_numpy(dtype=np.int64)))
        positions[:, slot] = np.where(null, NULL_REF, np.where(parents < 0, DANGLING, parents))
    return positions


def topological_levels(parents: Positions) -> Iterator[Positions]:
    """Yield the rows level by level: first those that refer to no other row, then those that refer only to these.

    Parameters
    ----------
    parents
        As `parent_positions` gives them. A dangling reference counts like NULL.

    Yields
    ------
    Positions
        The rows of a level, ascending. A row in a cycle, or downstream of one, is in no level.

    References
    ----------
    Kahn, A. B. (1962). Topological sorting of large networks. https://doi.org/10.1145/368996.369025
    """
    rows, slots = np.nonzero(parents >= 0)
    children = Adjacency(parents[rows, slots], len(parents))
    waits = np.bincount(rows, minlength=len(parents))
    level = np.flatnonzero(waits == 0)
    while len(level):
        yield level
        dependents = rows[children.of(level)]
        np.subtract.at(waits, dependents, 1)
        level = unique(dependents[waits[dependents] == 0])


def cyclic_or_downstream(parents: Positions) -> Positions:
    """Find the rows that are in no level.

    Parameters
    ----------
    parents
        As `parent_positions` gives them.

    Returns
    -------
    Positions
        Ascending: the rows of cycles, and the rows that refer to them at any distance.
    """
    remaining = np.ones(len(parents), dtype=bool)
    for level in topological_levels(parents):
        remaining[level] = False
    return np.flatnonzero(remaining)


def needing(parents: Positions, lost: Mask) -> Mask:
    """Find the rows that are lost, and those that refer to a lost row at any distance.

    Parameters
    ----------
    parents
        As `parent_positions` gives them. A row with a dangling reference is lost, too.
    lost
        One bool for each row.

    Returns
    -------
    Mask
        One bool for each row.
    """
    lost = lost | (parents == DANGLING).any(axis=1)
    rows, slots = np.nonzero(parents >= 0)
    children = Adjacency(parents[rows, slots], len(parents))
    reached = np.flatnonzero(lost)
    while len(reached):
        dependents = rows[children.of(reached)]
        reached = unique(dependents[~lost[dependents]])
        lost[reached] = True
    return lost


def unique(rows: Positions) -> Positions:
    """Sort positions, and drop repeated ones.

    Parameters
    ----------
    rows
        In any order.

    Returns
    -------
    Positions
        Ascending, each once.

    Notes
    -----
    `numpy.unique` gives the same; its overhead counts for the many levels of few rows that a long chain has.
    """
    if len(rows) < 2:
        return rows
    ordered = np.sort(rows)
    first = np.empty(len(ordered), dtype=bool)
    first[0] = True
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return ordered if first.all() else ordered[first]


def cycle_rejects(rows: pd.DataFrame, references: pd.DataFrame, blocked: OldIds) -> pd.DataFrame:
    """Make the reject frame of rows that refer to themselves at some distance, or to such a row.

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
    rejects = [no_rejects()]
    for name in references.columns:
        at_fault = rows[leads[name].to_numpy(dtype=bool)]
        values = display_values(frames.as_arrow(at_fault[name]))
        rejects.append(reject_frame(at_fault.index, name, values, _NEEDS_ITSELF))
    return pd.concat(rejects)


def old_ids(references: pd.DataFrame, rows: Positions) -> OldIds:
    """Return the old ids of rows.

    Parameters
    ----------
    references
        As for `parent_positions`.
    rows
        Positions in it.

    Returns
    -------
    OldIds
        In the order of `rows`.
    """
    return references.index.to_numpy(dtype=np.int64)[rows]
