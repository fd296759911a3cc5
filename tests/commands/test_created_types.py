"""The types of the columns that `create-tables` makes."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine

from dfsync.commands.sync import sync
from tests.support.runs.created_tables import Made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "source.db"


@pytest.mark.parametrize(
    ("declared", "value", "expected"),
    [
        ("INTEGER", "1", "bigint"),
        ("SMALLINT", "1", "smallint"),
        ("SMALLINT", "100000", "bigint"),
        ("bigint unsigned", "1", "bigint"),
        ("INTEGER", "1.5", "double"),
        ("BOOLEAN", "1", "tinyint(1)"),
        ("bool", "'true'", "text"),
        ("VARCHAR(40)", "'a'", "varchar(40)"),
        ("varchar(3)", "'abcdef'", "varchar(6)"),
        ("VARCHAR", "'a'", "text"),
        ("VARCHAR(20000)", "'a'", "text"),
        ("VARYING CHARACTER(7)", "'a'", "varchar(7)"),
        ("CHAR(5)", "'ab'", "char(5)"),
        ("CHAR(5)", "'ab '", "varchar(5)"),
        ("TEXT", "'a'", "text"),
        ("TEXT", "printf('%.*c', 70000, 'x')", "mediumtext"),
        ("REAL", "1.5", "double"),
        ("FLOAT", "1.5", "double"),
        ("NUMERIC(10, 2)", "1.25", "decimal(10,2)"),
        ("NUMERIC(5, 2)", "12345.25", "decimal(7,2)"),
        ("DECIMAL(10, 2)", "1.12345", "double"),
        ("DECIMAL(10, 2)", "0.1 + 0.2", "decimal(10,2)"),
        ("NUMERIC", "12", "bigint"),
        ("DECIMAL", "1.5", "double"),
        ("BLOB", "x'00'", "longblob"),
        ("VARBINARY(8)", "x'00'", "varbinary(8)"),
        ("DATE", "'2024-02-03'", "date"),
        ("DATE", "'2024-02-03 10:00:00'", "datetime"),
        ("DATETIME", "'2024-02-03 10:00:00'", "datetime"),
        ("DATETIME", "'2024-02-03 10:00:00.000'", "datetime"),
        ("TIMESTAMP", "'2024-02-03 10:00:00.25'", "datetime(6)"),
        ("DATETIME", "1700000000", "bigint"),
        ("TIME", "'10:00:00'", "time"),
        ("", "'a'", "text"),
        ("", "1", "bigint"),
        ("", "1.5", "double"),
        ("", "x'00'", "longblob"),
        ("INTEGER", "NULL", "bigint"),
    ],
)
def test_type(path: Path, target: Engine, declared: str, value: str, expected: str) -> None:
    made = Made(
        path,
        target,
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, v {declared}); INSERT INTO t VALUES (1, {value})",  # noqa: S608
    )
    assert made.type("t", "v") == expected
    assert sync(path, target.url, out=path.parent / "out").ok


def test_json(path: Path, target: Engine) -> None:
    script = "CREATE TABLE t (id INTEGER PRIMARY KEY, good JSON, bad JSON); INSERT INTO t VALUES (1, '{}', '{')"
    made = Made(path, target, script)
    assert made.type("t", "good") in ("json", "longtext")
    assert made.type("t", "bad") == "text"


class TestWhatItSays:
    def test_why_a_decimal_becomes_a_double(self, path: Path, target: Engine) -> None:
        script = "CREATE TABLE t (id INTEGER PRIMARY KEY, price DECIMAL(8, 2)); INSERT INTO t VALUES (1, 1.234)"
        said = "t.price: some of its values have more than the 2 decimals of DECIMAL(8, 2), so it becomes DOUBLE."
        assert said in Made(path, target, script).creation.notes

    def test_of_values_that_the_sync_will_reject(self, path: Path, target: Engine) -> None:
        made = Made(
            path,
            target,
            """CREATE TABLE t (id INTEGER PRIMARY KEY, placed DATETIME, vip BOOLEAN, born DATE, name TEXT, d DATETIME);
            INSERT INTO t VALUES (1, '31.12.2023', 'yes', '2020-01-01', 'a', '2024-01-01 10:00:00'),
                (2, '2023-12-31', 1, 1700000000, 1, NULL)""",
        )
        said = {note.split(":")[0]: note for note in made.creation.notes if "reject" in note}
        assert said.keys() == {"t.placed", "t.vip", "t.born"}
        assert "1 of 2 rows hold no datetime" in said["t.placed"]
        assert "('31.12.2023' is not a valid date and time), and the sync will reject them." in said["t.placed"]
        assert "1 of 2 rows hold no tinyint(1) ('yes' is not an integer)" in said["t.vip"]
        assert sync(path, target.url, out=path.parent / "out").counts[0].failed == 2
