"""Which columns of a planned table are copied. Nothing else decides it."""

from __future__ import annotations

from dataclasses import replace

from dfsync.model.schema import Column, Table
from dfsync.plan.model import TablePlan


def planned_columns(plan: TablePlan, source_table: Table) -> tuple[Column, ...]:
    """Collect the columns of the source that the plan does not ignore.

    Parameters
    ----------
    plan
        The table's plan.
    source_table
        The table in the source.

    Returns
    -------
    tuple of Column
        As the source has them, in its order, the surrogate id among them.
    """
    ignored = {name.lower() for name in plan.ignore_columns}
    return tuple(column for column in source_table.columns if column.name.lower() not in ignored)


def value_columns(plan: TablePlan, source_table: Table) -> tuple[Column, ...]:
    """Collect the planned columns without the surrogate id, whose values the target assigns.

    Parameters
    ----------
    plan
        The table's plan.
    source_table
        The table in the source.

    Returns
    -------
    tuple of Column
        As the source has them, in its order, also those that the target lacks.
    """
    own_id = (plan.id or "").lower()
    return tuple(column for column in planned_columns(plan, source_table) if column.name.lower() != own_id)


def copied_columns(plan: TablePlan, source_table: Table, target_table: Table | None) -> tuple[Column, ...]:
    """Collect the columns whose values are copied from the source to the target.

    Parameters
    ----------
    plan
        The table's plan.
    source_table
        The table in the source.
    target_table
        The table in the target; None where it is yet to be made after that of the source.

    Returns
    -------
    tuple of Column
        As the target has them, under the source's names and in its order. The target computes its own generated
        columns, so these are not among them; a column that only the source computes is a plain value.
    """
    if target_table is None:
        return value_columns(plan, source_table)
    return tuple(
        replace(target_table[column.name], name=column.name)
        for column in value_columns(plan, source_table)
        if column.name in target_table and not target_table[column.name].generated
    )
