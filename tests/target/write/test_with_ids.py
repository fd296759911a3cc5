"""Rows are inserted under ids that are given."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sqlalchemy import Engine

from dfsync.model import frames
from dfsync.target.schema.reflection import reflect
from dfsync.target.write.loader import BulkLoader
from dfsync.target.write.with_ids import GivenIdLoader, GivenIds, insert_with_ids
from tests.support.git_history import execute, fetch

NONE = np.array([], np.int64)


def rows(**columns: list[object]) -> pd.DataFrame:
    index = pd.Index([10, 20, 30], name=frames.OLD_ID)
    return pd.DataFrame({name: frames.series(pa.array(values)) for name, values in columns.items()}).set_axis(index)


class TestGivenIds:
    def test_are_replaced_by_those_above_all(self) -> None:
        given = GivenIds(np.array([10, 20, 30]), np.array([7, 0, 9]), step=5)
        given.replace(np.array([20]), free=3)
        assert given.of(np.array([30, 20, 10])).tolist() == [9, 14, 7]
        given.replace(np.array([10, 30]), free=100)
        assert given.of(np.array([10, 20, 30])).tolist() == [100, 14, 105]


@pytest.mark.parametrize("local_infile", [True, False])
class TestRows:
    @pytest.fixture(autouse=True)
    def _table(self, target: Engine) -> None:
        execute(target, "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, up INT, x INT UNIQUE)")

    def test_with_the_id_0_leave_the_session_as_it_was(self, target: Engine, local_infile: bool) -> None:
        with target.begin() as connection:
            mode = connection.exec_driver_sql("SELECT @@SESSION.sql_mode").scalar()
            loader = BulkLoader(connection, reflect(connection)["t"], "id", local_infile=local_infile)
            refused = insert_with_ids(connection, loader, rows(x=[1, 1, 2]), np.array([5, 6, 0]))
            assert connection.exec_driver_sql("SELECT @@SESSION.sql_mode").scalar() == mode
        assert refused.index.tolist() == [20]
        assert fetch(target, "SELECT id, x FROM t ORDER BY id") == [(0, 2), (5, 1)]

    def test_that_depend_on_a_refused_one_are_not_sent(self, target: Engine, local_infile: bool) -> None:
        execute(target, "INSERT INTO t (id, x) VALUES (1, 1)")
        with target.begin() as connection:
            table = reflect(connection)["t"]
            given = GivenIds(np.array([10, 20, 30]), np.array([5, 0, 7]))
            bulk = BulkLoader(connection, table, "id", local_infile=local_infile)
            loader = GivenIdLoader(bulk, connection, table, "id", given, lambda _: NONE)
            parents = {"up": np.array([-1, 0, 1])}
            frame = rows(up=[None, None, None], x=[3, 1, 2]).astype({"up": pd.ArrowDtype(pa.int32())})
            new_ids, refused = loader.insert_linked(frame, parents, {})
        assert (new_ids.to_dict(), refused.index.tolist()) == ({10: 5}, [20])
        assert fetch(target, "SELECT id, up, x FROM t ORDER BY id") == [(1, None, 1), (5, None, 3)]
