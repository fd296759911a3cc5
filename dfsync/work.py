"""One table of a run: its pass through the stages, its outcome, its counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from dfsync import circle, frames
from dfsync.errors import TableFailed
from dfsync.levels import circular, levels
from dfsync.load import Loader
from dfsync.match import FIRST_ID
from dfsync.result import INSERTED, MATCHED, UPDATED, Counts, Observer
from dfsync.run import Run
from dfsync.shape import Shape
from dfsync.table import Rehearsal, TablePass, load_table, match_table, no_outcome, update_table
from dfsync.times import Times


class Work:
    """One table of a run: its pass through the stages, and what has come of it."""

    def __init__(self, run: Run, shape: Shape, observer: Observer) -> None:
        self.plan = shape.plan
        self.asked = shape.plan.name in run.names
        self._run = run
        self._shape = shape
        self._observer = observer
        self._matched = self._outcome = no_outcome(shape)
        self._rejects = frames.no_rejects()
        self._times = Times()
        self._done = 0
        self.knows = False
        """Whether every row was looked for in the target; until then, what an earlier run found stands."""

    def begin(self, connection: sa.Connection) -> TablePass:
        """The table's way through the stages, in this transaction."""
        run = self._run
        self._pass = TablePass(self._shape, run.source, connection, run.maps, run.options.batch_size, self._times)
        run.maps[self.plan.name] = self.map()
        return self._pass

    def go(self) -> None:
        """Matches every row and, unless the table is only asked for its map, inserts what is new."""
        run = self._run
        inserter = Rehearsal() if run.options.dry_run else self._loader(self._pass.connection)
        with self._times("total"):
            for ids in self._levels():
                matched = outcome = match_table(self._pass, ids)
                self._matched = matched if ids is None else pd.concat([self._matched, matched]).sort_index()
                self.knows = ids is None
                self._progress(int(matched[frames.NEW_ID].notna().sum()))
                if self.asked:
                    outcome = load_table(self._pass, matched, inserter, self._progress)
                self._outcome = outcome if ids is None else pd.concat([self._outcome, outcome]).sort_index()
                run.maps[self.plan.name] = self.map()
        self.knows = True

    def _loader(self, connection: sa.Connection) -> Loader:
        return Loader(connection, self._shape.target, self._shape.id, local_infile=self._run.options.local_infile)

    def _levels(self) -> Iterator[Any]:
        """The ids of each turn: None for all at once, unless rows must wait for others of the same table."""
        own = [c for c, parent in self.plan.parents.items() if parent == self.plan.name and c not in self.plan.deferred]
        values = self._shape.own_values()
        if not own and not values:
            yield None
            return
        references = self._pass.reference_ids(own)
        for column, referenced in values.items():
            references[column] = self._pass.owners(column, referenced)
        reached: list[Any] = [np.array([], dtype=np.int64)]
        for ids in levels(references):
            reached.append(ids)
            yield ids
        self._pass.rejects.append(circular(references, np.concatenate(reached), references.columns[0]))

    def member(self, names: list[str]) -> circle.Member:
        return circle.member(self._pass, self._outcome, names)

    def take_back(self, member: circle.Member, ids: list[Any]) -> None:
        """Deletes the rows of this run that turned out to be orphans."""
        self._outcome = member.outcome
        if ids and not self._run.options.dry_run:
            circle.delete(self._pass.connection, member, ids)

    def update(self) -> None:
        """Brings matched rows to the source's values."""
        with self._times("total"), self._times("update"):
            self._outcome = update_table(self._pass, self._outcome, dry_run=self._run.options.dry_run)

    def check(self) -> None:
        """Promise 1: raises `TableFailed` where a source row is neither mapped nor rejected."""
        self._rejects = self._pass.rejected(self._outcome)
        for column, note in self._pass.notes.items():
            self._observer.note(self.plan, f"{self.plan.table}.{column}: {note}")
        total = self._run.source.count(self._shape.source)
        mapped = int(self._outcome[frames.NEW_ID].notna().sum())
        if mapped + len(self._rejects) != total:
            raise TableFailed(
                f"of {total} source rows {mapped} have a target row and {len(self._rejects)} are rejects: the others "
                "are unaccounted for, which is a fault of dfsync; please report it"
            )
        self._observer.rows_done(self.plan, self._mapping(), self.rejects())

    def roll_back(self) -> None:
        self._outcome = self._matched
        self._rejects = frames.no_rejects()

    def map(self) -> pd.DataFrame:
        """`old_id` and `new_id` of the rows that have a target row, for the children."""
        known = self._outcome.loc[self._outcome[frames.NEW_ID].notna().to_numpy(), [frames.NEW_ID]]
        return known.reset_index()

    def mapping(self) -> pd.DataFrame:
        """The mapping frame, as in `SyncResult.mappings`."""
        mapping = self._mapping()
        return mapping[mapping[frames.NEW_ID].notna()]

    def _mapping(self) -> pd.DataFrame:
        """With the rows that a dry run would insert, whose `new_id` is NULL."""
        known = self._outcome[self._outcome[frames.NEW_ID].notna().to_numpy()].drop(columns=FIRST_ID)
        if self._run.options.dry_run:
            known[frames.NEW_ID] = known[frames.NEW_ID].where(known[frames.NEW_ID] > 0)
        taken = {frames.OLD_ID, frames.NEW_ID, frames.ACTION}
        own = [name for name in known.columns if name not in taken]
        renamed = known[[frames.NEW_ID, frames.ACTION, *own]].rename(
            columns={name: f"{name}_key" for name in own if name.lower() in taken}
        )
        return renamed.astype({frames.ACTION: frames.STRING}).reset_index()

    def rejects(self) -> pd.DataFrame:
        return self._rejects.reset_index()

    def close(self, total: int, error: str | None) -> Counts:
        actions = self._outcome.loc[self._outcome[frames.NEW_ID].notna().to_numpy(), frames.ACTION].value_counts()
        synced, skipped, updated = (int(actions.get(action, 0)) for action in (INSERTED, MATCHED, UPDATED))
        return Counts(
            name=self.plan.name,
            table=self.plan.table,
            total=total,
            synced=synced,
            skipped=skipped,
            updated=updated,
            failed=total - synced - skipped - updated,
            error=error,
            seconds=dict(self._times),
        )

    def _progress(self, rows: int) -> None:
        self._done += rows
        self._observer.progress(self.plan, self._done)
