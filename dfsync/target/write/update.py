"""Update rows in bulk: only the rows that differ, and only in the columns in which they differ."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from dfsync.model import frames
from dfsync.model.rejects import no_rejects
from dfsync.model.schema import Table
from dfsync.target import packet
from dfsync.target.schema.text_forms import cast_as_column
from dfsync.target.write.bisect import send_with_bisection

_ROWS_PER_STATEMENT = 1_000
_BYTES_PER_STATEMENT = 1 << 20


def update(
    connection: sa.Connection, table: Table, by: pd.DataFrame, values: pd.DataFrame, cells: pd.DataFrame
) -> pd.DataFrame:
    """Set cells of the target.

    Parameters
    ----------
    connection
        The target, in a transaction.
    table
        The target's table.
    by
        The columns that identify a row: the surrogate id, or the natural key (Arrow dtypes).
    values
        The columns that may change, with the values to write, conformed and remapped (Arrow dtypes).
    cells
        bool, the columns of `values`: which cells to write. All three frames have the same index.

    Returns
    -------
    pandas.DataFrame
        The reject frame (`model.rejects`) of the rows that the server refused, by that index.

    Raises
    ------
    TableError
        Too many rows were refused.
    """
    rejects = [no_rejects()]
    max_packet = packet.max_allowed_packet(connection)
    for columns, rows in _group_by_changed_columns(cells):
        patch = pd.concat([by.loc[rows], values.loc[rows, columns]], axis=1)
        for chunk in packet.chunks(patch, min(_BYTES_PER_STATEMENT, max_packet // 3), _ROWS_PER_STATEMENT):
            rejects.append(
                send_with_bisection(
                    connection, chunk, lambda sent: _execute(connection, table, by.shape[1], sent, max_packet)
                )
            )
    return pd.concat(rejects)


def _group_by_changed_columns(cells: pd.DataFrame) -> Iterator[tuple[list[Any], Any]]:
    """The sets of columns that differ together, each with the rows of which it is true."""
    if cells.empty:
        return
    packed = np.packbits(cells.to_numpy(dtype=bool), axis=1)
    _, first, group = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    for number, row in enumerate(first):
        columns = list(cells.columns[cells.iloc[row].to_numpy(dtype=bool)])
        if columns:
            yield columns, cells.index[group.ravel() == number]


def _execute(connection: sa.Connection, table: Table, by: int, frame: pd.DataFrame, max_packet: int) -> None:
    """One statement; the first `by` columns identify the row."""
    packet.require_fit(frame, max_packet)
    # A derived table instead of a temporary one: it needs no other privilege, and replicates.
    names = list(frame.columns)
    # A column with ON UPDATE CURRENT_TIMESTAMP keeps its value only where the statement sets it to itself.
    timestamps = [
        c.name for c in table.columns if c.on_update_timestamp and c.name.lower() not in map(str.lower, names)
    ]
    target_table = sa.table(table.name, *(sa.column(name) for name in dict.fromkeys([*names, *timestamps])))
    prefix = "v"
    # SQLAlchemy refuses a parameter that is called like a column of the table that is updated.
    while any(name.startswith(prefix) for name in names):
        prefix += "_"
    sent = values_table(*frame.shape, prefix)
    cells = [sent.c[f"c{position}"] for position in range(len(names))]
    same_row = [
        target_table.c[name] == cast_as_column(table[name], cell)
        for name, cell in zip(names[:by], cells[:by], strict=True)
    ]
    values: dict[Any, Any] = {target_table.c[name]: cell for name, cell in zip(names[by:], cells[by:], strict=True)}
    values |= {target_table.c[name]: target_table.c[name] for name in timestamps}
    statement = sa.update(target_table).values(values).where(*same_row)
    columns = [frames.as_arrow(frame.iloc[:, position]).to_pylist() for position in range(len(names))]
    bound = {
        f"{prefix}{row}_{position}": value
        for position, column in enumerate(columns)
        for row, value in enumerate(column)
    }
    connection.execute(statement, bound)


@lru_cache(maxsize=8)
def values_table(rows: int, width: int, prefix: str = "v") -> sa.Subquery:
    """Make a derived table of bound values.

    Parameters
    ----------
    rows, width
        Its size.
    prefix
        The beginning of the parameters' names.

    Returns
    -------
    sqlalchemy.Subquery
        Named `sent`, with the columns `c0`, `c1`, …; the cell of row r and column c is `vr_c`, where `v` is `prefix`.
    """
    # As text, since thousands of expression objects take longer than the server does.
    lines = [", ".join(f":{prefix}{row}_{position} AS c{position}" for position in range(width)) for row in range(rows)]
    text = sa.text(" UNION ALL ".join(f"SELECT {line}" for line in lines))
    return text.columns(*(sa.column(f"c{position}") for position in range(width))).subquery("sent")
