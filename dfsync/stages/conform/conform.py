"""Values as the target's columns hold them, and the rows of which a value does not fit.

What SQLite's loose typing stores but means the same is converted (`'12'` for an integer); what would lose something is
a reject. Digits beyond a column's precision are rounded as the server rounds them, and said once per column.
"""

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
    """The frame (index `old_id`) with its values as the target's `columns`, of the same names, hold them."""
    made: dict[str, pd.Series[Any]] = {}
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
        made[column.name] = frames.series(converted.values).set_axis(frame.index)
    rejects = pd.concat(rejected)
    rejects = rejects[~rejects.index.duplicated()]
    whole = pd.DataFrame(made, index=frame.index, copy=False)
    return Batch(whole.drop(index=rejects.index) if len(rejects) else whole, rejects, notes)


def _convert(values: Any, column: Column) -> ConversionResult:
    """By the storage class of the values; a column of several classes is converted class by class."""
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


def _storage_class(type_: Any) -> str:
    if pa.types.is_integer(type_):
        return "integer"
    if pa.types.is_floating(type_):
        return "real"
    return "text" if pa.types.is_string(type_) else "blob"


def _rejects(index: pd.Index[Any], column: Column, values: Any, mask: Any, reason: str) -> pd.DataFrame:
    chosen = np.flatnonzero(pc.fill_null(mask, False).to_numpy(zero_copy_only=False))
    return reject_frame(index[chosen], column.name, display_values(values.take(pa.array(chosen))), reason)
