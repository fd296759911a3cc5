"""The rows of a table that the target lacks, on their way into it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from dfsync import frames, target
from dfsync.execution.prefetch import prefetch
from dfsync.outcome import Outcome
from dfsync.result import INSERTED, MATCHED
from dfsync.shape import Shape
from dfsync.table import TablePass, no_rows
from dfsync.table_match import rows_by_key

_REHEARSED = 2**62


class Inserter(Protocol):
    """Takes rows and gives their new ids and rejects: `load.Loader`, or `Rehearsal` in a dry run."""

    def insert(self, frame: pd.DataFrame) -> tuple[pd.Series[Any], pd.DataFrame]: ...


class Rehearsal:
    """Takes every row and gives it an id that no target has, so that the children of new rows are new as well."""

    def __init__(self, connection: sa.Connection, shape: Shape) -> None:
        self._type = shape.id_type
        highest = target.highest_id(connection, shape.target, shape.id) if shape.id else 0
        self._next = max(_REHEARSED, highest + 1)

    def insert(self, frame: pd.DataFrame) -> tuple[pd.Series[Any], pd.DataFrame]:
        ids = pc.add(pa.array(np.arange(len(frame)), self._type), pa.scalar(self._next, self._type))
        self._next += len(frame)
        return frames.series(ids).set_axis(frame.index), frames.no_rejects()


def load_table(
    table: TablePass, outcome: Outcome, inserter: Inserter, done: Callable[[int], None] = lambda count: None
) -> None:
    """Inserts what is new, and puts every new id into the outcome; `done` is told how many rows went in.

    Of the rows of one natural key that with the lowest id goes in. Where it does not fit the next one does: hence the
    loop, whose second turn is rare.
    """
    tried = _rejected(table, outcome)
    while True:
        pending = _pending(outcome, tried)
        if not pending.any():
            return
        tried |= pending
        # Not copied where all are new: there may be millions.
        ids = outcome.old_id if pending.all() else outcome.old_id[pending]
        lost = [np.array([], np.int64)]
        for frame in prefetch(table.read(table.shape.columns, table.batch_size, ids)):
            with table.times("load"):
                new_ids, refused = inserter.insert(table.as_first_sent(frame))
            outcome.set(outcome.places(new_ids.index), new_ids, INSERTED)
            if len(refused):
                table.rejects.append(refused)
                lost.append(refused.index.to_numpy())
            done(len(new_ids))
        _overtaken(table, outcome, np.concatenate(lost))
        share(outcome, pending)


def _rejected(table: TablePass, outcome: Outcome) -> Any:
    """bool: the rows that were found unfit before."""
    bad = np.zeros(len(outcome), dtype=bool)
    for rejects in table.rejects:
        bad[outcome.places(outcome.having(rejects.index))] = True
    return bad & ~outcome.known


def _pending(outcome: Outcome, tried: Any) -> Any:
    """bool: of each natural key that the target lacks the row whose turn it is."""
    waiting = ~outcome.known & ~tried
    pending = waiting & outcome.own
    others = np.flatnonzero(waiting & ~outcome.own)
    heirs = others[~pending[outcome.places(outcome.first_id[others])]]
    _, first = np.unique(outcome.first_id[heirs], return_index=True)
    pending[heirs[first]] = True
    return pending


def share(outcome: Outcome, inserted: Any) -> None:
    """Gives the rows of one natural key the target row that one of them has got (bool, by place)."""
    heirs = np.flatnonzero(inserted & outcome.known & ~outcome.own)
    if len(heirs):
        outcome.lead(heirs)
    followers = np.flatnonzero(~outcome.known)
    leaders = outcome.places(outcome.first_id[followers])
    served = inserted[leaders] & outcome.known[leaders]
    outcome.set(followers[served], outcome.new_id[leaders[served]], MATCHED)


def _overtaken(table: TablePass, outcome: Outcome, refused: Any) -> None:
    """Finds the target rows that another client inserted, under the same natural key, since the snapshot."""
    shape = table.shape
    names = [column.name for column in shape.key]
    if not names or not len(refused):
        return
    keys = pd.concat([no_rows(shape.key), *table.read(shape.key, len(refused), refused)]).dropna()
    with table.connection.engine.connect() as fresh:
        there, new_ids = rows_by_key(fresh, shape, keys, names)
    outcome.set(outcome.places(there.index), new_ids, MATCHED)
    table.overtaken.append(there)
