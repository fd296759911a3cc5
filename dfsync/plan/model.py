"""The plan: which tables, in which order, with which natural keys and foreign keys. Data, not code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dfsync.model.errors import DfsyncError
from dfsync.text.redaction import without_credentials
from dfsync.text.wording import did_you_mean

EXPLICIT_ORIGINS = ("plan file", "built-in plan")
"""The origins of settings that are not discovered."""
IDS_ARE_KEPT = "its ids are kept, so an id names one row"
"""Why a row is the one that had its id in the last run."""


@dataclass(frozen=True)
class ForeignKey:
    """A column that holds ids of the planned table `parent` and is remapped by its mapping."""

    column: str
    parent: str


@dataclass(frozen=True)
class TablePlan:
    """How one table is copied. In a plan file's draft None means: left out, to be discovered."""

    name: str
    """In reports, JSON and file names."""
    table: str
    """In the target, and in the source where `source_table` does not say otherwise."""
    id: str | None = None
    """The surrogate id; None in a complete plan where the table has none, for which a draft says `""`."""
    natural_key: tuple[str, ...] | None = None
    """Empty in a complete plan where rows are compared by their whole content."""
    foreign_keys: tuple[ForeignKey, ...] | None = None
    after: tuple[str, ...] = ()
    on_match: str = "skip"
    ignore_columns: tuple[str, ...] = ()
    plain_columns: tuple[str, ...] = ()
    """Columns that look like foreign keys or are declared as such, and are copied unchanged."""
    update_columns: tuple[str, ...] | None = None
    """The columns that `on_match = "update"` gives the source's values; None for all but id and natural key."""
    identity: str | None = None
    """`id` where a row is the one that had its id in the last run, `content` where its values alone say who it is."""
    on_rekey: str | None = None
    """What becomes of a row whose natural key is another one than in the last run; None where a person must say."""
    on_missing_parent: str = "reject"
    """`null` where a foreign key that may be NULL becomes NULL for want of a parent."""
    keep_ids: tuple[int, ...] | None = None
    """Ids that mean the same row in both databases, such as 0; None where a person must say."""
    ids: str = "new"
    """`keep` where a new row has the id of its source row as far as that is free; `new` where the target assigns it."""
    source_table: str | None = None
    """What the source calls it where that is not `table`; None for a query."""
    columns: tuple[tuple[str, str], ...] = ()
    """Columns of the source that the target calls otherwise, each with that name, by which all else calls them."""
    query: str | None = None
    """A SELECT over the source, whose rows are those of the table; None where they are those of a table or view."""
    convert: tuple[tuple[str, str], ...] = ()
    """Columns, and what the source writes in them: one of `dfsync.model.options.CONVERT`."""
    dates: tuple[tuple[str, str], ...] = ()
    """Columns, and the form of their dates in the source, as strptime takes it."""
    types: tuple[tuple[str, str], ...] = ()
    """Columns, and the types with which the target's table is created."""
    empty_columns: tuple[str, ...] = ()
    """Columns that are NULL in every row of the source, and that the target lacks: they are not copied. Never in a
    file, set by `discovery.resolve`."""
    deferred: tuple[str, ...] = ()
    """Foreign keys in a circle of tables that are NULL at first; never in a file, set by `discovery.resolve`."""
    origin: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Where `id`, `natural_key` and `foreign_keys` came from, in words for `dfsync plan`."""

    @property
    def in_source(self) -> str | None:
        """The name of the source's table or view; None for a query."""
        return None if self.query is not None else self.source_table or self.table

    @property
    def key(self) -> tuple[str, ...]:
        """The columns of the natural key; none where there is none, or it is not yet discovered."""
        return self.natural_key or ()

    @property
    def lacks_key(self) -> bool:
        """Whether rows are compared by their whole content for want of a key, and not because a plan file says so."""
        return not self.key and self.origin.get("natural_key") not in EXPLICIT_ORIGINS

    @property
    def keeps_ids(self) -> bool:
        """Whether new rows have the ids of their source rows where these are free."""
        return self.ids == "keep" and self.id is not None

    @property
    def parents(self) -> dict[str, str]:
        """Parent by foreign key column."""
        return {fk.column: fk.parent for fk in self.foreign_keys or ()}

    @property
    def written_as(self) -> dict[str, tuple[str, str]]:
        """By column in lower case, the setting that says how the source writes its values, and what it says."""
        settings = {"convert": self.convert, "dates": self.dates}
        return {column.lower(): (name, said) for name, pairs in settings.items() for column, said in pairs}

    def as_dict(self) -> dict[str, Any]:
        """Convert to what JSON holds.

        Returns
        -------
        dict
            The fields by name, the foreign keys as `parents`.
        """
        pairs = {name: dict(getattr(self, name)) for name in ("columns", "convert", "dates", "types")}
        return {**vars(self), **pairs, "foreign_keys": self.parents, "origin": dict(self.origin)}


