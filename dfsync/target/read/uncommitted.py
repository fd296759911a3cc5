"""Reads what a transaction has not committed yet, on a second connection, while the first one goes on writing.

It sees what other clients have not committed, too. So it reads only rows that none of them can have, or counts them.

References
----------
https://dev.mysql.com/doc/refman/9.7/en/innodb-transaction-isolation-levels.html
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import TypeVar

import sqlalchemy as sa

from dfsync.execution.executor import Executor, open_executor

Connect = Callable[[], AbstractContextManager[sa.Connection]]
R = TypeVar("R")


class UncommittedReader:
    """Owns the second connection (READ UNCOMMITTED) and its thread; both begin when the first read is asked for.

    Leaving its `with` waits for the reads that were asked for.

    Parameters
    ----------
    connect
        Opens a connection to the target.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._stack = ExitStack()
        self._executor: Executor | None = None
        self._connection: sa.Connection | None = None

    def __enter__(self) -> UncommittedReader:
        return self

    def __exit__(self, *_: object) -> None:
        """End the thread, then the connection."""
        self._stack.close()

    def submit(self, read: Callable[[sa.Connection], R]) -> Future[R]:
        """Begin a read, after those that were asked for before.

        Parameters
        ----------
        read
            Gets the connection.

        Returns
        -------
        Future
            Holds what the read returns or raises, or why there is no connection.
        """
        if self._executor is None:
            # Closed last first: the thread ends before its connection.
            self._of_connection = self._stack.enter_context(ExitStack())
            self._executor = self._stack.enter_context(open_executor("dfsync-uncommitted"))
        return self._executor.submit(partial(self._read, read))

    def _read(self, read: Callable[[sa.Connection], R]) -> R:
        if self._connection is None:
            connection = self._of_connection.enter_context(self._connect())
            self._connection = connection.execution_options(isolation_level="READ UNCOMMITTED")
        return read(self._connection)
