"""By what the rows of a table are known: the surrogate id and the natural key."""

from __future__ import annotations

from dataclasses import replace

from dfsync.model.schema import Schema, Table
from dfsync.plan.columns import copied_columns
from dfsync.plan.model import TablePlan

WHOLE_CONTENT = "none found: rows are compared by their whole content"


def with_id(table: TablePlan, source: Schema, target: Schema) -> TablePlan:
    """Find the surrogate id of a table, where its draft does not name one.

    Parameters
    ----------
    table
        The draft of a table.
    source
        All tables of the source.
    target
        All tables of the target.

    Returns
    -------
    TablePlan
        With `id`, None where the table has none, and its origin.
    """
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


def with_natural_key(table: TablePlan, source: Schema, target: Schema) -> TablePlan:
    """Find the natural key of a table, where its draft does not name one.

    Parameters
    ----------
    table
        The draft of a table, with its id and foreign keys.
    source
        All tables of the source.
    target
        All tables of the target.

    Returns
    -------
    TablePlan
        With `natural_key`, empty where there is none, and its origin.
    """
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
