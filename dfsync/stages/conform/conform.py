"""Convert values to the types of the target's columns, and reject the rows of which a value does not fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from dfsync.model import frames
from dfsync.model.batch import Batch, ValueNote
from dfsync.model.rejects import NOT_NULL, display_values, no_rejects, reject_frame
from dfsync.model.schema import Column
from dfsync.model.types import arrow_type
from dfsync.stages.conform.conversion import Change, ConversionResult
from dfsync.stages.conform.dispatch import CONVERSIONS
from dfsync.stages.conform.written import read_as_written


def conform(frame: pd.DataFrame, columns: Sequence[Column]) -> Batch:
    """Convert the values of a frame to the types of the target's columns.

    Parameters
    ----------
    frame
        Rows as extracted: index `old_id` (int64, unique); columns of Arrow's int64, float64, string and binary, or of
        `dfsync.model.types.MIXED_STORAGE`.
    columns
        Columns of the target, of the names that they have in `frame`, which may have others. Where a column is
        `written_as` a plan says, its values are read so first.

    Returns
    -------
    Batch
        `frame` has these columns, of the dtypes of `dfsync.model.types.arrow_type`, without the rows of which a value
        does not fit; these are the rejects. `notes` name the values that are rounded or otherwise changed.

    Notes
    -----
    A value that SQLite's loose typing stores in another form but with the same meaning is converted (`'12'` for an
    integer). A value that would lose anything is rejected, save what the server itself changes in such a column, as
    digits beyond its precision: it is changed as the server would, and named in `notes`.

    References
    ----------
    https://www.sqlite.org/datatype3.html
    """
    converted_columns: dict[str, pd.Series[Any]] = {}
    changes: list[tuple[str, Change]] = []
    rejected = [no_rejects()]
    for column in columns:
        values = frames.as_arrow(frame[column.name])
        converted = _convert(values, column)
        changes += [(column.name, change) for change in converted.changes]
        faults = converted.faults
        if not column.nullable and not column.auto_increment and values.null_count:
            faults = [(values.is_null(), NOT_NULL), *faults]
        rejected += [_rejects(frame.index, column, values, mask, reason) for mask, reason in faults]
        converted_columns[column.name] = frames.series(converted.values).set_axis(frame.index)
    rejects = pd.concat(rejected)
    rejects = rejects[~rejects.index.duplicated()]
    conformed = pd.DataFrame(converted_columns, index=frame.index, copy=False)
    notes = tuple(_note(frame.index, name, change, rejects.index) for name, change in changes)
    rows = conformed.drop(index=rejects.index) if len(rejects) else conformed
    return Batch(rows, rejects, tuple(note for note in notes if len(note.ids)))


def _note(index: pd.Index[Any], name: str, change: Change, rejected: pd.Index[Any]) -> ValueNote:
    mask, text = change
    ids = index[pc.fill_null(mask, False).to_numpy(zero_copy_only=False)]
    return ValueNote(name, text, (ids.difference(rejected) if len(rejected) else ids).to_numpy(dtype=np.int64))


def _convert(values: pa.Array, column: Column) -> ConversionResult:
    """Convert by the storage class of the values; a column of several classes is converted class by class."""
    if values.null_count == len(values):
        return ConversionResult(pa.nulls(len(values), arrow_type(column)))
    if not pa.types.is_struct(values.type):
        return _convert_class(values, column, _storage_class(values.type))
    parts = [
        _convert_class(part, column, field.name)
        for field, part in zip(values.type, values.flatten(), strict=True)
        if part.null_count < len(part)
    ]
    return ConversionResult(
        pc.coalesce(*(part.values for part in parts)),
        [fault for part in parts for fault in part.faults],
        [change for part in parts for change in part.changes],
    )


def _convert_class(values: pa.Array, column: Column, storage_class: str) -> ConversionResult:
    """Convert values of one storage class, after they are read as the plan says that the source writes them."""
    if column.written_as is None:
        return CONVERSIONS[column.kind, storage_class](values, column)
    read = read_as_written(values, column, storage_class)
    if read.values.null_count == len(values):
        return replace(read, values=pa.nulls(len(values), arrow_type(column)))
    stored = CONVERSIONS[column.kind, _storage_class(read.values.type)](read.values, column)
    return ConversionResult(stored.values, read.faults + stored.faults, read.changes + stored.changes)


def _storage_class(type_: pa.DataType) -> str:
    if pa.types.is_integer(type_):
        return "integer"
    if pa.types.is_floating(type_):
        return "real"
    return "text" if pa.types.is_string(type_) or pa.types.is_timestamp(type_) else "blob"


def _rejects(index: pd.Index[Any], column: Column, values: pa.Array, mask: pa.Array, reason: str) -> pd.DataFrame:
    positions = np.flatnonzero(pc.fill_null(mask, False).to_numpy(zero_copy_only=False))
    return reject_frame(index[positions], column.name, display_values(values.take(pa.array(positions))), reason)
