"""A server that asks for files of ours gets nothing but the rows that were announced."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from dfsync.model.errors import DfsyncError
from dfsync.target import packet
from dfsync.target.connection import make_engine
from dfsync.target.write.load_data import LocalInfileDisabledError, load_data

COM_QUERY = b"\x03"
QUERY = {"charset": "utf8mb4", "ssl_disabled": "true"}
# All that a client may have to say to a server that asked for a file: that it leaves.
LEAVING = (b"", b"\x01\x00\x00\x00\x01", b"\x09\x00\x00\x00\x03ROLLBACK")
OK = b"\x00\x00\x00\x02\x00\x00\x00"
ROWS = pa.table({"id": [1, 2], "v": ["a", None]})


class RogueServer:
    """Stands before the real server and passes everything on, until a query holds `trigger`: then it asks for `file`,
    or says OK where that is None.

    `got` is what the client sent after that.
    """

    def __init__(self, url: sa.URL, trigger: bytes, file: bytes | None) -> None:
        self._real, self._trigger, self._file = url, trigger, file
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = url.set(host="127.0.0.1", port=self._listener.getsockname()[1], query=QUERY)
        self.asked = threading.Event()
        self.over = threading.Event()
        self.got = b""
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        try:
            while True:
                client, _ = self._listener.accept()
                server = self._connect()
                threading.Thread(target=self._pass_back, args=(server, client), daemon=True).start()
                threading.Thread(target=self._pass_on, args=(client, server), daemon=True).start()
        except OSError:
            return

    def _connect(self) -> socket.socket:
        path = self._real.query.get("unix_socket")
        if path is None:
            return socket.create_connection((self._real.host or "127.0.0.1", self._real.port or 3306))
        server = socket.socket(socket.AF_UNIX)
        server.connect(str(path))
        return server

    def _pass_back(self, server: socket.socket, client: socket.socket) -> None:
        try:
            while content := server.recv(65536):
                client.sendall(content)
        except OSError:
            return

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        while content := client.recv(65536):
            if self.asked.is_set():
                self.got += content
                break
            if content[4:5] == COM_QUERY and self._trigger in content:
                answer = OK if self._file is None else b"\xfb" + self._file
                self.asked.set()
                client.sendall(len(answer).to_bytes(3, "little") + b"\x01" + answer)
            else:
                server.sendall(content)
        server.close()
        client.close()
        if self.asked.is_set():
            self.over.set()


@contextmanager
def rogue(target: sa.Engine, trigger: bytes, file: bytes | None) -> Iterator[tuple[RogueServer, sa.Engine]]:
    server = RogueServer(target.url, trigger, file)
    engine = make_engine(server.url)
    try:
        yield server, engine
    finally:
        engine.dispose()
        server.close()


@pytest.fixture
def table(target: sa.Engine) -> str:
    with target.begin() as connection:
        connection.execute(sa.text("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(9))"))
    return "t"


@pytest.fixture
def willing(target: sa.Engine) -> None:
    """The server takes `LOAD DATA LOCAL`."""
    with target.connect() as connection:
        if not connection.scalar(sa.text("SELECT @@local_infile")):
            pytest.skip("local_infile is off on this server")


def load(connection: sa.Connection, table: str, rows: Any = ROWS) -> tuple[int, int]:
    return load_data(connection, table, rows, packet.max_allowed_packet(connection))


@pytest.mark.parametrize(
    "file", [b"/etc/passwd", b"", b"dfsync-stream/../../etc/passwd", b"DFSYNC-STREAM", b"dfsync-stream\x00"]
)
def test_a_file_other_than_the_one_announced_is_not_sent(target: sa.Engine, table: str, file: bytes) -> None:
    with rogue(target, b"LOAD DATA LOCAL", file) as (server, engine):
        with engine.connect() as connection, pytest.raises(DfsyncError, match="asked for a file of this machine"):
            load(connection, table)
        engine.dispose()
        assert server.asked.is_set()
        assert server.over.wait(10)
        assert server.got in LEAVING


def test_a_server_that_asks_for_nothing_gets_nothing(target: sa.Engine, table: str) -> None:
    with rogue(target, b"LOAD DATA LOCAL", None) as (server, engine):
        with engine.connect() as connection:
            with pytest.raises(LocalInfileDisabledError):
                load(connection, table)
            connection.invalidate()
        engine.dispose()
        assert server.over.wait(10)
        assert server.got in LEAVING


def test_a_query_that_is_answered_by_a_request_for_a_file_sends_none(target: sa.Engine) -> None:
    with rogue(target, b"SELECT 'harmless'", b"/etc/passwd") as (server, engine):
        with engine.connect() as connection:
            with pytest.raises(RuntimeError, match="local_infile"):
                connection.execute(sa.text("SELECT 'harmless'"))
            connection.invalidate()
        engine.dispose()
        assert server.asked.is_set()
        assert server.over.wait(10)
        assert server.got in LEAVING


def test_nor_does_an_insert(target: sa.Engine, table: str) -> None:
    with rogue(target, b"INSERT INTO t", b"/etc/passwd") as (server, engine):
        with engine.connect() as connection:
            with pytest.raises(RuntimeError, match="local_infile"):
                connection.execute(sa.text("INSERT INTO t VALUES (1, 'x')"))
            connection.invalidate()
        engine.dispose()
        assert server.over.wait(10)
        assert server.got in LEAVING


@pytest.mark.usefixtures("willing")
def test_the_rows_that_were_announced_are_sent_under_their_own_name(target: sa.Engine, table: str) -> None:
    with rogue(target, b"never", b"") as (server, engine):
        with engine.begin() as connection:
            assert load(connection, table) == (2, 0)
        assert not server.asked.is_set()
    with target.connect() as connection:
        assert connection.execute(sa.text("SELECT id, v FROM t ORDER BY id")).all() == [(1, "a"), (2, None)]


def test_after_a_refused_request_the_connection_is_given_up(target: sa.Engine, table: str) -> None:
    with rogue(target, b"LOAD DATA LOCAL", b"/etc/passwd") as (_, engine), engine.connect() as connection:
        with pytest.raises(DfsyncError):
            load(connection, table)
        assert connection.invalidated


@pytest.mark.usefixtures("willing")
def test_warnings_and_rows_are_counted_as_the_server_counts_them(target: sa.Engine, table: str) -> None:
    engine = make_engine(target.url)
    with engine.begin() as connection:
        assert load(connection, table) == (2, 0)
        loaded, warnings = load(connection, table, pa.table({"id": [2, 3], "v": ["twice", "much too long"]}))
        assert loaded == 1
        assert warnings == 2
    engine.dispose()


@pytest.mark.usefixtures("willing")
def test_an_error_of_the_server_is_the_drivers_own(target: sa.Engine, table: str) -> None:
    engine = make_engine(target.url)
    with engine.connect() as connection:
        with pytest.raises(Exception, match="nothing_such") as raised:
            load(connection, "nothing_such")
        assert raised.value.args[0] == 1146
        assert connection.scalar(sa.text("SELECT 1")) == 1
    engine.dispose()


@pytest.mark.usefixtures("willing")
def test_rows_of_several_packets_arrive_whole(target: sa.Engine) -> None:
    with target.begin() as connection:
        connection.execute(sa.text("CREATE TABLE big (id INT PRIMARY KEY, v LONGTEXT, b LONGBLOB)"))
    rows = pa.table({"id": range(12_000), "v": ["x" * 300] * 12_000, "b": [b"\x00\xff"] * 12_000})
    engine = make_engine(target.url)
    with engine.begin() as connection:
        assert load(connection, "big", rows) == (12_000, 0)
        found = connection.execute(sa.text("SELECT COUNT(*), SUM(LENGTH(v)), MIN(HEX(b)), MAX(HEX(b)) FROM big")).one()
        assert tuple(found) == (12_000, 3_600_000, "00FF", "00FF")
    engine.dispose()


@pytest.mark.usefixtures("willing")
@pytest.mark.parametrize("mode", ["NO_BACKSLASH_ESCAPES", "ANSI_QUOTES", "PIPES_AS_CONCAT"])
def test_the_servers_mode_does_not_bend_the_stream(target: sa.Engine, table: str, mode: str) -> None:
    values = ["a\nb", "\\n", "'", '"', '","', "||", "NULL", "\\N", ""]
    engine = make_engine(target.url)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"SET SESSION sql_mode = CONCAT(@@sql_mode, ',{mode}')")
        assert load(connection, table, pa.table({"id": range(len(values)), "v": values})) == (len(values), 0)
        assert list(connection.scalars(sa.text("SELECT v FROM t ORDER BY id"))) == values
    engine.dispose()


@pytest.mark.usefixtures("willing")
def test_names_are_quoted_and_percent_signs_stay_single(target: sa.Engine) -> None:
    with target.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE `a``b%% c` (`x``; drop` INT, `%%s` BLOB, `y%%%%` BIGINT UNSIGNED)")
    rows = pa.table({"x`; drop": [1], "%s": [b"\xff"], "y%%": pa.array([2**64 - 1], pa.uint64())})
    engine = make_engine(target.url)
    with engine.begin() as connection:
        assert load(connection, "a`b% c", rows) == (1, 0)
        assert tuple(connection.exec_driver_sql("SELECT * FROM `a``b%% c`").one()) == (1, b"\xff", 2**64 - 1)
    engine.dispose()
