"""Who refers to rows of a table: every foreign key of the server that the user may see, also from other databases."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from dfsync.model.schema import Schema, Table
from dfsync.model.types import NewIds, arrow_type
from dfsync.target.read.exact import id_ranges

_IDS_PER_STATEMENT = 20_000
_REFERENCES = sa.text("""
    SELECT k.TABLE_SCHEMA AS `schema`, k.TABLE_NAME AS `table`, k.CONSTRAINT_NAME AS name, COLUMN_NAME AS `column`,
        k.REFERENCED_TABLE_NAME AS parent, REFERENCED_COLUMN_NAME AS parent_column, DATABASE() AS own,
        r.UPDATE_RULE AS on_update
    FROM information_schema.KEY_COLUMN_USAGE k LEFT JOIN information_schema.REFERENTIAL_CONSTRAINTS r
        ON r.CONSTRAINT_SCHEMA = k.TABLE_SCHEMA AND r.TABLE_NAME = k.TABLE_NAME
        AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME
    WHERE k.REFERENCED_TABLE_SCHEMA = DATABASE()
    ORDER BY k.TABLE_SCHEMA, k.TABLE_NAME, k.CONSTRAINT_NAME, k.ORDINAL_POSITION""")
_DELETE_TRIGGERS = sa.text("""
    SELECT EVENT_OBJECT_TABLE, TRIGGER_NAME FROM information_schema.TRIGGERS
    WHERE EVENT_OBJECT_SCHEMA = DATABASE() AND EVENT_MANIPULATION = 'DELETE' ORDER BY 1, 2""")


@dataclass(frozen=True)
class Reference:
    """Columns of one table that hold values of another: a foreign key, declared or only planned."""

    child: str
    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    schema: str | None = None
    """The database of the child; None where it is that of the parent."""
    is_indexed: bool = True
    sets_null_on_update: bool = False
    """Whether the server changes the child's columns to NULL where those of the parent change."""

    child_failed: bool = False
    """Whether nothing of the child was taken back, since it failed."""

    @property
    def referrer(self) -> str:
        """The child as a sentence names it: with its database where that is another one, and whether it failed."""
        child = self.child if self.schema is None else f"{self.schema}.{self.child}"
        return f"{child}, which failed," if self.child_failed else child

    @property
    def is_self(self) -> bool:
        """Whether the table refers to itself."""
        return self.schema is None and self.child == self.parent


def read_references(connection: sa.Connection) -> list[Reference]:
    """Read the declared foreign keys that refer to tables of the connection's database.

    Parameters
    ----------
    connection
        The target.

    Returns
    -------
    list of Reference
        Without those of tables that the user has no right to see.
    """
    groups: dict[tuple[str, str, str], list[Any]] = {}
    for row in connection.execute(_REFERENCES).mappings():
        of_text = {key: value.decode() if isinstance(value, bytes) else value for key, value in row.items()}
        groups.setdefault((of_text["schema"], of_text["table"], of_text["name"]), []).append(of_text)
    return [
        Reference(
            child=table,
            columns=tuple(row["column"] for row in rows),
            parent=rows[0]["parent"],
            parent_columns=tuple(row["parent_column"] for row in rows),
            schema=None if schema == rows[0]["own"] else schema,
            sets_null_on_update=rows[0]["on_update"] == "SET NULL",
        )
        for (schema, table, _), rows in groups.items()
    ]


def planned_references(schema: Schema, planned: Iterable[tuple[str, str, str, str]]) -> Iterator[Reference]:
    """Make references of a plan's foreign keys, which need not be declared in the target.

    Parameters
    ----------
    schema
        The target's tables.
    planned
        Child table, its column, parent table and its id, by name.

    Yields
    ------
    Reference
        Of those that the target has.
    """
    for child, column, parent, parent_id in planned:
        own, other = schema.find(child), schema.find(parent)
        if own is not None and other is not None and column in own and parent_id in other:
            name = own[column].name
            yield Reference(own.name, (name,), other.name, (parent_id,), None, own.is_indexed([name]))


def delete_triggers(connection: sa.Connection) -> dict[str, str]:
    """Find the tables that have a trigger on DELETE: by table, in lower case, the first trigger's name."""
    found: dict[str, str] = {}
    for table, name in connection.execute(_DELETE_TRIGGERS):
        found.setdefault(str(table).lower(), str(name))
    return found


def referring_rows(
    connection: sa.Connection, reference: Reference, table: Table, id_column: str, ids: NewIds, child_id: str | None
) -> tuple[NewIds, NewIds]:
    """Find the rows that refer to rows of a table.

    Parameters
    ----------
    connection
        The target, in a transaction that has locked the rows: so no new row can refer to them.
    reference
        Whose columns refer to `table`.
    table, id_column
        The table that is referred to, and its surrogate id.
    ids
        Its rows, ascending and unique.
    child_id
        The surrogate id of the rows that refer to them; None asks only which rows are referred to.

    Returns
    -------
    tuple of NewIds
        The ids of rows that are referred to, and by its side the id of a row that does; without `child_id` each is
        named once, and the other array is empty.
    """
    dtype = np.uint64 if pa.types.is_uint64(arrow_type(table[id_column])) else np.int64
    parent = sa.table(table.name, *map(sa.column, {id_column, *reference.parent_columns})).alias("p")
    columns = {*reference.columns, *([child_id] if child_id else [])}
    child = sa.table(reference.child, *map(sa.column, columns), schema=reference.schema).alias("c")
    pairs = zip(reference.columns, reference.parent_columns, strict=True)
    selected = [parent.c[id_column], *([child.c[child_id]] if child_id else [])]
    if reference.is_indexed:
        query = sa.select(*selected).distinct()
        query = query.select_from(
            parent.join(child, sa.and_(*(child.c[own] == parent.c[other] for own, other in pairs)))
        )
        conditions = id_ranges(parent.c[id_column], ids, _IDS_PER_STATEMENT)
        rows = [row for condition in conditions for row in connection.execute(query.where(condition))]
    else:
        own = child.c[reference.columns[0]]
        query = sa.select(own, *selected[1:]).distinct().where(own.between(int(ids[0]), int(ids[-1])))
        rows = list(connection.execute(query))
    parents = np.array([int(row[0]) for row in rows], dtype)
    child_ids = [int(row[1]) for row in rows] if child_id else []
    children = np.array(child_ids, np.uint64 if max(child_ids, default=0) > np.iinfo(np.int64).max else np.int64)
    known = np.isin(parents, ids)
    return parents[known], children[known] if child_id else children
