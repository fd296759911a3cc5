"""Texts as dates and times: what is valid, what is rounded, what is out of range, whatever stands beside it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfsync.model import frames
from dfsync.model.batch import Batch
from dfsync.model.schema import Column
from dfsync.stages.conform.conform import conform
from tests.support.tables.columns import noted

SECONDS = Column("v", "datetime", "datetime", precision=0)
MILLIS = Column("v", "datetime", "datetime(3)", precision=3)
MICROS = Column("v", "datetime", "datetime(6)", precision=6)
TIMESTAMP = Column("v", "timestamp", "timestamp", precision=0, max_value=datetime(2038, 1, 19, 3, 14, 7, 999_999))
DATE = Column("v", "date", "date")
TIME = Column("v", "time", "time", precision=0)
TIME2 = Column("v", "time", "time(2)", precision=2)
TIME6 = Column("v", "time", "time(6)", precision=6)
LAST = datetime(9999, 12, 31, 23, 59, 59)


def conformed(column: Column, *values: str | None) -> Batch:
    table = pa.table({"v": pa.array(values, pa.string())})
    return conform(frames.from_arrow(table, range(1, len(values) + 1)), [column])


def held(made: Batch) -> list[Any]:
    return list(frames.as_arrow(made.frame["v"]).to_pylist())


FITS: list[tuple[Column, str, Any]] = [
    (SECONDS, "2024-02-29", datetime(2024, 2, 29)),
    (SECONDS, "2024-02-29 01", datetime(2024, 2, 29, 1)),
    # Servers round to microseconds first, and then once more.
    (SECONDS, "2024-02-29 01:00:00.4999999", datetime(2024, 2, 29, 1, 0, 1)),
    (SECONDS, "2024-02-29 01:00:00.4999994", datetime(2024, 2, 29, 1)),
    (MILLIS, "2024-02-29 01:00:00.0004999999", datetime(2024, 2, 29, 1, 0, 0, 1_000)),
    (replace(SECONDS, cuts_fractions=True), "2024-12-31 23:59:59.9999999", datetime(2024, 12, 31, 23, 59, 59)),
    (replace(MICROS, cuts_fractions=True), "2024-12-31 23:59:59.9999999", datetime(2024, 12, 31, 23, 59, 59, 999_999)),
    (replace(TIME, cuts_fractions=True), "-838:59:59.9", "-838:59:59"),
    (TIME, "-1:00:00.4999999", "-01:00:01"),
    (SECONDS, "2024-02-29 01:02", datetime(2024, 2, 29, 1, 2)),
    (SECONDS, "2024-02-29T01:02:03", datetime(2024, 2, 29, 1, 2, 3)),
    (SECONDS, "  2024-02-29 01:02:03 ", datetime(2024, 2, 29, 1, 2, 3)),
    (SECONDS, "2024-02-29T01:02:03Z", datetime(2024, 2, 29, 1, 2, 3)),
    (SECONDS, "2024-02-29 01:02:03 +02:00", datetime(2024, 2, 28, 23, 2, 3)),
    (SECONDS, "2024-02-29T01:02-0530", datetime(2024, 2, 29, 6, 32)),
    (SECONDS, "0001-01-01 00:00:00", datetime(1, 1, 1)),
    (SECONDS, "9999-12-31 23:59:59.4", LAST),
    (SECONDS, "2024-01-01 00:00:00.5", datetime(2024, 1, 1, 0, 0, 1)),
    (SECONDS, "1969-12-31 23:59:59.5", datetime(1970, 1, 1)),
    (SECONDS, "1969-12-31 23:59:58.499999", datetime(1969, 12, 31, 23, 59, 58)),
    (MILLIS, "2024-01-01 00:00:00.0004999", datetime(2024, 1, 1, 0, 0, 0, 1_000)),
    (MILLIS, "2024-01-01 00:00:00.0005", datetime(2024, 1, 1, 0, 0, 0, 1000)),
    (MICROS, "2024-01-01 00:00:00.1234564", datetime(2024, 1, 1, 0, 0, 0, 123456)),
    (MICROS, "2024-01-01 00:00:00.123456789", datetime(2024, 1, 1, 0, 0, 0, 123457)),
    (MICROS, "2023-12-31 23:59:59.9999995", datetime(2024, 1, 1)),
    (MICROS, "9999-12-31 23:59:59.999999", LAST.replace(microsecond=999_999)),
    (SECONDS, "2024-02-29 01:02:03 z", datetime(2024, 2, 29, 1, 2, 3)),
    (MICROS, "2024-02-29T01:02:03.5z", datetime(2024, 2, 29, 1, 2, 3, 500_000)),
    (TIMESTAMP, "1970-01-01 00:00:01", datetime(1970, 1, 1, 0, 0, 1)),
    (TIMESTAMP, "1970-01-01 00:00:00.5", datetime(1970, 1, 1, 0, 0, 1)),
    (TIMESTAMP, "2038-01-19 03:14:07.4", datetime(2038, 1, 19, 3, 14, 7)),
    (DATE, "2024-02-29", date(2024, 2, 29)),
    (DATE, "2024-02-29T00:00:00Z", date(2024, 2, 29)),
    (DATE, "2024-02-29T02:00:00+02:00", date(2024, 2, 29)),
    (DATE, "0001-01-01", date(1, 1, 1)),
    (DATE, "9999-12-31", date(9999, 12, 31)),
    (TIME, "1:02", "01:02:00"),
    (TIME, " 01:02:03 ", "01:02:03"),
    (TIME, "-0:00:00", "00:00:00"),
    (TIME, "-0:00:00.4", "00:00:00"),
    (TIME, "-0:00:00.5", "-00:00:01"),
    (TIME, "838:59:59", "838:59:59"),
    (TIME, "-838:59:59.4", "-838:59:59"),
    (TIME, "23:59:59.9", "24:00:00"),
    (TIME2, "1:02:03", "01:02:03.00"),
    (TIME2, "1:02:03.4", "01:02:03.40"),
    (TIME2, "-100:02:03.455", "-100:02:03.46"),
    (TIME2, "1:02:03.4549999999", "01:02:03.46"),
    (TIME6, "1:02:03.0000005", "01:02:03.000001"),
    (TIME6, "1:02:03.123456", "01:02:03.123456"),
]

NO_DATE = "is not a valid date"
NO_INSTANT = "is not a valid date and time"
DOES_NOT_FIT: list[tuple[Column, str, str]] = [
    *((DATE, text, NO_DATE) for text in ("2024-02-30", "2023-02-29", "", "0000-00-00", "2024-00-01", "2024-1-1")),
    *((DATE, text, NO_DATE) for text in ("20240101", "2024-01-01x", "10000-01-01", "-0001-01-01", "1704067200", "now")),
    (DATE, "2024-01-01 00:00:01", "has a time of day, which a DATE cannot hold"),
    (DATE, "1969-12-31 23:59:59.999999", "has a time of day, which a DATE cannot hold"),
    (DATE, "2024-01-01 00:00:00.0000005", "has a time of day, which a DATE cannot hold"),
    (DATE, "0000-01-01", "is out of the range of date"),
    *(
        (SECONDS, text, NO_INSTANT)
        for text in ("2024-02-31 00:00:00", "0000-00-00 00:00:00", "", "2024-01-01 24:00:00")
    ),
    *(
        (SECONDS, text, NO_INSTANT)
        for text in ("2024-01-01 00:60", "2024-01-01 00:00:60", "2024-01-01  00:00", "12:00")
    ),
    *((SECONDS, text, NO_INSTANT) for text in ("2024-01-01 00:00:00.", "2024-01-01 00:00+25:00", "2024-01-01Z")),
    (SECONDS, "0000-12-31 23:59:59", "is out of the range of datetime"),
    (SECONDS, "9999-12-31 23:59:59.5", "is out of the range of datetime"),
    (SECONDS, "9999-12-31 23:59:59-01:00", "is out of the range of datetime"),
    (MICROS, "9999-12-31 23:59:59.9999995", "is out of the range of datetime(6)"),
    (TIMESTAMP, "1969-12-31 23:59:59", "is out of the range of timestamp"),
    (TIMESTAMP, "1970-01-01 00:00:00.4", "is out of the range of timestamp"),
    (TIMESTAMP, "2038-01-19 03:14:07.5", "is out of the range of timestamp"),
    (TIMESTAMP, "2106-02-08 00:00:01", "is out of the range of timestamp"),
    *((TIME, text, "is not a valid time") for text in ("", "1:2:3", "1:60", "1:00:60", "1:00:00.", "+1:00", "1000:00")),
    *((TIME, text, "is not a valid time") for text in ("12", "1:00Z", "2024-01-01 00:00:00", "-", "--1:00")),
    (TIME, "839:00:00", "is beyond 838 hours"),
    (TIME, "-838:59:59.5", "is beyond 838 hours"),
    (DATE, "2024-01-01 00:00:00.00000001", "has a time of day, which a DATE cannot hold"),
]
KEEPS = "keeps {} digits of a second's fraction; the rest is rounded"
NOTES: list[tuple[Column, str, str | None]] = [
    (SECONDS, "2024-01-01 00:00:00.1", f"datetime {KEEPS.format(0)}"),
    (SECONDS, "2024-01-01 00:00:00.000", None),
    (MILLIS, "2024-01-01 00:00:00.123", None),
    (MILLIS, "2024-01-01 00:00:00.1235", f"datetime(3) {KEEPS.format(3)}"),
    (MICROS, "2024-01-01 00:00:00.1234567", f"datetime(6) {KEEPS.format(6)}"),
    (SECONDS, "2024-01-01 00:00:00Z", None),
    (SECONDS, "2024-01-01 00:00:00-00:00", None),
    (SECONDS, "2024-01-01 00:00:00+01:00", "times with a zone are converted to UTC"),
    (SECONDS, "2024-01-01 10:00:00.1-01:00", f"times with a zone are converted to UTC; datetime {KEEPS.format(0)}"),
    (DATE, "2024-01-02 01:00:00+01:00", "times with a zone are converted to UTC"),
    (TIME, "1:00:00.1", f"time {KEEPS.format(0)}"),
    (TIME2, "1:00:00.100000000", None),
    (TIME6, "1:00:00.12345600001", f"time(6) {KEEPS.format(6)}"),
    (replace(SECONDS, cuts_fractions=True), "2024-01-01 00:00:00.9", f"datetime {KEEPS.format(0)[:-7]}cut"),
    (replace(MICROS, cuts_fractions=True), "2024-01-01 00:00:00.1234567", f"datetime(6) {KEEPS.format(6)[:-7]}cut"),
    (replace(TIME, cuts_fractions=True), "1:00:00.9", f"time {KEEPS.format(0)[:-7]}cut"),
]


def named(cases: list[Any]) -> list[Any]:
    return [pytest.param(*case, id=f"{case[0].type}-{case[1]}") for case in cases]


@pytest.mark.parametrize(("column", "text", "value"), named(FITS))
def test_a_valid_text_is_the_date_or_time_that_it_means(column: Column, text: str, value: Any) -> None:
    made = conformed(column, text, None)
    assert made.rejects.empty, made.rejects["reason"].tolist()
    assert held(made) == [value, None]


@pytest.mark.parametrize(("column", "text", "reason"), named(DOES_NOT_FIT))
def test_an_invalid_or_unreachable_one_is_a_reject(column: Column, text: str, reason: str) -> None:
    made = conformed(column, text, None)
    assert made.rejects["reason"].to_dict() == {1: reason}
    assert held(made) == [None]


@pytest.mark.parametrize(("column", "text", "note"), named(NOTES))
def test_what_is_done_to_precision_and_zone_is_noted(column: Column, text: str, note: str | None) -> None:
    said = noted(conformed(column, text, None))
    assert "; ".join(words for words, _ in said.get("v", [])) == (note or "")
    assert all(rows == [1] for _, rows in said.get("v", []))


@pytest.mark.parametrize(("column", "text", "value"), named(FITS))
def test_a_bad_neighbour_changes_no_value(column: Column, text: str, value: Any) -> None:
    made = conformed(column, "yesterday", text)
    assert made.rejects.index.tolist() == [1]
    assert held(made) == [value]


ZONES: Any = st.sampled_from([None, UTC]) | st.timezones()


@given(
    st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=ZONES),
    st.sampled_from([" ", "T"]),
)
def test_every_iso_form_of_an_instant_is_that_instant_in_utc(instant: datetime, separator: str) -> None:
    offset = instant.utcoffset() or timedelta()
    # Whole minutes, as ISO 8601 writes offsets.
    rounded = timedelta(minutes=round(offset.total_seconds() / 60))
    fixed = instant.replace(tzinfo=timezone(rounded)) if instant.tzinfo else instant
    expected = fixed.astimezone(UTC).replace(tzinfo=None) if fixed.tzinfo else fixed
    assert held(conformed(MICROS, fixed.isoformat(separator))) == [expected]


@given(st.integers(-838 * 3600, 838 * 3600), st.integers(0, 999_999))
def test_every_duration_has_the_servers_own_form(seconds: int, micros: int) -> None:
    hours, minutes, rest = abs(seconds) // 3600, abs(seconds) // 60 % 60, abs(seconds) % 60
    sign = "-" if seconds < 0 else ""
    form = f"{sign}{hours:02}:{minutes:02}:{rest:02}.{micros:06}"
    assert held(conformed(TIME6, form)) == [form]


def test_a_date_keeps_nothing_of_a_zero_time_and_says_nothing() -> None:
    made = conformed(DATE, "2024-01-01 00:00:00")
    assert held(made) == [date(2024, 1, 1)]
    assert noted(made) == {}
