"""Checksums of ranges of ids, made by a real server."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, text

from dfsync.target.connection import connect
from dfsync.target.read.checksums import Checksums, can_be_checked, read_checksums
from dfsync.target.schema.reflection import reflect
from tests.support.git_history import execute

CREATE = """CREATE TABLE t (id BIGINT PRIMARY KEY, a VARCHAR(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci,
    b VARCHAR(9) CHARACTER SET latin1, n INT, other INT, KEY (a, b, n))"""


def read(
    target: Engine, *last_ids: int, key: str = "a b n", above: int | None = None, until: int | None = None
) -> Checksums:
    with target.connect() as connection:
        table = reflect(connection)["t"]
        return read_checksums(
            connection, table, "id", table.pick(key.split()), np.array(last_ids, np.int64), (above, until)
        )


@pytest.fixture
def filled(target: Engine) -> Engine:
    rows = ", ".join(f"({i}, 'a{i}', 'ä{i % 7}', {i % 5}, 0)" for i in range(1, 101))
    execute(target, CREATE, f"INSERT INTO t VALUES {rows}")  # noqa: S608
    return target


def test_each_range_counts_its_rows(filled: Engine) -> None:
    assert read(filled, 10, 50, 60).rows.tolist() == [10, 40, 10, 40]
    assert read(filled, 10, 200).rows.tolist() == [10, 90, 0]
    assert read(filled).rows.tolist() == [100]
    assert read(filled, 50, 60, above=50).rows.tolist() == [0, 10, 40]
    assert read(filled, 50, 60, above=40, until=58).rows.tolist() == [10, 8, 0]


def test_an_empty_table_has_no_rows(target: Engine) -> None:
    execute(target, CREATE)
    found = read(target, 5)
    assert (found.rows.tolist(), found.checksum_1.tolist()) == ([0, 0], [0, 0])


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE t SET a = 'A42' WHERE id = 42",
        "UPDATE t SET a = 'a42 ' WHERE id = 42",
        "UPDATE t SET a = NULL WHERE id = 42",
        "UPDATE t SET b = 'a0' WHERE id = 42",
        "UPDATE t SET n = -2 WHERE id = 42",
        "UPDATE t SET id = 1042 WHERE id = 42",
        "DELETE FROM t WHERE id = 42",
        "INSERT INTO t VALUES (-3, 'x', 'y', 0, 0)",
        # Two keys of one length that change places: CRC32 is linear, and its XOR would be the same.
        "UPDATE t SET a = CASE id WHEN 42 THEN 'a43' ELSE 'a42' END WHERE id IN (42, 43)",
        "UPDATE t SET n = CASE id WHEN 42 THEN 3 ELSE 2 END WHERE id IN (42, 43)",
        "UPDATE t SET id = CASE id WHEN 42 THEN -43 ELSE -42 END WHERE id IN (42, 43)",
    ],
)
def test_what_happens_to_a_key_or_an_id_shows_in_both_checksums(filled: Engine, change: str) -> None:
    before = read(filled, 40, 50)
    execute(filled, change)
    now = read(filled, 40, 50)
    assert before.checksum_1.tolist() != now.checksum_1.tolist()
    assert before.checksum_2.tolist() != now.checksum_2.tolist()


def test_other_columns_do_not_matter(filled: Engine) -> None:
    before = read(filled, 40, 50)
    execute(filled, "UPDATE t SET other = 9")
    now = read(filled, 40, 50)
    assert (before.checksum_1 == now.checksum_1).all()
    assert (before.checksum_2 == now.checksum_2).all()


def test_a_permutation_of_many_keys_shows(filled: Engine) -> None:
    seen = {(int(read(filled, 100).checksum_1[0]), int(read(filled, 100).checksum_2[0]))}
    for shift in range(1, 6):
        execute(filled, f"UPDATE t SET a = CONCAT('a', 100 + (id * {2 * shift + 1}) % 100)")  # noqa: S608
        now = read(filled, 100)
        seen.add((int(now.checksum_1[0]), int(now.checksum_2[0])))
    assert len(seen) == 6


@pytest.mark.parametrize(
    ("one", "other"),
    [("('x\x1fy', 'z')", "('x', 'y\x1fz')"), ("(NULL, 'z')", "('N', 'z')"), ("(NULL, 'z')", "('', 'z')")],
)
def test_no_two_keys_are_the_same_bytes(target: Engine, one: str, other: str) -> None:
    execute(target, CREATE)
    found = set()
    for values in (one, other):
        execute(target, "DELETE FROM t", f"INSERT INTO t (id, a, b) VALUES (1, {values[1:]}")  # noqa: S608
        found.add(int(read(target).checksum_1[0]))
    assert len(found) == 2


def test_ids_of_any_size_are_taken(target: Engine) -> None:
    execute(target, CREATE)
    ids = [-(2**63), -5, 0, 4_294_967_290, 2**62, 2**63 - 2]
    with target.begin() as connection:
        for number in ids:
            connection.execute(text("INSERT INTO t (id, a) VALUES (:id, 'same')"), {"id": number})
    assert read(target, *ids).rows.tolist() == [1] * 6 + [0]
    # 0 and 4294967290 have one factor.
    assert len(set(read(target, *ids).checksum_1[:-1].tolist())) == 5


def test_many_ranges(filled: Engine) -> None:
    assert read(filled, *range(1, 3000)).rows.tolist() == [1] * 100 + [0] * 2900


@pytest.mark.parametrize(
    ("type_", "values"),
    [
        (
            "DOUBLE",
            [x for y in (0.1, 1 / 3, 1e300, 5e-324, 2.0**53, -7e-11) for x in (y, float(np.nextafter(y, 9e307)))],
        ),
        (
            "DATETIME(6)",
            ["2024-01-01", "2024-01-01 00:00:00.000001", "2024-01-01 00:00:01", "0001-01-01", "9999-12-31"],
        ),
        ("TIMESTAMP(3)", ["2024-10-27 00:30:00", "2024-10-27 01:30:00", "2024-10-27 01:30:00.001"]),
        ("DATE", ["2024-01-01", "2024-01-10", "2024-10-01"]),
        ("DECIMAL(38, 9)", ["0.000000001", "0.000000002", "12345678901234567890123456789.1", "-1"]),
    ],
)
def test_each_value_of_a_type_is_told_from_the_others(target: Engine, type_: str, values: list[Any]) -> None:
    execute(target, f"CREATE TABLE v (id BIGINT PRIMARY KEY, x {type_} NOT NULL)")
    found = set()
    with connect(target) as connection:
        table = reflect(connection)["v"]
        assert can_be_checked([table["x"]])
        for value in values:
            connection.execute(text("REPLACE INTO v VALUES (1, :value)"), {"value": value})
            now = read_checksums(connection, table, "id", [table["x"]], np.array([1], np.int64))
            found.add((int(now.checksum_1[0]), int(now.checksum_2[0])))
        connection.rollback()
    assert len(found) == len(values)
