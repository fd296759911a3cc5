"""Whether the applications of source and target are at the same version, by the books of their frameworks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import sqlalchemy as sa

from dfsync.model.errors import DfsyncError
from dfsync.model.schema import Schema, Table
from dfsync.plan.discovery.bookkeeping import Bookkeeping, bookkeeping_tables, left_out_line
from dfsync.plan.model import Plan
from dfsync.plan.validation import ERROR, NOTE, WARNING, Finding
from dfsync.source.base import ASKED_FILES, Queryable, Source
from dfsync.text.wording import printable, with_count

_ACCEPT = 'other_version = "accept"'
Versions = list[str]
Entries = dict[str, Versions]


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
    if plan.choice:
        yield Finding(NOTE, "", None, plan.choice)
    if plan.left_out:
        yield Finding(NOTE, "", None, left_out_line(map(printable, plan.left_out)))
    yield from _version_findings(plan, source, connection, target)


def require_one_version(plan: Plan, source: Source, connection: sa.Connection, target: Schema) -> None:
    """Refuse to start where the applications of source and target are at different versions.

    Parameters
    ----------
    plan
        The complete plan, which may accept it.
    source
        The source.
    connection
        The target.
    target
        All tables of the target.

    Raises
    ------
    DfsyncError
        Names both versions, the table that says so, and the setting of a plan that accepts it.
    """
    for finding in _version_findings(plan, source, connection, target):
        if finding.level == ERROR:
            raise DfsyncError(f"By the table {printable(finding.table)}, {finding.message}.")


def _version_findings(plan: Plan, source: Source, connection: sa.Connection, target: Schema) -> Iterator[Finding]:
    here, there = (_versioned(schema) for schema in (source.schema, target))
    for name in sorted(here.keys() ^ there.keys()):
        side, (table, _) = ("source", here[name]) if name in here else ("target", there[name])
        yield Finding(NOTE, table.name, None, f"only the {side} has it: versions are not compared")
    for name in sorted(here.keys() & there.keys()):
        (own, book), (other, _) = here[name], there[name]
        target_entries = _entries(book, [dict(row) for row in connection.execute(_select(book, other)).mappings()])
        of_files = source.each(partial(_source_entries, book, _select(book, own)), ASKED_FILES)
        for difference in dict.fromkeys(text for entries in of_files for text in _told(book, entries, target_entries)):
            yield _as_finding(plan, own, book, difference)
        for side in dict.fromkeys(text for entries in of_files for text in _one_sided(book, entries, target_entries)):
            yield Finding(NOTE, own.name, None, side)


def _versioned(tables: Schema) -> dict[tuple[str, str], tuple[Table, Bookkeeping]]:
    """The tables that tell a version, by their names in lower case and the frameworks that they are of."""
    found = ((tables[name], book) for name, book in bookkeeping_tables(tables).items() if book.version)
    return {(table.name.lower(), book.framework): (table, book) for table, book in found}


def _as_finding(plan: Plan, table: Table, book: Bookkeeping, difference: str) -> Finding:
    message = f"{difference}: bring both to one version first"
    planned = table.name.lower() in {(named.in_source or "").lower() for named in plan.tables}
    if plan.other_version == "accept":
        return Finding(NOTE, table.name, None, f"{difference}; the plan accepts it")
    if planned or not book.is_portable:
        return Finding(WARNING, table.name, None, message)
    file = f"at the head of {printable(plan.file)}" if plan.file else f'in a plan file, below base = "{plan.base}"'
    return Finding(ERROR, table.name, None, f"{message}; where it does no harm, say {_ACCEPT} {file}")


def _select(book: Bookkeeping, table: Table) -> sa.Select[Any]:
    names = (*((book.group,) if book.group else ()), *book.version)
    columns: list[sa.ColumnClause[Any]] = [sa.column(table[name].name) for name in names]
    select = sa.select(*columns).select_from(sa.table(table.sql_name))
    if book.latest is None:
        return select
    return select.order_by(sa.column(table[book.latest].name).desc()).limit(1)


def _source_entries(book: Bookkeeping, select: sa.Select[Any], source: Queryable) -> Entries:
    return _entries(book, source.query(select).to_pylist())


def _entries(book: Bookkeeping, rows: Iterable[Mapping[str, object]]) -> Entries:
    """The versions by part of the application; all under one name where the table knows no parts."""
    entries: Entries = {}
    for row in rows:
        first, *rest = map(str, row.values())
        part, version = (first, ".".join(rest)) if book.group else ("", ".".join((first, *rest)))
        entries.setdefault(part, []).append(version)
    return {part: [max(versions)] for part, versions in entries.items()} if book.group else entries


def _told(book: Bookkeeping, here: Entries, there: Entries) -> Iterator[str]:
    """Word how the versions differ, in one sentence."""
    if not book.group:
        own, other = here.get("", []), there.get("", [])
        if {*own} != {*other}:
            yield _difference(own, other)
        return
    differing = sorted(part for part in here.keys() & there.keys() if here[part] != there[part])
    if differing:
        part = differing[0]
        more = f", and so on for {with_count(len(differing) - 1, 'other parts')}" if differing[1:] else ""
        yield _difference([f"{part}.{here[part][0]}"], [f"{part}.{there[part][0]}"]) + more


def _one_sided(book: Bookkeeping, here: Entries, there: Entries) -> Iterator[str]:
    """Word which parts of the application only one side has: a part may have been taken out long ago."""
    if book.group:
        for side, parts in (("source", here.keys() - there.keys()), ("target", there.keys() - here.keys())):
            if parts:
                yield f"only the {side} has entries of {', '.join(map(printable, sorted(parts)))}"


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
