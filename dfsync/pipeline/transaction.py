"""The tables of one transaction: all commit, or all roll back."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa

from dfsync.model import frames
from dfsync.model.errors import DfsyncError, OutputWriteError, SourceError
from dfsync.output import files
from dfsync.output.folder.fingerprint import map_fingerprint
from dfsync.output.journal.record import COMMITTED, ROLLED_BACK, UNKNOWN, Part
from dfsync.output.journal.rows import REPLACED, rows_file, write_rows
from dfsync.output.pieces import remove_pieces
from dfsync.pipeline.cycles.sync import is_cycle, sync_cycle
from dfsync.pipeline.journal.run import NO_ANSWER, TableWrites
from dfsync.pipeline.known.evidence import has_same_ids, replaced_rows
from dfsync.pipeline.known.other_sources import OtherSources
from dfsync.pipeline.known.own_ids import other_ids_of_files
from dfsync.pipeline.observer import OrderedProgress
from dfsync.pipeline.session.session import Session
from dfsync.pipeline.table_sync.sync import TableSync
from dfsync.plan.model import TablePlan
from dfsync.target.connection import display_name, snapshot_transaction
from dfsync.target.errors import RETRYABLE, SERVER_ERRORS, error_code, explain
from dfsync.text.redaction import redact

log = logging.getLogger(__name__)

_ATTEMPTS = 3
_EXPECTED = (*SERVER_ERRORS, pa.ArrowException, OSError, DfsyncError)


class CommitError(Exception):
    """The server refused a COMMIT, or did not answer.

    Parameters
    ----------
    cause
        What it raised.
    """

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


@dataclass(frozen=True)
class GroupResult:
    """What became of the tables of one transaction.

    Attributes
    ----------
    tables
        Those that the source has.
    error
        Why they rolled back; None where they are committed.
    """

    tables: list[TableSync]
    error: str | None


def sync_group(session: Session, group: Sequence[TablePlan], progress: OrderedProgress, folder: Path) -> GroupResult:
    """Sync the tables of one transaction: all of them commit, or all of them roll back.

    Parameters
    ----------
    session
        What the run has open.
    group
        One table, or tables that refer to each other in a circle.
    progress
        Hears how far the tables are.
    folder
        Where the mappings and rejects are written.

    Returns
    -------
    GroupResult
    """
    if session.options.jobs == 1:
        # With one job, do not start before the previous table was reported.
        progress.wait_for_turn(group[0])
    tables, error = _attempt(session, group, progress, folder)
    if error is not None:
        for table in tables:
            table.roll_back()
    for table in tables:
        if table.selected:
            _record(session, table, folder)
    return GroupResult(tables, error)


def _attempt(
    session: Session, group: Sequence[TablePlan], progress: OrderedProgress, folder: Path
) -> tuple[list[TableSync], str | None]:
    """The tables after the attempt that counts, and why it failed; what may pass by itself is tried again."""
    present = [session.bindings[table.name] for table in group if table.name in session.bindings]
    attempt = 1
    while True:
        # Each attempt begins anew, since its snapshot may show other rows.
        tables = [TableSync(session, binding, progress, folder) for binding in present]
        try:
            _sync_tables(session, tables, folder)
            return tables, None
        except Exception as fault:
            if session.source.stopped:
                raise
            if isinstance(fault, CommitError):
                outcome, error = _settle(session, tables, fault)
                if outcome != ROLLED_BACK:
                    return tables, error
                fault = fault.cause
            elif session.journal is not None:
                with collect_write_errors(session, folder):
                    session.journal.mark([table.plan.name for table in tables], ROLLED_BACK)
            log.debug("attempt %d of %s failed", attempt, [table.name for table in group], exc_info=True)
            if isinstance(fault, SourceError) and not any(table.in_pieces for table in tables):
                # The next one is without this file.
                _close_all(tables)
                continue
            error = explain(fault) if isinstance(fault, _EXPECTED) else _internal_error(fault)
            # What is committed in pieces would be called matched by another attempt.
            if error_code(fault) not in RETRYABLE or any(t.in_pieces for t in tables) or attempt == _ATTEMPTS:
                return tables, error
            log.warning("%s: %s; once more", group[0].name, error)
            _close_all(tables)
            attempt += 1


def _close_all(tables: Sequence[TableSync]) -> None:
    for table in tables:
        table.close()


def _internal_error(fault: Exception) -> str:
    said = redact(f"{type(fault).__name__}: {fault}")
    return f"a fault of dfsync, please report it ({said}); with --debug it shows the traceback"


def _sync_tables(session: Session, tables: Sequence[TableSync], folder: Path) -> None:
    names = ", ".join(table.plan.name for table in tables)
    with session.connected() as connection, snapshot_transaction(connection) as transaction:
        # The transaction sees the target as it is now, plus what it does itself: see `BulkLoader`.
        log.debug("began the transaction of %s", names)
        source = session.source.current()
        for table in tables:
            table.open(connection, source)
        if is_cycle(tables):
            sync_cycle(tables, dry_run=session.options.dry_run)
            for table in tables:
                table.note_one_transaction()
        else:
            for table in tables:
                table.run()
        selected = [table for table in tables if table.selected]
        for table in selected:
            table.update()
            first = session.options.dry_run or files.is_first_sync(folder, table.plan.name, table.plan.id)
            if table.plan.on_match != "update":
                table.compare(first=first)
            table.find_moved()
        for table in selected:
            table.check()
            table.unchanged.look(table.ledger)
        if session.options.dry_run:
            transaction.rollback()
            return
        if session.journal is not None:
            session.journal.write([TableWrites(table.binding, partial(_write_journal, table)) for table in selected])
        try:
            transaction.commit()
        except Exception as error:
            raise CommitError(error) from error
    if session.journal is not None:
        with collect_write_errors(session, folder):
            session.journal.mark([table.plan.name for table in selected], COMMITTED)


def _write_journal(table: TableSync, run: Path, part: int) -> Part:
    context, name = table.context, table.plan.name
    assert context.journal is not None
    with context.timer("total"), context.timer("journal"):
        written = context.journal.write(run, part, *table.ledger.inserted_rows())
        # Also where the new rows were committed in pieces before.
        if context.kept is not None and (written.updated or table.ledger.created.any()):
            replaced = replaced_rows(context.kept, table.ledger, table.followers)
            write_rows(rows_file(run, REPLACED, name, part), [replaced])
        return written


def _settle(session: Session, tables: Sequence[TableSync], fault: CommitError) -> tuple[str, str | None]:
    """Look whether a COMMIT without an answer counted: the state of its tables, and what to say where it did not."""
    reason = explain(fault.cause)
    log.debug("no answer to a COMMIT: %s", reason)
    try:
        if session.journal is None or session.journal.settle([t.plan.name for t in tables], session.engine):
            return COMMITTED, None
    except _EXPECTED:
        log.debug("whether it counted cannot be seen", exc_info=True)
        return UNKNOWN, NO_ANSWER.format(reason=reason)
    return ROLLED_BACK, None


def _record(session: Session, table: TableSync, folder: Path) -> None:
    if table.plan.id is not None and table.fully_matched:
        # What a dry run would insert has no id yet.
        name, found = table.plan.name, (part[part[frames.NEW_ID].notna()] for part in table.mapping())
        others = OtherSources.of(table.context.source, display_name(session.engine.url), table.plan, folder)
        with collect_write_errors(session, folder):
            if session.options.dry_run:
                files.write_mapping(folder, name, found, others.origin)
            else:
                # They are made from the files of the last run, which are replaced below.
                (until_then, unmapped), moved = _read_last_run(table, folder)
                others_unmapped = others.unmapped()
                # In this order every row of the last run is in a file, wherever the run is killed.
                files.write_beside_mapping(folder, files.UNMAPPED, name, others.beside(until_then, others_unmapped))
                files.write_beside_mapping(folder, files.REKEYED, name, moved)
                files.write_beside_mapping(
                    folder, files.OTHER_IDS, name, other_ids_of_files(table.context, table.ledger)
                )
                if not table.unchanged.keeps_map(table.ledger):
                    if has_same_ids(folder, name, table.ledger):
                        session.same_ids[name] = map_fingerprint(folder, name)
                    files.write_mapping(folder, name, found, others.origin, others.mapped())
                if unmapped is not until_then:
                    files.write_beside_mapping(folder, files.UNMAPPED, name, others.beside(unmapped, others_unmapped))
                remove_pieces(folder, name)
                table.unchanged.write(folder)
    with collect_write_errors(session, folder):
        files.write_rejects(folder, table.plan.name, table.rejects())


def _read_last_run(table: TableSync, folder: Path) -> tuple[tuple[pa.Table, pa.Table], pa.Table]:
    try:
        return table.unmapped(), table.moved()
    except (OSError, pa.ArrowException) as error:
        # The map stays as it is, too: a new one would be without these rows.
        path = folder / files.UNMAPPED / f"{table.plan.name}.parquet"
        raise OutputWriteError(path, error if isinstance(error, OSError) else OSError(str(error))) from error


@contextmanager
def collect_write_errors(session: Session, folder: Path) -> Iterator[None]:
    """Note files that cannot be written, and go on: the rows are in the target."""
    try:
        yield
    except OutputWriteError as error:
        session.write_errors[str(error.path.relative_to(folder))] = error.reason
