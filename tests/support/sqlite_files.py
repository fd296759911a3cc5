"""SQLite files that tests write, and their rows as the source reads them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd

from dfsync.model import frames
from dfsync.model.partition import Partition
from dfsync.source.sqlite import SqliteSource


def make(path: Path, *statements: str, rows: list[Any] | None = None, into: str = "t") -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        for statement in statements:
            connection.execute(statement)
        if rows:
            marks = ", ".join("?" * len(rows[0]))
            connection.executemany(f"INSERT INTO {into} VALUES ({marks})", rows)  # noqa: S608
        connection.commit()
    return path


def read(
    path: Path, columns: list[str], table: str = "t", row_id: str | None = "id", size: int = 100, ids: Any = None
) -> list[pd.DataFrame]:
    with SqliteSource(path) as source:
        return list(source.batches(Partition(path, table, row_id, tuple(columns)), size, ids))


def values(batches: list[pd.DataFrame], name: str = "v") -> dict[int, Any]:
    """By old id, each value as SQLite has it: a mixed column's one class that is set."""
    found = {}
    for batch in batches:
        for old_id, value in zip(batch.index, frames.as_arrow(batch[name]).to_pylist(), strict=True):
            parts = list(value.values()) if isinstance(value, dict) else [value]
            found[old_id] = next((part for part in parts if part is not None), None)
    return found
