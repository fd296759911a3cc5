"""Which rows of a table that refers to itself can be inserted, and in which order.

Rows of one natural key are a group: one of them is inserted, and all share its target row. A row can be inserted when
every group that it refers to has a target row, or will have one by then, whichever of its rows is inserted.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import numpy as np

from dfsync.model.types import Mask, Positions
from dfsync.stages.row_order import DANGLING, Adjacency, unique


class RowState(IntEnum):
    """What has become of a row.

    Attributes
    ----------
    PENDING
        The row is to be inserted, or shares the target row of one that is.
    RESOLVED
        The row has a target row.
    REJECTED
        The row was refused, or refers to a row that never gets a target row.
    BLOCKED
        The row refers to itself, at some distance, or to a row that does.
    """

    PENDING = 0
    RESOLVED = 1
    REJECTED = 2
    BLOCKED = 3


class _Group(IntEnum):
    """The status of a group; dead means that none of its rows can be inserted."""

    OPEN = 0
    PLANNED = 1
    RESOLVED = 2
    DEAD = 3


class InsertOrder:
    """Plans the inserts as if all of them succeeded, and plans again what depended on one that failed.

    A group is final unless it is open: one of its rows is planned, it has a target row, or all its rows are rejected.
    The invariant: `_waits` of a row counts its references to groups that are not final; a planned row waits for none;
    `_alive` of a group counts its rows that are not rejected, and is zero only if the group is dead or resolved.

    Groups become final a wave at a time, all that are ready at once. Equal rows without a natural key refer to the same
    groups, so they are in one wave, ascending: a later run, which matches the k-th of them with the k-th, finds them in
    the order in which they were inserted.

    It ends: a group that is final opens again only where a row fails, each row fails once, and between two failures
    every reference is followed at most twice. What is open in the end waits for itself.

    Parameters
    ----------
    parents
        By row and column of references the position of the row referred to, as `parent_positions` gives them.
    soft
        For each of these columns whether the target may have the value referred to though the row that has it in the
        source gets no target row. So it is with a reference by value: another row of the target may have the value.
    group
        The position of the row that represents each row, the first of its natural key; its own where it has none.
    resolved
        The rows that have a target row already.
    rejected
        The rows that can never be inserted, whatever they refer to.
    """

    def __init__(
        self, parents: Positions, soft: Sequence[bool], group: Positions, *, resolved: Mask, rejected: Mask
    ) -> None:
        count = len(parents)
        self._group, self._members = group, Adjacency(group, count)
        rows, slots = np.nonzero(parents >= 0)
        self._edge_row, self._edge_group = rows, group[parents[rows, slots]]
        self._edge_slot, self._soft = slots, np.asarray(soft, dtype=bool)
        self._dependents = Adjacency(self._edge_group, count)
        self._waits = np.bincount(rows, minlength=count)
        self._leads_to_dead = np.zeros(parents.shape, dtype=bool)
        """By row and column of references: whether a soft reference leads to a dead group."""
        self._in_target = np.zeros(parents.shape, dtype=bool)
        """By row and column of references: whether the target has the value, as far as `answer` said so."""
        self._answered = np.zeros(count, dtype=bool)
        self._rejected = rejected | (parents[:, ~self._soft] == DANGLING).any(axis=1)
        self._alive = np.bincount(group[~self._rejected], minlength=count)
        self._status = np.full(count, _Group.OPEN, np.uint8)
        self._chosen: Positions = np.full(count, -1)
        self._plan: list[Positions] = []
        represents = group == np.arange(count)
        self._status[group[resolved]] = _Group.RESOLVED
        self._status[represents & (self._alive == 0) & (self._status == _Group.OPEN)] = _Group.DEAD
        final = np.flatnonzero(represents & (self._status != _Group.OPEN))
        self._settle_frontier(np.concatenate([final, self._choose(np.flatnonzero(self._waits == 0))]))

    def upcoming(self) -> Positions:
        """Return the rows that are to be inserted, each after those that it refers to."""
        rows: Positions = np.concatenate([np.array([], dtype=np.intp), *self._plan])
        group = self._group[rows]
        rows = rows[(self._status[group] == _Group.PLANNED) & (self._chosen[group] == rows)]
        self._plan = [rows]
        return rows

    def undecided(self) -> Positions:
        """Return the rows (ascending) that can be inserted if the target has the values that they refer to.

        Returns
        -------
        Positions
            Rows for which `answer` has to say whether it has.
        """
        open_ = self._status[self._group] == _Group.OPEN
        return np.flatnonzero(self._leads_to_dead.any(axis=1) & ~self._answered & ~self._rejected & open_)

    def downstream(self, rows: Positions) -> Positions:
        """Find the rows without a target row that refer to other rows at any distance.

        Parameters
        ----------
        rows
            Where to start.

        Returns
        -------
        Positions
            Ascending, with the `rows` themselves.
        """
        reached = np.zeros(len(self._group), dtype=bool)
        while len(rows):
            reached[rows] = True
            groups = unique(self._group[rows])
            dependents = self._edge_row[self._dependents.of(groups[self._status[groups] != _Group.RESOLVED])]
            rows = unique(dependents[~reached[dependents]])
        return np.flatnonzero(reached)

    def chosen(self, groups: Positions) -> Positions:
        """Return the row that is planned, or was inserted, for each group; -1 for none."""
        return self._chosen[groups]

    def resolve(self, rows: Positions) -> None:
        """Note that upcoming rows have their target row."""
        self._status[self._group[rows]] = _Group.RESOLVED

    def fail(self, rows: Positions) -> None:
        """Note that upcoming rows can never be inserted; what refers to them waits for another row of their group."""
        opened = self._reopen(unique(self._group[rows]))
        dead = self._lose(rows, opened)
        # Rows that are planned again get a later position in the plan than they had.
        self.upcoming()
        members = self._members.of(opened)
        ready = unique(members[self._waits[members] == 0])
        self._settle_frontier(np.concatenate([dead, self._choose(ready)]))

    def answer(self, rows: Positions, in_target: Mask) -> None:
        """Take in whether the target has the values that rows refer to.

        Parameters
        ----------
        rows
            Rows that are undecided, or downstream of undecided ones.
        in_target
            By row and column of references; in columns that are not soft it does not count.
        """
        self._answered[rows], self._in_target[rows] = True, in_target
        rows = rows[self._leads_to_dead[rows].any(axis=1) & ~self._rejected[rows]]
        lost = self._is_lost(rows)
        dead, ready = self._lose(rows[lost]), rows[~lost]
        self._settle_frontier(np.concatenate([dead, self._choose(ready[self._waits[ready] == 0])]))

    def states(self) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
        """Return the `RowState` of each row (uint8)."""
        status = self._status[self._group]
        state = np.full(len(status), RowState.BLOCKED, np.uint8)
        state[status == _Group.PLANNED] = RowState.PENDING
        state[self._rejected] = RowState.REJECTED
        state[status == _Group.RESOLVED] = RowState.RESOLVED
        return state

    def _settle_frontier(self, final: Positions) -> None:
        """Settle the groups that waited only for groups that have become final, then those that waited for these."""
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
        """Whether a row refers to a value that only dead groups have, and the target does not have."""
        return self._answered[rows] & (self._leads_to_dead[rows] & ~self._in_target[rows]).any(axis=1)

    def _newly_lost(self, rows: Positions, slots: Positions) -> Positions:
        """Of rows that refer to dead groups, in these columns, those that cannot be inserted because of it."""
        soft = self._soft[slots]
        self._leads_to_dead[rows[soft], slots[soft]] = True
        lost: Positions = unique(rows[~soft | self._is_lost(rows)])
        lost = lost[~self._rejected[lost]]
        # At once, so that `_choose` takes none of them.
        self._rejected[lost] = True
        return lost

    def _choose(self, rows: Positions) -> Positions:
        """Plan the first row of each open group, of rows (ascending) that wait for none; gives these groups."""
        groups: Positions = self._group[rows]
        insertable = (self._status[groups] == _Group.OPEN) & ~self._rejected[rows]
        if self._soft.any():
            insertable &= self._answered[rows] | ~self._leads_to_dead[rows].any(axis=1)
        rows, groups = rows[insertable], groups[insertable]
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
        """Reject rows, each once; gives the groups (theirs, or the `opened`) of which no row is left."""
        self._rejected[rows] = True
        np.subtract.at(self._alive, self._group[rows], 1)
        groups = unique(self._group[rows] if opened is None else opened)
        dead: Positions = groups[(self._alive[groups] == 0) & (self._status[groups] == _Group.OPEN)]
        self._status[dead] = _Group.DEAD
        return dead

    def _reopen(self, groups: Positions) -> Positions:
        """Open planned groups, and those whose planned row refers to an opened group; gives all that are open now."""
        opened = [groups]
        while len(groups):
            self._status[groups] = _Group.OPEN
            self._chosen[groups] = -1
            rows = self._edge_row[self._dependents.of(groups)]
            np.add.at(self._waits, rows, 1)
            dependents = self._group[rows]
            planned = (self._status[dependents] == _Group.PLANNED) & (self._chosen[dependents] == rows)
            groups = unique(dependents[planned])
            opened.append(groups)
        return np.concatenate(opened)
