"""The order of a run: groups of tables, each in a transaction, several at a time."""

from __future__ import annotations

import logging
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from dfsync.execution.task_graph import TaskGraph
from dfsync.model import frames
from dfsync.model.errors import DfsyncError
from dfsync.model.rejects import no_rejects
from dfsync.output import files
from dfsync.output.folder.id_mappings import (
    ids_stand,
    note_maps,
    write_id_mappings,
    write_id_mappings_of_each,
)
from dfsync.output.folder.same_ends import discard_other_target, require_same_source
from dfsync.output.journal.record import RunRecord
from dfsync.output.mappings import LazyFrames
from dfsync.output.pieces import remove_empty_folder
from dfsync.output.result import SyncResult, TableCounts, count_sources
from dfsync.pipeline.journal.run import RunJournal
from dfsync.pipeline.journal.settle import settle_runs
from dfsync.pipeline.observer import Observer, OrderedProgress
from dfsync.pipeline.session.file_rows import of_files
from dfsync.pipeline.session.session import Session
from dfsync.pipeline.transaction import GroupResult, collect_write_errors, sync_group
from dfsync.plan.graph import group_dependencies, transaction_groups
from dfsync.plan.model import TablePlan
from dfsync.source.base import title
from dfsync.target.connection import display_name
from dfsync.target.schema.preconditions import require_transactional
from dfsync.text.wording import other_ids, other_values, with_count

log = logging.getLogger(__name__)


def run_sync(session: Session, out: Path, observer: Observer) -> SyncResult:
    """Sync the tables of a session, in the order of its plan.

    Parameters
    ----------
    session
        What the run has open.
    out
        The folder for mappings, rejects and summary; a dry run leaves nothing there.
    observer
        Hears of every table in the plan's order.

    Returns
    -------
    SyncResult
        Also of tables that failed: the other tables continue.
    """
    started, start = datetime.now(UTC), time.perf_counter()
    require_transactional(session.bindings[name].target for name in session.names if name in session.bindings)
    require_same_source(out, session.source.files)
    observer.run_started(session.plan, session.names)
    dry_run, several = session.options.dry_run, session.source.several
    with _folder(out, dry_run=dry_run) as (folder, keep):
        target = display_name(session.engine.url)
        before = discard_other_target(folder, target, whole=session.names == session.plan.names)
        if before is not None:
            observer.maps_removed(folder, before)
        if not dry_run:
            settle_runs(folder, session.engine)
            session.journal = RunJournal.begin(folder, _record_of(session, started), session.options.keep_runs)
        counts = _sync_groups(session, folder, observer)
        mapped = [c.name for c in counts if c.note is None and session.plan[c.name].id is not None]
        result = SyncResult(
            counts=tuple(counts),
            mappings=_frames(session, folder / files.MAPPINGS, mapped, _no_mapping),
            rejects=_frames(session, folder / files.REJECTS, [c.name for c in counts], _no_rejects),
            seconds=time.perf_counter() - start,
            dry_run=dry_run,
            keep=keep,
            plan=session.plan,
            started=started.isoformat(timespec="seconds"),
            source=title(session.source),
            sources=count_sources(session.source.files, counts, session.source.failures) if several else (),
            target=target,
            out=None if dry_run else str(folder),
            write_errors=session.write_errors,
        )
        if not dry_run:
            remove_empty_folder(folder)
            with collect_write_errors(session, folder):
                _write_id_mappings(session, folder)
            if session.journal is not None:
                with collect_write_errors(session, folder):
                    for record in session.journal.finish(counts, session.source.failures):
                        if record.is_half_done:
                            observer.run_dropped(record)
            with collect_write_errors(session, folder):
                files.write_summary(folder, result)
    observer.run_finished(result)
    return result


def _write_id_mappings(session: Session, folder: Path) -> None:
    names = session.plan.names
    if session.source.several:
        write_id_mappings_of_each(folder, names)
        return
    if not ids_stand(folder, names, session.same_ids):
        write_id_mappings(folder, names)
    note_maps(folder, names)


def _record_of(session: Session, started: datetime) -> RunRecord:
    options = session.options
    chosen = {
        "tables": session.names,
        "on_match": options.on_match,
        "keep_ids": options.keep_ids,
        "batch_size": options.batch_size,
    }
    return RunRecord(
        id="",
        started=started.isoformat(timespec="seconds"),
        source=title(session.source) if session.source.several else str(session.source.path.resolve()),
        target=display_name(session.engine.url),
        dfsync=version("dfsync"),
        plan=session.plan.as_dict(),
        options=chosen,
        sources=[file.name for file in session.source.files] if session.source.several else [],
    )


