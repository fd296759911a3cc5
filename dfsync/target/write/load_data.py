"""`LOAD DATA LOCAL INFILE` of a stream that we made, and of nothing else.

The server answers such a statement by naming the file that it wants. A hostile server may name any file, at any time;
so nothing is ever opened here, the stream goes out only under the name that was announced, and any other request ends
the connection. See https://dev.mysql.com/doc/refman/9.7/en/load-data-local-security.html.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import partial
from typing import Any

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
# Strings are always in quotes and NULL never is; with no escape character, the only special sign in a string is the
# quote, doubled. https://mariadb.com/docs/server/reference/sql-statements/data-manipulation/inserting-loading-data/load-data-into-tables-or-index/load-data-infile
_FORMAT = (
    # The line's end as its number, since NO_BACKSLASH_ESCAPES makes a backslash of the other form.
    "CHARACTER SET utf8mb4 FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' ESCAPED BY '' LINES TERMINATED BY X'0A'"
)
# What text is no form of: a BIT would take the digits themselves for its bits, a YEAR 0 for 2000.
_CONVERTED = ((pa.types.is_binary, "UNHEX({})"), (pa.types.is_unsigned_integer, "CAST({} AS UNSIGNED)"))


class LocalInfileDisabled(Exception):
    """The server does not take `LOAD DATA LOCAL`; plain inserts can do the job."""


def load_data(connection: sa.Connection, table: str, rows: Any, most: int) -> tuple[int, int]:
    """Sends the Arrow table `rows` in packets of at most `most` bytes; the numbers of rows loaded and of warnings.

    `LOCAL` makes the server ignore duplicates and bend values, with no more than a warning: the caller must compare.
    Raises `Refused`, what the driver raises for an error of the server, or `DfsyncError` where it wants another file.
    """
    driver = connection.connection.driver_connection
    assert isinstance(driver, DriverConnection)
    try:
        # The server takes no larger packets of a stream either.
        return _send_stream(driver, _statement(connection, table, rows), rows, min(_PACKET_BYTES, most // 2))
    except BaseException as error:
        # Half a stream must not look like a whole one, and who stops in the middle must not be asked to roll back:
        # without a connection the server does. Only after an error of the server both know where they are.
        if not (isinstance(error, pymysql.MySQLError | LocalInfileDisabled) and driver.open):
            connection.invalidate()
        raise


def _send_stream(driver: DriverConnection, statement: bytes, rows: Any, size: int) -> tuple[int, int]:
    driver._execute_command(COMMAND.COM_QUERY, statement)
    request = driver._read_packet()
    if not request.is_load_local_packet():
        raise LocalInfileDisabled
    if request.get_all_data()[1:] != _STREAM.encode():
        raise DfsyncError("The server asked for a file of this machine; it got none. Do not trust that server.")
    for chunk in prefetch(_chunks(rows, size)):
        driver.write_packet(chunk)
    driver.write_packet(b"")
    answer = OKPacketWrapper(driver._read_packet())
    return int(answer.affected_rows), int(answer.warning_count)


def _chunks(rows: Any, size: int) -> Iterator[bytes]:
    """The rows as CSV, piece by piece, so that the server starts on the first before the last is made."""
    for start in range(0, rows.num_rows, _ROWS_PER_CHUNK):
        out = io.BytesIO()
        # Raw bytes are no valid text in any character set.
        piece = rows.slice(start, _ROWS_PER_CHUNK)
        columns = [frames.to_hex(column) if pa.types.is_binary(column.type) else column for column in piece]
        pyarrow.csv.write_csv(pa.table(columns, names=[str(i) for i in range(len(columns))]), out, _CSV)
        content = out.getbuffer()
        yield from (bytes(content[at : at + size]) for at in range(0, len(content), size))


def _statement(connection: sa.Connection, table: str, rows: Any) -> bytes:
    quote = partial(quote_literal_identifier, connection.dialect)
    targets, sets = [], []
    for place, (name, type_) in enumerate(zip(rows.column_names, rows.schema.types, strict=True)):
        convert = next((form for is_such, form in _CONVERTED if is_such(type_)), None)
        targets.append(f"@c{place}" if convert else quote(name))
        if convert:
            sets.append(f"{quote(name)} = {convert.format(f'@c{place}')}")
    statement = f"LOAD DATA LOCAL INFILE '{_STREAM}' INTO TABLE {quote(table)} {_FORMAT} ({', '.join(targets)})"
    if sets:
        statement += f" SET {', '.join(sets)}"
    return statement.encode()
