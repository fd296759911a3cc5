"""Convert to dates and times: of the forms in https://www.sqlite.org/lang_datefunc.html those of ISO 8601."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from dfsync.model.schema import Column
from dfsync.stages.conform.conversion import Conversion, ConversionResult, rejects_all, where, with_faults

_DATE_TIME = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}(:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?( ?([zZ]|[+-][0-9]{2}:?[0-9]{2}))?)?)?$"
)
_ZONED = r":.*([zZ]|[+-][0-9]{2}:?[0-9]{2})$"
_UTC = r":.*([zZ]|[+-]00:?00)$"
_LONG_FRACTION = r"\.[0-9]{7,}"
_BEYOND_MICROSECONDS = r"\.[0-9]{6}[0-9]*[1-9]"
_ROUNDS_UP = r"\.[0-9]{6}[5-9]"
_TIME = (
    r"^(?P<sign>-?)(?P<hours>[0-9]{1,3}):(?P<minutes>[0-5][0-9])"
    r"(?P<colon>:(?P<seconds>[0-5][0-9])(?P<point>\.(?P<fraction>[0-9]+))?)?$"
)
_FIRST = dt.datetime(1, 1, 1)
_LAST = dt.datetime(9999, 12, 31, 23, 59, 59, 999_999)
# MySQL's range begins a second later than MariaDB's; it refuses the values between by itself.
_TIMESTAMP_FROM = dt.datetime(1970, 1, 1, microsecond=1)
_HOURS_END = 839 * 3600 * 1_000_000
_MICROSECONDS = pa.timestamp("us")
_TO_UTC = "times with a zone are converted to UTC"


@dataclass(frozen=True)
class _Instants:
    """Timestamps without zone, and masks (Arrow bool) of their texts."""

    values: pa.Array
    invalid: pa.Array
    longer: pa.Array
    """With a fraction beyond microseconds, which `values` lacks."""
    up: pa.Array
    """Where the seventh digit of the fraction is five or more."""
    moved: pa.Array
    """With a zone other than UTC."""


def _parse_timestamps(values: pa.Array) -> _Instants:
    none = pa.array(np.zeros(len(values), dtype=bool))
    try:
        return _Instants(pc.cast(values, _MICROSECONDS), none, none, none, none)
    except pa.ArrowInvalid:
        pass
    longer = up = none
    trimmed = pc.utf8_trim_whitespace(values)
    texts = where(trimmed, pc.match_substring_regex(trimmed, _DATE_TIME))
    if pc.any(pc.match_substring_regex(texts, _LONG_FRACTION)).as_py():
        longer, up = (pc.match_substring_regex(texts, pattern) for pattern in (_BEYOND_MICROSECONDS, _ROUNDS_UP))
        texts = pc.replace_substring_regex(texts, r"(\.[0-9]{6})[0-9]+", r"\1")
    zoned = pc.match_substring_regex(texts, _ZONED)
    moved = pc.and_(zoned, pc.invert(pc.match_substring_regex(texts, _UTC)))
    # pandas accepts the capital letter only.
    texts = pc.replace_substring(texts, "z", "Z")
    plain = pc.if_else(zoned, texts, pc.binary_join_element_wise(texts, "Z", ""))
    plain = pc.if_else(pc.less_equal(pc.utf8_length(texts), 13), texts, plain)
    parsed = pd.to_datetime(pd.Series(plain.to_pandas(), dtype="str"), format="ISO8601", utc=True, errors="coerce")
    instants = pa.array(parsed.dt.tz_localize(None).astype("datetime64[us]")).cast(_MICROSECONDS)
    invalid = pc.and_(values.is_valid(), instants.is_null())
    return _Instants(instants, invalid, longer, up, moved)


def _datetime(values: pa.Array, column: Column) -> ConversionResult:
    read = _parse_timestamps(values)
    stored = _shorten_timestamps(read, column)
    shortened = pc.or_(pc.not_equal(read.values, stored), read.longer)
    low = _TIMESTAMP_FROM if column.kind == "timestamp" else _FIRST
    outside = (_outside(stored, low, column.max_value or _LAST), f"is out of the range of {column.type}")
    changes = [(read.moved, _TO_UTC), (shortened, _shortened_note(column))]
    return with_faults(stored, (read.invalid, "is not a valid date and time"), outside, changes=changes)


def _shortened_note(column: Column) -> str:
    what = "cut" if column.cuts_fractions else "rounded"
    return f"{column.type} keeps {column.precision or 0} digits of a second's fraction; the rest is {what}"


def _outside(instants: pa.Array, low: dt.datetime, high: dt.datetime) -> pa.Array:
    bounds = (pa.scalar(bound, _MICROSECONDS) for bound in (low, high))
    return pc.or_(pc.less(instants, next(bounds)), pc.greater(instants, next(bounds)))


def _shorten_timestamps(read: _Instants, column: Column) -> pa.Array:
    """Bring instants to the column's digits, as the server does it."""
    digits = column.precision or 0
    values = read.values
    if not column.cuts_fractions:
        # Servers round to microseconds first, and then once more to the column's digits.
        values = pc.add(values, pc.cast(pc.cast(pc.fill_null(read.up, False), pa.int64()), pa.duration("us")))
    if digits >= 6:
        return values
    return _shorten(pc.cast(values, pa.int64()), 10 ** (6 - digits), cut=column.cuts_fractions).cast(_MICROSECONDS)


