"""Which tables a plan has before its settings are discovered: those of a file, of git history, or all."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

from dfsync.model.errors import DfsyncError
from dfsync.model.schema import Schema
from dfsync.plan.file import BUILT_IN, in_file_name, read_plan
from dfsync.plan.model import Plan, TablePlan
from dfsync.text.wording import did_you_mean


def expected_schema(source: Schema, target: Schema) -> Schema:
    """Expect the target as it will be once its missing tables are made.

    Parameters
    ----------
    source
        All tables of the source.
    target
        All tables of the target.

    Returns
    -------
    Schema
        The tables of the target, and those of the source that it lacks.
    """
    return Schema({**{name: table for name, table in source.items() if target.find(name) is None}, **target})


def select_draft(path: Path | None, source: Schema) -> Plan:
    """Select the draft of a plan.

    Parameters
    ----------
    path
        A plan file; None where there is none.
    source
        All tables of the source.

    Returns
    -------
    Plan
        The plan file; without one the built-in plan where the source's tables are its tables, else every table.

    Raises
    ------
    DfsyncError
        Where the plan file cannot be read, or names a table that the source lacks.
    """
    if path is not None:
        draft = read_plan(path)
        _require_known_tables(path, draft, source)
        return draft
    built_in = read_plan(BUILT_IN)
    if _fits(built_in, source):
        return built_in
    names = _plan_names(source)
    return Plan(tuple(TablePlan(name=names[table], table=table) for table in source), "discovered plan")


def _require_known_tables(path: Path, draft: Plan, source: Schema) -> None:
    # The built-in plan may name more than a source has. In a file it is a slip, and rows would not be copied.
    for table in draft.tables:
        if source.find(table.table) is None:
            hint = did_you_mean(table.table, source) or " Mend the name, or take the table out of the plan."
            raise DfsyncError(
                f"The plan {path}: [tables.{table.name}] names the table {table.table!r}, which the source lacks.{hint}"
            )


def _fits(plan: Plan, source: Schema) -> bool:
    """Whether the plan names every table of the source, and every key of it is there."""
    planned = {table.table.lower(): table for table in plan.tables}
    return bool(source) and all(
        name.lower() in planned
        and all(column in table for column in (*planned[name.lower()].key, *planned[name.lower()].parents))
        for name, table in source.items()
    )


def _plan_names(tables: Iterable[str]) -> dict[str, str]:
    """Choose names that are the tables' own or near them, can name files, and are unique in any case."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for table in sorted(tables, key=lambda name: _sanitize(name) != name):
        name = _sanitize(table)
        candidates = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(2)))
        names[table] = next(candidate for candidate in candidates if candidate.lower() not in taken)
        taken.add(names[table].lower())
    return names


def _sanitize(name: str) -> str:
    """Replace by `_` what a file's name cannot hold."""
    sanitized = "".join(c if in_file_name(c) else "_" for c in name)
    return f"_{sanitized[1:]}" if sanitized.startswith(".") else sanitized
