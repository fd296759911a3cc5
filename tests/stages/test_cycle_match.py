"""Rows that refer to each other are recognised by what they hold and what they lead to."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dfsync.stages.cycle_match import RowSet, match_cycle

EXAMPLES = 3_000 if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 200
Row = tuple[int, int | None, int | None]
"""What a row holds, and the ids of two rows of its table that it refers to."""
LOST = 99


def rows(given: dict[int, Row], *, keyed: bool = False) -> RowSet:
    ordered = list(given.values())
    references = [[row[slot] for row in ordered] for slot in (1, 2)]
    return RowSet(
        table=0,
        keyed=keyed,
        ids=np.array(list(given), dtype=np.int64),
        hashes=np.array([[row[0], row[0] + 7] for row in ordered], dtype=np.uint64).reshape(-1, 2),
        parents=[0, 0],
        references=[np.array([r or 0 for r in column], dtype=np.int64) for column in references],
        null=[np.array([r is None for r in column], dtype=bool) for column in references],
    )


def matched(here: dict[int, Row], there: dict[int, Row]) -> dict[int, int]:
    (matches,) = match_cycle([rows(here)], [rows(there)])
    ids = list(there)
    return {old: ids[place] for old, place in zip(here, matches.position.tolist(), strict=True) if place >= 0}


def brought(
    here: dict[int, Row], there: dict[int, Row], known: dict[int, int]
) -> tuple[dict[int, Row], dict[int, int]]:
    """The other end after the rows that it lacks went in, save those that lead to no row, and the map to it."""
    lost = {old for old, row in here.items() if LOST in row[1:]}
    while more := {old for old, row in here.items() if old not in lost and lost & set(row[1:])}:
        lost |= more
    assert not lost & known.keys()
    missing = [old for old in here if old not in known and old not in lost]
    new = {**known, **dict(zip(missing, range(max(there, default=0) + 1, 10_000), strict=False))}
    after = dict(there)
    for old in missing:
        value, *parents = here[old]
        first, second = (None if parent is None else new[parent] for parent in parents)
        after[new[old]] = (value, first, second)
    return after, new


def tables(*references: Any) -> Any:
    row = st.tuples(st.integers(0, 2), *[st.one_of(st.none(), st.integers(1, 6), *references)] * 2)
    return st.lists(row, max_size=6).map(lambda found: dict(enumerate(found, start=1)))


def sound(there: dict[int, Row]) -> dict[int, Row]:
    """With no reference that leads nowhere."""

    def or_none(parent: int | None) -> int | None:
        return parent if parent in there else None

    return {id_: (value, or_none(first), or_none(second)) for id_, (value, first, second) in there.items()}


@settings(max_examples=EXAMPLES, deadline=None)
@given(here=tables(st.just(LOST)), there=tables())
def test_a_second_time_every_row_is_found_where_the_first_time_put_it(
    here: dict[int, Row], there: dict[int, Row]
) -> None:
    here = {
        old: (value, *(p if p in here or p is None else LOST for p in parents))  # type: ignore[misc]
        for old, (value, *parents) in here.items()
    }
    there = sound(there)
    known = matched(here, there)
    assert len(set(known.values())) == len(known)
    for old, new in known.items():
        value, *parents = here[old]
        assert there[new] == (value, *(None if parent is None else known[parent] for parent in parents))
    after, new_ids = brought(here, there, known)
    assert matched(here, after) == new_ids


def test_equal_rows_go_the_kth_with_the_kth() -> None:
    assert matched({3: (1, None, None), 5: (1, None, None), 8: (2, None, None)}, {20: (1, None, None)}) == {3: 20}
    assert matched(
        {3: (1, None, None), 5: (1, None, None)}, {20: (1, None, None), 10: (1, None, None), 30: (1, None, None)}
    ) == {3: 20, 5: 10}


def test_children_follow_their_parents() -> None:
    here: dict[int, Row] = {1: (0, None, None), 2: (0, None, None), 3: (5, 1, None), 4: (5, 2, None)}
    there: dict[int, Row] = {7: (0, None, None), 8: (0, None, None), 9: (5, 8, None), 10: (5, 7, None)}
    assert matched(here, there) == {1: 7, 2: 8, 3: 10, 4: 9}


def test_the_child_of_a_row_that_is_not_there_is_not_there() -> None:
    assert matched({1: (1, None, None), 2: (5, 1, None)}, {7: (2, None, None), 8: (5, 7, None)}) == {}


def test_a_circle_of_rows_is_found_as_a_whole_or_not_at_all() -> None:
    here: dict[int, Row] = {1: (0, 2, None), 2: (0, 3, None), 3: (0, 1, None)}
    of_two: dict[int, Row] = {4: (0, 5, None), 5: (0, 4, None)}
    of_three: dict[int, Row] = {6: (0, 8, None), 7: (0, 6, None), 8: (0, 7, None)}
    assert matched(here, of_two) == {}
    assert matched(here, {**of_two, **of_three}) == {1: 6, 2: 8, 3: 7}


def test_rows_that_refer_to_themselves_and_those_below_them() -> None:
    here: dict[int, Row] = {1: (0, 1, None), 2: (1, 1, None), 3: (2, 2, 1)}
    assert matched(here, {5: (0, 5, None), 6: (1, 5, None), 7: (2, 6, 5)}) == {1: 5, 2: 6, 3: 7}
    assert matched(here, {5: (0, None, None), 6: (1, 5, None), 7: (2, 6, 5)}) == {}


def test_rows_with_a_natural_key_may_share_a_row() -> None:
    equal: dict[int, Row] = {1: (4, None, None), 2: (4, None, None)}
    (matches,) = match_cycle([rows(equal, keyed=True)], [rows({8: (4, None, None), 9: (4, None, None)}, keyed=True)])
    assert matches.position.tolist() == [0, 0]


def test_a_long_chain_takes_no_long_time() -> None:
    count = 100_000
    here: dict[int, Row] = {i: (0, i - 1 if i else None, None) for i in range(count)}
    there: dict[int, Row] = {i + 5: (0, i + 4 if i else None, None) for i in range(count)}
    assert matched(here, there) == {i: i + 5 for i in range(count)}
