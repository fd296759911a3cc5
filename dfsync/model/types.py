"""The kinds of columns, the Arrow type of each in a conformed frame, and the arrays of ids and hashes."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dfsync.model.schema import Column

OldIds = NDArray[np.int64]
"""Ids of source rows."""
NewIds = NDArray[np.integer[Any]]
"""Ids of target rows; unsigned where the target's column is."""
Mask = NDArray[np.bool_]
"""One bool per row."""
Positions = NDArray[np.intp]
"""Positions of rows in an array or frame, -1 where there is no such row."""
Hashes = NDArray[np.uint64]
"""One half of the 128-bit hash of each row."""

MIXED_STORAGE = pa.struct(
    [("integer", pa.int64()), ("real", pa.float64()), ("text", pa.string()), ("blob", pa.binary())]
)
"""A column of several storage classes: at most one field of a row is set, none where it is NULL."""
_BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "integer": 32, "bigint": 64}
_ARROW = {
    "year": pa.uint16(),
    "bit": pa.uint64(),
    "float": pa.float64(),
    "double": pa.float64(),
    "binary": pa.binary(),
    "date": pa.date32(),
    "datetime": pa.timestamp("us"),
    "timestamp": pa.timestamp("us"),
}
_DECIMAL128_DIGITS = 38


def unique_ids(ids: NewIds) -> NewIds:
    """Sort ids, each of them once; those that ascend already are given as they are.

    `numpy.unique` hashes integers, which takes a second for a million of them.

    Parameters
    ----------
    ids
        Ids of rows.

    Returns
    -------
    numpy.ndarray
        Of the same dtype.
    """
    if (ids[1:] > ids[:-1]).all():
        return ids
    ascending = np.sort(ids, kind="stable")
    distinct: NewIds = ascending[np.append(True, ascending[1:] != ascending[:-1])]
    return distinct


def data_type(column: Column) -> str:
    """Return the bare word of a column's type.

    Parameters
    ----------
    column
        A column of the target.

    Returns
    -------
    str
        In lower case, `int` of `INT(10) UNSIGNED`; empty where the type has no word.
    """
    match = re.match(r"\w+", column.type)
    return match.group().lower() if match else ""


def integer_range(column: Column) -> tuple[int, int]:
    """Return the smallest and the largest value that an integer column can hold.

    Parameters
    ----------
    column
        A column of the target, of kind `integer`.

    Returns
    -------
    tuple of int
        Both bounds are values that the column can hold.

    References
    ----------
    https://mariadb.com/docs/server/reference/data-types/numeric-data-types/int
    """
    bits = _BITS[data_type(column)]
    return (0, 2**bits - 1) if column.unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def arrow_type(column: Column) -> pa.DataType:
    """Return the Arrow type of a column's conformed values.

    Parameters
    ----------
    column
        A column of the target.

    Returns
    -------
    pyarrow.DataType
        A string for every kind that has no type of its own in Arrow, such as JSON, ENUM, SET and TIME.
    """
    if column.kind == "integer":
        return pa.uint64() if integer_range(column)[1] > 2**63 else pa.int64()
    if column.kind == "decimal":
        return decimal_type(column)
    return _ARROW.get(column.kind, pa.string())


def decimal_type(column: Column) -> pa.DataType:
    """Return an Arrow decimal that holds every value of a DECIMAL column.

    Parameters
    ----------
    column
        A column of the target, of kind `decimal`; without `precision` and `scale` it is a DECIMAL(10, 0).

    Returns
    -------
    pyarrow.DataType
        A decimal of 128 bits where 38 digits are enough, else of 256.

    References
    ----------
    https://mariadb.com/docs/server/reference/data-types/numeric-data-types/decimal
    """
    digits, scale = column.precision or 10, column.scale or 0
    return pa.decimal128(digits, scale) if digits <= _DECIMAL128_DIGITS else pa.decimal256(digits, scale)
