"""One table of a run: its pass through the stages, its outcome, its counts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from dfsync.execution.timing import StageTimer
from dfsync.model.errors import TableError
from dfsync.model.frames import INSERTED, MATCHED, UPDATED
from dfsync.model.rejects import no_rejects
from dfsync.output.result import TableCounts
from dfsync.pipeline.cycles.orphans import CycleMember, cycle_member
from dfsync.pipeline.cycles.retract import delete_orphans
from dfsync.pipeline.observer import Observer, OrderedProgress
from dfsync.pipeline.session import Session
from dfsync.pipeline.table.context import TableContext
from dfsync.pipeline.table.ledger import RowLedger, concat_ledgers, empty_ledger
from dfsync.pipeline.table.load import DryRunLoader, Loader, load_table
from dfsync.pipeline.table.mapping import mapping
from dfsync.pipeline.table.match import match_table
from dfsync.pipeline.table.spool import KeySpool
from dfsync.pipeline.table.update import update_table
from dfsync.plan.binding import TableBinding
from dfsync.plan.validation import GENERATED, generated_columns
from dfsync.stages.row_order import cyclic_or_downstream, keyless_phases, topological_levels
from dfsync.target.write.loader import BulkLoader


class TableSync:
    """One table of a run: its pass through the stages, and what has come of it."""

    def __init__(
        self, run: Session, shape: TableBinding, progress: OrderedProgress, folder: Path | None = None
    ) -> None:
        """`folder` is where the table's keys have room for as long as it takes."""
        self.plan = shape.plan
        self.selected = shape.plan.name in run.names
        self._session = run
        self._binding = shape
        self._progress = progress
        self._folder = folder
        self._ledger = empty_ledger()
        self._parts: list[RowLedger] = []
        self._phase_of = pd.Series(dtype="int64", index=pd.Index([], dtype="int64"))
        """By old id: of the rows that had their turn the part (see `phases`) in which they had it."""
        self._keys: list[KeySpool] = []
        self._rejects = no_rejects()
        self._timer = StageTimer()
        self._done = 0
        self.fully_matched = False
        """Whether every row was looked for in the target; until then, what an earlier run found stands."""

    def open(self, connection: sa.Connection) -> TableContext:
        """The table's way through the stages, in this transaction."""
        run = self._session
        self._context = TableContext(
            self._binding,
            run.source,
            connection,
            run.mappings,
            run.options.batch_size,
            self._timer,
            notes=dict.fromkeys(generated_columns(self.plan, self._binding.source, self._binding.target), GENERATED),
            folder=self._folder,
            keys=self._keys,
        )
        run.mappings[self.plan.name] = self.map()
        return self._context

    def run(self) -> None:
        """Matches every row and, unless the table is only asked for its map, inserts what is new."""
        connection = self._context.connection
        inserter = (
            DryRunLoader(connection, self._binding) if self._session.options.dry_run else self._loader(connection)
        )
        with self._timer("total"):
            # All at once, unless rows must wait for others of the same table.
            if len(self._context.row_dependencies.columns):
                self._run_by_level(inserter)
            else:
                self._run_rows(None, inserter)
        self.fully_matched = True

    def _run_by_level(self, inserter: Loader) -> None:
        needed = self._context.row_dependencies
        waiting = np.array([], np.int64)
        for number, part in enumerate(keyless_phases(needed, self._context.keyless_ids())):
            self._phase_of = pd.concat([self._phase_of, pd.Series(number, part)])
            rows = needed.loc[np.union1d(waiting, part)]
            for ids in topological_levels(rows):
                self._run_rows(ids, inserter)
            waiting = self._retry_unresolved(cyclic_or_downstream(rows), inserter)
        # Before anything else that was found of them.
        self._context.rejects[:0] = self._context.circle_rejects(waiting, waiting)

    def _run_rows(self, ids: Any, inserter: Loader) -> None:
        found = match_table(self._context, ids, None if ids is None else self._ledger)
        self._parts.append(found)
        self.fully_matched = ids is None
        self._advance(int(np.count_nonzero(found.resolved)))
        if self.selected:
            load_table(self._context, found, inserter, self._advance)
        self._refresh()

    def _refresh(self) -> None:
        """Puts together what came of every level so far."""
        self._ledger = concat_ledgers(self._parts)
        self._session.mappings[self.plan.name] = self.map()

    def _retry_unresolved(self, waiting: Any, inserter: Loader) -> Any:
        """Finds the target rows of rows that came too early, or wait in no level, and have the natural key of one that
        is there by now; then goes through those that refer to them, and so on. Gives those that still wait."""
        needed = self._context.row_dependencies
        served, ready = self._match_unresolved(), waiting[:0]
        while True:
            lost = self._unresolved()
            waiting = np.intersect1d(waiting, lost)
            references = needed.loc[lost]
            # In no level, but all that these need is found by now, or lost for good.
            first = np.isin(lost, waiting) & ~references.isin(waiting).any(axis=1)
            put_off = pd.Series(np.isin(lost, ready), references.index)
            once_more = (put_off | references.isin(served).any(axis=1)) & ~references.isin(lost).any(axis=1)
            ready = lost[(first | once_more).to_numpy(dtype=bool)]
            if not len(ready) and not len(served):
                return waiting
            # Part by part, since so the next run will have them.
            parts = self._phase_of.loc[ready]
            turn = ready[parts == parts.min()]
            if len(turn):
                waiting = np.setdiff1d(waiting, turn)
                self._context.drop_rejects(turn)
                self._drop(turn)
                self._run_rows(turn, inserter)
            served, ready = (
                np.append(np.setdiff1d(turn, self._unresolved()), self._match_unresolved()),
                np.setdiff1d(ready, turn),
            )

    def _match_unresolved(self) -> Any:
        """The ids of the rows that were lost, and now have their target row by their natural key."""
        lost = self._unresolved()
        if not len(lost) or not self._binding.key:
            return lost[:0]
        found = match_table(self._context, lost, self._ledger)
        late = found.old_id[found.resolved]
        self._drop(late)
        self._parts.append(found.subset(found.resolved))
        self._refresh()
        return late

    def _unresolved(self) -> Any:
        """The ids (ascending) of the rows that had their turn, and have no target row so far."""
        return np.setdiff1d(self._phase_of.index, self._ledger.old_id[self._ledger.resolved])

    def _drop(self, ids: Any) -> None:
        self._parts = [self._ledger.subset(~np.isin(self._ledger.old_id, ids))]

    def _loader(self, connection: sa.Connection) -> BulkLoader:
        return BulkLoader(
            connection, self._binding.target, self._binding.id, local_infile=self._session.options.local_infile
        )

    def member(self, names: list[str]) -> CycleMember:
        return cycle_member(self._context, self._ledger, names)

    def delete_orphans(self, ids: Any) -> None:
        """Deletes the rows of this run that turned out to be orphans, by their target ids."""
        if len(ids) and not self._session.options.dry_run:
            delete_orphans(self._context.connection, self._binding, ids)

    def update(self) -> None:
        """Brings matched rows to the source's values."""
        with self._timer("total"), self._timer("update"):
            update_table(self._context, self._ledger, dry_run=self._session.options.dry_run)

    def check(self) -> None:
        """Promise 1: raises `TableFailed` where a source row is neither mapped nor rejected."""
        self._rejects = self._context.rejected(self._ledger)
        total = self._session.source.count(self._binding.source)
        mapped = int(np.count_nonzero(self._ledger.resolved))
        if mapped + len(self._rejects) != total:
            raise TableError(
                f"of {total} source rows {mapped} have a target row and {len(self._rejects)} are rejects: the others "
                "are unaccounted for, which is a fault of dfsync; please report it"
            )

    def report(self, observer: Observer) -> None:
        """What came of the rows."""
        for column, note in self._context.notes.items():
            observer.note(self.plan, f"{self.plan.table}.{column}: {note}")
        observer.rows_done(self.plan, self.mappings(), self.rejects())

    def roll_back(self) -> None:
        """Leaves the rows that were found in the target."""
        self._ledger = concat_ledgers(self._parts)
        self._ledger.revert_writes()
        self._rejects = no_rejects()

    def map(self) -> pd.DataFrame:
        """`old_id` and `new_id` of the rows that have a target row, for the children."""
        return self._ledger.id_map()

    def mappings(self) -> Iterator[pd.DataFrame]:
        """The mapping frame, as in `SyncResult.mappings`, in parts; also with the rows that a dry run would insert."""
        return mapping(self._context, self._ledger, dry_run=self._session.options.dry_run)

    def rejects(self) -> pd.DataFrame:
        return self._rejects.reset_index()

    def counts(self, total: int, error: str | None) -> TableCounts:
        synced, skipped, updated = (self._ledger.count(action) for action in (INSERTED, MATCHED, UPDATED))
        return TableCounts(
            name=self.plan.name,
            table=self.plan.table,
            total=total,
            inserted=synced,
            matched=skipped,
            updated=updated,
            failed=total - synced - skipped - updated,
            error=error,
            seconds=dict(self._timer.seconds),
        )

    def close(self) -> None:
        """Gives back what only the way through the stages needed."""
        for keys in self._keys:
            keys.close()

    def _advance(self, rows: int) -> None:
        self._done += rows
        self._progress.advance(self.plan, self._done)
