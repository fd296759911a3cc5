"""Deleting rows of the target by their ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from dfsync.plan.binding import TableBinding
from dfsync.target.quoting import one_of

_IDS_PER_STATEMENT = 1_000


def null_self_references(connection: sa.Connection, binding: TableBinding, ids: Sequence[int]) -> None:
    """Set to NULL what the rows refer to in their own table by a value, so that they can be deleted in any order.

    Parameters
    ----------
    connection
        The target, in a transaction.
    binding
        The table, which has a surrogate id. Only its nullable columns are changed.
    ids
        The target's ids of the rows.
    """
    columns = [column.name for column in binding.target.pick(binding.self_references_by_value()) if column.nullable]
    if not columns:
        return
    own_id: sa.ColumnClause[Any] = sa.column(binding.id or "")
    target_table = sa.table(binding.target.name, own_id, *(sa.column(name) for name in columns))
    for start in range(0, len(ids), _IDS_PER_STATEMENT):
        batch = list(ids[start : start + _IDS_PER_STATEMENT])
        connection.execute(sa.update(target_table).values(dict.fromkeys(columns)).where(one_of(own_id, batch)))


def delete_descending(connection: sa.Connection, binding: TableBinding, ids: Sequence[int]) -> None:
    """Delete rows by their ids, those with the higher ids first, also within a statement.

    Parameters
    ----------
    connection
        The target, in a transaction.
    binding
        The table, which has a surrogate id.
    ids
        The target's ids of the rows, descending.
    """
    quote = connection.dialect.identifier_preparer.quote_identifier
    own_id = quote(binding.id or "")
    for start in range(0, len(ids), _IDS_PER_STATEMENT):
        batch = tuple(ids[start : start + _IDS_PER_STATEMENT])
        listed = ", ".join(["%s"] * len(batch))
        # SQLAlchemy's DELETE has no ORDER BY.
        statement = f"DELETE FROM {quote(binding.target.name)} WHERE {own_id} IN ({listed}) ORDER BY {own_id} DESC"  # noqa: S608 quoted by the dialect
        connection.exec_driver_sql(statement, batch)
