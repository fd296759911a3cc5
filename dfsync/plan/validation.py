"""What of a plan does not fit the two schemas, as findings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from dfsync.model.schema import Column, Table
from dfsync.plan.model import TablePlan

ERROR, WARNING, NOTE = "error", "warning", "note"
NO_TABLE = "the target has no such table; create-tables makes it"


@dataclass(frozen=True)
class Finding:
    """Something that one should know before a sync. An `error` keeps a table, or some of its rows, from going in."""

    level: str
    """`error`, `warning` or `note`."""
    table: str
    """Its name in the plan; empty where it concerns all."""
    column: str | None
    message: str
    count: int | None = None
    """Of how many rows it is true."""
    fix: str | None = None
    """The SQL statement that mends it in the target."""


def copied_candidates(plan: TablePlan, have: Table) -> Iterator[Column]:
    """The source's columns that are to travel."""
    left = {name.lower() for name in (*plan.ignore_columns, plan.id or "")}
    return (column for column in have.columns if column.name.lower() not in left)


def copied_columns(plan: TablePlan, have: Table, there: Table) -> tuple[Column, ...]:
    """Those of them that can, as the target has them."""
    both = [c for c in copied_candidates(plan, have) if c.name in there and not there[c.name].generated]
    return tuple(replace(there[c.name], name=c.name) for c in both)


GENERATED = "the target computes it, so the source's values stay behind"


def generated_columns(plan: TablePlan, source: Table, target: Table) -> list[str]:
    """The source's columns whose values stay behind, because the target computes its own."""
    ignored = {column.lower() for column in plan.ignore_columns}
    own = [c.name for c in source.columns if not c.generated and c.name.lower() not in ignored]
    return [name for name in own if name in target and target[name].generated]
