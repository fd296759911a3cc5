"""A draft of a plan, completed: what it leaves out is discovered, and its tables are put in order."""

from __future__ import annotations

from dataclasses import replace

from dfsync.model.errors import DfsyncError
from dfsync.model.schema import Schema
from dfsync.plan.discovery.evidence import NO_EVIDENCE, Evidence
from dfsync.plan.discovery.identity import with_id, with_identity, with_natural_key
from dfsync.plan.discovery.references import with_foreign_keys
from dfsync.plan.graph import drop_cyclic_after, is_circular, strongly_connected, topological_order
from dfsync.plan.model import ForeignKey, Plan, TablePlan
from dfsync.text.wording import did_you_mean, plan_section

CIRCULAR = "and is in a circle of tables, or refers to itself, where ids cannot be kept"
"""What is wrong with `keep_ids` of such a table."""


def resolve(draft: Plan, source: Schema, target: Schema, evidence: Evidence = NO_EVIDENCE) -> Plan:
    """Discover what a draft leaves out, and order its tables.

    Parameters
    ----------
    draft
        What is not None in it stays as it is.
    source
        All tables of the source.
    target
        All tables of the target.
    evidence
        What the rows of the source say about the columns in doubt (`discovery.evidence.doubts`).

    Returns
    -------
    Plan
        Complete: parents before children, with every table's `deferred` foreign keys.

    Raises
    ------
    DfsyncError
        See `complete` and `in_order`.
    """
    return in_order(complete(draft, source, target, evidence))


def in_order(plan: Plan) -> Plan:
    """Put the tables of a complete plan in order.

    Parameters
    ----------
    plan
        Its tables in any order.

    Returns
    -------
    Plan
        Parents before children.

    Raises
    ------
    DfsyncError
        Where tables need each other in a circle that nothing breaks.
    """
    return replace(plan, tables=topological_order(plan.tables))


def complete(draft: Plan, source: Schema, target: Schema, evidence: Evidence) -> Plan:
    """Discover what a draft leaves out.

    Parameters
    ----------
    draft
        What is not None in it stays as it is.
    source
        All tables of the source.
    target
        All tables of the target.
    evidence
        What the rows of the source say about the columns in doubt.

    Returns
    -------
    Plan
        Complete but for the order: the tables stand as in the draft.

    Raises
    ------
    DfsyncError
        Where the draft names a column that the source lacks, a column refers to a table that is not planned, or an id
        is part of a key.
    """
    tables = [_with_empty_columns(table, source, evidence) for table in draft.tables]
    tables = [with_id(table, source, target, evidence) for table in tables]
    tables = [with_foreign_keys(table, tables, source, target) for table in tables]
    tables = [_with_source_spelling(table, source) for table in tables]
    tables = [with_identity(with_natural_key(table, source, target), source) for table in tables]
    for table in tables:
        _require_known_columns(draft, table, source)
        _require_id_in_no_key(draft, table)
        _require_id_for_identity(draft, table, source)
        _require_no_converted_id(draft, table)
    _require_keepable_ids(draft, tables)
    _require_parents_with_ids(draft, tables, source)
    tables = drop_cyclic_after(tables, draft.tables)
    return replace(draft, tables=tuple(_with_deferred(tables, source, target)))


def _require_parents_with_ids(draft: Plan, tables: list[TablePlan], source: Schema) -> None:
    """Refuse foreign keys to tables whose numbers stay: no new id takes the place of theirs."""
    without_id = {table.name for table in tables if table.id is None and source.find(table.table) is not None}
    for table in tables:
        for column, parent in table.parents.items():
            if parent in without_id:
                raise DfsyncError(
                    f"The {draft.source}: {plan_section(table.name)} has {column} in foreign_keys, and {parent} has no "
                    f"id, so its numbers stay as they are. Take {column} out there, and give the table "
                    f'plain_columns = ["{column}"] and after = ["{parent}"].'
                )


def _with_empty_columns(table: TablePlan, source: Schema, evidence: Evidence) -> TablePlan:
    source_table = source.find(table.table)
    empty = tuple(column for name, column in sorted(evidence.empty) if source_table and name == source_table.name)
    return replace(table, empty_columns=empty)


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


def _require_known_columns(draft: Plan, table: TablePlan, source: Schema) -> None:
    source_table = source.find(table.table)
    if source_table is None:
        return
    said_of = (column for column, _ in (*table.convert, *table.dates, *table.types))
    names = (*table.key, *table.parents, *filter(None, [table.id]), *table.ignore_columns, *said_of)
    unknown = next((column for column in names if column not in source_table), None)
    if unknown is not None:
        known = [column.name for column in source_table.columns]
        raise DfsyncError(
            f"The {draft.source}: {plan_section(table.name)} names the column {unknown!r}, but {table.table} in the "
            f"source has {', '.join(known)}.{did_you_mean(unknown, known)}"
        )


def _require_id_in_no_key(draft: Plan, table: TablePlan) -> None:
    """Refuse an id that would not be assigned anew."""
    for setting, columns in (("natural_key", table.key), ("foreign_keys", table.parents)):
        if table.id is not None and table.id in columns:
            raise DfsyncError(
                f"The {draft.source}: {plan_section(table.name)} has {table.id} as its id, which is another one in the "
                f'target, and in {setting}. Leave it out there, or give id = "" if {table.id} is no mere number.'
            )


def _require_no_converted_id(draft: Plan, table: TablePlan) -> None:
    """Refuse ids that would be read as something else, or be of another type than what they refer to."""
    ids = {column.lower() for column in (*table.parents, *filter(None, [table.id]))}
    settings = {"convert": table.convert, "dates": table.dates, "types": table.types}
    for setting, column in ((setting, column) for setting, pairs in settings.items() for column, _ in pairs):
        if column.lower() in ids:
            raise DfsyncError(
                f"The {draft.source}: {plan_section(table.name)} has {column} in {setting}, and it holds ids. Leave it "
                f"out there, or, if it holds none, give it plain_columns."
            )


def _require_keepable_ids(draft: Plan, tables: list[TablePlan]) -> None:
    """Refuse ids to keep where there is none, or where rows of a circle of tables wait for each other's new ids."""
    circles = strongly_connected(tables)
    for table in tables:
        faults = {"and no id": table.id is None, CIRCULAR: is_circular(table, circles)}
        fault = next((fault for fault, present in faults.items() if present), None)
        if table.keep_ids and fault is not None:
            raise DfsyncError(
                f"The {draft.source}: {plan_section(table.name)} has keep_ids {fault}. Give it keep_ids = [], or "
                'id = "" where all of its numbers are to stay as they are.'
            )


def _require_id_for_identity(draft: Plan, table: TablePlan, source: Schema) -> None:
    """Refuse rows that are to be known by an id that they do not have."""
    if table.identity == "id" and table.id is None and source.find(table.table) is not None:
        raise DfsyncError(
            f'The {draft.source}: {plan_section(table.name)} has identity = "id", and the table has no id. Leave it '
            "out, or name the column with id."
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
