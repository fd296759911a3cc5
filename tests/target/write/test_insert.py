"""Plain inserts: every value arrives as it was, whatever it holds and whatever the server makes of a backslash."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dfsync.target.connection import make_engine
from dfsync.target.write.insert import insert_rows

TEXTS = ["", "'", "''", '"', "\\", "\\'", "a\\\\b\\n", "\n\r\t\0\x1a", "100%s %%", "žluťoučký 🐎", "NULL", None]


@pytest.mark.parametrize("mode", ["", ",NO_BACKSLASH_ESCAPES"])
def test_every_value_arrives_as_it_was(target_url: str, mode: str) -> None:
    columns = {
        "a 100%% `b`": pa.array(TEXTS),
        "number": pa.array([*range(-5, 6), None], pa.int64()),
        "large": pa.array([2**64 - 1] * 12, pa.uint64()),
        "amount": pa.array([Decimal("-0.00000001")] * 11 + [None], pa.decimal128(20, 8)),
        "ratio": pa.array([0.1, 1e300, -2.5e-300] * 4, pa.float64()),
        "raw": pa.array([b"", b"'\\\0\xff", None] * 4, pa.binary()),
        "at": pa.array([dt.datetime(2024, 2, 29, 23, 59, 59, 999999), None] * 6, pa.timestamp("us")),
        "day": pa.array([dt.date(1, 1, 1), None] * 6, pa.date32()),
    }
    kinds = "LONGTEXT, BIGINT, BIGINT UNSIGNED, DECIMAL(20;8), DOUBLE, VARBINARY(9), DATETIME(6), DATE"
    engine = make_engine(target_url)
    quote = engine.dialect.identifier_preparer.quote_identifier
    declared = ", ".join(
        f"{quote(name).replace('%%', '%')} {kind.replace(';', ',')}"
        for name, kind in zip(columns, kinds.split(", "), strict=True)
    )
    with engine.connect().execution_options(no_parameters=True) as connection:
        connection.exec_driver_sql(f"SET SESSION sql_mode = CONCAT(@@sql_mode, '{mode}')")
        connection.exec_driver_sql(f"CREATE TABLE `t%` ({declared}) CHARACTER SET utf8mb4")
        rows = pa.table(columns)
        assert insert_rows(connection, "t%", rows) == 12
        there = connection.exec_driver_sql("SELECT * FROM `t%`").all()
    assert [tuple(row) for row in there] == list(zip(*(column.to_pylist() for column in rows.columns), strict=True))
    engine.dispose()


HOSTILE = [
    "'",
    "''",
    "\\",
    "\\'",
    '"',
    "`",
    "%",
    "%s",
    "%%",
    ":x",
    "?",
    "\0",
    "\n",
    "\r",
    "\t",
    "\x1a",
    "--",
    "/*",
    "*/",
    "#",
]
HOSTILE += [";", ",", "(", ")", "x'", "NULL", "'), ('", "\\'); DROP TABLE `t`; --", "\xbf'", "\u5c5c", "😀", "a"]
HOSTILE_TEXTS = st.lists(st.sampled_from(HOSTILE) | st.text(max_size=3), max_size=12).map("".join)
ROWS = st.lists(st.tuples(st.none() | HOSTILE_TEXTS, st.none() | st.binary(max_size=9), HOSTILE_TEXTS), max_size=20)
NAMES = st.text(st.sampled_from("`'\"%\\;-:? a"), min_size=1, max_size=8).filter(lambda name: not name.endswith(" "))


@pytest.fixture
def engines(target_url: str) -> Iterator[dict[bool, sa.Engine]]:
    """By whether a backslash escapes: engines."""
    made = {escapes: make_engine(target_url) for escapes in (True, False)}

    @sa.event.listens_for(made[False], "connect")
    def no_escapes(connection: Any, _record: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION sql_mode = CONCAT(@@sql_mode, ',NO_BACKSLASH_ESCAPES')")

    yield made
    for engine in made.values():
        engine.dispose()


@pytest.mark.parametrize("escapes", [True, False])
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, name=NAMES)
def test_no_text_ends_its_literal(
    engines: dict[bool, sa.Engine], escapes: bool, rows: list[tuple[str | None, bytes | None, str]], name: str
) -> None:
    columns = [
        pa.array([row[i] for row in rows], type_) for i, type_ in enumerate([pa.string(), pa.binary(), pa.string()])
    ]
    quoted = "`" + name.replace("`", "``") + "`"
    with engines[escapes].connect().execution_options(no_parameters=True) as connection:
        connection.exec_driver_sql(
            f"CREATE TEMPORARY TABLE {quoted} (a LONGTEXT, b LONGBLOB, {quoted[:-1]}c` LONGTEXT)"
        )
        insert_rows(connection, name, pa.table(columns, names=["a", "b", f"{name}c"]))
        target_rows = connection.exec_driver_sql(f"SELECT * FROM {quoted}").all()  # noqa: S608
        connection.exec_driver_sql(f"DROP TEMPORARY TABLE {quoted}")
    assert [tuple(row) for row in target_rows] == rows


def test_many_rows_go_in_statements_that_a_server_takes(target: sa.Engine) -> None:
    with target.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (i INT, text LONGTEXT)")
        sizes = [1, 2_500_000, 10] * 4 + [100] * 30_000
        rows = pa.table({"i": pa.array(range(len(sizes))), "text": pa.array(["x" * size for size in sizes])})
        assert insert_rows(connection, "t", rows) == len(sizes)
        lengths = connection.exec_driver_sql("SELECT LENGTH(text) FROM t ORDER BY i").scalars().all()
        assert lengths == sizes
        most = connection.exec_driver_sql("SHOW SESSION STATUS LIKE 'Com_insert'").one()[1]
    assert int(most) < 30
