"""Rows of the two ends side by side: which cells differ, in the target's own notion of equality."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from dfsync import frames
from dfsync.conform import conform
from dfsync.equality import comparable
from dfsync.remap import new_ids
from dfsync.schema import Column
from dfsync.shape import Shape

CHANGED, DELETED, MISSING, UNFIT, ORPHAN = "changed", "deleted", "missing", "does not fit", "missing parent"
"""The kinds of difference: another value; no target row any more; never synced; a value that the target's column cannot
hold; a foreign key whose parent has no target row."""
KEPT = "kept"
"""As `CHANGED`, in a row that the target had before the last sync, which left it as it was."""
SHARED = "shared"
"""As `CHANGED`, in a row whose target row is that of a source row of a lower id and the same natural key."""
_LONG = 1_000_000
SCHEMA = pa.schema(
    [
        ("old_id", pa.int64()),
        ("new_id", pa.int64()),
        ("action", pa.string()),
        ("kind", pa.string()),
        ("column", pa.string()),
        ("source_value", pa.string()),
        ("target_value", pa.string()),
    ]
)
"""A difference; foreign keys in it are ids of the target. The values are text, blobs as `x'00ff'`."""


def compare(
    connection: sa.Connection,
    shape: Shape,
    source: pd.DataFrame,
    target: pd.DataFrame,
    maps: Mapping[str, pd.DataFrame],
) -> pd.DataFrame:
    """The cells that differ, by `old_id`: `kind`, `column`, `source_value`, `target_value`.

    `source` holds the rows as extracted, `target` their target rows; both have the columns of the shape and the same
    index `old_id`.
    """
    parents = {column.lower(): parent for column, parent in shape.plan.parents.items()}
    found = [no_cells()]
    for column, as_read in zip(shape.columns, shape.as_read(shape.columns), strict=True):
        conformed = conform(source[[column.name]], [as_read])
        values = conformed.frame[column.name]
        if len(conformed.rejects):
            refused = conformed.rejects["value"]
            found.append(cells(UNFIT, column.name, refused, target.loc[refused.index, column.name]))
        parent = parents.get(column.name.lower())
        if parent is not None:
            old, values = values, new_ids(values, maps[parent])
            lost = (old.notna() & values.isna()).to_numpy(dtype=bool)
            found.append(cells(ORPHAN, column.name, old[lost], target.loc[old.index[lost], column.name]))
            values = values[~lost]
        found.append(changed(connection, column, values, target.loc[values.index, column.name]))
    return pd.concat(found).sort_index(kind="stable")


def changed(connection: sa.Connection, column: Column, source: pd.Series[Any], target: pd.Series[Any]) -> pd.DataFrame:
    """The differing values of one column; the source's are conformed and remapped."""
    other = unequal(connection, column, source, target)
    return cells(CHANGED, column.name, source[other], target[other])


def unequal(connection: sa.Connection, column: Column, source: pd.Series[Any], target: pd.Series[Any]) -> Any:
    """Where the values differ (bool); NULL is equal to NULL here."""
    left, right = frames.arrow(source), frames.arrow(target)
    if left.type != right.type:
        left = left.cast(right.type)
    other = frames.unlike(left, right)
    if column.collation is None or not other.any():
        return other
    # What is the same to the byte is the same in every collation. Of very long texts a server gives no weights.
    short = pc.and_(*(pc.less(pc.fill_null(pc.binary_length(side), 0), _LONG) for side in (left, right)))
    doubtful = other & short.to_numpy(zero_copy_only=False)
    one, two = comparable(connection, column, source[doubtful], target[doubtful])
    same = pc.fill_null(pc.equal(frames.arrow(one), frames.arrow(two)), False)
    other[doubtful] = ~same.to_numpy(zero_copy_only=False)
    return other


def cells(kind: str, column: str | None, source: pd.Series[Any], target: pd.Series[Any]) -> pd.DataFrame:
    """Differences of one kind, a row per value of `source` and `target`, which have the same index."""
    count = len(source)
    columns = {
        "kind": pa.array([kind] * count, pa.string()),
        "column": pa.array([column] * count, pa.string()),
        "source_value": _text(frames.arrow(source)),
        "target_value": _text(frames.arrow(target)),
    }
    return frames.to_frame(pa.table(columns), source.index)


def rows(kind: str, ids: Any) -> pd.DataFrame:
    """Differences that are a whole row each."""
    none = frames.series(pa.nulls(len(ids), pa.string())).set_axis(pd.Index(ids, dtype="int64"))
    return cells(kind, None, none, none)


def no_cells() -> pd.DataFrame:
    return rows(CHANGED, np.array([], dtype=np.int64))


def as_table(differences: pd.DataFrame) -> Any:
    """Differences with `new_id` and `action`, as an Arrow table of `SCHEMA`."""
    whole = differences.rename_axis(frames.OLD_ID).reset_index()[SCHEMA.names]
    return pa.Table.from_pandas(whole, schema=SCHEMA, preserve_index=False).replace_schema_metadata(None)


def none() -> pd.DataFrame:
    """No differences, in the columns of `SCHEMA`."""
    return frames.to_frame(SCHEMA.empty_table())


def _text(values: Any) -> Any:
    if pa.types.is_binary(values.type):
        return pc.binary_join_element_wise("x'", frames.hexed(values), "'", "")
    return values.cast(pa.string())
