"""The target: connections to MariaDB or MySQL, what its tables look like, and the keys of the rows it has."""

from __future__ import annotations

import datetime as dt
import logging
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import pandas as pd
import pyarrow as pa
import pymysql
import sqlalchemy as sa
from pymysql.constants import CLIENT
from sqlalchemy import event

from dfsync import frames, packed, packet
from dfsync.canonical import as_read
from dfsync.equality import as_held, beyond_ascii
from dfsync.errors import DfsyncError
from dfsync.quoting import quote_all
from dfsync.schema import Column, Table
from dfsync.types import arrow_type

log = logging.getLogger(__name__)
# It shows the traceback of every connection that is lost, which we tell of in a sentence.
logging.getLogger("sqlalchemy.pool").addHandler(logging.NullHandler())

_KEYS_AT_ONCE = 500
_LOCK_NAME = 64
_LOCK_SECONDS = 60
_ROWS_AT_ONCE = 50_000
# Beyond some fifty thousand MySQL forgets its index (range_optimizer_max_mem_size).
_IDS_AT_ONCE = 10_000
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
# A date of the target that is no date, like 0000-00-00, comes as text and is taken for the first day that is one.
_NO_DATE = {pa.date32(): dt.date.min, pa.timestamp("us"): dt.datetime.min}
_TLS_FAILED = 2026
# By the client's numbers, and those of a server that shuts down or was told to kill the connection.
LOST = (1053, 1927, 2006, 2013, 3169, 4031)
# Lock wait timeout, deadlock, record changed since the snapshot: a fresh transaction may have better luck.
TRY_AGAIN = (1205, 1213, 1020)
CLIENTS_NUMBERS = range(2000, 3000)
"""Errors that the client, and no server, tells of."""
_REFUSALS = {
    **dict.fromkeys((167, 1467), "the ids of the table have run out; give its id column a larger type"),
    1044: "the user has no rights on that database",
    1045: "user or password is wrong",
    1049: "there is no such database; create it first",
    1130: "the server does not admit this host",
    1698: "user or password is wrong",
    **dict.fromkeys(LOST, "the connection to the server is lost; see that it runs"),
    2003: "no server answers there; check that it runs, and host and port",
    _TLS_FAILED: "the TLS connection failed, and plain text is not tried in its place",
}
# Why the client found no server (2003), where it is plain.
_NO_SERVER: dict[type, str] = {
    FileNotFoundError: "there is no such socket; check its path, and that the server runs",
    socket.gaierror: "no host of that name is known here; check its spelling",
}


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
    quote_all(engine.dialect)

    @event.listens_for(engine, "handle_error")
    def _by_number(context: Any) -> None:
        # SQLAlchemy goes by words of the message too, which may be those of a value.
        code = error_code(context.original_exception)
        if code and code not in CLIENTS_NUMBERS:
            context.is_disconnect = code in LOST

    return engine


def connect(engine: sa.Engine) -> sa.Connection:
    """A connection. Raises `DfsyncError` that says in plain words why there is none, without the password."""
    try:
        return engine.connect()
    except (sa.exc.SQLAlchemyError, pymysql.MySQLError, OSError, RuntimeError) as error:
        log.debug("no connection", exc_info=True)
        raise DfsyncError(f"The target {place(engine.url)} cannot be reached: {refusal(error)}.") from error


def cut(connection: sa.Connection) -> None:
    """Ends a connection, also one that another thread is waiting for an answer on: there it is lost."""
    driver = connection.connection.driver_connection if not connection.invalidated and not connection.closed else None
    stream = getattr(driver, "_sock", None)
    if stream is not None:
        with suppress(OSError):
            stream.shutdown(socket.SHUT_RDWR)


def place(url: sa.URL) -> str:
    """Database and server, without user or password."""
    path = url.query.get("unix_socket")
    server = f"socket {path}" if path else f"{url.host or 'localhost'}:{url.port or 3306}"
    return f"{url.database} on {server}"


def refusal(error: BaseException) -> str:
    """What the server said, in its own number and words, with ours where they help."""
    original = getattr(error, "orig", None) or error
    code = error_code(error)
    reason = _NO_SERVER.get(type(getattr(original, "original_exception", None))) or _REFUSALS.get(code)
    said = (str(original.args[1]) if len(original.args) > 1 else str(original)) or "the connection is gone"
    return f"{reason} ({code}: {said})" if reason else (f"{said} ({code})" if code else said)


