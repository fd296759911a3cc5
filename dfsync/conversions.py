"""How values of each SQLite storage class become values of each kind of column: a table of functions.

Each takes an Arrow array and the target's column and gives `Converted`. Dates and times are in `temporal`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dfsync.schema import Column
from dfsync.types import arrow_type, base_type, decimal_type, integer_range

_WHOLE = r"^[+-]?[0-9]{1,18}(\.0*)?$"
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"
_FLOAT_MAX = 3.4028234663852886e38
_EXACT_REAL = 2**53
_CP1252 = bytes(set(range(0x80, 0xA0)) - {0x81, 0x8D, 0x8F, 0x90, 0x9D}).decode("cp1252") + "\x81\x8d\x8f\x90\x9d"
_OUTSIDE_CHARSET = {
    "ascii": r"[^\x00-\x7f]",
    "utf8": r"[^\x{0}-\x{ffff}]",
    "utf8mb3": r"[^\x{0}-\x{ffff}]",
    # MySQL's latin1 is Windows' cp1252, whose five holes it fills with control characters.
    "latin1": f"[^\\x{{0}}-\\x{{7f}}\\x{{a0}}-\\x{{ff}}{_CP1252}]",
}


@dataclass(frozen=True)
class Converted:
    """Values of `types.arrow_type` of the column; the masks of those that do not fit, each with the reason why not."""

    values: Any
    faults: list[tuple[Any, str]] = field(default_factory=list)
    note: str | None = None


Conversion = Callable[[Any, Column], Converted]


def checked(values: Any, *faults: tuple[Any, str], note: str | None = None) -> Converted:
    """Without the faults that no value has."""
    found = [(mask, reason) for mask, reason in faults if pc.any(mask).as_py()]
    return Converted(values, found, note)


def refused(reason: str) -> Conversion:
    """No value of that storage class can go into such a column."""

    def refuse(values: Any, column: Column) -> Converted:
        return checked(pa.nulls(len(values), arrow_type(column)), (values.is_valid(), reason))

    return refuse


def only(values: Any, mask: Any) -> Any:
    """The values where the mask holds, else NULL."""
    return pc.if_else(mask, values, pa.scalar(None, values.type))


def _integer(values: Any, column: Column) -> Converted:
    low, high = _BOUNDS[column.kind](column)
    reason = f"is out of the range of {column.type} ({low} to {high})"
    outside = pc.or_(pc.less(values, max(low, -(2**63))), pc.greater(values, min(high, 2**63 - 1)))
    if column.kind == "year":
        outside = pc.and_(outside, pc.not_equal(values, 0))
    return checked(pc.cast(only(values, pc.invert(outside)), arrow_type(column)), (outside, reason))


def _integer_from_real(values: Any, column: Column) -> Converted:
    whole = pc.and_(pc.equal(pc.floor(values), values), pc.less(pc.abs(values), 2.0**63))
    made = _integer(pc.cast(only(values, whole), pa.int64()), column)
    return replace(made, faults=made.faults + checked(None, (pc.invert(whole), "is not a whole number")).faults)


def _integer_from_text(values: Any, column: Column) -> Converted:
    trimmed = pc.utf8_trim_whitespace(values)
    whole = pc.match_substring_regex(trimmed, _WHOLE)
    digits = pc.replace_substring_regex(only(trimmed, whole), r"^\+|\..*$", "")
    made = _integer(pc.cast(digits, pa.int64()), column)
    return replace(made, faults=made.faults + checked(None, (pc.invert(whole), "is not an integer")).faults)


def _decimal_from_text(values: Any, column: Column) -> Converted:
    trimmed = pc.utf8_trim_whitespace(values)
    number = pc.match_substring_regex(trimmed, _NUMBER)
    wide = pa.decimal256(76, 38)
    parsed = _decimals(only(trimmed, number), wide)
    rounded = pc.round(parsed, column.scale or 0, "half_towards_infinity")
    digits = (column.precision or 10) - (column.scale or 0)
    bound = pa.scalar(10**digits, pa.decimal256(76, 0)).cast(wide) if digits < 38 else None
    too_big = pc.greater_equal(pc.abs(rounded), bound) if bound is not None else pc.is_null(parsed)
    too_big = pc.or_(pc.and_(number, pc.is_null(parsed)), pc.fill_null(too_big, False))
    too_small = column.unsigned and pc.less(rounded, pa.scalar(0, wide))
    faults = [(pc.invert(number), "is not a number"), (too_big, f"is out of the range of {column.type}")]
    if column.unsigned:
        faults.append((too_small, f"is negative and the column is {column.type}"))
    lost = pc.any(pc.not_equal(parsed, rounded)).as_py()
    note = f"{column.type} keeps {column.scale or 0} decimals; longer fractions are rounded" if lost else None
    fits = pc.invert(too_big)
    return checked(pc.cast(only(rounded, fits), decimal_type(column), safe=False), *faults, note=note)


def _decimals(texts: Any, type_: Any) -> Any:
    try:
        return pc.cast(texts, type_)
    except pa.ArrowInvalid:
        # Some number has more digits than the type: one by one, and NULL for it.
        return pa.array([_decimal(text, type_) for text in texts.to_pylist()], type_)


def _decimal(text: str | None, type_: Any) -> Any:
    try:
        return None if text is None else pa.scalar(text).cast(type_).as_py()
    except pa.ArrowInvalid:
        return None


def _decimal_from_number(values: Any, column: Column) -> Converted:
    return _decimal_from_text(pc.cast(values, pa.string()), column)


def _real(values: Any, column: Column) -> Converted:
    values = pc.cast(values, pa.float64(), safe=False)
    faults = [(pc.is_inf(values), "is infinite"), (pc.is_nan(values), "is not a number")]
    note = None
    if column.kind == "float":
        faults.append((pc.greater(pc.abs(values), _FLOAT_MAX), f"is out of the range of {column.type}"))
        narrow = pc.cast(pc.cast(values, pa.float32(), safe=False), pa.float64())
        lost = pc.any(pc.not_equal(values, narrow)).as_py()
        note = f"{column.type} keeps about 7 digits; make it DOUBLE to keep them all" if lost else None
        values = narrow
    if column.unsigned:
        faults.append((pc.less(values, 0.0), f"is negative and the column is {column.type}"))
    return checked(values, *faults, note=note)


def _real_from_integer(values: Any, column: Column) -> Converted:
    made = _real(values, column)
    lost = pc.any(pc.greater(pc.abs_checked(pc.max_element_wise(values, -(2**63) + 1)), _EXACT_REAL)).as_py()
    return replace(made, note=f"{column.type} keeps about 16 digits of large integers") if lost else made


def _real_from_text(values: Any, column: Column) -> Converted:
    trimmed = pc.utf8_trim_whitespace(values)
    number = pc.match_substring_regex(trimmed, _NUMBER)
    digits = pc.replace_substring_regex(only(trimmed, number), r"^\+", "")
    made = _real(pc.cast(digits, pa.float64()), column)
    return replace(made, faults=made.faults + checked(None, (pc.invert(number), "is not a number")).faults)


def _text(values: Any, column: Column) -> Converted:
    faults = []
    if column.length is not None:
        reason = f"is longer than the {column.length} characters of {column.type}"
        faults.append((pc.greater(pc.utf8_length(values), column.length), reason))
    if column.octets is not None and (column.charset or "").startswith("utf8"):
        reason = f"is longer than the {column.octets} bytes of {column.type}"
        faults.append((pc.greater(pc.binary_length(values), column.octets), reason))
    if column.charset in _OUTSIDE_CHARSET:
        outside = pc.match_substring_regex(values, _OUTSIDE_CHARSET[column.charset])
        faults.append((outside, f"holds a character that the column's character set {column.charset} lacks"))
    note = None
    if base_type(column) == "char" and pc.any(pc.ends_with(values, " ")).as_py():
        note = f"{column.type} does not keep trailing spaces"
    return checked(values, *faults, note=note)


def _text_from_number(values: Any, column: Column) -> Converted:
    return _text(pc.cast(values, pa.string()), column)


def _text_from_real(values: Any, column: Column) -> Converted:
    texts = pc.cast(values, pa.string())
    # As SQLite writes it: a real always shows that it is one.
    bare = pc.match_substring_regex(texts, r"^-?[0-9]+$")
    return _text(pc.if_else(bare, pc.binary_join_element_wise(texts, ".0", ""), texts), column)


def _binary(values: Any, column: Column) -> Converted:
    values = pc.cast(values, pa.binary())
    faults = [(pc.greater(pc.binary_length(values), column.length), f"is longer than {column.type}")]
    if base_type(column) == "binary":
        faults.append((pc.less(pc.binary_length(values), column.length), f"would be padded to {column.type}"))
    return checked(values, *faults)


def _enum(values: Any, column: Column) -> Converted:
    members = pa.array(column.values, pa.string())
    place = pc.index_in(values, value_set=members)
    anycase = pc.index_in(pc.utf8_lower(values), value_set=pc.utf8_lower(members))
    place = pc.coalesce(place, anycase)
    unknown = pc.and_(values.is_valid(), pc.is_null(place))
    return checked(pc.take(members, place), (unknown, f"is not one of {column.type}"))


def _set(values: Any, column: Column) -> Converted:
    members = {member.lower() for member in column.values}
    # Row by row over the distinct values, which are few.
    distinct = pc.unique(values)
    good = [value is None or not value or set(value.lower().split(",")) <= members for value in distinct.to_pylist()]
    fits = pc.take(pa.array(good), pc.index_in(values, value_set=distinct))
    return checked(values, (pc.and_(values.is_valid(), pc.invert(fits)), f"is not of {column.type}"))


def _json(values: Any, column: Column) -> Converted:
    # Row by row: Arrow has no check of JSON.
    good = pa.array([value is None or _is_json(value) for value in values.to_pylist()])
    return checked(values, (pc.invert(good), "is not valid JSON"))


def _is_json(value: str) -> bool:
    try:
        json.loads(value, parse_constant=_no_constant)
    except ValueError:
        return False
    return True


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _through_text(conversion: Conversion) -> Conversion:
    return lambda values, column: conversion(pc.cast(values, pa.string()), column)


_BOUNDS: dict[str, Callable[[Column], tuple[int, int]]] = {
    "integer": integer_range,
    "year": lambda column: (1901, 2155),
    "bit": lambda column: (0, 2 ** (column.precision or 1) - 1),
}

_A_BLOB = refused("is a blob, not text")
_A_BLOB_NUMBER = refused("is a blob, not a number")

VALUES: dict[tuple[str, str], Conversion] = {
    **{(kind, "integer"): _integer for kind in _BOUNDS},
    **{(kind, "real"): _integer_from_real for kind in _BOUNDS},
    **{(kind, "text"): _integer_from_text for kind in _BOUNDS},
    **{(kind, "blob"): _A_BLOB_NUMBER for kind in (*_BOUNDS, "decimal", "float", "double")},
    ("decimal", "integer"): _decimal_from_number,
    ("decimal", "real"): _decimal_from_number,
    ("decimal", "text"): _decimal_from_text,
    **{(kind, "integer"): _real_from_integer for kind in ("float", "double")},
    **{(kind, "real"): _real for kind in ("float", "double")},
    **{(kind, "text"): _real_from_text for kind in ("float", "double")},
    **{(kind, "integer"): _text_from_number for kind in ("text", "other")},
    **{(kind, "real"): _text_from_real for kind in ("text", "other")},
    **{(kind, "text"): _text for kind in ("text", "other")},
    **{(kind, "blob"): _A_BLOB for kind in ("text", "other", "enum", "set", "json")},
    ("enum", "text"): _enum,
    ("set", "text"): _set,
    ("json", "text"): _json,
    **{("enum", number): _through_text(_enum) for number in ("integer", "real")},
    **{("set", number): _through_text(_set) for number in ("integer", "real")},
    **{("json", number): _through_text(_json) for number in ("integer", "real")},
    ("binary", "integer"): refused("is a number, not a blob"),
    ("binary", "real"): refused("is a number, not a blob"),
    ("binary", "text"): _binary,
    ("binary", "blob"): _binary,
}
