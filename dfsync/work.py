"""One table of a run: its pass through the stages, its outcome, its counts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from dfsync import circle, frames, outcome
from dfsync.errors import TableFailed
from dfsync.execution.timing import StageTimer
from dfsync.key_file import KeyFile
from dfsync.levels import levels, phases, unreached
from dfsync.load import Loader
from dfsync.progress import Progress
from dfsync.result import INSERTED, MATCHED, UPDATED, Counts, Observer
from dfsync.run import Run
from dfsync.shape import COMPUTED, Shape, computed
from dfsync.table import TablePass
from dfsync.table_load import Inserter, Rehearsal, load_table
from dfsync.table_map import mapping
from dfsync.table_match import match_table
from dfsync.table_update import update_table
from dfsync.take_back import take_back


class Work:
    """One table of a run: its pass through the stages, and what has come of it."""

    def __init__(self, run: Run, shape: Shape, progress: Progress, folder: Path | None = None) -> None:
        """`folder` is where the table's keys have room for as long as it takes."""
        self.plan = shape.plan
        self.asked = shape.plan.name in run.names
        self._run = run
        self._shape = shape
        self._progress = progress
        self._folder = folder
        self._outcome = outcome.nothing()
        self._parts: list[outcome.Outcome] = []
        self._due = pd.Series(dtype="int64", index=pd.Index([], dtype="int64"))
        """By old id: of the rows that had their turn the part (see `phases`) in which they had it."""
        self._keys: list[KeyFile] = []
        self._rejects = frames.no_rejects()
        self._times = StageTimer()
        self._done = 0
        self.knows = False
        """Whether every row was looked for in the target; until then, what an earlier run found stands."""

    def begin(self, connection: sa.Connection) -> TablePass:
        """The table's way through the stages, in this transaction."""
        run = self._run
        self._pass = TablePass(
            self._shape,
            run.source,
            connection,
            run.maps,
            run.options.batch_size,
            self._times,
            notes=dict.fromkeys(computed(self.plan, self._shape.source, self._shape.target), COMPUTED),
            folder=self._folder,
            keys=self._keys,
        )
        run.maps[self.plan.name] = self.map()
        return self._pass

    def go(self) -> None:
        """Matches every row and, unless the table is only asked for its map, inserts what is new."""
        connection = self._pass.connection
        inserter = Rehearsal(connection, self._shape) if self._run.options.dry_run else self._loader(connection)
        with self._times("total"):
            # All at once, unless rows must wait for others of the same table.
            if len(self._pass.needed.columns):
                self._go_by_levels(inserter)
            else:
                self._go(None, inserter)
        self.knows = True

    def _go_by_levels(self, inserter: Inserter) -> None:
        needed = self._pass.needed
        waiting = np.array([], np.int64)
        for number, part in enumerate(phases(needed, self._pass.unkeyed())):
            self._due = pd.concat([self._due, pd.Series(number, part)])
            rows = needed.loc[np.union1d(waiting, part)]
            for ids in levels(rows):
                self._go(ids, inserter)
            waiting = self._look_again(unreached(rows), inserter)
        # Before anything else that was found of them.
        self._pass.rejects[:0] = self._pass.circle_rejects(waiting, waiting)

    def _go(self, ids: Any, inserter: Inserter) -> None:
        found = match_table(self._pass, ids, None if ids is None else self._outcome)
        self._parts.append(found)
        self.knows = ids is None
        self._add(int(np.count_nonzero(found.known)))
        if self.asked:
            load_table(self._pass, found, inserter, self._add)
        self._settle()

    def _settle(self) -> None:
        """Puts together what came of every level so far."""
        self._outcome = outcome.joined(self._parts)
        self._run.maps[self.plan.name] = self.map()

    def _look_again(self, waiting: Any, inserter: Inserter) -> Any:
        """Finds the target rows of rows that came too early, or wait in no level, and have the natural key of one that
        is there by now; then goes through those that refer to them, and so on. Gives those that still wait."""
        needed = self._pass.needed
        served, ready = self._found_late(), waiting[:0]
        while True:
            lost = self._lost()
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
            parts = self._due.loc[ready]
            turn = ready[parts == parts.min()]
            if len(turn):
                waiting = np.setdiff1d(waiting, turn)
                self._pass.forget(turn)
                self._without(turn)
                self._go(turn, inserter)
            served, ready = np.append(np.setdiff1d(turn, self._lost()), self._found_late()), np.setdiff1d(ready, turn)

    def _found_late(self) -> Any:
        """The ids of the rows that were lost, and now have their target row by their natural key."""
        lost = self._lost()
        if not len(lost) or not self._shape.key:
            return lost[:0]
        found = match_table(self._pass, lost, self._outcome)
        late = found.old_id[found.known]
        self._without(late)
        self._parts.append(found.only(found.known))
        self._settle()
        return late

    def _lost(self) -> Any:
        """The ids (ascending) of the rows that had their turn, and have no target row so far."""
        return np.setdiff1d(self._due.index, self._outcome.old_id[self._outcome.known])

    def _without(self, ids: Any) -> None:
        self._parts = [self._outcome.only(~np.isin(self._outcome.old_id, ids))]

    def _loader(self, connection: sa.Connection) -> Loader:
        return Loader(connection, self._shape.target, self._shape.id, local_infile=self._run.options.local_infile)

    def member(self, names: list[str]) -> circle.Member:
        return circle.member(self._pass, self._outcome, names)

    def take_back(self, ids: Any) -> None:
        """Deletes the rows of this run that turned out to be orphans, by their target ids."""
        if len(ids) and not self._run.options.dry_run:
            take_back(self._pass.connection, self._shape, ids)

    def update(self) -> None:
        """Brings matched rows to the source's values."""
        with self._times("total"), self._times("update"):
            update_table(self._pass, self._outcome, dry_run=self._run.options.dry_run)

    def check(self) -> None:
        """Promise 1: raises `TableFailed` where a source row is neither mapped nor rejected."""
        self._rejects = self._pass.rejected(self._outcome)
        total = self._run.source.count(self._shape.source)
        mapped = int(np.count_nonzero(self._outcome.known))
        if mapped + len(self._rejects) != total:
            raise TableFailed(
                f"of {total} source rows {mapped} have a target row and {len(self._rejects)} are rejects: the others "
                "are unaccounted for, which is a fault of dfsync; please report it"
            )

    def tell(self, observer: Observer) -> None:
        """What came of the rows."""
        for column, note in self._pass.notes.items():
            observer.note(self.plan, f"{self.plan.table}.{column}: {note}")
        observer.rows_done(self.plan, self.mappings(), self.rejects())

    def roll_back(self) -> None:
        """Leaves the rows that were found in the target."""
        self._outcome = outcome.joined(self._parts)
        self._outcome.forget()
        self._rejects = frames.no_rejects()

    def map(self) -> pd.DataFrame:
        """`old_id` and `new_id` of the rows that have a target row, for the children."""
        return self._outcome.map()

    def mappings(self) -> Iterator[pd.DataFrame]:
        """The mapping frame, as in `SyncResult.mappings`, in parts; also with the rows that a dry run would insert."""
        return mapping(self._pass, self._outcome, dry_run=self._run.options.dry_run)

    def rejects(self) -> pd.DataFrame:
        return self._rejects.reset_index()

    def close(self, total: int, error: str | None) -> Counts:
        synced, skipped, updated = (self._outcome.count(action) for action in (INSERTED, MATCHED, UPDATED))
        return Counts(
            name=self.plan.name,
            table=self.plan.table,
            total=total,
            synced=synced,
            skipped=skipped,
            updated=updated,
            failed=total - synced - skipped - updated,
            error=error,
            seconds=dict(self._times.seconds),
        )

    def release(self) -> None:
        """Gives back what only the way through the stages needed."""
        for keys in self._keys:
            keys.close()

    def _add(self, rows: int) -> None:
        self._done += rows
        self._progress.at(self.plan, self._done)
