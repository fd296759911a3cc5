"""Three laptops: a file for each, with clones of some of the same repositories under ids of its own."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from data.sample import make_synthetic
from data.sample.writer import SCHEMA

LAPTOPS = {"laptop7": (0, 1), "laptop8": (1, 2), "laptop9": (0, 2, 3)}
"""By name, which repositories each has cloned."""
_SEED = 7
_COPY = """
INSERT INTO repositories
  SELECT {start} + row_number() OVER (ORDER BY slug), slug, name, project_key, project_name, clone_url, created_at
  FROM (SELECT * FROM everything.repositories ORDER BY slug) WHERE slug IN ({slugs});
INSERT INTO authors SELECT {start} + row_number() OVER (ORDER BY email DESC), name, email FROM everything.authors
  WHERE email IN (SELECT c.author_email FROM everything.commits c JOIN everything.repositories r
    ON r.id = c.repository_id WHERE r.slug IN ({slugs}));
INSERT INTO commits
  SELECT {start} + row_number() OVER (ORDER BY c.hash), own.id, c.hash, c.author_name, c.author_email, c.committer_name,
    c.committer_email, c.commit_date, c.message, c.branch, c.files_changed, c.lines_added, c.lines_deleted,
    c.chars_added, c.chars_deleted, c.file_types
  FROM everything.commits c JOIN everything.repositories r ON r.id = c.repository_id
    JOIN repositories own ON own.slug = r.slug;
"""


def make_laptops(folder: Path, commits: int = 1_000) -> dict[str, dict[str, int]]:
    """Write a file for each laptop.

    Parameters
    ----------
    folder
        Where; it is made, and files of the same names are replaced.
    commits
        Of all repositories together.

    Returns
    -------
    dict
        By laptop, the rows of each table.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        everything = Path(temporary) / "everything.db"
        make_synthetic(everything, commits, _SEED, force=True)
        return {
            name: _make(folder / f"{name}.db", everything, cloned, 100 * number)
            for number, (name, cloned) in enumerate(LAPTOPS.items())
        }


def _make(path: Path, everything: Path, cloned: tuple[int, ...], start: int) -> dict[str, int]:
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SCHEMA)
        connection.execute("ATTACH ? AS everything", [str(everything)])
        slugs = [slug for (slug,) in connection.execute("SELECT slug FROM everything.repositories ORDER BY slug")]
        chosen = ", ".join(f"'{slugs[place]}'" for place in cloned)
        connection.executescript(_COPY.format(start=start, slugs=chosen))
        connection.commit()
        return {
            table: connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]  # noqa: S608
            for table in ("repositories", "authors", "commits")
        }
