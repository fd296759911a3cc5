"""Checksums of the rows that a transaction inserts, read while it sends the next ones.

At the end of the transaction they take the server four times as long: InnoDB looks up in the table each entry of an
index page that was changed after the snapshot. A reader without a snapshot need not, but sees what other clients have
not committed. So a segment counts only where it has as many rows as were inserted here: then it has no others.

References
----------
https://dev.mysql.com/doc/refman/9.7/en/innodb-multi-versioning.html
"""

from __future__ import annotations

import logging
from concurrent.futures import Future
from functools import partial

import numpy as np
import sqlalchemy as sa

from dfsync.model.types import NewIds
from dfsync.output.folder.state import Segments
from dfsync.pipeline.known.state.segments import join_segments, read_segments
from dfsync.pipeline.table.context import TableContext
from dfsync.target.errors import SERVER_ERRORS

log = logging.getLogger(__name__)


class EarlyChecksums:
    """Owns the checksums of a table's new rows so far.

    Parameters
    ----------
    table
        The table, with the journal of its transaction.
    size
        How many rows a segment has.

    Attributes
    ----------
    start
        The ids of the segments are above this one.
    """

    def __init__(self, table: TableContext, size: int) -> None:
        self._table, self._size = table, size
        self._waiting: list[NewIds] = []
        self._readings: list[Future[Segments]] = []
        self._last: int | None = None
        self._until = self.start = 0
        # A natural key with references that are filled in later is not what it will be.
        self._is_open = table.journal is not None and not {*table.binding.plan.deferred} & {*table.binding.plan.key}

    def note_inserts(self, new_ids: NewIds) -> None:
        """Take the ids of rows that were inserted, and begin to read the segments that are full."""
        if not self._is_open or not len(new_ids):
            return
        if self._last is None:
            self._last = self._until = self.start = int(new_ids[0]) - 1
        if new_ids[0] <= self._last or not (np.diff(new_ids) > 0).all():
            self._is_open = False
            return
        self._last = int(new_ids[-1])
        self._waiting.append(new_ids)
        # A table of one batch is not worth a second connection.
        if len(self._waiting) > 1 and sum(map(len, self._waiting)) >= self._size:
            ids = np.concatenate(self._waiting)
            full = len(ids) - len(ids) % self._size
            self._waiting = [ids[full:]]
            self._submit(ids[self._size - 1 : full : self._size])

    def _submit(self, ends: NewIds) -> None:
        journal = self._table.journal
        assert journal is not None
        self._readings.append(journal.uncommitted.submit(partial(self._read, ends, self._until)))
        self._until = int(ends[-1])

    def _read(self, ends: NewIds, above: int, connection: sa.Connection) -> Segments:
        return read_segments(connection, self._table, ends, (above, int(ends[-1])))

    def segments(self, created: NewIds) -> Segments | None:
        """Give the segments that were read, when all is written.

        Parameters
        ----------
        created
            The ids of all rows that the transaction inserted, ascending.

        Returns
        -------
        Segments or None
            Without gaps between them, the first one above `start`; None where there are none, or other clients' rows
            may be in them.
        """
        if not self._readings:
            return None
        try:
            found = join_segments([reading.result() for reading in self._readings])
        except SERVER_ERRORS:
            log.debug("the checksums have to be read again", exc_info=True)
            return None
        own = np.diff(np.searchsorted(created, np.append(self.start, found.last_id), side="right"))
        return found if np.array_equal(own, found.rows) else None
