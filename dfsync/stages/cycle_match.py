"""Canonical-form matching of two sets of rows that refer to rows of their own set.

A row of the source and a row of the target are the same where their values are equal and where the rows that they refer
to are the same. So each row has a canonical form: a number for its values, and for each reference the row that it leads
to, given as its position in the target, or as its representative in the source where the target lacks it. A row gets
its form once all rows that it refers to have one, so parents are settled before children, a level at a time.

The rows that are left are in cycles or downstream of one. They are assigned greedily: such a row, with all rows that it
leads to, is tried on each row of the target that has the same values, and takes the first one that fits.

Without cycles the time is O(n log n) for n rows of both sides, whatever the number of levels.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from dfsync.model.types import Hashes, Mask, OldIds, Positions
from dfsync.stages.row_order import DANGLING, NULL_REF, Adjacency, unique

_NEW = -3
"""The form of a row that the target lacks is `_NEW - p` for its representative's position `p`."""
_MIX = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)


@dataclass
class RowSet:
    """Rows of one table on one side, all with a natural key or all without.

    Attributes
    ----------
    table
        The number of the table.
    keyed
        Whether the rows have a natural key. Such rows may share a row of the target; of the others each takes one, the
        k-th of equal rows the k-th.
    ids
        That side's ids, unique.
    hashes
        Two columns: the hash of all values that are compared, save the references.
    parents
        By column of references the number of the table that it refers to.
    references
        By column the ids referred to, any number where `null`.
    null
        By column whether the reference is NULL.
    optional
        The columns, by number, in which a reference to a row that is in no set counts as NULL.
    """

    table: int
    keyed: bool
    ids: OldIds
    hashes: Hashes
    parents: list[int]
    references: list[OldIds]
    null: list[Mask]
    optional: frozenset[int] = frozenset()

    def only(self, rows: Mask) -> RowSet:
        """Return some of its rows."""
        references, null = [column[rows] for column in self.references], [column[rows] for column in self.null]
        return replace(self, ids=self.ids[rows], hashes=self.hashes[rows], references=references, null=null)


@dataclass(frozen=True)
class CycleMatches:
    """The result of a match, by position in the source.

    Attributes
    ----------
    position
        Of the row of the target; -1 where there is none.
    representative
        The position of the first row of the source that is the same row; its own where there is no other.
    """

    position: Positions
    representative: Positions


def match_cycle(source: Sequence[RowSet], target: Sequence[RowSet]) -> list[CycleMatches]:
    """Match each row of the source with a row in the same set of the target.

    Parameters
    ----------
    source, target
        The same sets in the same order. Of equal rows the first one is matched first.

    Returns
    -------
    list of CycleMatches
        One for each set.
    """
    position, representative = _CycleMatcher(source, target).run()
    matches = []
    for source_span, target_span in zip(_spans(source), _spans(target), strict=True):
        positions = position[source_span]
        in_set = np.where(positions < 0, -1, positions - target_span.start)
        matches.append(CycleMatches(in_set, representative[source_span] - source_span.start))
    return matches


def _spans(row_sets: Sequence[RowSet]) -> list[slice]:
    """Where the rows of each set are among the rows of all sets."""
    ends = itertools.accumulate((len(rows.ids) for rows in row_sets), initial=0)
    return [slice(*pair) for pair in itertools.pairwise(ends)]


