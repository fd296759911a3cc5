"""What a plan leaves out, found in the two databases: surrogate ids, natural keys, foreign keys, and the order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from dfsync.errors import DfsyncError
from dfsync.plan import BUILT_IN, ForeignKey, Plan, TablePlan, in_order, read_plan
from dfsync.schema import Reference, Schema, Table

WHOLE_CONTENT = "none found: rows are compared by their whole content"


def choose_plan(path: Path | None, source: Schema) -> Plan:
    """The draft: the plan file, else the built-in plan where the source's tables are its tables, else every table."""
    if path is not None:
        return read_plan(path)
    built_in = read_plan(BUILT_IN)
    if _serves(built_in, source):
        return built_in
    if not source:
        raise DfsyncError("The source has no tables.")
    return Plan(tuple(TablePlan(name=_safe(name), table=name) for name in source), "discovered plan")


def complete(draft: Plan, source: Schema, target: Schema) -> Plan:
    """The draft with nothing left out, parents before children, and every table's `deferred` foreign keys."""
    tables = [_with_id(table, source, target) for table in draft.tables]
    tables = [_with_foreign_keys(table, tables, source, target) for table in tables]
    tables = [_with_natural_key(table, source, target) for table in tables]
    _check_natural_keys(draft, tables, source)
    return replace(draft, tables=in_order(_with_deferred(tables, target)))


def circles(tables: Iterable[TablePlan]) -> list[set[str]]:
    """The sets of tables that refer to each other in a circle, or to themselves; each is synced in one transaction."""
    by_name = {table.name: table for table in tables}
    reach = {name: _reach(name, by_name) for name in by_name}
    found: list[set[str]] = []
    for name in by_name:
        circle = {other for other in reach[name] if name in reach[other]}
        if circle and circle not in found:
            found.append(circle)
    return found


def _reach(name: str, tables: dict[str, TablePlan]) -> set[str]:
    found: set[str] = set()
    todo = [name]
    while todo:
        new = set(tables[todo.pop()].parents.values()) & tables.keys() - found
        found |= new
        todo += new
    return found


def _serves(plan: Plan, source: Schema) -> bool:
    planned = {table.table.lower(): table for table in plan.tables}
    return bool(source) and all(
        name.lower() in planned
        and all(column in table for column in (*planned[name.lower()].key, *planned[name.lower()].parents))
        for name, table in source.items()
    )


def _safe(name: str) -> str:
    """A file is named after the table; what a file name cannot hold is replaced."""
    safe = "".join("_" if c in '/\\:*?"<>|' or ord(c) < 32 else c for c in name)
    return f"_{safe[1:]}" if safe.startswith(".") else safe


def _with_id(table: TablePlan, source: Schema, target: Schema) -> TablePlan:
    have = source.find(table.table)
    if table.id is not None or have is None:
        return table
    key = have.primary_key
    if len(key) != 1 or have[key[0]].kind != "integer" or _is_reference(have, key[0]):
        return replace(table, origin={**table.origin, "id": "none: the table has no integer primary key of its own"})
    there = target.find(table.table)
    if there is not None and (key[0] not in there or there[key[0]].kind != "integer"):
        return replace(table, origin={**table.origin, "id": "none: it is no integer in the target"})
    return replace(table, id=key[0], origin={**table.origin, "id": "primary key of the source"})


def _is_reference(table: Table, column: str) -> bool:
    return any(reference.columns == (column,) for reference in table.references)


def _with_foreign_keys(table: TablePlan, tables: list[TablePlan], source: Schema, target: Schema) -> TablePlan:
    if table.foreign_keys is not None:
        return table
    planned = {t.table.lower(): t for t in tables}
    found: dict[str, ForeignKey] = {}
    after: list[str] = list(table.after)
    origin = "none declared"
    for schema, side in ((source, "source"), (target, "target")):
        have = schema.find(table.table)
        for reference in have.references if have else ():
            parent = planned.get(reference.parent.lower())
            if parent is None:
                if schema is source and source.find(reference.parent) is not None:
                    raise DfsyncError(
                        f"{table.table}.{reference.columns[0]} refers to {reference.parent}, which is not in the plan. "
                        f"Add [tables.{reference.parent}] to the plan, or give [tables.{table.name}] its foreign_keys."
                    )
                continue
            if parent.name != table.name and parent.name not in after:
                after.append(parent.name)
            for key in _resolved(table, reference, parent, planned, schema):
                if key.column not in found:
                    found[key.column] = key
                    origin = f"declared in the {side}"
    keys = tuple(found.values())
    after = [name for name in after if name not in {key.parent for key in keys}]
    return replace(table, foreign_keys=keys, after=tuple(after), origin={**table.origin, "foreign_keys": origin})


