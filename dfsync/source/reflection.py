"""The tables of a SQLite file."""

from __future__ import annotations

from typing import Any

import pandas as pd
import sqlalchemy as sa

from dfsync.model.schema import Column, ForeignKeyConstraint, Index, Schema, Table
from dfsync.source.base import Source


def reflect(source: Source) -> Schema:
    names = source.query(
        sa.text("SELECT name, type, wr AS without_rowid FROM pragma_table_list WHERE schema = 'main' ORDER BY name")
    ).to_pylist()
    tables = [row for row in names if row["type"] == "table" and not row["name"].startswith("sqlite_")]
    return Schema({row["name"]: _reflect_table(source, row["name"], bool(row["without_rowid"])) for row in tables})


def _pragma(source: Source, pragma: str, argument: str) -> list[dict[str, Any]]:
    function = getattr(sa.func, pragma)(argument).table_valued()
    return list(source.query(sa.select(sa.text("*")).select_from(function)).to_pylist())


def _reflect_table(source: Source, name: str, without_rowid: bool) -> Table:
    info = _pragma(source, "pragma_table_xinfo", name)
    columns = tuple(
        Column(
            name=row["name"],
            kind=affinity(row["type"] or ""),
            type=row["type"] or "",
            nullable=not row["notnull"],
            default=None if row["dflt_value"] is None else str(row["dflt_value"]),
            generated=row["hidden"] in (2, 3),
        )
        for row in info
        if row["hidden"] != 1
    )
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


def _indexes(source: Source, name: str) -> tuple[Index, ...]:
    found = []
    for row in _pragma(source, "pragma_index_list", name):
        columns = [part["name"] for part in _pragma(source, "pragma_index_info", row["name"])]
        # A partial index or one over an expression says nothing about whole columns.
        if row["origin"] != "pk" and not row["partial"] and None not in columns:
            found.append(Index(row["name"], tuple(columns), bool(row["unique"])))
    return tuple(reversed(found))


def _references(source: Source, name: str) -> tuple[ForeignKeyConstraint, ...]:
    rows = pd.DataFrame(_pragma(source, "pragma_foreign_key_list", name))
    if rows.empty:
        return ()
    found = []
    for _, part in rows.sort_values(["id", "seq"]).groupby("id"):
        parent_columns = () if part["to"].isna().any() else tuple(part["to"])
        found.append(ForeignKeyConstraint(tuple(part["from"]), str(part["table"].iloc[0]), parent_columns))
    # SQLite lists what was declared last first.
    return tuple(reversed(found))


def affinity(declared: str) -> str:
    """The affinity of a column by its declared type, as in https://www.sqlite.org/datatype3.html section 3.1."""
    word = declared.upper()
    if "INT" in word:
        return "integer"
    if any(sign in word for sign in ("CHAR", "CLOB", "TEXT")):
        return "text"
    if not word or "BLOB" in word:
        return "blob"
    return "real" if any(sign in word for sign in ("REAL", "FLOA", "DOUB")) else "numeric"
