"""Read values as a plan says that the source writes them: numbers that are instants, words for yes and no, dates."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from dfsync.model.schema import Column
from dfsync.plan.settings.values import names_time
from dfsync.stages.conform.conversion import Change, ConversionResult, where, with_faults

_MICROSECONDS = pa.timestamp("us")
_EPOCH = dt.datetime(1970, 1, 1)
_LOWEST, _HIGHEST = (
    (instant - _EPOCH) // dt.timedelta(microseconds=1)
    for instant in (dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59, 999_999))
)
_NUMBER = r"^[+-]?[0-9]+(\.[0-9]*)?$"
_LONGEST = 18
"""Digits that an int64 always holds, and a text of a number has at most."""
_EXACT = 2**53
_ROUNDED = "an instant keeps six digits of a second's fraction; the rest is rounded"
_TO_UTC = "times with a zone are converted to UTC"
_ZERO_ZONE = r"([zZ]|[+-]00:?00)$"
_DIGIT = "[0-9]"
_TEMPORAL = frozenset({"date", "datetime", "timestamp"})
YES, NO = ("1", "true", "t", "yes", "y", "on"), ("0", "false", "f", "no", "n", "off")
"""The words of a boolean, in lower case."""
_Reader = Callable[[pa.Array], tuple[pa.Array, list[Change]]]
"""Takes integers, reals or texts. Gives instants (Arrow timestamps), or 1 and 0 (int64), NULL where a value is neither;
and the changes."""


def read_as_written(values: pa.Array, column: Column, storage_class: str) -> ConversionResult:
    """Read values as the plan says that the source writes them.

    Parameters
    ----------
    values
        Arrow int64, float64, string or binary.
    column
        The target's column, with `written_as`.
    storage_class
        Of the values: `integer`, `real`, `text` or `blob`.

    Returns
    -------
    ConversionResult
        Values as a source might have them: int64 for booleans; for instants, in UTC, timestamps of microseconds where
        the column is a date or time, else texts. A value that cannot be read so is a fault, and NULL.
    """
    assert column.written_as is not None
    setting, said = column.written_as
    reason = f'does not fit {setting} = "{said}" of the plan'
    if storage_class == "blob":
        return with_faults(pa.nulls(len(values)), (values.is_valid(), reason))
    reader = date_reader(said) if setting == "dates" else CONVERTERS[said]
    read, changes = reader(values)
    unread = pc.and_(values.is_valid(), read.is_null())
    if pa.types.is_timestamp(read.type) and column.kind not in _TEMPORAL:
        read = _as_text(read, days=setting == "dates" and not names_time(said))
    return with_faults(read, (unread, reason), changes=changes)


def _as_text(instants: pa.Array, *, days: bool) -> pa.Array:
    """Instants as ISO 8601, without a fraction of zeros; or the days alone."""
    if days:
        return pc.cast(pc.cast(instants, pa.date32(), safe=False), pa.string())
    return pc.replace_substring_regex(pc.cast(instants, pa.string()), r"\.?0+$", "")


def _epoch(microseconds: int) -> _Reader:
    """Read numbers of units of so many microseconds since 1970."""

    def read(values: pa.Array) -> tuple[pa.Array, list[Change]]:
        if pa.types.is_string(values.type):
            trimmed = pc.utf8_trim_whitespace(values)
            short = pc.less_equal(pc.utf8_length(trimmed), _LONGEST)
            texts = where(trimmed, pc.and_(pc.match_substring_regex(trimmed, _NUMBER), short))
            has_point = pc.any(pc.match_substring_regex(texts, r"\.")).as_py()
            values = pc.cast(pc.replace_substring_regex(texts, r"^\+", ""), pa.float64() if has_point else pa.int64())
        low, end = (pa.scalar(bound // microseconds, pa.int64()) for bound in (_LOWEST, _HIGHEST + microseconds))
        low, end = (bound.cast(values.type, safe=False) for bound in (low, end))
        inside = where(values, pc.and_(pc.greater_equal(values, low), pc.less(values, end)))
        if pa.types.is_integer(inside.type):
            return pc.multiply(inside, microseconds).cast(_MICROSECONDS), []
        instants = pc.cast(pc.round(pc.multiply(inside, float(microseconds))), pa.int64())
        rounded = pc.not_equal(pc.divide(pc.cast(instants, pa.float64(), safe=False), float(microseconds)), inside)
        return instants.cast(_MICROSECONDS), [(rounded, _ROUNDED)]

    return read


def _boolean(values: pa.Array) -> tuple[pa.Array, list[Change]]:
    if not pa.types.is_string(values.type):
        return pc.cast(where(values, pc.is_in(values, pa.array([0, 1]).cast(values.type))), pa.int64()), []
    position = pc.index_in(pc.utf8_lower(pc.utf8_trim_whitespace(values)), value_set=pa.array(YES + NO))
    return pc.cast(pc.less(position, len(YES)), pa.int64()), []


def date_reader(form: str) -> _Reader:
    """Return what reads dates of a form.

    Parameters
    ----------
    form
        As strptime of Python takes it.

    Returns
    -------
    callable
        Takes Arrow integers, reals or texts; gives timestamps of microseconds, in UTC where the form names a zone.

    References
    ----------
    https://docs.python.org/3/library/datetime.html#format-codes
    """

    def read(values: pa.Array) -> tuple[pa.Array, list[Change]]:
        texts = pc.utf8_trim_whitespace(pc.cast(values, pa.string()))
        # pandas takes `now` and `today` for dates of every form.
        texts = where(texts, pc.match_substring_regex(texts, _DIGIT))
        parsed = pd.to_datetime(pd.Series(texts.to_pandas(), dtype="str"), format=form, utc=True, errors="coerce")
        local = parsed.dt.tz_localize(None)
        instants = local.astype("datetime64[us]")
        exact = (instants == local).to_numpy(dtype=bool)
        read = where(pa.array(instants).cast(_MICROSECONDS), pa.array(np.asarray(exact)))
        if "%z" not in form:
            return read, []
        return read, [(pc.invert(pc.match_substring_regex(texts, _ZERO_ZONE)), _TO_UTC)]

    return read


CONVERTERS: dict[str, _Reader] = {
    "epoch_s": _epoch(1_000_000),
    "epoch_ms": _epoch(1_000),
    "epoch_us": _epoch(1),
    "boolean": _boolean,
}
"""By the words of `dfsync.model.options.CONVERT`."""
