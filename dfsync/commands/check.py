"""What is in the way of a sync, found before any row is written: all of it, not the first alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa

from dfsync.commands.preflight.inspection import (
    Preflight,
    TableInspection,
    changed_value_findings,
    differing_findings,
    inspect_table,
    open_preflight,
    other_id_findings,
    ready_tables,
    reject_findings,
    value_findings,
)
from dfsync.commands.preflight.proposals import proposal_findings
from dfsync.commands.preflight.sizes import size_findings
from dfsync.commands.sync import sync
from dfsync.model.errors import DfsyncError, TableError
from dfsync.model.options import SyncOptions
from dfsync.model.source_file import SourceSpec
from dfsync.output.result import COUNTED, Result, SyncResult
from dfsync.pipeline.observer import Observer
from dfsync.pipeline.session.ends import open_ends
from dfsync.pipeline.session.planning import resolve_draft
from dfsync.pipeline.session.questions import undecided
from dfsync.pipeline.session.version_check import bookkeeping_findings
from dfsync.plan.builtin.ready_made import plan_path
from dfsync.plan.discovery.draft import expected_schema
from dfsync.plan.graph import ancestors
from dfsync.plan.model import Plan, TablePlan, select
from dfsync.plan.questions import Question
from dfsync.plan.validation import ERROR, NOTE, UNDECIDED, WARNING, Finding
from dfsync.source.base import Source, title
from dfsync.target.connection import display_name
from dfsync.target.schema.reflection import reflect
from dfsync.text.wording import with_count

_REKEYED = "another natural key than in the last run, under the same id; on_rekey of the plan says what they become"


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


@dataclass(frozen=True, repr=False)
class CheckResult(Result):
    """The outcome of `dfsync.check`."""

    source: str
    """The SQLite file."""
    target: str
    """Database and server, without user or password."""
    plan: Plan
    findings: tuple[Finding, ...]
    tables: tuple[CheckCounts, ...]
    path: str = ""
    """The file whose tables count: of several sources the first that can be read."""

    @property
    def ok(self) -> bool:
        """Whether every row would get a target row."""
        return not any(finding.level in (ERROR, UNDECIDED) for finding in self.findings)

    @property
    def summary(self) -> pd.DataFrame:
        """One row per table, index `name`, the counts of `CheckCounts`.

        `table` str; `total` and `shared` int64; `inserted`, `matched`, `updated` and `failed` Int64, NULL where
        something is in the way of finding out.
        """
        columns = list(asdict(CheckCounts("", "", 0)))
        table = pd.DataFrame([asdict(counts) for counts in self.tables], columns=columns).set_index("name")
        return table.astype(dict.fromkeys(["inserted", "matched", "updated", "failed"], "Int64"))

    def __repr__(self) -> str:
        levels = [finding.level for finding in self.findings]
        found = ", ".join(with_count(levels.count(level), f"{level}s") for level in (ERROR, WARNING))
        found += f", {levels.count(UNDECIDED)} undecided" if UNDECIDED in levels else ""
        return f"<CheckResult: {with_count(len(self.tables), 'tables')}, {found}>"

    def as_dict(self) -> dict[str, Any]:
        """Convert to what `--json` prints.

        Returns
        -------
        dict
            Of values that JSON has.
        """
        return {
            "ok": self.ok,
            "source": self.source,
            "target": self.target,
            "plan": self.plan.as_dict(),
            "findings": [_finding_as_dict(finding) for finding in self.findings],
            "tables": [asdict(table) for table in self.tables],
        }


def _finding_as_dict(finding: Finding) -> dict[str, Any]:
    values = asdict(replace(finding, error=None))
    del values["error"]
    return values


def check(
    source: SourceSpec,
    target: str | sa.URL | None = None,
    *,
    options: SyncOptions | None = None,
    out: str | Path = "dfsync-out",
    observer: Observer | None = None,
) -> CheckResult:
    """Look at both ends, the plan, tables, columns, keys and values; the target does not change.

    Parameters
    ----------
    source
        The SQLite file, or several, as `dfsync.sync` takes them.
    target
        A URL; None looks where the command line looks.
    options
        The options that the sync is to have.
    out
        The output folder that the sync is to have: its maps say which rows are known. Nothing is written there.
    observer
        Hears how far the dry run is.

    Returns
    -------
    CheckResult

    Raises
    ------
    DfsyncError
        Where it cannot look: an end is out of reach, or there is no such plan.
    """
    options = options or SyncOptions()
    with open_ends(source, target, options) as ends:
        return _check(ends.source, ends.connection, options, partial(sync, source, out=out, observer=observer))


def _check(
    source: Source, connection: sa.Connection, options: SyncOptions, run_sync: Callable[..., SyncResult]
) -> CheckResult:
    url = connection.engine.url
    target = reflect(connection)
    expected, keep_ids = expected_schema(source.schema, target), options.keep_ids is not None
    path = plan_path(options.plan)
    plan = resolve_draft(path, source, expected, options.on_match, keep_ids=keep_ids, exclude=options.exclude)
    names = select(plan, options.tables or plan.names)
    source = source.with_plan(plan)
    preflight = open_preflight(source, connection, target, plan)
    # The parents too: without their mappings no row of the children is inserted.
    needed = {*names, *ancestors(plan, names)}
    inspections = {
        name: _inspect(preflight, plan[name], written=name in names) for name in plan.names if name in needed
    }
    books = [*bookkeeping_findings(plan, source, connection, target)]
    connection.rollback()
    questions = undecided(plan, source, target, names)
    blocked = {name for name, inspection in inspections.items() if inspection.blocked}
    # A sync with these options starts as soon as the others are decided.
    ready = ready_tables(plan, names, blocked | {question.table for question in questions})
    if any(finding.level == ERROR for finding in books):
        ready = []
    dry_run, dry_run_findings = _dry_run(preflight, url, replace(options, tables=tuple(ready), dry_run=True), run_sync)
    unreadable = [Finding(ERROR, "", None, f"the source {name}: {why}") for name, why in source.failures.items()]
    findings = [*unreadable, *books, *(_as_finding(question) for question in questions)]
    findings += [finding for inspection in inspections.values() for finding in inspection.findings]
    findings += dry_run_findings
    for name in names:
        if dry_run is None or name not in ready:
            findings += [found for found in _values(preflight, plan[name]) if found not in findings]
    findings += proposal_findings(preflight, findings)
    counts = (_check_counts(plan[name], inspections[name], dry_run) for name in names)
    tables = tuple(count for count in counts if count is not None)
    for count in tables:
        new = count.total - count.shared if count.inserted is None else count.inserted
        findings += size_findings(preflight, plan[count.name], new, options.piece_rows)
    connection.rollback()
    return CheckResult(title(source), display_name(url), plan, tuple(findings), tables, str(source.path))


def _inspect(preflight: Preflight, plan: TablePlan, *, written: bool) -> TableInspection:
    try:
        return inspect_table(preflight, plan, written=written)
    except TableError as error:
        source_table, _ = preflight.tables(plan)
        total = None if source_table is None else preflight.source.count(source_table)
        return TableInspection((_unreadable(plan, error),), total, blocked=True)


def _values(preflight: Preflight, plan: TablePlan) -> list[Finding]:
    try:
        return value_findings(preflight, plan)
    except TableError as error:
        return [_unreadable(plan, error)]


def _unreadable(plan: TablePlan, error: TableError) -> Finding:
    """Tell of a table whose rows cannot be read, such as those of a query that gives others each time."""
    return Finding(ERROR, plan.name, None, str(error))


def _as_finding(question: Question) -> Finding:
    answers = tuple(answer.line for answer in question.answers)
    return Finding(UNDECIDED, question.table, question.column, question.evidence, answers=answers)


def _dry_run(
    preflight: Preflight, url: sa.URL, options: SyncOptions, run_sync: Callable[..., SyncResult]
) -> tuple[SyncResult | None, list[Finding]]:
    """Sync the tables that are ready without writing; None where none is, or where it could not start."""
    if not options.tables:
        return None, []
    try:
        result = run_sync(target=url, options=options)
    except DfsyncError as error:
        return None, [Finding(ERROR, "", None, str(error), error=error)]
    findings = []
    for counts in result.counts:
        if counts.error is not None:
            findings.append(Finding(ERROR, counts.name, None, counts.error))
            continue
        if counts.rekeyed:
            findings.append(Finding(NOTE, counts.name, None, _REKEYED, count=counts.rekeyed))
        if counts.failed or counts.unfit:
            findings += reject_findings(preflight.plan[counts.name], result.rejects[counts.name])
        findings += changed_value_findings(counts.name, counts.changed_values)
        findings += differing_findings(counts.name, counts.differing)
        findings += other_id_findings(counts.name, counts.other_ids, strict=options.keep_ids == "strict")
    return result, findings


def _check_counts(plan: TablePlan, inspection: TableInspection, dry_run: SyncResult | None) -> CheckCounts | None:
    """Count what would become of the rows of a table; None where the source lacks it."""
    if inspection.total is None:
        return None
    known = CheckCounts(plan.name, plan.table, inspection.total, shared=inspection.shared)
    counts = next((c for c in dry_run.counts if c.name == plan.name), None) if dry_run else None
    if counts is None or counts.note is not None:
        return known
    return replace(known, **{key: getattr(counts, key) for key in (*COUNTED, "shared")})
