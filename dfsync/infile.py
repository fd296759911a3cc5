"""`LOAD DATA LOCAL INFILE` of a stream that we made, and of nothing else.

The server answers such a statement by naming the file that it wants. A hostile server may name any file, at any time;
so nothing is ever opened here, the stream goes out only under the name that was announced, and any other request ends
the connection. See https://dev.mysql.com/doc/refman/9.7/en/load-data-local-security.html.
"""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.csv
import sqlalchemy as sa
from pymysql.connections import Connection as DriverConnection
from pymysql.connections import OKPacketWrapper
from pymysql.constants import COMMAND

from dfsync.errors import DfsyncError

_STREAM = "dfsync-stream"
_CHUNK = 1 << 20
_CSV = pyarrow.csv.WriteOptions(include_header=False, null_string="NULL", quoting_style="needed", batch_size=65_536)
# Strings are always in quotes and NULL never is; with no escape character, the only special sign in a string is the
# quote, doubled. https://mariadb.com/docs/server/reference/sql-statements/data-manipulation/inserting-loading-data/load-data-into-tables-or-index/load-data-infile
_FORMAT = (
    "CHARACTER SET utf8mb4 FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' ESCAPED BY '' LINES TERMINATED BY '\\n'"
)


class Refused(Exception):
    """The server does not take `LOAD DATA LOCAL`; plain inserts can do the job."""


def load(connection: sa.Connection, table: str, columns: list[str], rows: Any) -> tuple[int, int]:
    """Sends the Arrow table `rows` and gives the numbers of rows loaded and of warnings.

    `LOCAL` makes the server ignore duplicates and bend values, with no more than a warning: the caller must compare.
    Raises `Refused`, or what the driver raises for an error of the server.
    """
    driver = connection.connection.driver_connection
    assert isinstance(driver, DriverConnection)
    driver._execute_command(COMMAND.COM_QUERY, _statement(connection, table, columns, rows))
    request = driver._read_packet()
    if not request.is_load_local_packet():
        raise Refused
    if request.get_all_data()[1:] != _STREAM.encode():
        connection.invalidate()
        raise DfsyncError("The server asked for a file of this machine; it got none. Do not trust that server.")
    for chunk in _chunks(rows):
        driver.write_packet(chunk)
    driver.write_packet(b"")
    answer = OKPacketWrapper(driver._read_packet())
    return int(answer.affected_rows), int(answer.warning_count)


def _chunks(rows: Any) -> Any:
    out = io.BytesIO()
    hexed = [_hex(column) if pa.types.is_binary(column.type) else column for column in rows.columns]
    pyarrow.csv.write_csv(pa.table(hexed, names=[str(i) for i in range(len(hexed))]), out, _CSV)
    content = out.getbuffer()
    return (bytes(content[start : start + _CHUNK]) for start in range(0, len(content), _CHUNK))


def _hex(column: Any) -> Any:
    # Value by value: Arrow has no function for it, and raw bytes are no valid text in any character set.
    return pa.array([None if value is None else value.hex() for value in column.to_pylist()], pa.string())


def _statement(connection: sa.Connection, table: str, columns: list[str], rows: Any) -> bytes:
    quote = connection.dialect.identifier_preparer.quote_identifier
    targets, sets = [], []
    for place, (name, type_) in enumerate(zip(columns, rows.schema.types, strict=True)):
        quoted = quote(name)
        conversion = "UNHEX" if pa.types.is_binary(type_) else None
        targets.append(f"@c{place}" if conversion else quoted)
        if conversion:
            sets.append(f"{quoted} = {conversion}(@c{place})")
    statement = f"LOAD DATA LOCAL INFILE '{_STREAM}' INTO TABLE {quote(table)} {_FORMAT} ({', '.join(targets)})"
    # The dialect doubles % for the driver's formatting, which this statement does not go through.
    statement = statement.replace("%%", "%")
    return (statement + (f" SET {', '.join(sets)}" if sets else "")).encode()
