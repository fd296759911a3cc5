"""Values as the target's columns hold them; a value that does not fit makes its row a reject that says why."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from dfsync.model import frames
from dfsync.model.schema import Column
from dfsync.model.types import arrow_type
from dfsync.stages.conform.canonical import canonicalize
from dfsync.stages.conform.conform import conform
from dfsync.stages.conform.dispatch import CONVERSIONS
from dfsync.target.schema.reflection import KIND_BY_DATA_TYPE
from tests.support.tables.columns import (
    ASCII,
    BIGINT,
    BINARY,
    BIT,
    BLOB,
    BYTES_ENUM,
    CHAR,
    DATE,
    DATETIME,
    DECIMAL,
    DOUBLE,
    ENUM,
    EXACT_ENUM,
    EXACT_SET,
    FLOAT,
    INET4,
    INET6,
    INT,
    JSON,
    LATIN1,
    ONE_CASE,
    OTHER,
    POSITIVE,
    POSITIVE_DOUBLE,
    ROUNDED,
    SET,
    TINYINT,
    TINYTEXT,
    UNSIGNED,
    UTF8,
    UTF8MB3,
    UUID,
    VARCHAR,
    WIDE,
    YEAR,
    conformed,
    noted,
)

FITS: list[tuple[Column, Any, Any]] = [
    (INT, 12, 12),
    (INT, "12", 12),
    (INT, " +12.00 ", 12),
    (INT, "-0", 0),
    (INT, "007", 7),
    (INT, "000000000000000000000000000000000000000000007", 7),
    (INT, 12.0, 12),
    (INT, -0.0, 0),
    (INT, 2**31 - 1, 2**31 - 1),
    (INT, -(2**31), -(2**31)),
    (BIGINT, 2**63 - 1, 2**63 - 1),
    (BIGINT, str(2**63 - 1), 2**63 - 1),
    (BIGINT, str(-(2**63)), -(2**63)),
    (BIGINT, -(2.0**63), -(2**63)),
    (UNSIGNED, str(2**64 - 1), 2**64 - 1),
    (UNSIGNED, f" {2**64 - 1}.0", 2**64 - 1),
    (UNSIGNED, 2.0**63, 2**63),
    (UNSIGNED, 0, 0),
    (TINYINT, -128, -128),
    (TINYINT, 127, 127),
    (YEAR, 1901, 1901),
    (YEAR, 2155, 2155),
    (YEAR, 0, 0),
    (YEAR, "2024", 2024),
    (BIT, 7, 7),
    (BIT, "0", 0),
    (DECIMAL, 12, Decimal("12.00")),
    (DECIMAL, "999.99", Decimal("999.99")),
    (DECIMAL, "-999.994999", Decimal("-999.99")),
    (DECIMAL, ".5", Decimal("0.50")),
    (DECIMAL, "5.", Decimal("5.00")),
    (DECIMAL, " 1e2 ", Decimal("100.00")),
    (DECIMAL, "0.005", Decimal("0.01")),
    (DECIMAL, "-0.005", Decimal("-0.01")),
    (DECIMAL, "0.0049" + "9" * 80, Decimal("0.00")),
    (DECIMAL, "1e-99", Decimal("0.00")),
    (DECIMAL, 0.1, Decimal("0.10")),
    (DECIMAL, 1e-300, Decimal("0.00")),
    (WIDE, "9" * 35 + "." + "9" * 30, Decimal("9" * 35 + "." + "9" * 30)),
    (WIDE, "1E-30", Decimal("1E-30")),
    (POSITIVE, "0.00", Decimal("0.00")),
    (FLOAT, 0.5, 0.5),
    (FLOAT, 0.1, 0.10000000149011612),
    (FLOAT, 3.4028234663852886e38, 3.4028234663852886e38),
    (FLOAT, 16777217, 16777216.0),
    (ROUNDED, 1.005, 1.0),
    (ROUNDED, 999.99, 999.989990234375),
    (ROUNDED, 0.125, 0.11999999731779099),
    (DOUBLE, "1e308", 1e308),
    (DOUBLE, "+.5", 0.5),
    (DOUBLE, 5e-324, 5e-324),
    (DOUBLE, " 1.5 ", 1.5),
    (DOUBLE, 3, 3.0),
    (DOUBLE, 1.7976931348623157e308, 1.7976931348623157e308),
    (POSITIVE_DOUBLE, -0.0, 0.0),
    (VARCHAR, "", ""),
    (VARCHAR, "é😀中xx", "é😀中xx"),
    (VARCHAR, "ab   ", "ab   "),
    (VARCHAR, "a\x00'\n", "a\x00'\n"),
    (VARCHAR, 12345, "12345"),
    (VARCHAR, 1.0, "1.0"),
    (VARCHAR, -2.5, "-2.5"),
    (VARCHAR, 1e20, "1e+20"),
    (CHAR, "abc  ", "abc"),
    (CHAR, " a ", " a"),
    (CHAR, "ab\t", "ab\t"),
    (TINYTEXT, "é" * 127, "é" * 127),
    (LATIN1, "é€Ÿÿ\x81", "é€Ÿÿ\x81"),
    (ASCII, "~\x00 \x7f", "~\x00 \x7f"),
    (UTF8MB3, "中\uffff", "中\uffff"),
    (BLOB, b"\x00\xff", b"\x00\xff"),
    (BLOB, "é", b"\xc3\xa9"),
    (BINARY, b"ab", b"ab"),
    (ENUM, "Red", "Red"),
    (ENUM, "rED", "Red"),
    (ENUM, "a,b", "a,b"),
    (ENUM, 1, "1"),
    (EXACT_ENUM, "red", "red"),
    (SET, "", ""),
    (SET, "y,X,y", "x,Y"),
    (SET, 2, "2"),
    (EXACT_SET, "X", "X"),
    (JSON, '{"b": 1, "a": [1.50, 1e2, "\\u00e9"]}', '{"a":[1.5,100.0,"é"],"b":1}'),
    (JSON, "18446744073709551615", "18446744073709551615"),
    (JSON, "-9223372036854775808", "-9223372036854775808"),
    (JSON, 5, "5"),
    (JSON, 5.0, "5.0"),
    (DATE, "2024-02-29", date(2024, 2, 29)),
    (DATETIME, "2024-02-29", datetime(2024, 2, 29)),
    (OTHER, "POINT(1 1)", "POINT(1 1)"),
    (OTHER, 1, "1"),
    (OTHER, 1.0, "1.0"),
    (UUID, "123E4567E89B12D3A456426614174000", "123e4567-e89b-12d3-a456-426614174000"),
    (INET4, "10.0.0.1", "10.0.0.1"),
    (INET6, "2001:DB8:0:0::1", "2001:db8::1"),
]
DOES_NOT_FIT: list[tuple[Column, Any, str]] = [
    (INT, 2**31, "is out of the range of int (-2147483648 to 2147483647)"),
    (INT, -(2**31) - 1, "is out of the range of int"),
    (INT, 1.5, "is not a whole number"),
    (INT, float("inf"), "is out of the range of int"),
    (INT, "1.5", "is not an integer"),
    (INT, "0x10", "is not an integer"),
    (INT, "", "is not an integer"),
    (INT, "1e3", "is not an integer"),
    (INT, "\uff19", "is not an integer"),
    (INT, b"1", "is a blob, not a number"),
    (BIGINT, str(2**63), "is out of the range of bigint"),
    (BIGINT, str(-(2**63) - 1), "is out of the range of bigint"),
    (BIGINT, 2.0**63, "is out of the range of bigint"),
    (BIGINT, "9" * 50, "is out of the range of bigint"),
    (UNSIGNED, -1, "is out of the range of bigint unsigned (0 to 18446744073709551615)"),
    (UNSIGNED, "-1", "is out of the range of bigint unsigned"),
    (UNSIGNED, str(2**64), "is out of the range of bigint unsigned"),
    (UNSIGNED, 2.0**64, "is out of the range of bigint unsigned"),
    (UNSIGNED, -1.0, "is out of the range of bigint unsigned"),
    (TINYINT, 128, "is out of the range of tinyint"),
    (TINYINT, -129, "is out of the range of tinyint"),
    (YEAR, 1900, "is out of the range of year"),
    (YEAR, 2156, "is out of the range of year"),
    (YEAR, 24, "is out of the range of year"),
    (BIT, 8, "is out of the range of bit(3)"),
    (BIT, -1, "is out of the range of bit(3)"),
    (DECIMAL, 1000, "is out of the range of decimal(5,2)"),
    (DECIMAL, "999.995", "is out of the range of decimal(5,2)"),
    (DECIMAL, "-1e400", "is out of the range of decimal(5,2)"),
    (DECIMAL, "9" * 90, "is out of the range of decimal(5,2)"),
    (DECIMAL, "1,5", "is not a number"),
    (DECIMAL, "", "is not a number"),
    (DECIMAL, ".", "is not a number"),
    (DECIMAL, float("inf"), "is not a number"),
    (WIDE, "1" + "0" * 35, "is out of the range of decimal(65,30)"),
    (POSITIVE, "-0.01", "is negative and the column is decimal(5,2) unsigned"),
    (POSITIVE, b"1", "is a blob, not a number"),
    (FLOAT, 3.5e38, "is out of the range of float"),
    (FLOAT, -3.5e38, "is out of the range of float"),
    (ROUNDED, -1000, "is out of the range of float(5,2)"),
    (ROUNDED, 1000, "is out of the range of float(5,2)"),
    (ROUNDED, 999.999, "is out of the range of float(5,2)"),
    (DOUBLE, float("inf"), "is infinite"),
    (DOUBLE, float("-inf"), "is infinite"),
    (DOUBLE, "1e400", "is infinite"),
    (DOUBLE, float("nan"), "is not a number"),
    (DOUBLE, "nan", "is not a number"),
    (DOUBLE, b"1", "is a blob, not a number"),
    (POSITIVE_DOUBLE, -1e-300, "is negative and the column is double unsigned"),
    (VARCHAR, "abcdef", "is longer than the 5 characters of varchar(5)"),
    (VARCHAR, 123456, "is longer than the 5 characters of varchar(5)"),
    (VARCHAR, b"abc", "is a blob, or text that is not UTF-8"),
    (CHAR, "abcd ", "is longer than the 3 characters of char(3)"),
    (TINYTEXT, "é" * 128, "is longer than the 255 bytes of tinytext"),
    (LATIN1, "中", "holds a character that the column's character set latin1 lacks"),
    (LATIN1, "\x80", "holds a character that the column's character set latin1 lacks"),
    (ASCII, "é", "holds a character that the column's character set ascii lacks"),
    (UTF8MB3, "😀", "holds a character that the column's character set utf8mb3 lacks"),
    (UTF8, "😀", "holds a character that the column's character set utf8 lacks"),
    (BLOB, b"x" * 256, "is longer than tinyblob"),
    (BLOB, 1, "is a number, not a blob"),
    (BLOB, 1.5, "is a number, not a blob"),
    (BINARY, b"a", "would be padded to binary(2)"),
    (BINARY, b"abc", "is longer than binary(2)"),
    (ENUM, "blue", "is not one of enum('Red','1','a,b')"),
    (ENUM, "", "is not one of enum"),
    (ENUM, 2, "is not one of enum"),
    (ENUM, b"Red", "is a blob, or text that is not UTF-8"),
    (ONE_CASE, "red", "is not one of enum('Red')"),
    (BYTES_ENUM, "red", "is not one of enum('Red')"),
    (SET, "x,z", "is not of set('x','Y','2')"),
    (SET, "x,,Y", "is not of set"),
    (SET, 3, "is not of set"),
    (JSON, "{", "is not valid JSON"),
    (JSON, "NaN", "is not valid JSON"),
    (JSON, "1e400", "is not valid JSON"),
    (JSON, "[" * 100_000, "is not valid JSON"),
    (JSON, '"\\ud800"', "is not valid JSON"),
    (JSON, '[{"a": 1, "a": 2}]', "has a key twice, of which the column keeps one"),
    (JSON, b"{}", "is a blob, or text that is not UTF-8"),
    (DATE, 20240229, "is a number, not a date or time"),
    (DATE, 2024.5, "is a number, not a date or time"),
    (DATE, b"2024-02-29", "is a blob, not a date or time"),
    (OTHER, b"\x00", "is a blob, or text that is not UTF-8"),
    (YEAR, "9" * 40, "is out of the range of year (1901 to 2155)"),
    (UUID, "not one", "is not of uuid"),
    (UUID, "1_345678_1234_1234_1234_12345678", "is not of uuid"),
    (UUID, "+1345678123412341234123456789abc", "is not of uuid"),
    (UUID, "0x345678123412341234123456789abc", "is not of uuid"),
    (UUID, "\uff112345678123412341234123456789abc", "is not of uuid"),
    (INET4, "10.0.0.256", "is not of inet4"),
    (INET6, "10.0.0.1", "is not of inet6"),
]
NOTES: list[tuple[Column, Any, str]] = [
    (DECIMAL, "0.005", "decimal(5,2) keeps 2 decimals; longer fractions are rounded"),
    (FLOAT, 0.1, "float keeps about 7 digits; make it DOUBLE to keep them all"),
    (ROUNDED, 0.125, "float(5,2) keeps 2 decimals; longer fractions are rounded"),
    (DOUBLE, 2**53 + 1, "double keeps about 16 digits of large integers"),
    (DOUBLE, -(2**53) - 1, "double keeps about 16 digits of large integers"),
    (DOUBLE, "12345678901234567891", "double keeps about 16 digits of a number"),
    (DOUBLE, "-0.12345678901234567890123", "double keeps about 16 digits of a number"),
    (DOUBLE, "1e-400", "double keeps about 16 digits of a number"),
    (FLOAT, "0.50000000000000000001", "float keeps about 16 digits of a number"),
    (INT, "007", "a number keeps no leading zeros"),
    (DECIMAL, "007", "a number keeps no leading zeros"),
    (DOUBLE, "007", "a number keeps no leading zeros"),
    (CHAR, "a ", "char(3) does not keep trailing spaces"),
    (ENUM, "RED", "the column has its own case of the letters"),
    (SET, "y,x", "the column lists its members once, in its own order and case"),
    (SET, "x,x", "the column lists its members once, in its own order and case"),
    (JSON, "[0.12345678901234567890]", "json keeps about 16 digits of a number"),
    (JSON, "18446744073709551617", "json keeps about 16 digits of a number"),
    (JSON, "-9223372036854775809", "json keeps about 16 digits of a number"),
    (DATETIME, "2024-01-01 10:00:00.5", "datetime keeps 0 digits of a second's fraction; the rest is rounded"),
]
EXACT = [
    (DECIMAL, "0.10"),
    (FLOAT, 0.5),
    (DOUBLE, 2**53),
    (DOUBLE, 3),
    (DOUBLE, 0.1),
    (DOUBLE, "0.1"),
    (DOUBLE, " +0012000.00e-3 "),
    (DOUBLE, "1234567890.1234567"),
    (DOUBLE, "123456789012345680000"),
    (DOUBLE, "5e-324"),
    (DOUBLE, "-0.0"),
    (CHAR, "a"),
    (JSON, "[0.1,1.50]"),
]


def named(cases: list[Any]) -> list[Any]:
    return [pytest.param(*case, id=f"{case[0].type}-{str(case[1])[:20]!r}") for case in cases]


@pytest.mark.parametrize(("column", "value", "held"), named(FITS))
def test_a_value_that_means_the_same_is_converted(column: Column, value: Any, held: Any) -> None:
    made = conformed(column, None, value)
    assert made.rejects.empty, made.rejects["reason"].tolist()
    array = frames.as_arrow(made.frame["v"])
    assert array.type == arrow_type(column)
    assert array.to_pylist() == [None, held]
    assert str(array[1].as_py()) == str(held)


@pytest.mark.parametrize(("column", "value", "reason"), named(DOES_NOT_FIT))
def test_a_value_that_would_lose_something_is_a_reject_that_says_what(column: Column, value: Any, reason: str) -> None:
    made = conformed(column, None, value)
    assert made.frame.index.tolist() == [1]
    assert made.rejects.index.tolist() == [2]
    assert made.rejects["reason"].tolist()[0].startswith(reason)
    assert made.rejects["column"].tolist() == ["v"]


@pytest.mark.parametrize(("column", "value", "note"), named(NOTES))
def test_lost_precision_is_noted_once_per_column(column: Column, value: Any, note: str) -> None:
    assert noted(conformed(column, value, None, value)) == {"v": [(note, [1, 3])]}


BESIDE = {
    "integer": "12",
    "enum": "Red",
    "set": "x,Y",
    "decimal": "0.10",
    "float": 0.5,
    "double": 2**53,
    "text": "a",
    "json": "[0.1]",
    "datetime": "2024-01-01",
}


@pytest.mark.parametrize(("column", "value", "note"), named(NOTES))
def test_one_value_that_loses_something_is_enough_for_a_note(column: Column, value: Any, note: str) -> None:
    assert noted(conformed(column, BESIDE[column.kind], value)) == {"v": [(note, [2])]}


def test_the_values_of_one_storage_class_have_their_note_beside_those_of_another() -> None:
    note = "decimal(5,2) keeps 2 decimals; longer fractions are rounded"
    assert noted(conformed(DECIMAL, 12, "0.005")) == {"v": [(note, [2])]}
    assert noted(conformed(DECIMAL, 0.005, "0.5")) == {"v": [(note, [1])]}


def test_a_value_of_a_rejected_row_is_not_noted() -> None:
    values = pa.table({"a": ["0.005", "0.005"], "b": ["x", "1"]})
    made = conform(frames.from_arrow(values, [1, 2]), [replace(DECIMAL, name="a"), replace(INT, name="b")])
    assert made.rejects.index.tolist() == [1]
    assert [note.ids.tolist() for note in made.notes] == [[2]]


@pytest.mark.parametrize(("column", "value"), named(EXACT))
def test_nothing_is_noted_where_nothing_is_lost(column: Column, value: Any) -> None:
    assert noted(conformed(column, value, None)) == {}


@pytest.mark.parametrize(("column", "value", "held"), named(FITS))
def test_a_column_of_one_storage_class_is_converted_as_one_of_several(column: Column, value: Any, held: Any) -> None:
    made = conform(frames.from_arrow(pa.table({"v": pa.array([value, None])}), [1, 2]), [column])
    assert frames.as_arrow(made.frame["v"]).to_pylist() == [held, None]
    assert noted(made) == noted(conformed(column, value, None))


@pytest.mark.parametrize(("column", "value", "reason"), named(DOES_NOT_FIT))
def test_and_refused_as_one_of_several(column: Column, value: Any, reason: str) -> None:
    made = conform(frames.from_arrow(pa.table({"v": pa.array([value, None])}), [1, 2]), [column])
    assert made.frame.index.tolist() == [2]
    assert made.rejects["reason"].tolist()[0].startswith(reason)


@pytest.mark.parametrize(("column", "value"), named([case[:2] for case in FITS]))
def test_a_bad_neighbour_changes_no_value(column: Column, value: Any) -> None:
    bad: Any = {"binary": 1, "text": b"\xff", "other": b"\xff"}.get(column.kind, "no such value")
    alone, beside = conformed(column, value), conformed(column, value, bad)
    assert beside.rejects.index.tolist() == [2]
    assert frames.as_arrow(beside.frame["v"]).to_pylist() == frames.as_arrow(alone.frame["v"]).to_pylist()


@pytest.mark.parametrize(
    ("column", "read", "form"),
    named(
        [
            (JSON, '{"b": 1, "a": 1.50}', '{"a":1.5,"b":1}'),
            (UUID, "123E4567E89B12D3A456426614174000", "123e4567-e89b-12d3-a456-426614174000"),
            (INET6, "2001:DB8:0:0::1", "2001:db8::1"),
            (VARCHAR, '{"b": 1}', '{"b": 1}'),
            (OTHER, "POINT(1 1)", "POINT(1 1)"),
        ]
    ),
)
def test_what_is_read_from_the_target_has_the_form_of_what_is_sent(column: Column, read: str, form: str) -> None:
    made = canonicalize(pa.array([read, None]), column)
    assert made.to_pylist() == [form, None]
    assert made.type == canonicalize(made.slice(1), column).type == pa.string()
    if column is not VARCHAR:
        assert frames.as_arrow(conformed(column, read, None).frame["v"]).to_pylist() == [form, None]


@pytest.mark.parametrize("column", [FLOAT, DOUBLE], ids=lambda column: column.type)
def test_the_two_zeros_of_a_real_are_one_at_both_ends(column: Column) -> None:
    read = canonicalize(pa.array([-0.0, 0.0, None]), column)
    assert [str(value) for value in read.to_pylist()] == ["0.0", "0.0", "None"]


def test_every_kind_of_column_knows_what_to_do_with_every_storage_class() -> None:
    kinds, classes = {*KIND_BY_DATA_TYPE.values(), "other"}, ("integer", "real", "text", "blob")
    assert CONVERSIONS.keys() == {(kind, of) for kind in kinds for of in classes}