def _shorten(ticks: pa.Array, step: int, *, cut: bool) -> pa.Array:
    """Bring whole numbers to multiples of `step`: cut, or rounded to the nearest."""
    numbers = pc.fill_null(ticks, 0).to_numpy()
    shortened = (numbers + (0 if cut else step // 2)) // step * step
    return pa.array(shortened, mask=ticks.is_null().to_numpy(zero_copy_only=False))


def _date(values: pa.Array, column: Column) -> ConversionResult:
    read = _parse_timestamps(values)
    days = pc.cast(read.values, pa.date32(), safe=False)
    timed = pc.or_(pc.not_equal(pc.cast(days, _MICROSECONDS), read.values), read.longer)
    return with_faults(
        days,
        (read.invalid, "is not a valid date"),
        (timed, "has a time of day, which a DATE cannot hold"),
        (_outside(read.values, _FIRST, _LAST), f"is out of the range of {column.type}"),
        changes=[(read.moved, _TO_UTC)],
    )


def _time(values: pa.Array, column: Column) -> ConversionResult:
    """Return text in the server's own form, since a TIME may be longer than a day and negative."""
    parts = pc.extract_regex(pc.utf8_trim_whitespace(values), _TIME)
    digits = column.precision or 0
    all_digits = pc.struct_field(parts, "fraction")
    fraction = pc.utf8_slice_codeunits(pc.utf8_rpad(all_digits, 7, "0"), 0, 7)
    seconds = pc.add(
        pc.multiply(pc.add(pc.multiply(_number(parts, "hours"), 60), _number(parts, "minutes")), 60),
        _number(parts, "seconds"),
    )
    tenths = pc.add(pc.multiply(seconds, 10_000_000), pc.cast(fraction, pa.int64()))
    ticks = tenths if column.cuts_fractions else _shorten(tenths, 10, cut=False)
    ticks = _shorten(ticks, 10 ** (7 - digits), cut=column.cuts_fractions)
    shortened = pc.or_(pc.not_equal(ticks, tenths), pc.match_substring_regex(all_digits, r"^[0-9]{7}.*[1-9]"))
    outside = pc.greater_equal(ticks, _HOURS_END * 10)
    faults = (pc.and_(values.is_valid(), parts.is_null()), "is not a valid time"), (outside, "is beyond 838 hours")
    formatted = _format_time(ticks, pc.equal(pc.struct_field(parts, "sign"), "-"), digits)
    return with_faults(formatted, *faults, changes=[(shortened, _shortened_note(column))])


def _number(parts: pa.Array, name: str) -> pa.Array:
    digits = pc.struct_field(parts, name)
    return pc.cast(pc.if_else(pc.equal(digits, ""), "0", digits), pa.int64())


def _format_time(ticks: pa.Array, negative: pa.Array, digits: int) -> pa.Array:
    """Return tenths of microseconds as `[-]HH:MM:SS[.ffffff]`."""
    seconds = pc.divide(ticks, 10_000_000)
    minutes = pc.divide(seconds, 60)
    parts = [pc.divide(minutes, 60), _modulo(minutes, 60), _modulo(seconds, 60)]
    texts = [pc.utf8_lpad(pc.cast(part, pa.string()), 2, "0") for part in parts]
    formatted = pc.binary_join_element_wise(*texts, ":")
    if digits:
        fraction = pc.utf8_lpad(pc.cast(_modulo(ticks, 10_000_000), pa.string()), 7, "0")
        formatted = pc.binary_join_element_wise(formatted, pc.utf8_slice_codeunits(fraction, 0, digits), ".")
    sign = pc.if_else(pc.and_(negative, pc.greater(ticks, 0)), "-", "")
    return pc.binary_join_element_wise(sign, formatted, "")


def _modulo(values: pa.Array, divisor: int) -> pa.Array:
    return pc.subtract(values, pc.multiply(pc.divide(values, divisor), divisor))


_FROM_TEXT: dict[str, Conversion] = {"datetime": _datetime, "timestamp": _datetime, "date": _date, "time": _time}
TEMPORAL: dict[tuple[str, str], Conversion] = {
    **{(kind, "text"): conversion for kind, conversion in _FROM_TEXT.items()},
    **{(kind, "integer"): rejects_all("is a number, not a date or time") for kind in _FROM_TEXT},
    **{(kind, "real"): rejects_all("is a number, not a date or time") for kind in _FROM_TEXT},
    **{(kind, "blob"): rejects_all("is a blob, not a date or time") for kind in _FROM_TEXT},
}
