"""Quote every identifier: no list of reserved words is as long as the newest server's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Dialect, bindparam
from sqlalchemy.dialects.mysql.base import MySQLIdentifierPreparer


class _QuotingPreparer(MySQLIdentifierPreparer):
    def _requires_quotes(self, value: str) -> bool:
        return True


def quote_literal_identifier(dialect: Dialect, name: str) -> str:
    """Quote a name for a statement that the driver does not format.

    Parameters
    ----------
    dialect
        The dialect of the connection. It doubles every percent sign, as the driver's formatting needs it.
    name
        The name of a table or a column.

    Returns
    -------
    str
        The name in backquotes, with its percent signs single.
    """
    return str(dialect.identifier_preparer.quote_identifier(name)).replace("%%", "%")


def always_quote(dialect: Dialect) -> None:
    """Make a dialect quote every name.

    Parameters
    ----------
    dialect
        The dialect of an engine that has not connected yet.
    """
    # SQLAlchemy declares these attributes with the types of the dialect's own preparer.
    attributes: Any = dialect
    attributes.preparer = _QuotingPreparer
    attributes.identifier_preparer = _QuotingPreparer(attributes)


def one_of(expression: ColumnElement[Any], values: Sequence[Any]) -> ColumnElement[bool]:
    """Make the condition that an expression is one of many values.

    Parameters
    ----------
    expression
        A column, or a tuple of columns.
    values
        Values, or tuples of them.

    Returns
    -------
    sqlalchemy.ColumnElement
        `expression IN (...)`.

    Notes
    -----
    SQLAlchemy's own `in_` calls the parameter like the column, and does not find it again where that name holds white
    space.
    """
    return expression.in_(bindparam("listed", values, expanding=True))
