"""Inserts rows that refer to rows of the same batch in one statement, with the ids that the server will give these.

A server gives the rows of one statement ascending ids, a step apart, unless another client inserts between them. So the
first row is inserted alone, which shows where the counter stands; the others follow with the ids expected from that.
Afterwards the ids are read back: where they are not the expected ones, the statement is rolled back, and each half of
the rows is sent apart. A single row needs no expected id, so this ends. A row is never sent before the rows that it
refers to, and every server checks a foreign key row by row, so triggers and CHECKs see the final ids.

Where the references may also be written later, rows that got other ids than expected are given back to the caller
instead: another client that goes on inserting would else make a statement of every row.

References
----------
https://dev.mysql.com/doc/refman/9.7/en/innodb-auto-increment-handling.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from dfsync.model import frames
from dfsync.model.types import Mask, NewIds, Positions
from dfsync.stages.row_order import NULL_REF, needing
from dfsync.target.errors import SilentCoercionError


class Mispredicted(SilentCoercionError):
    """The server gave other ids than expected: another client inserted into the same table."""


class LinkedRows:
    """Owns a batch while it is inserted: which of its rows the target has, and their new ids.

    Parameters
    ----------
    frame
        Index `old_id`; the rows as they are sent, each after those that it refers to.
    parents
        By column for each row the position in the frame of the row whose new id it gets, `NULL_REF` where the column
        keeps its value.
    by_value
        By column for each row the position in the frame of the row that it refers to by a value, `NULL_REF` for none.
        The column has that value already.
    insert
        Inserts rows in one statement, and returns their new ids in the same order.
    step
        The difference between the ids of a statement: the server's `auto_increment_increment`, in the dtype of new ids.
    execute
        Executes a statement; given where the references may also be written later.

    Attributes
    ----------
    taken
        One bool for each row of the frame: whether it was inserted. A row that was neither inserted nor refused refers
        to one that was refused; or, with `execute`, its new id was not the expected one.
    new_ids
        By row of the frame; 0 where the row was not inserted.
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        parents: Mapping[str, Positions],
        by_value: Mapping[str, Positions],
        insert: Callable[[pd.DataFrame], NewIds],
        step: np.int64 | np.uint64,
        execute: Callable[[str], object] | None = None,
    ) -> None:
        self._frame = frame
        self._columns = list(parents)
        self._parents = np.stack([*parents.values(), *by_value.values()], axis=1)
        self._insert, self._step, self._execute = insert, step, execute
        self.taken: Mask = np.zeros(len(frame), dtype=bool)
        self.new_ids: NewIds = np.zeros(len(frame), self._step.dtype)

    def send(self, part: pd.DataFrame) -> None:
        """Insert consecutive rows of the frame, without those that depend on a row that was not inserted.

        `send_with_bisection` calls this. After any exception it rolls back to the savepoint before.

        Parameters
        ----------
        part
            The rows.

        Raises
        ------
        Mispredicted
            Where the server gave other ids than the rows were sent with, which must be right at once.
        sqlalchemy.exc.DBAPIError
            Where the server refuses a row.
        """
        start = int(self._frame.index.get_indexer(part.index[:1])[0])
        rows = np.arange(start, start + len(part))
        parents = self._parents[rows]
        in_earlier_part = (parents != NULL_REF) & (parents < start)
        lost = (in_earlier_part & ~self.taken[parents]).any(axis=1)
        within = np.where(parents >= start, parents - start, NULL_REF)
        if lost.any():
            kept = ~needing(within, lost)
            rows, within = rows[kept], within[kept]
        if not len(rows):
            return
        if not (within[:, : len(self._columns)] != NULL_REF).any():
            ids = self._insert(self._with_parent_ids(rows, self.new_ids))
        elif self._execute is None:
            ids = self._send_linked(rows)
        else:
            # Not a savepoint of SQLAlchemy: where the server refuses a row, the caller goes back to an earlier one.
            self._execute("SAVEPOINT dfsync_linked")
            try:
                ids = self._send_linked(rows)
            except Mispredicted:
                self._execute("ROLLBACK TO SAVEPOINT dfsync_linked")
                return
        self.taken[rows], self.new_ids[rows] = True, ids

    def _send_linked(self, rows: Positions) -> NewIds:
        """Insert the first row, then the others with the ids expected from its id; gives the ids of all."""
        first = self._insert(self._with_parent_ids(rows[:1], self.new_ids))
        expected = self.new_ids.copy()
        expected[rows] = first + np.arange(len(rows)).astype(first.dtype) * self._step
        others = self._insert(self._with_parent_ids(rows[1:], expected))
        if not np.array_equal(others, expected[rows[1:]]):
            raise Mispredicted("the server gave other ids than expected, since another client inserted meanwhile")
        return expected[rows]

    def _with_parent_ids(self, rows: Positions, new_ids: NewIds) -> pd.DataFrame:
        """The rows, with the new ids of those that they refer to."""
        frame = self._frame.iloc[rows]
        columns = {}
        for slot, name in enumerate(self._columns):
            parents = self._parents[rows, slot]
            linked = parents != NULL_REF
            parent_ids = pa.array(new_ids[parents[linked]])
            values = frames.as_arrow(frame[name])
            filled = pc.replace_with_mask(values, pa.array(linked), parent_ids.cast(values.type))
            columns[name] = frames.series(filled).set_axis(frame.index)
        return frames.with_columns(frame, columns)
