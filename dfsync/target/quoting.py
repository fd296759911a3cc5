"""Every name quoted: no list of reserved words is ever as long as the newest server's."""

from __future__ import annotations

from typing import Any

from sqlalchemy.dialects.mysql.base import MySQLIdentifierPreparer


class _MySQL(MySQLIdentifierPreparer):
    def _requires_quotes(self, value: str) -> bool:
        return True


def quote_literal_identifier(dialect: Any, name: str) -> str:
    """The name, quoted for a statement that does not go through the driver's formatting, for which the dialect doubles
    every %.
    """
    return str(dialect.identifier_preparer.quote_identifier(name)).replace("%%", "%")


def always_quote(dialect: Any) -> Any:
    """The dialect, from now on quoting every name; before the first connection."""
    dialect.preparer = _MySQL
    dialect.identifier_preparer = dialect.preparer(dialect)
    return dialect
