"""The orchestrator: walks the plan, opens each table's transaction, passes frames from stage to stage.

The command line, the notebook and the tests all call `sync`.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pymysql
import sqlalchemy as sa

from dfsync import circle, frames, record
from dfsync import target as server
from dfsync.circle_match import match_circle
from dfsync.errors import DfsyncError, NotWritten, TableFailed
from dfsync.execution.task_graph import TaskGraph
from dfsync.graph import group_dependencies, transaction_groups
from dfsync.masking import masked
from dfsync.options import Options
from dfsync.plan import TablePlan
from dfsync.progress import Progress
from dfsync.readiness import fail_if_not_transactional
from dfsync.result import Counts, Frames, Observer, SyncResult
from dfsync.run import Run, prepare
from dfsync.settings import open_target
from dfsync.work import Work

log = logging.getLogger(__name__)

_ATTEMPTS = 3
_EXPECTED = (sa.exc.SQLAlchemyError, pymysql.MySQLError, pa.ArrowException, OSError, DfsyncError)


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
    with open_target(target, source) as choice:
        run = prepare(source, choice.url, options or Options())
        with run, nullcontext() if run.options.dry_run else server.alone(run.engine):
            return _sync(run, Path(out), observer or Observer())


def _sync(run: Run, out: Path, observer: Observer) -> SyncResult:
    started, start = datetime.now(UTC), time.perf_counter()
    fail_if_not_transactional(run.shapes[name].target for name in run.names if name in run.shapes)
    observer.run_started(run.plan, run.names)
    with _folder(out, dry_run=run.options.dry_run) as (folder, keep):
        before = record.forget_elsewhere(folder, server.place(run.engine.url), whole=run.names == run.plan.names)
        if before is not None:
            observer.maps_removed(folder, before)
        counts = _sync_groups(run, transaction_groups(run.plan), folder, observer)
        result = SyncResult(
            counts=tuple(counts),
            mappings=_frames(run, folder / record.MAPPINGS, [c.name for c in counts if _has_map(run, c)], _no_mapping),
            rejects=_frames(run, folder / record.REJECTS, [c.name for c in counts], _no_rejects),
            seconds=time.perf_counter() - start,
            dry_run=run.options.dry_run,
            keep=keep,
            plan=run.plan,
            started=started.isoformat(timespec="seconds"),
            source=str(run.source.path),
            target=server.place(run.engine.url),
            out=None if run.options.dry_run else str(folder),
            unwritten=run.unwritten,
        )
        if not run.options.dry_run:
            with _noting(run, folder):
                record.write_id_mappings(folder, run.plan.names)
            with _noting(run, folder):
                record.write_summary(folder, result)
    observer.run_finished(result)
    return result


@dataclass(frozen=True)
class _Ended:
    """What has come of the tables of one transaction, and why they rolled back if they did."""

    works: list[Work]
    error: str | None


def _sync_groups(run: Run, groups: list[list[TablePlan]], folder: Path, observer: Observer) -> list[Counts]:
    """Each group as soon as those that it needs have committed, and told of in their order."""
    progress = Progress(observer)
    enforced = {name: [key.parent for key in shape.target.references] for name, shape in run.shapes.items()}
    graph = TaskGraph(
        [partial(_sync_group, run, group, progress, folder) for group in groups],
        group_dependencies(groups, enforced),
        run.options.jobs,
        partial(_stop, run, progress),
    )
    turns = list(zip(groups, graph.futures, strict=True))
    counts: list[dict[str, Counts]] = []
    told = 0
    try:
        with graph:
            for group, ended in turns:
                counts.append(_announce(run, group, progress, observer))
                progress.turn(group[0])
                _tell(ended.result(), counts[-1], observer)
                told += 1
    except KeyboardInterrupt:
        # Of those that were in work, or done, and whose turn had not come or was not over.
        for turn, (group, ended) in list(enumerate(turns))[told:]:
            if not ended.cancelled():
                announced = counts[turn] if turn < len(counts) else _announce(run, group, progress, observer)
                if ended.exception() is None:
                    _tell(ended.result(), announced, observer)
        raise
    return [count for each in counts for count in each.values()]


def _stop(run: Run, progress: Progress) -> None:
    run.stop()
    progress.stop()


def _sync_group(run: Run, group: list[TablePlan], progress: Progress, folder: Path) -> _Ended:
    """The tables of one transaction: all of them commit, or all of them roll back."""
    if run.options.jobs == 1:
        # One at a time is so for whoever looks on, too.
        progress.wait(group[0])
    present = [table for table in group if table.name in run.shapes]
    error: str | None = None
    for attempt in range(1, _ATTEMPTS + 1):
        works = [Work(run, run.shapes[table.name], progress, folder) for table in present]
        try:
            _sync_together(run, works)
            break
        except Exception as fault:
            if run.source.stopped:
                raise
            log.debug("attempt %d of %s failed", attempt, [table.name for table in group], exc_info=True)
            error = server.refusal(fault) if isinstance(fault, _EXPECTED) else _own_fault(fault)
            if server.error_code(fault) not in server.TRY_AGAIN or attempt == _ATTEMPTS:
                for work in works:
                    work.roll_back()
                break
            log.warning("%s: %s; once more", group[0].name, error)
            error = None
            for work in works:
                work.release()
    for work in works:
        run.maps[work.plan.name] = work.map()
        if work.asked:
            _record(run, work, folder)
    return _Ended(works, error)


def _tell(ended: _Ended, counts: dict[str, Counts], observer: Observer) -> None:
    """Tells of the tables of a transaction when it is their turn."""
    for work in ended.works:
        if work.asked:
            if ended.error is None:
                work.tell(observer)
            counts[work.plan.name] = work.close(counts[work.plan.name].total, ended.error)
            observer.table_finished(work.plan, counts[work.plan.name])
        work.release()


def _own_fault(fault: Exception) -> str:
    said = masked(f"{type(fault).__name__}: {fault}")
    return f"a fault of dfsync, please report it ({said}); with --debug it shows the traceback"


def _announce(run: Run, group: list[TablePlan], progress: Progress, observer: Observer) -> dict[str, Counts]:
    counts = {table.name: Counts(table.name, table.table) for table in group if table.name in run.names}
    for table in group:
        have = run.source.schema.find(table.table)
        if table.name not in counts:
            continue
        if have is None:
            counts[table.name].note = f"the source has no table {table.table}"
            observer.table_missing(table, counts[table.name].note or "")
        else:
            # One that cannot be counted fails when it is read.
            with suppress(DfsyncError):
                counts[table.name].total = run.source.count(have)
            progress.tell(table, counts[table.name].total)
    return counts


def _sync_together(run: Run, works: list[Work]) -> None:
    with run.connected() as connection, _transaction(connection) as transaction:
        # From here on the transaction sees the target as it is now, plus what it does itself: see `load.Loader`.
        connection.execute(sa.text("START TRANSACTION WITH CONSISTENT SNAPSHOT"))
        try:
            match_circle([work.begin(connection) for work in works])
            for work in works:
                work.go()
            _close_circle(run, works, connection)
        except RuntimeError as error:
            # What PyMySQL says of a server that asks for a file unasked. No ROLLBACK: it may wait for ever.
            connection.invalidate()
            raise TableFailed(f"the server does not keep to the protocol, and got nothing: {error}") from error
        for work in works:
            if work.asked:
                work.check()
        if run.options.dry_run:
            transaction.rollback()


@contextmanager
def _transaction(connection: sa.Connection) -> Iterator[sa.RootTransaction]:
    """Commits at its end, or rolls back for an error, which is told also where that fails."""
    transaction = connection.begin()
    try:
        yield transaction
    except BaseException:
        try:
            transaction.rollback()
        except Exception:
            log.debug("no ROLLBACK gets through; without the connection the server does it", exc_info=True)
            connection.invalidate()
        raise
    if transaction.is_active:
        transaction.commit()


def _close_circle(run: Run, works: list[Work], connection: sa.Connection) -> None:
    """Gives what could not be known before the last row was in: deferred foreign keys, then updates."""
    names = [work.plan.name for work in works]
    works = [work for work in works if work.asked]
    if any(work.plan.deferred for work in works):
        members = {work.plan.name: work.member(names) for work in works}
        maps = {name: run.maps[name] for name in names}
        doomed = circle.drop_orphans(list(members.values()), maps, dry_run=run.options.dry_run)
        for work in reversed(works):
            work.take_back(doomed[work.plan.name])
            run.maps[work.plan.name] = work.map()
        if not run.options.dry_run:
            for work in works:
                refused = circle.fill(members[work.plan.name], connection, run.maps)
                if len(refused):
                    raise TableFailed(f"a reference within the circle was refused: {refused['reason'].iloc[0]}")
    for work in works:
        if work.plan.on_match == "update":
            work.update()


def _record(run: Run, work: Work, folder: Path) -> None:
    if work.plan.id is not None and work.knows:
        # What a dry run would insert has no id yet.
        found = (part[part[frames.NEW_ID].notna()] for part in work.mappings())
        with _noting(run, folder):
            record.write_mapping(folder, work.plan.name, found)
    with _noting(run, folder):
        record.write_rejects(folder, work.plan.name, work.rejects())


@contextmanager
def _noting(run: Run, folder: Path) -> Iterator[None]:
    """The rows are in the target, so that a file for which there is no room is no reason to stop."""
    try:
        yield
    except NotWritten as error:
        run.unwritten[str(error.path.relative_to(folder))] = error.reason


@contextmanager
def _folder(out: Path, *, dry_run: bool) -> Iterator[tuple[Path, Any]]:
    """Where the files go, and what keeps them there: a dry run leaves none behind its result."""
    keep = tempfile.TemporaryDirectory(prefix="dfsync-") if dry_run else None
    folder = Path(keep.name) if keep else out
    record.open_folder(folder)
    yield folder, keep


def _frames(run: Run, folder: Path, names: Iterable[str], empty: Callable[[], pd.DataFrame]) -> Frames:
    """Those of the files that were written."""
    return Frames(folder, [name for name in names if f"{folder.name}/{name}.parquet" not in run.unwritten], empty)


def _has_map(run: Run, counts: Counts) -> bool:
    return counts.note is None and run.plan[counts.name].id is not None


def _no_mapping() -> pd.DataFrame:
    none = pa.array([], pa.int64())
    table = pa.table({frames.OLD_ID: none, frames.NEW_ID: none, frames.ACTION: pa.array([], pa.string())})
    return frames.to_frame(table)


def _no_rejects() -> pd.DataFrame:
    return frames.no_rejects().reset_index()
