"""A session in which the id 0 is an id, and no wish to have one assigned."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

_MODE = "NO_AUTO_VALUE_ON_ZERO"


@contextmanager
def keep_zero(connection: sa.Connection) -> Iterator[None]:
    """Let a 0 in a column with AUTO_INCREMENT stay 0, and leave the session as it was afterwards.

    Parameters
    ----------
    connection
        The target.

    References
    ----------
    https://mariadb.com/docs/server/server-management/variables-and-modes/sql_mode
    https://dev.mysql.com/doc/refman/9.7/en/sql-mode.html#sqlmode_no_auto_value_on_zero
    """
    mode = str(connection.scalar(sa.text("SELECT @@SESSION.sql_mode")))
    set_mode = sa.text("SET SESSION sql_mode = :mode")
    connection.execute(set_mode, {"mode": ",".join(filter(None, [mode, _MODE]))})
    try:
        yield
    finally:
        connection.execute(set_mode, {"mode": mode})
