"""Rows of a table that refers to itself where the reference may not be empty: parents before their children."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from dfsync.model import frames
from dfsync.model.rejects import display_values, no_rejects, reject_frame

_CYCLE_REASON = "leads into a circle of rows that need each other, and cannot be left empty until they are in"


def topological_levels(references: pd.DataFrame) -> Iterator[Any]:
    """The old ids (int64, ascending) level by level: first the rows that need no other row, then those that need these.

    `references` is indexed by `old_id` and holds the old ids of the rows of the same table that a row needs, as Arrow
    integers. A row whose parent the table does not have comes with the first ones, to be rejected by `remap`. Rows that
    need each other in a circle come in no level.
    """
    ids = references.index.to_numpy()
    needed = [_parent_positions(references, name) for name in references.columns]
    done = np.zeros(len(ids), dtype=bool)
    while True:
        ready = ~done
        for place in needed:
            ready &= (place < 0) | done[place]
        if not ready.any():
            return
        yield np.sort(ids[ready])
        done |= ready


def keyless_phases(references: pd.DataFrame, unkeyed: Any) -> Iterator[Any]:
    """The old ids (int64, ascending) in parts, those of an earlier one first, each to be gone through by `levels`.

    `unkeyed` are those of the rows without a natural key. Such a row needs rows of earlier parts alone; so equal ones
    come by ascending id, whichever of their parents the target has already. Of rows that need each other in a circle
    this leaves out what they need there.
    """
    ids, circle = references.index, _between_cycles(references)
    masked = {name: column.mask(ids.isin(circle) & column.isin(circle)) for name, column in references.items()}
    loose = pd.DataFrame(masked, index=ids)
    needed, alone = [_parent_positions(loose, name) for name in loose.columns], ids.isin(unkeyed)
    depth = np.zeros(len(ids), np.int64)
    for level in topological_levels(loose):
        rows = ids.get_indexer(level)
        above = [np.where(place[rows] < 0, 0, depth[place[rows]]) for place in needed]
        depth[rows] = np.max(above, axis=0) + alone[rows]
    for part in np.unique(depth):
        yield np.sort(ids[depth == part].to_numpy())


def _between_cycles(references: pd.DataFrame) -> Any:
    """The old ids of the rows that need each other in a circle, or lead from one to another."""
    rows = references.loc[cyclic_or_downstream(references)]
    while True:
        used = rows.index.isin(pd.concat([rows[name] for name in rows.columns]).dropna())
        if used.all():
            return rows.index.to_numpy()
        rows = rows[used]


def cyclic_or_downstream(references: pd.DataFrame) -> Any:
    """The old ids of the rows that are in no level."""
    reached = np.concatenate([np.array([], dtype=np.int64), *topological_levels(references)])
    return references.index[~references.index.isin(reached)].to_numpy()


def _parent_positions(references: pd.DataFrame, column: str) -> Any:
    """The place of each row's parent among the rows, -1 where it is NULL or not there."""
    parents = references[column]
    places = references.index.get_indexer(pd.Index(parents.fillna(0).to_numpy(dtype=np.int64)))
    return np.where(parents.isna().to_numpy(dtype=bool), -1, places)


def cycle_rejects(rows: pd.DataFrame, references: pd.DataFrame, ids: Any) -> pd.DataFrame:
    """The reject frame of rows that need each other, or lead to such, as they were extracted: an entry for each column
    that leads to one of the `ids`, those of all such rows.
    """
    leads = references.loc[rows.index].isin(ids)
    made = [no_rejects()]
    for name in references.columns:
        left = rows[leads[name].to_numpy(dtype=bool)]
        made.append(reject_frame(left.index, name, display_values(frames.as_arrow(left[name])), _CYCLE_REASON))
    return pd.concat(made)
