"""Many rows in one statement, and which rows are at fault where the server refuses them."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

import pandas as pd
import pymysql
import sqlalchemy as sa

from dfsync.model import frames
from dfsync.model.errors import TableError
from dfsync.model.rejects import MISSING_PARENT, no_rejects, reject_frame
from dfsync.target.errors import (
    NO_PARENT,
    NO_SAVEPOINT,
    RowTooLarge,
    SilentCoercionError,
    error_code,
    explain,
    is_row_error,
)

log = logging.getLogger(__name__)
_MAX_REFUSALS = 10_000
# "... FOREIGN KEY (`code`) REFERENCES ...", "Column 'code' cannot be null", "... for column `db`.`t`.`code` at row 1"
_COLUMN_IN_MESSAGE = re.compile(
    r"FOREIGN KEY \(`(.+?)`\)|[Cc]olumn '([^']+)'|for column (?:`(?:[^`]|``)+`\.)*`((?:[^`]|``)+)`"
)


def send_with_bisection(
    connection: sa.Connection, frame: pd.DataFrame, send: Callable[[pd.DataFrame], Any]
) -> pd.DataFrame:
    """Sends the rows all at once; where the server refuses that, each half for itself, down to the rows at fault.

    `send` raises what the driver raises, `Bent` or `TooLarge`. Gives the reject frame of the refused rows, by the
    frame's index. Raises what `send` raised where no row is at fault but the table, the server or the connection;
    `TableFailed` after ten thousand refusals.
    """
    refused: list[pd.DataFrame] = []
    _bisect(connection, frame, send, refused)
    return pd.concat([no_rejects(), *refused])


def _bisect(
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
    except (sa.exc.DBAPIError, pymysql.MySQLError, SilentCoercionError, RowTooLarge) as error:
        if not is_row_error(error):
            raise
        try:
            savepoint.rollback()
        except sa.exc.DBAPIError as lost:
            # Without the savepoint the server has rolled back all of the transaction, and the first error says why.
            raise (error if error_code(lost) == NO_SAVEPOINT and error_code(error) else lost) from None
        log.debug("%d rows in one go failed: %s", len(frame), error)
        if len(frame) == 1:
            refused.append(_reject_row(frame, error))
            if len(refused) > _MAX_REFUSALS:
                raise TableError(f"the server refused more than {_MAX_REFUSALS} rows: {explain(error)}") from error
            return
    middle = len(frame) // 2
    _bisect(connection, frame.iloc[:middle], send, refused)
    _bisect(connection, frame.iloc[middle:], send, refused)


def _reject_row(row: pd.DataFrame, error: Exception) -> pd.DataFrame:
    """With the column and the value as sent, where the server names one of the row's columns."""
    named = _COLUMN_IN_MESSAGE.search(explain(error))
    given = next(filter(None, named.groups()), "").replace("``", "`").lower() if named else ""
    column = next((name for name in row.columns if name.lower() == given), None)
    value = None if column is None else frames.as_arrow(row[column])[0].as_py()
    shown = None if value is None or isinstance(value, bytes) else str(value)
    return reject_frame(row.index, column, [shown], _reason(error))


def _reason(error: Exception) -> str:
    if isinstance(error, RowTooLarge):
        return str(error)
    said = f"refused by the server: {explain(error)}"
    return f"{MISSING_PARENT}, {said}" if error_code(error) in NO_PARENT else said
