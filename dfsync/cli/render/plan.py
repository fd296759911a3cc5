"""The complete plan as a table, for a person to check at a glance."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from itertools import chain

import rich.console
from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from dfsync.cli.render.tables import print_table, print_text
from dfsync.commands.plan import PlanList, ResolvedPlan
from dfsync.plan.model import TablePlan
from dfsync.text.wording import MAX_LINE_CHARACTERS, plan_section, printable, with_count

_LIST_WIDTH = 100
"""In characters."""
_GAPS_WIDTH, _MIN_FOREIGN_KEYS_WIDTH = 10, 18
"""In characters: all that is between the columns, and the least that foreign keys need."""
_DEFERRED = "in a circle of tables: inserted empty and filled in the same transaction"
Row = tuple[list[str], ...]
"""The lines of each cell."""


def show_plan(resolved: ResolvedPlan, out: rich.console.Console) -> None:
    """Print a plan as a table, with a legend of where each part came from, and the warnings.

    Parameters
    ----------
    resolved
        What `dfsync.resolve_plan` returned.
    out
        Where to print; its width decides what goes on in a next line.
    """
    plan = resolved.plan
    heading = f"Plan: {printable(plan.title, MAX_LINE_CHARACTERS)}, {with_count(len(plan.tables), 'tables')}\n"
    print_text(Text(heading), out)
    legend: dict[str, int] = {}
    rows: list[Row] = [
        (
            [str(order)],
            _name_lines(table, resolved.missing[table.name]),
            [_marked(printable(table.id or "-"), table.origin.get("id"), legend)],
            _key_lines(table, legend),
            _reference_lines(table, legend),
        )
        for order, table in enumerate(plan.tables, start=1)
    ]
    print_table(_grid(rows, out), out)
    if legend:
        marks = (f"[{mark}] {printable(text, MAX_LINE_CHARACTERS)}" for text, mark in legend.items())
        print_text(Text("\n".join(["", *marks])), out, soft_wrap=False)
    for question in resolved.questions:
        answers = "\n    or  ".join(printable(answer.line, MAX_LINE_CHARACTERS) for answer in question.answers)
        said = (
            f"\nUNDECIDED {printable(question.table)}.{printable(question.column)} {printable(question.evidence, 500)}:"
        )
        print_text(Text(f"{said}\n  {printable(plan_section(question.table))}\n        {answers}", "yellow"), out)
    lines = [(f"Warning: {warning}", "yellow") for warning in resolved.warnings]
    for line, style in [*lines, *((f"Note: {note}", "") for note in resolved.notes)]:
        wrapped = textwrap.wrap(line, out.width, break_long_words=False, break_on_hyphens=False)
        print_text(Text("\n".join(["", *wrapped]), style), out)


def plan_list_lines(listed: PlanList) -> list[str]:
    """Word the ready-made plans, one after the other, and how one of them is taken."""
    lines = []
    for found in listed.plans:
        told = (
            f"{found.name}: {found.about}",
            f"chosen where the source has: {', '.join(found.telling_tables)}",
            f"more: {found.page}",
        )
        wrapped = (textwrap.wrap(text, _LIST_WIDTH, initial_indent="    ", subsequent_indent="    ") for text in told)
        lines += [found.plan, *chain.from_iterable(wrapped), ""]
    return [*lines, "Take one with --plan NAME; --plan discovered takes none."]


def _grid(rows: list[Row], out: rich.console.Console) -> Table:
    """As wide as `out`; only the foreign keys are broken over lines, while they have room at all."""
    if _width(rows, 5) > out.width:
        rows = [(order, "\n".join(name).replace("(table ", "(table\n").split("\n"), *row) for order, name, *row in rows]
    unbroken = _width(rows, 4) + _MIN_FOREIGN_KEYS_WIDTH <= out.width
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    if not out.is_terminal:
        grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("", "name", "id", "natural key"):
        grid.add_column(title, overflow="fold", no_wrap=unbroken)
    grid.add_column("foreign keys", overflow="fold")
    for row in rows:
        grid.add_row(*(Text("\n".join(cell)) for cell in row))
    return grid


def _width(rows: list[Row], columns: int) -> int:
    """Of the first `columns`, with the gaps between them."""
    cells = [[cell_len(line) for row in rows for line in row[column]] for column in range(columns)]
    return sum(max(lengths, default=0) for lengths in cells) + _GAPS_WIDTH


def _marked(text: str, origin: str | None, legend: dict[str, int]) -> str:
    return f"{text} [{legend.setdefault(origin, len(legend) + 1)}]" if origin else text


def _name_lines(table: TablePlan, missing: Iterable[str]) -> list[str]:
    lines = [printable(table.name, MAX_LINE_CHARACTERS)]
    if table.table != table.name:
        lines.append(f"(table {printable(table.table, MAX_LINE_CHARACTERS)})")
    lines += [f"(not in the {database})" for database in missing]
    if table.on_match != "skip":
        lines.append(f"(on_match {table.on_match})")
    if table.ignore_columns:
        lines.append(f"(ignores {', '.join(map(printable, table.ignore_columns))})")
    return lines


def _key_lines(table: TablePlan, legend: dict[str, int]) -> list[str]:
    if not table.key:
        return [_marked("whole content", table.origin.get("natural_key"), legend)]
    *columns, last = map(printable, table.key)
    return [*(f"{column}," for column in columns), _marked(last, table.origin.get("natural_key"), legend)]


def _reference_lines(table: TablePlan, legend: dict[str, int]) -> list[str]:
    origin = table.origin.get("foreign_keys")
    lines = [
        _marked(f"{printable(c)} -> {printable(parent)}", _DEFERRED if c in table.deferred else origin, legend)
        for c, parent in table.parents.items()
    ]
    return [*(lines or ["-"]), *(f"after {printable(name)}" for name in table.after)]
