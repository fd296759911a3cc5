"""Two sets of rows that refer to rows of their own set: which row of the source is which row of the target.

Two rows are the same where their values are and where what they refer to is the same. So each row has a canonical
form: a number for its values, and for each reference the row that it leads to, named by its position in the target, or
by its representative in the source where the target lacks it. A row takes its form once all that it refers to has
one, so the rows are gone through from parents to children, a level at a time, and what is left leads into a cycle:
there a row is tried on each row of the target that has the same values, and all that it leads to with it.

Without cycles the time is in the order of n log n for n rows of both ends, whatever the number of levels.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dfsync.model.types import Hashes, Mask, OldIds, Positions
from dfsync.stages.row_order import DANGLING, NULL_REF, Adjacency, unique

_NEW = -3
"""A row that the target lacks is `_NEW - p` for its representative's position `p`."""
_MIX = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)


@dataclass
class RowSet:
    """Rows of one table on one side, all with a natural key or all without; of rows that are the same the first one is
    taken first.
    """

    table: int
    keyed: bool
    """Rows with a natural key may share a row of the target; of the others each takes one, the k-th of equal rows the
    k-th."""
    ids: OldIds
    hashes: Hashes
    """Two columns: of all values that count, save the references."""
    parents: list[int]
    """The table that each column of references leads to."""
    references: list[OldIds]
    """By column the ids there; any number where `null` says that there is none."""
    null: list[Mask]

    def only(self, rows: Mask) -> RowSet:
        """Some of its rows."""
        references, null = [column[rows] for column in self.references], [column[rows] for column in self.null]
        return RowSet(self.table, self.keyed, self.ids[rows], self.hashes[rows], self.parents, references, null)


@dataclass(frozen=True)
class CycleMatches:
    """What a match has found, by position in the source."""

    position: Positions
    """Of the row of the target; -1 where there is none."""
    representative: Positions
    """Of the first row of the source that is the same row; its own where there is no other."""


def match_cycle(source: Sequence[RowSet], target: Sequence[RowSet]) -> list[CycleMatches]:
    """For each row of the source its row in the same part of the target, and the first row that is the same.

    Both ends have the same parts in the same order, each with at least one column of references somewhere.
    """
    position, representative = _CycleMatcher(source, target).run()
    made = []
    for here, there in zip(_spans(source), _spans(target), strict=True):
        place = position[here]
        made.append(CycleMatches(np.where(place < 0, -1, place - there.start), representative[here] - here.start))
    return made


def _spans(parts: Sequence[RowSet]) -> list[slice]:
    """Where the rows of each part are among all of them."""
    ends = itertools.accumulate((len(rows.ids) for rows in parts), initial=0)
    return [slice(*pair) for pair in itertools.pairwise(ends)]


