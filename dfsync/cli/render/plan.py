"""The completed plan for a person: as a table to check at a glance."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

import rich.console
from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from dfsync.cli.render.tables import print_table
from dfsync.commands.plan import ResolvedPlan
from dfsync.plan.model import TablePlan
from dfsync.text.wording import MAX_LINE_CHARACTERS, printable, with_count

_BETWEEN, _FOREIGN_KEYS = 10, 18
"""The widths of what is between the columns, and of the least that foreign keys need."""
_DEFERRED = "in a circle of tables: goes in empty and gets its value in the same transaction"
Row = tuple[list[str], ...]
"""The lines of each cell."""


def show_plan(found: ResolvedPlan, out: rich.console.Console) -> None:
    """Prints the plan as a table, with a legend of where each part came from, and the warnings."""
    heading = (
        f"Plan: {printable(found.plan.title, MAX_LINE_CHARACTERS)}, {with_count(len(found.plan.tables), 'tables')}\n"
    )
    out.print(Text(heading), soft_wrap=True)
    legend: dict[str, int] = {}
    rows: list[Row] = [
        (
            [str(order)],
            _name_lines(table, found.missing[table.name]),
            [_marked(printable(table.id or "-"), table.origin.get("id"), legend)],
            _key_lines(table, legend),
            _reference_lines(table, legend),
        )
        for order, table in enumerate(found.plan.tables, start=1)
    ]
    print_table(_grid(rows, out), out)
    if legend:
        out.print(
            Text(
                "\n".join(["", *(f"[{mark}] {printable(text, MAX_LINE_CHARACTERS)}" for text, mark in legend.items())])
            )
        )
    for warning in found.warnings:
        wrapped = textwrap.wrap(f"Warning: {warning}", out.width, break_long_words=False, break_on_hyphens=False)
        out.print(Text("\n".join(["", *wrapped]), "yellow"), soft_wrap=True)


def _grid(rows: list[Row], out: rich.console.Console) -> Table:
    """As wide as `out`. Only the foreign keys go on in a next line, as long as that leaves some room for them."""
    if _width(rows, 5) > out.width:
        rows = [(order, "\n".join(name).replace("(table ", "(table\n").split("\n"), *row) for order, name, *row in rows]
    firm = _width(rows, 4) + _FOREIGN_KEYS <= out.width
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    if not out.is_terminal:
        grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("", "name", "id", "natural key"):
        grid.add_column(title, overflow="fold", no_wrap=firm)
    grid.add_column("foreign keys", overflow="fold")
    for row in rows:
        grid.add_row(*(Text("\n".join(cell)) for cell in row))
    return grid


def _width(rows: list[Row], columns: int) -> int:
    """Of the first columns, with what is between them."""
    cells = [[cell_len(line) for row in rows for line in row[place]] for place in range(columns)]
    return sum(max(lengths, default=0) for lengths in cells) + _BETWEEN


def _marked(text: str, origin: str | None, legend: dict[str, int]) -> str:
    return f"{text} [{legend.setdefault(origin, len(legend) + 1)}]" if origin else text


def _name_lines(table: TablePlan, missing: Iterable[str]) -> list[str]:
    lines = [printable(table.name, MAX_LINE_CHARACTERS)]
    if table.table != table.name:
        lines.append(f"(table {printable(table.table, MAX_LINE_CHARACTERS)})")
    lines += [f"(not in the {end})" for end in missing]
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
