"""Rows that the target has already, brought to the source's values: in bulk, only those that differ, only where."""

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
from dfsync.target.collation import cast_as_column
from dfsync.target.write.bisect import send_with_bisection

_ROWS_PER_STATEMENT = 1_000
_BYTES_PER_STATEMENT = 1 << 20


def update(
    connection: sa.Connection, table: Table, by: pd.DataFrame, values: pd.DataFrame, cells: pd.DataFrame
) -> pd.DataFrame:
    """Sets the cells of the target that `cells` (bool) marks to those of `values`.

    All three have the same index. `by` holds the columns of the target that name a row, `values` and `cells` those that
    may change, conformed. Rows that differ in the same columns go together. Gives the reject frame of the rows that the
    server refused, by that index.
    """
    refused = [no_rejects()]
    most = packet.max_allowed_packet(connection)
    for columns, rows in _group_by_changed_columns(cells):
        part = pd.concat([by.loc[rows], values.loc[rows, columns]], axis=1)
        for chunk in packet.chunks(part, min(_BYTES_PER_STATEMENT, most // 3), _ROWS_PER_STATEMENT):
            refused.append(
                send_with_bisection(
                    connection, chunk, lambda sent: _execute(connection, table, by.shape[1], sent, most)
                )
            )
    return pd.concat(refused)


def _group_by_changed_columns(cells: pd.DataFrame) -> Iterator[tuple[list[Any], Any]]:
    """The sets of columns that differ together, each with the rows of which it is true."""
    if cells.empty:
        return
    packed = np.packbits(cells.to_numpy(dtype=bool), axis=1)
    _, first, group = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    for place, row in enumerate(first):
        columns = list(cells.columns[cells.iloc[row].to_numpy(dtype=bool)])
        if columns:
            yield columns, cells.index[group.ravel() == place]


def _execute(connection: sa.Connection, table: Table, by: int, frame: pd.DataFrame, most: int) -> None:
    """One statement; the first `by` columns name the row."""
    packet.require_fit(frame, most)
    # A derived table and no temporary one: it needs no further privilege, and replication lets it pass.
    names = list(frame.columns)
    # A column that the server would set to the present time keeps its value only where the statement says so.
    clocks = [c.name for c in table.columns if c.on_update_timestamp and c.name.lower() not in map(str.lower, names)]
    there = sa.table(table.name, *(sa.column(name) for name in dict.fromkeys([*names, *clocks])))
    sent = values_table(*frame.shape)
    cells = [sent.c[f"c{place}"] for place in range(len(names))]
    same = [
        there.c[name] == cast_as_column(table[name], cell) for name, cell in zip(names[:by], cells[:by], strict=True)
    ]
    values: dict[Any, Any] = {there.c[name]: cell for name, cell in zip(names[by:], cells[by:], strict=True)}
    values |= {there.c[name]: there.c[name] for name in clocks}
    statement = sa.update(there).values(values).where(*same)
    rows = [frames.as_arrow(frame.iloc[:, place]).to_pylist() for place in range(len(names))]
    bound = {f"v{row}_{place}": value for place, column in enumerate(rows) for row, value in enumerate(column)}
    connection.execute(statement, bound)


@lru_cache(maxsize=8)
def values_table(rows: int, width: int) -> Any:
    """So many bound rows as a derived table `sent` with the columns `c0`, `c1`, …"""
    # As text, since thousands of expression objects would take longer than the server does.
    lines = [", ".join(f":v{row}_{place} AS c{place}" for place in range(width)) for row in range(rows)]
    text = sa.text(" UNION ALL ".join(f"SELECT {line}" for line in lines))
    return text.columns(*(sa.column(f"c{place}") for place in range(width))).subquery("sent")
