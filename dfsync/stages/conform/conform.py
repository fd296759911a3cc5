"""Convert values to the types of the target's columns, and reject the rows of which a value does not fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from dfsync.model import frames
from dfsync.model.batch import Batch
from dfsync.model.rejects import NOT_NULL, display_values, no_rejects, reject_frame
from dfsync.model.schema import Column
from dfsync.model.types import arrow_type
from dfsync.stages.conform.conversion import ConversionResult
from dfsync.stages.conform.dispatch import CONVERSIONS


def conform(frame: pd.DataFrame, columns: Sequence[Column]) -> Batch:
    """Convert the values of a frame to the types of the target's columns.

    Parameters
    ----------
    frame
        Rows as extracted: index `old_id` (int64, unique); columns of Arrow's int64, float64, string and binary, or of
        `dfsync.model.types.MIXED_STORAGE`.
    columns
        Columns of the target, of the names that they have in `frame`, which may have others.

    Returns
    -------
    Batch
        `frame` has these columns, of the dtypes of `dfsync.model.types.arrow_type`, without the rows of which a value
        does not fit; these are the rejects. A note says once per column what is rounded.

    Notes
    -----
    A value that SQLite's loose typing stores in another form but with the same meaning is converted (`'12'` for an
    integer). A value that would lose anything is rejected, save digits beyond a column's precision: these are rounded
    as the server rounds them.

    References
    ----------
    https://www.sqlite.org/datatype3.html
    """
    converted_columns: dict[str, pd.Series[Any]] = {}
    notes: dict[str, str] = {}
    rejected = [no_rejects()]
    for column in columns:
        values = frames.as_arrow(frame[column.name])
        converted = _convert(values, column)
        if converted.note is not None:
            notes[column.name] = converted.note
        faults = converted.faults
        if not column.nullable and not column.auto_increment and values.null_count:
            faults = [(values.is_null(), NOT_NULL), *faults]
        rejected += [_rejects(frame.index, column, values, mask, reason) for mask, reason in faults]
        converted_columns[column.name] = frames.series(converted.values).set_axis(frame.index)
    rejects = pd.concat(rejected)
    rejects = rejects[~rejects.index.duplicated()]
    conformed = pd.DataFrame(converted_columns, index=frame.index, copy=False)
    return Batch(conformed.drop(index=rejects.index) if len(rejects) else conformed, rejects, notes)


def _convert(values: pa.Array, column: Column) -> ConversionResult:
    """Convert by the storage class of the values; a column of several classes is converted class by class."""
    if values.null_count == len(values):
        return ConversionResult(pa.nulls(len(values), arrow_type(column)))
    if not pa.types.is_struct(values.type):
        return CONVERSIONS[column.kind, _storage_class(values.type)](values, column)
    parts = [
        CONVERSIONS[column.kind, field.name](part, column)
        for field, part in zip(values.type, values.flatten(), strict=True)
        if part.null_count < len(part)
    ]
    note = next((part.note for part in parts if part.note), None)
    return ConversionResult(
        pc.coalesce(*(part.values for part in parts)), [fault for part in parts for fault in part.faults], note
    )


def _storage_class(type_: pa.DataType) -> str:
    if pa.types.is_integer(type_):
        return "integer"
    if pa.types.is_floating(type_):
        return "real"
    return "text" if pa.types.is_string(type_) else "blob"


def _rejects(index: pd.Index[Any], column: Column, values: pa.Array, mask: pa.Array, reason: str) -> pd.DataFrame:
    positions = np.flatnonzero(pc.fill_null(mask, False).to_numpy(zero_copy_only=False))
    return reject_frame(index[positions], column.name, display_values(values.take(pa.array(positions))), reason)
