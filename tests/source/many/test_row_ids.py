"""Ids over several files: unique, in order, and translated back."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfsync.model.types import MIXED_STORAGE
from dfsync.source.many.columns import as_mixed, concat
from dfsync.source.many.row_ids import CombinedIds, Span

LOWEST, HIGHEST = -(2**63), 2**63 - 1
ids_of_files = st.lists(
    st.lists(st.one_of(st.integers(-5, 20), st.integers(LOWEST, HIGHEST)), max_size=6, unique=True).map(sorted),
    min_size=1,
    max_size=5,
)


def combined(files: list[list[int]]) -> CombinedIds:
    spans = [Span(len(ids), ids[0], ids[-1]) if ids else Span() for ids in files]
    return CombinedIds(spans, lambda number: np.array(files[number], np.int64))


@settings(deadline=None)
@given(files=ids_of_files)
def test_are_unique_in_order_and_found_again(files: list[list[int]]) -> None:
    made = combined(files)
    rows = [(number, id_) for number, ids in enumerate(files) for id_ in ids]
    parts = [made.combine(number, np.array(ids, np.int64)) for number, ids in enumerate(files)]
    assert all(known.all() for _, known in parts)
    ids = np.concatenate([part for part, _ in parts])
    assert (np.diff(ids) > 0).all()
    numbers, own = made.locate(ids)
    assert list(zip(numbers.tolist(), own.tolist(), strict=True)) == rows


@settings(deadline=None)
@given(files=ids_of_files, value=st.integers(LOWEST, HIGHEST), number=st.integers(0, 4))
def test_a_reference_leads_to_the_row_of_its_own_file_or_to_none(
    files: list[list[int]], value: int, number: int
) -> None:
    number %= len(files)
    made = combined(files)
    (shifted,) = made.shift(number, pa.array([value], pa.int64())).to_pylist()
    own = {made.combine(number, np.array([id_], np.int64))[0][0]: id_ for id_ in files[number]}
    others = {
        made.combine(other, np.array([id_], np.int64))[0][0]
        for other, ids in enumerate(files)
        for id_ in ids
        if other != number
    }
    assert own.get(shifted) == (value if value in files[number] else None)
    assert shifted not in others
    assert made.original(shifted) == str(value)


def test_the_first_file_keeps_its_ids() -> None:
    assert combined([[5, 9], [1]]).combine(0, np.array([5, 9]))[0].tolist() == [5, 9]


def test_references_of_other_storage_classes() -> None:
    made = combined([[1, 2], [7, 8]])
    shifted = made.shift(1, pa.array(["7", "none", None, "8"]))
    assert shifted.type == MIXED_STORAGE
    values = [next((v for v in (row or {}).values() if v is not None), None) for row in shifted.to_pylist()]
    assert values == [3, "none", None, 4]
    assert made.shift(1, pa.array([7.0, 7.5, None])).to_pylist()[0]["integer"] == 3


@pytest.mark.parametrize(
    ("parts", "type_"),
    [
        ([pa.array([1]), pa.array([2])], pa.int64()),
        ([pa.array([None, None], pa.int64()), pa.array(["x"])], pa.string()),
        ([pa.array([1]), pa.array(["x"])], MIXED_STORAGE),
        ([pa.array([1.5]), pa.array([1]), pa.array([b"x"])], MIXED_STORAGE),
        ([as_mixed(pa.array([1])), pa.array(["x", None])], MIXED_STORAGE),
    ],
)
def test_columns_of_several_files_keep_their_values(parts: list[pa.Array], type_: pa.DataType) -> None:
    joined = concat([pa.table({"v": part}) for part in parts]).column("v")
    assert joined.type == type_

    def plain(value: object) -> object:
        return next((v for v in value.values() if v is not None), None) if isinstance(value, dict) else value

    assert [plain(value) for value in joined.to_pylist()] == [plain(v) for part in parts for v in part.to_pylist()]
