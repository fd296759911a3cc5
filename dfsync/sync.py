"""The orchestrator: walks the plan, opens each table's transaction, passes frames from stage to stage.

The command line, the notebook and the tests all call `sync`.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pymysql
import sqlalchemy as sa

from dfsync import circle, frames, record
from dfsync import target as server
from dfsync.discover import choose_plan, circles, complete
from dfsync.errors import DfsyncError, TableFailed
from dfsync.levels import circular, levels
from dfsync.load import Loader
from dfsync.match import FIRST_ID
from dfsync.options import Options
from dfsync.plan import Plan, TablePlan, only, with_on_match
from dfsync.result import INSERTED, MATCHED, UPDATED, Counts, Frames, Observer, SyncResult
from dfsync.settings import open_target
from dfsync.shape import Shape, shapes
from dfsync.source import Source
from dfsync.table import Rehearsal, TablePass, load_table, match_table, no_outcome, update_table
from dfsync.times import Times

log = logging.getLogger(__name__)

_ATTEMPTS = 3
# Lock wait timeout, deadlock, record changed since the snapshot: a fresh transaction may have better luck.
_TRY_AGAIN = {1205, 1213, 1020}


def sync(
    source: str | Path,
    target: str | sa.URL | None = None,
    *,
    out: str | Path = "dfsync-out",
    options: Options | None = None,
    observer: Observer | None = None,
) -> SyncResult:
    """Gives every row of the source a row in the target, and keeps the map from old to new id in `out`.

    `target` is a URL; None looks where the command line looks. Raises `DfsyncError` where it cannot start; a table
    that fails is in the result, and the others go on.
    """
    with open_target(target) as choice:
        run = prepare(source, choice.url, options or Options())
        with run, nullcontext() if run.options.dry_run else server.alone(run.engine):
            return _sync(run, Path(out), observer or Observer())


@dataclass
class Run:
    """Owns what one run has open: the source's snapshot and the engine of the server."""

    source: Source
    engine: sa.Engine
    options: Options
    plan: Plan
    names: list[str]
    """The tables to sync, in the plan's order."""
    shapes: dict[str, Shape]
    """Of those that the source has, and of the parents whose maps they need."""
    maps: dict[str, pd.DataFrame] = field(default_factory=dict)

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.source.close()
        self.engine.dispose()


def prepare(source: str | Path, url: str | sa.URL, options: Options) -> Run:
    """Opens both ends and completes the plan. Raises `DfsyncError` for whatever keeps the run from starting."""
    opened = Source(source)
    engine = server.make_engine(url)
    try:
        with server.connect(engine) as connection:
            there = server.reflect(connection)
        draft = with_on_match(choose_plan(options.plan, opened.schema), options.on_match)
        plan = complete(draft, opened.schema, there)
        names = only(plan, options.tables or plan.names)
        needed = [name for name in plan.names if name in {*names, *plan.ancestors(names)}]
        present = [name for name in needed if opened.schema.find(plan[name].table) is not None]
        server.fail_if_missing(there, [plan[name].table for name in present])
        return Run(opened, engine, options, plan, names, shapes(plan, present, opened.schema, there))
    except BaseException:
        opened.close()
        engine.dispose()
        raise


def _sync(run: Run, out: Path, observer: Observer) -> SyncResult:
    started, start = datetime.now(UTC), time.perf_counter()
    observer.run_started(run.plan, run.names)
    with _folder(out, dry_run=run.options.dry_run) as (folder, keep):
        counts = [count for group in _groups(run.plan) for count in _sync_group(run, group, folder, observer)]
        result = SyncResult(
            counts=tuple(counts),
            mappings=Frames(folder / record.MAPPINGS, [c.name for c in counts if _has_map(run, c)], _no_mapping),
            rejects=Frames(folder / record.REJECTS, [c.name for c in counts], _no_rejects),
            seconds=time.perf_counter() - start,
            dry_run=run.options.dry_run,
            keep=keep,
            plan=run.plan,
            started=started.isoformat(timespec="seconds"),
            source=str(run.source.path),
            target=server.place(run.engine.url),
        )
        if not run.options.dry_run:
            record.write_id_mappings(folder, run.plan.names)
            record.write_summary(folder, result)
    observer.run_finished(result)
    return result


def _groups(plan: Plan) -> Iterator[list[TablePlan]]:
    """The tables of each transaction: one, or those that refer to each other in a circle."""
    together = circles(plan.tables)
    seen: set[str] = set()
    for table in plan.tables:
        circle = next((circle for circle in together if table.name in circle), {table.name})
        if table.name not in seen:
            yield [other for other in plan.tables if other.name in circle]
        seen |= circle


