"""How values become dates and times. Forms as in https://www.sqlite.org/lang_datefunc.html, the ISO 8601 ones."""

from __future__ import annotations

import datetime as dt
from typing import Any

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
_ROUNDS_UP = r"\.[0-9]{6}[5-9]"
_TIME = (
    r"^(?P<sign>-?)(?P<hours>[0-9]{1,3}):(?P<minutes>[0-5][0-9])"
    r"(?P<colon>:(?P<seconds>[0-5][0-9])(?P<point>\.(?P<fraction>[0-9]+))?)?$"
)
_FIRST = dt.datetime(1, 1, 1)
_LAST = dt.datetime(9999, 12, 31, 23, 59, 59, 999_999)
# MySQL's begins a second later than MariaDB's, which it says itself of the values between.
_TIMESTAMP_FROM = dt.datetime(1970, 1, 1, microsecond=1)
_HOURS_END = 839 * 3600 * 1_000_000
_MICROSECONDS = pa.timestamp("us")


def _parse_timestamps(values: Any, digits: int = 6) -> tuple[Any, Any, list[str]]:
    """Texts as timestamps without zone, the mask of those that are none, and what was done to their precision.

    What is to be rounded to fewer than 6 digits of a second's fraction is only cut to 6 here.
    """
    try:
        return pc.cast(values, _MICROSECONDS), pa.array(np.zeros(len(values), dtype=bool)), []
    except pa.ArrowInvalid:
        pass
    notes: list[str] = []
    more = None
    trimmed = pc.utf8_trim_whitespace(values)
    texts = where(trimmed, pc.match_substring_regex(trimmed, _DATE_TIME))
    if pc.any(pc.match_substring_regex(texts, _LONG_FRACTION)).as_py():
        more = pc.cast(pc.match_substring_regex(texts, _ROUNDS_UP), pa.int64()) if digits == 6 else None
        texts = pc.replace_substring_regex(texts, r"(\.[0-9]{6})[0-9]+", r"\1")
        notes.append("a second's fraction beyond 6 digits is rounded")
    zoned = pc.match_substring_regex(texts, _ZONED)
    if pc.any(pc.and_(zoned, pc.invert(pc.match_substring_regex(texts, _UTC)))).as_py():
        notes.append("times with a zone are converted to UTC")
    # pandas knows the capital letter alone.
    texts = pc.replace_substring(texts, "z", "Z")
    plain = pc.if_else(zoned, texts, pc.binary_join_element_wise(texts, "Z", ""))
    plain = pc.if_else(pc.less_equal(pc.utf8_length(texts), 13), texts, plain)
    parsed = pd.to_datetime(pd.Series(plain.to_pandas(), dtype="str"), format="ISO8601", utc=True, errors="coerce")
    instants = pa.array(parsed.dt.tz_localize(None).astype("datetime64[us]")).cast(_MICROSECONDS)
    bad = pc.and_(values.is_valid(), instants.is_null())
    if more is not None:
        instants = pc.add(instants, pc.cast(more, pa.duration("us")))
    return instants, bad, notes


def _datetime(values: Any, column: Column) -> ConversionResult:
    digits = column.precision or 0
    instants, bad, notes = _parse_timestamps(values, digits)
    rounded = _rounded(instants, digits)
    if pc.any(pc.not_equal(instants, rounded)).as_py():
        notes.append(f"{column.type} keeps {digits} digits of a second's fraction; the rest is rounded")
    low = _TIMESTAMP_FROM if column.kind == "timestamp" else _FIRST
    outside = (_outside(rounded, low, column.max_value or _LAST), f"is out of the range of {column.type}")
    return with_faults(rounded, (bad, "is not a valid date and time"), outside, note="; ".join(notes) or None)


def _outside(instants: Any, low: dt.datetime, high: dt.datetime) -> Any:
    bounds = (pa.scalar(bound, _MICROSECONDS) for bound in (low, high))
    return pc.or_(pc.less(instants, next(bounds)), pc.greater(instants, next(bounds)))


def _rounded(instants: Any, digits: int) -> Any:
    if digits >= 6:
        return instants
    return _round(pc.cast(instants, pa.int64()), digits).cast(_MICROSECONDS)


