"""Many keys in few large values: three times as fast as one value per cell, which the driver parses in Python.

The server joins a batch of rows into one text, which Arrow parses. A value that holds a separator, or that looks like
the sign for NULL, is detected by counting; a text that the server cut off, by its length; a date that is none, by
parsing. Such a batch must be read row by row.
"""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import sqlalchemy as sa

from dfsync.model.schema import Column, Table
from dfsync.model.types import arrow_type
from dfsync.target import packet

PACKABLE_KINDS = {"integer", "text", "double", "date", "datetime", "timestamp"}
_ROWS_PER_BATCH = 50_000
_NULL = "\\N"
_WIDEST_CHARACTER = 4
_PARSE = pyarrow.csv.ParseOptions(delimiter="\t", quote_char=False, ignore_empty_lines=False)


def read_keys_packed(
    connection: sa.Connection,
    table: Table,
    id_column: str,
    key: Sequence[Column],
    after: int | None = None,
    until: int | None = None,
) -> Iterator[tuple[int, pa.Table | None]]:
    """Read the natural keys of a table in batches of 50,000 rows.

    Parameters
    ----------
    connection
        The target.
    table
        The target's table.
    id_column
        Its surrogate id.
    key
        The columns of the natural key, their kinds among `PACKABLE_KINDS`.
    after
        Only the rows with higher ids; None reads all.
    until
        Only this id and lower ones; None reads all.

    Yields
    ------
    tuple of int and pyarrow.Table or None
        By ascending id: the highest id of the batch, and its id and key columns (`f0`, `f1`, …, in the types of
        `model.types.arrow_type`); None where the batch must be read row by row.

    References
    ----------
    https://dev.mysql.com/doc/refman/9.7/en/aggregate-functions.html#function_group-concat
    """
    # The server cuts a longer text off, before the character that would exceed the length.
    max_length = packet.max_allowed_packet(connection)
    columns = [table[id_column], *key]
    types = {f"f{position}": arrow_type(column) for position, column in enumerate(columns)}
    convert = pyarrow.csv.ConvertOptions(column_types=types, null_values=[_NULL], strings_can_be_null=True)
    statement = _statement(table, id_column, columns, until)
    last = after
    while True:
        count, highest, nulls, packed = connection.execute(statement, {"last": last}).one()
        if not count:
            return
        last = int(highest)
        content = packed if isinstance(packed, bytes) else (packed or "").encode()
        is_complete = len(content) <= max_length - _WIDEST_CHARACTER
        yield last, (_parse_batch(content, int(count), int(nulls), convert) if is_complete else None)
        if count < _ROWS_PER_BATCH:
            return


def _statement(table: Table, id_column: str, columns: Sequence[Column], until: int | None) -> sa.Select[Any]:
    """The query of one batch after the id `:last`: rows, highest id, NULLs in the key, and the packed text."""
    rows = _batch_rows(table, id_column, columns, until)
    id_cell, *key_cells = rows.c
    nulls = sum((sa.func.count() - sa.func.count(cell) for cell in key_cells), start=sa.literal(0))
    return sa.select(sa.func.count(), sa.func.max(id_cell), nulls, _packed_rows(rows, columns)).select_from(rows)


def _batch_rows(table: Table, id_column: str, columns: Sequence[Column], until: int | None) -> sa.Subquery:
    own_id: sa.ColumnElement[Any] = sa.column(id_column)
    is_first = sa.bindparam("last", type_=sa.BigInteger).is_(None)
    selected: list[Any] = [sa.column(column.name).label(f"c{position}") for position, column in enumerate(columns)]
    select = sa.select(*selected).select_from(sa.table(table.name))
    wanted = sa.or_(is_first, own_id > sa.bindparam("last"))
    if until is not None:
        wanted = sa.and_(wanted, own_id <= until)
    return select.where(wanted).order_by(own_id).limit(_ROWS_PER_BATCH).subquery("rows")


def _packed_rows(rows: sa.Subquery, columns: Sequence[Column]) -> sa.ColumnElement[Any]:
    """All rows as one text: a tab between cells, a line feed between rows."""
    cells = [_cell(cell, column) for cell, column in zip(rows.c, columns, strict=True)]
    line = sa.func.concat_ws("\t", *cells)
    # SEPARATOR takes a literal alone, no bound value.
    return sa.func.group_concat(line.op("SEPARATOR")(sa.literal_column("'\\n'")))


def _cell(cell: sa.ColumnElement[Any], column: Column) -> sa.ColumnElement[Any]:
    # Columns of different collations cannot be joined before they have one.
    text = sa.cast(cell, sa.CHAR) if column.collation is None else cell
    unified = sa.collate(sa.func.convert(text.op("USING")(sa.literal_column("utf8mb4"))), "utf8mb4_bin")
    return sa.func.coalesce(unified, _NULL)


def _parse_batch(content: bytes, count: int, nulls: int, convert: pyarrow.csv.ConvertOptions) -> pa.Table | None:
    """The rows of a packed text; None where the numbers of rows, cells or NULLs contradict the server's."""
    separators = count * len(convert.column_types) - 1
    lines, cells = content.count(b"\n"), content.count(b"\t")
    if lines != count - 1 or lines + cells != separators or b"\r" in content:
        return None
    # One block: a row must not be longer than one.
    options = pyarrow.csv.ReadOptions(autogenerate_column_names=True, block_size=len(content) + 1)
    try:
        read = pyarrow.csv.read_csv(io.BytesIO(content + b"\n"), options, _PARSE, convert)
    except pa.ArrowInvalid:
        return None
    agrees = read.num_rows == count and sum(column.null_count for column in read.columns) == nulls
    if any(_has_year_zero(column) for column in read.columns if pa.types.is_temporal(column.type)):
        return None
    return read.combine_chunks() if agrees else None


def _has_year_zero(column: pa.ChunkedArray) -> bool:
    """Whether the server has a date that Python's dates, and so the reading row by row, have not."""
    return bool(pc.any(pc.less(column, pa.scalar(dt.datetime.min).cast(column.type))).as_py())
