"""Convert to integers, decimals and reals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dfsync.model.schema import Column
from dfsync.model.types import Mask, arrow_type, decimal_type, integer_range
from dfsync.stages.conform.conversion import Change, ConversionResult, where, with_faults

_INTEGER_TEXT = r"^[+-]?[0-9]+(\.0*)?$"
_SAFE_DIGITS = 18
_LONG_DIGITS = 38
_NUMBER_PARTS = r"^(?P<sign>[+-]?)0*(?P<whole>[0-9]*)\.?(?P<fraction>[0-9]*)$"
_LEADING_ZEROS = r"^0+[0-9]+$"
_NO_LEADING_ZEROS = "a number keeps no leading zeros"
_NUMBER_TEXT = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"
_HIGHEST_REAL = {"float": 3.4028234663852886e38, "double": 1.7976931348623157e308}
_EXACT_REAL = 2**53
_REAL_DIGITS = 15
_FEW_DIGITS = "{} keeps about 16 digits of {}"

BOUNDS: dict[str, Callable[[Column], tuple[int, int]]] = {
    "integer": integer_range,
    "year": lambda column: (1901, 2155),
    "bit": lambda column: (0, 2 ** (column.precision or 1) - 1),
}
"""By kind, the smallest and the largest value of a column; a YEAR also holds 0.

Source: https://mariadb.com/docs/server/reference/data-types/date-and-time-data-types/year-data-type
"""


def integer(values: pa.Array, column: Column) -> ConversionResult:
    """Convert integers to integers.

    Parameters
    ----------
    values
        Arrow int64.
    column
        The target's column, of kind `integer`, `year` or `bit`.

    Returns
    -------
    ConversionResult
        Arrow integers; values out of the column's range are faults.
    """
    low, high = BOUNDS[column.kind](column)
    outside = pc.or_(pc.less(values, max(low, -(2**63))), pc.greater(values, min(high, 2**63 - 1)))
    return _to_range(values, outside, column)


def _to_range(values: pa.Array, outside: pa.Array, column: Column) -> ConversionResult:
    """Cast whole numbers of any Arrow type, with a fault for those outside of the column's range."""
    low, high = BOUNDS[column.kind](column)
    if column.kind == "year":
        outside = pc.and_(outside, pc.fill_null(pc.not_equal(values, 0), True))
    reason = f"is out of the range of {column.type} ({low} to {high})"
    return with_faults(pc.cast(where(values, pc.invert(outside)), arrow_type(column)), (outside, reason))


def integer_from_real(values: pa.Array, column: Column) -> ConversionResult:
    """Convert reals that are whole numbers to integers.

    Parameters
    ----------
    values
        Arrow float64.
    column
        The target's column, of kind `integer`, `year` or `bit`.

    Returns
    -------
    ConversionResult
        Arrow integers; fractions, and values out of the column's range, are faults.
    """
    low, high = BOUNDS[column.kind](column)
    is_whole = pc.equal(pc.floor(values), values)
    # The number after the highest is a power of two, which a double holds exactly.
    outside = pc.or_(pc.less(values, float(low)), pc.greater_equal(values, float(high + 1)))
    result = _to_range(where(values, is_whole), outside, column)
    fractions = with_faults(None, (pc.invert(is_whole), "is not a whole number")).faults
    return replace(result, faults=fractions + result.faults)


def integer_from_text(values: pa.Array, column: Column) -> ConversionResult:
    """Convert texts that are integers, such as `' +12.0'`, to integers.

    Parameters
    ----------
    values
        Arrow strings.
    column
        The target's column, of kind `integer`, `year` or `bit`.

    Returns
    -------
    ConversionResult
        Arrow integers; other texts, and values out of the column's range, are faults.
    """
    trimmed = pc.utf8_trim_whitespace(values)
    is_integer = pc.match_substring_regex(trimmed, _INTEGER_TEXT)
    digits = pc.replace_substring_regex(where(trimmed, is_integer), r"^\+|\..*$", "")
    if (pc.max(pc.utf8_length(digits)).as_py() or 0) <= _SAFE_DIGITS:
        result = integer(pc.cast(digits, pa.int64()), column)
    else:
        result = _long_integer(digits, column)
    others = with_faults(None, (pc.invert(is_integer), "is not an integer"), changes=[_leading_zeros(trimmed)])
    return replace(result, faults=result.faults + others.faults, changes=others.changes)


def _leading_zeros(texts: pa.Array) -> Change:
    return pc.match_substring_regex(texts, _LEADING_ZEROS), _NO_LEADING_ZEROS