def _round(microseconds: Any, digits: int) -> Any:
    step = 10 ** (6 - digits)
    ticks = pc.fill_null(microseconds, 0).to_numpy()
    rounded = (ticks + step // 2) // step * step
    return pa.array(rounded, mask=microseconds.is_null().to_numpy(zero_copy_only=False))


def _date(values: Any, column: Column) -> ConversionResult:
    instants, bad, notes = _parse_timestamps(values)
    days = pc.cast(instants, pa.date32(), safe=False)
    timed = pc.not_equal(pc.cast(days, _MICROSECONDS), instants)
    return with_faults(
        days,
        (bad, "is not a valid date"),
        (timed, "has a time of day, which a DATE cannot hold"),
        (_outside(instants, _FIRST, _LAST), f"is out of the range of {column.type}"),
        note="; ".join(notes) or None,
    )


def _time(values: Any, column: Column) -> ConversionResult:
    """As text in the server's own form, since a TIME goes beyond a day and below zero."""
    parts = pc.extract_regex(pc.utf8_trim_whitespace(values), _TIME)
    digits = column.precision or 0
    whole = pc.struct_field(parts, "fraction")
    fraction = pc.utf8_slice_codeunits(pc.utf8_rpad(whole, 7, "0"), 0, 7)
    seconds = pc.add(
        pc.multiply(pc.add(pc.multiply(_number(parts, "hours"), 60), _number(parts, "minutes")), 60),
        _number(parts, "seconds"),
    )
    tenths = pc.add(pc.multiply(seconds, 10_000_000), pc.cast(fraction, pa.int64()))
    ticks = _round(tenths, digits - 1)
    lost = pc.any(pc.or_(pc.not_equal(ticks, tenths), pc.match_substring_regex(whole, r"^[0-9]{7}.*[1-9]"))).as_py()
    note = f"{column.type} keeps {digits} digits of a second's fraction; the rest is rounded" if lost else None
    outside = pc.greater_equal(ticks, _HOURS_END * 10)
    faults = (pc.and_(values.is_valid(), parts.is_null()), "is not a valid time"), (outside, "is beyond 838 hours")
    return with_faults(_shown(ticks, pc.equal(pc.struct_field(parts, "sign"), "-"), digits), *faults, note=note)


def _number(parts: Any, name: str) -> Any:
    digits = pc.struct_field(parts, name)
    return pc.cast(pc.if_else(pc.equal(digits, ""), "0", digits), pa.int64())


def _shown(ticks: Any, negative: Any, digits: int) -> Any:
    """Tenths of microseconds as `[-]HH:MM:SS[.ffffff]`."""
    seconds = pc.divide(ticks, 10_000_000)
    minutes = pc.divide(seconds, 60)
    parts = [pc.divide(minutes, 60), _modulo(minutes, 60), _modulo(seconds, 60)]
    texts = [pc.utf8_lpad(pc.cast(part, pa.string()), 2, "0") for part in parts]
    shown = pc.binary_join_element_wise(*texts, ":")
    if digits:
        fraction = pc.utf8_lpad(pc.cast(_modulo(ticks, 10_000_000), pa.string()), 7, "0")
        shown = pc.binary_join_element_wise(shown, pc.utf8_slice_codeunits(fraction, 0, digits), ".")
    sign = pc.if_else(pc.and_(negative, pc.greater(ticks, 0)), "-", "")
    return pc.binary_join_element_wise(sign, shown, "")


def _modulo(values: Any, divisor: int) -> Any:
    return pc.subtract(values, pc.multiply(pc.divide(values, divisor), divisor))


_FROM_TEXT: dict[str, Conversion] = {"datetime": _datetime, "timestamp": _datetime, "date": _date, "time": _time}
TEMPORAL: dict[tuple[str, str], Conversion] = {
    **{(kind, "text"): conversion for kind, conversion in _FROM_TEXT.items()},
    **{(kind, "integer"): rejects_all("is a number, not a date or time") for kind in _FROM_TEXT},
    **{(kind, "real"): rejects_all("is a number, not a date or time") for kind in _FROM_TEXT},
    **{(kind, "blob"): rejects_all("is a blob, not a date or time") for kind in _FROM_TEXT},
}
