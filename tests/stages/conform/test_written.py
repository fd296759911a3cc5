"""Values that are read as a plan says that the source writes them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from dfsync.model import frames
from dfsync.model.batch import Batch
from dfsync.model.options import CONVERT
from dfsync.model.schema import Column
from dfsync.model.types import MIXED_STORAGE
from dfsync.stages.conform.conform import conform
from dfsync.stages.conform.written import CONVERTERS
from tests.support.tables.columns import noted

NOON = datetime(2023, 11, 14, 12, 0, 0, 250_000)
NOON_MS = int(NOON.replace(tzinfo=UTC).timestamp() * 1000)
KINDS = {
    "datetime": {"type": "datetime(6)", "precision": 6},
    "date": {"type": "date"},
    "text": {"type": "varchar(40)", "length": 40},
    "integer": {"type": "tinyint(1)"},
    "bit": {"type": "bit(1)", "precision": 1},
}


def conformed(kind: str, written_as: tuple[str, str], values: pa.Array) -> Batch:
    column: Any = Column("v", kind, **KINDS[kind], written_as=written_as)  # type: ignore[arg-type]
    return conform(frames.from_arrow(pa.table({"v": values}), range(1, len(values) + 1)), [column])


def held(made: Batch) -> list[Any]:
    return list(frames.as_arrow(made.frame["v"]).to_pylist())


def test_every_word_of_convert_has_a_function() -> None:
    assert tuple(CONVERTERS) == CONVERT


@pytest.mark.parametrize(
    ("word", "values"),
    [
        ("epoch_s", pa.array([NOON_MS / 1000, None])),
        ("epoch_s", pa.array([f" {NOON_MS / 1000} ", None])),
        ("epoch_ms", pa.array([NOON_MS, None])),
        ("epoch_ms", pa.array([str(NOON_MS), None])),
        ("epoch_ms", pa.array([float(NOON_MS), None])),
        ("epoch_us", pa.array([NOON_MS * 1000, None])),
        ("epoch_us", pa.array([NOON_MS * 1000.0, None])),
        ("epoch_ms", pa.array([{"integer": NOON_MS}, None], MIXED_STORAGE)),
        ("epoch_ms", pa.array([{"text": str(NOON_MS)}, None], MIXED_STORAGE)),
    ],
)
def test_numbers_since_1970_are_instants_of_utc(word: str, values: pa.Array) -> None:
    made = conformed("datetime", ("convert", word), values)
    assert held(made) == [NOON, None]
    assert made.notes == ()
    assert held(conformed("text", ("convert", word), values)) == ["2023-11-14 12:00:00.25", None]


def test_instants_before_1970_and_at_midnight() -> None:
    values = pa.array([-1, 0, -62_135_596_800, 253_402_300_799])
    last = datetime(9999, 12, 31, 23, 59, 59)
    expected = [datetime(1969, 12, 31, 23, 59, 59), datetime(1970, 1, 1), datetime(1, 1, 1), last]
    assert held(conformed("datetime", ("convert", "epoch_s"), values)) == expected
    texts = ["1969-12-31 23:59:59", "1970-01-01 00:00:00", "0001-01-01 00:00:00", "9999-12-31 23:59:59"]
    assert held(conformed("text", ("convert", "epoch_s"), values)) == texts


@pytest.mark.parametrize(
    "values",
    [
        pa.array([2**62, -(2**63), 253_402_300_800]),
        pa.array([float("inf"), float("nan"), 1e18]),
        pa.array(["yesterday", "", "9" * 30]),
        pa.array([b"1", b"\xff", b""]),
    ],
)
def test_what_is_no_instant_is_a_reject_that_names_the_setting(values: pa.Array) -> None:
    made = conformed("datetime", ("convert", "epoch_s"), values)
    assert held(made) == []
    assert set(made.rejects["reason"]) == {'does not fit convert = "epoch_s" of the plan'}


def test_a_real_finer_than_a_microsecond_is_rounded_and_noted() -> None:
    made = conformed("datetime", ("convert", "epoch_s"), pa.array([1.0000004, 1.5, 1_700_000_000.123456]))
    assert held(made)[:2] == [datetime(1970, 1, 1, 0, 0, 1), datetime(1970, 1, 1, 0, 0, 1, 500_000)]
    assert noted(made) == {"v": [("an instant keeps six digits of a second's fraction; the rest is rounded", [1])]}


def test_a_real_in_the_far_future_is_an_instant() -> None:
    assert held(conformed("datetime", ("convert", "epoch_s"), pa.array([1e11]))) == [datetime(5138, 11, 16, 9, 46, 40)]


def test_a_date_takes_an_instant_only_at_midnight() -> None:
    made = conformed("date", ("convert", "epoch_s"), pa.array([86_400, 86_401]))
    assert held(made) == [date(1970, 1, 2)]
    assert list(made.rejects["reason"]) == ["has a time of day, which a DATE cannot hold"]


@pytest.mark.parametrize("kind", ["integer", "bit"])
def test_words_for_yes_and_no(kind: str) -> None:
    words = ["yes", "No", " TRUE ", "false", "t", "F", "Y", "n", "on", "OFF", "1", "0", None]
    made = conformed(kind, ("convert", "boolean"), pa.array(words))
    assert held(made) == [1, 0] * 6 + [None]
    assert held(conformed(kind, ("convert", "boolean"), pa.array([1, 0, None]))) == [1, 0, None]
    assert held(conformed(kind, ("convert", "boolean"), pa.array([1.0, 0.0]))) == [1, 0]


def test_other_words_are_rejects() -> None:
    values = pa.array([{"text": "maybe"}, {"integer": 2}, {"real": 0.5}, {"text": ""}, {"text": "yes"}], MIXED_STORAGE)
    made = conformed("integer", ("convert", "boolean"), values)
    assert held(made) == [1]
    assert sorted(made.rejects["value"]) == ["", "0.5", "2", "maybe"]
    assert set(made.rejects["reason"]) == {'does not fit convert = "boolean" of the plan'}


@pytest.mark.parametrize(
    ("form", "values", "expected"),
    [
        ("%d.%m.%Y", pa.array(["31.12.2023", " 1.2.0001 ", None]), [date(2023, 12, 31), date(1, 2, 1), None]),
        ("%m/%d/%y", pa.array(["12/31/99"]), [date(1999, 12, 31)]),
        ("%Y%m%d", pa.array([20231231]), [date(2023, 12, 31)]),
        ("%d. %B %Y", pa.array(["3. March 2023"]), [date(2023, 3, 3)]),
    ],
)
def test_dates_of_a_form(form: str, values: pa.Array, expected: list[date | None]) -> None:
    made = conformed("date", ("dates", form), values)
    assert held(made) == expected
    texts = [None if day is None else day.isoformat() for day in expected]
    assert held(conformed("text", ("dates", form), values)) == texts


def test_a_form_may_name_a_time_and_a_zone() -> None:
    values = pa.array(["31.12.2023 23:30 +0200", "31.12.2023 23:30 +0000"])
    made = conformed("datetime", ("dates", "%d.%m.%Y %H:%M %z"), values)
    assert held(made) == [datetime(2023, 12, 31, 21, 30), datetime(2023, 12, 31, 23, 30)]
    assert noted(made) == {"v": [("times with a zone are converted to UTC", [1])]}


def test_what_is_no_date_of_the_form_is_a_reject() -> None:
    made = conformed(
        "date", ("dates", "%d.%m.%Y"), pa.array(["30.02.2023", "2023-12-31", "now", "today", "", "1.2.2023x"])
    )
    assert held(made) == []
    assert set(made.rejects["reason"]) == {'does not fit dates = "%d.%m.%Y" of the plan'}


def test_a_fraction_finer_than_microseconds_is_a_reject() -> None:
    values = pa.array(["1.2.2023 1:02:03.1234567", "1.2.2023 1:02:03.123456"])
    assert held(conformed("datetime", ("dates", "%d.%m.%Y %H:%M:%S.%f"), values)) == [
        datetime(2023, 2, 1, 1, 2, 3, 123456)
    ]


def test_as_python_reads_them() -> None:
    instants = pd.to_datetime(pd.Series(np.arange(-(10**9), 4 * 10**9, 123_456_789)), unit="s").dt.to_pydatetime()
    for form in ("%d.%m.%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p", "%j %Y %S:%M:%H"):
        values = pa.array([instant.strftime(form) for instant in instants])
        assert held(conformed("datetime", ("dates", form), values)) == list(instants), form
