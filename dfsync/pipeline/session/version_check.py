"""Whether the applications of source and target are at the same version, by the books of their frameworks."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import sqlalchemy as sa

from dfsync.model.schema import Schema, Table
from dfsync.plan.discovery.bookkeeping import Bookkeeping, bookkeeping_tables, left_out_line
from dfsync.plan.model import Plan
from dfsync.plan.validation import NOTE, WARNING, Finding
from dfsync.source.base import ASKED_FILES, Queryable, Source
from dfsync.text.wording import printable

Versions = list[str]


def bookkeeping_findings(plan: Plan, source: Source, connection: sa.Connection, target: Schema) -> Iterator[Finding]:
    """Tell which tables the plan leaves out, and where they say that the two schemas are of different versions.

    Parameters
    ----------
    plan
        The complete plan.
    source
        The source.
    connection
        The target.
    target
        All tables of the target.

    Yields
    ------
    Finding
    """
    if plan.left_out:
        yield Finding(NOTE, "", None, left_out_line(map(printable, plan.left_out)))
    for name, book in bookkeeping_tables(source.schema).items():
        own, other = source.schema.find(name), target.find(name)
        if not book.version or own is None or other is None or not all(column in other for column in book.columns):
            continue
        select = _select(book, own)
        there = _entries([dict(row) for row in connection.execute(_select(book, other)).mappings()])
        entries = source.each(partial(_source_entries, select), ASKED_FILES)
        differences = dict.fromkeys(_difference(here, there) for here in entries if {*here} != {*there})
        for difference in differences:
            yield Finding(WARNING, name, None, f"{difference}: bring both to one version first")


def _select(book: Bookkeeping, table: Table) -> sa.Select[Any]:
    columns: list[sa.ColumnClause[Any]] = [sa.column(table[name].name) for name in book.version]
    select = sa.select(*columns).select_from(sa.table(table.sql_name))
    if book.latest is None:
        return select
    return select.order_by(sa.column(table[book.latest].name).desc()).limit(1)


def _source_entries(select: sa.Select[Any], source: Queryable) -> Versions:
    return _entries(source.query(select).to_pylist())


def _entries(rows: list[dict[str, object]]) -> Versions:
    return [".".join(map(str, row.values())) for row in rows]


def _difference(here: Versions, there: Versions) -> str:
    """Word it by the one version that each side has, else by the entries that one of them lacks."""
    if len(here) <= 1 and len(there) <= 1:
        return f"the source is at {_said(here)}, the target is at {_said(there)}"
    missing = {
        "target": [entry for entry in here if entry not in {*there}],
        "source": [entry for entry in there if entry not in {*here}],
    }
    lacks = [
        f"the {side} lacks {len(entries)} of its entries, such as {_said(entries[-1:])}"
        for side, entries in missing.items()
        if entries
    ]
    return ", and ".join(lacks)


def _said(entries: Versions) -> str:
    return printable(entries[0]) if entries else "none"
