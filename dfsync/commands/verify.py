"""After a sync: every source row is compared with its target row, through the mappings that the sync wrote."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa

from dfsync.commands.verifying.counts import COUNTED, VerifyCounts
from dfsync.commands.verifying.other_ids import other_id_notes
from dfsync.commands.verifying.references import reference_notes
from dfsync.commands.verifying.rows import TableVerifier
from dfsync.model.errors import DfsyncError, Remedy
from dfsync.model.options import SyncOptions
from dfsync.model.source_file import SourceSpec
from dfsync.output import files
from dfsync.output.evidence import MapOrigin
from dfsync.output.folder.same_ends import holds_several, require_same_ends
from dfsync.output.last_run import require_same_plan
from dfsync.output.mappings import LazyFrames
from dfsync.output.result import Result
from dfsync.pipeline.observer import Observer
from dfsync.pipeline.session.ends import open_target
from dfsync.pipeline.session.session import Session, open_session
from dfsync.plan.model import Plan
from dfsync.source.base import title
from dfsync.stages.diff import empty_differences
from dfsync.target.connection import begin_snapshot, connect, display_name

_ALWAYS_TOLD = ("total", "equal")


@dataclass(frozen=True, repr=False)
class VerifyResult(Result):
    """The outcome of `dfsync.verify`.

    `differences[name]`: one row per cell that differs, or per row without a target row, by ascending `old_id`, with
    the columns of `dfsync.stages.diff.DIFFERENCE_SCHEMA`. Empty where nothing differs.
    """

    tables: tuple[VerifyCounts, ...]
    differences: Mapping[str, pd.DataFrame]
    seconds: float
    plan: Plan | None = None
    """The completed plan, of all tables, also where only some were verified."""
    source: str = ""
    """The SQLite file."""
    target: str = ""
    """Database and server, without user or password."""

    started: str = ""
    """Date and time in UTC, as in ISO 8601."""
    notes: tuple[str, ...] = ()
    """What no comparison of values shows, in a sentence each: undeclared references that point to other rows, and rows
    that were to keep their ids and have others."""

    unreadable: Mapping[str, str] = field(default_factory=dict)
    """By name, why sources of several cannot be read: their rows are not compared."""

    @property
    def ok(self) -> bool:
        """Whether nothing differs but what the plan asks for, such as rows of the target that `on_match` leaves.

        Rejected rows are no difference: the sync reported them.
        """
        return not self.unreadable and not any(table.differ for table in self.tables)

    @property
    def strict_ok(self) -> bool:
        """Whether nothing differs at all, but rejected rows."""
        return self.ok and not any(table.as_planned for table in self.tables)

    @property
    def summary(self) -> pd.DataFrame:
        """One row per table, index `name`, the counts of `VerifyCounts`."""
        columns = list(VerifyCounts("", "").as_dict())
        return pd.DataFrame([table.as_dict() for table in self.tables], columns=columns).set_index("name")

    def __repr__(self) -> str:
        counts = ", ".join(f"{number} {key}" for key, number in self._sums.items() if number or key in _ALWAYS_TOLD)
        return f"<VerifyResult: {len(self.tables)} tables, {counts}, {self.seconds:.1f} s>"

    @property
    def _sums(self) -> dict[str, int]:
        return {key: sum(getattr(table, key) for table in self.tables) for key in (*COUNTED, "unfit")}

    def as_dict(self) -> dict[str, Any]:
        """Give what `--json` prints."""
        return {
            "ok": self.ok,
            "strict_ok": self.strict_ok,
            "started": self.started,
            "seconds": round(self.seconds, 4),
            "source": self.source,
            "target": self.target,
            "overall": self._sums,
            "differ": sum(table.differ for table in self.tables),
            "as_planned": sum(table.as_planned for table in self.tables),
            "tables": [table.as_dict() for table in self.tables],
            "notes": list(self.notes),
            **({"unreadable": dict(self.unreadable)} if self.unreadable else {}),
            "plan": None if self.plan is None else self.plan.as_dict(),
        }


def verify(
    source: SourceSpec,
    target: str | sa.URL | None = None,
    *,
    options: SyncOptions | None = None,
    out: str | Path = "dfsync-out",
    observer: Observer | None = None,
) -> VerifyResult:
    """Compare every source row with its target row, through the mappings in `out`, and write the differences there.

    Nothing in source or target changes.

    Parameters
    ----------
    source
        The SQLite file, or several, as `dfsync.sync` takes them.
    target
        The URL of the database; None looks where `sync` looks.
    options
        The options of the sync; `tables` says which tables to verify.
    out
        The output folder of the sync, which gets `verify/NAME.parquet` and `verify/summary.json`.
    observer
        Hears of the progress.

    Returns
    -------
    VerifyResult
        Counts and differences by table.

    Raises
    ------
    DfsyncError
        Where it cannot start: source or target is out of reach, `out` has no mappings, or they are of another
        source, target or plan.
    """
    with open_target(target, source) as location, _open(source, location.url, options, Path(out)) as run:
        return _verify(run, Path(out), observer or Observer())


def _open(source: SourceSpec, url: sa.URL, options: SyncOptions | None, out: Path) -> Session:
    # What is undecided now does not change what a sync has written.
    return open_session(source, url, options or SyncOptions(), decided=False, several=holds_several(out))


def _verify(run: Session, out: Path, observer: Observer) -> VerifyResult:
    started, start = datetime.now(UTC), time.perf_counter()
    target = display_name(run.engine.url)
    require_same_ends(out, run.source.files, target)
    plans = {name: binding.plan for name, binding in run.bindings.items() if binding.plan.id is not None}
    several = run.source.several
    origins = {name: MapOrigin.of(run.source.files, target, plan, several=several) for name, plan in plans.items()}
    require_same_plan(out, origins, run.plan.source)
    checks = [TableVerifier(run, name, out) for name in run.names]
    with connect(run.engine) as connection, connection.begin():
        begin_snapshot(connection, read_only=True)
        _require_same_target(connection, checks, out)
        for check in checks:
            check.run(connection, observer)
        notes = (*reference_notes(connection, run, out), *other_id_notes(run, out))
    counts = tuple(check.counts for check in checks)
    result = VerifyResult(
        tables=counts,
        differences=LazyFrames(out / files.VERIFY, [c.name for c in counts], empty_differences),
        seconds=time.perf_counter() - start,
        plan=run.plan,
        source=title(run.source),
        target=target,
        started=started.isoformat(timespec="seconds"),
        notes=notes,
        unreadable=run.source.failures,
    )
    files.write_verify_summary(out, {key: value for key, value in result.as_dict().items() if key != "plan"})
    return result


def _require_same_target(connection: sa.Connection, checks: list[TableVerifier], out: Path) -> None:
    """Look up a few rows of every table, lest all of them be called deleted one by one."""
    present = [check.any_present(connection) for check in checks]
    if False in present and True not in present:
        raise DfsyncError(
            f"None of the rows that the mappings in {out} name is in {display_name(connection.engine.url)}: they "
            "belong to another target, or its rows are gone.",
            Remedy("Name the right {out} or {target}, or sync again."),
        )
