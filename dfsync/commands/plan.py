"""The plan of a sync, resolved against both ends."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from dfsync.model.options import SyncOptions
from dfsync.pipeline.session import draft_plan
from dfsync.plan.discovery import resolve
from dfsync.plan.graph import ancestors
from dfsync.plan.model import Plan, select
from dfsync.source.sqlite import SqliteSource
from dfsync.target.connection import connect, display_name, make_engine
from dfsync.target.schema.reflection import reflect
from dfsync.text.wording import printable


@dataclass(frozen=True)
class ResolvedPlan:
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
            f"{printable(table.name)}: no natural key, so rows are compared by their whole content: one that was "
            "changed in the target goes in once more. Better name a natural_key in a plan file."
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


def resolve_plan(source: str | Path, url: str | sa.URL, options: SyncOptions) -> ResolvedPlan:
    """The plan of a sync with these options, also where tables are missing.

    `options.tables` narrows it to these tables and the parents whose maps they need. Raises `DfsyncError` where an end
    cannot be reached or the plan cannot be completed.
    """
    with SqliteSource(source) as opened:
        engine = make_engine(url)
        try:
            with connect(engine) as connection:
                there = reflect(connection)
        finally:
            engine.dispose()
        plan = resolve(draft_plan(options.plan, opened), opened.schema, there)
        ends = (("source", opened.schema), ("target", there))
        missing = {t.name: [end for end, schema in ends if schema.find(t.table) is None] for t in plan.tables}
    return ResolvedPlan(_narrowed(plan, options.tables), missing, str(opened.path), display_name(engine.url))


def _narrowed(plan: Plan, names: Iterable[str] | None) -> Plan:
    if names is None:
        return plan
    asked = select(plan, names)
    return _narrowed_to(plan, {*asked, *ancestors(plan, asked)})


def _narrowed_to(plan: Plan, kept: set[str]) -> Plan:
    tables = [replace(t, after=tuple(n for n in t.after if n in kept)) for t in plan.tables if t.name in kept]
    return replace(plan, tables=tuple(tables))
