"""What a person sees of a check: a line per table, and its findings."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from dfsync.cli.remedies import error_message
from dfsync.model.options import SyncOptions
from dfsync.plan.validation import ERROR, NO_TABLE, NOTE, UNDECIDED, WARNING
from dfsync.text.wording import command_line, plan_section, printable, with_count

if TYPE_CHECKING:
    from dfsync.commands.check import CheckCounts, CheckResult
    from dfsync.plan.validation import Finding

_WIDTH = 80
_MAX_MESSAGE = 2000


def table_line(table: CheckCounts) -> str:
    """Word what would become of a table's rows, in one line."""
    name = f"{printable(table.name)}: {with_count(table.total, 'rows')}"
    if table.inserted is None:
        return name
    updated = f"{table.updated} would be updated, " if table.updated else ""
    matched = "exist or share a row" if table.shared else "exist"
    return f"{name}, {table.inserted} would be inserted, {table.matched} {matched}, {updated}{table.failed} would fail"


def join_findings(findings: Iterable[Finding]) -> list[Finding]:
    """Join the findings that say the same of whole tables into one that names all of these tables.

    Parameters
    ----------
    findings
        As in `CheckResult.findings`.

    Returns
    -------
    list of Finding
        In the order in which each came first.
    """
    joined: dict[object, Finding] = {}
    for number, finding in enumerate(findings):
        details = (finding.column, finding.count, finding.fix)
        key = (finding.level, finding.message) if details == (None, None, None) else number
        before = joined.get(key)
        joined[key] = replace(finding, table=f"{before.table}, {finding.table}") if before else finding
    return list(joined.values())


def with_options(result: CheckResult) -> CheckResult:
    """Word the findings that name parameters with the options of the command line."""
    findings = (
        finding if finding.error is None else replace(finding, message=error_message(finding.error))
        for finding in result.findings
    )
    return replace(result, findings=tuple(findings))


def finding_lines(finding: Finding) -> list[str]:
    """Word a finding, wrapped for a terminal, with its remedy on a line of its own that can be copied."""
    column = ".".join(filter(None, (finding.table, finding.column)))
    rows = f"{with_count(finding.count, 'rows')}: " if finding.count is not None else ""
    text = f"{finding.level.upper()} {column}: {rows}{finding.message}".replace(" : ", ": ")
    lines = textwrap.wrap(printable(text, _MAX_MESSAGE), _WIDTH, subsequent_indent="  ", break_on_hyphens=False)
    answers = "\n    or  ".join(printable(answer, _MAX_MESSAGE) for answer in finding.answers)
    if answers:
        lines += f"  {printable(plan_section(finding.table))}\n        {answers}".splitlines()
    return [*lines, *([f"  {printable(finding.fix, _MAX_MESSAGE)};"] if finding.fix else [])]


def check_lines(result: CheckResult, options: SyncOptions | None = None) -> list[str]:
    """Word a check for a terminal: a line per table, the findings by level, and a verdict.

    Parameters
    ----------
    result
        What `dfsync.check` returned.
    options
        Its options, which the commands in the lines repeat.

    Returns
    -------
    list of str
        The lines, harmless to a terminal.
    """
    options, file = options or SyncOptions(), result.path or result.source
    lines = [f"Plan: {printable(result.plan.title, _MAX_MESSAGE)}", "", *map(table_line, result.tables), ""]
    findings = join_findings(result.findings)
    for finding in sorted(findings, key=lambda finding: (UNDECIDED, ERROR, WARNING, NOTE).index(finding.level)):
        lines += finding_lines(finding)
    undecided = any(finding.level == UNDECIDED for finding in findings)
    if not undecided and any(finding.message == NO_TABLE for finding in findings):
        command = command_line("create-tables", file, result.plan.file, options.exclude, options.keep_ids)
        lines += ["", "Make the missing tables first, with --target if you gave one:", f"  {command}", ""]
    levels = [finding.level for finding in findings]
    if result.findings and lines[-1]:
        lines.append("")
    if result.ok:
        return [*lines, "Nothing is in the way of a sync."]
    if UNDECIDED in levels:
        command = f"{command_line('plan', file, result.plan.file, options.exclude)} --write my-plan.toml"
        lines += [
            "A sync does not start while something is undecided. This writes the likely answers into a plan file, with "
            "--target if you gave one:"
        ]
        return [*lines, f"  {command}"]
    return [*lines, f"{with_count(levels.count(ERROR), 'errors')}: some rows or tables would fail."]
