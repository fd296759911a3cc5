"""The plan: which tables, in which order, with which natural keys and foreign keys. Data, not code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dfsync.model.errors import DfsyncError
from dfsync.text.redaction import without_credentials
from dfsync.text.wording import did_you_mean

EXPLICIT_ORIGINS = ("plan file", "built-in plan")
"""The origins of what nobody had to discover."""


@dataclass(frozen=True)
class ForeignKey:
    """`column` holds ids of the planned table `parent` and is remapped by its mapping."""

    column: str
    parent: str


@dataclass(frozen=True)
class TablePlan:
    """How one table travels. In a plan file's draft None means: left out, to be discovered."""

    name: str
    """In reports, JSON and file names."""
    table: str
    id: str | None = None
    """The surrogate id; None in a complete plan where the table has none, for which a draft says `""`."""
    natural_key: tuple[str, ...] | None = None
    """Empty in a complete plan where rows are compared by their whole content."""
    foreign_keys: tuple[ForeignKey, ...] | None = None
    after: tuple[str, ...] = ()
    on_match: str = "skip"
    ignore_columns: tuple[str, ...] = ()
    deferred: tuple[str, ...] = ()
    """Foreign keys in a circle of tables that may be empty at first; never in a file, set by `dfsync.discover`."""
    origin: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Where `id`, `natural_key` and `foreign_keys` came from, in words for `dfsync plan`."""

    @property
    def key(self) -> tuple[str, ...]:
        return self.natural_key or ()

    @property
    def lacks_key(self) -> bool:
        """Whether rows are compared by their whole content for want of a key, and not because a plan file says so."""
        return not self.key and self.origin.get("natural_key") not in EXPLICIT_ORIGINS

    @property
    def parents(self) -> dict[str, str]:
        """Parent by foreign key column."""
        return {fk.column: fk.parent for fk in self.foreign_keys or ()}

    def as_dict(self) -> dict[str, Any]:
        """For JSON; the foreign keys as `parents`."""
        return {**vars(self), "foreign_keys": self.parents, "origin": dict(self.origin)}


@dataclass(frozen=True)
class Plan:
    """The tables in the order in which they are synced: parents before children."""

    tables: tuple[TablePlan, ...]
    source: str
    """What to call it: the file's name, `built-in plan` or `discovered plan`."""

    def __getitem__(self, name: str) -> TablePlan:
        return next(table for table in self.tables if table.name == name)

    @property
    def names(self) -> list[str]:
        return [table.name for table in self.tables]

    @property
    def file(self) -> str | None:
        """The path of the plan file; None where the plan is built in or discovered."""
        return self.source.removeprefix("plan ") if self.source.startswith("plan ") else None

    @property
    def title(self) -> str:
        """What stands after `Plan: `."""
        return self.file or self.source

    def as_dict(self) -> dict[str, Any]:
        """For `summary.json`."""
        return {"source": self.source, "tables": [table.as_dict() for table in self.tables]}


def select(plan: Plan, names: Iterable[str]) -> list[str]:
    """The asked names in the plan's order. Raises `DfsyncError` for a name that is not in the plan."""
    asked = list(names)
    for name in asked:
        if name not in plan.names:
            hint = did_you_mean(name, plan.names) or f" It has {', '.join(plan.names)}."
            # Whoever mistakes this for the target may give a password here.
            raise DfsyncError(f"No table {without_credentials(repr(name))} in the {plan.source}.{hint}")
    return [name for name in plan.names if name in asked]


def with_on_match(plan: Plan, on_match: str | None) -> Plan:
    """The plan with `on_match` for every table, or as it is where that is None."""
    if on_match is None:
        return plan
    return replace(plan, tables=tuple(replace(table, on_match=on_match) for table in plan.tables))
