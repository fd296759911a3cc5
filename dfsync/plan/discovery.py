"""What a plan leaves out, found in the two schemas: surrogate ids, natural keys, foreign keys, and the order."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from dfsync.model.errors import DfsyncError
from dfsync.model.schema import ForeignKeyConstraint, Schema, Table
from dfsync.plan.columns import copied_columns, planned_columns
from dfsync.plan.file import BUILT_IN, in_file_name, read_plan
from dfsync.plan.graph import drop_cyclic_after, strongly_connected, topological_order
from dfsync.plan.model import ForeignKey, Plan, TablePlan
from dfsync.text.wording import did_you_mean

WHOLE_CONTENT = "none found: rows are compared by their whole content"


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


def resolve(draft: Plan, source: Schema, target: Schema) -> Plan:
    """Discover what a draft leaves out.

    Parameters
    ----------
    draft
        What is not None in it stays as it is.
    source
        All tables of the source.
    target
        All tables of the target.

    Returns
    -------
    Plan
        Complete: parents before children, with every table's `deferred` foreign keys.

    Raises
    ------
    DfsyncError
        Where the draft names a column that the source lacks, a column refers to a table that is not planned, an id is
        part of a key, or tables need each other in a circle that nothing breaks.
    """
    tables = [_with_id(table, source, target) for table in draft.tables]
    tables = [_with_foreign_keys(table, tables, source, target) for table in tables]
    tables = [_with_source_spelling(table, source) for table in tables]
    tables = [_with_natural_key(table, source, target) for table in tables]
    for table in tables:
        _require_known_columns(draft, table, source)
        _require_id_in_no_key(draft, table)
    tables = drop_cyclic_after(tables, draft.tables)
    return replace(draft, tables=topological_order(_with_deferred(tables, source, target)))


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


def _with_id(table: TablePlan, source: Schema, target: Schema) -> TablePlan:
    source_table, target_table = source.find(table.table), target.find(table.table)
    if table.id == "":
        return replace(table, id=None)
    if table.id is not None or source_table is None:
        return table
    key = source_table.primary_key
    if len(key) != 1 or source_table[key[0]].kind != "integer" or _is_reference(source_table, key[0]):
        return replace(table, origin={**table.origin, "id": "none: the table has no integer primary key of its own"})
    if target_table is not None and (key[0] not in target_table or target_table[key[0]].kind != "integer"):
        return replace(table, origin={**table.origin, "id": "none: it is no integer in the target"})
    return replace(table, id=key[0], origin={**table.origin, "id": "primary key of the source"})


def _is_reference(table: Table, column: str) -> bool:
    return any(reference.columns == (column,) for reference in table.references)


def _with_foreign_keys(table: TablePlan, tables: list[TablePlan], source: Schema, target: Schema) -> TablePlan:
    if table.foreign_keys is not None:
        return table
    planned = {t.table.lower(): t for t in tables}
    ignored = {column.lower() for column in table.ignore_columns}
    keys: dict[str, ForeignKey] = {}
    after: list[str] = list(table.after)
    origin = "none declared"
    for schema, side in ((source, "source"), (target, "target")):
        declaring = schema.find(table.table)
        for reference in declaring.references if declaring else ():
            parent = planned.get(reference.parent.lower())
            if parent is None:
                _require_planned_parent(table, reference, source, target)
                continue
            if parent.name != table.name and parent.name not in after:
                after.append(parent.name)
            for key in _id_keys(reference, parent, planned, schema):
                if key.column not in keys and key.column.lower() not in ignored:
                    keys[key.column] = key
                    origin = f"declared in the {side}"
    parents = {key.parent for key in keys.values()}
    return replace(
        table,
        foreign_keys=tuple(keys.values()),
        after=tuple(name for name in after if name not in parents),
        origin={**table.origin, "foreign_keys": origin},
    )


def _require_planned_parent(table: TablePlan, reference: ForeignKeyConstraint, source: Schema, target: Schema) -> None:
    """Refuse a planned column of ids of a table without a mapping: they would name other rows."""
    source_table, target_parent = source.find(table.table), target.find(reference.parent)
    planned = {column.name.lower() for column in planned_columns(table, source_table)} if source_table else set()
    columns = [column for column in reference.columns if column.lower() in planned]
    referred = reference.parent_columns or (target_parent.primary_key if target_parent else ())
    ids = target_parent is not None and any(
        column in target_parent and target_parent[column].auto_increment for column in referred
    )
    if columns and (ids or source.find(reference.parent) is not None):
        raise DfsyncError(
            f"{table.table}.{columns[0]} refers to {reference.parent}, which is not in the plan. "
            f"Add [tables.{reference.parent}] to the plan, or give [tables.{table.name}] its foreign_keys; a column "
            "that these leave out is copied unchanged."
        )


def _id_keys(
    reference: ForeignKeyConstraint, parent: TablePlan, planned: dict[str, TablePlan], schema: Schema
) -> list[ForeignKey]:
    """Find the columns of a constraint that hold surrogate ids, and the tables whose ids they are.

    A column that refers to no id, but to a column that is itself a foreign key, holds the id that that one holds. Any
    other value is no surrogate id and is copied unchanged.
    """
    parent_table = schema.find(parent.table)
    parent_columns = reference.parent_columns or (parent_table.primary_key if parent_table else ())
    keys = []
    for column, parent_column in zip(reference.columns, parent_columns, strict=False):
        owner = _id_owner(parent, parent_column, planned, schema, depth=len(planned))
        if owner is not None:
            keys.append(ForeignKey(column, owner))
    return keys


def _id_owner(
    table: TablePlan, column: str, planned: dict[str, TablePlan], schema: Schema, *, depth: int
) -> str | None:
    """Follow at most `depth` constraints to the planned table whose ids a column holds; None for other values."""
    if table.id is not None and column.lower() == table.id.lower():
        return table.name
    declaring = schema.find(table.table)
    for reference in declaring.references if declaring and depth else ():
        parent = planned.get(reference.parent.lower())
        parent_table = schema.find(reference.parent)
        if parent is None or parent_table is None or column not in reference.columns:
            continue
        columns = dict(zip(reference.columns, reference.parent_columns or parent_table.primary_key, strict=False))
        if column in columns:
            return _id_owner(parent, columns[column], planned, schema, depth=depth - 1)
    return None


def _with_source_spelling(table: TablePlan, source: Schema) -> TablePlan:
    """With the names of columns as the source writes them, since a plan or the target may write them in other case."""
    source_table = source.find(table.table)
    if source_table is None:
        return table

    def spelled(column: str) -> str:
        return source_table[column].name if column in source_table else column

    keys = {spelled(key.column): key.parent for key in reversed(table.foreign_keys or ())}
    return replace(
        table,
        id=None if table.id is None else spelled(table.id),
        natural_key=None if table.natural_key is None else tuple(map(spelled, table.natural_key)),
        foreign_keys=tuple(ForeignKey(*key) for key in reversed(keys.items())),
    )


def _with_natural_key(table: TablePlan, source: Schema, target: Schema) -> TablePlan:
    if table.natural_key is not None:
        return table
    source_table, target_table = source.find(table.table), target.find(table.table)
    for declaring, side in ((target_table, "target"), (source_table, "source")):
        if declaring is None:
            continue
        keys = [key for key in declaring.uniques() if _key_is_copied(table, key, source_table, target_table)]
        if keys:
            # Rows with a NULL in the key are compared by their whole content, so a key without is better.
            best = next((key for key in keys if not any(declaring[column].nullable for column in key)), keys[0])
            kind = "primary key" if best == declaring.primary_key else "unique constraint"
            best = tuple(source_table[column].name for column in best) if source_table else best
            return replace(table, natural_key=best, origin={**table.origin, "natural_key": f"{kind} of the {side}"})
    return replace(table, natural_key=(), origin={**table.origin, "natural_key": WHOLE_CONTENT})


def _key_is_copied(
    table: TablePlan, key: tuple[str, ...], source_table: Table | None, target_table: Table | None
) -> bool:
    """Whether all of the key's columns are copied; a table that an end lacks stands for the other one."""
    known = source_table or target_table
    if known is None:
        return False
    copied = {column.name.lower() for column in copied_columns(table, known, target_table)}
    return all(column.lower() in copied for column in key)


