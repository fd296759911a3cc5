"""Rows that refer to rows of the same batch, in one statement: with the ids that the server is about to give these.

A server gives the rows of one statement ascending ids, a step apart, unless another client inserts between them. So the
first row is sent alone, which tells where the counter stands; the others follow with the ids that this lets expect.
Afterwards the ids are read back: where they are not the expected ones, nothing of it stays, and each half is sent for
itself. A single row needs no expectation, so that this ends. A row is never sent before those that it refers to, and
every server checks a foreign key row by row, so that triggers and CHECKs see the ids that hold.
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
    """The server gave other ids than expected: another client inserts into the same table."""


class LinkedRows:
    """Owns a batch on its way: which of its rows are in, and under which ids."""

    def __init__(
        self,
        frame: pd.DataFrame,
        parents: Mapping[str, Positions],
        by_value: Mapping[str, Positions],
        insert: Callable[[pd.DataFrame], NewIds],
        step: int,
        dtype: type[np.int64] | type[np.uint64],
    ) -> None:
        """
        Parameters
        ----------
        frame
            Index `old_id`; the rows as they are sent, each behind those that it refers to.
        parents
            By column for each row the position in the frame of the row whose new id it gets, `NULL_REF` where it keeps
            what it has.
        by_value
            The same where it has the value already by which it refers to that row.
        insert
            Sends rows in one go, and gives their new ids in the same order.
        step
            How far apart the ids of a statement are: the server's `auto_increment_increment`.
        dtype
            Of the new ids.
        """
        self._frame = frame
        self._columns = list(parents)
        self._parents = np.stack([*parents.values(), *by_value.values()], axis=1)
        self._insert, self._step = insert, dtype(step)
        self.taken: Mask = np.zeros(len(frame), dtype=bool)
        """The rows that are in. A row that is neither in nor refused refers to one that is refused."""
        self.new_ids: NewIds = np.zeros(len(frame), self._step.dtype)

    def send(self, part: pd.DataFrame) -> None:
        """Sends a part of the frame, consecutive rows of it, as `send_with_bisection` asks for it. Raises what the
        driver raises, or `Mispredicted`, with the transaction to be rolled back to where it was.
        """
        start = int(self._frame.index.get_indexer(part.index[:1])[0])
        rows = np.arange(start, start + len(part))
        parents = self._parents[rows]
        before = (parents != NULL_REF) & (parents < start)
        lost = (before & ~self.taken[parents]).any(axis=1)
        within = np.where(parents >= start, parents - start, NULL_REF)
        if lost.any():
            kept = ~needing(within, lost)
            rows, within = rows[kept], within[kept]
        if not len(rows):
            return
        linked = (within[:, : len(self._columns)] != NULL_REF).any()
        ids = self._send_linked(rows) if linked else self._insert(self._filled(rows, self.new_ids))
        self.taken[rows], self.new_ids[rows] = True, ids

    def _send_linked(self, rows: Positions) -> NewIds:
        first = self._insert(self._filled(rows[:1], self.new_ids))
        expected = self.new_ids.copy()
        expected[rows] = first + np.arange(len(rows)).astype(first.dtype) * self._step
        others = self._insert(self._filled(rows[1:], expected))
        if not np.array_equal(others, expected[rows[1:]]):
            raise Mispredicted("the server gave other ids than expected, since another client inserted meanwhile")
        return expected[rows]

    def _filled(self, rows: Positions, new_ids: NewIds) -> pd.DataFrame:
        """The rows with the ids that they refer to."""
        frame = self._frame.iloc[rows]
        made = {}
        for slot, name in enumerate(self._columns):
            parents = self._parents[rows, slot]
            linked = parents != NULL_REF
            given = pa.array(new_ids[parents[linked]])
            own = frames.as_arrow(frame[name])
            made[name] = frames.series(pc.replace_with_mask(own, pa.array(linked), given.cast(own.type)))
        return frame.assign(**{name: filled.set_axis(frame.index) for name, filled in made.items()})
