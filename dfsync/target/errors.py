"""What the errors of MariaDB and MySQL mean, by their numbers: which are a row's fault, which may be tried again.

References
----------
https://mariadb.com/docs/server/reference/error-codes/mariadb-error-code-reference
https://dev.mysql.com/doc/mysql-errors/9.7/en/server-error-reference.html
"""

from __future__ import annotations

import socket
import ssl

import pymysql
import sqlalchemy as sa

SERVER_ERRORS: tuple[type[Exception], ...] = (sa.exc.SQLAlchemyError, pymysql.MySQLError)
"""What a statement raises where the server or the driver fails: SQLAlchemy's error, or the driver's own."""
FIRST_SERVER_ERROR = 1000
"""Lower numbers are those of storage engines, as when the ids have run out."""
NO_SAVEPOINT = 1305
NO_PARENT = {1216, 1452}


class SilentCoercionError(Exception):
    """The server took fewer rows than were sent, or changed values, and reported no error."""


class RowTooLargeError(Exception):
    """A row that is larger than any statement may be."""


def is_row_error(error: Exception) -> bool:
    """Whether an error of a statement of many rows is the fault of one of them.

    Parameters
    ----------
    error
        What the statement raised.

    Returns
    -------
    bool
        False where the table, the server, the user or the transaction is at fault: then no part of the rows can be
        written either.
    """
    original = getattr(error, "orig", None) or error
    if isinstance(original, (SilentCoercionError, RowTooLargeError, pymysql.DataError, pymysql.IntegrityError)):
        return True
    code = error_code(error)
    if isinstance(original, (pymysql.ProgrammingError, pymysql.NotSupportedError)) or code < FIRST_SERVER_ERROR:
        return False
    return code not in TABLE_LEVEL_ERRORS and code not in CLIENT_ERROR_CODES


_TLS_FAILED = 2026
# By the client's numbers, and those of a server that shuts down or was told to kill the connection.
CONNECTION_LOST = (1053, 1927, 2006, 2013, 3169, 4031)
# Lock wait timeout, deadlock, record changed since the snapshot: a fresh transaction may have better luck.
RETRYABLE = (1205, 1213, 1020)
# Errors of the server, the table, the user or the transaction. Any other may be the fault of a single row: a trigger, a
# generated column or a CHECK can raise any number.
TABLE_LEVEL_ERRORS = {
    # No room, no memory, files that cannot be read or written, too many locks, a thread's stack, a full log.
    *(1016, 1017, 1021, 1024, 1026, 1030, 1037, 1038, 1041, 1114, 1119, 1197, 1206, 1436, 1637, 1705),
    # No privilege, the user's limit for an hour, read-only, locked, or a cluster node that accepts no writes now.
    *(1027, 1036, 1044, 1045, 1047, 1099, 1100, 1142, 1143, 1192, 1223, 1226, 1227, 1290, 1370, 1449, 1785, 1792, 1836),
    *(1874, 1881, 3098, 3100, 3101),
    # The table, or what a trigger names, is damaged, changed, incomplete, or of an engine that cannot do it.
    *(1031, 1032, 1033, 1034, 1035, 1054, 1136, 1194, 1195, 1296, 1297, 1305, 1318, 1356, 1412, 1415, 1422, 1424, 1442),
    *(1457, 1467, 1524, 1598, 1615, *range(1661, 1667), 1712, 1812, 1814, 1815, 1877, 1932),
    # The transaction lost its connection, a lock or its snapshot, ran out of time, or was ended by someone.
    *(*CONNECTION_LOST, *RETRYABLE, *range(1155, 1162), 1180, 1181, 1317, 1969, 3024, 3572),
}
CLIENT_ERROR_CODES = range(2000, 3000)
"""Errors that the client reports, and no server."""
_DENIED, _NO_PASSWORD = "user or password is wrong", "user or password is wrong; no password was given"
_WITHOUT_PASSWORD = "using password: NO"
_EXPLANATIONS = {
    **dict.fromkeys((167, 1467), "the ids of the table have run out; give its id column a larger type"),
    1044: "the user has no rights on that database",
    1045: _DENIED,
    1049: "there is no such database; create it first",
    1130: "the server does not admit this host",
    1698: _DENIED,
    **dict.fromkeys(CONNECTION_LOST, "the connection to the server is lost; see that it runs"),
    2003: "no server answers there; check that it runs, and host and port",
    _TLS_FAILED: "the TLS connection failed, and plain text is not tried in its place",
}
# Galera has no number of its own for it.
_TOO_LARGE = "maximum writeset size exceeded"
_DIVIDE = "the cluster takes no transaction so large; --commit-every divides it, and `check` tells by how many rows"
# Why the client found no server (2003), where it is plain.
_NO_SERVER: dict[type, str] = {
    FileNotFoundError: "there is no such socket; check its path, and that the server runs",
    socket.gaierror: "no host of that name is known here; check its spelling",
}


def explain(error: BaseException) -> str:
    """The error in a sentence: the server's number and words, after a plain reason where there is one.

    Parameters
    ----------
    error
        SQLAlchemy's error, the driver's, or any other.

    Returns
    -------
    str
        Such as `user or password is wrong (1045: Access denied …)`.
    """
    original = getattr(error, "orig", None) or error
    code = error_code(error)
    reason = _NO_SERVER.get(type(getattr(original, "original_exception", None))) or _EXPLANATIONS.get(code)
    message = (str(original.args[1]) if len(original.args) > 1 else str(original)) or "the connection is gone"
    reason = _NO_PASSWORD if reason == _DENIED and _WITHOUT_PASSWORD in message else reason
    reason = _DIVIDE if message.lower() == _TOO_LARGE else reason
    return f"{reason} ({code}: {message})" if reason else (f"{message} ({code})" if code else message)


def error_code(error: BaseException) -> int:
    """The server's number of an error.

    Parameters
    ----------
    error
        SQLAlchemy's error, the driver's, or any other.

    Returns
    -------
    int
        0 where the error has no number.
    """
    original = getattr(error, "orig", None) or error
    if isinstance(getattr(original, "original_exception", None), ssl.SSLError):
        return _TLS_FAILED
    code = original.args[0] if original.args and isinstance(original.args[0], int) else 0
    # PyMySQL reads a trigger's number above 32767 as a negative one.
    return code % 65536
