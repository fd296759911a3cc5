"""Insert rows under ids that are given, and not assigned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from dfsync.model import frames
from dfsync.model.errors import TableError
from dfsync.model.rejects import no_rejects
from dfsync.model.schema import Table
from dfsync.model.types import Mask, NewIds, OldIds, Positions
from dfsync.stages.row_order import NULL_REF, needing
from dfsync.target.read.rows import next_id, which_exist
from dfsync.target.write.bisect import send_with_bisection
from dfsync.target.write.linked_insert import LinkedRows
from dfsync.target.write.loader import BulkLoader

_ATTEMPTS = 10
"""So often another client may take ids that were free a moment before."""
Links = Mapping[str, Positions]


class GivenIds:
    """Owns the ids under which the new rows of one table are inserted. Several threads may ask for them.

    Parameters
    ----------
    old_id
        int64, ascending: the rows.
    new_id
        The id of each, in the dtype of new ids; no two alike.
    step
        The difference between ids that the server assigns.
    strict
        Whether a row fails rather than get another id.
    """

    def __init__(self, old_id: OldIds, new_id: NewIds, step: int = 1, *, strict: bool = False) -> None:
        self._old_id, self._new_id = old_id, new_id
        self._step, self.strict = step, strict
        self._lock = Lock()

    def of(self, old_ids: OldIds | pd.Index[int]) -> NewIds:
        """Give the ids of rows, all of which it must have."""
        ids: NewIds = self._new_id[np.searchsorted(self._old_id, np.asarray(old_ids, dtype=np.int64))]
        return ids

    def replace(self, old_ids: OldIds, free: int) -> None:
        """Give rows other ids, from `free` on, or from above all that were given where that is higher."""
        with self._lock:
            first = max(free, int(self._new_id.max()) + self._step)
            ids = first + np.arange(len(old_ids), dtype=self._new_id.dtype) * self._new_id.dtype.type(self._step)
            self._new_id[np.searchsorted(self._old_id, old_ids)] = ids


class GivenIdLoader:
    """Inserts the rows of one table under ids that are known before.

    What refers to a row has its id at once, and nothing has to be read back. Another client may have taken an id since
    it was found free: the server then refuses the row, which gets another id.

    Parameters
    ----------
    loader
        Sends the rows.
    connection
        Its connection, in a transaction.
    table
        The target's table.
    id_column
        Its surrogate id.
    given
        The ids.
    find_inserted
        Gives those of some rows (int64, ascending) that another client inserted meanwhile, by their natural key.
    """

    def __init__(
        self,
        loader: BulkLoader,
        connection: sa.Connection,
        table: Table,
        id_column: str,
        given: GivenIds,
        find_inserted: Callable[[OldIds], OldIds],
    ) -> None:
        self._loader, self._connection = loader, connection
        self._table, self._id = table, id_column
        self._given, self._find_inserted = given, find_inserted

    def insert(self, frame: pd.DataFrame) -> tuple[pd.Series[Any], pd.DataFrame]:
        """Insert rows; see `BulkLoader.insert`."""
        return self.insert_linked(frame, {}, {})

    def insert_linked(
        self, frame: pd.DataFrame, parents: Links, by_value: Links, *, optional: bool = False
    ) -> tuple[pd.Series[Any], pd.DataFrame]:
        """Insert rows that refer to others among them, which come before them; see `BulkLoader.insert_linked`.

        Where a reference is `optional`, too, a row that refers to a refused one is left out.
        """
        links = {**by_value, **parents}
        inserted = np.zeros(len(frame), dtype=bool)
        rejects = no_rejects()
        for attempt in range(_ATTEMPTS):
            left = ~inserted & ~frame.index.isin(rejects.index)
            left &= ~_depending(links, frame.index.isin(rejects.index))
            taken, refused = self._send(frame, np.flatnonzero(left), parents, links)
            inserted |= taken
            overtaken = self._overtaken(refused) if attempt < _ATTEMPTS - 1 else refused.index[:0]
            rejects = pd.concat([rejects, refused[~refused.index.isin(overtaken)]])
            if not len(overtaken):
                break
            free = next_id(self._connection, self._table) or 1
            self._given.replace(np.sort(overtaken.to_numpy(dtype=np.int64)), free)
        ids = frames.series(pa.array(self._given.of(frame.index[inserted])))
        return ids.set_axis(frame.index[inserted]), rejects

    def _send(self, frame: pd.DataFrame, rows: Positions, parents: Links, links: Links) -> tuple[Mask, pd.DataFrame]:
        """Insert the rows at these positions; tells which were taken, and gives the rejects."""
        ids = self._given.of(frame.index)
        part = _with_parent_ids(frame, parents, ids).iloc[rows]
        place = np.full(len(frame) + 1, NULL_REF)
        place[rows] = np.arange(len(rows))
        within = {name: place[np.where(to == NULL_REF, len(frame), to)[rows]] for name, to in links.items()}
        taken = np.zeros(len(frame), dtype=bool)
        if all((to == NULL_REF).all() for to in within.values()):
            rejects = send_with_bisection(self._connection, part, self._insert)
            taken[rows] = ~part.index.isin(rejects.index)
            return taken, rejects
        step = np.uint64(1) if ids.dtype == np.uint64 else np.int64(1)
        linked = LinkedRows(part, {}, within, self._insert, step)
        rejects = send_with_bisection(self._connection, part, linked.send)
        taken[rows] = linked.taken
        return taken, rejects

    def _insert(self, frame: pd.DataFrame) -> NewIds:
        ids = self._given.of(frame.index)
        self._loader.send_with_ids(frame, ids)
        return ids

    def _overtaken(self, refused: pd.DataFrame) -> pd.Index[int]:
        """The refused rows whose ids other clients have taken, and that no other client has inserted."""
        old_ids = np.sort(refused.index.to_numpy(dtype=np.int64))
        if not len(old_ids):
            return refused.index
        ids = self._given.of(old_ids)
        ascending, place = np.unique(ids, return_inverse=True)
        with self._connection.engine.connect() as fresh:
            there = which_exist(fresh, self._table, self._id, ascending)[place]
        old_ids = np.setdiff1d(old_ids[there], self._find_inserted(old_ids[there])) if there.any() else old_ids[:0]
        if len(old_ids) and self._given.strict:
            taken = int(self._given.of(old_ids[:1])[0])
            raise TableError(
                f"another client has inserted a row of the id {taken} meanwhile, so that it cannot be kept"
            )
        return pd.Index(old_ids)


def _depending(links: Links, rows: Mask) -> Mask:
    """The rows that depend on some of these, at any distance."""
    if not links or not rows.any():
        return np.zeros(len(rows), dtype=bool)
    return needing(np.stack(list(links.values()), axis=1), rows) & ~rows


def _with_parent_ids(frame: pd.DataFrame, parents: Links, ids: NewIds) -> pd.DataFrame:
    """The rows, with the given ids of those that they refer to."""
    columns = {}
    for name, to in parents.items():
        linked = to != NULL_REF
        values = frames.as_arrow(frame[name])
        filled = pc.replace_with_mask(values, pa.array(linked), pa.array(ids[to[linked]]).cast(values.type))
        columns[name] = frames.series(filled).set_axis(frame.index)
    return frames.with_columns(frame, columns)


def insert_with_ids(connection: sa.Connection, loader: BulkLoader, frame: pd.DataFrame, ids: NewIds) -> pd.DataFrame:
    """Insert rows, each under an id that is given.

    Parameters
    ----------
    connection
        The target, in a transaction.
    loader
        Of the target's table, on this connection.
    frame
        Index `old_id` (int64), the other columns under the target's names, conformed and remapped (Arrow dtypes).
    ids
        One for each row.

    Returns
    -------
    pandas.DataFrame
        The reject frame of the rows that the server refused.
    """
    of_row = pd.Series(ids, frame.index)
    return send_with_bisection(
        connection, frame, lambda part: loader.send_with_ids(part, of_row[part.index].to_numpy())
    )
