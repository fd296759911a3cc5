"""The nine tables of git history in source and target, read without dfsync, and what must hold after a sync."""

from __future__ import annotations

import datetime
import sqlite3
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy import Engine, text

from data.sample import make_synthetic
from data.sample.writer import SCHEMA
from dfsync.commands.sync import sync
from dfsync.model.options import SyncOptions
from dfsync.output.result import SyncResult
from dfsync.pipeline.observer import Observer

Row = dict[str, Any]

TABLES = {
    "repositories": "repositories",
    "authors": "authors",
    "commits": "commits",
    "pull_requests": "pull_requests",
    "pr_approvals": "pr_approvals",
    "staff_details": "staff_details",
    "author_mappings": "author_staff_mapping",
    "staff_metrics": "staff_metrics",
    "current_year_metrics": "current_year_staff_metrics",
}
"""The tables by their names in the built-in plan."""
PARENTS = {
    "commits": {"repository_id": "repositories"},
    "pull_requests": {"repository_id": "repositories"},
    "pr_approvals": {"pull_request_id": "pull_requests"},
}


def sample(path: Path, commits: int = 300) -> Path:
    """A source of made-up history."""
    make_synthetic(path, commits, force=True)
    return path


def empty_source(path: Path) -> Path:
    """A source that has the tables and no rows."""
    run_sql(path, SCHEMA)
    return path


def run_sql(path: Path, script: str) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)
    return path


def create_tables(target: Engine, **edits: str) -> None:
    """The nine tables, empty; `edits` replace words of their definitions, as in `slug="slug VARCHAR(9)"`."""
    # A FLOAT of SQLite has the digits of a DOUBLE here.
    words = {
        "id INTEGER PRIMARY KEY": "id INTEGER AUTO_INCREMENT PRIMARY KEY",
        " FLOAT": " DOUBLE",
        " rank ": " `rank` ",
        "DATETIME": "DATETIME(6)",
    }
    schema = SCHEMA
    for old, new in words.items():
        schema = schema.replace(old, new)
    for column, definition in edits.items():
        line = next(line for line in schema.splitlines() if line.strip().startswith(f"{column} "))
        schema = schema.replace(line, f"  {definition}{',' if line.endswith(',') else ''}", 1)
    execute(target, *filter(str.strip, schema.split(";")))


def execute(target: Engine, *statements: str) -> None:
    """Runs the statements in one transaction."""
    with target.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement.replace("%", "%%"))


def insert(target: Engine, table: str, *rows: Row) -> None:
    """Adds rows that have the same columns."""
    with target.begin() as connection:
        connection.execute(sa.table(table, *map(sa.column, rows[0])).insert(), list(rows))


@contextmanager
def user(target: Engine, password: str, *grants: str) -> Iterator[str]:
    """A new user of the server, who may do no more than `grants` say, as `INSERT ON commits`."""
    name = f"u{uuid.uuid4().hex[:12]}"
    execute(
        target,
        f"CREATE USER {name} IDENTIFIED BY '{password}'",
        *(f"GRANT {grant.replace(' ON ', f' ON {target.url.database}.')} TO {name}" for grant in grants),
    )
    yield name
    execute(target, f"DROP USER {name}")


def fetch(target: Engine, statement: str) -> list[tuple[Any, ...]]:
    with target.connect() as connection:
        return [tuple(row) for row in connection.execute(text(statement))]


def source_rows(path: Path, table: str) -> dict[int, Row]:
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return {row["id"]: dict(row) for row in connection.execute(f"SELECT * FROM {table}")}  # noqa: S608


def target_rows(target: Engine, table: str) -> dict[int, Row]:
    with target.connect() as connection:
        rows = connection.execute(text(f"SELECT * FROM {table}")).mappings()  # noqa: S608
        return {row["id"]: {name: _plain(value) for name, value in row.items()} for row in rows}


def all_rows(target: Engine) -> dict[str, dict[int, Row]]:
    """The rows of all nine tables."""
    return {table: target_rows(target, table) for table in TABLES.values()}


def run(source: Path, target: Engine, out: Path, observer: Observer | None = None, **options: Any) -> SyncResult:
    return sync(source, target.url, out=out, options=SyncOptions(**options), observer=observer)


def counts(result: SyncResult) -> dict[str, tuple[int, int, int]]:
    """Synced, skipped and failed of each table that has rows."""
    assert all(c.total == c.inserted + c.matched + c.updated + c.failed for c in result.counts)
    return {c.name: (c.inserted, c.matched, c.failed) for c in result.counts if c.total}


def ids(mapping: pd.DataFrame) -> dict[int, int]:
    return dict(zip(mapping["old_id"], mapping["new_id"], strict=True))


def assert_copied(
    source: Path, target: Engine, mappings: Mapping[str, pd.DataFrame], *, also_matched: bool = False
) -> None:
    """Every source row of the mapped tables is mapped, and each inserted one has arrived as it was.

    With `also_matched` this holds for every row, because an earlier run brought the matched ones.
    """
    maps = {name: ids(mapping) for name, mapping in mappings.items()}
    for name, table in ((name, TABLES[name]) for name in mappings):
        have, there = source_rows(source, table), target_rows(target, table)
        assert list(maps[name]) == sorted(have), name
        mapping = mappings[name]
        inserted = mapping if also_matched else mapping[mapping["action"] == "inserted"]
        assert len(set(inserted["new_id"])) == len(inserted), name
        for old in inserted["old_id"]:
            expected = {**have[old], "id": maps[name][old]}
            for column, parent in PARENTS.get(name, {}).items():
                expected[column] = maps[parent][expected[column]]
            assert there[maps[name][old]] == expected, name


def _plain(value: Any) -> Any:
    """As the sample's SQLite file has it."""
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ", "microseconds")
    if isinstance(value, datetime.date):
        return value.isoformat()
    return float(value) if isinstance(value, Decimal) else value
