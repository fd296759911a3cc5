"""The plan of a run: its draft, and what it leaves out, discovered from both schemas and the rows of the source."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from dfsync.model.errors import DfsyncError
from dfsync.model.schema import Schema, Table
from dfsync.plan.discovery.draft import select_draft
from dfsync.plan.discovery.evidence import ColumnName, Evidence, doubts
from dfsync.plan.discovery.resolve import complete, in_order
from dfsync.plan.model import Plan, with_ids_kept, with_on_match
from dfsync.source.base import Source
from dfsync.text.wording import plan_section, with_count

log = logging.getLogger(__name__)


def resolve_draft(
    path: Path | None,
    source: Source,
    target: Schema,
    on_match: str | None = None,
    *,
    keep_ids: bool = False,
    exclude: Iterable[str] = (),
) -> Plan:
    """Complete the plan for a source and a target, in order.

    Parameters
    ----------
    path
        A plan file; None selects a ready-made plan, or all tables where the source is of another kind.
    source
        The source.
    target
        All tables of the target.
    on_match
        What overrules the plan for every table; None for nothing.
    keep_ids
        Whether the rows of every table keep their ids, whatever the plan says.
    exclude
        Patterns of names of tables that are left out.

    Returns
    -------
    Plan
        Complete, parents before children.

    Raises
    ------
    DfsyncError
        Where a plan file cannot be read or does not fit, or there is no order of the tables.
    """
    plan = in_order(with_on_match(complete_draft(path, source, target, exclude), on_match))
    return with_ids_kept(plan) if keep_ids else plan


def complete_draft(path: Path | None, source: Source, target: Schema, exclude: Iterable[str] = ()) -> Plan:
    """Complete the plan for a source and a target, also where its tables have no order.

    Parameters
    ----------
    path
        A plan file; None selects a ready-made plan, or all tables where the source is of another kind.
    source
        The source.
    target
        All tables of the target.
    exclude
        Patterns of names of tables that are left out.

    Returns
    -------
    Plan
        Complete but for the order.

    Raises
    ------
    DfsyncError
        Where a plan file cannot be read, or does not fit the source's tables or rows.
    """
    draft = draft_plan(path, source, exclude)
    return complete(draft, source.schema, target, gather_evidence(draft, source, target))


def draft_plan(path: Path | None, source: Source, exclude: Iterable[str] = ()) -> Plan:
    """Select the draft of a plan for a source.

    Parameters
    ----------
    path
        A plan file; None selects a ready-made plan, or all tables where the source is of another kind.
    source
        The source.
    exclude
        Patterns of names of tables that are left out.

    Returns
    -------
    Plan
        What it leaves out is for `dfsync.plan.discovery.resolve.complete`.

    Raises
    ------
    DfsyncError
        Where a plan file cannot be read, or does not fit the source's tables or rows.
    """
    draft = select_draft(path, source.schema, exclude)
    log.debug("chose the %s, of the tables %s", draft.source, ", ".join(draft.names))
    _require_unique_ids(draft, source)
    return draft


def gather_evidence(draft: Plan, source: Source, target: Schema) -> Evidence:
    """Look at the rows of the source where the two schemas do not tell enough.

    Parameters
    ----------
    draft
        The draft of the plan.
    source
        The source.
    target
        All tables of the target.

    Returns
    -------
    Evidence
        One query for each table with a column in doubt; mostly there is none.
    """
    in_doubt = doubts(draft, source.schema, target)
    ids = [name for name in in_doubt.ids if not any(id_faults(source, *name).values())]
    return Evidence(frozenset(ids), frozenset(_empty(source, in_doubt.empty)))


def id_faults(source: Source, table: str, column: str) -> dict[str, int]:
    """Count the rows that keep a column from being a surrogate id.

    Parameters
    ----------
    source
        The source.
    table
        A table of it, as it spells the name.
    column
        A column of it, as it spells the name.

    Returns
    -------
    dict of str to int
        By what is wrong with the value, as a clause that follows "a value".
    """
    own: sa.ColumnElement[Any] = sa.column(column)
    counts = {
        "that is no integer": sa.func.total(sa.func.typeof(own) != "integer"),
        "that another row has too": sa.func.count(own) - sa.func.count(sa.distinct(own)),
    }
    of_table = sa.table(source.schema[table].sql_name)
    select = sa.select(*(count.label(fault) for fault, count in counts.items())).select_from(of_table)
    rows = _first_rows(source, select)
    return {fault: sum(int(row[fault]) for row in rows) for fault in counts}


def _first_rows(source: Source, select: sa.ClauseElement) -> list[dict[str, Any]]:
    """The first row of a query of each file."""
    return source.each(lambda file: dict(file.query(select).to_pylist()[0]))


def _empty(source: Source, columns: Iterable[ColumnName]) -> list[ColumnName]:
    """Those of the columns that hold no value; a search ends at the first one."""
    empty = []
    for table, group in groupby(columns, lambda name: name[0]):
        names = [column for _, column in group]
        rows = sa.table(source.schema[table].sql_name)
        found = (sa.exists().where(sa.column(name).is_not(None)).select_from(rows) for name in names)
        select = sa.select(*(exists.label(str(number)) for number, exists in enumerate(found)))
        of_files = _first_rows(source, select)
        empty += [(table, name) for number, name in enumerate(names) if not any(row[str(number)] for row in of_files)]
    return empty


def _is_rowid(source: Source, table: Table, column: str) -> bool:
    """Whether SQLite itself sees to it that the column holds integers, no two alike.

    References
    ----------
    https://www.sqlite.org/lang_createtable.html#rowids_and_the_integer_primary_key
    """
    declared = tuple(map(str.lower, table.primary_key)) == (column.lower(),) and table[column].type.upper() == "INTEGER"
    if table.spooled or not declared:
        return False
    # Any other primary key has an index of its own.
    indexes = sa.func.pragma_index_list(table.stored_in or table.name).table_valued("origin")
    select = sa.select(sa.func.count().label("own")).select_from(indexes).where(indexes.c.origin == "pk")
    return source.each(lambda file: bool(file.query(select).to_pylist()[0]["own"] == 0), 1)[0]


def _require_unique_ids(draft: Plan, source: Source) -> None:
    """Raise `DfsyncError` where the id that a plan file names is not unique, or no integer."""
    for table in draft.tables:
        source_table = source.schema.find(table.table)
        if source_table is None or not table.id or table.id not in source_table:
            continue
        if _is_rowid(source, source_table, table.id):
            continue
        for fault, count in id_faults(source, source_table.name, source_table[table.id].name).items():
            if count:
                raise DfsyncError(
                    f"The {draft.source}: {plan_section(table.name)} has {table.id} as its id, and "
                    f"{with_count(count, 'rows')} of {source_table.name} have a value there {fault}. Name another "
                    'column, or give id = "" for none.'
                )
