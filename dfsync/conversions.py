"""How values of each SQLite storage class become values of each kind of column: a table of functions.

Each takes an Arrow array and the target's column and gives `Converted`. Dates and times are in `temporal`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dfsync.schema import Column
from dfsync.types import arrow_type, base_type, decimal_type, integer_range

_WHOLE = r"^[+-]?[0-9]+(\.0*)?$"
_SAFE_DIGITS = 18
_LONG_DIGITS = 38
_PARTS = r"^(?P<sign>[+-]?)0*(?P<whole>[0-9]*)\.?(?P<fraction>[0-9]*)$"
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"
_HIGHEST_REAL = {"float": 3.4028234663852886e38, "double": 1.7976931348623157e308}
_EXACT_REAL = 2**53
_REAL_DIGITS = 15
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
    outside = pc.or_(pc.less(values, max(low, -(2**63))), pc.greater(values, min(high, 2**63 - 1)))
    return _whole(values, outside, column)


def _whole(values: Any, outside: Any, column: Column) -> Converted:
    """Whole numbers of any Arrow type, save those outside of the column's range."""
    low, high = _BOUNDS[column.kind](column)
    if column.kind == "year":
        outside = pc.and_(outside, pc.fill_null(pc.not_equal(values, 0), True))
    reason = f"is out of the range of {column.type} ({low} to {high})"
    return checked(pc.cast(only(values, pc.invert(outside)), arrow_type(column)), (outside, reason))


def _integer_from_real(values: Any, column: Column) -> Converted:
    low, high = _BOUNDS[column.kind](column)
    whole = pc.equal(pc.floor(values), values)
    # The number after the highest is a power of two, which a double holds exactly.
    outside = pc.or_(pc.less(values, float(low)), pc.greater_equal(values, float(high + 1)))
    made = _whole(only(values, whole), outside, column)
    return replace(made, faults=checked(None, (pc.invert(whole), "is not a whole number")).faults + made.faults)


def _integer_from_text(values: Any, column: Column) -> Converted:
    trimmed = pc.utf8_trim_whitespace(values)
    whole = pc.match_substring_regex(trimmed, _WHOLE)
    digits = pc.replace_substring_regex(only(trimmed, whole), r"^\+|\..*$", "")
    if (pc.max(pc.utf8_length(digits)).as_py() or 0) <= _SAFE_DIGITS:
        made = _integer(pc.cast(digits, pa.int64()), column)
    else:
        made = _long_integer(digits, column)
    return replace(made, faults=made.faults + checked(None, (pc.invert(whole), "is not an integer")).faults)


def _long_integer(digits: Any, column: Column) -> Converted:
    wide = pa.decimal128(_LONG_DIGITS, 0)
    # Longer than any integer of the target, and maybe than any decimal.
    long = pc.greater(pc.utf8_length(pc.replace_substring_regex(digits, "^-?0*", "")), _LONG_DIGITS)
    numbers = pc.cast(only(digits, pc.invert(long)), wide)
    low, high = (pa.scalar(Decimal(bound), wide) for bound in _BOUNDS[column.kind](column))
    outside = pc.or_kleene(long, pc.or_(pc.less(numbers, low), pc.greater(numbers, high)))
    return _whole(numbers, outside, column)


def _decimal_from_text(values: Any, column: Column) -> Converted:
    trimmed = pc.utf8_trim_whitespace(values)
    number = pc.match_substring_regex(trimmed, _NUMBER)
    sign, whole, fraction = pc.extract_regex(_written_out(only(trimmed, number)), _PARTS).flatten()
    digits, scale = column.precision or 10, column.scale or 0
    # Cut as text and rounded by adding: Arrow's division of long decimals, in its casts too, is wrong for some numbers.
    kept = pc.utf8_rpad(pc.utf8_slice_codeunits(fraction, 0, scale), width=scale, padding="0")
    rest = pc.utf8_slice_codeunits(fraction, scale)
    long = pc.greater(pc.utf8_length(whole), digits - scale)
    wide = pa.decimal256(digits + 1, scale)
    cut = pc.cast(only(pc.binary_join_element_wise(sign, "0", whole, ".", kept, ""), pc.invert(long)), wide)
    none, step = (pa.scalar(Decimal(last).scaleb(-scale), wide) for last in (0, 1))
    away = pc.if_else(pc.equal(sign, "-"), pc.negate(step), step)
    rounded = pc.add(cut, pc.if_else(pc.greater_equal(rest, "5"), away, none))
    too_big = pc.or_kleene(pc.greater_equal(pc.abs(rounded), pa.scalar(Decimal(10) ** (digits - scale), wide)), long)
    faults = [(pc.invert(number), "is not a number"), (too_big, f"is out of the range of {column.type}")]
    if column.unsigned:
        faults.append((pc.less(rounded, none), f"is negative and the column is {column.type}"))
    note = None
    if pc.any(pc.match_substring_regex(rest, "[1-9]")).as_py():
        note = f"{column.type} keeps {scale} decimals; longer fractions are rounded"
    return checked(pc.cast(only(rounded, pc.invert(too_big)), decimal_type(column)), *faults, note=note)


