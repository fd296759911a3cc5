"""What only the rows of the source can tell discovery: which columns are in doubt, and what was found."""

from __future__ import annotations

from dataclasses import dataclass

from dfsync.model.schema import Schema, Table
from dfsync.plan.model import Plan, TablePlan

ColumnName = tuple[str, str]
"""A table of the source and a column of it, as the source spells them."""


@dataclass(frozen=True)
class Doubts:
    """The columns of the source that someone has to look at."""

    ids: tuple[ColumnName, ...] = ()
    """Is it a unique integer in every row?"""
    empty: tuple[ColumnName, ...] = ()
    """Is it NULL in every row?"""


@dataclass(frozen=True)
class Evidence:
    """The columns in doubt of which it is true."""

    ids: frozenset[ColumnName] = frozenset()
    empty: frozenset[ColumnName] = frozenset()


NO_EVIDENCE = Evidence()


def doubts(draft: Plan, source: Schema, target: Schema) -> Doubts:
    """Find the columns of which the two schemas do not tell enough.

    Parameters
    ----------
    draft
        The draft of the plan.
    source
        All tables of the source.
    target
        All tables of the target.

    Returns
    -------
    Doubts
        Mostly none: a source with declared keys, whose columns the target has, leaves none.
    """
    ids: list[ColumnName] = []
    empty: list[ColumnName] = []
    for table in draft.tables:
        source_table, target_table = source.find(table.table), target.find(table.table)
        if source_table is None or target_table is None:
            continue
        column = assigned_column(table, source_table, target_table)
        if table.id is None and column is not None and source_table.primary_key != (column,):
            ids.append((source_table.name, column))
        empty += [(source_table.name, name) for name in _missing_columns(table, source_table, target_table)]
    return Doubts(tuple(ids), tuple(empty))


def assigned_column(table: TablePlan, source_table: Table, target_table: Table) -> str | None:
    """Find the column that the target's AUTO_INCREMENT numbers, where the source has one of its name.

    Parameters
    ----------
    table
        The draft of the table.
    source_table
        The table in the source.
    target_table
        The table in the target.

    Returns
    -------
    str or None
        As the source spells it. None also where the column is ignored or a foreign key, whose values are not its own.
    """
    names = [column.name for column in target_table.columns if column.auto_increment and column.name in source_table]
    taken = {name.lower() for name in (*table.ignore_columns, *table.parents)}
    own = [name for name in names if name.lower() not in taken and not is_reference(source_table, name)]
    return source_table[own[0]].name if own else None


def is_reference(table: Table, column: str) -> bool:
    """Tell whether a column alone is a declared foreign key.

    Parameters
    ----------
    table
        The table that declares it.
    column
        Its column.

    Returns
    -------
    bool
    """
    return any([name.lower() for name in reference.columns] == [column.lower()] for reference in table.references)


def _missing_columns(table: TablePlan, source_table: Table, target_table: Table) -> list[str]:
    """Find the columns that would have to be in the target, and that the plan has no use of its own for."""
    used = (*table.ignore_columns, *table.key, *table.parents, *(table.update_columns or ()), table.id or "")
    named = {name.lower() for name in (*used, *source_table.primary_key)}
    return [
        column.name
        for column in source_table.columns
        if not column.generated and column.name not in target_table and column.name.lower() not in named
    ]