class _CycleMatcher:
    """Settles the rows of the source. A position is that among the rows of all sets, one set after the other."""

    def __init__(self, source: Sequence[RowSet], target: Sequence[RowSet]) -> None:
        self._value, target_values = _value_classes(source, target)
        slots = max(len(rows.parents) for rows in source)
        self._parents, self._target_parents = _references(source, slots), _references(target, slots)
        self._target_values = target_values
        self._shared = np.concatenate([np.full(len(rows.ids), rows.keyed) for rows in source])
        count = len(self._value)
        self._known_value = np.isin(self._value, target_values)
        self._representative = np.arange(count)
        # Only rows with a natural key of which another row has the same values can have another representative.
        self._repeated = (np.bincount(self._value, minlength=1) > 1)[self._value] & self._shared
        # By position, then two sentinels, so that the indexes `DANGLING` (-2) and `NULL_REF` (-1) give themselves.
        self._form = np.append(_NEW - np.arange(count), [DANGLING, NULL_REF])
        self._settled = np.zeros(count, dtype=bool)
        rows, columns = np.nonzero(self._parents >= 0)
        self._waits = np.bincount(rows, minlength=count)
        self._edge_rows, self._children = rows, Adjacency(self._parents[rows, columns], count)
        self._candidates = _CandidateIndex(target_values, self._target_parents)

    def run(self) -> tuple[Positions, Positions]:
        """Return the position in the target of each row, negative where it has none, and that of its representative."""
        self._settle_frontier(np.flatnonzero(self._waits == 0))
        # Row by row, since each try depends on those before.
        for row in np.flatnonzero(~self._settled).tolist():
            if not self._settled[row]:
                self._settle_frontier(self._unblocked(self._match_in_cycle(row)))
        position = self._form[:-2]
        self._join(np.flatnonzero(self._shared & (position >= 0)), position)
        return position, self._representative

    def _join(self, rows: Positions, position: Positions) -> None:
        """Make the first of the rows that share a row of the target their representative."""
        _, first, group = np.unique(position[rows], return_index=True, return_inverse=True)
        self._representative[rows] = rows[first[group]]

    def _settle_frontier(self, rows: Positions) -> None:
        """Settle rows of which all parents are settled, then the children for which the same is true, and so on."""
        while len(rows):
            if len(rows) == 1:
                self._look_up_one(int(rows[0]))
            else:
                self._look_up(rows)
            rows = self._unblocked(rows)

    def _unblocked(self, rows: Positions) -> Positions:
        """The rows that waited only for these."""
        self._settled[rows] = True
        children = self._edge_rows[self._children.of(rows)]
        if len(children) == 1:
            self._waits[children] -= 1
        else:
            np.subtract.at(self._waits, children, 1)
        return unique(children[(self._waits[children] == 0) & ~self._settled[children]])

    def _look_up_one(self, row: int) -> None:
        """`_look_up` of one row in a tenth of the time that arrays take: a chain has one row at each level."""
        if self._known_value[row]:
            parent_forms = self._form[self._parents[row]].tolist()
            if all(form > DANGLING for form in parent_forms):
                position = self._candidates.claim_alone(int(self._value[row]), parent_forms, bool(self._shared[row]))
                self._form[row] = position if position >= 0 else self._form[row]

    def _look_up(self, rows: Positions) -> None:
        """Give rows their form, of which all parents have one."""
        parent_forms = self._form[self._parents[rows]]
        # No row of the target refers to a row that the target lacks.
        possible = self._known_value[rows] & (parent_forms > DANGLING).all(axis=1)
        if possible.any():
            looked_up = rows[possible]
            positions = self._candidates.claim(self._value[looked_up], parent_forms[possible], self._shared[looked_up])
            self._form[looked_up[positions >= 0]] = positions[positions >= 0]
        # A row with a dangling reference is the same as no other row.
        repeated = self._repeated[rows] & (self._form[rows] < 0) & (parent_forms != DANGLING).all(axis=1)
        if repeated.any():
            self._represent(rows[repeated], self._value[rows[repeated]], parent_forms[repeated])

    def _represent(self, rows: Positions, values: Positions, parent_forms: Positions) -> None:
        """Make the first of the rows of one form their representative. All rows of one form are in one level, since
        their parents have the same forms, and so are in the same levels themselves.
        """
        order = np.lexsort([*parent_forms.T, values])
        first = np.ones(len(rows), dtype=bool)
        first[1:] = np.diff(values[order]) != 0
        for column in parent_forms.T:
            first[1:] |= np.diff(column[order]) != 0
        representatives = rows[order[first]][np.cumsum(first) - 1]
        self._representative[rows[order]] = representatives
        self._form[rows[order]] = _NEW - representatives

    def _match_in_cycle(self, row: int) -> Positions:
        """Give a row, and those that it leads to, the first rows of the target that refer to each other in the same
        way; gives the rows that are settled then.
        """
        for position in self._candidates.of_values(self._value[row]):
            pairs = self._follow(row, position)
            if pairs is not None:
                for source_row, target_row in pairs.items():
                    self._form[source_row] = target_row
                    if not self._shared[source_row]:
                        self._candidates.claim_one(target_row)
                return np.fromiter(pairs, dtype=np.intp)
        return np.array([row])

    def _follow(self, row: int, position: int) -> dict[int, int] | None:
        """The rows that the row leads to, each with the row of the target that it has to be if the row is the one at
        `position`; None where one of them cannot be.
        """
        pairs = {row: position}
        pending = [row]
        while pending:
            source_row = pending.pop()
            target_row = pairs[source_row]
            if self._value[source_row] != self._target_values[target_row] or not (
                self._shared[source_row] or self._candidates.is_free(target_row)
            ):
                return None
            parents = zip(self._parents[source_row].tolist(), self._target_parents[target_row].tolist(), strict=True)
            for parent, target_parent in parents:
                if parent < 0 or target_parent < 0:
                    if parent != NULL_REF or target_parent != NULL_REF:
                        return None
                elif self._settled[parent] or parent in pairs:
                    if pairs.get(parent, self._form[parent]) != target_parent:
                        return None
                else:
                    pairs[parent] = target_parent
                    pending.append(parent)
        unshared = [target_row for source_row, target_row in pairs.items() if not self._shared[source_row]]
        return pairs if len(set(unshared)) == len(unshared) else None