def _sync_groups(session: Session, folder: Path, observer: Observer) -> list[TableCounts]:
    """Sync each group as soon as those that it needs are done, and report them in the plan's order.

    A group is done also where it rolled back: rows whose parent got no target row are then rejects.
    """
    groups = list(transaction_groups(session.plan))
    enforced = {name: [key.parent for key in binding.target.references] for name, binding in session.bindings.items()}
    progress = OrderedProgress(observer)
    graph = TaskGraph(
        [partial(sync_group, session, group, progress, folder) for group in groups],
        group_dependencies(groups, enforced),
        session.options.jobs,
        partial(_cancel, session, progress),
    )
    pending = deque(zip(groups, graph.futures, strict=True))
    counts: dict[str, TableCounts] = {}
    try:
        with graph:
            while pending:
                group, future = pending[0]
                _announce(session, group, counts, progress)
                progress.begin_turn(group[0])
                _report(future.result(), counts, observer)
                pending.popleft()
    except KeyboardInterrupt:
        # Groups that had started, and were not yet reported.
        for group, future in pending:
            if not future.cancelled():
                _announce(session, group, counts, progress)
                if future.exception() is None:
                    _report(future.result(), counts, observer)
        raise
    return list(counts.values())


def _cancel(session: Session, progress: OrderedProgress) -> None:
    session.stop()
    progress.stop()


def _announce(
    session: Session, group: Sequence[TablePlan], counts: dict[str, TableCounts], progress: OrderedProgress
) -> None:
    """Report that the turn of a group has come, and enter its tables into the counts."""
    for table in group:
        if table.name not in session.names or table.name in counts:
            continue
        entry = TableCounts(table.name, table.table)
        source_table = session.source.schema.find(table.table)
        if source_table is None:
            entry.note = f"the source has no table {table.table}"
            progress.observer.table_missing(table, entry.note)
        else:
            # A table that cannot be counted fails when it is read.
            with suppress(DfsyncError):
                entry.total = session.source.count(source_table)
            progress.announce(table, entry.total)
        # Not before it was announced: an interruption may come in between.
        counts[table.name] = entry


def _report(result: GroupResult, counts: dict[str, TableCounts], observer: Observer) -> None:
    """Report what became of the tables of a group."""
    for table in result.tables:
        if table.selected:
            if result.error is None:
                for column, note in table.notes.items():
                    observer.note(table.plan, f"{table.plan.table}.{column}: {note}")
                for cells in table.updated_cells:
                    rows = of_files(table.context.source, table.plan, cells.reset_index())
                    observer.cells_updated(table.plan, rows.set_index(frames.OLD_ID))
                for message in table.messages:
                    observer.note(table.plan, message)
                observer.rows_done(table.plan, table.mapping(), table.rejects())
            counts[table.plan.name] = entry = table.counts(counts[table.plan.name].total, result.error)
            log.debug("%s: %s", entry.name, {key: value for key, value in entry.as_dict().items() if value})
            for changed in entry.changed_values if result.error is None else ():
                of_rows = f"{table.plan.table}.{changed['column']}: {with_count(changed['rows'], 'values')}"
                observer.note(table.plan, f"{of_rows}: {changed['note']}")
            if entry.differing is not None and entry.differing["rows"] and result.error is None:
                observer.note(table.plan, f"{table.plan.table}: {other_values(entry.differing)}")
            if entry.other_ids is not None and entry.other_ids["rows"] and result.error is None:
                observer.note(table.plan, f"{table.plan.table}: {other_ids(entry.other_ids)}")
            observer.table_finished(table.plan, counts[table.plan.name])
        table.close()


@contextmanager
def _folder(out: Path, *, dry_run: bool) -> Iterator[tuple[Path, Any]]:
    """Open the folder of the files; that of a dry run lasts as long as the result."""
    keep = tempfile.TemporaryDirectory(prefix="dfsync-") if dry_run else None
    folder = Path(keep.name) if keep else out
    files.open_folder(folder)
    yield folder, keep


def _frames(session: Session, folder: Path, names: Iterable[str], empty: Callable[[], pd.DataFrame]) -> LazyFrames:
    """Read the files that were written, when they are asked for."""
    return LazyFrames(
        folder, [name for name in names if f"{folder.name}/{name}.parquet" not in session.write_errors], empty
    )


def _no_mapping() -> pd.DataFrame:
    none = pa.array([], pa.int64())
    table = pa.table({frames.OLD_ID: none, frames.NEW_ID: none, frames.ACTION: pa.array([], pa.string())})
    return frames.from_arrow(table)


def _no_rejects() -> pd.DataFrame:
    return no_rejects().reset_index()
