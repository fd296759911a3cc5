"""Which rows can be inserted, and in which order: held against a search by brute force."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dfsync.stages.insert_order import InsertOrder, RowState
from dfsync.stages.row_order import DANGLING, NULL_REF

EXAMPLES = 5_000 if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 300
COUNT = 7
reference = st.sampled_from([NULL_REF, NULL_REF, DANGLING, *range(COUNT)])
row = st.fixed_dictionaries(
    {
        "parents": st.tuples(reference, reference),
        "value": st.one_of(st.just(NULL_REF), st.integers(0, COUNT - 1)),
        "group": st.integers(0, COUNT - 1),
        "unfit": st.sampled_from([False, False, False, True]),
        "refused": st.sampled_from([False, False, False, True]),
        "there": st.booleans(),
    }
)
Row = dict[str, Any]


def order_of(rows: list[Row], resolved: set[int]) -> tuple[InsertOrder, list[int]]:
    """With the position of the row that represents each one."""
    first = {one["group"]: place for place, one in reversed(list(enumerate(rows)))}
    group = [first[one["group"]] for one in rows]
    parents = [[*(at if at < len(rows) else DANGLING for at in one["parents"]), one["value"]] for one in rows]
    for one in parents:
        one[2] = one[2] if one[2] < len(rows) else NULL_REF
    order = InsertOrder(
        np.array(parents, dtype=np.intp).reshape(-1, 3),
        [False, False, True],
        np.array(group, dtype=np.intp),
        resolved=np.array([g in resolved for g in group], dtype=bool),
        rejected=np.array([one["unfit"] for one in rows], dtype=bool),
    )
    return order, group


def by_brute_force(rows: list[Row], group: list[int], resolved: set[int]) -> list[int]:
    """The state of each row: what can be inserted is, until nothing more can; then what is lost is."""
    have = set(resolved)
    dead: set[int] = set()
    lost = {place for place, one in enumerate(rows) if one["unfit"]}
    dead |= {g for g in set(group) - have if all(p in lost for p, own in enumerate(group) if own == g)}
    while True:
        before = len(have), len(lost), len(dead)
        for place, one in enumerate(rows):
            if group[place] in have or place in lost:
                continue
            hard = [at if at < len(rows) else DANGLING for at in one["parents"] if at != NULL_REF]
            value = one["value"] if NULL_REF < one["value"] < len(rows) else NULL_REF
            needed = {group[at] for at in [*hard, value] if at >= 0}
            gone = any(at == DANGLING or group[at] in dead for at in hard)
            adrift = value >= 0 and group[value] in dead and not one["there"]
            tried = needed <= have | dead
            if gone or adrift or (tried and one["refused"]):
                lost.add(place)
            elif tried:
                have.add(group[place])
        dead |= {g for g in set(group) - have if all(p in lost for p, own in enumerate(group) if own == g)}
        if before == (len(have), len(lost), len(dead)):
            break
    return [
        RowState.RESOLVED if own in have else RowState.REJECTED if place in lost else RowState.BLOCKED
        for place, own in enumerate(group)
    ]


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    rows=st.lists(row, min_size=1, max_size=COUNT),
    known=st.sets(st.integers(0, COUNT - 1), max_size=2),
    at_once=st.integers(1, 4),
)
def test_every_row_comes_to_the_state_that_a_search_finds(rows: list[Row], known: set[int], at_once: int) -> None:
    resolved = {place for place, one in enumerate(rows) if one["group"] in known}
    first = {one["group"]: place for place, one in reversed(list(enumerate(rows)))}
    resolved = {first[rows[place]["group"]] for place in resolved}
    order, group = order_of(rows, resolved)
    inserted = set(resolved)
    turns = 0
    while True:
        turns += 1
        assert turns < 1_000
        upcoming = order.upcoming()[:at_once].tolist()
        if upcoming:
            failed: list[int] = []
            skipped: set[int] = set()
            for place in upcoming:
                needed = {group[at] for at in rows[place]["parents"] if 0 <= at < len(rows)}
                value = rows[place]["value"]
                if (needed | {group[value] if 0 <= value < len(rows) else -1}) & skipped:
                    # What it refers to has just failed.
                    skipped.add(group[place])
                    continue
                assert needed <= inserted
                if rows[place]["refused"]:
                    failed.append(place)
                    skipped.add(group[place])
                else:
                    assert group[place] not in inserted
                    inserted.add(group[place])
                    order.resolve(np.array([place]))
            if failed:
                order.fail(np.array(failed))
        elif len(undecided := order.undecided()):
            asked = order.downstream(undecided)
            there = np.array([rows[place]["there"] for place in asked.tolist()], dtype=bool)
            order.answer(asked, np.repeat(there[:, None], 3, axis=1))
        else:
            break
    assert order.states().tolist() == [int(state) for state in by_brute_force(rows, group, resolved)]


def chain(count: int) -> InsertOrder:
    parents = np.arange(-1, count - 1).reshape(-1, 1)
    none = np.zeros(count, dtype=bool)
    return InsertOrder(parents, [False], np.arange(count), resolved=none, rejected=none)


def test_a_long_chain_is_in_order_and_a_failure_in_its_middle_takes_the_rest_along() -> None:
    count = 20_000
    order = chain(count)
    assert order.upcoming().tolist() == list(range(count))
    order.resolve(np.arange(count // 2))
    order.fail(np.array([count // 2]))
    assert not len(order.upcoming())
    half = count // 2
    assert order.states().tolist() == [RowState.RESOLVED] * half + [RowState.REJECTED] * half


def test_equal_rows_are_in_the_order_of_their_ids_however_deep_their_parents_are() -> None:
    # 3 and 4 have one natural key; 5, below 3, and 6, below 4, are equal. 4 comes first, by far.
    parents = np.array([[-1], [0], [1], [2], [0], [3], [4]])
    none = np.zeros(7, dtype=bool)
    order = InsertOrder(parents, [False], np.array([0, 1, 2, 3, 3, 5, 6]), resolved=none, rejected=none)
    assert order.upcoming().tolist() == [0, 1, 4, 2, 5, 6]
