"""Indexes of text and bytes, of which an index may hold the beginning alone."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from dfsync.model.schema import Column, Table
from dfsync.target.schema.names import bare_dialect, key_name, quoted

MAX_KEY_BYTES = 3072
"""Of all columns of an index together. https://dev.mysql.com/doc/refman/9.7/en/innodb-limits.html"""
_MAX_PREFIX_CHARACTERS = 255


def index_statement(connection: sa.Connection, table: Table, columns: Iterable[Column]) -> str:
    """Write the statement that creates an index on a table of the target.

    Parameters
    ----------
    connection
        The target.
    table
        The target's table.
    columns
        The columns of the index.

    Returns
    -------
    str
        `CREATE INDEX …`; of long texts it takes the beginning alone.
    """
    dialect, columns = bare_dialect(connection), list(columns)
    indexed = sa.Table(quoted(table.name), sa.MetaData(), *(sa.Column(quoted(c.name), sa.Integer) for c in columns))
    index = sa.Index(key_name(set(), "ix", tuple(c.name for c in columns)), *indexed.columns)
    # TEXT and BLOB have octets too, more than an index can hold.
    sizes = {c.name: c.octets for c in columns if c.kind in ("text", "binary")}
    index.dialect_kwargs[f"{dialect.name}_length"] = prefix_lengths(sizes, len(columns))
    return str(sa.schema.CreateIndex(index).compile(dialect=dialect))


def prefix_lengths(sizes: dict[str, int | None], columns: int) -> dict[str, int]:
    """Choose the prefix lengths of an index.

    Parameters
    ----------
    sizes
        By column of text or bytes, its size in bytes; None where it has no length.
    columns
        The number of columns of the index.

    Returns
    -------
    dict of str to int
        Characters or bytes, of the columns that the index cannot hold completely.
    """
    room = (MAX_KEY_BYTES - 16 * (columns - len(sizes))) // max(len(sizes), 1)
    return {name: min(room // 4, _MAX_PREFIX_CHARACTERS) for name, size in sizes.items() if not size or size > room}
