"""Undo: the target as it was before a run, but for what others did or need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from dfsync.model.errors import DfsyncError, Remedy
from dfsync.model.options import UndoOptions
from dfsync.output.journal.record import (
    RUNS,
    RunRecord,
    find_record,
    read_records,
    remove_partial_files,
    require_folder,
    unreadable_runs,
)
from dfsync.output.result import Result
from dfsync.pipeline.journal.settle import settle_runs
from dfsync.pipeline.session.ends import open_target
from dfsync.pipeline.undo.observer import UndoObserver
from dfsync.pipeline.undo.run import RunUndo, UndoneTable, rolled_back
from dfsync.target.connection import display_name, exclusive_lock, make_engine
from dfsync.text.wording import with_count

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class UndoneRun:
    """One run that was taken back: its id, and what became of its tables, children first."""

    run: str
    tables: tuple[UndoneTable, ...]

    def count(self, what: str) -> int:
        """Count rows over all tables, such as those `deleted`."""
        return sum(getattr(table, what) for table in self.tables)


@dataclass(frozen=True, repr=False)
class UndoResult(Result):
    """The outcome of `dfsync.undo`: what this call did."""

    runs: tuple[UndoneRun, ...]
    """The newest first."""
    out: str
    target: str = ""
    """Database and server, without user or password."""
    dry_run: bool = False

    @property
    def ok(self) -> bool:
        """Whether nothing of the runs is left in the target."""
        return not any(table.error or table.kept for run in self.runs for table in run.tables)

    def count(self, what: str) -> int:
        """Count rows over all runs and tables, such as those `deleted`."""
        return sum(run.count(what) for run in self.runs)

    @property
    def summary(self) -> pd.DataFrame:
        """One row per run and table, index `run` and `name`.

        `table` str; `deleted` int64, the inserted rows that are gone; `restored` int64, the updated rows that have
        their values of before; `kept` int64, the rows that stay; `deleted_before` and `restored_before` int64, the
        same of earlier undos of the run; `error` str or None, why the table failed.
        """
        import pandas as pd

        names = ["run", "name", "table", *_COUNTED, "deleted_before", "restored_before", "error"]
        rows = [{"run": run.run, **asdict(table)} for run in self.runs for table in run.tables]
        return pd.DataFrame(rows, columns=names).set_index(["run", "name"])

    def __repr__(self) -> str:
        counts = ", ".join(f"{self.count(what)} {what}" for what in _COUNTED)
        dry = "dry run, " if self.dry_run else ""
        return f"<UndoResult: {dry}{with_count(len(self.runs), 'runs')}, {counts}>"

    def as_dict(self) -> dict[str, Any]:
        """Give what `--json` prints."""
        return {
            "ok": self.ok,
            "dry_run": self.dry_run,
            "target": self.target,
            "out": self.out,
            "overall": {what: self.count(what) for what in _COUNTED},
            "runs": [asdict(run) for run in self.runs],
        }


_COUNTED = ("deleted", "restored", "kept")


def undo(
    out: str | Path = "dfsync-out",
    run: str | None = None,
    *,
    target: str | sa.URL | None = None,
    all_since: str | None = None,
    options: UndoOptions | None = None,
    observer: UndoObserver | None = None,
) -> UndoResult:
    """Take a run back: delete the rows that it inserted, and give the rows that it updated their values of before.

    What others did stays: rows that were changed since, and rows to which rows refer that stay. They are counted as
    kept, and are in `runs/ID/kept/NAME.parquet` with the reason. The maps in `out` are without the rows that are gone.

    Parameters
    ----------
    out
        The folder of the run.
    run
        The id of the run, or a part of it at either end; None takes the newest run that has rows in the target.
    target
        As for `dfsync.sync`; it has to be that of the run.
    all_since
        Take back this run and all later ones, the newest first, in place of one.
    options
        Whether to take changed rows, too, and to do all of it or to look; None takes the defaults.
    observer
        Hears which tables are taken back.

    Returns
    -------
    UndoResult

    Raises
    ------
    DfsyncError
        There is no such folder or run, a later one stands on it, the target is another one or out of reach, or a table
        has a trigger on DELETE.
    """
    folder, options, observer = Path(out), options or UndoOptions(), observer or UndoObserver()
    if run is not None and all_since is not None:
        raise DfsyncError("Either one run is named or the first of several: leave out one of the two.")
    # Before a server is asked for.
    require_folder(folder)
    _chosen(folder, run, all_since)
    with open_target(target) as location:
        engine = make_engine(location.url)
        try:
            with exclusive_lock(engine):
                remove_partial_files(folder)
                settle_runs(folder, engine)
                records = _chosen(folder, run, all_since)
                _require_later_runs(folder, records)
                _require_target(records, display_name(engine.url))
                undos = [RunUndo(folder, record, engine, options, observer) for record in records]
                if options.dry_run:
                    with rolled_back(engine) as connection:
                        tables = [undo.look(connection) for undo in undos]
                else:
                    tables = [undo.run() for undo in undos]
                done = [UndoneRun(each.id, tuple(of_run)) for each, of_run in zip(records, tables, strict=True)]
        finally:
            engine.dispose()
    return UndoResult(tuple(done), str(folder), display_name(location.url), options.dry_run)


def _chosen(out: Path, run: str | None, all_since: str | None) -> list[RunRecord]:
    """The runs to take back, the newest first."""
    records = read_records(out)
    if all_since is not None:
        first = find_record(out, all_since)
        chosen = [record for record in reversed(records) if record.id >= first.id and _has_rows(record)]
        if chosen:
            return chosen
    elif run is None:
        chosen = [record for record in reversed(records) if _has_rows(record)][:1]
        if chosen:
            return chosen
    else:
        record = find_record(out, run)
        if record.undone is not None and not _has_rows(record):
            raise DfsyncError(f"The run {record.id} was taken back already ({record.undone}); nothing of it is left.")
        later = [other for other in records if other.id > record.id and other.wrote and other.target == record.target]
        if later:
            raise DfsyncError(
                f"{_listed(later)} came after {record.id} and may stand on its rows.",
                Remedy(f"Take back those first, or all of them with {{all_since}} {record.id}."),
            )
        return [record]
    raise DfsyncError(f"{out} has no run that can be taken back.", Remedy("Runs are listed by {runs}."))


def _require_later_runs(out: Path, records: Sequence[RunRecord]) -> None:
    later = [run for run in unreadable_runs(out) if run > records[-1].id]
    if later:
        raise DfsyncError(
            f"The file run.json of {out / RUNS / later[0]} is missing or damaged, and what that run did may stand on "
            f"rows of {records[-1].id}. Remove that folder to take back the runs before it all the same."
        )


def _has_rows(record: RunRecord) -> bool:
    """Whether rows of the run are in the target; some may be left by an undo."""
    return record.wrote or any(table.undone is not None and table.undone.kept for table in record.tables)


def _listed(records: Sequence[RunRecord]) -> str:
    runs = "The run" if len(records) == 1 else "The runs"
    return f"{runs} {', '.join(record.id for record in records)}"


def _require_target(records: Sequence[RunRecord], target: str) -> None:
    for record in records:
        if record.target != target:
            raise DfsyncError(
                f"The run {record.id} wrote into {record.target}, and this target is {target}.",
                Remedy("Name its target with {target}."),
            )
