"""PyMySQL's connection, without what it does again for each one."""

from __future__ import annotations

import ssl
from functools import cache
from typing import Any

from pymysql.connections import Connection


class DriverConnection(Connection):  # type: ignore[misc] # PyMySQL has no types
    """A connection of PyMySQL that shares its TLS settings with others where the server's certificate is not verified.

    PyMySQL reads the certificates of the system for every connection, also for one that verifies none and one over a
    Unix socket, which takes 45 ms of a processor each.
    """

    def _create_ssl_ctx(self, sslp: Any) -> ssl.SSLContext:
        context: ssl.SSLContext = super()._create_ssl_ctx(sslp) if sslp else _unverified()
        return context


@cache
def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
