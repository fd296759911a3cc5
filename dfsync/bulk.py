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
from dfsync.target import error_code, refusal

log = logging.getLogger(__name__)

_MOST_REFUSALS = 10_000
# What the server says of itself, the table, the user or the transaction. All else it may say of a single row, and a
# trigger, a generated column or a CHECK may say anything.
_NO_ROWS_FAULT = {
    # No room, no memory, files that cannot be written, too many locks, a thread's stack.
    *(1021, 1026, 1030, 1037, 1038, 1041, 1114, 1206, 1436, 1637),
    # No right to it, read-only, locked, or a part of a cluster that takes nothing now.
    *(1036, 1044, 1045, 1047, 1099, 1100, 1142, 1143, 1223, 1227, 1290, 1370, 1449, 1792, 1836, 3098, 3100, 3101),
    # Damaged, changed or without a part: a column, a routine or what a trigger names.
    *(1033, 1034, 1035, 1054, 1136, 1194, 1195, 1305, 1356, 1412, 1415, 1422, 1442, 1467, 1524, 1615, 1932),
    # The transaction has lost: a lock, a deadlock, a snapshot, its time; or somebody ended it.
    *(1020, 1053, 1158, 1159, 1160, 1161, 1180, 1205, 1213, 1317, 1927, 1969, 3024, 3572, 4031),
}
_CLIENTS_OWN = range(2000, 3000)
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
        except sa.exc.DBAPIError:
            # The server has rolled back all of the transaction.
            raise error from None
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
    return isinstance(original, pymysql.OperationalError) and code not in _NO_ROWS_FAULT and code not in _CLIENTS_OWN