class _CandidateIndex:
    """Owns the rows of the target, sorted by the hash of their form: of each form the first ones are claimed."""

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
        """Return for each row the first row of its form, or the first free one if it is not `shared`; -1 for none."""
        positions = np.full(len(values), -1)
        hashes = _hash(values, parents)
        group = np.minimum(np.searchsorted(self._hashes, hashes), len(self._hashes) - 1)
        first = self._order[self._starts[group]]
        # Where another form has the same hash, which is all but impossible, the row counts as new.
        known = (self._values[first] == values) & (self._parents[first] == parents).all(axis=1)
        positions[known] = self._claim(group[known], shared[known])
        return positions

    def claim_alone(self, value: int, parents: list[int], shared: bool) -> int:
        """`claim` of one row."""
        group = int(np.searchsorted(self._hashes, np.uint64(_hash_one(value, parents))))
        if group == len(self._hashes):
            return -1
        first, end = self._starts[group], self._starts[group + 1]
        position = int(self._order[first])
        if self._values[position] != value or self._parents[position].tolist() != parents:
            return -1
        if not shared:
            if first + self._claimed[group] == end:
                return -1
            position = int(self._order[first + self._claimed[group]])
            self._claimed[group] += 1
            self._free[position] = False
        return position

    def _claim(self, group: Positions, shared: Mask) -> Positions:
        """The rows of the target at the claimed ends of groups; -1 where all rows of a group are claimed."""
        rank = self._starts[group]
        if not shared.all():
            unshared = group[~shared]
            rank[~shared] += self._claimed[unshared] + _occurrence_numbers(unshared)
        in_group = rank < self._starts[group + 1]
        positions = np.where(in_group, self._order[np.minimum(rank, len(self._order) - 1)], -1)
        claimed = in_group & ~shared
        if claimed.any():
            np.add.at(self._claimed, group[claimed], 1)
            self._free[positions[claimed]] = False
        return positions

    def of_values(self, value: int) -> list[int]:
        """Return all rows of these values, whatever they refer to."""
        low, high = np.searchsorted(self._sorted_values, [value, value + 1])
        return [int(position) for position in self._by_value[low:high]]

    def is_free(self, position: int) -> bool:
        """Return whether no row without a natural key has claimed the row."""
        return bool(self._free[position])

    def claim_one(self, position: int) -> None:
        """Claim a row, also where rows of its form before it are free: it is moved before these."""
        group = np.searchsorted(self._hashes, _hash(self._values[[position]], self._parents[[position]]))[0]
        start, end = self._starts[group : group + 2]
        first_free = start + self._claimed[group]
        rank = start + np.flatnonzero(self._order[start:end] == position)[0]
        self._order[first_free : rank + 1] = np.roll(self._order[first_free : rank + 1], 1)
        self._claimed[group] += 1
        self._free[position] = False


def _value_classes(source: Sequence[RowSet], target: Sequence[RowSet]) -> tuple[Positions, Positions]:
    """A number for each row of both sides, the same where the set and the hashes are."""
    values = pd.concat(
        [
            pd.DataFrame(rows.hashes).assign(row_set=number)
            for side in (source, target)
            for number, rows in enumerate(side)
        ]
    )
    numbers = np.asarray(values.groupby([*values.columns], sort=False).ngroup(), dtype=np.intp)
    count = sum(len(rows.ids) for rows in source)
    return numbers[:count], numbers[count:]


def _references(row_sets: Sequence[RowSet], slots: int) -> Positions:
    """By row and column of references the position of the row referred to, `NULL_REF` or `DANGLING`."""
    tables = np.concatenate([np.full(len(rows.ids), rows.table) for rows in row_sets])
    ids = np.concatenate([rows.ids for rows in row_sets])
    of_table = {table: np.flatnonzero(tables == table) for table in {rows.table for rows in row_sets}}
    index = {table: pd.Index(ids[positions]) for table, positions in of_table.items()}
    references = []
    for rows in row_sets:
        parents = np.full((len(rows.ids), slots), NULL_REF)
        for slot, (table, parent_ids, null) in enumerate(zip(rows.parents, rows.references, rows.null, strict=True)):
            in_table = index[table].get_indexer(parent_ids)
            unknown = NULL_REF if slot in rows.optional else DANGLING
            positions = np.where(in_table < 0, unknown, np.append(of_table[table], unknown)[in_table])
            parents[:, slot] = np.where(null, NULL_REF, positions)
        references.append(parents)
    return np.concatenate(references)


def _occurrence_numbers(values: Positions) -> Positions:
    """The number of equal values before each."""
    if len(values) == 1:
        return np.zeros(1, dtype=np.intp)
    order = np.argsort(values, kind="stable")
    numbers = np.empty_like(order)
    numbers[order] = np.arange(len(order)) - np.searchsorted(values[order], values[order])
    return numbers


def _hash(values: Positions, parents: Positions) -> Hashes:
    """One number for each form; parents by row and column."""
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
