"""Deleting rows of the target by their ids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa

from dfsync.model.schema import Table
from dfsync.model.types import NewIds
from dfsync.plan.binding import TableBinding
from dfsync.target.quoting import one_of, quote_literal_identifier
from dfsync.target.read.exact import digest, id_parts, id_ranges

_IDS_PER_STATEMENT = 1_000
_IDS_PER_RANGE = 20_000
_DIGESTS_PER_STATEMENT = 5_000


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


def delete_ids(connection: sa.Connection, table: Table, id_column: str, ids: NewIds) -> None:
    """Delete rows, those with the higher ids first, also within a statement; in ranges where ids follow each other.

    Parameters
    ----------
    connection
        The target, in a transaction.
    table
        The target's table.
    id_column
        Its surrogate id.
    ids
        The ids, ascending and unique. A row that refers to another one of them has a higher id than that, or is
        deleted with it by the foreign key.
    """
    quote = partial(quote_literal_identifier, connection.dialect)
    own_id = quote(id_column)
    for part in reversed(list(id_parts(ids, _IDS_PER_RANGE))):
        first, last = int(part[0]), int(part[-1])
        is_range = last - first + 1 == len(part)
        listed = f"BETWEEN {first} AND {last}" if is_range else f"IN ({', '.join(map(str, part.tolist()))})"
        # SQLAlchemy's DELETE has no ORDER BY.
        statement = f"DELETE FROM {quote(table.name)} WHERE {own_id} {listed} ORDER BY {own_id} DESC"  # noqa: S608 quoted by the dialect
        connection.exec_driver_sql(statement, execution_options={"no_parameters": True})


def null_columns(connection: sa.Connection, table: Table, id_column: str, ids: NewIds, columns: Iterable[str]) -> None:
    """Set columns of rows (ids ascending and unique) to NULL, so that the rows can be deleted in any order."""
    own_id: sa.ColumnClause[Any] = sa.column(id_column)
    target_table = sa.table(table.name, own_id, *map(sa.column, columns))
    for condition in id_ranges(own_id, ids, _IDS_PER_RANGE):
        connection.execute(sa.update(target_table).values(dict.fromkeys(columns)).where(condition))


def delete_by_digest(connection: sa.Connection, table: Table, counts: dict[int, int], whole: Sequence[int]) -> None:
    """Delete rows of a table without a key.

    Parameters
    ----------
    connection
        The target, in a transaction.
    table
        The target's table.
    counts
        By digest the number of rows to delete, of which the table has more.
    whole
        The digests of which all rows are deleted.
    """
    own = digest(table)
    target_table = sa.table(table.name)
    for start in range(0, len(whole), _DIGESTS_PER_STATEMENT):
        batch = [f"{value:016x}" for value in whole[start : start + _DIGESTS_PER_STATEMENT]]
        connection.execute(sa.delete(target_table).where(one_of(own, batch)))
    for value, count in counts.items():
        # Equal rows are few; each kind takes a scan of the table.
        rows = sa.delete(target_table).where(own == f"{value:016x}")
        connection.execute(rows.with_dialect_options(mysql_limit=count))
