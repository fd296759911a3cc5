"""The tables of a source under the names that a plan gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from dfsync.model.errors import DfsyncError
from dfsync.model.schema import Column, ForeignKeyConstraint, Schema, Table
from dfsync.plan.model import TablePlan
from dfsync.text.wording import did_you_mean, plan_section

_MOVED = "{name} of the source"
"""Where a plan gives the name of a table to another one."""

NewNames = Mapping[str, str]
"""New names of columns by their old ones in lower case."""


def new_names(draft: TablePlan, columns: Sequence[Column], plan: str) -> dict[str, str]:
    """Give every column of a table its name in the target.

    Parameters
    ----------
    draft
        What the plan says of the table.
    columns
        The columns of the table or view.
    plan
        What to call the plan in errors.

    Returns
    -------
    dict of str to str
        By the source's name, in the order of the columns.

    Raises
    ------
    DfsyncError
        The plan names a column that is not there, or gives a name that another column has.
    """
    given = {name.lower(): new for name, new in draft.columns}
    known = [column.name for column in columns]
    unknown = next((name for name, _ in draft.columns if name.lower() not in {*map(str.lower, known)}), None)
    if unknown is not None:
        raise DfsyncError(
            f"{plan}: {plan_section(draft.name)} has the column {unknown!r} in columns, but {draft.in_source} in the "
            f"source has {', '.join(known)}.{did_you_mean(unknown, known)}"
        )
    names = {name: given.get(name.lower(), name) for name in known}
    lowered = [name.lower() for name in names.values()]
    twin = next((new for name, new in names.items() if name.lower() in given and lowered.count(new.lower()) > 1), None)
    if twin is not None:
        raise DfsyncError(
            f"{plan}: {plan_section(draft.name)} gives a column the name {twin!r} in columns, which another column of "
            f"{draft.in_source} has. Give that one another name, too."
        )
    return names


def renamed_table(table: Table, draft: TablePlan, names: NewNames, relation: str) -> Table:
    """Give a table and its columns their names in the target.

    Parameters
    ----------
    table
        The table of the source.
    draft
        What the plan says of it.
    names
        New names of columns, by the source's.
    relation
        By what its rows are read.

    Returns
    -------
    Table
        Its `references` still name the parents as the source does.
    """

    def named(columns: Sequence[str]) -> tuple[str, ...]:
        return tuple(names[table[column].name] if column in table else column for column in columns)

    return replace(
        table,
        name=draft.table,
        columns=tuple(replace(column, name=names[column.name]) for column in table.columns),
        primary_key=named(table.primary_key),
        indexes=tuple(replace(index, columns=named(index.columns)) for index in table.indexes),
        references=tuple(replace(reference, columns=named(reference.columns)) for reference in table.references),
        relation=relation,
        stored_in=table.name,
    )


def renamed_schema(schema: Schema, planned: Sequence[tuple[TablePlan, Table]], names: Mapping[str, NewNames]) -> Schema:
    """Put the planned tables into a schema.

    Parameters
    ----------
    schema
        The tables of the source.
    planned
        Tables as the plan wants them, with what it says of them.
    names
        By the source's table: new names of its columns, by the source's.

    Returns
    -------
    Schema
        A planned table stands in the place of the source's table of which it is, or whose name it has.
    """
    instead = {draft.in_source.lower(): table for draft, table in planned if draft.in_source is not None}
    taken = {table.name.lower() for _, table in planned}
    new_tables = {name: instead[name.lower()].name for name in schema if name.lower() in instead}
    placed: dict[str, Table] = {}
    for name, table in schema.items():
        own = instead.get(name.lower())
        if own is not None:
            placed[own.name] = own
        elif name.lower() not in taken:
            placed[name] = table
        elif all(draft.query is None for draft, each in planned if each.name.lower() == name.lower()):
            moved = _MOVED.format(name=name)
            new_tables[name] = moved
            placed[moved] = replace(table, name=moved, relation=name, stored_in=name)
    for _, table in planned:
        placed.setdefault(table.name, table)
    found = Schema()
    for name, table in placed.items():
        found[name] = replace(table, references=_references(table, schema, new_tables, names))
    found.views = schema.views
    return found


def _references(
    table: Table, schema: Schema, new_tables: Mapping[str, str], names: Mapping[str, NewNames]
) -> tuple[ForeignKeyConstraint, ...]:
    """The references, with the names that the parents and their columns have now."""
    renamed = []
    for reference in table.references:
        parent = schema.find(reference.parent)
        if parent is None:
            renamed.append(reference)
            continue
        given = names.get(parent.name, {})
        columns = tuple(
            given.get(parent[column].name, column) if column in parent else column
            for column in reference.parent_columns
        )
        renamed.append(replace(reference, parent=new_tables.get(parent.name, reference.parent), parent_columns=columns))
    return tuple(renamed)
