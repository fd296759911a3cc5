"""Insert rows under ids that are given, and not assigned."""

from __future__ import annotations

from functools import partial

import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from dfsync.model import frames
from dfsync.model.schema import Table
from dfsync.target.errors import SilentCoercionError
from dfsync.target.write.bisect import send_with_bisection
from dfsync.target.write.insert import insert_rows


def insert_with_ids(connection: sa.Connection, table: Table, id_column: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Insert rows, each under the id of its index.

    Parameters
    ----------
    connection
        The target, in a transaction.
    table
        The target's table.
    id_column
        Its surrogate id, which AUTO_INCREMENT fills in where no value is given.
    frame
        Index `old_id` (int64), the other columns under the target's names, conformed and remapped (Arrow dtypes).

    Returns
    -------
    pandas.DataFrame
        The reject frame of the rows that the server refused.

    Notes
    -----
    Without NO_AUTO_VALUE_ON_ZERO the server takes the id 0 for a wish to have one assigned.

    References
    ----------
    https://mariadb.com/docs/server/server-management/variables-and-modes/sql_mode
    https://dev.mysql.com/doc/refman/9.7/en/sql-mode.html#sqlmode_no_auto_value_on_zero
    """
    mode = str(connection.scalar(sa.text("SELECT @@SESSION.sql_mode")))
    set_mode = sa.text("SET SESSION sql_mode = :mode")
    connection.execute(set_mode, {"mode": ",".join(filter(None, [mode, "NO_AUTO_VALUE_ON_ZERO"]))})
    try:
        return send_with_bisection(connection, frame, partial(_send, connection, table.name, id_column))
    finally:
        connection.execute(set_mode, {"mode": mode})


def _send(connection: sa.Connection, table: str, id_column: str, frame: pd.DataFrame) -> None:
    rows = frames.to_arrow(frame).append_column(id_column, pa.array(frame.index.to_numpy()))
    inserted = insert_rows(connection, table, rows)
    if inserted != len(frame):
        raise SilentCoercionError(f"The server took {inserted} of {len(frame)} rows")
