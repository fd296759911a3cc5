"""Which columns hold ids of other tables, as the constraints of both databases declare it."""

from __future__ import annotations

from dataclasses import replace

from dfsync.model.errors import DfsyncError
from dfsync.model.schema import ForeignKeyConstraint, Schema
from dfsync.plan.columns import planned_columns
from dfsync.plan.model import ForeignKey, TablePlan
from dfsync.text.wording import plan_section


def with_foreign_keys(table: TablePlan, tables: list[TablePlan], source: Schema, target: Schema) -> TablePlan:
    """Find the declared foreign keys of a table, beside those that its draft names.

    Parameters
    ----------
    table
        The draft of a table.
    tables
        The drafts of all tables, with their ids.
    source
        All tables of the source.
    target
        All tables of the target.

    Returns
    -------
    TablePlan
        With `foreign_keys`, also `after` for references by value, and their origin.

    Raises
    ------
    DfsyncError
        Where a column refers to a table that is not planned.
    """
    planned = {t.table.lower(): t for t in tables}
    left_out = {column.lower() for column in (*table.ignore_columns, *table.plain_columns, *table.empty_columns)}
    keys = {key.column.lower(): key for key in table.foreign_keys or ()}
    after: list[str] = list(table.after)
    origin = table.origin.get("foreign_keys", "none declared")
    for schema, side in ((source, "source"), (target, "target")):
        declaring = schema.find(table.table)
        for reference in declaring.references if declaring else ():
            if left_out >= {column.lower() for column in reference.columns}:
                continue
            parent = planned.get(reference.parent.lower())
            if parent is None and keys.keys() >= {column.lower() for column in reference.columns}:
                # The plan names another table for them, such as that of a query over the parent.
                continue
            if parent is None:
                _require_planned_parent(table, reference, source, target)
                continue
            if parent.name != table.name and parent.name not in after:
                after.append(parent.name)
            for key in _id_keys(reference, parent, planned, schema):
                if key.column.lower() not in {*keys, *left_out}:
                    keys[key.column.lower()] = key
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
            f"Add {plan_section(reference.parent)} to the plan, or list the column in plain_columns of "
            f"{plan_section(table.name)}, which copies it unchanged."
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
