"""A plan over a ready-made one, for a source of an older or a newer version of the application."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from dfsync.model.schema import Schema, Table
from dfsync.plan.model import Plan, TablePlan

_COLUMN_LISTS = ("ignore_columns", "plain_columns", "update_columns")


def fitted(draft: Plan, source: Schema) -> Plan:
    """Leave out what a ready-made plan says of tables and columns that the source lacks.

    Parameters
    ----------
    draft
        The draft of a plan.
    source
        All tables of the source.

    Returns
    -------
    Plan
        What a plan file itself says stays, so that a slip in it is found. A natural key stays whole, too, since rows
        would be matched by less than what tells them apart.
    """
    lacking = {table.name for table in draft.tables if source.find(table.table) is None}
    tables = (_fitted(table, draft.of_base.get(table.name, ()), source, lacking) for table in draft.tables)
    return replace(draft, tables=tuple(tables))


def _fitted(table: TablePlan, settings: Iterable[str], source: Schema, lacking: set[str]) -> TablePlan:
    own = source.find(table.table)
    if own is None:
        return table
    if "foreign_keys" in settings:
        kept = (key for key in table.foreign_keys or () if key.column in own and key.parent not in lacking)
        table = replace(table, foreign_keys=tuple(kept))
    if "after" in settings:
        table = replace(table, after=tuple(name for name in table.after if name not in lacking))
    lists: dict[str, Any] = {name: _present(getattr(table, name), own) for name in _COLUMN_LISTS if name in settings}
    return replace(table, **lists)


def _present(columns: Iterable[str], table: Table) -> tuple[str, ...]:
    return tuple(column for column in columns if column in table)
