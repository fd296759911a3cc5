"""The tables of one transaction: all commit, or all roll back."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pymysql
import sqlalchemy as sa

from dfsync.model import frames
from dfsync.model.errors import DfsyncError, OutputWriteError, TableError
from dfsync.output import files
from dfsync.pipeline.cycles.matching import match_cycle_content
from dfsync.pipeline.cycles.orphans import fill_deferred, resolve_orphans
from dfsync.pipeline.observer import OrderedProgress
from dfsync.pipeline.session import Session
from dfsync.pipeline.table_sync import TableSync
from dfsync.plan.model import TablePlan
from dfsync.target.errors import RETRYABLE, error_code, explain
from dfsync.text.redaction import redact

log = logging.getLogger(__name__)

_ATTEMPTS = 3
_EXPECTED = (sa.exc.SQLAlchemyError, pymysql.MySQLError, pa.ArrowException, OSError, DfsyncError)


@dataclass(frozen=True)
class GroupResult:
    """What has come of the tables of one transaction, and why they rolled back if they did."""

    works: list[TableSync]
    error: str | None


def sync_group(run: Session, group: list[TablePlan], progress: OrderedProgress, folder: Path) -> GroupResult:
    """The tables of one transaction: all of them commit, or all of them roll back."""
    if run.options.jobs == 1:
        # One at a time is so for whoever looks on, too.
        progress.wait_for_turn(group[0])
    present = [table for table in group if table.name in run.bindings]
    error: str | None = None
    for attempt in range(1, _ATTEMPTS + 1):
        works = [TableSync(run, run.bindings[table.name], progress, folder) for table in present]
        try:
            _sync_together(run, works)
            break
        except Exception as fault:
            if run.source.stopped:
                raise
            log.debug("attempt %d of %s failed", attempt, [table.name for table in group], exc_info=True)
            error = explain(fault) if isinstance(fault, _EXPECTED) else _internal_error(fault)
            if error_code(fault) not in RETRYABLE or attempt == _ATTEMPTS:
                for work in works:
                    work.roll_back()
                break
            log.warning("%s: %s; once more", group[0].name, error)
            error = None
            for work in works:
                work.close()
    for work in works:
        run.mappings[work.plan.name] = work.map()
        if work.selected:
            _record(run, work, folder)
    return GroupResult(works, error)


def _internal_error(fault: Exception) -> str:
    said = redact(f"{type(fault).__name__}: {fault}")
    return f"a fault of dfsync, please report it ({said}); with --debug it shows the traceback"


def _sync_together(run: Session, works: list[TableSync]) -> None:
    with run.connected() as connection, _transaction(connection) as transaction:
        # From here on the transaction sees the target as it is now, plus what it does itself: see `load.Loader`.
        connection.execute(sa.text("START TRANSACTION WITH CONSISTENT SNAPSHOT"))
        try:
            match_cycle_content([work.open(connection) for work in works])
            for work in works:
                work.run()
            _finish_cycle(run, works, connection)
        except RuntimeError as error:
            # What PyMySQL says of a server that asks for a file unasked. No ROLLBACK: it may wait for ever.
            connection.invalidate()
            raise TableError(f"the server does not keep to the protocol, and got nothing: {error}") from error
        for work in works:
            if work.selected:
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


def _finish_cycle(run: Session, works: list[TableSync], connection: sa.Connection) -> None:
    """Gives what could not be known before the last row was in: deferred foreign keys, then updates."""
    names = [work.plan.name for work in works]
    works = [work for work in works if work.selected]
    if any(work.plan.deferred for work in works):
        members = {work.plan.name: work.member(names) for work in works}
        maps = {name: run.mappings[name] for name in names}
        doomed = resolve_orphans(list(members.values()), maps, dry_run=run.options.dry_run)
        for work in reversed(works):
            work.delete_orphans(doomed[work.plan.name])
            run.mappings[work.plan.name] = work.map()
        if not run.options.dry_run:
            for work in works:
                refused = fill_deferred(members[work.plan.name], connection, run.mappings)
                if len(refused):
                    raise TableError(f"a reference within the circle was refused: {refused['reason'].iloc[0]}")
    for work in works:
        if work.plan.on_match == "update":
            work.update()


def _record(run: Session, work: TableSync, folder: Path) -> None:
    if work.plan.id is not None and work.fully_matched:
        # What a dry run would insert has no id yet.
        found = (part[part[frames.NEW_ID].notna()] for part in work.mappings())
        with collect_write_errors(run, folder):
            files.write_mapping(folder, work.plan.name, found)
    with collect_write_errors(run, folder):
        files.write_rejects(folder, work.plan.name, work.rejects())


@contextmanager
def collect_write_errors(run: Session, folder: Path) -> Iterator[None]:
    """The rows are in the target, so that a file for which there is no room is no reason to stop."""
    try:
        yield
    except OutputWriteError as error:
        run.write_errors[str(error.path.relative_to(folder))] = error.reason