def _sync_group(run: Run, group: list[TablePlan], folder: Path, observer: Observer) -> list[Counts]:
    """The tables of one transaction: all of them commit, or all of them roll back."""
    counts = _announce(run, group, observer)
    present = [table for table in group if table.name in run.shapes]
    error: str | None = None
    for attempt in range(1, _ATTEMPTS + 1):
        works = [Work(run, run.shapes[table.name], observer) for table in present]
        try:
            _sync_together(run, works)
            break
        except (sa.exc.SQLAlchemyError, pymysql.MySQLError, OSError, DfsyncError) as fault:
            log.debug("attempt %d of %s failed", attempt, [table.name for table in group], exc_info=True)
            error = server.refusal(fault)
            if server.error_code(fault) not in _TRY_AGAIN or attempt == _ATTEMPTS:
                for work in works:
                    work.roll_back()
                break
            log.warning("%s: %s; once more", group[0].name, error)
            error = None
    for work in works:
        run.maps[work.plan.name] = work.map()
        if work.asked:
            counts[work.plan.name] = work.close(counts[work.plan.name].total, error)
            _record(run, work, folder)
            observer.table_finished(work.plan, counts[work.plan.name])
    return list(counts.values())


def _announce(run: Run, group: list[TablePlan], observer: Observer) -> dict[str, Counts]:
    counts = {table.name: Counts(table.name, table.table) for table in group if table.name in run.names}
    for table in group:
        have = run.source.schema.find(table.table)
        if table.name not in counts:
            continue
        if have is None:
            counts[table.name].note = f"the source has no table {table.table}"
            observer.table_missing(table, counts[table.name].note or "")
        else:
            counts[table.name].total = run.source.count(have)
            observer.table_started(table, counts[table.name].total)
    return counts


def _sync_together(run: Run, works: list[Work]) -> None:
    with server.connect(run.engine) as connection, connection.begin() as transaction:
        # From here on the transaction sees the target as it is now, plus what it does itself: see `load.Loader`.
        connection.execute(sa.text("START TRANSACTION WITH CONSISTENT SNAPSHOT"))
        for work in works:
            work.go(connection)
            run.maps[work.plan.name] = work.map()
        _close_circle(run, works, connection)
        for work in works:
            if work.asked:
                work.check()
        if run.options.dry_run:
            transaction.rollback()


def _close_circle(run: Run, works: list[Work], connection: sa.Connection) -> None:
    """Gives what could not be known before the last row was in: deferred foreign keys, then updates."""
    names = [work.plan.name for work in works]
    works = [work for work in works if work.asked]
    if any(work.plan.deferred for work in works):
        members = {work.plan.name: work.member(names) for work in works}
        doomed = circle.drop_orphans(list(members.values()), {name: run.maps[name] for name in names})
        for work in reversed(works):
            work.take_back(members[work.plan.name], doomed[work.plan.name])
            run.maps[work.plan.name] = work.map()
        if not run.options.dry_run:
            for work in works:
                refused = circle.fill(members[work.plan.name], connection, run.maps)
                if len(refused):
                    raise TableFailed(f"a reference within the circle was refused: {refused['reason'].iloc[0]}")
    for work in works:
        if work.plan.on_match == "update":
            work.update()


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
        """Whether every row was looked for in the target; what an earlier run found stands until then."""

    def go(self, connection: sa.Connection) -> None:
        """Matches every row and, unless the table is only asked for its map, inserts what is new."""
        run, shape, options = self._run, self._shape, self._run.options
        self._pass = TablePass(shape, run.source, connection, run.maps, options.batch_size, self._times)
        run.maps[self.plan.name] = self.map()
        inserter = Rehearsal() if options.dry_run else self._loader(connection)
        with self._times("total"):
            for ids in self._levels():
                matched = outcome = match_table(self._pass, ids)
                self._matched = matched if ids is None else pd.concat([self._matched, matched]).sort_index()
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
        if not own:
            yield None
            return
        references = self._pass.reference_ids(own)
        reached: list[Any] = [np.array([], dtype=np.int64)]
        for ids in levels(references):
            reached.append(ids)
            yield ids
        self._pass.rejects.append(circular(references, np.concatenate(reached), own[0]))

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


def _record(run: Run, work: Work, folder: Path) -> None:
    if work.plan.id is not None and work.knows:
        record.write_mapping(folder, work.plan.name, work.mapping())
    record.write_rejects(folder, work.plan.name, work.rejects())


@contextmanager
def _folder(out: Path, *, dry_run: bool) -> Iterator[tuple[Path, Any]]:
    """Where the files go, and what keeps them there: a dry run leaves none behind its result."""
    keep = tempfile.TemporaryDirectory(prefix="dfsync-") if dry_run else None
    folder = Path(keep.name) if keep else out
    record.open_folder(folder)
    yield folder, keep


def _has_map(run: Run, counts: Counts) -> bool:
    return counts.note is None and run.plan[counts.name].id is not None


def _no_mapping() -> pd.DataFrame:
    none = pa.array([], pa.int64())
    table = pa.table({frames.OLD_ID: none, frames.NEW_ID: none, frames.ACTION: pa.array([], pa.string())})
    return frames.to_frame(table)


def _no_rejects() -> pd.DataFrame:
    return frames.no_rejects().reset_index()
