"""Columns whose rows hold values of several storage classes."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from dfsync.model.schema import Column
from dfsync.model.types import MIXED_STORAGE

# As ADBC and SQLite write a number where the column has become text.
_NUMBER_TEXT = r"^-?([0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?|[iI]nf|[nN]a[nN])$"


def may_be_coerced(column: Column, values: Any) -> bool:
    """Whether ADBC may have bent a value: not for integers, nor where SQLite keeps no other numbers or texts, nor for
    texts that no number is written as.
    """
    if pa.types.is_floating(values.type):
        return column.kind != "real" and bool(pc.any(pc.equal(pc.floor(values), values)).as_py())
    if pa.types.is_string(values.type):
        numbers = (
            column.kind != "text" and pc.any(pc.match_substring_regex(values.cast(pa.binary()), _NUMBER_TEXT)).as_py()
        )
        return bool(numbers) or not is_valid(values)
    return not pa.types.is_integer(values.type)


def is_valid(values: Any) -> bool:
    try:
        values.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def storage_classes(name: str) -> Any:
    """The storage classes of a column, each once, with commas between."""
    return sa.func.group_concat(sa.distinct(sa.func.typeof(sa.column(name)))).label(f"classes of {name}")


def values_of_class(name: str, storage_class: str) -> Any:
    column: Any = sa.column(name)
    return sa.case((sa.func.typeof(column) == storage_class, column)).label(f"{storage_class} of {name}")


def mixed_column(read: dict[str, Any]) -> Any:
    """Columns by storage class as one of `MIXED`. Text that is not UTF-8 goes to the blobs, as what it is."""
    # Text as bytes at first, since ADBC takes what SQLite says is text for granted.
    types = {f.name: pa.binary() if f.name == "text" else f.type for f in MIXED_STORAGE}
    rows = len(next(iter(read.values())))
    nulls = {name: pa.nulls(rows, type_) for name, type_ in types.items()}
    parts = nulls | {name: _typed(column, types[name]) for name, column in read.items()}
    text = parts["text"]
    try:
        parts["text"] = text.cast(pa.string())
    except pa.ArrowInvalid:
        # Row by row: the rare path of a batch with broken text.
        decoded = pd.Series(text.to_pylist(), dtype=object)
        good = decoded.map(_is_utf8, na_action="ignore").fillna(False).to_numpy(dtype=bool)
        parts["blob"] = pc.if_else(pa.array(good), parts["blob"], pc.coalesce(text, parts["blob"]))
        parts["text"] = pc.if_else(pa.array(good), text, pa.scalar(None, pa.binary())).cast(pa.string())
    arrays = [parts[f.name] for f in MIXED_STORAGE]
    absent = pc.and_(pc.and_(*map(pc.is_null, arrays[:2])), pc.and_(*map(pc.is_null, arrays[2:])))
    return pa.StructArray.from_arrays(arrays, fields=list(MIXED_STORAGE), mask=absent)


def _typed(column: Any, type_: Any) -> Any:
    # ADBC calls a column of nothing but NULL an integer.
    return pa.nulls(len(column), type_) if column.null_count == len(column) else column.combine_chunks().cast(type_)


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
