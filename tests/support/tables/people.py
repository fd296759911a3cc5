"""People, their notes and tags, in a source and in a target that has rows of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Engine

import dfsync
from tests.support.git_history import execute, run_sql

SOURCE = """
    CREATE TABLE people (id INTEGER PRIMARY KEY, email TEXT NOT NULL UNIQUE, name TEXT, born DATE, height REAL,
        owes NUMERIC, photo BLOB, boss_id INTEGER REFERENCES people);
    CREATE TABLE notes (nr INTEGER PRIMARY KEY, person_id INTEGER NOT NULL REFERENCES people, body TEXT);
    CREATE TABLE tags (id INTEGER PRIMARY KEY, word TEXT NOT NULL UNIQUE);
    CREATE TABLE people_tags (person_id INTEGER REFERENCES people, tag_id INTEGER REFERENCES tags, since INTEGER,
        PRIMARY KEY (person_id, tag_id));
    CREATE TABLE log (line TEXT, level INTEGER);
    INSERT INTO people VALUES
        (1, 'ann@x.org', 'Ann', '1980-01-31', 1.7, 10.25, x'00ff', NULL),
        (2, 'bob@x.org', 'Bob', NULL, NULL, NULL, NULL, 1),
        (5, 'cyd@x.org', 'Çyd', '1999-12-31', -0.1, 0, x'', 2),
        (9, 'dee@x.org', 'Dee', '2001-02-03', 1e300, -1.5, NULL, 9);
    INSERT INTO notes VALUES (1, 1, 'one'), (2, 1, 'one'), (3, 9, NULL), (4, 5, 'Größe 🙂');
    INSERT INTO tags VALUES (1, 'red'), (2, 'Blue');
    INSERT INTO people_tags VALUES (1, 1, 2001), (1, 2, NULL), (9, 2, 2003);
    INSERT INTO log VALUES ('up', 1), ('up', 1), ('down', NULL)"""
TARGET = (
    """CREATE TABLE people (id INT AUTO_INCREMENT PRIMARY KEY, email VARCHAR(50) UNIQUE, name VARCHAR(50), born DATE,
        height DOUBLE, owes DECIMAL(8, 2), photo BLOB, boss_id INT, FOREIGN KEY (boss_id) REFERENCES people (id))""",
    """CREATE TABLE notes (nr INT AUTO_INCREMENT PRIMARY KEY, person_id INT NOT NULL, body TEXT,
        FOREIGN KEY (person_id) REFERENCES people (id))""",
    "CREATE TABLE tags (id INT AUTO_INCREMENT PRIMARY KEY, word VARCHAR(50) COLLATE utf8mb4_bin NOT NULL UNIQUE)",
    """CREATE TABLE people_tags (person_id INT, tag_id INT, since INT, PRIMARY KEY (person_id, tag_id),
        FOREIGN KEY (person_id) REFERENCES people (id), FOREIGN KEY (tag_id) REFERENCES tags (id))""",
    "CREATE TABLE log (line TEXT, level INT)",
    # The ids of the source are taken here by other things.
    "INSERT INTO people (email, name) VALUES ('zoe@x.org', 'Zoe'), ('DEE@x.org', 'Someone else')",
    "INSERT INTO tags (word) VALUES ('green'), ('Red'), ('Blue')",
)
EQUAL = {"people": 3, "notes": 4, "tags": 2, "people_tags": 3, "log": 3}


def told(result: dfsync.VerifyResult, name: str) -> list[tuple[Any, ...]]:
    """The differences of a table, but for what Dee keeps."""
    frame = result.differences[name].astype(object)
    frame = frame[frame["action"] != "matched"]
    plain = frame.where(frame.notna(), None)[["old_id", "kind", "column", "source_value", "target_value"]]
    return list(plain.itertuples(index=False, name=None))


def new_ids(result_folder: Path, name: str) -> dict[int, int]:
    frame = dfsync.load_mappings(result_folder)[name]
    return dict(zip(frame["old_id"], frame["new_id"], strict=True))


def change(target: Engine, table: str, values: str, where: str) -> None:
    execute(target, f"UPDATE {table} SET {values} WHERE {where}")  # noqa: S608


def delete(target: Engine, table: str, where: str) -> None:
    execute(target, f"DELETE FROM {table} WHERE {where}")  # noqa: S608


def insert(source: Path, table: str, rows: str) -> None:
    run_sql(source, f"INSERT INTO {table} VALUES {rows}")  # noqa: S608
