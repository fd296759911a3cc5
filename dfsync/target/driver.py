"""PyMySQL's connection, without what it does again for each one: on a distant server every question is a wait."""

from __future__ import annotations

import ssl
from functools import cache
from time import monotonic
from typing import Any

from pymysql.connections import Connection

_FRESH_SECONDS = 1.0


class DriverConnection(Connection):  # type: ignore[misc] # PyMySQL has no types
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
