"""The completed plan for a person: as a table to check at a glance."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import rich.console
import sqlalchemy as sa
from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from dfsync import target as server
from dfsync.discover import choose_plan, complete
from dfsync.graph import ancestors
from dfsync.options import Options
from dfsync.plan import Plan, TablePlan, only
from dfsync.source import Source
from dfsync.target_schema import reflect
from dfsync.terminal import print_table
from dfsync.words import counted, visible

_LONGEST = 200
_BETWEEN, _FOREIGN_KEYS = 10, 18
"""The widths of what is between the columns, and of the least that foreign keys need."""
_DEFERRED = "in a circle of tables: goes in empty and gets its value in the same transaction"


Row = tuple[list[str], ...]
"""The lines of each cell."""


@dataclass(frozen=True)
class FoundPlan:
    """A completed plan and which of its tables are where."""

    plan: Plan
    missing: dict[str, list[str]]
    """By name, the ends that lack the table: `source`, `target`; none where both have it."""
    source: str = ""
    """The SQLite file."""
    target: str = ""
    """Database and server, without user or password."""

    @property
    def to_write(self) -> Plan:
        """The plan for a plan file, which names nothing that the source lacks, unless something refers to it."""
        present = {name for name, ends in self.missing.items() if "source" not in ends}
        return _narrowed_to(self.plan, present | ancestors(self.plan, present))

    @property
    def warnings(self) -> list[str]:
        """One for each table whose rows have nothing to be recognised by but everything, where no plan file says so."""
        return [
            f"{visible(table.name)}: no natural key, so rows are compared by their whole content: one that was changed "
            "in the target goes in once more. Better name a natural_key in a plan file."
            for table in self.plan.tables
            if table.lacks_key and "source" not in self.missing[table.name]
        ]

    def as_dict(self) -> dict[str, Any]:
        """What `--json` prints."""
        tables = [
            {"order": order, **table.as_dict(), "missing_in": self.missing[table.name]}
            for order, table in enumerate(self.plan.tables, start=1)
        ]
        plan = {**self.plan.as_dict(), "tables": tables}
        return {"source": self.source, "target": self.target, "plan": plan, "warnings": self.warnings}


def find_plan(source: str | Path, url: str | sa.URL, options: Options) -> FoundPlan:
    """The plan of a sync with these options, also where tables are missing.

    `options.tables` narrows it to these tables and the parents whose maps they need. Raises `DfsyncError` where an end
    cannot be reached or the plan cannot be completed.
    """
    with Source(source) as opened:
        engine = server.make_engine(url)
        try:
            with server.connect(engine) as connection:
                there = reflect(connection)
        finally:
            engine.dispose()
        plan = complete(choose_plan(options.plan, opened), opened.schema, there)
        ends = (("source", opened.schema), ("target", there))
        missing = {t.name: [end for end, schema in ends if schema.find(t.table) is None] for t in plan.tables}
    return FoundPlan(_narrowed(plan, options.tables), missing, str(opened.path), server.place(engine.url))


def _narrowed(plan: Plan, names: Iterable[str] | None) -> Plan:
    if names is None:
        return plan
    asked = only(plan, names)
    return _narrowed_to(plan, {*asked, *ancestors(plan, asked)})


def _narrowed_to(plan: Plan, kept: set[str]) -> Plan:
    tables = [replace(t, after=tuple(n for n in t.after if n in kept)) for t in plan.tables if t.name in kept]
    return replace(plan, tables=tuple(tables))


def show(found: FoundPlan, out: rich.console.Console) -> None:
    """Prints the plan as a table, with a legend of where each part came from, and the warnings."""
    heading = f"Plan: {visible(found.plan.title, _LONGEST)}, {counted(len(found.plan.tables), 'tables')}\n"
    out.print(Text(heading), soft_wrap=True)
    legend: dict[str, int] = {}
    rows: list[Row] = [
        (
            [str(order)],
            _name_lines(table, found.missing[table.name]),
            [_marked(visible(table.id or "-"), table.origin.get("id"), legend)],
            _key_lines(table, legend),
            _reference_lines(table, legend),
        )
        for order, table in enumerate(found.plan.tables, start=1)
    ]
    print_table(_grid(rows, out), out)
    if legend:
        out.print(Text("\n".join(["", *(f"[{mark}] {visible(text, _LONGEST)}" for text, mark in legend.items())])))
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
    lines = [visible(table.name, _LONGEST)]
    if table.table != table.name:
        lines.append(f"(table {visible(table.table, _LONGEST)})")
    lines += [f"(not in the {end})" for end in missing]
    if table.on_match != "skip":
        lines.append(f"(on_match {table.on_match})")
    if table.ignore_columns:
        lines.append(f"(ignores {', '.join(map(visible, table.ignore_columns))})")
    return lines


def _key_lines(table: TablePlan, legend: dict[str, int]) -> list[str]:
    if not table.key:
        return [_marked("whole content", table.origin.get("natural_key"), legend)]
    *columns, last = map(visible, table.key)
    return [*(f"{column}," for column in columns), _marked(last, table.origin.get("natural_key"), legend)]


def _reference_lines(table: TablePlan, legend: dict[str, int]) -> list[str]:
    origin = table.origin.get("foreign_keys")
    lines = [
        _marked(f"{visible(c)} -> {visible(parent)}", _DEFERRED if c in table.deferred else origin, legend)
        for c, parent in table.parents.items()
    ]
    return [*(lines or ["-"]), *(f"after {visible(name)}" for name in table.after)]
