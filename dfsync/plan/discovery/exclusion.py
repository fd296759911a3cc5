"""Tables that a plan file or the caller excludes by patterns of their names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fnmatch import fnmatchcase

from dfsync.model.errors import DfsyncError
from dfsync.plan.model import Plan
from dfsync.text.redaction import without_credentials
from dfsync.text.wording import did_you_mean, printable


def excluded_tables(
    patterns: Iterable[str], tables: Iterable[str], where: str = "", optional: Iterable[str] = ()
) -> set[str]:
    """Find the tables that patterns name.

    Parameters
    ----------
    patterns
        Names of tables in any case; `*` stands for any letters, `?` for one.
    tables
        The names of all tables of the source.
    where
        Who says so, for the error, such as `The plan my.toml: `.
    optional
        More patterns, which need not name a table.

    Returns
    -------
    set of str
        As in `tables`.

    Raises
    ------
    DfsyncError
        For a pattern that names no table, which is a slip.
    """
    names = list(tables)

    def fitting(pattern: str) -> set[str]:
        return {name for name in names if is_named(name, [pattern])}

    found = set[str]().union(*map(fitting, optional))
    for pattern in patterns:
        matching = fitting(pattern)
        if not matching:
            hint = did_you_mean(pattern, names) or f" It has {', '.join(names)}."
            raise DfsyncError(
                f"{where}exclude has {without_credentials(repr(pattern))}, which is no table of the source.{hint}"
            )
        found |= matching
    return found


def is_named(table: str, patterns: Iterable[str]) -> bool:
    """Tell whether one of the patterns names a table."""
    return any(fnmatchcase(table.lower(), pattern.lower()) for pattern in patterns)


def without_tables(plan: Plan, excluded: Iterable[str], where: str = "") -> Plan:
    """Take tables out of a draft of a plan.

    Parameters
    ----------
    plan
        The draft.
    excluded
        Names of tables of the source.
    where
        Who says so, for errors.

    Returns
    -------
    Plan
        Without them. Nothing waits for them; a foreign key that only the databases declare is for
        `discovery.references`.

    Raises
    ------
    DfsyncError
        Where no table is left, or the plan gives a table a foreign key to one that goes.
    """
    gone = {name.lower() for name in excluded}
    if not gone:
        return plan
    names = {table.name for table in plan.tables if table.table.lower() in gone}
    tables = [table for table in plan.tables if table.name not in names]
    if not tables:
        raise DfsyncError(f"{where}exclude leaves no table.")
    for table in tables:
        column = next((column for column, parent in table.parents.items() if parent in names), None)
        if column is not None:
            parent = table.parents[column]
            raise DfsyncError(
                f"{where}{table.table}.{column} refers to {parent}, which is excluded. Exclude {table.name} too, or "
                f"let {parent} be in."
            )
    return replace(
        plan,
        tables=tuple(replace(table, after=tuple(n for n in table.after if n not in names)) for table in tables),
        left_out=tuple(name for name in plan.left_out if name.lower() not in gone),
        excluded=tuple(sorted({*plan.excluded, *excluded})),
    )


def excluded_lines(plan: Plan) -> list[str]:
    """Word which tables are excluded, and by whom.

    Parameters
    ----------
    plan
        The plan.

    Returns
    -------
    list of str
        Clauses, without a full stop; none where no table is excluded.
    """
    by_plan = excluded_tables((), plan.excluded, optional=plan.base_exclude)
    who = {
        "excluded, as asked": [name for name in plan.excluded if name not in by_plan],
        "excluded by the ready-made plan, which says why": sorted(by_plan),
    }
    return [f"{said}: {', '.join(map(printable, names))}" for said, names in who.items() if names]
