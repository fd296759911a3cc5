"""Whole columns and rows that are conformed: several storage classes, NULL, rejects and the frame's shape."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from dfsync.model import frames
from dfsync.model.schema import Column
from dfsync.model.types import MIXED_STORAGE, arrow_type
from dfsync.stages.conform.conform import conform
from tests.support.tables.columns import BIGINT, BLOB, DATE, DECIMAL, INT, JSON, SET, UNSIGNED, VARCHAR, conformed


def test_a_number_of_many_digits_stands_beside_one_of_few() -> None:
    made = conformed(UNSIGNED, "7", "9" * 50, str(2**64 - 1))
    assert made.frame["v"].tolist() == [7, 2**64 - 1]
    assert made.rejects.index.tolist() == [2]


def test_values_of_every_storage_class_go_into_one_column() -> None:
    made = conformed(BIGINT, 1, 2.0, "3", None, b"4", 5)
    assert made.frame["v"].tolist()[:3] == [1, 2, 3]
    assert made.frame.index.tolist() == [1, 2, 3, 4, 6]
    assert made.rejects["value"].tolist() == ["x'34'"]


@pytest.mark.parametrize("type_", [pa.int64(), pa.float64(), pa.string(), pa.binary(), MIXED_STORAGE, pa.null()])
@pytest.mark.parametrize("column", [INT, DECIMAL, VARCHAR, BLOB, DATE, JSON, SET], ids=lambda column: column.type)
def test_a_column_of_nothing_but_null_takes_the_targets_type(type_: Any, column: Column) -> None:
    made = conform(frames.from_arrow(pa.table({"v": pa.nulls(2, type_)}), [1, 2]), [column])
    assert frames.as_arrow(made.frame["v"]).type == arrow_type(column)
    assert made.frame["v"].isna().all()


def test_no_rows_make_no_rows_of_the_targets_types() -> None:
    made = conform(frames.from_arrow(pa.table({"v": pa.array([], pa.string())}), []), [DATE])
    assert frames.as_arrow(made.frame["v"]).type == pa.date32()
    assert made.rejects.empty


def test_rows_of_no_columns_stay_rows() -> None:
    made = conform(frames.from_arrow(pa.table({"v": [5, 6]}), [7, 9]), [])
    assert made.frame.index.tolist() == [7, 9]
    assert made.frame.shape == (2, 0)


def test_null_is_a_reject_where_the_column_allows_none() -> None:
    made = conformed(Column("v", "integer", "int", nullable=False), None, 7)
    assert made.rejects["reason"].tolist() == ["is NULL, which the column does not allow"]
    assert made.rejects["value"].isna().all()
    assert made.frame["v"].tolist() == [7]


def test_null_is_welcome_where_the_target_counts_up() -> None:
    made = conformed(Column("v", "integer", "int", nullable=False, auto_increment=True), None)
    assert made.rejects.empty


def test_a_row_of_two_faults_is_rejected_once_for_the_first_column() -> None:
    frame = frames.from_arrow(pa.table({"a": ["x", "1"], "b": ["y", "z"]}), [10, 20])
    columns = [Column("a", "integer", "int"), Column("b", "integer", "int")]
    made = conform(frame, columns)
    assert made.rejects["column"].to_dict() == {10: "a", 20: "b"}
    assert made.frame.empty
    assert list(made.frame.columns) == ["a", "b"]


def test_a_column_keeps_its_place_and_the_frame_its_index() -> None:
    frame = frames.from_arrow(pa.table({"b": [1, 2], "a": ["x", "y"], "c": [0, 0]}), [7, 3])
    made = conform(frame, [Column("a", "text", "text"), Column("b", "integer", "int")])
    assert list(made.frame.columns) == ["a", "b"]
    assert made.frame.index.tolist() == [7, 3]
    assert made.frame.index.name == "old_id"


def test_a_long_value_is_shortened_in_its_reject() -> None:
    made = conformed(VARCHAR, "x" * 1000, b"\xff" * 1000)
    assert made.rejects["value"].tolist() == ["x" * 200 + "…", "x'" + "ff" * 99 + "…"]


def test_a_value_that_is_just_not_too_long_is_whole_in_its_reject() -> None:
    assert conformed(VARCHAR, "x" * 200).rejects["value"].tolist() == ["x" * 200]
