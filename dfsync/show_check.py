"""What a person sees of a check: a line per table, and its findings."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dfsync.words import counted, visible

if TYPE_CHECKING:
    from dfsync.check import Finding, TableCheck

_WIDTH = 80
_LONGEST = 2000


def table_line(table: TableCheck) -> str:
    name = f"{visible(table.name)}: {counted(table.total, 'rows')}"
    if table.synced is None:
        return name
    updated = f"{table.updated} would be updated, " if table.updated else ""
    there = "are there or share a row" if table.shared else "are there"
    return f"{name}, {table.synced} would go in, {table.skipped} {there}, {updated}{table.failed} would fail"


def joined(findings: Iterable[Finding]) -> list[Finding]:
    """One for all tables of which the same is true as a whole."""
    joined: dict[Any, Finding] = {}
    for place, finding in enumerate(findings):
        details = (finding.column, finding.count, finding.fix)
        alike = (finding.level, finding.message) if details == (None, None, None) else place
        before = joined.get(alike)
        joined[alike] = replace(finding, table=f"{before.table}, {finding.table}") if before else finding
    return list(joined.values())


def finding_lines(finding: Finding) -> list[str]:
    place = ".".join(filter(None, (finding.table, finding.column)))
    rows = f"{counted(finding.count, 'rows')}: " if finding.count is not None else ""
    text = f"{finding.level.upper()} {place}: {rows}{finding.message}".replace(" : ", ": ")
    lines = textwrap.wrap(visible(text, _LONGEST), _WIDTH, subsequent_indent="  ", break_on_hyphens=False)
    return [*lines, *([f"  {visible(finding.fix, _LONGEST)};"] if finding.fix else [])]
