"""Every name quoted, wherever it comes from: no list of reserved words is ever as long as the newest server's."""

from __future__ import annotations

from typing import Any

from sqlalchemy.dialects.mysql.base import MySQLIdentifierPreparer
from sqlalchemy.dialects.sqlite.base import SQLiteIdentifierPreparer


class _MySQL(MySQLIdentifierPreparer):
    def _requires_quotes(self, value: str) -> bool:
        return True


class _SQLite(SQLiteIdentifierPreparer):
    def _requires_quotes(self, value: str) -> bool:
        return True


def plainly(dialect: Any, name: str) -> str:
    """The name, quoted for a statement that does not go through the driver's formatting, for which the dialect doubles
    every %."""
    return str(dialect.identifier_preparer.quote_identifier(name)).replace("%%", "%")


def quote_all(dialect: Any) -> Any:
    """The dialect, from now on quoting every name; before the first connection."""
    dialect.preparer = _SQLite if dialect.name == "sqlite" else _MySQL
    dialect.identifier_preparer = dialect.preparer(dialect)
    return dialect
