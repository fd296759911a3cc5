"""Many small source files: a device each, with some repositories and authors in common."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from data.sample.writer import SCHEMA

FLEET_ROWS = 1_000
_REPOSITORIES, _AUTHORS = 5, 10


def make_fleet(folder: Path, files: int) -> Path:
    """Write the files, each of `FLEET_ROWS` rows, where they are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(files):
        path = folder / f"device{number:05}.db"
        if not path.exists():
            _write(path, number)
    return folder


def _write(path: Path, number: int) -> None:
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    with closing(sqlite3.connect(partial)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.executescript(SCHEMA)
        repositories = [(i + 1, f"repository-{(number * 7 + i) % 500}") for i in range(_REPOSITORIES)]
        connection.executemany("INSERT INTO repositories (id, slug) VALUES (?, ?)", repositories)
        emails = [f"author{(number + i) % 2000}@example.com" for i in range(_AUTHORS)]
        connection.executemany("INSERT INTO authors (id, email) VALUES (?, ?)", enumerate(emails, start=1))
        commits = [
            (i + 1, i % _REPOSITORIES + 1, f"{number:06}{i:034}", emails[i % _AUTHORS], "2026-01-01", f"commit {i}")
            for i in range(FLEET_ROWS - _REPOSITORIES - _AUTHORS)
        ]
        columns = "id, repository_id, hash, author_email, commit_date, message"
        connection.executemany(f"INSERT INTO commits ({columns}) VALUES (?, ?, ?, ?, ?, ?)", commits)  # noqa: S608
        connection.commit()
    partial.rename(path)
