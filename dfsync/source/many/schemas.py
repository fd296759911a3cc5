"""The tables of several files, which have to be those of the first one that can be read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Lock

from dfsync.model.errors import DfsyncError
from dfsync.model.schema import Schema, Table
from dfsync.source.reflection import reflect
from dfsync.source.sqlite import SqliteSource

Shown = Callable[[SqliteSource, Schema], Schema]
"""Gives the tables of a file as a plan wants them, from those that it has."""
_Text = tuple[tuple[str, str, str | None], ...]
_CATALOG = "SELECT type, name, sql FROM sqlite_schema ORDER BY type, name"


def as_stored(source: SqliteSource, schema: Schema) -> Schema:
    """Give the tables of a file as they are."""
    return schema


class SchemaReader:
    """Reads the tables of files. Those with the same statements share one schema, which is reflected once."""

    def __init__(self, shown: Shown = as_stored) -> None:
        self._shown = shown
        self._known: dict[_Text, Schema] = {}
        self._lock = Lock()

    def read(self, source: SqliteSource) -> Schema:
        """Give the tables of a file."""
        catalog = source.run(_CATALOG, [], 1024)
        text: _Text = tuple(zip(*(column.to_pylist() for column in catalog.columns), strict=True))
        with self._lock:
            known = self._known.get(text)
        if known is None:
            known = reflect(source)
            with self._lock:
                self._known[text] = known
        return self._shown(source, known)


def require_same(schema: Schema, leading: Schema, path: Path) -> None:
    """Refuse a file whose tables are not those of the first one.

    Parameters
    ----------
    schema
        The tables of the file.
    leading
        Those of the first file.
    path
        The first file.

    Raises
    ------
    DfsyncError
        Names the first table or column that differs. Indexes and constraints may differ.
    """
    if schema is leading:
        return
    lacking = [name for name in leading if name not in schema]
    added = [name for name in schema if name not in leading]
    if lacking or added:
        said = f"it has no table {lacking[0]}" if lacking else f"its table {added[0]} is not there"
        raise DfsyncError(f"its tables are not those of {path}: {said}.")
    for name, table in leading.items():
        difference = _difference(schema[name], table)
        if difference:
            raise DfsyncError(f"its tables are not those of {path}: {name} {difference}.")


def _difference(table: Table, leading: Table) -> str | None:
    own, other = ({column.name.lower(): column for column in each.columns} for each in (table, leading))
    lacking, added = ([name for name in first if name not in second] for first, second in ((other, own), (own, other)))
    if lacking:
        return f"has no column {other[lacking[0]].name}"
    if added:
        return f"has the column {own[added[0]].name}, which is not there"
    kind = next((name for name in own if own[name].kind != other[name].kind), None)
    if kind is not None:
        return f"has {own[kind].name} as {own[kind].type or 'a column without a type'}, and not as {other[kind].type}"
    if [name.lower() for name in table.primary_key] != [name.lower() for name in leading.primary_key]:
        return "has another primary key"
    return "identifies its rows in another way" if table.rowid != leading.rowid else None
