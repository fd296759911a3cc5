"""`INSERT` statements of many rows, written by Arrow: no Python object per cell."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from pymysql.constants import SERVER_STATUS

from dfsync.model import frames
from dfsync.target.quoting import quote_literal_identifier

_ROWS_PER_STATEMENT = 5_000
# Four bytes a character are still below the default max_allowed_packet.
_STATEMENT_CHARACTERS = 1_000_000


def insert_rows(connection: sa.Connection, table: str, rows: pa.Table) -> int:
    """Insert rows with `INSERT` statements of many rows each.

    Parameters
    ----------
    connection
        The target, in a transaction.
    table
        The name of the target's table.
    rows
        The rows under the target's names of columns, in the types of `model.types.arrow_type`.

    Returns
    -------
    int
        How many rows the server reports as inserted.

    Raises
    ------
    sqlalchemy.exc.SQLAlchemyError
        The server refuses a statement.

    Notes
    -----
    A text is a literal in single quotes, with each quote doubled, and each backslash too unless the session has
    NO_BACKSLASH_ESCAPES. The connection's character set is utf8mb4, in which no byte of a longer character is a quote
    or a backslash. Other values are written without either sign; bytes are hexadecimal.

    References
    ----------
    https://mariadb.com/docs/server/reference/sql-structure/sql-language-structure/string-literals
    """
    driver: Any = connection.connection.driver_connection
    escapes = not driver.server_status & SERVER_STATUS.SERVER_STATUS_NO_BACKSLASH_ESCAPES
    quote = partial(quote_literal_identifier, connection.dialect)
    into = f"INSERT INTO {quote(table)} ({', '.join(map(quote, rows.column_names))}) VALUES "  # noqa: S608 quoted by the dialect
    inserted = 0
    for values in _values(rows, escapes):
        inserted += connection.exec_driver_sql(into + values, execution_options={"no_parameters": True}).rowcount
    return inserted


def _values(rows: pa.Table, escapes: bool) -> Iterator[str]:
    """The rows as they are written after VALUES, in texts of one statement each."""
    for start in range(0, rows.num_rows, _ROWS_PER_STATEMENT):
        cells = [
            _literals(column, escapes) for column in rows.slice(start, _ROWS_PER_STATEMENT).combine_chunks().columns
        ]
        lines = pc.binary_join_element_wise(*cells, ",")
        lines = pc.binary_join_element_wise("(", lines, ")", "").combine_chunks()
        ends = np.cumsum(pc.binary_length(lines).to_numpy(zero_copy_only=False))
        breaks = np.flatnonzero(np.diff(ends // _STATEMENT_CHARACTERS)) + 1
        offsets = pa.array([0, *breaks, len(lines)], pa.int32())
        yield from pc.binary_join(pa.ListArray.from_arrays(offsets, lines), ",").to_pylist()


def _literals(values: pa.Array, escapes: bool) -> pa.Array | pa.ChunkedArray:
    if pa.types.is_binary(values.type):
        text = pc.binary_join_element_wise("x'", frames.to_hex(values), "'", "")
        return pa.chunked_array([text.fill_null("NULL")])
    text = values.cast(pa.string())
    if not pa.types.is_integer(values.type):
        text = pc.replace_substring(text, "\\", "\\\\") if escapes else text
        text = pc.binary_join_element_wise("'", pc.replace_substring(text, "'", "''"), "'", "")
    return text.fill_null("NULL")
