"""Several SQLite files of one schema, which share some of their rows, and one target for all of them."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from sqlalchemy import Engine

from dfsync.commands.create_tables import create_tables
from dfsync.commands.sync import sync
from dfsync.model.options import SyncOptions
from dfsync.output.result import SyncResult
from tests.support.git_history import execute, run_sql

SCHEMA = """
CREATE TABLE repositories (id INTEGER PRIMARY KEY, slug VARCHAR(50) NOT NULL UNIQUE);
CREATE TABLE authors (id INTEGER PRIMARY KEY, email VARCHAR(50) NOT NULL UNIQUE, mentor INTEGER REFERENCES authors(id));
CREATE TABLE commits (
  id INTEGER PRIMARY KEY, repository_id INTEGER NOT NULL REFERENCES repositories(id), hash VARCHAR(40) NOT NULL,
  author_id INTEGER REFERENCES authors(id), message TEXT, UNIQUE (hash, repository_id));
"""
ROWS = {
    "ann": """
INSERT INTO repositories VALUES (1, 'core'), (2, 'web');
INSERT INTO authors VALUES (1, 'ann', NULL), (2, 'bob', 1);
INSERT INTO commits VALUES (1, 1, 'aa', 1, 'one'), (2, 2, 'bb', 2, 'two'), (3, 1, 'cc', NULL, 'three');
""",
    "bob": """
INSERT INTO repositories VALUES (1, 'web'), (5, 'docs');
INSERT INTO authors VALUES (1, 'bob', 7), (7, 'ann', NULL);
INSERT INTO commits VALUES (1, 1, 'bb', 1, 'two'), (2, 5, 'aa', 7, 'other repository');
""",
    "cem": """
INSERT INTO repositories VALUES (100, 'core');
INSERT INTO authors VALUES (-3, 'cem', 4), (4, 'ann', NULL);
INSERT INTO commits VALUES (9, 100, 'cc', -3, 'three'), (11, 100, 'dd', 4, 'four');
""",
}
COMMITS = """
SELECT r.slug, c.hash, a.email, m.email, c.message FROM commits c JOIN repositories r ON r.id = c.repository_id
LEFT JOIN authors a ON a.id = c.author_id LEFT JOIN authors m ON m.id = a.mentor ORDER BY 1, 2
"""
"""What a commit says, without ids."""


@dataclass
class Laptops:
    """Owns the files, the target and the output folder."""

    folder: Path
    target: Engine
    paths: list[Path] = field(default_factory=list)
    plan: Path | None = None

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def add(self, name: str, script: str, schema: str = SCHEMA) -> Path:
        path = self.folder / f"{name}.db"
        run_sql(path, schema + script)
        self.paths.append(path)
        return path

    def add_all(self, rows: dict[str, str] = ROWS) -> None:
        for name, script in rows.items():
            self.add(name, script)

    def create_tables(self) -> None:
        create_tables(self.paths, self.target.url, options=SyncOptions(plan=self.plan))

    def sync(self, source: Any = None, out: Path | None = None, **options: Any) -> SyncResult:
        settings = SyncOptions(plan=self.plan, **options)
        return sync(self.paths if source is None else source, self.target.url, out=out or self.out, options=settings)

    def read(self, query: str) -> list[tuple[Any, ...]]:
        with self.target.connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(query)]

    def execute(self, *statements: str) -> None:
        execute(self.target, *statements)

    def change(self, path: Path, script: str) -> None:
        run_sql(path, script)

    def rows_of_sources(self, query: str) -> list[tuple[Any, ...]]:
        """The rows that a query gives of any file, each once; in order."""
        found = Counter[tuple[Any, ...]]()
        for path in self.paths:
            with closing(sqlite3.connect(path)) as connection:
                found |= Counter(connection.execute(query).fetchall())
        return sorted(found.elements(), key=repr)


def ids(mapping: pd.DataFrame) -> dict[tuple[str, int], int]:
    """The new id of each row, by source and old id."""
    columns = (mapping[name] for name in ("source", "old_id", "new_id"))
    return {(source, old): new for source, old, new in zip(*columns, strict=True)}
