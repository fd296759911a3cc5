"""Natural keys as a real server gives them: packed into texts, or row by row, they are the same."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from dfsync.target.connection import connect
from dfsync.target.read import keys
from dfsync.target.schema.reflection import reflect
from tests.support.git_history import execute

RANDOM = np.random.default_rng(7)
DOUBLES = RANDOM.integers(0, 2**64, 4_000, np.uint64).view(np.float64)
VALUES: dict[str, list[Any]] = {
    "DOUBLE": [*DOUBLES[np.isfinite(DOUBLES)].tolist(), -0.0, 0.1, 1e15, 1e16, 5e-324, 2.0**63, None],
    "DOUBLE(20, 2)": [373.3299865722656, 1e15 + 0.25, None],
    "DATETIME(6)": ["0001-01-01", "9999-12-31 23:59:59.999999", "2024-02-29 01:02:03.000004", None],
    "DATETIME": ["2024-02-29 01:02:03", "1000-01-01", None],
    "TIMESTAMP(3) NULL": ["2024-10-27 00:30:00.001", "1970-01-01 00:00:01", None],
    "DATE": ["0001-01-01", "9999-12-31", "2024-02-29", None],
}


def fill(target: Engine, type_: str, values: list[Any]) -> None:
    execute(target, f"CREATE TABLE t (id BIGINT PRIMARY KEY, x {type_})")
    rows = [{"id": 3 * number, "value": value} for number, value in enumerate(values)]
    with target.begin() as connection:
        connection.execute(sa.text("SET sql_mode = ''"))
        connection.execute(sa.text("INSERT INTO t VALUES (:id, :value)"), rows)


def both_ways(
    target: Engine, monkeypatch: pytest.MonkeyPatch, *limits: int | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    with connect(target) as connection:
        table = reflect(connection)["t"]
        packed = keys.read_keys(connection, table, "id", ["x"], *limits)
        monkeypatch.setattr(keys, "PACKABLE_KINDS", set())
        row_by_row = keys.read_keys(connection, table, "id", ["x"], *limits)
        connection.rollback()
    return packed.sort_index(), row_by_row.sort_index()


@pytest.mark.parametrize("type_", VALUES)
def test_packed_values_are_those_of_the_rows(target: Engine, monkeypatch: pytest.MonkeyPatch, type_: str) -> None:
    fill(target, type_, VALUES[type_])
    packed, row_by_row = both_ways(target, monkeypatch)
    assert len(packed) == len(VALUES[type_])
    pd.testing.assert_frame_equal(packed, row_by_row, check_exact=True)
    if type_ == "DOUBLE":
        given = pd.Series(VALUES[type_], dtype=float).fillna(math.inf)
        assert (packed["x"].fillna(math.inf).to_numpy(dtype=float) == given.to_numpy()).all()


@pytest.mark.parametrize("type_", ["DOUBLE", "DATETIME(6)"])
@pytest.mark.parametrize("limits", [(2, None), (None, 3), (0, 6), (4, 5), (90_000, None)])
def test_a_range_of_ids(
    target: Engine, monkeypatch: pytest.MonkeyPatch, type_: str, limits: tuple[int | None, int | None]
) -> None:
    fill(target, type_, VALUES[type_][:4])
    packed, row_by_row = both_ways(target, monkeypatch, *limits)
    after, until = limits
    ids = [i for i in (0, 3, 6, 9) if (after is None or i > after) and (until is None or i <= until)]
    assert packed.index.tolist() == row_by_row.index.tolist() == ids
    pd.testing.assert_frame_equal(packed, row_by_row, check_exact=True)


@pytest.mark.parametrize("none", ["0000-00-00", "2024-00-10", "0000-03-01"])
def test_a_date_that_is_none_is_read_as_it_was(target: Engine, monkeypatch: pytest.MonkeyPatch, none: str) -> None:
    fill(target, "DATETIME", ["2024-01-01", none])
    packed, row_by_row = both_ways(target, monkeypatch)
    pd.testing.assert_frame_equal(packed, row_by_row, check_exact=True)