def _require_known_columns(draft: Plan, table: TablePlan, source: Schema) -> None:
    source_table = source.find(table.table)
    if source_table is None:
        return
    names = (*table.key, *table.parents, *filter(None, [table.id]), *table.ignore_columns)
    unknown = next((column for column in names if column not in source_table), None)
    if unknown is not None:
        known = [column.name for column in source_table.columns]
        raise DfsyncError(
            f"The {draft.source}: [tables.{table.name}] names the column {unknown!r}, but {table.table} in the source "
            f"has {', '.join(known)}.{did_you_mean(unknown, known)}"
        )


def _require_id_in_no_key(draft: Plan, table: TablePlan) -> None:
    """Refuse an id that would not be assigned anew."""
    for setting, columns in (("natural_key", table.key), ("foreign_keys", table.parents)):
        if table.id is not None and table.id in columns:
            raise DfsyncError(
                f"The {draft.source}: [tables.{table.name}] has {table.id} as its id, which is another one in the "
                f'target, and in {setting}. Leave it out there, or give id = "" if {table.id} is no mere number.'
            )


def _with_deferred(tables: list[TablePlan], source: Schema, target: Schema) -> list[TablePlan]:
    """In a circle, a foreign key that may be NULL in the target gets its value after the rows are inserted.

    Where the target lacks a table, the source says which column may be NULL.
    """
    circles = strongly_connected(tables)
    completed = []
    for table in tables:
        circle = next((circle for circle in circles if table.name in circle), set())
        written = target.find(table.table) or source.find(table.table)
        deferred = tuple(
            column
            for column, parent in table.parents.items()
            if parent in circle and column not in table.key
            if written and column in written and written[column].nullable
        )
        completed.append(replace(table, deferred=deferred))
    return completed
