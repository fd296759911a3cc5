"""Columns whose rows hold values of several storage classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from dfsync.model.schema import Column
from dfsync.model.types import MIXED_STORAGE

# As ADBC and SQLite write a number where the column has become text.
_NUMBER_TEXT = r"^-?([0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?|[iI]nf|[nN]a[nN])$"


def may_be_coerced(column: Column, values: pa.Array | pa.ChunkedArray) -> bool:
    """Whether ADBC may have converted a value to the storage class of the others.

    Parameters
    ----------
    column
        The source's column.
    values
        Its values as ADBC read them.

    Returns
    -------
    bool
        False for integers, for columns whose affinity keeps no other numbers or texts, and for texts none of which is
        written as a number.
    """
    if pa.types.is_floating(values.type):
        return column.kind != "real" and bool(pc.any(pc.equal(pc.floor(values), values)).as_py())
    if pa.types.is_string(values.type):
        numbers = (
            column.kind != "text" and pc.any(pc.match_substring_regex(values.cast(pa.binary()), _NUMBER_TEXT)).as_py()
        )
        return bool(numbers) or not is_valid(values)
    return not pa.types.is_integer(values.type)


def is_valid(values: pa.Array | pa.ChunkedArray) -> bool:
    """Whether Arrow finds the values valid, such as text that is UTF-8.

    Parameters
    ----------
    values
        Values as ADBC read them, which it does not check.

    Returns
    -------
    bool
        True where every value is valid.
    """
    try:
        values.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def storage_classes(name: str) -> sa.ColumnElement[Any]:
    """The expression of the storage classes of a column.

    Parameters
    ----------
    name
        The column.

    Returns
    -------
    sqlalchemy.ColumnElement
        Text: each class once, with commas between. Labelled `classes of NAME`.
    """
    return sa.func.group_concat(sa.distinct(sa.func.typeof(sa.column(name)))).label(f"classes of {name}")


def values_of_class(name: str, storage_class: str) -> sa.ColumnElement[Any]:
    """The expression of a column's values of one storage class.

    Parameters
    ----------
    name
        The column.
    storage_class
        `integer`, `real`, `text` or `blob`.

    Returns
    -------
    sqlalchemy.ColumnElement
        NULL for values of other classes. Labelled `CLASS of NAME`.
    """
    column: sa.ColumnElement[Any] = sa.column(name)
    return sa.case((sa.func.typeof(column) == storage_class, column)).label(f"{storage_class} of {name}")


def mixed_column(read: Mapping[str, pa.ChunkedArray]) -> pa.StructArray:
    """Combine the values of one column, read by storage class.

    Parameters
    ----------
    read
        By storage class, the values of that class, NULL for others; at least one, all of one length.

    Returns
    -------
    pyarrow.StructArray
        Of type `MIXED_STORAGE`. Text that is not UTF-8 becomes a blob.
    """
    # Text is bytes at first, since ADBC does not check what SQLite calls text.
    types = {f.name: pa.binary() if f.name == "text" else f.type for f in MIXED_STORAGE}
    rows = len(next(iter(read.values())))
    nulls = {name: pa.nulls(rows, type_) for name, type_ in types.items()}
    parts = nulls | {name: _typed(column, types[name]) for name, column in read.items()}
    text = parts["text"]
    try:
        parts["text"] = text.cast(pa.string())
    except pa.ArrowInvalid:
        # Row by row: only for a batch with invalid text.
        decoded = pd.Series(text.to_pylist(), dtype=object)
        valid = decoded.map(_is_utf8, na_action="ignore").fillna(False).to_numpy(dtype=bool)
        parts["blob"] = pc.if_else(pa.array(valid), parts["blob"], pc.coalesce(text, parts["blob"]))
        parts["text"] = pc.if_else(pa.array(valid), text, pa.scalar(None, pa.binary())).cast(pa.string())
    arrays = [parts[f.name] for f in MIXED_STORAGE]
    absent = pc.and_(pc.and_(*map(pc.is_null, arrays[:2])), pc.and_(*map(pc.is_null, arrays[2:])))
    return pa.StructArray.from_arrays(arrays, fields=list(MIXED_STORAGE), mask=absent)


def _typed(column: pa.ChunkedArray, type_: pa.DataType) -> pa.Array:
    # ADBC gives a column of NULLs the type integer.
    return pa.nulls(len(column), type_) if column.null_count == len(column) else column.combine_chunks().cast(type_)


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
