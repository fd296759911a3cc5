"""The rows of a table that the target lacks, on their way into it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from dfsync.execution.prefetch import prefetch
from dfsync.model import frames
from dfsync.model.frames import INSERTED, MATCHED, empty_frame
from dfsync.model.rejects import no_rejects
from dfsync.pipeline.table.context import TableContext
from dfsync.pipeline.table.ledger import RowLedger
from dfsync.pipeline.table.match import fetch_rows_by_key
from dfsync.plan.binding import TableBinding
from dfsync.target.read.rows import highest_id

_DRY_RUN_FIRST_ID = 2**62


class Loader(Protocol):
    """Takes rows and gives their new ids and rejects: `load.Loader`, or `Rehearsal` in a dry run."""

    def insert(self, frame: pd.DataFrame) -> tuple[pd.Series[Any], pd.DataFrame]: ...


class DryRunLoader:
    """Takes every row and gives it an id that no target has, so that the children of new rows are new as well."""

    def __init__(self, connection: sa.Connection, shape: TableBinding) -> None:
        self._type = shape.id_type
        highest = highest_id(connection, shape.target, shape.id) if shape.id else 0
        self._next = max(_DRY_RUN_FIRST_ID, highest + 1)

    def insert(self, frame: pd.DataFrame) -> tuple[pd.Series[Any], pd.DataFrame]:
        ids = pc.add(pa.array(np.arange(len(frame)), self._type), pa.scalar(self._next, self._type))
        self._next += len(frame)
        return frames.series(ids).set_axis(frame.index), no_rejects()


def load_table(
    table: TableContext, outcome: RowLedger, inserter: Loader, done: Callable[[int], None] = lambda count: None
) -> None:
    """Inserts what is new, and puts every new id into the outcome; `done` is told how many rows went in.

    Of the rows of one natural key that with the lowest id goes in. Where it does not fit the next one does: hence the
    loop, whose second turn is rare.
    """
    tried = _already_rejected(table, outcome)
    while True:
        pending = _next_candidates(outcome, tried)
        if not pending.any():
            return
        tried |= pending
        # Not copied where all are new: there may be millions.
        ids = outcome.old_id if pending.all() else outcome.old_id[pending]
        lost = [np.array([], np.int64)]
        for frame in prefetch(table.read(table.binding.columns, table.batch_size, ids)):
            with table.timer("load"):
                new_ids, refused = inserter.insert(table.with_deferred_nulls(frame))
            outcome.assign(outcome.positions(new_ids.index), new_ids, INSERTED)
            if len(refused):
                table.rejects.append(refused)
                lost.append(refused.index.to_numpy())
            done(len(new_ids))
        _match_concurrent_inserts(table, outcome, np.concatenate(lost))
        share_target_row(outcome, pending)


def _already_rejected(table: TableContext, outcome: RowLedger) -> Any:
    """bool: the rows that were found unfit before."""
    bad = np.zeros(len(outcome), dtype=bool)
    for rejects in table.rejects:
        bad[outcome.positions(outcome.present(rejects.index))] = True
    return bad & ~outcome.resolved


def _next_candidates(outcome: RowLedger, tried: Any) -> Any:
    """bool: of each natural key that the target lacks the row whose turn it is."""
    waiting = ~outcome.resolved & ~tried
    pending = waiting & outcome.is_representative
    others = np.flatnonzero(waiting & ~outcome.is_representative)
    heirs = others[~pending[outcome.positions(outcome.representative_id[others])]]
    _, first = np.unique(outcome.representative_id[heirs], return_index=True)
    pending[heirs[first]] = True
    return pending


def share_target_row(outcome: RowLedger, inserted: Any) -> None:
    """Gives the rows of one natural key the target row that one of them has got (bool, by place)."""
    heirs = np.flatnonzero(inserted & outcome.resolved & ~outcome.is_representative)
    if len(heirs):
        outcome.promote(heirs)
    followers = np.flatnonzero(~outcome.resolved)
    leaders = outcome.positions(outcome.representative_id[followers])
    served = inserted[leaders] & outcome.resolved[leaders]
    outcome.assign(followers[served], outcome.new_id[leaders[served]], MATCHED)


def _match_concurrent_inserts(table: TableContext, outcome: RowLedger, refused: Any) -> None:
    """Finds the target rows that another client inserted, under the same natural key, since the snapshot."""
    shape = table.binding
    names = [column.name for column in shape.key]
    if not names or not len(refused):
        return
    keys = pd.concat([empty_frame(shape.key), *table.read(shape.key, len(refused), refused)]).dropna()
    with table.connection.engine.connect() as fresh:
        there, new_ids = fetch_rows_by_key(fresh, shape, keys, names)
    outcome.assign(outcome.positions(there.index), new_ids, MATCHED)
    table.inserted_by_others.append(there)