class _CycleMatcher:
    """Knows, by position in the parts laid end to end, which rows of the source are settled, and as what."""

    def __init__(self, source: Sequence[RowSet], target: Sequence[RowSet]) -> None:
        self._value, target_values = _value_classes(source, target)
        slots = max(len(rows.parents) for rows in source)
        self._parents, self._target_parents = _references(source, slots), _references(target, slots)
        self._target_values = target_values
        self._shared = np.concatenate([np.full(len(rows.ids), rows.keyed) for rows in source])
        count = len(self._value)
        self._known_value = np.isin(self._value, target_values)
        self._representative = np.arange(count)
        # Which of those with a natural key have a twin at all is known beforehand.
        self._repeated = (np.bincount(self._value, minlength=1) > 1)[self._value] & self._shared
        # By position, and behind that what `DANGLING` and `NULL_REF` lead to as indexes.
        self._form = np.append(_NEW - np.arange(count), [DANGLING, NULL_REF])
        self._settled = np.zeros(count, dtype=bool)
        rows, slots_ = np.nonzero(self._parents >= 0)
        self._waits = np.bincount(rows, minlength=count)
        self._edge_rows, self._children = rows, Adjacency(self._parents[rows, slots_], count)
        self._candidates = _CandidateIndex(target_values, self._target_parents)

    def run(self) -> tuple[Positions, Positions]:
        """The position in the target of each row, negative where it has none, and that of its representative."""
        self._settle_frontier(np.flatnonzero(self._waits == 0))
        # Row by row, since each try depends on those before.
        for row in np.flatnonzero(~self._settled).tolist():
            if not self._settled[row]:
                self._settle_frontier(self._unblocked(self._match_in_cycle(row)))
        position = self._form[:-2]
        self._join(np.flatnonzero(self._shared & (position >= 0)), position)
        return position, self._representative

    def _join(self, rows: Positions, position: Positions) -> None:
        """The first of the rows with one row of the target represents them."""
        _, first, group = np.unique(position[rows], return_index=True, return_inverse=True)
        self._representative[rows] = rows[first[group]]

    def _settle_frontier(self, rows: Positions) -> None:
        """Settles the rows, all of whose parents are settled, then their children, and so on."""
        while len(rows):
            if len(rows) == 1:
                self._look_up_one(int(rows[0]))
            else:
                self._look_up(rows)
            rows = self._unblocked(rows)

    def _unblocked(self, rows: Positions) -> Positions:
        """The rows that waited for no others than these."""
        self._settled[rows] = True
        children = self._edge_rows[self._children.of(rows)]
        if len(children) == 1:
            self._waits[children] -= 1
        else:
            np.subtract.at(self._waits, children, 1)
        return unique(children[(self._waits[children] == 0) & ~self._settled[children]])

    def _look_up_one(self, row: int) -> None:
        """`_look_up` of a level of one row, in a tenth of the time that arrays take: a chain has nothing else."""
        if self._known_value[row]:
            wanted = self._form[self._parents[row]].tolist()
            if all(form > DANGLING for form in wanted):
                found = self._candidates.claim_alone(int(self._value[row]), wanted, bool(self._shared[row]))
                self._form[row] = found if found >= 0 else self._form[row]

    def _look_up(self, rows: Positions) -> None:
        wanted = self._form[self._parents[rows]]
        # A parent that the target lacks can be the parent of no row there.
        able = self._known_value[rows] & (wanted > DANGLING).all(axis=1)
        if able.any():
            tried = rows[able]
            found = self._candidates.claim(self._value[tried], wanted[able], self._shared[tried])
            self._form[tried[found >= 0]] = found[found >= 0]
        # A row that leads nowhere stays what it is, a row of its own that the target lacks.
        again = self._repeated[rows] & (self._form[rows] < 0) & (wanted != DANGLING).all(axis=1)
        if again.any():
            self._represent(rows[again], self._value[rows[again]], wanted[again])

    def _represent(self, rows: Positions, values: Positions, wanted: Positions) -> None:
        """The first of the rows of one form represents them. All of one form come at the same time: what they refer to
        pair by pair is the same row, or has the same form, and so has come at the same time itself.
        """
        order = np.lexsort([*wanted.T, values])
        first = np.ones(len(rows), dtype=bool)
        first[1:] = np.diff(values[order]) != 0
        for column in wanted.T:
            first[1:] |= np.diff(column[order]) != 0
        leaders = rows[order[first]][np.cumsum(first) - 1]
        self._representative[rows[order]] = leaders
        self._form[rows[order]] = _NEW - leaders

    def _match_in_cycle(self, row: int) -> Positions:
        """Settles a row, and those it leads to, on the first row of the target that leads to the same ones in the same
        way.
        """
        for place in self._candidates.of_values(self._value[row]):
            pairs = self._follow(row, place)
            if pairs is not None:
                for own, other in pairs.items():
                    self._form[own] = other
                    if not self._shared[own]:
                        self._candidates.claim_one(other)
                return np.fromiter(pairs, dtype=np.intp)
        return np.array([row])

    def _follow(self, row: int, place: int) -> dict[int, int] | None:
        """The rows that the row leads to, each with the one that it must be if the row is the one at `place`; None
        where one of them cannot be.
        """
        pairs = {row: place}
        todo = [row]
        while todo:
            own = todo.pop()
            other = pairs[own]
            if self._value[own] != self._target_values[other] or not (
                self._shared[own] or self._candidates.is_free(other)
            ):
                return None
            both = zip(self._parents[own].tolist(), self._target_parents[other].tolist(), strict=True)
            for parent, wanted in both:
                if parent < 0 or wanted < 0:
                    if parent != NULL_REF or wanted != NULL_REF:
                        return None
                elif self._settled[parent] or parent in pairs:
                    if pairs.get(parent, self._form[parent]) != wanted:
                        return None
                else:
                    pairs[parent] = wanted
                    todo.append(parent)
        alone = [other for own, other in pairs.items() if not self._shared[own]]
        return pairs if len(set(alone)) == len(alone) else None


