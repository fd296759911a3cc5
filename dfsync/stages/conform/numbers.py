"""Integers, decimals and reals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dfsync.model.schema import Column
from dfsync.model.types import arrow_type, decimal_type, integer_range
from dfsync.stages.conform.conversion import ConversionResult, where, with_faults

_INTEGER_TEXT = r"^[+-]?[0-9]+(\.0*)?$"
_SAFE_DIGITS = 18
_LONG_DIGITS = 38
_NUMBER_PARTS = r"^(?P<sign>[+-]?)0*(?P<whole>[0-9]*)\.?(?P<fraction>[0-9]*)$"
_NUMBER_TEXT = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"
_HIGHEST_REAL = {"float": 3.4028234663852886e38, "double": 1.7976931348623157e308}
_EXACT_REAL = 2**53
_REAL_DIGITS = 15

BOUNDS: dict[str, Callable[[Column], tuple[int, int]]] = {
    "integer": integer_range,
    "year": lambda column: (1901, 2155),
    "bit": lambda column: (0, 2 ** (column.precision or 1) - 1),
}


def integer(values: Any, column: Column) -> ConversionResult:
    low, high = BOUNDS[column.kind](column)
    outside = pc.or_(pc.less(values, max(low, -(2**63))), pc.greater(values, min(high, 2**63 - 1)))
    return _to_range(values, outside, column)


def _to_range(values: Any, outside: Any, column: Column) -> ConversionResult:
    """Whole numbers of any Arrow type, save those outside of the column's range."""
    low, high = BOUNDS[column.kind](column)
    if column.kind == "year":
        outside = pc.and_(outside, pc.fill_null(pc.not_equal(values, 0), True))
    reason = f"is out of the range of {column.type} ({low} to {high})"
    return with_faults(pc.cast(where(values, pc.invert(outside)), arrow_type(column)), (outside, reason))


def integer_from_real(values: Any, column: Column) -> ConversionResult:
    low, high = BOUNDS[column.kind](column)
    whole = pc.equal(pc.floor(values), values)
    # The number after the highest is a power of two, which a double holds exactly.
    outside = pc.or_(pc.less(values, float(low)), pc.greater_equal(values, float(high + 1)))
    made = _to_range(where(values, whole), outside, column)
    return replace(made, faults=with_faults(None, (pc.invert(whole), "is not a whole number")).faults + made.faults)


def integer_from_text(values: Any, column: Column) -> ConversionResult:
    trimmed = pc.utf8_trim_whitespace(values)
    whole = pc.match_substring_regex(trimmed, _INTEGER_TEXT)
    digits = pc.replace_substring_regex(where(trimmed, whole), r"^\+|\..*$", "")
    if (pc.max(pc.utf8_length(digits)).as_py() or 0) <= _SAFE_DIGITS:
        made = integer(pc.cast(digits, pa.int64()), column)
    else:
        made = _long_integer(digits, column)
    return replace(made, faults=made.faults + with_faults(None, (pc.invert(whole), "is not an integer")).faults)


def _long_integer(digits: Any, column: Column) -> ConversionResult:
    wide = pa.decimal128(_LONG_DIGITS, 0)
    # Longer than any integer of the target, and maybe than any decimal.
    long = pc.greater(pc.utf8_length(pc.replace_substring_regex(digits, "^-?0*", "")), _LONG_DIGITS)
    numbers = pc.cast(where(digits, pc.invert(long)), wide)
    low, high = (pa.scalar(Decimal(bound), wide) for bound in BOUNDS[column.kind](column))
    outside = pc.or_kleene(long, pc.or_(pc.less(numbers, low), pc.greater(numbers, high)))
    return _to_range(numbers, outside, column)


def decimal_from_text(values: Any, column: Column) -> ConversionResult:
    trimmed = pc.utf8_trim_whitespace(values)
    number = pc.match_substring_regex(trimmed, _NUMBER_TEXT)
    sign, whole, fraction = pc.extract_regex(_expand_exponents(where(trimmed, number)), _NUMBER_PARTS).flatten()
    digits, scale = column.precision or 10, column.scale or 0
    # Cut as text and rounded by adding: Arrow's division of long decimals, in its casts too, is wrong for some numbers.
    kept = pc.utf8_rpad(pc.utf8_slice_codeunits(fraction, 0, scale), width=scale, padding="0")
    rest = pc.utf8_slice_codeunits(fraction, scale)
    long = pc.greater(pc.utf8_length(whole), digits - scale)
    wide = pa.decimal256(digits + 1, scale)
    cut = pc.cast(where(pc.binary_join_element_wise(sign, "0", whole, ".", kept, ""), pc.invert(long)), wide)
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
    return with_faults(pc.cast(where(rounded, pc.invert(too_big)), decimal_type(column)), *faults, note=note)


def _expand_exponents(numbers: Any) -> Any:
    """Without exponents. One by one: few write so, and of reals only the very large and small show so."""
    short = pc.fill_null(pc.match_substring_regex(numbers, "[eE]"), False)
    if not pc.any(short).as_py():
        return numbers
    written = [format(Decimal(number), "f") for number in numbers.filter(short).to_pylist()]
    return pc.replace_with_mask(numbers, short, pa.array(written, pa.string()))


def decimal_from_number(values: Any, column: Column) -> ConversionResult:
    return decimal_from_text(pc.cast(values, pa.string()), column)


def real(values: Any, column: Column) -> ConversionResult:
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
    return with_faults(pc.add(made, 0.0), *faults, note=note if lost else None)


def _numpy(values: Any) -> Any:
    return pc.fill_null(values, 0.0).to_numpy(zero_copy_only=False)


def _mask(values: Any) -> Any:
    return values.is_null().to_numpy(zero_copy_only=False)


def real_from_integer(values: Any, column: Column) -> ConversionResult:
    made = real(values, column)
    lost = pc.any(pc.or_(pc.greater(values, _EXACT_REAL), pc.less(values, -_EXACT_REAL))).as_py()
    return replace(made, note=f"{column.type} keeps about 16 digits of large integers") if lost else made


def real_from_text(values: Any, column: Column) -> ConversionResult:
    trimmed = pc.utf8_trim_whitespace(values)
    number = pc.match_substring_regex(trimmed, _NUMBER_TEXT)
    digits = pc.replace_substring_regex(where(trimmed, number), r"^\+", "")
    reals = pc.cast(digits, pa.float64())
    made = real(reals, column)
    if column.kind == "double" and made.note is None and _loses_digits(digits, reals):
        made = replace(made, note=f"{column.type} keeps about 16 digits of a number")
    return replace(made, faults=made.faults + with_faults(None, (pc.invert(number), "is not a number")).faults)


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
