"""The text of SQLite's queries."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite.base import SQLiteIdentifierPreparer


class _QuotingPreparer(SQLiteIdentifierPreparer):
    """Quotes every name: no list of reserved words is complete."""

    def _requires_quotes(self, value: str) -> bool:
        return True


def _dialect() -> Any:
    dialect: Any = sqlite.dialect(paramstyle="qmark")
    dialect.preparer = _QuotingPreparer
    dialect.identifier_preparer = _QuotingPreparer(dialect)
    return dialect


_DIALECT = _dialect()


def quoted(name: str) -> str:
    """Quote a name."""
    return str(_DIALECT.identifier_preparer.quote_identifier(name))


def index_of_ids(relation: str, column: str) -> str:
    """Give the statement that makes an index of a temporary table, where there is none."""
    index = quoted(f"{relation} by {column}")
    return f"CREATE INDEX IF NOT EXISTS temp.{index} ON {quoted(relation)} ({quoted(column)})"


def compiled(statement: sa.ClauseElement) -> tuple[str, list[Any]]:
    """Give the text of a query, and its parameters in order."""
    made: Any = statement.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
    return str(made), [made.params[name] for name in made.positiontup or ()]
