"""Describe where two frames of the same rows differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from dfsync.model import frames
from dfsync.model.types import OldIds
from dfsync.text.redaction import MASK, is_secret_column

CHANGED, DELETED, MISSING, UNFIT, ORPHAN = "changed", "deleted", "missing", "does not fit", "missing parent"
"""The kinds of difference: another value; the target row no longer exists; the row was never synced; the target's
column cannot hold the value; the parent of a foreign key has no target row."""
KEPT = "kept"
"""As `CHANGED`, in a row that the target had before the last sync, which did not change it."""
SHARED = "shared"
"""As `CHANGED`, in a row whose target row belongs to a source row of a lower id and the same natural key."""
OTHER_VALUES = "other values"
"""As `CHANGED`, in a row of a table without an id, of which no map says whether a sync wrote it."""
REJECTED = "rejected"
"""As `CHANGED`, in a row that the sync reported as a reject: its target row could not take its values."""
DOUBLED = "doubled"
"""The target row that the row had in the run before the last one is still there, beside that of the last run; the
former's id is the target's value."""
REKEYED = "rekeyed"
"""As `DOUBLED`, where the plan asks for it."""
DIFFERENCE_SCHEMA = pa.schema(
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
"""The columns of a difference. Foreign keys in the values are ids of the target; the values are text, blobs as
`x'00ff'`."""


def diff(source: pd.DataFrame, target: pd.DataFrame) -> pd.DataFrame:
    """Find the cells in which two frames of the same rows differ.

    Parameters
    ----------
    source, target
        Of the same index and columns, each column of the same Arrow dtype.

    Returns
    -------
    pandas.DataFrame
        The same index and columns, bool. NULL equals NULL alone.
    """
    pairs = ((frames.as_arrow(source[name]), frames.as_arrow(target[name])) for name in source.columns)
    unequal = {position: frames.differs(*pair) for position, pair in enumerate(pairs)}
    cells = pd.DataFrame(unequal, index=source.index, columns=range(len(source.columns)))
    return cells.set_axis(source.columns, axis=1)


def cell_differences(kind: str, column: str | None, source: pd.Series[Any], target: pd.Series[Any]) -> pd.DataFrame:
    """Describe values of one column as differences of one kind.

    Parameters
    ----------
    kind
        One of the kinds of difference.
    column
        The name of the column; None where the difference is a whole row.
    source, target
        The values of both sides, of Arrow dtypes, with the same index.

    Returns
    -------
    pandas.DataFrame
        One row per value: index `old_id`; `kind`, `column`, `source_value` and `target_value` as Arrow strings.
        Values of a column of secrets are masked.
    """
    count = len(source)
    as_text = _masked if is_secret_column(column) else _as_text
    columns = {
        "kind": pa.array([kind] * count, pa.string()),
        "column": pa.array([column] * count, pa.string()),
        "source_value": as_text(frames.as_arrow(source)),
        "target_value": as_text(frames.as_arrow(target)),
    }
    return frames.from_arrow(pa.table(columns), source.index)


def row_differences(kind: str, ids: OldIds) -> pd.DataFrame:
    """Describe whole rows as differences of one kind.

    Parameters
    ----------
    kind
        One of the kinds of difference.
    ids
        The `old_id` of each row.

    Returns
    -------
    pandas.DataFrame
        One row per id, as `cell_differences`, with NULL for the column and both values.
    """
    nulls = frames.series(pa.nulls(len(ids), pa.string())).set_axis(pd.Index(ids, dtype="int64"))
    return cell_differences(kind, None, nulls, nulls)


def no_cell_differences() -> pd.DataFrame:
    """Return the differences of equal frames.

    Returns
    -------
    pandas.DataFrame
        No rows, as `cell_differences`.
    """
    return row_differences(CHANGED, np.array([], dtype=np.int64))


def differences_table(differences: pd.DataFrame) -> pa.Table:
    """Return differences as an Arrow table.

    Parameters
    ----------
    differences
        As `cell_differences`, with `new_id` and `action` of each row.

    Returns
    -------
    pyarrow.Table
        The columns of `DIFFERENCE_SCHEMA`.
    """
    columns = differences.rename_axis(frames.OLD_ID).reset_index()[DIFFERENCE_SCHEMA.names]
    return pa.Table.from_pandas(columns, schema=DIFFERENCE_SCHEMA, preserve_index=False).replace_schema_metadata(None)


def empty_differences() -> pd.DataFrame:
    """Return the differences of a table in which nothing differs.

    Returns
    -------
    pandas.DataFrame
        No rows, in the columns of `DIFFERENCE_SCHEMA`.
    """
    return frames.from_arrow(DIFFERENCE_SCHEMA.empty_table())


def _masked(values: pa.Array) -> pa.Array:
    return pc.if_else(values.is_valid(), pa.scalar(MASK), pa.scalar(None, pa.string()))


def _as_text(values: pa.Array) -> pa.Array:
    if pa.types.is_binary(values.type):
        return pc.binary_join_element_wise("x'", frames.to_hex(values), "'", "")
    return values.cast(pa.string())
