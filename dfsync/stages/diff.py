"""Where two frames of the same rows differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from dfsync.model import frames

CHANGED, DELETED, MISSING, UNFIT, ORPHAN = "changed", "deleted", "missing", "does not fit", "missing parent"
"""The kinds of difference: another value; no target row any more; never synced; a value that the target's column cannot
hold; a foreign key whose parent has no target row."""
KEPT = "kept"
"""As `CHANGED`, in a row that the target had before the last sync, which left it as it was."""
SHARED = "shared"
"""As `CHANGED`, in a row whose target row is that of a source row of a lower id and the same natural key."""
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
"""A difference; foreign keys in it are ids of the target. The values are text, blobs as `x'00ff'`."""


def cell_differences(kind: str, column: str | None, source: pd.Series[Any], target: pd.Series[Any]) -> pd.DataFrame:
    """Differences of one kind, a row per value of `source` and `target`, which have the same index."""
    count = len(source)
    columns = {
        "kind": pa.array([kind] * count, pa.string()),
        "column": pa.array([column] * count, pa.string()),
        "source_value": _as_text(frames.as_arrow(source)),
        "target_value": _as_text(frames.as_arrow(target)),
    }
    return frames.from_arrow(pa.table(columns), source.index)


def row_differences(kind: str, ids: Any) -> pd.DataFrame:
    """Differences that are a whole row each."""
    none = frames.series(pa.nulls(len(ids), pa.string())).set_axis(pd.Index(ids, dtype="int64"))
    return cell_differences(kind, None, none, none)


def no_cell_differences() -> pd.DataFrame:
    return row_differences(CHANGED, np.array([], dtype=np.int64))


def differences_table(differences: pd.DataFrame) -> Any:
    """Differences with `new_id` and `action`, as an Arrow table of `SCHEMA`."""
    whole = differences.rename_axis(frames.OLD_ID).reset_index()[DIFFERENCE_SCHEMA.names]
    return pa.Table.from_pandas(whole, schema=DIFFERENCE_SCHEMA, preserve_index=False).replace_schema_metadata(None)


def empty_differences() -> pd.DataFrame:
    """No differences, in the columns of `SCHEMA`."""
    return frames.from_arrow(DIFFERENCE_SCHEMA.empty_table())


def _as_text(values: Any) -> Any:
    if pa.types.is_binary(values.type):
        return pc.binary_join_element_wise("x'", frames.to_hex(values), "'", "")
    return values.cast(pa.string())


def differing_cells(source: pd.DataFrame, target: pd.DataFrame) -> pd.DataFrame:
    """Where two frames of the same index and columns differ, cell by cell (bool); NULL equals NULL alone."""
    sides = ((frames.as_arrow(source[name]), frames.as_arrow(target[name])) for name in source.columns)
    made = {place: frames.differs(*pair) for place, pair in enumerate(sides)}
    cells = pd.DataFrame(made, index=source.index, columns=range(len(source.columns)))
    return cells.set_axis(source.columns, axis=1)
