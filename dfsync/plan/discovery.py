"""What a plan leaves out, found in the two databases: surrogate ids, natural keys, foreign keys, and the order."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from dfsync.model.errors import DfsyncError
from dfsync.model.schema import ForeignKeyConstraint, Schema, Table
from dfsync.plan.file import BUILT_IN, read_plan
from dfsync.plan.graph import drop_cyclic_after, strongly_connected, topological_order
from dfsync.plan.model import ForeignKey, Plan, TablePlan
from dfsync.text.wording import did_you_mean


def expected_schema(source: Schema, target: Schema) -> Schema:
    """The target as it will be: its tables, and those of the source that it lacks."""
    return Schema({**{name: table for name, table in source.items() if target.find(name) is None}, **target})


WHOLE_CONTENT = "none found: rows are compared by their whole content"


def select_draft(path: Path | None, source: Schema) -> Plan:
    """The draft: the plan file, else the built-in plan where the source's tables are its tables, else every table."""
    if path is not None:
        draft = read_plan(path)
        _require_known_tables(path, draft, source)
        return draft
    built_in = read_plan(BUILT_IN)
    if _fits(built_in, source):
        return built_in
    names = _file_names(source)
    return Plan(tuple(TablePlan(name=names[table], table=table) for table in source), "discovered plan")


def _require_known_tables(path: Path, draft: Plan, source: Schema) -> None:
    # The built-in plan may name more than a source has. In a file it is a slip, and the rows that it means stay behind.
    for table in draft.tables:
        if source.find(table.table) is None:
            hint = did_you_mean(table.table, source) or " Mend the name, or take the table out of the plan."
            raise DfsyncError(
                f"The plan {path}: [tables.{table.name}] names the table {table.table!r}, which the source lacks.{hint}"
            )


def resolve(draft: Plan, source: Schema, target: Schema) -> Plan:
    """The draft with nothing left out, parents before children, and every table's `deferred` foreign keys."""
    tables = [_with_id(table, source, target) for table in draft.tables]
    tables = [_with_foreign_keys(table, tables, source, target) for table in tables]
    tables = [_with_source_spelling(table, source) for table in tables]
    tables = [_with_natural_key(table, source, target) for table in tables]
    _check(draft, tables, source)
    tables = drop_cyclic_after(tables, draft.tables)
    return replace(draft, tables=topological_order(_with_deferred(tables, source, target)))


def _fits(plan: Plan, source: Schema) -> bool:
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


