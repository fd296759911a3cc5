"""Two sets of rows that refer to rows of their own set: which row here is which row there.

Rows are the same where their values are and where what they refer to is the same. Rows with a natural key may share a
row there; of the others each takes one, the k-th of equal rows the k-th.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

_NULL_REF, _DANGLING = -1, -2
_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass
class RowSet:
    """Rows of one table at one end, all with a natural key or all without. Arrays by row, references by column.

    Of rows that are the same the first ones are taken first.
    """

    table: int
    keyed: bool
    ids: Any
    digests: Any
    """uint64, two columns: of all values that count, save the references."""
    parents: list[int]
    """The table that each column of references leads to."""
    references: list[Any]
    """The ids there, int64; any number where `empty` says that there is none."""
    empty: list[Any]


def match_cycle(here: Sequence[RowSet], there: Sequence[RowSet]) -> list[Any]:
    """For each of the rows `here` the place of its row in the same part of `there`, -1 where there is none.

    Both ends have the same parts in the same order.
    """
    found = _CycleMatcher(here, there).run()
    ends = np.cumsum([0, *(len(rows.ids) for rows in here)])
    starts = np.cumsum([0, *(len(rows.ids) for rows in there)])
    parts = [found[low:high] for low, high in itertools.pairwise(ends)]
    return [np.where(part < 0, -1, part - start) for part, start in zip(parts, starts[:-1], strict=True)]


class _CycleMatcher:
    """Knows, by place in the parts laid end to end, which rows here are settled, and on which row there."""

    def __init__(self, here: Sequence[RowSet], there: Sequence[RowSet]) -> None:
        self._like, self._there_like = _value_classes(here, there)
        self._parents, self._there_parents = _references(here), _references(there)
        self._shared = np.concatenate([np.full(len(rows.ids), rows.keyed) for rows in here])
        # By place, and behind that what a reference to no row leads to.
        self._match = np.append(np.full(len(self._like), -1), [_DANGLING, _NULL_REF])
        self._settled = np.zeros(len(self._like), dtype=bool)
        self._waits = (self._parents >= 0).sum(axis=1)
        self._children = _Adjacency(self._parents)
        self._there = _CandidateIndex(self._there_like, self._there_parents)

    def run(self) -> Any:
        """The place there of each row here, -1 for none."""
        self._settle_frontier(np.flatnonzero(self._waits == 0))
        # What is left leads into a circle of rows. Row by row, since each try depends on those before.
        for row in np.flatnonzero(~self._settled).tolist():
            if not self._settled[row]:
                self._settle_frontier(self._unblocked(self._match_in_cycle(row)))
        return self._match[:-2]

    def _settle_frontier(self, rows: Any) -> None:
        """Settles the rows, all of whose parents are settled, then their children, and so on."""
        while len(rows):
            self._look_up(rows)
            rows = self._unblocked(rows)

    def _unblocked(self, rows: Any) -> Any:
        """The rows that waited for no others than these."""
        self._settled[rows] = True
        children = self._children.of(rows)
        np.subtract.at(self._waits, children, 1)
        return np.unique(children[(self._waits[children] == 0) & ~self._settled[children]])

    def _look_up(self, rows: Any) -> None:
        parents = self._parents[rows]
        wanted = self._match[parents]
        # A parent that is not there can be the parent of no row there.
        lost = ((parents >= 0) & (wanted < 0)).any(axis=1) | (parents == _DANGLING).any(axis=1)
        rows, wanted = rows[~lost], wanted[~lost]
        self._match[rows] = self._there.claim(self._like[rows], wanted, self._shared[rows])

    def _match_in_cycle(self, row: int) -> Any:
        """Settles a row, and those it leads to, on the first row there that leads to the same ones in the same way."""
        for place in self._there.candidates(self._like[row]):
            pairs = self._follow(row, place)
            if pairs is not None:
                for own, other in pairs.items():
                    self._match[own] = other
                    if not self._shared[own]:
                        self._there.claim_one(other)
                return np.fromiter(pairs, dtype=np.int64)
        return np.array([row])

    def _follow(self, row: int, place: int) -> dict[int, int] | None:
        pairs = {row: place}
        todo = [row]
        while todo:
            own = todo.pop()
            other = pairs[own]
            if self._like[own] != self._there_like[other] or not (self._shared[own] or self._there.free(other)):
                return None
            both = zip(self._parents[own].tolist(), self._there_parents[other].tolist(), strict=True)
            for parent, wanted in both:
                if parent < 0 or wanted < 0:
                    if parent != _NULL_REF or wanted != _NULL_REF:
                        return None
                elif self._settled[parent] or parent in pairs:
                    if pairs.get(parent, self._match[parent]) != wanted:
                        return None
                else:
                    pairs[parent] = wanted
                    todo.append(parent)
        alone = [other for own, other in pairs.items() if not self._shared[own]]
        return pairs if len(set(alone)) == len(alone) else None


class _CandidateIndex:
    """Knows the rows there by what they hold and refer to, and which of them are taken: the first ones of a group."""

    def __init__(self, like: Any, parents: Any) -> None:
        self._like, self._parents = like, parents
        hashes = _hash(like, parents)
        self._order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[self._order]
        self._taken = np.zeros(len(like) + 1, dtype=np.int64)
        """By the place of a group's first row in the order: how many of it are taken."""
        self._by_likeness = np.argsort(like, kind="stable")
        self._likenesses = like[self._by_likeness]
        self._free = np.ones(len(like), dtype=bool)

    def claim(self, like: Any, parents: Any, shared: Any) -> Any:
        """For each row the first of its group, and if it is not to be `shared` the first that is free; -1 for none."""
        hashes = _hash(like, parents)
        start = np.searchsorted(self._hashes, hashes)
        known = start < np.searchsorted(self._hashes, hashes, "right")
        found = np.full(len(like), -1)
        if not known.any():
            return found
        found[known] = self._take(start[known], hashes[known], shared[known])
        same = (self._like[found] == like) & (self._parents[found] == parents).all(axis=1)
        return np.where(same, found, -1)

    def _take(self, start: Any, hashes: Any, shared: Any) -> Any:
        at = start.copy()
        at[~shared] += self._taken[start[~shared]] + _occurrence_numbers(start[~shared])
        found = at < np.searchsorted(self._hashes, hashes, "right")
        place = np.where(found, self._order[np.minimum(at, len(self._order) - 1)], -1)
        mine = found & ~shared
        np.add.at(self._taken, start[mine], 1)
        self._free[place[mine]] = False
        return place

    def candidates(self, likeness: int) -> list[int]:
        """All rows of these values, whatever they refer to."""
        low, high = np.searchsorted(self._likenesses, [likeness, likeness + 1])
        return [int(place) for place in self._by_likeness[low:high]]

    def free(self, place: int) -> bool:
        return bool(self._free[place])

    def claim_one(self, place: int) -> None:
        """Takes one row out of its turn: it goes before those of its group that are free."""
        wanted = _hash(self._like[[place]], self._parents[[place]])
        start, end = np.searchsorted(self._hashes, wanted)[0], np.searchsorted(self._hashes, wanted, "right")[0]
        first = start + self._taken[start]
        at = start + np.flatnonzero(self._order[start:end] == place)[0]
        self._order[first : at + 1] = np.roll(self._order[first : at + 1], 1)
        self._taken[start] += 1
        self._free[place] = False


