"""Which source rows are in the target already, and which of the others are the same as one another."""

from __future__ import annotations

import sys
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfsync.model import frames
from dfsync.stages.match import first_matches, match
from dfsync.stages.row_hash import HASH_COLUMNS, RowHasher


def source(keys: dict[int, tuple[Any, ...]], *types: Any) -> pd.DataFrame:
    return frames.from_arrow(table(list(keys.values()), *types), list(keys))


def target(keys: dict[int, tuple[Any, ...]], *types: Any, id_type: Any = None) -> pd.DataFrame:
    made = table(list(keys.values()), *types)
    return frames.target_frame(pa.array(list(keys), id_type or pa.int64()), made, made.column_names)


def table(keys: list[tuple[Any, ...]], *types: Any) -> pa.Table:
    types = types or (pa.string(), pa.int64())
    arrays = [pa.array([key[i] for key in keys], type_) for i, type_ in enumerate(types)]
    return pa.table(arrays, names=[f"k{i}" for i in range(len(types))])


def outcome(made: pd.DataFrame) -> dict[int, tuple[int | None, int]]:
    new = frames.as_arrow(made["new_id"]).to_pylist()
    return dict(zip(made.index.tolist(), zip(new, made["representative_id"].tolist(), strict=True), strict=True))


def test_a_row_is_matched_by_its_whole_key() -> None:
    made = match(
        source({1: ("a", 1), 2: ("a", 2), 3: ("b", 1)}),
        target({70: ("b", 1), 80: ("a", 2), 90: ("c", 3)}),
    )
    assert outcome(made) == {1: (None, 1), 2: (80, 2), 3: (70, 3)}
    assert made.index.name == "old_id"


def test_of_equal_rows_in_the_source_the_lowest_id_is_first() -> None:
    made = match(source({2: ("a", 1), 5: ("b", 1), 7: ("a", 1), 9: ("a", 1)}), target({40: ("b", 1)}))
    assert outcome(made) == {2: (None, 2), 5: (40, 5), 7: (None, 2), 9: (None, 2)}


def test_the_outcome_is_in_the_order_of_the_old_ids_whatever_came_in() -> None:
    made = match(source({9: ("a", 1), 2: ("a", 1), 5: ("b", 1)}), target({1: ("a", 1)}))
    assert made.index.tolist() == [2, 5, 9]
    assert outcome(made) == {2: (1, 2), 5: (None, 5), 9: (1, 2)}


def test_null_in_a_key_equals_nothing_on_either_side() -> None:
    made = match(
        source({1: ("a", None), 2: ("a", None), 3: (None, 1), 4: (None, None)}),
        target({10: ("a", None), 20: (None, 1), 30: (None, None)}),
    )
    assert outcome(made) == {1: (None, 1), 2: (None, 2), 3: (None, 3), 4: (None, 4)}


def test_where_the_target_has_a_key_twice_the_lowest_id_is_taken() -> None:
    made = match(source({1: ("a", 1)}), target({30: ("a", 1), 20: ("a", 1), 40: ("a", 1)}))
    assert outcome(made) == {1: (20, 1)}


@pytest.mark.parametrize("id_type", [pa.int64(), pa.uint64()])
def test_an_empty_target_matches_nothing_and_keeps_the_type_of_its_ids(id_type: Any) -> None:
    made = match(source({1: ("a", 1), 2: ("a", 1)}), target({}, id_type=id_type))
    assert outcome(made) == {1: (None, 1), 2: (None, 1)}
    assert frames.as_arrow(made["new_id"]).type == id_type


def test_nothing_has_a_place_in_an_empty_target() -> None:
    keys = RowHasher.random().hashes(source({1: ("a", 1), 2: ("b", 1), 3: ("a", 1)}))
    matches = first_matches(keys, keys[:0])
    assert matches.position.tolist() == [-1, -1, -1]
    assert matches.representative.tolist() == [0, 1, 0]
    assert matches.duplicates.tolist() == [2]
    assert not len(first_matches(keys[:2], keys[:0]).duplicates)


def test_an_empty_source_gives_an_empty_outcome() -> None:
    made = match(source({}), target({1: ("a", 1)}))
    assert made.empty
    assert list(made.columns) == ["new_id", "representative_id"]


def test_unsigned_ids_beyond_int64_stay_exact() -> None:
    made = match(source({1: ("a", 1)}), target({2**64 - 1: ("a", 1)}, id_type=pa.uint64()))
    assert outcome(made) == {1: (2**64 - 1, 1)}