def _file_names(tables: Iterable[str]) -> dict[str, str]:
    """A name for each table that is its own or near it, and that no other has, in any case."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for table in sorted(tables, key=lambda name: _safe(name) != name):
        safe = _safe(table)
        tries = itertools.chain([safe], (f"{safe}_{number}" for number in itertools.count(2)))
        names[table] = next(name for name in tries if name.lower() not in taken)
        taken.add(names[table].lower())
    return names


def _with_source_spelling(table: TablePlan, source: Schema) -> TablePlan:
    """With the names of columns as the source writes them, since a plan or the target may write them in other case."""
    have = source.find(table.table)
    if have is None:
        return table

    def spelled(column: str) -> str:
        return have[column].name if column in have else column

    keys = {spelled(key.column): key.parent for key in reversed(table.foreign_keys or ())}
    return replace(
        table,
        id=None if table.id is None else spelled(table.id),
        natural_key=None if table.natural_key is None else tuple(map(spelled, table.natural_key)),
        foreign_keys=tuple(ForeignKey(*key) for key in reversed(keys.items())),
    )


def _with_id(table: TablePlan, source: Schema, target: Schema) -> TablePlan:
    have = source.find(table.table)
    if table.id == "":
        return replace(table, id=None)
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
    ignored = {column.lower() for column in table.ignore_columns}
    found: dict[str, ForeignKey] = {}
    after: list[str] = list(table.after)
    origin = "none declared"
    for schema, side in ((source, "source"), (target, "target")):
        have = schema.find(table.table)
        for reference in have.references if have else ():
            parent = planned.get(reference.parent.lower())
            if parent is None:
                _require_planned_parent(table, reference, source, target)
                continue
            if parent.name != table.name and parent.name not in after:
                after.append(parent.name)
            for key in _resolved(table, reference, parent, planned, schema):
                if key.column not in found and key.column.lower() not in ignored:
                    found[key.column] = key
                    origin = f"declared in the {side}"
    keys = tuple(found.values())
    after = [name for name in after if name not in {key.parent for key in keys}]
    return replace(table, foreign_keys=keys, after=tuple(after), origin={**table.origin, "foreign_keys": origin})


def _require_planned_parent(table: TablePlan, reference: ForeignKeyConstraint, source: Schema, target: Schema) -> None:
    """Raises `DfsyncError` where a column that travels holds ids of a table without a mapping: at the other end they
    would name other rows."""
    have, there = source.find(table.table), target.find(reference.parent)
    left_out = {column.lower() for column in table.ignore_columns}
    travelling = [c for c in reference.columns if have and c in have and c.lower() not in left_out]
    referred = reference.parent_columns or (there.primary_key if there else ())
    ids = there is not None and any(column in there and there[column].auto_increment for column in referred)
    if travelling and (ids or source.find(reference.parent) is not None):
        raise DfsyncError(
            f"{table.table}.{travelling[0]} refers to {reference.parent}, which is not in the plan. "
            f"Add [tables.{reference.parent}] to the plan, or give [tables.{table.name}] its foreign_keys; a column "
            "that these leave out travels unchanged."
        )


def _resolved(
    table: TablePlan, reference: ForeignKeyConstraint, parent: TablePlan, planned: dict[str, TablePlan], schema: Schema
) -> list[ForeignKey]:
    """The columns of a reference that hold surrogate ids, by whose they are.

    A column that points to no id, but to a column that is itself a foreign key, holds the id that that one holds. Any
    other value is no surrogate id and travels unchanged.
    """
    there = schema.find(parent.table)
    parent_columns = reference.parent_columns or (there.primary_key if there else ())
    keys = []
    for column, parent_column in zip(reference.columns, parent_columns, strict=False):
        owner = _id_owner(parent, parent_column, planned, schema, depth=len(planned))
        if owner is not None:
            keys.append(ForeignKey(column, owner))
    return keys


def _id_owner(
    table: TablePlan, column: str, planned: dict[str, TablePlan], schema: Schema, *, depth: int
) -> str | None:
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
            return _id_owner(parent, columns[column], planned, schema, depth=depth - 1)
    return None


def _with_natural_key(table: TablePlan, source: Schema, target: Schema) -> TablePlan:
    if table.natural_key is not None:
        return table
    have = source.find(table.table)
    for schema, origin in ((target, "target"), (source, "source")):
        side = schema.find(table.table)
        keys = [
            key
            for key in (side.uniques() if side else [])
            if _key_is_copied(table, key, have, target.find(table.table))
        ]
        if side and keys:
            # Rows with a NULL in the key are compared by their whole content, so a key without is better.
            best = next((key for key in keys if not any(side[column].nullable for column in key)), keys[0])
            kind = "primary key" if best == side.primary_key else "unique constraint"
            best = tuple(have[column].name for column in best) if have else best
            return replace(table, natural_key=best, origin={**table.origin, "natural_key": f"{kind} of the {origin}"})
    return replace(table, natural_key=(), origin={**table.origin, "natural_key": WHOLE_CONTENT})


def _key_is_copied(table: TablePlan, key: tuple[str, ...], source: Table | None, target: Table | None) -> bool:
    """Whether all of the key's columns travel."""
    left_out = {column.lower() for column in (*table.ignore_columns, table.id or "")}
    # What the target computes does not travel, nor what the source computes and the target does without.
    ends = [end for end in (source, target) if end is not None]
    left_out |= {c.name.lower() for c in target.columns if c.generated} if target else set()
    return all(column.lower() not in left_out and all(column in end for end in ends) for column in key)


def _check(draft: Plan, tables: Iterable[TablePlan], source: Schema) -> None:
    """Raises `DfsyncError` for columns that the source lacks, and for an id that would not be assigned anew."""
    for table in tables:
        where = f"The {draft.source}: [tables.{table.name}]"
        have = source.find(table.table)
        names = (*table.key, *table.parents, *filter(None, [table.id]), *table.ignore_columns)
        lacking = next((column for column in names if have is not None and column not in have), None)
        if lacking is not None and have is not None:
            known = ", ".join(c.name for c in have.columns)
            raise DfsyncError(
                f"{where} names the column {lacking!r}, but {table.table} in the source has {known}."
                f"{did_you_mean(lacking, [c.name for c in have.columns])}"
            )
        for setting, columns in (("natural_key", table.key), ("foreign_keys", table.parents)):
            if table.id is not None and table.id in columns:
                raise DfsyncError(
                    f"{where} has {table.id} as its id, which is another one in the target, and in {setting}. "
                    f'Leave it out there, or give id = "" if {table.id} is no mere number.'
                )


def _with_deferred(tables: list[TablePlan], source: Schema, target: Schema) -> list[TablePlan]:
    """In a circle, a foreign key that may be empty in the target gets its value after the rows are in.

    Of a table that the target lacks the source tells what may be empty.
    """
    circles = strongly_connected(tables)
    made = []
    for table in tables:
        circle = next((circle for circle in circles if table.name in circle), set())
        there = target.find(table.table) or source.find(table.table)
        deferred = tuple(
            column
            for column, parent in table.parents.items()
            if parent in circle and column not in table.key and there and column in there and there[column].nullable
        )
        made.append(replace(table, deferred=deferred))
    return made