@dataclass(frozen=True)
class Plan:
    """The tables in the order in which they are synced: parents before children."""

    tables: tuple[TablePlan, ...]
    source: str
    """What to call it: the file's name, `built-in plan`, `built-in plan django` or `discovered plan`."""
    overlay: bool = False
    """Whether a draft stands for every table of the source, and names only those about which it says something."""
    exclude: tuple[str, ...] = ()
    """Patterns of names of tables that an overlay leaves out."""
    other_version: str = "refuse"
    """`accept` where rows may go into the tables of another version of the application."""
    base_exclude: tuple[str, ...] = ()
    """Patterns that a ready-made plan excludes, which need not name a table."""
    inherited: tuple[str, ...] = field(default=(), compare=False)
    """The names of tables about which a plan file says nothing, but the ready-made plan that is its base."""
    of_base: Mapping[str, frozenset[str]] = field(default_factory=dict, compare=False)
    """By the name of a table, the settings that are a ready-made plan's."""
    choice: str | None = field(default=None, compare=False)
    """Why a ready-made plan was chosen by itself, and how to do without it; None where that need not be said."""
    excluded: tuple[str, ...] = field(default=(), compare=False)
    """The tables of the source that a plan file or the caller excludes."""
    left_out: tuple[str, ...] = field(default=(), compare=False)
    """The tables of the source that are not in a discovered plan, because a framework keeps its books in them."""

    def __getitem__(self, name: str) -> TablePlan:
        """Return the plan of the table of that name."""
        return next(table for table in self.tables if table.name == name)

    @property
    def names(self) -> list[str]:
        """The names of all tables, in order."""
        return [table.name for table in self.tables]

    @property
    def file(self) -> str | None:
        """The path of the plan file; None where the plan is built in or discovered."""
        return self.source.removeprefix("plan ") if self.source.startswith("plan ") else None

    @property
    def base(self) -> str:
        """What a plan file gives as its `base` that is to differ from this plan."""
        words = self.source.split()
        return words[-1] if words[:2] == ["built-in", "plan"] and len(words) > 2 else "discovered"

    @property
    def title(self) -> str:
        """What stands after `Plan: `."""
        return self.file or self.source

    def as_dict(self) -> dict[str, Any]:
        """Convert to what `summary.json` holds.

        Returns
        -------
        dict
            `source`, `tables` in order, `excluded` and `left_out`.
        """
        tables = [table.as_dict() for table in self.tables]
        lists = {"excluded": list(self.excluded), "left_out": list(self.left_out)}
        return {"source": self.source, "tables": tables, **lists}


def select(plan: Plan, names: Iterable[str]) -> list[str]:
    """Put requested names into the plan's order.

    Parameters
    ----------
    plan
        The plan.
    names
        Names of its tables, in any order.

    Returns
    -------
    list of str

    Raises
    ------
    DfsyncError
        For a name that is not in the plan.
    """
    requested = list(names)
    for name in requested:
        if name not in plan.names:
            hint = did_you_mean(name, plan.names) or f" It has {', '.join(plan.names)}."
            # A URL of the target, with its password, may stand here by mistake.
            raise DfsyncError(f"No table {without_credentials(repr(name))} in the {plan.source}.{hint}")
    return [name for name in plan.names if name in requested]


def with_on_match(plan: Plan, on_match: str | None) -> Plan:
    """Override what a plan does with rows that the target has.

    Parameters
    ----------
    plan
        The plan.
    on_match
        `skip` or `update` for every table; None leaves the plan as it is.

    Returns
    -------
    Plan
    """
    if on_match is None:
        return plan
    return replace(plan, tables=tuple(replace(table, on_match=on_match) for table in plan.tables))


def with_ids_kept(plan: Plan) -> Plan:
    """Keep the ids of the rows of every table, whatever the plan says."""
    return replace(plan, tables=tuple(map(_with_ids_kept, plan.tables)))


def _with_ids_kept(table: TablePlan) -> TablePlan:
    if table.id is None or table.origin.get("identity") in EXPLICIT_ORIGINS:
        return replace(table, ids="keep")
    return replace(table, ids="keep", identity="id", origin={**table.origin, "identity": IDS_ARE_KEPT})
