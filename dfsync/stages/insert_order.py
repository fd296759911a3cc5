"""Which rows of a table that refers to itself can be inserted, and in which order.

Rows of one natural key make a group: one of them makes the target row of all. A row can be inserted when every row that
it refers to has a target row, or will have one by then, whichever row of its group makes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import numpy as np

from dfsync.model.types import Mask, Positions
from dfsync.stages.row_order import DANGLING, Adjacency, unique


class RowState(IntEnum):
    """What has become of a row."""

    PENDING = 0
    """It is to be inserted, or shares the target row of one that is."""
    RESOLVED = 1
    """It has a target row."""
    REJECTED = 2
    """It was refused, or refers to a row that never gets a target row."""
    BLOCKED = 3
    """It needs itself, at some distance, or needs a row that does."""


class _Group(IntEnum):
    OPEN = 0
    PLANNED = 1
    RESOLVED = 2
    DEAD = 3


class InsertOrder:
    """Plans the inserts as if all of them succeeded, and plans again what depended on one that failed.

    A group is final unless it is open: one of its rows is planned, it has a target row, or all its rows are rejected.
    The invariant: `_waits` of a row counts its references to groups that are not final; a planned row waits for none;
    `_alive` of a group counts its rows that are not rejected, and is zero only if the group is dead or resolved.

    Groups become final a wave at a time, all that are ready at once. Of equal rows without a natural key all refer to
    the same groups, so they are in one wave, ascending: whoever matches them later, the k-th with the k-th, finds them
    in the order in which they were inserted.

    It ends: a group that is final opens again only where a row fails, each row fails once, and between two failures
    every reference is followed at most twice. What is open in the end waits for itself.
    """

    def __init__(
        self, parents: Positions, soft: Sequence[bool], group: Positions, *, resolved: Mask, rejected: Mask
    ) -> None:
        """
        Parameters
        ----------
        parents
            By row and column of references the position of the row referred to, as `parent_positions` gives them.
        soft
            For each of these columns whether the target may have what is referred to though the row has no target row:
            a reference by value, which another row there may have.
        group
            The position of the row that represents each row, the first of its natural key; its own where it has none.
        resolved
            The rows that have a target row already.
        rejected
            The rows that can never be inserted, whatever they refer to.
        """
        count = len(parents)
        self._group, self._members = group, Adjacency(group, count)
        rows, slots = np.nonzero(parents >= 0)
        self._edge_row, self._edge_group = rows, group[parents[rows, slots]]
        self._edge_slot, self._soft = slots, np.asarray(soft, dtype=bool)
        self._dependents = Adjacency(self._edge_group, count)
        self._waits = np.bincount(rows, minlength=count)
        self._adrift = np.zeros(parents.shape, dtype=bool)
        """Whether what a soft reference leads to is dead, by row and column; and whether the target has the value."""
        self._there = np.zeros(parents.shape, dtype=bool)
        self._answered = np.zeros(count, dtype=bool)
        self._rejected = rejected | (parents[:, ~self._soft] == DANGLING).any(axis=1)
        self._alive = np.bincount(group[~self._rejected], minlength=count)
        self._status = np.full(count, _Group.OPEN, np.uint8)
        self._chosen: Positions = np.full(count, -1)
        self._plan: list[Positions] = []
        leads = group == np.arange(count)
        self._status[group[resolved]] = _Group.RESOLVED
        self._status[leads & (self._alive == 0) & (self._status == _Group.OPEN)] = _Group.DEAD
        final = np.flatnonzero(leads & (self._status != _Group.OPEN))
        self._settle_frontier(np.concatenate([final, self._choose(np.flatnonzero(self._waits == 0))]))

    def upcoming(self) -> Positions:
        """The rows that are to be inserted, each behind those that it refers to."""
        rows: Positions = np.concatenate([np.array([], dtype=np.intp), *self._plan])
        group = self._group[rows]
        rows = rows[(self._status[group] == _Group.PLANNED) & (self._chosen[group] == rows)]
        self._plan = [rows]
        return rows

    def undecided(self) -> Positions:
        """The rows (ascending) that could be inserted if the target had the values that they refer to: see `answer`."""
        open_ = self._status[self._group] == _Group.OPEN
        return np.flatnonzero(self._adrift.any(axis=1) & ~self._answered & ~self._rejected & open_)

    def downstream(self, rows: Positions) -> Positions:
        """The rows (ascending) that have no target row, and refer to some of these at any distance, and these."""
        reached = np.zeros(len(self._group), dtype=bool)
        while len(rows):
            reached[rows] = True
            groups = unique(self._group[rows])
            below = self._edge_row[self._dependents.of(groups[self._status[groups] != _Group.RESOLVED])]
            rows = unique(below[~reached[below]])
        return np.flatnonzero(reached)

    def chosen(self, groups: Positions) -> Positions:
        """The row that is planned, or was inserted, for each group; -1 for none."""
        return self._chosen[groups]

    def resolve(self, rows: Positions) -> None:
        """Upcoming rows have their target row."""
        self._status[self._group[rows]] = _Group.RESOLVED

    def fail(self, rows: Positions) -> None:
        """Upcoming rows can never be inserted; whoever needed them waits for another row of their group."""
        opened = self._reopen(unique(self._group[rows]))
        dead = self._lose(rows, opened)
        # What is planned once more comes later, and not at its old place.
        self.upcoming()
        members = self._members.of(opened)
        ready = unique(members[self._waits[members] == 0])
        self._settle_frontier(np.concatenate([dead, self._choose(ready)]))

    def answer(self, rows: Positions, there: Mask) -> None:
        """Says for rows, undecided or downstream of such, whether the target has the values that they refer to: by
        row and column of references, whatever in those that are not soft.
        """
        self._answered[rows], self._there[rows] = True, there
        rows = rows[self._adrift[rows].any(axis=1) & ~self._rejected[rows]]
        lost = self._is_lost(rows)
        dead, ready = self._lose(rows[lost]), rows[~lost]
        self._settle_frontier(np.concatenate([dead, self._choose(ready[self._waits[ready] == 0])]))

    def states(self) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
        """The `RowState` of each row."""
        status = self._status[self._group]
        state = np.full(len(status), RowState.BLOCKED, np.uint8)
        state[status == _Group.PLANNED] = RowState.PENDING
        state[self._rejected] = RowState.REJECTED
        state[status == _Group.RESOLVED] = RowState.RESOLVED
        return state

    def _settle_frontier(self, final: Positions) -> None:
        """Goes on from groups that have become final, to those that waited for them alone, and so on."""
        while len(final):
            edges = self._dependents.of(final)
            rows = self._edge_row[edges]
            dead = self._status[self._edge_group[edges]] == _Group.DEAD
            lost = self._newly_lost(rows[dead], self._edge_slot[edges[dead]]) if dead.any() else rows[:0]
            np.subtract.at(self._waits, rows, 1)
            final = self._choose(unique(rows[self._waits[rows] == 0]))
            if len(lost):
                final = np.concatenate([final, self._lose(lost)])

    def _is_lost(self, rows: Positions) -> Mask:
        """Whether a value that only a dead row has is not in the target either."""
        return self._answered[rows] & (self._adrift[rows] & ~self._there[rows]).any(axis=1)

    def _newly_lost(self, rows: Positions, slots: Positions) -> Positions:
        """Of rows that refer to what is dead, in these columns, those that cannot be inserted for that."""
        soft = self._soft[slots]
        self._adrift[rows[soft], slots[soft]] = True
        lost: Positions = unique(rows[~soft | self._is_lost(rows)])
        lost = lost[~self._rejected[lost]]
        # Before any of them is chosen.
        self._rejected[lost] = True
        return lost

    def _choose(self, rows: Positions) -> Positions:
        """Of rows (ascending) that wait for none those that are planned, the first of each group; gives the groups."""
        groups: Positions = self._group[rows]
        able = (self._status[groups] == _Group.OPEN) & ~self._rejected[rows]
        if self._soft.any():
            able &= self._answered[rows] | ~self._adrift[rows].any(axis=1)
        rows, groups = rows[able], groups[able]
        if len(rows) > 1 and not (groups == rows).all():
            groups, first = np.unique(groups, return_index=True)
            order = np.argsort(first)
            rows, groups = rows[first[order]], groups[order]
        if len(rows):
            self._chosen[groups] = rows
            self._status[groups] = _Group.PLANNED
            self._plan.append(rows)
        return groups

    def _lose(self, rows: Positions, opened: Positions | None = None) -> Positions:
        """Rejects rows, each for the first time; gives the groups that are dead for it, of theirs or the `opened`."""
        self._rejected[rows] = True
        np.subtract.at(self._alive, self._group[rows], 1)
        groups = unique(self._group[rows] if opened is None else opened)
        dead: Positions = groups[(self._alive[groups] == 0) & (self._status[groups] == _Group.OPEN)]
        self._status[dead] = _Group.DEAD
        return dead

    def _reopen(self, groups: Positions) -> Positions:
        """Opens groups that were planned, and those whose planned row refers to one that is opened; gives them all."""
        opened = [groups]
        while len(groups):
            self._status[groups] = _Group.OPEN
            self._chosen[groups] = -1
            rows = self._edge_row[self._dependents.of(groups)]
            np.add.at(self._waits, rows, 1)
            own = self._group[rows]
            groups = unique(own[(self._status[own] == _Group.PLANNED) & (self._chosen[own] == rows)])
            opened.append(groups)
        return np.concatenate(opened)
