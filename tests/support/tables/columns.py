"""A target column of every type, and values conformed to it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from dfsync.model import frames
from dfsync.model.batch import Batch
from dfsync.model.schema import Column
from dfsync.model.types import MIXED_STORAGE
from dfsync.stages.conform.conform import conform

INT = Column("v", "integer", "int")
BIGINT = Column("v", "integer", "bigint")
UNSIGNED = Column("v", "integer", "bigint unsigned", unsigned=True)
TINYINT = Column("v", "integer", "tinyint")
YEAR = Column("v", "year", "year")
BIT = Column("v", "bit", "bit(3)", precision=3)
DECIMAL = Column("v", "decimal", "decimal(5,2)", precision=5, scale=2)
WIDE = Column("v", "decimal", "decimal(65,30)", precision=65, scale=30)
POSITIVE = Column("v", "decimal", "decimal(5,2) unsigned", precision=5, scale=2, unsigned=True)
FLOAT = Column("v", "float", "float", precision=12)
ROUNDED = Column("v", "float", "float(5,2)", precision=5, scale=2)
DOUBLE = Column("v", "double", "double", precision=22)
POSITIVE_DOUBLE = Column("v", "double", "double unsigned", precision=22, unsigned=True)
VARCHAR = Column("v", "text", "varchar(5)", length=5, octets=20, charset="utf8mb4")
CHAR = Column("v", "text", "char(3)", length=3, octets=12, charset="utf8mb4")
TINYTEXT = Column("v", "text", "tinytext", length=255, octets=255, charset="utf8mb4")
LATIN1 = Column("v", "text", "varchar(5)", length=5, octets=5, charset="latin1")
ASCII = Column("v", "text", "varchar(5)", length=5, octets=5, charset="ascii")
UTF8MB3 = Column("v", "text", "varchar(5)", length=5, octets=15, charset="utf8mb3")
UTF8 = Column("v", "text", "varchar(5)", length=5, octets=15, charset="utf8")
BLOB = Column("v", "binary", "tinyblob", length=255)
BINARY = Column("v", "binary", "binary(2)", length=2)
ENUM = Column("v", "enum", "enum('Red','1','a,b')", values=("Red", "1", "a,b"), collation="utf8mb4_general_ci")
EXACT_ENUM = Column("v", "enum", "enum('Red','red')", values=("Red", "red"), collation="utf8mb4_bin")
BYTES_ENUM = Column("v", "enum", "enum('Red')", values=("Red",))
ONE_CASE = Column("v", "enum", "enum('Red')", values=("Red",), collation="utf8mb4_bin")
SET = Column("v", "set", "set('x','Y','2')", values=("x", "Y", "2"), collation="utf8mb4_general_ci")
EXACT_SET = Column("v", "set", "set('x','X')", values=("x", "X"), collation="latin1_general_cs")
JSON = Column("v", "json", "json")
DATE = Column("v", "date", "date")
DATETIME = Column("v", "datetime", "datetime", precision=0)
OTHER = Column("v", "other", "geometry")
UUID = Column("v", "other", "uuid")
INET4 = Column("v", "other", "inet4")
INET6 = Column("v", "other", "inet6")


def conformed(column: Column, *values: Any) -> Batch:
    classes = {int: "integer", float: "real", str: "text", bytes: "blob"}
    rows = [
        None if v is None else {field.name: None for field in MIXED_STORAGE} | {classes[type(v)]: v} for v in values
    ]
    return conform(
        frames.from_arrow(pa.table({"v": pa.array(rows, MIXED_STORAGE)}), range(1, len(values) + 1)), [column]
    )


def noted(made: Batch) -> dict[str, list[tuple[str, list[int]]]]:
    """What is noted of each column, and of which rows."""
    found: dict[str, list[tuple[str, list[int]]]] = {}
    for note in made.notes:
        found.setdefault(note.column, []).append((note.text, note.ids.tolist()))
    return found
