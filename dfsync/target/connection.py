"""Connections to the target: engines, sessions, the lock that keeps two runs apart."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from time import monotonic
from typing import Any

import sqlalchemy as sa
from pymysql.connections import Connection as PyMySQLConnection
from pymysql.constants import CLIENT
from sqlalchemy import event

from dfsync.model.errors import DfsyncError, TableError
from dfsync.target.errors import CLIENT_ERROR_CODES, CONNECTION_LOST, SERVER_ERRORS, error_code, explain
from dfsync.target.quoting import always_quote

log = logging.getLogger(__name__)

_LOCK_NAME_CHARACTERS = 64
_LOCK_SECONDS = 60
# In seconds: 24 days, the highest value that every system takes.
_LONGEST_WAIT = 2147483
_NO_CONNECTION: tuple[type[Exception], ...] = (*SERVER_ERRORS, OSError, RuntimeError)
# For this session alone. Numbers, since DEFAULT would be what the administrator has set.
_SESSION = (
    # A value that does not fit is an error and is never changed; 0 is an ordinary value of an id column.
    "sql_mode = CONCAT_WS(',', NULLIF(REPLACE(REPLACE(@@sql_mode, 'PAD_CHAR_TO_FULL_LENGTH', ''), "
    "'EMPTY_STRING_IS_NULL', ''), ''), 'STRICT_ALL_TABLES', 'NO_AUTO_VALUE_ON_ZERO')",
    # SQLite's CURRENT_TIMESTAMP is UTC, and UTC has no hour that daylight saving time skips.
    "time_zone = '+00:00'",
    # Foreign and unique keys are always checked.
    "foreign_key_checks = 1",
    "unique_checks = 1",
    # No limits that are meant for interactive use.
    "sql_select_limit = 18446744073709551615",
    "sql_safe_updates = 0",
    "sql_big_selects = 1",
    # A COMMIT neither begins a transaction nor ends the connection.
    "completion_type = 0",
    "autocommit = 0",
    # As long a text as the server can send.
    "group_concat_max_len = @@max_allowed_packet",
)

_FRESH_SECONDS = 1.0


class DriverConnection(PyMySQLConnection):  # type: ignore[misc] # PyMySQL has no types
    """A connection for SQLAlchemy's pool, which shares its TLS settings with others where no certificate is verified.

    PyMySQL reads the certificates of the system for every connection, also for one that verifies none and one over a
    Unix socket, which takes 45 ms of a processor each.
    """

    _used = 0.0

    def _execute_command(self, command: int, sql: str | bytes) -> None:
        super()._execute_command(command, sql)
        self._used = monotonic()

    def ping(self, reconnect: bool = False) -> None:
        """Ask whether the server is there, unless it has answered just now."""
        if monotonic() - self._used > _FRESH_SECONDS:
            super().ping(reconnect)

    def set_character_set(self, charset: str, collation: str | None = None) -> None:
        """Leave it to SQLAlchemy, which sends SET NAMES for every connection, too."""

    def connect(self, sock: Any = None) -> None:
        """Connect, and set what is no variable."""
        super().connect(sock)
        self.query("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")

    def _create_ssl_ctx(self, sslp: Any) -> ssl.SSLContext:
        context: ssl.SSLContext = super()._create_ssl_ctx(sslp) if sslp else _unverified()
        return context


@cache
def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def make_engine(url: str | sa.URL) -> sa.Engine:
    """Make an engine whose sessions are strict and may use `LOAD DATA LOCAL`.

    Parameters
    ----------
    url
        The target, with a driver PyMySQL.

    Returns
    -------
    sqlalchemy.Engine
        REPEATABLE READ, time zone UTC, every identifier quoted. Only `write/load_data.py` sends `LOAD DATA LOCAL`, and
        it never sends a file.

    References
    ----------
    https://mariadb.com/docs/server/server-management/variables-and-modes/sql_mode
    """
    url = sa.make_url(url)
    # Before the first COMMIT, which completion_type could end the connection with.
    settings = f"SET SESSION {', SESSION '.join(_SESSION)}"
    arguments: dict[str, Any] = {"client_flag": CLIENT.LOCAL_FILES, "init_command": settings}
    if isinstance(url.password, str):
        # PyMySQL encodes text as latin-1, which lacks most characters.
        arguments["password"] = url.password.encode()
    # No limit: as many connections as threads.
    engine = sa.create_engine(
        url,
        connect_args=arguments,
        pool_size=0,
        pool_pre_ping=True,
        # A connection without a transaction has nothing to roll back.
        pool_reset_on_return=None,
        # Values of rows are no part of a log.
        hide_parameters=True,
    )
    always_quote(engine.dialect)

    @event.listens_for(engine, "do_connect")
    def _open(_dialect: Any, _record: Any, positional: Any, named: Any) -> DriverConnection:
        return DriverConnection(*positional, **named)

    @event.listens_for(engine, "handle_error")
    def _by_number(context: Any) -> None:
        # SQLAlchemy also searches the message for certain words, and a message may quote a value.
        code = error_code(context.original_exception)
        if code and code not in CLIENT_ERROR_CODES:
            context.is_disconnect = code in CONNECTION_LOST

    return engine


def connect(engine: sa.Engine) -> sa.Connection:
    """Open a connection.

    Parameters
    ----------
    engine
        An engine of `make_engine`.

    Returns
    -------
    sqlalchemy.Connection
        A connection without a transaction.

    Raises
    ------
    DfsyncError
        There is no connection; the message says why, without the password.
    """
    try:
        connection = engine.connect()
    except _NO_CONNECTION as error:
        log.debug("no connection", exc_info=True)
        raise DfsyncError(f"The target {display_name(engine.url)} cannot be reached: {explain(error)}.") from error
    log.debug("connected to %s", display_name(engine.url))
    return connection


def begin_snapshot(connection: sa.Connection, *, read_only: bool = False) -> None:
    """Begin a transaction whose reads all see the database as it is now.

    Parameters
    ----------
    connection
        A connection without a transaction of the server's.
    read_only
        Whether the server refuses writes in it.

    References
    ----------
    https://dev.mysql.com/doc/refman/9.7/en/commit.html
    """
    options = "WITH CONSISTENT SNAPSHOT, READ ONLY" if read_only else "WITH CONSISTENT SNAPSHOT"
    connection.execute(sa.text(f"START TRANSACTION {options}"))


def commit_snapshot(connection: sa.Connection) -> None:
    """Commit what was written since `begin_snapshot`, within a `snapshot_transaction` that goes on with another one.

    Parameters
    ----------
    connection
        A connection in such a transaction. The server lets it wait for the next one as long as the run takes.
    """
    connection.execute(sa.text("COMMIT"))
    connection.execute(sa.text(f"SET SESSION wait_timeout = {_LONGEST_WAIT}"))


@contextmanager
def snapshot_transaction(connection: sa.Connection) -> Iterator[sa.RootTransaction]:
    """Begin a snapshot and commit at the end; roll back for an error, which is raised also where the rollback fails.

    Parameters
    ----------
    connection
        A connection without a transaction.

    Yields
    ------
    sqlalchemy.RootTransaction
        Rolled back by the caller where nothing is to be committed.

    Raises
    ------
    TableError
        The server asks for a file that nobody has offered.
    """
    transaction = connection.begin()
    try:
        begin_snapshot(connection)
        yield transaction
    except BaseException as error:
        # What PyMySQL says of a server that asks for a file unasked. No ROLLBACK: it may wait for ever.
        unasked = isinstance(error, RuntimeError)
        if unasked:
            connection.invalidate()
        try:
            transaction.rollback()
        except Exception:
            log.debug("no ROLLBACK gets through; without the connection the server does it", exc_info=True)
            connection.invalidate()
        if unasked:
            raise TableError(f"the server does not keep to the protocol, and got nothing: {error}") from error
        raise
    if transaction.is_active:
        transaction.commit()


def abort(connection: sa.Connection) -> None:
    """Shut down a connection's socket, also while another thread waits on it, which then gets a lost connection.

    Parameters
    ----------
    connection
        The connection to end. One that is closed already is left alone.
    """
    driver = connection.connection.driver_connection if not connection.invalidated and not connection.closed else None
    stream = getattr(driver, "_sock", None)
    if stream is not None:
        with suppress(OSError):
            stream.shutdown(socket.SHUT_RDWR)


def display_name(url: sa.URL) -> str:
    """Name the database and the server, without user or password.

    Parameters
    ----------
    url
        The target.

    Returns
    -------
    str
        Such as `dfsync on db.example.com:3306`.
    """
    path = url.query.get("unix_socket")
    server = f"socket {path}" if path else f"{url.host or 'localhost'}:{url.port or 3306}"
    return f"{url.database} on {server}"


@contextmanager
def exclusive_lock(engine: sa.Engine) -> Iterator[None]:
    """Hold the server's lock that keeps a second dfsync out of the same database.

    The lock ends with the connection that holds it, so a killed process leaves none behind.

    Parameters
    ----------
    engine
        The target; the lock has the name of its database.

    Raises
    ------
    DfsyncError
        Another run holds the lock for more than a minute.

    References
    ----------
    https://mariadb.com/docs/server/reference/sql-functions/secondary-functions/miscellaneous-functions/get_lock
    """
    name = f"dfsync {engine.url.database}"[:_LOCK_NAME_CHARACTERS]
    with connect(engine) as connection:
        # The connection is idle for as long as the run takes.
        connection.execute(sa.text(f"SET SESSION wait_timeout = {_LONGEST_WAIT}"))
        acquired = connection.scalar(sa.select(sa.func.get_lock(name, _LOCK_SECONDS)))
        if acquired != 1:
            raise DfsyncError(
                f"Another dfsync is writing to {display_name(engine.url)}, and has not ended in {_LOCK_SECONDS} "
                "seconds. Run again when it is done."
            )
        connection.commit()
        yield
