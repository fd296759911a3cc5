"""Convert between pandas frames of Arrow dtypes and Arrow itself, both ways without a copy.

Every frame of source rows is indexed by `old_id` (int64, unique), and one of target rows by `new_id` (int64 or uint64),
so that their columns are the table's alone, whatever their names are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike

from dfsync.model.schema import Column
from dfsync.model.types import Mask, arrow_type

OLD_ID, NEW_ID, ACTION = "old_id", "new_id", "action"
INSERTED, MATCHED, UPDATED = "inserted", "matched", "updated"
STRING = pd.ArrowDtype(pa.string())
INT64 = pd.ArrowDtype(pa.int64())


def from_arrow(table: pa.Table, index: ArrayLike | None = None) -> pd.DataFrame:
    """Return an Arrow table as a frame of Arrow dtypes.

    Parameters
    ----------
    table
        Any columns.
    index
        The `old_id` of each row (int64); None numbers the rows from 0.

    Returns
    -------
    pandas.DataFrame
        The columns of the table, which are not copied; with an `index` this is the index, named `old_id`.
    """
    # A table without columns has no rows to Arrow; the index tells their number.
    length = table.num_rows if index is None else len(np.asarray(index))
    frame = pd.DataFrame({i: series(column) for i, column in enumerate(table.columns)}, index=range(length), copy=False)
    frame.columns = pd.Index(table.column_names, dtype=object)
    if index is not None:
        frame.index = pd.Index(np.asarray(index), dtype="int64", name=OLD_ID)
    return frame


def target_frame(ids: pa.Array, table: pa.Table, names: Sequence[str]) -> pd.DataFrame:
    """Return rows of the target as a frame.

    Parameters
    ----------
    ids
        The `new_id` of each row: Arrow integers without NULL.
    table
        The columns of the rows.
    names
        The names that the columns are to have, in their order.

    Returns
    -------
    pandas.DataFrame
        Index `new_id`, uint64 where `ids` are unsigned, else int64; columns of Arrow dtypes.
    """
    frame = from_arrow(table, np.zeros(len(ids), np.int64)).set_axis(pd.Index(names, dtype=object), axis=1)
    # Ids are never NULL, and an unsigned one may be more than int64 holds.
    wide = pa.uint64() if pa.types.is_uint64(ids.type) else pa.int64()
    return frame.set_axis(pd.Index(ids.cast(wide).to_numpy(), name=NEW_ID))


def empty_frame(columns: Sequence[Column]) -> pd.DataFrame:
    """Return a conformed frame without rows.

    Parameters
    ----------
    columns
        Columns of the target.

    Returns
    -------
    pandas.DataFrame
        Index `old_id`; these columns, of the Arrow dtypes of `dfsync.model.types.arrow_type`.
    """
    return from_arrow(pa.table({column.name: pa.array([], arrow_type(column)) for column in columns}), [])


def empty_mapping() -> pd.DataFrame:
    """Return the mapping of a table without rows.

    Returns
    -------
    pandas.DataFrame
        `old_id` and `new_id` (Arrow int64), as `dfsync.stages.remap` takes them.
    """
    return pd.DataFrame({OLD_ID: series(pa.array([], pa.int64())), NEW_ID: series(pa.array([], pa.int64()))})


def series(array: pa.Array) -> pd.Series[Any]:
    """Return an Arrow array as a series of its Arrow dtype.

    Parameters
    ----------
    array
        In one chunk or several.

    Returns
    -------
    pandas.Series
        Index from 0; the values are not copied.
    """
    return pd.Series(pd.arrays.ArrowExtensionArray(array), copy=False)


def with_columns(frame: pd.DataFrame, columns: Mapping[str, pd.Series[Any]]) -> pd.DataFrame:
    """Replace columns of a frame.

    Parameters
    ----------
    frame
        Any columns.
    columns
        By name, of the frame's index.

    Returns
    -------
    pandas.DataFrame
        The frame with these columns; `frame` stays as it is.

    Notes
    -----
    `DataFrame.assign` takes names as keyword arguments, and fails for a column called `self`.
    """
    changed = frame.copy(deep=False)
    for name, column in columns.items():
        changed[name] = column
    return changed


def nulls_like(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return as many NULLs as a series has values.

    Parameters
    ----------
    column
        Of an Arrow dtype.

    Returns
    -------
    pandas.Series
        Of the same dtype and index.
    """
    return series(pa.nulls(len(column), as_arrow(column).type)).set_axis(column.index)


def as_arrow(column: pd.Series[Any]) -> pa.Array:
    """Return the Arrow array behind a series.

    Parameters
    ----------
    column
        Of an Arrow dtype.

    Returns
    -------
    pyarrow.Array
        In one chunk, for which the values are copied where there are several.
    """
    array = pa.array(column)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def to_arrow(frame: pd.DataFrame) -> pa.Table:
    """Return the columns of a frame as an Arrow table.

    Parameters
    ----------
    frame
        Columns of Arrow dtypes.

    Returns
    -------
    pyarrow.Table
        Without the index.
    """
    return pa.Table.from_arrays([as_arrow(frame[name]) for name in frame.columns], names=list(frame.columns))


def non_null_rows(frame: pd.DataFrame) -> Mask:
    """Find the rows without a NULL.

    Parameters
    ----------
    frame
        Any columns.

    Returns
    -------
    numpy.ndarray of bool
        One element per row; all True where the frame has no columns.
    """
    return frame.notna().all(axis=1).to_numpy(dtype=bool)


def differs(left: pa.Array, right: pa.Array) -> Mask:
    """Find where two arrays differ.

    Parameters
    ----------
    left, right
        Of one type and length.

    Returns
    -------
    numpy.ndarray of bool
        One element per value. NULL equals NULL alone.
    """
    unequal = pc.fill_null(pc.not_equal(left, right), True)
    mask: Mask = pc.and_not(unequal, pc.and_(left.is_null(), right.is_null())).to_numpy(zero_copy_only=False)
    return mask


def to_hex(values: pa.Array) -> pa.Array:
    """Return binary values as text of hexadecimal digits.

    Parameters
    ----------
    values
        Binary values.

    Returns
    -------
    pyarrow.Array
        Strings of lower-case digits; NULL stays NULL.

    Notes
    -----
    The work is done value by value in Python, since Arrow has no function for it.
    """
    return pa.array([None if value is None else value.hex() for value in values.to_pylist()], pa.string())
