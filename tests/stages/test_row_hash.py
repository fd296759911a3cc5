"""Rows without a natural key are the same when all their values are, and as often as there are such rows."""

from __future__ import annotations

import pickle
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfsync.model import frames
from dfsync.stages.match import first_matches
from dfsync.stages.row_hash import HASH_COLUMNS, RowHasher, mix64

HASHER = RowHasher.random()
row_hashes, with_occurrence = HASHER.hashes, HASHER.with_occurrence


def rows(
    *values: tuple[Any, ...], index: list[int] | None = None, types: tuple[Any, ...] | None = None
) -> pd.DataFrame:
    width = len(values[0])
    types = types or (pa.string(),) * width
    arrays = [pa.array([row[i] for row in values], types[i]) for i in range(width)]
    return frames.from_arrow(
        pa.table(arrays, names=[f"c{i}" for i in range(width)]), index or range(1, len(values) + 1)
    )


def digest(frame: pd.DataFrame) -> list[tuple[int, ...]]:
    return [tuple(row) for row in row_hashes(frame).to_numpy().tolist()]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((None,), ("",)),
        ((None,), ("NULL",)),
        (("",), ("=",)),
        (("a", "b"), ("b", "a")),
        (("ab", ""), ("a", "b")),
        (("a", None), (None, "a")),
        (("x", "x"), ("y", "y")),
        (("a",), ("A",)),
        (("a",), ("a ",)),
        (("a\x00b",), ("a\x00c",)),
        (("a\x00",), ("a",)),
    ],
)
def test_rows_that_differ_have_digests_that_differ_in_both_halves(one: Any, other: Any) -> None:
    first, second = digest(rows(one, other))
    assert first[0] != second[0]
    assert first[1] != second[1]


def test_equal_rows_have_equal_digests_wherever_they_stand() -> None:
    alone = digest(rows(("b", None), index=[77]))
    among = digest(rows(("a", "c"), ("b", None), ("b", None)))
    assert among[1] == among[2] == alone[0]


def test_the_two_halves_are_two_different_digests() -> None:
    one, two = digest(rows(("a",)))[0]
    assert one != two


@pytest.mark.parametrize(
    ("type_", "one", "other"),
    [
        (pa.int64(), 1, -1),
        (pa.uint64(), 2**64 - 1, 2**64 - 2),
        (pa.float64(), 0.1, 0.10000000000000002),
        (pa.decimal256(65, 30), Decimal("1E-30"), Decimal("2E-30")),
        (pa.binary(), b"\xff\x00", b"\xff"),
        (pa.date32(), 0, 1),
        (pa.timestamp("us"), 0, 1),
    ],
)
def test_values_of_every_type_count_to_their_last_digit(type_: Any, one: Any, other: Any) -> None:
    first, again, second = digest(rows((one,), (one,), (other,), types=(type_,)))
    assert first == again
    assert first != second
    assert digest(rows((None,), types=(type_,))) == digest(rows((None,)))


def test_an_id_is_the_same_signed_or_unsigned() -> None:
    assert digest(rows((5,), types=(pa.int64(),))) == digest(rows((5,), types=(pa.uint64(),)))
    assert digest(rows((-1,), types=(pa.int64(),))) != digest(rows((2**64 - 1,), types=(pa.uint64(),)))


def test_bits_are_spread_as_murmurhash3_does() -> None:
    made = mix64(np.array([0, 1, 2**33, 2**64 - 1], np.uint64))
    assert made.tolist() == [0, 0xB456BCFC34C2CB2C, 0x6B80F8591E1145C3, 0x64B5720B4B825F21]


def test_the_factors_are_odd_and_of_64_bits() -> None:
    derived = [int(factor) for seed in range(8) for half in RowHasher(seed)._factors for factor in half.values()]
    assert all(number % 2 for number in derived)
    assert len(set(derived)) == len(derived) == 64
    assert 2**60 < max(derived) < 2**64


def test_one_seed_gives_the_same_hashes_everywhere_and_another_seed_gives_others() -> None:
    frame = rows(("a", "b"), ("c", None))
    # Written down, since the hashes of another process or release must be the same.
    assert RowHasher(7).hashes(frame).to_numpy().tolist() == [
        [1167525306441559233, 3066596248726493544],
        [5827994694342150306, 11558689250745129249],
    ]
    copy = pickle.loads(pickle.dumps(RowHasher(7)))
    assert copy == RowHasher(7)
    assert copy.hashes(frame).equals(RowHasher(7).hashes(frame))
    assert not (RowHasher(8).hashes(frame) == RowHasher(7).hashes(frame)).to_numpy().any()


def test_the_seed_is_not_shown() -> None:
    assert "12345" not in repr(RowHasher(12345))


def test_names_and_index_do_not_count() -> None:
    frame = rows(("a", "b"))
    assert digest(frame.rename(columns={"c0": "other"})) == digest(frame)
    assert row_hashes(rows(("a", "b"), index=[9])).index.tolist() == [9]


def test_rows_of_no_columns_are_all_the_same() -> None:
    assert len(set(digest(pd.DataFrame(index=pd.Index([1, 2], name="old_id"))))) == 1


def test_no_rows_have_no_digests() -> None:
    none = row_hashes(rows(("a",)).iloc[:0])
    assert none.empty
    assert list(with_occurrence(none).columns) == list(HASH_COLUMNS)


def test_equal_rows_are_numbered_in_their_order() -> None:
    made = with_occurrence(row_hashes(rows(("a",), ("b",), ("a",), (None,), ("a",), (None,))))
    again = with_occurrence(row_hashes(rows(("b",), (None,), (None,), ("a",), ("a",), ("a",))))
    assert made.index.tolist() == [1, 2, 3, 4, 5, 6]
    assert made.drop_duplicates().shape == (6, 2)
    assert made.to_numpy().tolist() == again.iloc[[3, 0, 4, 1, 5, 2]].to_numpy().tolist()


def test_two_equal_rows_want_two_in_the_target_the_kth_with_the_kth() -> None:
    ours = with_occurrence(row_hashes(rows(("a",), ("b",), ("a",), ("a",))))
    theirs = with_occurrence(row_hashes(rows(("a",), ("a",), ("c",))))
    matches = first_matches(ours, theirs)
    assert matches.position.tolist() == [0, -1, 1, -1]
    assert not len(matches.duplicates)


TEXTS = st.one_of(st.none(), st.text(max_size=3), st.sampled_from(["NULL", "=", ""]))


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=20))
def test_digests_tell_rows_apart_as_python_does(values: list[tuple[Any, ...]]) -> None:
    assert len(set(digest(rows(*values)))) == len(set(values))
