"""Connections to the target: engines, sessions, the lock that keeps two runs apart."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pymysql
import sqlalchemy as sa
from pymysql.constants import CLIENT
from sqlalchemy import event

from dfsync.model.errors import DfsyncError
from dfsync.target.errors import CLIENT_ERROR_CODES, CONNECTION_LOST, error_code, explain
from dfsync.target.quoting import always_quote

log = logging.getLogger(__name__)

_LOCK_NAME_CHARACTERS = 64
_LOCK_SECONDS = 60
# Ours alone, for the session, in numbers, since DEFAULT is what the server's administrator says.
_SESSION = (
    # Bad values are errors and not bent ones, and 0 is a value of an id column like any other.
    "sql_mode = CONCAT_WS(',', NULLIF(REPLACE(REPLACE(@@sql_mode, 'PAD_CHAR_TO_FULL_LENGTH', ''), "
    "'EMPTY_STRING_IS_NULL', ''), ''), 'STRICT_ALL_TABLES', 'NO_AUTO_VALUE_ON_ZERO')",
    # SQLite's own CURRENT_TIMESTAMP is UTC; and no hour of the year is missing in it.
    "time_zone = '+00:00'",
    # Keys are what promises rest on.
    "foreign_key_checks = 1",
    "unique_checks = 1",
    # Limits for those who type.
    "sql_select_limit = 18446744073709551615",
    "sql_safe_updates = 0",
    "sql_big_selects = 1",
    # A COMMIT neither begins a transaction nor ends the connection.
    "completion_type = 0",
)


def make_engine(url: str | sa.URL) -> sa.Engine:
    """An engine whose sessions are strict and may send a stream of ours (never a file) to `LOAD DATA LOCAL`."""
    url = sa.make_url(url)
    # Before the first COMMIT, which completion_type could end the connection with.
    settings = f"SET SESSION {', SESSION '.join(_SESSION)}"
    arguments: dict[str, Any] = {"client_flag": CLIENT.LOCAL_FILES, "init_command": settings}
    if isinstance(url.password, str):
        # PyMySQL would send text as latin-1, and fail where that cannot.
        arguments["password"] = url.password.encode()
    # As many as there are threads: a new one costs tens of milliseconds, most of them for the certificates of its TLS.
    engine = sa.create_engine(
        url, isolation_level="REPEATABLE READ", connect_args=arguments, pool_size=0, pool_pre_ping=True
    )
    always_quote(engine.dialect)

    @event.listens_for(engine, "handle_error")
    def _by_number(context: Any) -> None:
        # SQLAlchemy goes by words of the message too, which may be those of a value.
        code = error_code(context.original_exception)
        if code and code not in CLIENT_ERROR_CODES:
            context.is_disconnect = code in CONNECTION_LOST

    return engine


def connect(engine: sa.Engine) -> sa.Connection:
    """A connection. Raises `DfsyncError` that says in plain words why there is none, without the password."""
    try:
        return engine.connect()
    except (sa.exc.SQLAlchemyError, pymysql.MySQLError, OSError, RuntimeError) as error:
        log.debug("no connection", exc_info=True)
        raise DfsyncError(f"The target {display_name(engine.url)} cannot be reached: {explain(error)}.") from error


def abort(connection: sa.Connection) -> None:
    """Ends a connection, also one that another thread is waiting for an answer on: there it is lost."""
    driver = connection.connection.driver_connection if not connection.invalidated and not connection.closed else None
    stream = getattr(driver, "_sock", None)
    if stream is not None:
        with suppress(OSError):
            stream.shutdown(socket.SHUT_RDWR)


def display_name(url: sa.URL) -> str:
    """Database and server, without user or password."""
    path = url.query.get("unix_socket")
    server = f"socket {path}" if path else f"{url.host or 'localhost'}:{url.port or 3306}"
    return f"{url.database} on {server}"


@contextmanager
def exclusive_lock(engine: sa.Engine) -> Iterator[None]:
    """Keeps a second dfsync out of the same database, by the server's own lock, which ends with this connection.

    Raises `DfsyncError` where another run does not end within a minute.
    """
    name = f"dfsync {engine.url.database}"[:_LOCK_NAME_CHARACTERS]
    with connect(engine) as connection:
        # The connection does nothing else for as long as the run takes.
        connection.execute(sa.text("SET SESSION wait_timeout = 2147483"))
        taken = connection.scalar(sa.select(sa.func.get_lock(name, _LOCK_SECONDS)))
        if taken != 1:
            raise DfsyncError(
                f"Another dfsync is writing to {display_name(engine.url)}, and has not ended in {_LOCK_SECONDS} "
                "seconds. Run again when it is done."
            )
        connection.commit()
        yield
