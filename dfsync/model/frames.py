"""Between pandas frames of Arrow dtypes and Arrow itself, both ways without a copy.

Every frame of source rows is indexed by `old_id` (int64, unique), and one of target rows by `new_id` (int64 or uint64),
so that their columns are the table's alone, whatever these are called.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from dfsync.model.schema import Column
from dfsync.model.types import arrow_type

OLD_ID, NEW_ID, ACTION = "old_id", "new_id", "action"


def from_arrow(table: Any, index: Any = None) -> pd.DataFrame:
    """The Arrow table as a frame of Arrow dtypes; `index` (int64) becomes the index named `old_id`."""
    # A table without columns has no rows to Arrow; the index knows better.
    length = table.num_rows if index is None else len(index)
    frame = pd.DataFrame({i: series(column) for i, column in enumerate(table.columns)}, index=range(length), copy=False)
    frame.columns = pd.Index(table.column_names, dtype=object)
    if index is not None:
        frame.index = pd.Index(np.asarray(index), dtype="int64", name=OLD_ID)
    return frame


def target_frame(ids: Any, table: Any, names: Sequence[str]) -> pd.DataFrame:
    """The Arrow table under these names of columns, as a frame with the index `new_id`."""
    frame = from_arrow(table, np.zeros(len(ids), np.int64)).set_axis(pd.Index(names, dtype=object), axis=1)
    # Ids are never NULL, and an unsigned one may be more than int64 holds.
    wide = pa.uint64() if pa.types.is_uint64(ids.type) else pa.int64()
    return frame.set_axis(pd.Index(ids.cast(wide).to_numpy(), name=NEW_ID))


def series(array: Any) -> pd.Series[Any]:
    return pd.Series(pd.arrays.ArrowExtensionArray(array), copy=False)


def nulls_like(column: pd.Series[Any]) -> pd.Series[Any]:
    """As many NULLs, of the same dtype and index."""
    return series(pa.nulls(len(column), as_arrow(column).type)).set_axis(column.index)


def as_arrow(column: pd.Series[Any]) -> Any:
    """The Arrow array behind a series of an Arrow dtype, in one chunk."""
    array = pa.array(column)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def non_null_rows(frame: pd.DataFrame) -> Any:
    """bool: the rows without a NULL."""
    return frame.notna().all(axis=1).to_numpy(dtype=bool)


def differs(left: Any, right: Any) -> Any:
    """bool: where two Arrow arrays of one type differ; NULL is like NULL alone."""
    other = pc.fill_null(pc.not_equal(left, right), True)
    return pc.and_not(other, pc.and_(left.is_null(), right.is_null())).to_numpy(zero_copy_only=False)


def to_hex(values: Any) -> Any:
    """Binary values as text of hexadecimal digits; NULL stays NULL. Value by value: Arrow has no function for it."""
    return pa.array([None if value is None else value.hex() for value in values.to_pylist()], pa.string())


def to_arrow(frame: pd.DataFrame) -> Any:
    """The frame's columns as an Arrow table, without the index."""
    return pa.Table.from_arrays([as_arrow(frame[name]) for name in frame.columns], names=list(frame.columns))


def empty_mapping() -> pd.DataFrame:
    """The map of a table without rows, as `remap` takes it."""
    return pd.DataFrame({OLD_ID: series(pa.array([], pa.int64())), NEW_ID: series(pa.array([], pa.int64()))})


STRING = pd.ArrowDtype(pa.string())
INT64 = pd.ArrowDtype(pa.int64())
INSERTED, MATCHED, UPDATED = "inserted", "matched", "updated"


def empty_frame(columns: Sequence[Column]) -> pd.DataFrame:
    """No rows, with these columns and their dtypes, whatever the source holds."""
    return from_arrow(pa.table({column.name: pa.array([], arrow_type(column)) for column in columns}), [])