def error_code(error: BaseException) -> int:
    """The server's number of the error, 0 where it has none."""
    original = getattr(error, "orig", None) or error
    if isinstance(getattr(original, "original_exception", None), ssl.SSLError):
        return _TLS_FAILED
    code = original.args[0] if original.args and isinstance(original.args[0], int) else 0
    # PyMySQL reads a trigger's number above 32767 as a negative one.
    return code % 65536


@contextmanager
def alone(engine: sa.Engine) -> Iterator[None]:
    """Keeps a second dfsync out of the same database, by the server's own lock, which ends with this connection.

    Raises `DfsyncError` where another run does not end within a minute.
    """
    name = f"dfsync {engine.url.database}"[:_LOCK_NAME]
    with connect(engine) as connection:
        # The connection does nothing else for as long as the run takes.
        connection.execute(sa.text("SET SESSION wait_timeout = 2147483"))
        taken = connection.scalar(sa.select(sa.func.get_lock(name, _LOCK_SECONDS)))
        if taken != 1:
            raise DfsyncError(
                f"Another dfsync is writing to {place(engine.url)}, and has not ended in {_LOCK_SECONDS} seconds. "
                "Run again when it is done."
            )
        connection.commit()
        yield


def highest_id(connection: sa.Connection, table: Table, id_column: str) -> int:
    """The highest id, 0 where there is none; at the cost of one look into the index."""
    return int(connection.scalar(sa.select(sa.func.max(sa.column(id_column))).select_from(sa.table(table.name))) or 0)


def id_span(connection: sa.Connection, table: Table, id_column: str) -> int:
    """How many ids there are from the lowest to the highest; at the cost of two looks into the index."""
    own_id: Any = sa.column(id_column)
    ends = sa.select(sa.func.min(own_id), sa.func.max(own_id)).select_from(sa.table(table.name))
    lowest, highest = connection.execute(ends).one()
    return 0 if highest is None else int(highest) - int(lowest) + 1


def read_keys(connection: sa.Connection, table: Table, id_column: str | None, key: Sequence[str]) -> pd.DataFrame:
    """The natural key of every row, in the Arrow types of `types.arrow_type`; index `new_id` (int64 or uint64; 0 where
    the table has no surrogate id)."""
    columns = table.pick(key)
    select = _select(table, id_column, key)
    if id_column is None or not {column.kind for column in columns} <= packed.KINDS:
        return _fetch(connection, select, table, id_column, key)
    own_id: Any = sa.column(id_column)
    parts = [_fetch(connection, select.where(sa.false()), table, id_column, key)]
    last = None
    for highest, batch in packed.read(connection, table, id_column, columns):
        if batch is None:
            after = own_id <= highest if last is None else own_id.between(last + 1, highest)
            parts.append(_fetch(connection, select.where(after), table, id_column, key))
        else:
            parts.append(frames.by_new_id(batch.column(0), batch.drop_columns([batch.column_names[0]]), key))
        last = highest
    return pd.concat(parts)