def _written_out(numbers: Any) -> Any:
    """Without exponents. One by one: few write so, and of reals only the very large and small show so."""
    short = pc.fill_null(pc.match_substring_regex(numbers, "[eE]"), False)
    if not pc.any(short).as_py():
        return numbers
    written = [format(Decimal(number), "f") for number in numbers.filter(short).to_pylist()]
    return pc.replace_with_mask(numbers, short, pa.array(written, pa.string()))


def _decimal_from_number(values: Any, column: Column) -> Converted:
    return _decimal_from_text(pc.cast(values, pa.string()), column)


def _real(values: Any, column: Column) -> Converted:
    values = pc.cast(values, pa.float64(), safe=False)
    faults = [(pc.is_inf(values), "is infinite"), (pc.is_nan(values), "is not a number")]
    made, note, highest = values, None, _HIGHEST_REAL[column.kind]
    if column.scale is not None:
        made = pa.array(np.round(_numpy(made), column.scale), mask=_mask(values))
        note = f"{column.type} keeps {column.scale} decimals; longer fractions are rounded"
        highest = min(highest, 10.0 ** ((column.precision or column.scale) - column.scale) - 10.0**-column.scale)
    if column.kind == "float":
        made = pc.cast(pc.cast(made, pa.float32(), safe=False), pa.float64())
        note = note or f"{column.type} keeps about 7 digits; make it DOUBLE to keep them all"
    outside = pc.greater(pc.abs(values if column.scale is None else made), highest)
    faults.append((outside, f"is out of the range of {column.type}"))
    if column.unsigned:
        faults.append((pc.less(values, 0.0), f"is negative and the column is {column.type}"))
    lost = pc.any(pc.not_equal(values, made)).as_py()
    # A sum, since -0.0 is the same number as 0.0 to the server and not to those who compare text.
    return checked(pc.add(made, 0.0), *faults, note=note if lost else None)


def _numpy(values: Any) -> Any:
    return pc.fill_null(values, 0.0).to_numpy(zero_copy_only=False)


def _mask(values: Any) -> Any:
    return values.is_null().to_numpy(zero_copy_only=False)


def _real_from_integer(values: Any, column: Column) -> Converted:
    made = _real(values, column)
    lost = pc.any(pc.or_(pc.greater(values, _EXACT_REAL), pc.less(values, -_EXACT_REAL))).as_py()
    return replace(made, note=f"{column.type} keeps about 16 digits of large integers") if lost else made


def _real_from_text(values: Any, column: Column) -> Converted:
    trimmed = pc.utf8_trim_whitespace(values)
    number = pc.match_substring_regex(trimmed, _NUMBER)
    digits = pc.replace_substring_regex(only(trimmed, number), r"^\+", "")
    reals = pc.cast(digits, pa.float64())
    made = _real(reals, column)
    if column.kind == "double" and made.note is None and _loses_digits(digits, reals):
        made = replace(made, note=f"{column.type} keeps about 16 digits of a number")
    return replace(made, faults=made.faults + checked(None, (pc.invert(number), "is not a number")).faults)