def _long_integer(digits: pa.Array, column: Column) -> ConversionResult:
    wide = pa.decimal128(_LONG_DIGITS, 0)
    # Longer than any integer of the target, and perhaps than any decimal.
    is_long = pc.greater(pc.utf8_length(pc.replace_substring_regex(digits, "^-?0*", "")), _LONG_DIGITS)
    numbers = pc.cast(where(digits, pc.invert(is_long)), wide)
    low, high = (pa.scalar(Decimal(bound), wide) for bound in BOUNDS[column.kind](column))
    outside = pc.or_kleene(is_long, pc.or_(pc.less(numbers, low), pc.greater(numbers, high)))
    return _to_range(numbers, outside, column)


def decimal_from_text(values: pa.Array, column: Column) -> ConversionResult:
    """Convert texts that are numbers to decimals, rounded half away from zero as the server rounds them.

    Parameters
    ----------
    values
        Arrow strings.
    column
        The target's column, of kind `decimal`.

    Returns
    -------
    ConversionResult
        Arrow decimals; other texts, and values out of the column's range, are faults.

    References
    ----------
    https://dev.mysql.com/doc/refman/8.4/en/precision-math-rounding.html
    """
    trimmed = pc.utf8_trim_whitespace(values)
    is_number = pc.match_substring_regex(trimmed, _NUMBER_TEXT)
    sign, whole, fraction = pc.extract_regex(_expand_exponents(where(trimmed, is_number)), _NUMBER_PARTS).flatten()
    digits, scale = column.precision or 10, column.scale or 0
    # Truncated as text and rounded by adding: Arrow divides some long decimals wrongly, in its casts too.
    kept = pc.utf8_rpad(pc.utf8_slice_codeunits(fraction, 0, scale), width=scale, padding="0")
    rest = pc.utf8_slice_codeunits(fraction, scale)
    long = pc.greater(pc.utf8_length(whole), digits - scale)
    wide = pa.decimal256(digits + 1, scale)
    cut = pc.cast(where(pc.binary_join_element_wise(sign, "0", whole, ".", kept, ""), pc.invert(long)), wide)
    zero, step = (pa.scalar(Decimal(last).scaleb(-scale), wide) for last in (0, 1))
    away = pc.if_else(pc.equal(sign, "-"), pc.negate(step), step)
    rounded = pc.add(cut, pc.if_else(pc.greater_equal(rest, "5"), away, zero))
    too_big = pc.or_kleene(pc.greater_equal(pc.abs(rounded), pa.scalar(Decimal(10) ** (digits - scale), wide)), long)
    faults = [(pc.invert(is_number), "is not a number"), (too_big, f"is out of the range of {column.type}")]
    if column.unsigned:
        faults.append((pc.less(rounded, zero), f"is negative and the column is {column.type}"))
    longer = pc.match_substring_regex(rest, "[1-9]")
    changes = [(longer, f"{column.type} keeps {scale} decimals; longer fractions are rounded"), _leading_zeros(trimmed)]
    return with_faults(pc.cast(where(rounded, pc.invert(too_big)), decimal_type(column)), *faults, changes=changes)


def _expand_exponents(numbers: pa.Array) -> pa.Array:
    """Write out numbers with an exponent, one by one: few are stored so, and few reals show so."""
    has_exponent = pc.fill_null(pc.match_substring_regex(numbers, "[eE]"), False)
    if not pc.any(has_exponent).as_py():
        return numbers
    written_out = [format(Decimal(number), "f") for number in numbers.filter(has_exponent).to_pylist()]
    return pc.replace_with_mask(numbers, has_exponent, pa.array(written_out, pa.string()))


def decimal_from_number(values: pa.Array, column: Column) -> ConversionResult:
    """Convert integers and reals to decimals, by the digits as which they show.

    Parameters
    ----------
    values
        Arrow int64 or float64.
    column
        The target's column, of kind `decimal`.

    Returns
    -------
    ConversionResult
        As `decimal_from_text`.
    """
    return decimal_from_text(pc.cast(values, pa.string()), column)


