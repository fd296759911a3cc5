"""A run of `create_tables`, and the tables that the server has after it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Engine

from dfsync.commands.create_tables import CreateTablesResult, create_tables
from dfsync.model.options import SyncOptions
from dfsync.model.schema import Schema
from dfsync.target.schema.reflection import reflect


def fill(path: Path, script: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)


def there(target: Engine) -> Schema:
    with target.connect() as connection:
        return reflect(connection)


class Made:
    """The outcome of `create_tables` for a source of some statements."""

    def __init__(self, path: Path, target: Engine, script: str, options: SyncOptions | None = None) -> None:
        fill(path, script)
        self.creation: CreateTablesResult = create_tables(path, target.url, options=options)
        self.schema = there(target)

    def type(self, table: str, column: str) -> str:
        # MariaDB shows widths of integers, and calls its JSON by what it is.
        shown = self.schema[table][column].type
        plain = shown if shown == "tinyint(1)" else shown.replace("bigint(20)", "bigint").replace("int(6)", "int")
        return plain.replace("int(9)", "int").replace("int(4)", "int")