def find_keys(
    connection: sa.Connection,
    table: Table,
    id_column: str | None,
    key: Sequence[str],
    wanted: pd.DataFrame,
    columns: Sequence[str] | None = None,
) -> pd.DataFrame:
    """As `read_keys`, of the rows alone whose key the server finds equal to one of `wanted` (the key's columns).

    `columns` are wanted in place of the key's.
    """
    names = columns or key
    select = _select(table, id_column, names)
    parts = [_fetch(connection, select.where(sa.false()), table, id_column, names)]
    keys = sa.tuple_(*(sa.column(c) for c in key)) if len(key) > 1 else sa.column(key[0])
    for chunk in packet.chunks(wanted, packet.limit(connection) // 3, _KEYS_AT_ONCE):
        part = frames.to_arrow(chunk)
        sides = [_comparands(table[name], part.column(place)) for place, name in enumerate(key)]
        rows = zip(*sides, strict=True)
        if len(key) == 1:
            values: list[Any] = [row[0] for row in rows]
        else:
            # Plain values are bound much faster than expressions are compiled.
            plain = not any(isinstance(side[0], sa.ColumnElement) for side in sides)
            values = [row if plain else sa.tuple_(*row) for row in rows]
        parts.append(_fetch(connection, select.where(keys.in_(values)), table, id_column, names))
    return pd.concat(parts)


def _comparands(column: Column, values: Any) -> list[Any]:
    """The values for a comparison with the column.

    What its character set lacks the server may refuse to compare, or compare wrongly together with values that it has:
    as the column would hold it, it finds a row too many, which the caller's own comparison leaves out.
    """
    listed: list[Any] = values.to_pylist()
    if column.charset in (None, "utf8mb4") or not beyond_ascii(values):
        return listed
    return [as_held(column, sa.literal(value)) for value in listed]


def read_rows(
    connection: sa.Connection, table: Table, id_column: str | None, columns: Sequence[Column], unkeyed: Sequence[str]
) -> Iterator[pd.DataFrame]:
    """Whole rows, indexed by `new_id`, in batches by ascending id: all, or those with a NULL in `unkeyed`."""
    names = [column.name for column in columns]
    select = _select(table, id_column, names)
    if unkeyed:
        select = select.where(sa.or_(*(sa.column(name).is_(None) for name in unkeyed)))
    if id_column is None:
        yield _fetch(connection, select, table, id_column, names)
        return
    last: int | None = None
    ordered = select.order_by(sa.column(id_column)).limit(_ROWS_AT_ONCE)
    while True:
        after = ordered if last is None else ordered.where(sa.column(id_column) > last)
        frame = _fetch(connection, after, table, id_column, names)
        if not len(frame):
            return
        yield frame
        last = int(frame.index[-1])


def find_rows(
    connection: sa.Connection, table: Table, id_column: str, columns: Sequence[Column], ids: Sequence[int]
) -> pd.DataFrame:
    """The columns of the rows of those ids that are there, by ascending `new_id`, the index."""
    names = [column.name for column in columns]
    own_id: Any = sa.column(id_column)
    select = _select(table, id_column, names).order_by(own_id)
    ordered = sorted(int(i) for i in ids)
    parts = [_fetch(connection, select.where(sa.false()), table, id_column, names)]
    for start in range(0, len(ordered), _IDS_AT_ONCE):
        chunk = ordered[start : start + _IDS_AT_ONCE]
        where: Any = own_id.between(chunk[0], chunk[-1])
        if chunk[-1] - chunk[0] + 1 > len(chunk):
            where = sa.and_(where, own_id.in_(chunk))
        parts.append(_fetch(connection, select.where(where), table, id_column, names))
    return pd.concat(parts)


def _select(table: Table, id_column: str | None, names: Sequence[str]) -> Any:
    own_id = sa.column(id_column) if id_column else sa.literal(0)
    return sa.select(own_id, *(_readable(table[name]) for name in names)).select_from(sa.table(table.name))


def _fetch(
    connection: sa.Connection, select: Any, table: Table, id_column: str | None, names: Sequence[str]
) -> pd.DataFrame:
    rows = connection.execute(select).fetchall()
    columns = zip(*rows, strict=True) if rows else ([] for _ in range(len(names) + 1))
    id_type = arrow_type(table[id_column]) if id_column else pa.int64()
    types = [id_type, *(arrow_type(table[name]) for name in names)]
    arrays = [_array(values, type_) for values, type_ in zip(columns, types, strict=True)]
    arrays[1:] = [as_read(array, table[name]) for array, name in zip(arrays[1:], names, strict=True)]
    return frames.by_new_id(arrays[0], pa.table(arrays[1:], names=[str(i) for i in range(len(names))]), names)


def _array(values: Sequence[Any], type_: Any) -> Any:
    try:
        return pa.array(values, type=type_)
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        if type_ not in _NO_DATE:
            raise
        # Value by value: the rare table that holds such dates.
        dates = [_NO_DATE[type_] if isinstance(value, str) else value for value in values]
        return pa.array(dates, type=type_)


def _readable(column: Column) -> Any:
    """The column as the driver should hand it over: kinds that travel as text come as text."""
    plain: Any = sa.column(column.name)
    if column.kind in ("time", "json", "other"):
        return sa.cast(plain, sa.CHAR).label(column.name)
    if column.kind in ("bit", "float"):
        # A sum shows the bits as a number, and all digits of a FLOAT, which is shown short of some otherwise.
        return (plain + sa.literal_column("0e0" if column.kind == "float" else "0")).label(column.name)
    return plain
