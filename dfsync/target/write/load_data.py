"""`LOAD DATA LOCAL INFILE` of a stream of rows, and never of a file.

The server answers such a statement by naming the file that it wants. A hostile server may name any file, at any time.
So this module opens no file, sends the stream only where the server asks for the announced name, and ends the
connection otherwise. It uses private methods of PyMySQL, whose version is pinned.

References
----------
https://dev.mysql.com/doc/refman/9.7/en/load-data-local-security.html
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import partial

import pyarrow as pa
import pyarrow.csv
import pymysql
import sqlalchemy as sa
from pymysql.connections import Connection as DriverConnection
from pymysql.connections import OKPacketWrapper
from pymysql.constants import COMMAND

from dfsync.execution.prefetch import prefetch
from dfsync.model import frames
from dfsync.model.errors import DfsyncError
from dfsync.target.quoting import quote_literal_identifier

_STREAM = "dfsync-stream"
_PACKET_BYTES = 1 << 20
_ROWS_PER_CHUNK = 5_000
_CSV = pyarrow.csv.WriteOptions(include_header=False, null_string="NULL", quoting_style="needed", batch_size=65_536)
# Strings always have quotes and NULL never has; without an escape character, the only special sign in a string is the
# quote, which is doubled. https://mariadb.com/docs/server/reference/sql-statements/data-manipulation/inserting-loading-data/load-data-into-tables-or-index/load-data-infile
_FORMAT = (
    # The line feed in hexadecimal, since with NO_BACKSLASH_ESCAPES '\\n' is a backslash and an n.
    "CHARACTER SET utf8mb4 FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' ESCAPED BY '' LINES TERMINATED BY X'0A'"
)
# Types whose text the server reads as something else: a BIT takes the digits as bits, a YEAR takes 0 as 2000.
_CONVERTED = ((pa.types.is_binary, "UNHEX({})"), (pa.types.is_unsigned_integer, "CAST({} AS UNSIGNED)"))


class LocalInfileDisabledError(Exception):
    """The server refuses `LOAD DATA LOCAL`; plain inserts have the same result."""


def load_data(connection: sa.Connection, table: str, rows: pa.Table, max_packet: int) -> tuple[int, int]:
    """Send rows as a stream of CSV.

    Parameters
    ----------
    connection
        The target, in a transaction. It is invalidated where the stream breaks off, so that the server rolls back.
    table
        The name of the target's table.
    rows
        The rows under the target's names of columns, in the types of `model.types.arrow_type`.
    max_packet
        The largest packet that the server accepts, in bytes.

    Returns
    -------
    tuple of int
        The numbers of rows loaded and of warnings. `LOCAL` makes the server ignore duplicate keys and change values
        that do not fit, with no more than a warning: the caller must compare.

    Raises
    ------
    LocalInfileDisabledError
        The server does not ask for the stream.
    pymysql.MySQLError
        The server reports an error.
    DfsyncError
        The server asks for a file.
    """
    driver = connection.connection.driver_connection
    assert isinstance(driver, DriverConnection)
    try:
        # A packet of a stream must not be larger either.
        return _send_stream(driver, _statement(connection, table, rows), rows, min(_PACKET_BYTES, max_packet // 2))
    except BaseException as error:
        # Half a stream must not look like a complete one, and in the middle of it no ROLLBACK can be sent: without a
        # connection the server rolls back. Only after an error of the server is the protocol in a known state.
        if not (isinstance(error, pymysql.MySQLError | LocalInfileDisabledError) and driver.open):
            connection.invalidate()
        raise


def _send_stream(driver: DriverConnection, statement: bytes, rows: pa.Table, size: int) -> tuple[int, int]:
    driver._execute_command(COMMAND.COM_QUERY, statement)
    request = driver._read_packet()
    if not request.is_load_local_packet():
        raise LocalInfileDisabledError
    if request.get_all_data()[1:] != _STREAM.encode():
        raise DfsyncError("The server asked for a file of this machine; it got none. Do not trust that server.")
    for chunk in prefetch(_chunks(rows, size)):
        driver.write_packet(chunk)
    driver.write_packet(b"")
    answer = OKPacketWrapper(driver._read_packet())
    return int(answer.affected_rows), int(answer.warning_count)


def _chunks(rows: pa.Table, size: int) -> Iterator[bytes]:
    """The rows as CSV in chunks, so that the server loads the first while the next one is made."""
    for start in range(0, rows.num_rows, _ROWS_PER_CHUNK):
        out = io.BytesIO()
        # Raw bytes are not valid text in any character set.
        batch = rows.slice(start, _ROWS_PER_CHUNK)
        columns = [frames.to_hex(column) if pa.types.is_binary(column.type) else column for column in batch]
        pyarrow.csv.write_csv(pa.table(columns, names=[str(i) for i in range(len(columns))]), out, _CSV)
        content = out.getbuffer()
        yield from (bytes(content[at : at + size]) for at in range(0, len(content), size))


def _statement(connection: sa.Connection, table: str, rows: pa.Table) -> bytes:
    quote = partial(quote_literal_identifier, connection.dialect)
    targets, sets = [], []
    for position, (name, type_) in enumerate(zip(rows.column_names, rows.schema.types, strict=True)):
        convert = next((expression for matches, expression in _CONVERTED if matches(type_)), None)
        targets.append(f"@c{position}" if convert else quote(name))
        if convert:
            sets.append(f"{quote(name)} = {convert.format(f'@c{position}')}")
    statement = f"LOAD DATA LOCAL INFILE '{_STREAM}' INTO TABLE {quote(table)} {_FORMAT} ({', '.join(targets)})"
    if sets:
        statement += f" SET {', '.join(sets)}"
    return statement.encode()
