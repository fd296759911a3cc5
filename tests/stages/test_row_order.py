"""Which rows of a table are inserted before which others of it."""

from __future__ import annotations

import pandas as pd
import pytest

from dfsync.stages.row_order import keyless_phases


@pytest.mark.parametrize(
    ("rows", "unkeyed", "parts"),
    [
        ([(1, None, None), (2, 1, None), (3, 2, None)], [], [[1, 2, 3]]),
        ([(1, None, None), (2, 1, None), (3, 2, None)], [2, 3], [[1], [2], [3]]),
        # By the deepest of the rows that it needs; one that is not there is none.
        ([(1, None, None), (2, 99, 1), (3, 2, 4), (4, 1, None)], [1, 4], [[1, 2], [3, 4]]),
        # What rows of a circle need out of it counts, and that others need them.
        ([(1, None, None), (2, 3, 1), (3, 2, None), (4, 2, None)], [1, 4], [[3], [1, 2], [4]]),
        # What leads from one circle to another is as if it were in one.
        ([(1, 1, None), (2, 1, None), (3, 2, 3), (4, 2, None)], [2], [[1, 3], [2, 4]]),
    ],
)
def test_rows_without_a_natural_key_need_rows_of_earlier_parts(
    rows: list[tuple[int | None, ...]], unkeyed: list[int], parts: list[list[int]]
) -> None:
    references = pd.DataFrame(rows, columns=["old_id", "boss", "friend"], dtype="Int64").set_index("old_id")
    assert [part.tolist() for part in keyless_phases(references, unkeyed)] == parts