class _Adjacency:
    """Knows the rows that refer to each row."""

    def __init__(self, parents: Any) -> None:
        rows, columns = np.nonzero(parents >= 0)
        targets = parents[rows, columns]
        order = np.argsort(targets, kind="stable")
        self._rows = rows[order]
        self._starts = np.searchsorted(targets[order], np.arange(len(parents) + 1))

    def of(self, rows: Any) -> Any:
        low, count = self._starts[rows], self._starts[rows + 1] - self._starts[rows]
        within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        return self._rows[np.repeat(low, count) + within]


def _value_classes(here: Sequence[RowSet], there: Sequence[RowSet]) -> tuple[Any, Any]:
    """A number for each row of both ends, the same where part and digests are."""
    values = pd.concat(
        [pd.DataFrame(rows.digests).assign(part=part) for end in (here, there) for part, rows in enumerate(end)]
    )
    numbers = values.groupby([*values.columns], sort=False).ngroup().to_numpy()
    count = sum(len(rows.ids) for rows in here)
    return numbers[:count], numbers[count:]


def _references(end: Sequence[RowSet]) -> Any:
    """By row and column of references the place of the row referred to: `_EMPTY` for none, `_LOST` if it is no row."""
    slots = max(len(rows.parents) for rows in end)
    tables = np.concatenate([np.full(len(rows.ids), rows.table) for rows in end])
    ids = np.concatenate([rows.ids for rows in end])
    places = {table: np.flatnonzero(tables == table) for table in {rows.table for rows in end}}
    made = []
    for rows in end:
        part = np.full((len(rows.ids), slots), _NULL_REF)
        for slot, (parent, wanted, empty) in enumerate(zip(rows.parents, rows.references, rows.empty, strict=True)):
            at = pd.Index(ids[places[parent]]).get_indexer(wanted)
            found = np.where(at < 0, _DANGLING, np.append(places[parent], _DANGLING)[at])
            part[:, slot] = np.where(empty, _NULL_REF, found)
        made.append(part)
    return np.concatenate(made)


def _occurrence_numbers(values: Any) -> Any:
    """How many equal ones come before each."""
    order = np.argsort(values, kind="stable")
    turns = np.empty_like(order)
    turns[order] = np.arange(len(order)) - np.searchsorted(values[order], values[order])
    return turns


def _hash(like: Any, parents: Any) -> Any:
    mixed = like.astype(np.uint64) * _MIX
    for slot in range(parents.shape[1]):
        mixed = (mixed ^ (mixed >> np.uint64(32)) ^ parents[:, slot].astype(np.int64).view(np.uint64)) * _MIX
    return mixed
