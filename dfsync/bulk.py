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
# What a single row can be at fault for, beyond the driver's DataError and IntegrityError.
_ROW_FAULTS = {
    1048,
    1118,
    1153,
    1264,
    1265,
    1292,
    1364,
    1366,
    1367,
    1411,
    1416,
    1441,
    1526,
    1644,
    1690,
    1713,
    3140,
    3157,
    3819,
    4025,
    4078,
}


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
        savepoint.rollback()
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
    row_errors = (Bent, TooLarge, pymysql.DataError, pymysql.IntegrityError)
    return isinstance(original, row_errors) or error_code(error) in _ROW_FAULTS
