"""A server that takes small statements only, and rows that are larger."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from pymysql.converters import escape_bytes, escape_string
from sqlalchemy import Engine

from dfsync.model import frames
from dfsync.model.errors import DfsyncError
from dfsync.target import packet
from tests.support.git_history import counts, execute, fetch
from tests.support.scenario import Scenario

WAYS = pytest.mark.parametrize("local_infile", [True, False], ids=["load data local", "plain inserts"])
TABLE = "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9){}, v LONGTEXT, b LONGBLOB)"
ROWS = """
    CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, v TEXT, b BLOB);
    INSERT INTO t VALUES (1, 'small', 'x', x'00'), (2, 'text', printf('%.*c', 1500000, 'x'), NULL),
        (3, 'bytes', NULL, zeroblob(900000)), (4, 'quotes', printf('%.*c', 700000, ''''), NULL), (5, 'last', 'y', NULL);
    WITH RECURSIVE n (i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 999)
        INSERT INTO t SELECT i, 'n' || i, printf('%.*c', 3000, 'z'), NULL FROM n"""
LARGE = [2, 3, 4]


@pytest.fixture
def scenario(tmp_path: Path, target: Engine) -> Iterator[Scenario]:
    """With sessions that take 1 MiB at once."""
    if "DFSYNC_TEST_URL" in os.environ:
        pytest.skip("this server is not ours to change")
    ((usual,),) = fetch(target, "SELECT @@GLOBAL.max_allowed_packet")
    execute(target, "SET GLOBAL max_allowed_packet = 1048576")
    yield Scenario(tmp_path, target)
    execute(target, f"SET GLOBAL max_allowed_packet = {usual}")


@WAYS
@pytest.mark.parametrize("key", [" NOT NULL UNIQUE", ""], ids=["by key", "by content"])
def test_a_row_that_is_too_large_is_a_reject_or_goes_in_by_a_stream(
    scenario: Scenario, local_infile: bool, key: str
) -> None:
    scenario.create_source(ROWS)
    scenario.create_target(TABLE.format(key))
    result = scenario.sync(local_infile=local_infile)
    assert [c.error for c in result.counts] == [None]
    rejects = result.rejects["t"]
    assert rejects["old_id"].tolist() == ([] if local_infile else LARGE)
    assert rejects["reason"].str.fullmatch(r"has \d+ bytes, and the server takes 1048576 at once; raise its .*").all()
    names = {"text": (1_500_000, None), "bytes": (None, 900_000), "quotes": (700_000, None)} if local_infile else {}
    large = "SELECT name, LENGTH(v), LENGTH(b) FROM t WHERE LENGTH(CONCAT(IFNULL(v, ''), IFNULL(b, ''))) > 5000"
    assert {name: sizes for name, *sizes in scenario.read_target(large)} == {n: list(s) for n, s in names.items()}
    assert counts(scenario.sync(local_infile=local_infile)) == {"t": (0, 995 - len(rejects), len(rejects))}


def test_an_update_that_is_too_large_keeps_the_targets_row(scenario: Scenario) -> None:
    scenario.create_source(ROWS)
    scenario.create_target(
        TABLE.format(" NOT NULL UNIQUE"), "INSERT INTO t (name, v) SELECT CONCAT('n', seq), 'old' FROM seq_10_to_999"
    )
    execute(scenario.target, "INSERT INTO t (name) VALUES ('small'), ('text'), ('bytes'), ('quotes'), ('last')")
    (found,) = scenario.sync(on_match="update").counts
    assert (found.error, found.updated, found.matched) == (None, 992, 3)
    assert fetch(scenario.target, "SELECT COUNT(*) FROM t WHERE v = 'old'") == [(0,)]


@pytest.mark.parametrize("size", [1024, 1047552])
def test_a_server_that_takes_less_than_1_mib_is_refused_before_any_row(scenario: Scenario, size: int) -> None:
    scenario.create_source(ROWS)
    scenario.create_target(TABLE.format(" NOT NULL UNIQUE"))
    execute(scenario.target, f"SET GLOBAL max_allowed_packet = {size}")
    with pytest.raises(DfsyncError) as raised:
        scenario.sync()
    assert str(raised.value) == (
        f"The target takes {size} bytes at once, and dfsync needs 1048576. Raise its max_allowed_packet, as in "
        "SET GLOBAL max_allowed_packet = 16777216."
    )
    assert fetch(scenario.target, "SELECT COUNT(*) FROM t") == [(0,)]


def test_long_keys_are_looked_up_in_statements_that_the_server_takes(scenario: Scenario) -> None:
    scenario.create_source(
        """CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400)
            INSERT INTO t SELECT i, i || replace(printf('%.*c', 700, 'x'), 'x', '😀') FROM n"""
    )
    # Of so many rows of theirs only the keys at hand are asked for.
    theirs = "INSERT INTO t (id, name) SELECT 10000 + seq, seq FROM seq_1_to_9"
    scenario.create_target("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(710) UNIQUE)", theirs)
    assert counts(scenario.sync()) == {"t": (400, 0, 0)}
    assert counts(scenario.sync()) == {"t": (0, 400, 0)}


LONG_KEYS = """CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
    INSERT INTO t SELECT value, value || replace(printf('%.*c', {}, 'x'), 'x', '{}') FROM json_each('[1, 2, 3]')"""
BY_NAME = '[tables.t]\nnatural_key = ["name"]\n'


# Several sizes, so that the server's cut is within a key, after one, and within a character.
@pytest.mark.parametrize("more", [-3, -2, -1, 0, 1, 2, 3, 100_000])
@pytest.mark.parametrize("sign", ["x", "é", "😀"])
def test_a_key_that_the_server_cuts_off_is_not_taken_for_another(scenario: Scenario, more: int, sign: str) -> None:
    # Three keys, their ids, two separators each but the last, fill 1 MiB.
    scenario.create_source(LONG_KEYS.format((2**20 - 11) // 3 // len(sign.encode()) + more, sign), BY_NAME)
    scenario.create_target("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, name MEDIUMTEXT CHARACTER SET utf8mb4)")
    assert counts(scenario.sync_twice()) == {"t": (3, 0, 0)}


def test_a_key_of_millions_of_characters_is_found_again(tmp_path: Path, target: Engine) -> None:
    scenario = Scenario(tmp_path, target)
    scenario.create_source(
        """CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
        INSERT INTO t VALUES (1, printf('%.*c', 3000000, 'x')), (2, 'short')""",
        BY_NAME,
    )
    scenario.create_target("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, name MEDIUMTEXT)")
    assert counts(scenario.sync_twice()) == {"t": (2, 0, 0)}


def test_sizes_are_those_that_the_driver_writes() -> None:
    text = ["ä'\\\"\n\r\0\x1a", "", "plain"]
    values = [b"\xff\0'\"", b"", b"abc"]
    frame = frames.from_arrow(pa.table({"a": text, "b": pa.array(values, pa.binary())}), [1, 2, 3])
    written = [len(escape_string(a).encode()) + len(escape_bytes(b)) for a, b in zip(text, values, strict=True)]
    sizes = [packet._sizes(frame.iloc[[row]])[0] for row in range(3)]
    rest = [size - length for size, length in zip(sizes, written, strict=True)]
    assert min(rest) > 0
    assert max(rest) < 80
    parts = list(packet.chunks(pd.concat([frame] * 50), 1_000, 20))
    assert max(len(part) for part in parts) <= 1_000 // min(sizes)
    assert sum(len(part) for part in parts) == 150
