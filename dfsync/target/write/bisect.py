"""Send many rows at once, and find the rows at fault where the server refuses them."""

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
    RowTooLargeError,
    SilentCoercionError,
    error_code,
    explain,
    is_row_error,
)
from dfsync.text.redaction import MASK, is_secret_column

log = logging.getLogger(__name__)
_MAX_REFUSALS = 10_000
_LONG_SECRET = 4
# "... FOREIGN KEY (`code`) REFERENCES ...", "Column 'code' cannot be null", "... for column `db`.`t`.`code` at row 1"
_COLUMN_IN_MESSAGE = re.compile(
    r"FOREIGN KEY \(`(.+?)`\)|[Cc]olumn '([^']+)'|for column (?:`(?:[^`]|``)+`\.)*`((?:[^`]|``)+)`"
)


def send_with_bisection(
    connection: sa.Connection, frame: pd.DataFrame, send: Callable[[pd.DataFrame], Any]
) -> pd.DataFrame:
    """Send rows; where the server refuses them, send each half by itself, down to the rows at fault.

    Parameters
    ----------
    connection
        The target, in a transaction. Each attempt has a savepoint of its own.
    frame
        The rows, in Arrow dtypes, of a unique index.
    send
        Writes the rows that it is given. It raises what SQLAlchemy or the driver raises, `SilentCoercionError` or
        `RowTooLargeError`.

    Returns
    -------
    pandas.DataFrame
        The reject frame (`model.rejects`) of the refused rows, by the index of `frame`.

    Raises
    ------
    Exception
        What `send` raised, where the table, the server or the connection is at fault, and no row.
    TableError
        More than ten thousand rows were refused.
    """
    rejects: list[pd.DataFrame] = []
    _bisect(connection, frame, send, rejects)
    return pd.concat([no_rejects(), *rejects])


def _bisect(
    connection: sa.Connection, frame: pd.DataFrame, send: Callable[[pd.DataFrame], Any], rejects: list[pd.DataFrame]
) -> None:
    # Slow, but rare: some twenty statements for each refused row of a large batch.
    if not len(frame):
        return
    savepoint = connection.begin_nested()
    try:
        send(frame)
        savepoint.commit()
        return
    except (sa.exc.DBAPIError, pymysql.MySQLError, SilentCoercionError, RowTooLargeError) as error:
        if not is_row_error(error):
            raise
        try:
            savepoint.rollback()
        except sa.exc.DBAPIError as lost:
            # Where the savepoint is gone, the server rolled the transaction back, and the first error says why.
            raise (error if error_code(lost) == NO_SAVEPOINT and error_code(error) else lost) from None
        log.debug("a statement of %d rows failed: %s", len(frame), error)
        if len(frame) == 1:
            rejects.append(_reject_row(frame, error))
            if len(rejects) > _MAX_REFUSALS:
                raise TableError(f"the server refused more than {_MAX_REFUSALS} rows: {explain(error)}") from error
            return
    middle = len(frame) // 2
    _bisect(connection, frame.iloc[:middle], send, rejects)
    _bisect(connection, frame.iloc[middle:], send, rejects)


def _reject_row(row: pd.DataFrame, error: Exception) -> pd.DataFrame:
    """The reject of one row, with the column and the value as sent where the server names one of its columns."""
    named = _COLUMN_IN_MESSAGE.search(explain(error))
    named_column = next(filter(None, named.groups()), "").replace("``", "`").lower() if named else ""
    column = next((name for name in row.columns if name.lower() == named_column), None)
    value = None if column is None else frames.as_arrow(row[column])[0].as_py()
    shown = None if value is None or isinstance(value, bytes) else str(value)
    return reject_frame(row.index, column, [shown], _without_secrets(_reason(error), row))


def _without_secrets(reason: str, row: pd.DataFrame) -> str:
    """The reason, in which a server may have quoted a value, without those of columns of secrets."""
    for name in filter(is_secret_column, row.columns):
        value = str(frames.as_arrow(row[name])[0].as_py() or "")
        # Of a unique key over several columns the server quotes the values with hyphens between them.
        quoted = value if len(value) >= _LONG_SECRET else f"'{value}'"
        reason = reason.replace(quoted, MASK) if value else reason
    return reason


def _reason(error: Exception) -> str:
    if isinstance(error, RowTooLargeError):
        return str(error)
    reason = f"refused by the server: {explain(error)}"
    return f"{MISSING_PARENT}, {reason}" if error_code(error) in NO_PARENT else reason
