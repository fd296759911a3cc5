"""The orchestrator: walks the plan, opens each table's transaction, passes frames from stage to stage.

The command line, the notebook and the tests all call `sync`.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from dfsync.execution.task_graph import TaskGraph
from dfsync.model import frames
from dfsync.model.errors import DfsyncError
from dfsync.model.rejects import no_rejects
from dfsync.output import files
from dfsync.output.mappings import LazyFrames
from dfsync.output.result import SyncResult, TableCounts
from dfsync.pipeline.observer import Observer, OrderedProgress
from dfsync.pipeline.session import Session
from dfsync.pipeline.transaction import GroupResult, collect_write_errors, sync_group
from dfsync.plan.graph import group_dependencies, transaction_groups
from dfsync.plan.model import TablePlan
from dfsync.target.connection import display_name
from dfsync.target.schema.preconditions import require_transactional

log = logging.getLogger(__name__)


def run_sync(run: Session, out: Path, observer: Observer) -> SyncResult:
    started, start = datetime.now(UTC), time.perf_counter()
    require_transactional(run.bindings[name].target for name in run.names if name in run.bindings)
    observer.run_started(run.plan, run.names)
    with _folder(out, dry_run=run.options.dry_run) as (folder, keep):
        before = files.discard_other_target(folder, display_name(run.engine.url), whole=run.names == run.plan.names)
        if before is not None:
            observer.maps_removed(folder, before)
        counts = _sync_groups(run, transaction_groups(run.plan), folder, observer)
        result = SyncResult(
            counts=tuple(counts),
            mappings=_frames(run, folder / files.MAPPINGS, [c.name for c in counts if _has_map(run, c)], _no_mapping),
            rejects=_frames(run, folder / files.REJECTS, [c.name for c in counts], _no_rejects),
            seconds=time.perf_counter() - start,
            dry_run=run.options.dry_run,
            keep=keep,
            plan=run.plan,
            started=started.isoformat(timespec="seconds"),
            source=str(run.source.path),
            target=display_name(run.engine.url),
            out=None if run.options.dry_run else str(folder),
            write_errors=run.write_errors,
        )
        if not run.options.dry_run:
            with collect_write_errors(run, folder):
                files.write_id_mappings(folder, run.plan.names)
            with collect_write_errors(run, folder):
                files.write_summary(folder, result)
    observer.run_finished(result)
    return result


def _sync_groups(run: Session, groups: list[list[TablePlan]], folder: Path, observer: Observer) -> list[TableCounts]:
    """Each group as soon as those that it needs have committed, and told of in their order."""
    progress = OrderedProgress(observer)
    enforced = {name: [key.parent for key in shape.target.references] for name, shape in run.bindings.items()}
    graph = TaskGraph(
        [partial(sync_group, run, group, progress, folder) for group in groups],
        group_dependencies(groups, enforced),
        run.options.jobs,
        partial(_cancel, run, progress),
    )
    turns = list(zip(groups, graph.futures, strict=True))
    counts: list[dict[str, TableCounts]] = []
    told = 0
    try:
        with graph:
            for group, ended in turns:
                counts.append(_announce(run, group, progress, observer))
                progress.begin_turn(group[0])
                _report(ended.result(), counts[-1], observer)
                told += 1
    except KeyboardInterrupt:
        # Of those that were in work, or done, and whose turn had not come or was not over.
        for turn, (group, ended) in list(enumerate(turns))[told:]:
            if not ended.cancelled():
                announced = counts[turn] if turn < len(counts) else _announce(run, group, progress, observer)
                if ended.exception() is None:
                    _report(ended.result(), announced, observer)
        raise
    return [count for each in counts for count in each.values()]


def _cancel(run: Session, progress: OrderedProgress) -> None:
    run.stop()
    progress.stop()


def _report(ended: GroupResult, counts: dict[str, TableCounts], observer: Observer) -> None:
    """Tells of the tables of a transaction when it is their turn."""
    for work in ended.works:
        if work.selected:
            if ended.error is None:
                work.report(observer)
            counts[work.plan.name] = work.counts(counts[work.plan.name].total, ended.error)
            observer.table_finished(work.plan, counts[work.plan.name])
        work.close()


def _announce(
    run: Session, group: list[TablePlan], progress: OrderedProgress, observer: Observer
) -> dict[str, TableCounts]:
    counts = {table.name: TableCounts(table.name, table.table) for table in group if table.name in run.names}
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
            progress.announce(table, counts[table.name].total)
    return counts


@contextmanager
def _folder(out: Path, *, dry_run: bool) -> Iterator[tuple[Path, Any]]:
    """Where the files go, and what keeps them there: a dry run leaves none behind its result."""
    keep = tempfile.TemporaryDirectory(prefix="dfsync-") if dry_run else None
    folder = Path(keep.name) if keep else out
    files.open_folder(folder)
    yield folder, keep


def _frames(run: Session, folder: Path, names: Iterable[str], empty: Callable[[], pd.DataFrame]) -> LazyFrames:
    """Those of the files that were written."""
    return LazyFrames(
        folder, [name for name in names if f"{folder.name}/{name}.parquet" not in run.write_errors], empty
    )


def _has_map(run: Session, counts: TableCounts) -> bool:
    return counts.note is None and run.plan[counts.name].id is not None


def _no_mapping() -> pd.DataFrame:
    none = pa.array([], pa.int64())
    table = pa.table({frames.OLD_ID: none, frames.NEW_ID: none, frames.ACTION: pa.array([], pa.string())})
    return frames.from_arrow(table)


def _no_rejects() -> pd.DataFrame:
    return no_rejects().reset_index()