def _loses_digits(texts: Any, reals: Any) -> bool:
    """Whether some number, as text without a plus, has digits that its real has not."""
    # A double holds every number of fifteen digits; an exponent may be beyond it.
    long = pc.or_(pc.greater(pc.utf8_length(texts), _REAL_DIGITS), pc.match_substring_regex(texts, "[eE]"))
    doubtful = pc.and_(long, pc.is_finite(reals))
    kept = pc.cast(reals.filter(doubtful), pa.string())
    return bool(pc.any(pc.not_equal(_significant(texts.filter(doubtful)), _significant(kept))).as_py())


def _significant(numbers: Any) -> Any:
    """The digits that count, of numbers as text."""
    digits = pc.replace_substring_regex(numbers, "[eE].*|[^0-9]", "")
    return pc.replace_substring_regex(digits, r"^0+|0+$", "")


def text(values: Any, column: Column) -> Converted:
    note = None
    if base_type(column) == "char" and pc.any(pc.ends_with(values, " ")).as_py():
        values = pc.utf8_rtrim(values, characters=" ")
        note = f"{column.type} does not keep trailing spaces"
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
    return checked(values, *faults, note=note)


def through_text(conversion: Conversion) -> Conversion:
    """For integers, which show as their digits."""
    return lambda values, column: conversion(pc.cast(values, pa.string()), column)


def text_from_real(conversion: Conversion) -> Conversion:
    """For reals, in as few digits as tell them from others; as in SQLite, one always shows that it is no integer."""

    def convert(values: Any, column: Column) -> Converted:
        texts = pc.cast(values, pa.string())
        bare = pc.match_substring_regex(texts, r"^-?[0-9]+$")
        return conversion(pc.if_else(bare, pc.binary_join_element_wise(texts, ".0", ""), texts), column)

    return convert


def _binary(values: Any, column: Column) -> Converted:
    values = pc.cast(values, pa.binary())
    faults = [(pc.greater(pc.binary_length(values), column.length), f"is longer than {column.type}")]
    if base_type(column) == "binary":
        faults.append((pc.less(pc.binary_length(values), column.length), f"would be padded to {column.type}"))
    return checked(values, *faults)


def _enum(values: Any, column: Column) -> Converted:
    members = pa.array(column.values, pa.string())
    place = pc.index_in(values, value_set=members)
    if _folds(column):
        place = pc.coalesce(place, pc.index_in(pc.utf8_lower(values), value_set=pc.utf8_lower(members)))
    unknown = pc.and_(values.is_valid(), pc.is_null(place))
    return checked(pc.take(members, place), (unknown, f"is not one of {column.type}"))


def _folds(column: Column) -> bool:
    return not (column.collation or "binary").endswith(("binary", "_bin", "_cs"))


def _set(values: Any, column: Column) -> Converted:
    # Row by row over the distinct values, which are few.
    distinct = pc.unique(values)
    forms = pa.array([value and _members(value, column) for value in distinct.to_pylist()], pa.string())
    made = pc.take(forms, pc.index_in(values, value_set=distinct))
    return checked(made, (pc.and_(values.is_valid(), made.is_null()), f"is not of {column.type}"))


def _members(value: str, column: Column) -> str | None:
    """The members in the order and the case of the column, as the server keeps them."""
    same = str.lower if _folds(column) else str
    wanted = {same(member) for member in value.split(",")}
    found = [member for member in column.values if same(member) in wanted]
    return ",".join(found) if len({same(member) for member in found}) == len(wanted) else None


_BOUNDS: dict[str, Callable[[Column], tuple[int, int]]] = {
    "integer": integer_range,
    "year": lambda column: (1901, 2155),
    "bit": lambda column: (0, 2 ** (column.precision or 1) - 1),
}

_A_BLOB = refused("is a blob, or text that is not UTF-8")
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
    ("text", "integer"): through_text(text),
    ("text", "real"): text_from_real(text),
    ("text", "text"): text,
    ("enum", "text"): _enum,
    ("set", "text"): _set,
    **{("enum", number): through_text(_enum) for number in ("integer", "real")},
    **{("set", number): through_text(_set) for number in ("integer", "real")},
    **{(kind, "blob"): _A_BLOB for kind in ("text", "enum", "set")},
    ("binary", "integer"): refused("is a number, not a blob"),
    ("binary", "real"): refused("is a number, not a blob"),
    ("binary", "text"): _binary,
    ("binary", "blob"): _binary,
}
