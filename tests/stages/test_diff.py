"""Where two frames of the same rows differ, cell by cell."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from dfsync.model import frames
from dfsync.stages import diff


def test_a_cell_differs_where_the_values_do_and_null_equals_null_alone() -> None:
    source = frames.from_arrow(pa.table({"a": [1, 2, None, None], "b": ["x", "y", "z", "é"]}), [3, 5, 7, 9])
    target = frames.from_arrow(pa.table({"a": [1, 3, None, 0], "b": ["x", "Y", None, "é"]}), [3, 5, 7, 9])
    cells = diff(source, target)
    assert cells.index.tolist() == [3, 5, 7, 9]
    assert cells["a"].tolist() == [False, True, False, True]
    assert cells["b"].tolist() == [False, True, True, False]


@pytest.mark.parametrize("columns", [{}, {"a": pa.array([], pa.int64())}])
def test_no_rows_have_no_differences(columns: Any) -> None:
    frame = frames.from_arrow(pa.table(columns), [])
    assert diff(frame, frame).shape == (0, len(columns))
