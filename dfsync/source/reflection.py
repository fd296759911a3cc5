"""The tables of a SQLite file."""

from __future__ import annotations

import re
from typing import Any, Protocol

import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from dfsync.model.schema import Column, ForeignKeyConstraint, Index, Schema, Table

_QUOTED_OR_COMMENT = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^]]*\]|--[^\n]*|/\*.*?\*/|[(),]""", re.DOTALL
)


class Reflected(Protocol):
    """A file that answers queries, and whose tables may not be known yet."""

    def query(self, statement: sa.ClauseElement, batch_rows: int = 1024) -> pa.Table:
        """Run a query of SQLAlchemy; see `dfsync.source.base.Queryable`."""


def reflect(source: Reflected) -> Schema:
    """Read the tables of a source.

    Parameters
    ----------
    source
        The source. Its `schema` is not read.

    Returns
    -------
    Schema
        Its tables, without views, virtual and internal tables. Hidden columns are left out.

    References
    ----------
    https://www.sqlite.org/pragma.html#pragma_table_list
    https://www.sqlite.org/pragma.html#pragma_table_xinfo
    """
    names = source.query(
        sa.text("SELECT name, type, wr AS without_rowid FROM pragma_table_list WHERE schema = 'main' ORDER BY name")
    ).to_pylist()
    tables = [row for row in names if row["type"] == "table" and not row["name"].startswith("sqlite_")]
    schema = Schema({row["name"]: _reflect_table(source, row["name"], bool(row["without_rowid"])) for row in tables})
    schema.views = tuple(row["name"] for row in names if row["type"] == "view")
    return schema


def _pragma(source: Reflected, pragma: str, *arguments: str) -> list[dict[str, Any]]:
    function = getattr(sa.func, pragma)(*arguments).table_valued()
    return list(source.query(sa.select(sa.text("*")).select_from(function)).to_pylist())


def _reflect_table(source: Reflected, name: str, without_rowid: bool) -> Table:
    info = _pragma(source, "pragma_table_xinfo", name)
    columns = _columns(info, never_again=_is_autoincrement(source, name))
    taken = {column.name.lower() for column in columns}
    rowid = next((alias for alias in ("rowid", "_rowid_", "oid") if alias not in taken), None)
    return Table(
        name=name,
        columns=columns,
        primary_key=tuple(row["name"] for row in sorted(info, key=lambda r: int(r["pk"])) if row["pk"]),
        indexes=_indexes(source, name),
        references=_references(source, name),
        rowid=None if without_rowid else rowid,
    )


def _columns(info: list[dict[str, Any]], *, never_again: bool) -> tuple[Column, ...]:
    """Describe the columns, as `pragma_table_xinfo` tells them."""
    return tuple(
        Column(
            name=row["name"],
            kind=affinity(row["type"] or ""),
            type=row["type"] or "",
            nullable=not row["notnull"],
            default=None if row["dflt_value"] is None else str(row["dflt_value"]),
            generated=row["hidden"] in (2, 3),
            auto_increment=never_again and bool(row["pk"]),
        )
        for row in info
        if row["hidden"] != 1
    )


def reflect_columns(source: Reflected, name: str, schema: str = "main") -> tuple[Column, ...]:
    """Read the columns of a view.

    Parameters
    ----------
    source
        The source. Its `schema` is not read.
    name
        The view.
    schema
        `main` for the file's own views, `temp` for those of the connection.

    Returns
    -------
    tuple of Column
        Each has the declared type of the column that it shows, and none where it is an expression.
    """
    return _columns(_pragma(source, "pragma_table_xinfo", name, schema), never_again=False)


def _is_autoincrement(source: Reflected, name: str) -> bool:
    """Whether SQLite never gives an id of the table twice.

    References
    ----------
    https://www.sqlite.org/autoinc.html
    """
    schema: Any = sa.table("sqlite_schema", sa.column("type"), sa.column("name"), sa.column("sql"))
    select = sa.select(schema.c.sql).where(schema.c.type == "table", schema.c.name == name)
    statements = [row["sql"] for row in source.query(select).to_pylist()]
    return any("AUTOINCREMENT" in _QUOTED_OR_COMMENT.sub(" ", sql or "").upper().split() for sql in statements)


def _indexes(source: Reflected, name: str) -> tuple[Index, ...]:
    indexes = []
    for row in _pragma(source, "pragma_index_list", name):
        columns = [part["name"] for part in _pragma(source, "pragma_index_info", row["name"])]
        # A partial index, or one over an expression, does not make columns unique.
        if row["origin"] != "pk" and not row["partial"] and None not in columns:
            indexes.append(Index(row["name"], tuple(columns), bool(row["unique"])))
    return tuple(reversed(indexes))


def _references(source: Reflected, name: str) -> tuple[ForeignKeyConstraint, ...]:
    rows = pd.DataFrame(_pragma(source, "pragma_foreign_key_list", name))
    if rows.empty:
        return ()
    references = []
    for _, part in rows.sort_values(["id", "seq"]).groupby("id"):
        parent_columns = () if part["to"].isna().any() else tuple(part["to"])
        references.append(ForeignKeyConstraint(tuple(part["from"]), str(part["table"].iloc[0]), parent_columns))
    # SQLite lists the last declared one first.
    return tuple(reversed(references))


def affinity(declared: str) -> str:
    """Determine the affinity of a column.

    Parameters
    ----------
    declared
        The declared type, as it is written; empty where there is none.

    Returns
    -------
    str
        `integer`, `text`, `blob`, `real` or `numeric`.

    References
    ----------
    https://www.sqlite.org/datatype3.html section 3.1
    """
    word = declared.upper()
    if "INT" in word:
        return "integer"
    if any(sign in word for sign in ("CHAR", "CLOB", "TEXT")):
        return "text"
    if not word or "BLOB" in word:
        return "blob"
    return "real" if any(sign in word for sign in ("REAL", "FLOA", "DOUB")) else "numeric"
