"""Frames and Arrow tables are converted into each other without a change of values, dtypes or indexes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dfsync.model import frames
from dfsync.model.rejects import display_values, no_rejects, reject_frame
from dfsync.model.schema import Column
from dfsync.model.types import MIXED_STORAGE


def test_a_table_comes_back_from_its_frame_as_it_was() -> None:
    table = pa.table({"a": pa.array([1, None], pa.uint64()), "a b": ["x", None]})
    frame = frames.from_arrow(table, [7, 5])
    assert frame.index.tolist() == [7, 5]
    assert (frame.index.name, str(frame.index.dtype)) == ("old_id", "int64")
    assert frames.to_arrow(frame).equals(table)


def test_a_table_without_columns_has_the_rows_of_its_index() -> None:
    assert len(frames.from_arrow(pa.table({}), [1, 2, 3])) == 3


@pytest.mark.parametrize(("type_", "dtype"), [(pa.int32(), "int64"), (pa.int64(), "int64"), (pa.uint64(), "uint64")])
def test_ids_of_the_target_keep_their_sign(type_: Any, dtype: str) -> None:
    frame = frames.target_frame(pa.array([2, 1], type_), pa.table({"0": ["x", "y"]}), ["value"])
    assert (frame.index.name, str(frame.index.dtype)) == ("new_id", dtype)
    assert frame["value"].to_dict() == {2: "x", 1: "y"}


def test_an_array_in_several_chunks_becomes_one() -> None:
    column = frames.series(pa.chunked_array([[1, 2], [3]]))
    assert frames.as_arrow(column).equals(pa.array([1, 2, 3]))


def test_null_differs_from_every_value_and_not_from_null() -> None:
    left, right = pa.array([1, None, None, 2]), pa.array([1, None, 0, 3])
    assert frames.differs(left, right).tolist() == [False, False, True, True]


def test_rows_with_a_null_are_found_and_without_columns_there_is_none() -> None:
    frame = frames.from_arrow(pa.table({"a": [1, None, 3], "b": ["x", "y", None]}), [1, 2, 3])
    assert frames.non_null_rows(frame).tolist() == [True, False, False]
    assert frames.non_null_rows(frame[[]]).tolist() == [True, True, True]


def test_nulls_keep_dtype_and_index() -> None:
    column = frames.from_arrow(pa.table({"a": pa.array([1], pa.uint16())}), [9])["a"]
    nulls = frames.nulls_like(column)
    assert nulls.isna().all()
    assert nulls.dtype == column.dtype
    assert nulls.index.tolist() == [9]


def test_an_empty_frame_has_the_dtypes_of_conformed_rows() -> None:
    frame = frames.empty_frame([Column("a", "integer", "int(11)"), Column("b", "text", "text")])
    assert [str(dtype.pyarrow_dtype) for dtype in frame.dtypes] == ["int64", "string"]
    assert frame.index.name == "old_id"


def test_a_reject_shows_values_of_every_storage_class_and_cuts_long_ones() -> None:
    values = pa.array([{"integer": 1}, {"text": "é"}, {"blob": b"\x00\xff"}, None], MIXED_STORAGE)
    assert display_values(values) == ["1", "é", "x'00ff'", None]
    long = display_values(pa.array(["y" * 201, "y" * 200]))
    assert long == ["y" * 200 + "…", "y" * 200]


def test_a_reject_frame_has_one_row_per_id() -> None:
    rejects = reject_frame(np.array([4, 2]), "c", ["v", None], "is wrong")
    assert rejects.index.tolist() == [4, 2]
    assert rejects.to_dict("list")["reason"] == ["is wrong", "is wrong"]
    assert frames.as_arrow(rejects["value"]).to_pylist() == ["v", None]
    assert rejects.dtypes.equals(no_rejects().dtypes)
    assert reject_frame([1], None, ["v"], ["r"])["column"].isna().all()
