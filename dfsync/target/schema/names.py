"""Names of tables, columns and keys, and the dialect that quotes them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from dfsync.model.errors import DfsyncError
from dfsync.model.schema import Column

MAX_NAME_CHARACTERS = 64
"""https://dev.mysql.com/doc/refman/9.7/en/identifier-length.html"""


def bare_dialect(connection: sa.Connection) -> Any:
    """Make a dialect for statements that the driver does not format.

    Parameters
    ----------
    connection
        The target.

    Returns
    -------
    sqlalchemy.Dialect
        The connection's dialect, without doubled percent signs.
    """
    make: Any = type(connection.dialect)
    dialect = make(paramstyle="named")
    dialect.initialize(connection)
    return dialect


def quoted(name: str) -> sa.sql.quoted_name:
    """Make a name that SQLAlchemy always quotes: it does not know every reserved word of every server."""
    return sa.sql.quoted_name(name, quote=True)


def require_valid_names(table: str, columns: Iterable[Column]) -> None:
    """Refuse names that the target cannot have.

    Parameters
    ----------
    table
        The name of the table to create.
    columns
        Its columns.

    Raises
    ------
    DfsyncError
        A name is longer than 64 characters, empty, ends in a space, or has a character that no identifier may have.
    """
    for what, name in (("table", table), *((f"column of {table}", column.name) for column in columns)):
        why = ""
        if len(name) > MAX_NAME_CHARACTERS:
            why = f"has {len(name)} characters, and a name in the target has at most {MAX_NAME_CHARACTERS}"
        elif not name or name.endswith(" ") or any(c == "\0" or ord(c) > 0xFFFF for c in name):
            why = "cannot be a name in the target, for a space at its end or a character beyond Unicode's first 65,536"
        if why:
            raise DfsyncError(
                f"The {what} {name!r} {why}. Rename it in a copy of the source, or leave it out by a plan file."
            )


def key_name(taken: set[str], prefix: str, parts: tuple[str, ...]) -> sa.sql.quoted_name:
    """Choose the name of a key.

    Parameters
    ----------
    taken
        The names in use, in lower case; the new one is added.
    prefix
        What the name begins with, such as `uq`; may be empty.
    parts
        What it is made from: names of the table or of columns.

    Returns
    -------
    sqlalchemy.sql.quoted_name
        At most 64 characters, not in `taken`; cut and with a hash at the end where the full name is too long or taken.
    """
    name = "_".join(filter(None, (prefix, *parts)))
    if len(name) > MAX_NAME_CHARACTERS or name.lower() in taken or name.lower() == "primary":
        mark = hashlib.sha256(repr((prefix, parts)).encode()).hexdigest()[:8]
        name = f"{name[: MAX_NAME_CHARACTERS - 9]}_{mark}"
    taken.add(name.lower())
    return quoted(name)
