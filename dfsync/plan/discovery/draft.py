"""Which tables a plan has before its settings are discovered: those of a file, of a ready-made plan, or all."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from dfsync.model.errors import DfsyncError
from dfsync.model.schema import Schema, Table
from dfsync.plan.builtin.fitting import fitted
from dfsync.plan.builtin.ready_made import ready_made, told_by
from dfsync.plan.discovery.bookkeeping import bookkeeping_tables
from dfsync.plan.discovery.exclusion import excluded_tables, without_tables
from dfsync.plan.discovery.identity import own_number
from dfsync.plan.file import in_file_name, read_plan, require_known_references
from dfsync.plan.model import Plan, TablePlan
from dfsync.text.wording import did_you_mean, plan_section


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
        The tables of the target, and those of the source that it lacks, whose ids it will assign.
    """
    missing = {name: _made(table) for name, table in source.items() if target.find(name) is None}
    return Schema({**missing, **target})


def _made(table: Table) -> Table:
    own_id = own_number(table)
    columns = (replace(column, auto_increment=column.name == own_id) for column in table.columns)
    return replace(table, columns=tuple(columns))


def select_draft(path: Path | None, source: Schema, exclude: Iterable[str] = ()) -> Plan:
    """Select the draft of a plan.

    Parameters
    ----------
    path
        A plan file; None where there is none.
    source
        All tables of the source.
    exclude
        Patterns of names of tables that are left out, whatever the plan file says.

    Returns
    -------
    Plan
        The plan file; without one the ready-made plan whose telling tables are all in the source, else every table
        but those in which frameworks keep their books.

    Raises
    ------
    DfsyncError
        Where the plan file cannot be read, or names a table that the source lacks; where a pattern names no table, or
        a table refers to one that is left out.
    """
    excluded = excluded_tables(exclude, source)
    if path is not None:
        return without_tables(_draft_of_file(path, source), excluded)
    # An excluded table does not count either where the plan is chosen.
    seen = Schema({name: table for name, table in source.items() if name not in excluded})
    return without_tables(_chosen(seen), excluded)


def _chosen(source: Schema) -> Plan:
    kept, left_out = _without_bookkeeping(source)
    for application in told_by(source):
        path = ready_made()[application.plan]
        draft = read_plan(path)
        if _fits(draft, kept):
            # A plan that names every table leaves nothing to tell.
            if draft.overlay:
                return replace(_laid_over(path, draft, source), choice=application.choice)
            return replace(draft, left_out=left_out)
    return Plan(_discovered(kept, {}), "discovered plan", left_out=left_out)


def _draft_of_file(path: Path, source: Schema) -> Plan:
    draft = read_plan(path)
    _require_known_tables(path, draft, source)
    if draft.overlay:
        return _laid_over(path, draft, source)
    where = f"The plan {path}: "
    # What the file itself names is in, as where all tables are discovered.
    named = {table.table.lower() for table in draft.tables if table.name not in draft.inherited}
    excluded = excluded_tables(draft.exclude, source, where, draft.base_exclude)
    return without_tables(draft, {name for name in excluded if name.lower() not in named}, where)


def _without_bookkeeping(source: Schema, named: Iterable[str] = ()) -> tuple[Schema, tuple[str, ...]]:
    """The tables of a discovered plan, and those that it leaves out although nobody asked for it."""
    left_out = {*bookkeeping_tables(source)} - {*named}
    if len(left_out) == len(source):
        # Whoever syncs nothing else means these.
        left_out.clear()
    return Schema({name: table for name, table in source.items() if name not in left_out}), tuple(sorted(left_out))


def _discovered(tables: Iterable[str], said: Mapping[str, TablePlan]) -> tuple[TablePlan, ...]:
    """A draft for each table: what a file says of it, by the name of the table, else nothing."""
    names = _plan_names([table for table in tables if table not in said], [draft.name for draft in said.values()])
    return tuple(said[table] if table in said else TablePlan(name=names[table], table=table) for table in tables)


def _laid_over(path: Path, draft: Plan, source: Schema) -> Plan:
    """The discovered draft, with what the file says of some tables, and without those that it excludes."""
    draft = fitted(draft, source)
    said = {table.name: planned for planned in draft.tables if (table := source.find(planned.table)) is not None}
    excluded = excluded_tables(draft.exclude, source, f"The plan {path}: ", draft.base_exclude)
    named = {name for name, planned in said.items() if planned.name not in draft.inherited}
    kept, left_out = _without_bookkeeping(source, said)
    without = excluded - named
    tables = _discovered([name for name in kept if name not in without], said)
    if not tables:
        raise DfsyncError(f"The plan {path}: exclude leaves no table.")
    require_known_references(path, tables)
    left_out = tuple(name for name in left_out if name not in without)
    return replace(draft, tables=tables, left_out=left_out, excluded=tuple(sorted(without)))


def _require_known_tables(path: Path, draft: Plan, source: Schema) -> None:
    # A ready-made plan may name more than a source has. In a file it is a slip, and rows would not be copied.
    for table in draft.tables:
        if table.name not in draft.inherited and source.find(table.table) is None:
            named = table.source_table or table.table
            hint = did_you_mean(named, [*source, *source.views]) or " Mend the name, or take the table out of the plan."
            raise DfsyncError(
                f"The plan {path}: {plan_section(table.name)} names the table {named!r}, which the source lacks.{hint}"
            )


def _fits(plan: Plan, source: Schema) -> bool:
    """Whether every key of the plan is there, and it takes every table of the source."""
    # A plan that takes tables that it does not know is also for other versions of the application.
    drafts = (fitted(plan, source) if plan.overlay else plan).tables
    planned = {table.table.lower(): table for table in drafts}
    found = [(planned[name.lower()], table) for name, table in source.items() if name.lower() in planned]
    keys = ((table, column) for draft, table in found for column in (*draft.key, *draft.parents))
    return (plan.overlay or len(found) == len(source)) and all(column in table for table, column in keys)


def _plan_names(tables: Iterable[str], reserved: Iterable[str]) -> dict[str, str]:
    """Choose names that are the tables' own or near them, can name files, and are unique in any case."""
    names: dict[str, str] = {}
    taken = {name.lower() for name in reserved}
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
