"""Which rows of a table come before which others of it."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from dfsync.stages.row_order import (
    DANGLING,
    NULL_REF,
    cyclic_or_downstream,
    needing,
    old_ids,
    parent_positions,
    topological_levels,
)

COUNT = 6
graphs = st.lists(st.tuples(*[st.integers(DANGLING, COUNT - 1)] * 2), min_size=COUNT, max_size=COUNT)


def test_references_become_positions() -> None:
    references = pd.DataFrame({"boss": [None, 1, 99]}, dtype="Int64", index=[1, 4, 7])
    assert parent_positions(references).tolist() == [[NULL_REF], [0], [DANGLING]]
    assert old_ids(references, np.array([2])).tolist() == [7]


@settings(deadline=None)
@given(graphs)
def test_a_row_is_in_the_level_after_the_last_of_those_that_it_needs(graph: list[tuple[int, int]]) -> None:
    parents = np.array(graph)
    level_of = {row: level for level, rows in enumerate(topological_levels(parents)) for row in rows.tolist()}
    reached = {row: {row} for row in range(COUNT)}
    for _ in range(COUNT):
        reached = {row: {row, *itertools.chain(*(reached[p] for p in graph[row] if p >= 0))} for row in range(COUNT)}
    cyclic = {row for row in range(COUNT) if any(row in reached[p] for p in graph[row] if p >= 0)}
    below = {row for row in range(COUNT) if reached[row] & cyclic}
    assert set(cyclic_or_downstream(parents).tolist()) == below
    assert level_of.keys() == set(range(COUNT)) - below
    for row, level in level_of.items():
        assert level == max((level_of[p] + 1 for p in graph[row] if p >= 0), default=0)


@settings(deadline=None)
@given(graphs, st.lists(st.booleans(), min_size=COUNT, max_size=COUNT))
def test_who_needs_a_lost_row_at_any_distance_is_found(graph: list[tuple[int, int]], lost: list[bool]) -> None:
    expected = {row for row in range(COUNT) if lost[row] or DANGLING in graph[row]}
    for _ in range(COUNT):
        expected |= {row for row in range(COUNT) if expected & {p for p in graph[row] if p >= 0}}
    assert set(np.flatnonzero(needing(np.array(graph), np.array(lost))).tolist()) == expected
