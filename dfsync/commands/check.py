"""What is in the way of a sync, found before any row moves: all of it, not the first alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from dfsync.commands.preflight import Preflight
from dfsync.model.errors import DfsyncError
from dfsync.model.options import SyncOptions
from dfsync.output.result import COUNTED, SyncResult
from dfsync.pipeline.observer import Observer
from dfsync.pipeline.session import draft_plan
from dfsync.plan.discovery import expected_schema, resolve
from dfsync.plan.graph import ancestors
from dfsync.plan.model import Plan, TablePlan, select, with_on_match
from dfsync.plan.validation import ERROR, Finding
from dfsync.source.sqlite import SqliteSource
from dfsync.target.connection import connect, display_name, make_engine
from dfsync.target.schema.reflection import reflect


@dataclass(frozen=True)
class CheckCounts:
    """What would become of a table's rows; None where something is in the way of finding out."""

    name: str
    table: str
    total: int
    inserted: int | None = None
    """Would be inserted."""
    matched: int | None = None
    """Have a target row already, or share one."""
    updated: int | None = None
    failed: int | None = None
    shared: int = 0
    """Have the natural key of an earlier row of the source, so that they share its target row."""


@dataclass(frozen=True)
class CheckResult:
    source: str
    """The SQLite file."""
    target: str
    """Database and server, without user or password."""
    plan: Plan
    findings: tuple[Finding, ...]
    tables: tuple[CheckCounts, ...]

    @property
    def ok(self) -> bool:
        """Whether every row would get a target row."""
        return not any(finding.level == ERROR for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "source": self.source,
            "target": self.target,
            "plan": self.plan.as_dict(),
            "findings": [asdict(finding) for finding in self.findings],
            "tables": [asdict(table) for table in self.tables],
        }


def check(
    source: str | Path, url: str | sa.URL, options: SyncOptions | None = None, observer: Observer | None = None
) -> CheckResult:
    """Looks at both ends, the plan, tables, columns, keys and values; the target does not change.

    Raises `DfsyncError` where it cannot look: an end is out of reach, or there is no such plan.
    """
    options = options or SyncOptions()
    engine = make_engine(url)
    try:
        opened, connection = _open_both(source, engine)
        with opened, connection:
            there = reflect(connection)
            draft = with_on_match(draft_plan(options.plan, opened), options.on_match)
            plan = resolve(draft, opened.schema, expected_schema(opened.schema, there))
            names = select(plan, options.tables or plan.names)
            look = Preflight(opened, connection, there, plan)
            # The parents too: without their maps no row of the children goes in.
            for name in (name for name in plan.names if name in {*names, *ancestors(plan, names)}):
                look.inspect(plan[name])
            for name in names:
                look.inspect_writing(plan[name])
            connection.rollback()
            ready = look.ready(names)
            rehearsed = _dry_run(look, source, url, replace(options, tables=tuple(ready), dry_run=True), observer)
            for name in names:
                if name not in look.totals or (rehearsed and name in ready):
                    continue
                look.inspect_values(plan[name])
            tables = [_table_check(plan[name], look, rehearsed) for name in names if name in look.totals]
            ends = str(opened.path), display_name(engine.url)
            return CheckResult(*ends, plan, tuple(look.findings), tuple(tables))
    finally:
        engine.dispose()


def _open_both(source: str | Path, engine: sa.Engine) -> tuple[SqliteSource, sa.Connection]:
    """Both ends. Raises one `DfsyncError` for both where neither can be reached."""
    opened: SqliteSource | None = None
    connection: sa.Connection | None = None
    faults = []
    try:
        opened = SqliteSource(source)
    except DfsyncError as error:
        faults.append(str(error))
    try:
        connection = connect(engine)
    except DfsyncError as error:
        faults.append(str(error))
    if opened is not None and connection is not None:
        return opened, connection
    if opened is not None:
        opened.close()
    if connection is not None:
        connection.close()
    raise DfsyncError(" ".join(faults))


def _dry_run(
    look: Preflight, source: str | Path, url: str | sa.URL, options: SyncOptions, observer: Observer | None
) -> SyncResult | None:
    """The dry run of the tables that are ready, and its findings; None where there is none."""
    if not options.tables:
        return None
    from dfsync.commands.sync import sync

    try:
        result = sync(source, url, options=options, observer=observer)
    except DfsyncError as error:
        look.findings.append(Finding(ERROR, "", None, str(error)))
        return None
    for counts in result.counts:
        plan = look.plan[counts.name]
        if counts.error is not None:
            look.findings.append(Finding(ERROR, plan.name, None, counts.error))
        if counts.failed and counts.error is None:
            look.rejects(plan, result.rejects[plan.name])
    return result


def _table_check(plan: TablePlan, look: Preflight, rehearsed: SyncResult | None) -> CheckCounts:
    counts = next((c for c in rehearsed.counts if c.name == plan.name), None) if rehearsed else None
    known = CheckCounts(plan.name, plan.table, look.totals[plan.name], shared=look.shared_rows.get(plan.name, 0))
    if counts is None or counts.note is not None:
        return known
    return replace(known, **{key: getattr(counts, key) for key in COUNTED})
