"""Rows that the target has already, brought to the source's values: in bulk, only those that differ, only where."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from dfsync import frames, packet
from dfsync.bulk import in_bulk
from dfsync.equality import as_held
from dfsync.schema import Table

_ROWS = 1_000
_BYTES = 1 << 20


def differing(source: pd.DataFrame, target: pd.DataFrame) -> pd.DataFrame:
    """Where two frames of the same index and columns differ, cell by cell (bool); NULL equals NULL alone."""
    sides = ((frames.arrow(source[name]), frames.arrow(target[name])) for name in source.columns)
    made = {place: frames.unlike(*pair) for place, pair in enumerate(sides)}
    cells = pd.DataFrame(made, index=source.index, columns=range(len(source.columns)))
    return cells.set_axis(source.columns, axis=1)


def update(
    connection: sa.Connection, table: Table, by: pd.DataFrame, values: pd.DataFrame, cells: pd.DataFrame
) -> pd.DataFrame:
    """Sets the cells of the target that `cells` (bool) marks to those of `values`.

    All three have the same index. `by` holds the columns of the target that name a row, `values` and `cells` those that
    may change, conformed. Rows that differ in the same columns go together. Gives the reject frame of the rows that the
    server refused, by that index.
    """
    refused = [frames.no_rejects()]
    most = packet.limit(connection)
    for columns, rows in _patterns(cells):
        part = pd.concat([by.loc[rows], values.loc[rows, columns]], axis=1)
        for chunk in packet.chunks(part, min(_BYTES, most // 3), _ROWS):
            refused.append(in_bulk(connection, chunk, lambda sent: _send(connection, table, by.shape[1], sent, most)))
    return pd.concat(refused)


def _patterns(cells: pd.DataFrame) -> Iterator[tuple[list[Any], Any]]:
    """The sets of columns that differ together, each with the rows of which it is true."""
    if cells.empty:
        return
    packed = np.packbits(cells.to_numpy(dtype=bool), axis=1)
    _, first, group = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    for place, row in enumerate(first):
        columns = list(cells.columns[cells.iloc[row].to_numpy(dtype=bool)])
        if columns:
            yield columns, cells.index[group.ravel() == place]


def _send(connection: sa.Connection, table: Table, by: int, frame: pd.DataFrame, most: int) -> None:
    """One statement; the first `by` columns name the row."""
    packet.check(frame, most)
    # A derived table and no temporary one: it needs no further privilege, and replication lets it pass.
    names = list(frame.columns)
    # A column that the server would set to the present time keeps its value only where the statement says so.
    clocks = [c.name for c in table.columns if c.clock and c.name.lower() not in map(str.lower, names)]
    there = sa.table(table.name, *(sa.column(name) for name in dict.fromkeys([*names, *clocks])))
    sent = _listed(*frame.shape)
    cells = [sent.c[f"c{place}"] for place in range(len(names))]
    same = [there.c[name] == as_held(table[name], cell) for name, cell in zip(names[:by], cells[:by], strict=True)]
    values: dict[Any, Any] = {there.c[name]: cell for name, cell in zip(names[by:], cells[by:], strict=True)}
    values |= {there.c[name]: there.c[name] for name in clocks}
    statement = sa.update(there).values(values).where(*same)
    rows = [frames.arrow(frame.iloc[:, place]).to_pylist() for place in range(len(names))]
    bound = {f"v{row}_{place}": value for place, column in enumerate(rows) for row, value in enumerate(column)}
    connection.execute(statement, bound)


@lru_cache(maxsize=8)
def _listed(rows: int, width: int) -> Any:
    """So many bound rows as a derived table `sent` with the columns `c0`, `c1`, …"""
    # As text, since thousands of expression objects would take longer than the server does.
    lines = [", ".join(f":v{row}_{place} AS c{place}" for place in range(width)) for row in range(rows)]
    text = sa.text(" UNION ALL ".join(f"SELECT {line}" for line in lines))
    return text.columns(*(sa.column(f"c{place}") for place in range(width))).subquery("sent")
