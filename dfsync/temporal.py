"""How values become dates and times. Forms as in https://www.sqlite.org/lang_datefunc.html, the ISO 8601 ones."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from dfsync.conversions import Conversion, Converted, checked, only, refused
from dfsync.schema import Column

_DATE_TIME = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?( ?([zZ]|[+-][0-9]{2}:?[0-9]{2}))?)?$"
)
_ZONE = r" ?([zZ]|[+-][0-9]{2}:?[0-9]{2})$"
_UTC = r" ?([zZ]|[+-]00:?00)$"
_LONG_FRACTION = r"\.[0-9]{7,}"
_TIME = r"^-?[0-9]{1,3}:[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?$"
_LAST_HOUR = 838
_TIMESTAMP_FROM = dt.datetime(1970, 1, 1)
_TIMESTAMP_TO = dt.datetime(2106, 2, 8)
_MICROSECONDS = pa.timestamp("us")


def _instants(values: Any) -> tuple[Any, Any, list[str]]:
    """Texts as timestamps without zone, the mask of those that are none, and what was done to their precision."""
    notes: list[str] = []
    try:
        return pc.cast(values, _MICROSECONDS), pa.array(np.zeros(len(values), dtype=bool)), notes
    except pa.ArrowInvalid:
        pass
    trimmed = pc.utf8_trim_whitespace(values)
    good = pc.match_substring_regex(trimmed, _DATE_TIME)
    texts = only(trimmed, good)
    if pc.any(pc.match_substring_regex(texts, _LONG_FRACTION)).as_py():
        texts = pc.replace_substring_regex(texts, r"(\.[0-9]{6})[0-9]+", r"\1")
        notes.append("fractions of a second beyond 6 digits are cut")
    zoned = pc.match_substring_regex(texts, r":.*" + _ZONE)
    if pc.any(pc.and_(zoned, pc.invert(pc.match_substring_regex(texts, _UTC)))).as_py():
        notes.append("times with a zone are converted to UTC")
    plain = pc.if_else(pc.fill_null(zoned, False), texts, pc.binary_join_element_wise(texts, "Z", ""))
    plain = pc.if_else(pc.equal(pc.utf8_length(texts), 10), texts, plain)
    parsed = pd.to_datetime(pd.Series(plain.to_pandas(), dtype="str"), format="ISO8601", utc=True, errors="coerce")
    instants = pa.array(parsed.dt.tz_localize(None).astype("datetime64[us]")).cast(_MICROSECONDS)
    return instants, pc.and_(values.is_valid(), instants.is_null()), notes


def _datetime(values: Any, column: Column) -> Converted:
    instants, bad, notes = _instants(values)
    digits = column.precision or 0
    rounded = _rounded(instants, digits)
    if pc.any(pc.not_equal(instants, rounded)).as_py():
        notes.append(f"{column.type} keeps {digits} digits of a second's fraction; the rest is rounded")
    faults = [(bad, "is not a valid date and time")]
    if column.kind == "timestamp":
        outside = pc.or_(pc.less(rounded, _TIMESTAMP_FROM), pc.greater(rounded, _TIMESTAMP_TO))
        faults.append((outside, "is out of the range of TIMESTAMP"))
    return checked(rounded, *faults, note="; ".join(notes) or None)


def _rounded(instants: Any, digits: int) -> Any:
    if digits >= 6:
        return instants
    step = 10 ** (6 - digits)
    ticks = pc.fill_null(pc.cast(instants, pa.int64()), 0).to_numpy()
    rounded = (ticks + step // 2) // step * step
    return pa.array(rounded, mask=instants.is_null().to_numpy(zero_copy_only=False)).cast(_MICROSECONDS)


def _date(values: Any, column: Column) -> Converted:
    instants, bad, _ = _instants(values)
    days = pc.cast(instants, pa.date32(), safe=False)
    timed = pc.not_equal(pc.cast(days, _MICROSECONDS), instants)
    return checked(days, (bad, "is not a valid date"), (timed, "has a time of day, which a DATE cannot hold"))


def _time(values: Any, column: Column) -> Converted:
    trimmed = pc.utf8_trim_whitespace(values)
    good = pc.match_substring_regex(trimmed, _TIME)
    hours = pc.cast(pc.replace_substring_regex(only(trimmed, good), r"^-|:.*$", ""), pa.int64())
    texts = only(trimmed, good)
    texts = pc.if_else(
        pc.equal(pc.count_substring(texts, ":"), 1), pc.binary_join_element_wise(texts, "00", ":"), texts
    )
    faults = (pc.invert(good), "is not a valid time"), (pc.greater(hours, _LAST_HOUR), "is beyond 838 hours")
    return checked(texts, *faults)


_FROM_TEXT: dict[str, Conversion] = {"datetime": _datetime, "timestamp": _datetime, "date": _date, "time": _time}

TEMPORAL: dict[tuple[str, str], Conversion] = {
    **{(kind, "text"): conversion for kind, conversion in _FROM_TEXT.items()},
    **{(kind, "integer"): refused("is a number, not a date or time") for kind in _FROM_TEXT},
    **{(kind, "real"): refused("is a number, not a date or time") for kind in _FROM_TEXT},
    **{(kind, "blob"): refused("is a blob, not a date or time") for kind in _FROM_TEXT},
}
