"""Many rows in one statement, and which rows are at fault where the server refuses them."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

import pandas as pd
import pymysql
import sqlalchemy as sa

from dfsync import frames
from dfsync.errors import TableFailed
from dfsync.packet import TooLarge
from dfsync.remap import MISSING_PARENT
from dfsync.target import CLIENTS_NUMBERS, LOST, TRY_AGAIN, error_code, refusal

log = logging.getLogger(__name__)

_MOST_REFUSALS = 10_000
# What the server says of itself, the table, the user or the transaction. All else it may say of a single row, and a
# trigger, a generated column or a CHECK may say anything.
_NO_ROWS_FAULT = {
    # No room, no memory, files that cannot be read or written, too many locks, a thread's stack, a full log.
    *(1016, 1017, 1021, 1024, 1026, 1030, 1037, 1038, 1041, 1114, 1119, 1197, 1206, 1436, 1637, 1705),
    # No right to it, its user's share of an hour, read-only, locked, or a part of a cluster that takes nothing now.
    *(1027, 1036, 1044, 1045, 1047, 1099, 1100, 1142, 1143, 1192, 1223, 1226, 1227, 1290, 1370, 1449, 1785, 1792, 1836),
    *(1874, 1881, 3098, 3100, 3101),
    # Damaged, changed, without a part or of an engine that cannot: also what a trigger names.
    *(1031, 1032, 1033, 1034, 1035, 1054, 1136, 1194, 1195, 1296, 1297, 1305, 1318, 1356, 1412, 1415, 1422, 1424, 1442),
    *(1457, 1467, 1524, 1598, 1615, *range(1661, 1667), 1712, 1812, 1814, 1815, 1877, 1932),
    # The transaction has lost: its connection, a lock, a snapshot, its time; or somebody ended it.
    *(*LOST, *TRY_AGAIN, *range(1155, 1162), 1180, 1181, 1317, 1969, 3024, 3572),
}
_SERVERS_FIRST = 1000
"""Lower numbers are those of storage engines, as when the ids have run out."""
_NO_SAVEPOINT = 1305
_NO_PARENT = {1216, 1452}
# "... FOREIGN KEY (`code`) REFERENCES ...", "Column 'code' cannot be null", "... for column `db`.`t`.`code` at row 1"
_NAMED = re.compile(r"FOREIGN KEY \(`(.+?)`\)|[Cc]olumn '([^']+)'|for column (?:`(?:[^`]|``)+`\.)*`((?:[^`]|``)+)`")


class Bent(Exception):
    """The server took fewer rows than were sent, or changed values, without calling that an error."""


def in_bulk(connection: sa.Connection, frame: pd.DataFrame, send: Callable[[pd.DataFrame], Any]) -> pd.DataFrame:
    """Sends the rows all at once; where the server refuses that, each half for itself, down to the rows at fault.

    `send` raises what the driver raises, `Bent` or `TooLarge`. Gives the reject frame of the refused rows, by the
    frame's index. Raises what `send` raised where no row is at fault but the table, the server or the connection;
    `TableFailed` after ten thousand refusals.
    """
    refused: list[pd.DataFrame] = []
    _halves(connection, frame, send, refused)
    return pd.concat([frames.no_rejects(), *refused])


def _halves(
    connection: sa.Connection, frame: pd.DataFrame, send: Callable[[pd.DataFrame], Any], refused: list[pd.DataFrame]
) -> None:
    # Rare, and then slow: some twenty statements for each refused row of a large batch.
    if not len(frame):
        return
    savepoint = connection.begin_nested()
    try:
        send(frame)
        savepoint.commit()
        return
    except (sa.exc.DBAPIError, pymysql.MySQLError, Bent, TooLarge) as error:
        if not _row_at_fault(error):
            raise
        try:
            savepoint.rollback()
        except sa.exc.DBAPIError as lost:
            # Without the savepoint the server has rolled back all of the transaction, and the first error says why.
            raise (error if error_code(lost) == _NO_SAVEPOINT and error_code(error) else lost) from None
        log.debug("%d rows in one go failed: %s", len(frame), error)
        if len(frame) == 1:
            refused.append(_reject(frame, error))
            if len(refused) > _MOST_REFUSALS:
                raise TableFailed(f"the server refused more than {_MOST_REFUSALS} rows: {refusal(error)}") from error
            return
    middle = len(frame) // 2
    _halves(connection, frame.iloc[:middle], send, refused)
    _halves(connection, frame.iloc[middle:], send, refused)


def _reject(row: pd.DataFrame, error: Exception) -> pd.DataFrame:
    """With the column and the value as sent, where the server names one of the row's columns."""
    named = _NAMED.search(refusal(error))
    given = next(filter(None, named.groups()), "").replace("``", "`").lower() if named else ""
    column = next((name for name in row.columns if name.lower() == given), None)
    value = None if column is None else frames.arrow(row[column])[0].as_py()
    shown = None if value is None or isinstance(value, bytes) else str(value)
    return frames.rejects(row.index, column, [shown], _reason(error))


def _reason(error: Exception) -> str:
    if isinstance(error, TooLarge):
        return str(error)
    said = f"refused by the server: {refusal(error)}"
    return f"{MISSING_PARENT}, {said}" if error_code(error) in _NO_PARENT else said


def _row_at_fault(error: Exception) -> bool:
    original = getattr(error, "orig", None) or error
    if isinstance(original, (Bent, TooLarge, pymysql.DataError, pymysql.IntegrityError)):
        return True
    code = error_code(error)
    if isinstance(original, (pymysql.ProgrammingError, pymysql.NotSupportedError)) or code < _SERVERS_FIRST:
        return False
    return code not in _NO_ROWS_FAULT and code not in CLIENTS_NUMBERS
