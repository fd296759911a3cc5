"""The kinds of columns, and the Arrow type in which each travels once `conform` has checked it."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dfsync.model.schema import Column

OldIds = NDArray[np.int64]
"""The ids of source rows."""
NewIds = NDArray[np.integer[Any]]
"""The ids of target rows; unsigned where the target's column needs it."""
Mask = NDArray[np.bool_]
"""One truth value per row."""
Positions = NDArray[np.intp]
"""Row numbers in an array or a frame, from 0."""
Hashes = NDArray[np.uint64]
"""One hash per row."""

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


def data_type(column: Column) -> str:
    """The type's bare word, `int` of `int(10) unsigned`."""
    match = re.match(r"\w+", column.type)
    return match.group().lower() if match else ""


def integer_range(column: Column) -> tuple[int, int]:
    """Smallest and largest value of an integer column.

    Source: https://mariadb.com/docs/server/reference/data-types/numeric-data-types/int
    """
    bits = _BITS[data_type(column)]
    return (0, 2**bits - 1) if column.unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def arrow_type(column: Column) -> Any:
    """The Arrow type of a conformed value of the target column. Kinds not named travel as text."""
    if column.kind == "integer":
        return pa.uint64() if integer_range(column)[1] > 2**63 else pa.int64()
    if column.kind == "decimal":
        return decimal_type(column)
    return _ARROW.get(column.kind, pa.string())


def decimal_type(column: Column) -> Any:
    """Wide enough for every value of a DECIMAL column, which has at most 65 digits."""
    digits, scale = column.precision or 10, column.scale or 0
    return pa.decimal128(digits, scale) if digits <= 38 else pa.decimal256(digits, scale)
