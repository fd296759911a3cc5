"""Rows into the target: in bulk, by either way, and the ids that AUTO_INCREMENT gave them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pandas as pd
import pyarrow as pa
import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from dfsync.model import frames
from dfsync.model.errors import TableError
from dfsync.target.connection import make_engine
from dfsync.target.errors import SilentCoercionError, error_code
from dfsync.target.schema.reflection import reflect
from dfsync.target.write.bisect import send_with_bisection
from dfsync.target.write.loader import BulkLoader
from tests.support.git_history import execute, fetch

WAYS = pytest.mark.parametrize("local_infile", [True, False], ids=["load data local", "plain inserts"])


def rows(*names: str | None, first: int = 1) -> pd.DataFrame:
    index = [10 * i for i in range(first, first + len(names))]
    return frames.from_arrow(pa.table({"name": pa.array(names, pa.string())}), index)


@contextmanager
def loading(target: Engine, *, local_infile: bool = True, id_column: str | None = "id") -> Iterator[BulkLoader]:
    """A loader of the table `t` in a transaction of its own, as the orchestrator begins it."""
    engine = make_engine(target.url)
    with engine.begin() as connection:
        table = reflect(connection)["t"]
        connection.execute(text("START TRANSACTION WITH CONSISTENT SNAPSHOT"))
        yield BulkLoader(connection, table, id_column, local_infile=local_infile)
    engine.dispose()


def loads(loader: BulkLoader) -> int:
    """How many times the session has sent LOAD DATA."""
    connection: Connection = loader._connection
    return int(connection.execute(text("SHOW SESSION STATUS LIKE 'Com_load'")).one()[1])


@pytest.fixture
def table(target: Engine) -> Engine:
    execute(target, "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9) UNIQUE) AUTO_INCREMENT = 50")
    return target


class TestNewIds:
    @WAYS
    def test_are_in_the_order_of_the_rows(self, table: Engine, local_infile: bool) -> None:
        execute(table, "INSERT INTO t (id, name) VALUES (5, 'theirs')")
        with loading(table, local_infile=local_infile) as loader:
            first, refused = loader.insert(rows("b", "a", "c"))
            second, _ = loader.insert(rows("e", "d", first=4))
        assert refused.empty
        assert first.index.tolist() == [10, 20, 30]
        there = dict(fetch(table, "SELECT id, name FROM t"))
        assert [there[new] for new in first] == ["b", "a", "c"]
        assert [there[new] for new in second] == ["e", "d"]

    @WAYS
    def test_are_right_beside_rows_that_the_server_refuses(self, table: Engine, local_infile: bool) -> None:
        execute(table, "INSERT INTO t (name) VALUES ('x'), ('y')")
        with loading(table, local_infile=local_infile) as loader:
            new, refused = loader.insert(rows("x", "a", "b", "y", "c", "x", "d", "a", "e"))
        assert refused.index.tolist() == [10, 40, 60, 80]
        assert refused["column"].isna().all()
        assert refused["value"].isna().all()
        assert refused["reason"].str.contains("refused by the server: Duplicate entry '[xya]' for key").all()
        there = dict(fetch(table, "SELECT id, name FROM t"))
        assert {old: there[id_] for old, id_ in new.items()} == {20: "a", 30: "b", 50: "c", 70: "d", 90: "e"}

    @WAYS
    def test_of_no_row_are_none(self, table: Engine, local_infile: bool) -> None:
        execute(table, "INSERT INTO t (name) VALUES ('x')")
        with loading(table, local_infile=local_infile) as loader:
            for frame in (rows(), rows("x")):
                new, refused = loader.insert(frame)
                assert new.empty
                assert len(refused) == len(frame)

    def test_are_0_where_the_table_has_none(self, target: Engine) -> None:
        execute(target, "CREATE TABLE t (name VARCHAR(9) PRIMARY KEY)")
        with loading(target, id_column=None) as loader:
            new, _ = loader.insert(rows("a", "b"))
        assert new.to_dict() == {10: 0, 20: 0}
        assert fetch(target, "SELECT name FROM t ORDER BY name") == [("a",), ("b",)]

    @WAYS
    def test_that_a_trigger_takes_into_its_own_hands_fail_the_table(self, table: Engine, local_infile: bool) -> None:
        execute(table, "CREATE TRIGGER own BEFORE INSERT ON t FOR EACH ROW SET NEW.id = -LENGTH(NEW.name)")
        with (
            pytest.raises(TableError, match="2 rows were sent and 0 are there; a trigger or another tool interferes"),
            loading(table, local_infile=local_infile) as loader,
        ):
            loader.insert(rows("a", "bb"))
        assert fetch(table, "SELECT COUNT(*) FROM t") == [(0,)]


@WAYS
def test_too_many_refusals_fail_the_table(table: Engine, local_infile: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dfsync.target.write.bisect._MAX_REFUSALS", 2)
    execute(table, "INSERT INTO t (name) VALUES ('a'), ('b'), ('c')")
    with loading(table, local_infile=local_infile) as loader:
        assert len(loader.insert(rows("a", "new", "b"))[1]) == 2
    with (
        pytest.raises(TableError, match="the server refused more than 2 rows: Duplicate entry"),
        loading(table, local_infile=local_infile) as loader,
    ):
        loader.insert(rows("a", "newer", "b", "c"))
    assert fetch(table, "SELECT COUNT(*) FROM t WHERE name LIKE 'new%'") == [(1,)]


@WAYS
@pytest.mark.parametrize("number", [1365, 1644, 3141, 31001, 50001])
def test_whatever_the_server_says_of_one_row_is_that_rows(table: Engine, local_infile: bool, number: int) -> None:
    execute(
        table,
        "CREATE TRIGGER own BEFORE INSERT ON t FOR EACH ROW IF NEW.name = 'bad' THEN SIGNAL SQLSTATE '45000' "
        # Words that stand for a lost connection to those who go by words.
        f"SET MYSQL_ERRNO = {number}, MESSAGE_TEXT = 'it is already closed'; END IF",
    )
    with loading(table, local_infile=local_infile) as loader:
        new, refused = loader.insert(rows("a", "bad", "b"))
    assert refused["reason"].to_dict() == {20: f"refused by the server: it is already closed ({number})"}
    assert len(new) == 2


@WAYS
def test_a_row_of_which_the_server_cannot_generate_a_column_is_a_reject(target: Engine, local_infile: bool) -> None:
    execute(
        target,
        "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9), part DOUBLE AS (1 / LENGTH(name)) STORED)",
    )
    with loading(target, local_infile=local_infile) as loader:
        new, refused = loader.insert(rows("a", "", "b"))
    assert refused.index.tolist() == [20]
    assert refused["reason"].str.contains("Division by 0").all()
    assert len(new) == 2


def test_a_transaction_that_the_server_rolled_back_is_not_gone_on_with(table: Engine) -> None:
    with table.connect() as connection:

        def send(frame: pd.DataFrame) -> None:
            connection.exec_driver_sql("ROLLBACK")
            connection.exec_driver_sql("SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'all is gone'")

        with pytest.raises(OperationalError, match="all is gone"):
            send_with_bisection(connection, rows("a", "b", "c"), send)


def test_a_connection_that_is_lost_meanwhile_is_told_of(table: Engine) -> None:
    with make_engine(table.url).connect() as connection:

        def send(frame: pd.DataFrame) -> None:
            number = connection.exec_driver_sql("SELECT CONNECTION_ID()").scalar()
            execute(table, f"KILL {number}")
            raise SilentCoercionError("fewer rows")

        with pytest.raises(OperationalError) as raised:
            send_with_bisection(connection, rows("a", "b", "c"), send)
    assert error_code(raised.value) in (1927, 2006, 2013)


@pytest.mark.parametrize("number", [1114, 1226, 1142, 1712, 1213, 3169])
def test_what_is_no_rows_fault_is_not_looked_for_in_the_rows(table: Engine, number: int) -> None:
    tried: list[int] = []

    with table.connect() as connection:

        def send(frame: pd.DataFrame) -> None:
            tried.append(len(frame))
            connection.exec_driver_sql(f"SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = {number}")

        with pytest.raises(OperationalError):
            send_with_bisection(connection, rows("a", "b", "c"), send)
    assert tried == [3]


class TestTheWay:
    def test_is_load_data_local_where_the_server_takes_it(self, table: Engine) -> None:
        if not fetch(table, "SELECT @@local_infile")[0][0]:
            pytest.skip("this server does not take LOAD DATA LOCAL")
        with loading(table) as loader:
            loader.insert(rows("a", "b"))
            assert loads(loader) == 1
        with loading(table, local_infile=False) as loader:
            loader.insert(rows("c", "d"))
            assert loads(loader) == 0
        assert len(fetch(table, "SELECT name FROM t")) == 4

    def test_is_plain_inserts_where_the_server_does_not(self, table: Engine) -> None:
        ((allowed,),) = fetch(table, "SELECT @@local_infile")
        if allowed and "DFSYNC_TEST_URL" in os.environ:
            pytest.skip("this server is not ours to change")
        try:
            if allowed:
                execute(table, "SET GLOBAL local_infile = 0")
            with loading(table) as loader:
                first, _ = loader.insert(rows("a", "b"))
                attempts = loads(loader)
                second, _ = loader.insert(rows("c", "d", first=3))
                # Once refused, it is not tried again.
                assert loads(loader) == attempts
        finally:
            if allowed:
                execute(table, "SET GLOBAL local_infile = 1")
        there = dict(fetch(table, "SELECT id, name FROM t"))
        assert [there[new] for new in [*first, *second]] == ["a", "b", "c", "d"]

    @WAYS
    def test_keeps_every_value_as_it_is(self, table: Engine, local_infile: bool) -> None:
        values = ["", "NULL", None, "\\N", 'a"b', "a,b\n", "a\\", "🦭 ä", "%s %%", "'", "\t\0x"]
        with loading(table, local_infile=local_infile) as loader:
            new, refused = loader.insert(rows(*values))
        assert refused.empty
        there = dict(fetch(table, "SELECT id, name FROM t"))
        assert [there[id_] for id_ in new] == values

    @WAYS
    def test_never_bends_a_value(self, table: Engine, local_infile: bool) -> None:
        with loading(table, local_infile=local_infile) as loader:
            new, refused = loader.insert(rows("fits", "much too long", "fits too"))
        assert list(refused.index) == [20]
        assert [name for (name,) in fetch(table, "SELECT name FROM t ORDER BY id")] == ["fits", "fits too"]
        assert len(new) == 2