def real(values: pa.Array, column: Column) -> ConversionResult:
    """Convert numbers to reals.

    Parameters
    ----------
    values
        Arrow int64 or float64.
    column
        The target's column, of kind `float` or `double`; its `scale` is that of a `FLOAT(M,D)`.

    Returns
    -------
    ConversionResult
        Arrow float64, in the precision of the column; values out of its range or not finite are faults.
    """
    values = pc.cast(values, pa.float64(), safe=False)
    faults = [(pc.is_inf(values), "is infinite"), (pc.is_nan(values), "is not a number")]
    stored, note, highest = values, None, _HIGHEST_REAL[column.kind]
    if column.scale is not None:
        stored = pa.array(np.round(_numpy(stored), column.scale), mask=_mask(values))
        note = f"{column.type} keeps {column.scale} decimals; longer fractions are rounded"
        highest = min(highest, 10.0 ** ((column.precision or column.scale) - column.scale) - 10.0**-column.scale)
    if column.kind == "float":
        stored = pc.cast(pc.cast(stored, pa.float32(), safe=False), pa.float64())
        note = note or f"{column.type} keeps about 7 digits; make it DOUBLE to keep them all"
    outside = pc.greater(pc.abs(values if column.scale is None else stored), highest)
    faults.append((outside, f"is out of the range of {column.type}"))
    if column.unsigned:
        faults.append((pc.less(values, 0.0), f"is negative and the column is {column.type}"))
    changes = [] if note is None else [(pc.not_equal(values, stored), note)]
    # A sum, since -0.0 is the same number as 0.0 to the server and not to those who compare text.
    return with_faults(pc.add(stored, 0.0), *faults, changes=changes)


def _numpy(values: pa.Array) -> NDArray[np.float64]:
    reals: NDArray[np.float64] = pc.fill_null(values, 0.0).to_numpy(zero_copy_only=False)
    return reals


def _mask(values: pa.Array) -> Mask:
    mask: Mask = values.is_null().to_numpy(zero_copy_only=False)
    return mask


def real_from_integer(values: pa.Array, column: Column) -> ConversionResult:
    """Convert integers to reals.

    Parameters
    ----------
    values
        Arrow int64.
    column
        The target's column, of kind `float` or `double`.

    Returns
    -------
    ConversionResult
        As `real`; integers with more digits than a real are changes, too.
    """
    result = real(values, column)
    large = pc.or_(pc.greater(values, _EXACT_REAL), pc.less(values, -_EXACT_REAL))
    if not pc.any(large).as_py():
        return result
    stored = _numpy(pc.cast(values, pa.float64(), safe=False))
    # The lowest and the highest real that an int64 may become; only the lowest is one.
    inside = (stored >= -(2.0**63)) & (stored < 2.0**63)
    same = inside & (np.where(inside, stored, 0.0).astype(np.int64) == pc.fill_null(values, 0).to_numpy())
    noted = [mask for mask, _ in result.changes]
    lost = pc.and_(large, pa.array(~same))
    note = _FEW_DIGITS.format(column.type, "large integers")
    rounded = with_faults(None, changes=[(_without(lost, noted), note)])
    return replace(result, changes=[*result.changes, *rounded.changes])


def _without(mask: pa.Array, others: list[pa.Array]) -> pa.Array:
    """The mask where none of the others is true."""
    for other in others:
        mask = pc.and_not(pc.fill_null(mask, False), pc.fill_null(other, False))
    return mask


def real_from_text(values: pa.Array, column: Column) -> ConversionResult:
    """Convert texts that are numbers to reals.

    Parameters
    ----------
    values
        Arrow strings.
    column
        The target's column, of kind `float` or `double`.

    Returns
    -------
    ConversionResult
        As `real`; other texts are faults.
    """
    trimmed = pc.utf8_trim_whitespace(values)
    is_number = pc.match_substring_regex(trimmed, _NUMBER_TEXT)
    digits = pc.replace_substring_regex(where(trimmed, is_number), r"^\+", "")
    reals = pc.cast(digits, pa.float64())
    result = real(reals, column)
    lost = _without(_loses_digits(digits, reals), [mask for mask, _ in result.changes])
    changes = [(lost, _FEW_DIGITS.format(column.type, "a number")), _leading_zeros(trimmed)]
    others = with_faults(None, (pc.invert(is_number), "is not a number"), changes=changes)
    return replace(result, faults=result.faults + others.faults, changes=result.changes + others.changes)


def _loses_digits(texts: pa.Array, reals: pa.Array) -> pa.Array:
    """Tell which numbers, as text without a plus, have digits that their real has not."""
    # A double holds every number of fifteen digits; an exponent may be beyond it.
    long = pc.or_(pc.greater(pc.utf8_length(texts), _REAL_DIGITS), pc.match_substring_regex(texts, "[eE]"))
    doubtful = pc.fill_null(pc.and_(long, pc.is_finite(reals)), False)
    kept = pc.cast(reals.filter(doubtful), pa.string())
    differ = pc.not_equal(_significant(texts.filter(doubtful)), _significant(kept))
    return pc.replace_with_mask(pa.array(np.zeros(len(texts), dtype=bool)), doubtful, differ)


def _significant(numbers: pa.Array) -> pa.Array:
    """Return the significant digits of numbers as text."""
    digits = pc.replace_substring_regex(numbers, "[eE].*|[^0-9]", "")
    return pc.replace_substring_regex(digits, r"^0+|0+$", "")