class _CandidateIndex:
    """Knows the rows of the target by their form, and which of them are claimed: the first ones of each form."""

    def __init__(self, values: Positions, parents: Positions) -> None:
        self._values, self._parents = values, parents
        hashes = _hash(values, parents)
        self._order = np.argsort(hashes, kind="stable")
        hashes = hashes[self._order]
        self._starts = np.flatnonzero(np.append(True, hashes[1:] != hashes[:-1])[: len(hashes)])
        self._hashes = hashes[self._starts]
        self._starts = np.append(self._starts, len(hashes))
        self._claimed = np.zeros(len(self._hashes), dtype=np.intp)
        self._by_value = np.argsort(values, kind="stable")
        self._sorted_values = values[self._by_value]
        self._free = np.ones(len(values), dtype=bool)

    def claim(self, values: Positions, parents: Positions, shared: Mask) -> Positions:
        """For each row the first row of its form, and if it is not to be `shared` the first that is free; -1 for
        none.
        """
        found = np.full(len(values), -1)
        hashes = _hash(values, parents)
        group = np.minimum(np.searchsorted(self._hashes, hashes), len(self._hashes) - 1)
        first = self._order[self._starts[group]]
        # Two forms of one hash, which are as good as none, are told apart: nothing is found then.
        known = (self._values[first] == values) & (self._parents[first] == parents).all(axis=1)
        found[known] = self._claim(group[known], shared[known])
        return found

    def claim_alone(self, value: int, parents: list[int], shared: bool) -> int:
        """`claim` of one row."""
        group = int(np.searchsorted(self._hashes, np.uint64(_hash_one(value, parents))))
        if group == len(self._hashes):
            return -1
        first, end = self._starts[group], self._starts[group + 1]
        place = int(self._order[first])
        if self._values[place] != value or self._parents[place].tolist() != parents:
            return -1
        if not shared:
            if first + self._claimed[group] == end:
                return -1
            place = int(self._order[first + self._claimed[group]])
            self._claimed[group] += 1
            self._free[place] = False
        return place

    def _claim(self, group: Positions, shared: Mask) -> Positions:
        at = self._starts[group]
        if not shared.all():
            alone = group[~shared]
            at[~shared] += self._claimed[alone] + _occurrence_numbers(alone)
        there = at < self._starts[group + 1]
        found = np.where(there, self._order[np.minimum(at, len(self._order) - 1)], -1)
        own = there & ~shared
        if own.any():
            np.add.at(self._claimed, group[own], 1)
            self._free[found[own]] = False
        return found

    def of_values(self, value: int) -> list[int]:
        """All rows of these values, whatever they refer to."""
        low, high = np.searchsorted(self._sorted_values, [value, value + 1])
        return [int(place) for place in self._by_value[low:high]]

    def is_free(self, place: int) -> bool:
        """Whether no row without a natural key has claimed it."""
        return bool(self._free[place])

    def claim_one(self, place: int) -> None:
        """Claims a row out of its turn: it goes before those of its form that are free."""
        group = np.searchsorted(self._hashes, _hash(self._values[[place]], self._parents[[place]]))[0]
        start, end = self._starts[group : group + 2]
        first = start + self._claimed[group]
        at = start + np.flatnonzero(self._order[start:end] == place)[0]
        self._order[first : at + 1] = np.roll(self._order[first : at + 1], 1)
        self._claimed[group] += 1
        self._free[place] = False


def _value_classes(source: Sequence[RowSet], target: Sequence[RowSet]) -> tuple[Positions, Positions]:
    """A number for each row of both ends, the same where part and hashes are."""
    values = pd.concat(
        [pd.DataFrame(rows.hashes).assign(part=part) for end in (source, target) for part, rows in enumerate(end)]
    )
    numbers = np.asarray(values.groupby([*values.columns], sort=False).ngroup(), dtype=np.intp)
    count = sum(len(rows.ids) for rows in source)
    return numbers[:count], numbers[count:]


def _references(parts: Sequence[RowSet], slots: int) -> Positions:
    """By row and column of references the position of the row referred to, `NULL_REF` or `DANGLING`."""
    tables = np.concatenate([np.full(len(rows.ids), rows.table) for rows in parts])
    ids = np.concatenate([rows.ids for rows in parts])
    places = {table: np.flatnonzero(tables == table) for table in {rows.table for rows in parts}}
    index = {table: pd.Index(ids[rows]) for table, rows in places.items()}
    made = []
    for rows in parts:
        part = np.full((len(rows.ids), slots), NULL_REF)
        for slot, (parent, wanted, null) in enumerate(zip(rows.parents, rows.references, rows.null, strict=True)):
            at = index[parent].get_indexer(wanted)
            found = np.where(at < 0, DANGLING, np.append(places[parent], DANGLING)[at])
            part[:, slot] = np.where(null, NULL_REF, found)
        made.append(part)
    return np.concatenate(made)


def _occurrence_numbers(values: Positions) -> Positions:
    """How many equal ones come before each."""
    if len(values) == 1:
        return np.zeros(1, dtype=np.intp)
    order = np.argsort(values, kind="stable")
    numbers = np.empty_like(order)
    numbers[order] = np.arange(len(order)) - np.searchsorted(values[order], values[order])
    return numbers


def _hash(values: Positions, parents: Positions) -> Hashes:
    mixed = values.astype(np.uint64) * _MIX
    for column in parents.T:
        mixed = (mixed ^ (mixed >> _HALF) ^ column.astype(np.uint64)) * _MIX
    return mixed


def _hash_one(value: int, parents: list[int]) -> int:
    """`_hash` of one row."""
    mix, bits = int(_MIX), (1 << 64) - 1
    mixed = value * mix & bits
    for parent in parents:
        mixed = (mixed ^ (mixed >> 32) ^ (parent & bits)) * mix & bits
    return mixed