def test_a_signed_key_is_matched_with_an_unsigned_one() -> None:
    made = match(source({1: (7,), 2: (-1,), 3: (None,)}, pa.int64()), target({5: (7,), 6: (2**64 - 1,)}, pa.uint64()))
    assert outcome(made) == {1: (5, 1), 2: (None, 2), 3: (None, 3)}


@pytest.mark.parametrize(
    ("type_", "same", "other"),
    [
        (pa.string(), "", " "),
        (pa.string(), "a\x00b", "a\x00c"),
        (pa.binary(), b"\xff", b"\xfe"),
        (pa.float64(), 0.1, 0.2),
        (pa.uint64(), 2**64 - 1, 2**64 - 2),
        (pa.decimal128(10, 2), Decimal("1.10"), Decimal("1.11")),
        (pa.decimal256(65, 30), Decimal("1E-30"), Decimal("2E-30")),
        (pa.date32(), date(2024, 1, 1), date(2024, 1, 2)),
        (pa.timestamp("us"), pd.Timestamp("2024-01-01 00:00:00.000001"), pd.Timestamp("2024-01-01")),
    ],
)
def test_keys_of_every_type_are_matched(type_: Any, same: Any, other: Any) -> None:
    made = match(source({1: (same,), 2: (other,)}, type_), target({9: (same,)}, type_))
    assert outcome(made) == {1: (9, 1), 2: (None, 2)}


def test_columns_may_have_any_names() -> None:
    keys = frames.from_arrow(pa.table([["a"], [1], [2]], names=["new_id", "old_id", "representative_id"]), [3])
    have = frames.target_frame(
        pa.array([8]), pa.table([[1], ["a"], [2]], names=list("abc")), ["old_id", "new_id", "representative_id"]
    )
    assert outcome(match(keys, have)) == {3: (8, 3)}


KEYS = st.tuples(st.sampled_from(["a", "b", None]), st.sampled_from([1, 2, None]))


@pytest.mark.parametrize("at_once", [1_000_000, 2], ids=["at once", "part by part"])
@given(st.lists(KEYS, max_size=9), st.lists(KEYS, max_size=9))
def test_matching_is_what_a_plain_loop_would_find(at_once: int, ours: list[Any], theirs: list[Any]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules[match.__module__], "_PARTITION_ROWS", at_once)
        made = match(source(dict(enumerate(ours, 1))), target(dict(enumerate(theirs, 100))))
    expected: dict[int, tuple[int | None, int]] = {}
    for old_id, key in enumerate(ours, 1):
        if None in key:
            expected[old_id] = (None, old_id)
        else:
            new_id = next((i for i, other in enumerate(theirs, 100) if other == key), None)
            expected[old_id] = (new_id, ours.index(key) + 1)
    assert outcome(made) == expected


def test_equals_that_sort_apart_because_others_share_their_last_bits_are_found_all_the_same() -> None:
    # Sorting goes by the low bits of the second digest alone.
    high = np.uint64(1 << 63)
    ours = pd.DataFrame(
        {HASH_COLUMNS[0]: np.array([5, 5, 5, 6], np.uint64), HASH_COLUMNS[1]: np.array([7, 7, 7, 7], np.uint64)}
    )
    ours[HASH_COLUMNS[1]] = ours[HASH_COLUMNS[1]].to_numpy() + np.array([0, 1, 1, 0], np.uint64) * high
    theirs = ours.iloc[[2, 0]]
    matches = first_matches(ours, theirs)
    assert matches.position.tolist() == [1, 0, 0, -1]
    assert matches.representative.tolist() == [0, 1, 1, 3]


@given(st.lists(st.sampled_from([0, 1, 1 << 62, 1 << 63, 3 << 62]), max_size=12), st.integers(0, 12))
def test_places_are_those_of_the_first_equal(values: list[int], cut: int) -> None:
    theirs, ours = values[:cut], values[cut:]
    frames_ = [pd.DataFrame({name: np.array(side, np.uint64) for name in HASH_COLUMNS}) for side in (ours, theirs)]
    matches = first_matches(*frames_)
    assert matches.position.tolist() == [theirs.index(value) if value in theirs else -1 for value in ours]
    assert matches.representative.tolist() == [ours.index(value) for value in ours]
