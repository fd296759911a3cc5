"""By what the rows of a table are known: the surrogate id and the natural key."""

from __future__ import annotations

from dataclasses import replace

from dfsync.model.schema import Schema, Table
from dfsync.plan.columns import unique_keys
from dfsync.plan.discovery.evidence import Evidence, assigned_column, is_reference
from dfsync.plan.model import IDS_ARE_KEPT, TablePlan

WHOLE_CONTENT = "none found: rows are compared by their whole content"
OF_THE_SOURCE = "primary key of the source"
NO_ID = "none: the table has no integer primary key of its own"
NO_INTEGER = "none: it is no integer in the target"
NOT_ASSIGNED = "none: the target does not assign its numbers (no AUTO_INCREMENT), so they stay"
ASSIGNED = "AUTO_INCREMENT of the target; in the source its values are unique integers"
NOT_UNIQUE = "none: the values of {column}, which is AUTO_INCREMENT in the target, are no unique integers in the source"


def with_id(table: TablePlan, source: Schema, target: Schema, evidence: Evidence) -> TablePlan:
    """Find the surrogate id of a table, where its draft does not name one.

    Parameters
    ----------
    table
        The draft of a table.
    source
        All tables of the source.
    target
        All tables of the target.
    evidence
        What the rows say about the columns in doubt.

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
    column, origin = _id_of(table, source_table, target_table, evidence)
    return replace(table, id=column, origin={**table.origin, "id": origin})


def _id_of(
    table: TablePlan, source_table: Table, target_table: Table | None, evidence: Evidence
) -> tuple[str | None, str]:
    """Find the id, and where it came from or why there is none."""
    own = own_number(source_table)
    assigned = assigned_column(table, source_table, target_table) if target_table is not None else None
    if assigned is not None and assigned != own:
        if (source_table.name, assigned) in evidence.ids:
            return assigned, ASSIGNED
        return None, NOT_UNIQUE.format(column=assigned)
    if own is None:
        return None, NO_ID
    if target_table is not None and (own not in target_table or target_table[own].kind != "integer"):
        return None, NO_INTEGER
    if target_table is not None and not target_table[own].auto_increment:
        return None, NOT_ASSIGNED
    return own, OF_THE_SOURCE


def own_number(table: Table) -> str | None:
    """Find the integer primary key of a table.

    Parameters
    ----------
    table
        A table of the source.

    Returns
    -------
    str or None
        None where there is none, or where it is a foreign key and so the number of another table's row.
    """
    key = table.primary_key
    return key[0] if len(key) == 1 and table[key[0]].kind == "integer" and not is_reference(table, key[0]) else None


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
        With `natural_key`, empty where there is none, and its origin. A single column that may be NULL is none.
    """
    if table.natural_key is not None:
        return table
    keys = unique_keys(table, source.find(table.table), target.find(table.table))
    # Rows with a NULL in the key are compared by their whole content, so a key without is better.
    taken = next((key for key in sorted(keys, key=lambda key: key.nullable) if not key.optional), None)
    others = "; ".join(
        f"{'unique, but may be NULL' if key.optional else 'also unique'}: {', '.join(key.columns)}"
        for key in keys
        if key is not taken
    )
    found = taken.origin if taken else WHOLE_CONTENT
    origin = {**table.origin, "natural_key": "; ".join(filter(None, [found, others]))}
    return replace(table, natural_key=taken.columns if taken else (), origin=origin)


def with_identity(table: TablePlan, source: Schema) -> TablePlan:
    """Find whether a row is the one that had its id in the last run, where a table's draft does not say it.

    Parameters
    ----------
    table
        The draft of a table, with its id.
    source
        All tables of the source.

    Returns
    -------
    TablePlan
        With `identity`, and its origin.

    References
    ----------
    https://www.sqlite.org/autoinc.html
    """
    if table.identity is not None:
        return table
    source_table = source.find(table.table)
    if table.id is None or source_table is None or table.id not in source_table:
        return replace(table, identity="content", origin={**table.origin, "identity": "the table has no id"})
    if table.keeps_ids:
        return replace(table, identity="id", origin={**table.origin, "identity": IDS_ARE_KEPT})
    if source_table[table.id].auto_increment:
        return replace(table, identity="id", origin={**table.origin, "identity": "AUTOINCREMENT in the source"})
    origin = {**table.origin, "identity": "the source may give an id twice: it is not AUTOINCREMENT"}
    return replace(table, identity="content", origin=origin)
