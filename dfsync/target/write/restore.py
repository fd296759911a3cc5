"""Give rows the values again that `target.read.exact` read, byte by byte."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from sqlalchemy.dialects.mysql import BIGINT

from dfsync.model.schema import Column, Table
from dfsync.target import packet
from dfsync.target.read.exact import ENUM_ERROR, is_binary_form
from dfsync.target.schema.text_forms import cast_as_column
from dfsync.target.write.update import values_table

_ROWS_PER_STATEMENT = 500
_BYTES_PER_STATEMENT = 1 << 20
_PREFIX = "dfsync_"
_LENIENT_MODE = "NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES"
_EXACT_MODE = f"STRICT_ALL_TABLES,{_LENIENT_MODE}"


def restore(connection: sa.Connection, table: Table, by: pa.Table, values: pa.Table) -> None:
    """Set rows to values that they had.

    Parameters
    ----------
    connection
        The target, in a transaction. Its session's `sql_mode` admits dates that are none, such as 0000-00-00, for
        as long as this takes.
    table
        The target's table.
    by
        The columns that name the rows, as bytes; they are not changed.
    values
        The columns to set, as bytes.

    Raises
    ------
    sqlalchemy.exc.DBAPIError
        The server refuses a value, for which another row or a foreign key is the reason.
    """
    mode = connection.scalar(sa.text("SELECT @@SESSION.sql_mode"))
    connection.execute(sa.text("SET SESSION sql_mode = :mode"), {"mode": _EXACT_MODE})
    try:
        names = [name for name in values.column_names if name not in by.column_names]
        sent = pa.Table.from_arrays([*by.columns, *(values.column(name) for name in names)], [*by.column_names, *names])
        size = min(_BYTES_PER_STATEMENT, packet.max_allowed_packet(connection) // 4)
        # The other values come behind, and with them those of columns that change with each UPDATE.
        sent_parts = _without_enum_errors(connection, table, by, sent, size)
        for chunk in (chunk for part in sent_parts for chunk in _chunks(part, size)):
            _execute(connection, table, by.num_columns, chunk)
    finally:
        connection.execute(sa.text("SET SESSION sql_mode = :mode"), {"mode": mode})


def _without_enum_errors(
    connection: sa.Connection, table: Table, by: pa.Table, sent: pa.Table, size: int
) -> list[pa.Table]:
    """Restore the values that no strict mode takes: what is left, in parts that lack the columns of such cells."""
    parts = [sent]
    for name in sent.column_names[by.num_columns :]:
        column = sent.column(name)
        if table[name].kind != "enum" or not pc.any(pc.equal(column, ENUM_ERROR)).as_py():
            continue
        rows = by.filter(pc.fill_null(pc.equal(column, ENUM_ERROR), False))
        connection.execute(sa.text("SET SESSION sql_mode = :mode"), {"mode": _LENIENT_MODE})
        for chunk in _chunks(rows, size):
            target, _, same_row = _joined(table, chunk, chunk.num_columns, name)
            update = sa.update(target).values({target.c[name]: sa.literal_column("0")}).where(*same_row)
            connection.execute(update, _bound(table, chunk, chunk.num_columns))
        connection.execute(sa.text("SET SESSION sql_mode = :mode"), {"mode": _EXACT_MODE})
        split = []
        for part in parts:
            is_error = pc.fill_null(pc.equal(part.column(name), ENUM_ERROR), False)
            split += [part.filter(pc.invert(is_error)), part.filter(is_error).drop_columns([name])]
        parts = [part for part in split if part.num_rows]
    return parts


def delete_by_key(connection: sa.Connection, table: Table, keys: pa.Table) -> None:
    """Delete rows by the values of their primary key, as bytes."""
    for chunk in _chunks(keys, min(_BYTES_PER_STATEMENT, packet.max_allowed_packet(connection) // 4)):
        target, _, same_row = _joined(table, chunk, chunk.num_columns)
        connection.execute(sa.delete(target).where(sa.and_(*same_row)), _bound(table, chunk, chunk.num_columns))


def _execute(connection: sa.Connection, table: Table, by: int, chunk: pa.Table) -> None:
    target, sent, same_row = _joined(table, chunk, by)
    values: dict[Any, Any] = {
        target.c[name]: _restored(table[name], sent.c[f"c{position}"])
        for position, name in enumerate(chunk.column_names)
        if position >= by
    }
    if values:
        connection.execute(sa.update(target).values(values).where(*same_row), _bound(table, chunk, by))


def _joined(
    table: Table, chunk: pa.Table, by: int, *more: str
) -> tuple[sa.TableClause, sa.Subquery, list[sa.ColumnElement[bool]]]:
    target = sa.table(table.name, *map(sa.column, [*chunk.column_names, *more]))
    sent = values_table(chunk.num_rows, chunk.num_columns, _prefix(chunk.column_names))
    same_row = [
        target.c[name] == _key(table[name], sent.c[f"c{position}"])
        for position, name in enumerate(chunk.column_names[:by])
    ]
    return target, sent, same_row


def _prefix(names: Sequence[str]) -> str:
    # SQLAlchemy refuses a parameter that is called like a column of the table that is updated.
    prefix = _PREFIX
    while any(name.startswith(prefix) for name in names):
        prefix += "_"
    return prefix


def _bound(table: Table, chunk: pa.Table, by: int) -> dict[str, Any]:
    prefix = _prefix(chunk.column_names)
    bound = {}
    for position, name in enumerate(chunk.column_names):
        # As text a number would be compared as a DOUBLE.
        is_number = position < by and table[name].kind in ("integer", "year")
        is_enum = position < by and table[name].kind == "enum"
        for row, value in enumerate(chunk.column(position).to_pylist()):
            if is_enum and value == ENUM_ERROR:
                # So it reads.
                value = b""
            bound[f"{prefix}{row}_{position}"] = int(value) if is_number and value is not None else value
    return bound


def _key(column: Column, cell: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return cell if column.kind in ("integer", "year") else cast_as_column(column, _restored(column, cell))


def _restored(column: Column, cell: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """The value of a column from its bytes."""
    if column.kind == "binary":
        return cell
    if is_binary_form(column):
        return sa.func.unhex(cell)
    charset = column.charset if column.kind in ("text", "enum", "set") else None
    text = sa.func.convert(cell.op("USING")(sa.literal_column(charset or "utf8mb4")))
    return sa.cast(text, BIGINT(unsigned=True)) if column.kind == "bit" else text


def _chunks(rows: pa.Table, size: int) -> list[pa.Table]:
    width = max(1, rows.nbytes // max(rows.num_rows, 1))
    count = max(1, min(_ROWS_PER_STATEMENT, size // (3 * width)))
    return [rows.slice(start, count) for start in range(0, rows.num_rows, count)]