def _resolved(
    table: TablePlan, reference: Reference, parent: TablePlan, planned: dict[str, TablePlan], schema: Schema
) -> list[ForeignKey]:
    """The columns of a reference that hold surrogate ids, by whose they are.

    A column that points to no id, but to a column that is itself a foreign key, holds the id that that one holds. Any
    other value is no surrogate id and travels unchanged.
    """
    there = schema.find(parent.table)
    parent_columns = reference.parent_columns or (there.primary_key if there else ())
    keys = []
    for column, parent_column in zip(reference.columns, parent_columns, strict=False):
        owner = _owner(parent, parent_column, planned, schema, depth=len(planned))
        if owner is not None:
            keys.append(ForeignKey(column, owner))
    return keys


def _owner(table: TablePlan, column: str, planned: dict[str, TablePlan], schema: Schema, *, depth: int) -> str | None:
    if table.id is not None and column.lower() == table.id.lower():
        return table.name
    have = schema.find(table.table)
    for reference in have.references if have and depth else ():
        parent = planned.get(reference.parent.lower())
        there = schema.find(reference.parent)
        if parent is None or there is None or column not in reference.columns:
            continue
        columns = dict(zip(reference.columns, reference.parent_columns or there.primary_key, strict=False))
        if column in columns:
            return _owner(parent, columns[column], planned, schema, depth=depth - 1)
    return None


def _with_natural_key(table: TablePlan, source: Schema, target: Schema) -> TablePlan:
    if table.natural_key is not None:
        return table
    have = source.find(table.table)
    for schema, origin in ((target, "target"), (source, "source")):
        side = schema.find(table.table)
        keys = [key for key in (side.uniques() if side else []) if _usable(table, key, have)]
        if side and keys:
            # Rows with a NULL in the key are compared by their whole content, so a key without is better.
            best = next((key for key in keys if not any(side[column].nullable for column in key)), keys[0])
            kind = "primary key" if best == side.primary_key else "unique constraint"
            return replace(table, natural_key=best, origin={**table.origin, "natural_key": f"{kind} of the {origin}"})
    return replace(table, natural_key=(), origin={**table.origin, "natural_key": WHOLE_CONTENT})


def _usable(table: TablePlan, key: tuple[str, ...], source: Table | None) -> bool:
    ignored = {column.lower() for column in table.ignore_columns}
    own_id = (table.id or "").lower()
    return all(
        column.lower() != own_id and column.lower() not in ignored and (source is None or column in source)
        for column in key
    )


def _check_natural_keys(draft: Plan, tables: Iterable[TablePlan], source: Schema) -> None:
    for table in tables:
        have = source.find(table.table)
        for column in (*table.key, *table.parents, *filter(None, [table.id])) if have else ():
            if have is not None and column not in have:
                known = ", ".join(c.name for c in have.columns)
                raise DfsyncError(
                    f"The {draft.source}: [tables.{table.name}] names the column {column!r}, but {table.table} in the "
                    f"source has {known}."
                )


def _with_deferred(tables: list[TablePlan], target: Schema) -> list[TablePlan]:
    """In a circle, a foreign key that may be empty gets its value after the rows are in."""
    found = circles(tables)
    made = []
    for table in tables:
        circle = next((circle for circle in found if table.name in circle), set())
        there = target.find(table.table)
        deferred = tuple(
            column
            for column, parent in table.parents.items()
            if parent in circle and column not in table.key and there and column in there and there[column].nullable
        )
        made.append(replace(table, deferred=deferred))
    return made
