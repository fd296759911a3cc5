"""The sample's database file: its schema, the rules for its values, and writing it whole or not at all."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from adbc_driver_sqlite import dbapi
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Columns = Mapping[str, Any]

SCHEMA = """
CREATE TABLE repositories (
  id INTEGER PRIMARY KEY,
  slug VARCHAR(255) NOT NULL UNIQUE,
  name VARCHAR(255),
  project_key VARCHAR(255),
  project_name VARCHAR(255),
  clone_url VARCHAR(500),
  created_at DATETIME
);
CREATE TABLE authors (
  id INTEGER PRIMARY KEY,
  name VARCHAR(255),
  email VARCHAR(255) NOT NULL UNIQUE
);
CREATE TABLE commits (
  id INTEGER PRIMARY KEY,
  repository_id INTEGER NOT NULL REFERENCES repositories(id),
  hash VARCHAR(40) NOT NULL,
  author_name VARCHAR(255),
  author_email VARCHAR(255),
  committer_name VARCHAR(255),
  committer_email VARCHAR(255),
  commit_date DATETIME,
  message TEXT,
  branch VARCHAR(255) DEFAULT 'master',
  files_changed INTEGER DEFAULT 0,
  lines_added INTEGER DEFAULT 0,
  lines_deleted INTEGER DEFAULT 0,
  chars_added INTEGER DEFAULT 0,
  chars_deleted INTEGER DEFAULT 0,
  file_types TEXT,
  UNIQUE (hash, repository_id)
);
CREATE TABLE pull_requests (
  id INTEGER PRIMARY KEY,
  repository_id INTEGER NOT NULL REFERENCES repositories(id),
  pr_id INTEGER NOT NULL,
  title VARCHAR(500),
  description TEXT,
  author_name VARCHAR(255),
  author_email VARCHAR(255),
  created_date DATETIME,
  updated_date DATETIME,
  merged_date DATETIME,
  state VARCHAR(50),
  from_branch VARCHAR(255),
  to_branch VARCHAR(255),
  commits_count INTEGER DEFAULT 0,
  UNIQUE (pr_id, repository_id)
);
CREATE TABLE pr_approvals (
  id INTEGER PRIMARY KEY,
  pull_request_id INTEGER NOT NULL REFERENCES pull_requests(id),
  user_name VARCHAR(255),
  user_email VARCHAR(255),
  status VARCHAR(50),
  approval_date DATETIME,
  UNIQUE (pull_request_id, user_email)
);
CREATE TABLE staff_details (
  id INTEGER PRIMARY KEY,
  bank_id_1 VARCHAR(50) UNIQUE,
  staff_id VARCHAR(50),
  email_address VARCHAR(255),
  staff_first_name VARCHAR(255),
  staff_last_name VARCHAR(255),
  staff_name VARCHAR(255),
  staff_status VARCHAR(100),
  staff_start_date DATE,
  staff_end_date DATE,
  staff_type VARCHAR(100),
  original_staff_type VARCHAR(100),
  rank VARCHAR(100),
  staff_level VARCHAR(100),
  hr_role VARCHAR(255),
  job_function VARCHAR(255),
  tech_unit VARCHAR(255),
  department_id VARCHAR(50),
  platform_name VARCHAR(255),
  sub_platform VARCHAR(255),
  work_location VARCHAR(255),
  reporting_manager_name VARCHAR(255),
  company_name VARCHAR(255),
  fte FLOAT,
  as_of_date DATE,
  date_created DATETIME
);
CREATE TABLE author_staff_mapping (
  id INTEGER PRIMARY KEY,
  author_name VARCHAR(255) NOT NULL UNIQUE,
  author_email VARCHAR(255),
  bank_id_1 VARCHAR(50),
  staff_id VARCHAR(50),
  staff_name VARCHAR(255),
  mapped_date DATETIME,
  notes TEXT
);
CREATE TABLE staff_metrics (
  id INTEGER PRIMARY KEY,
  bank_id_1 VARCHAR(50) NOT NULL UNIQUE,
  staff_id VARCHAR(50),
  staff_name VARCHAR(255),
  email_address VARCHAR(255),
  total_commits INTEGER DEFAULT 0,
  total_lines_added INTEGER DEFAULT 0,
  total_lines_deleted INTEGER DEFAULT 0,
  total_files_changed INTEGER DEFAULT 0,
  total_prs_created INTEGER DEFAULT 0,
  total_prs_merged INTEGER DEFAULT 0,
  total_pr_approvals_given INTEGER DEFAULT 0,
  repositories_touched INTEGER DEFAULT 0,
  repository_list TEXT,
  first_commit_date DATETIME,
  last_commit_date DATETIME,
  avg_lines_per_commit FLOAT DEFAULT 0.0,
  avg_files_per_commit FLOAT DEFAULT 0.0,
  code_churn_ratio FLOAT DEFAULT 0.0,
  last_calculated DATETIME,
  calculation_version VARCHAR(20) DEFAULT '1.0'
);
CREATE TABLE current_year_staff_metrics (
  id INTEGER PRIMARY KEY,
  bank_id_1 VARCHAR(100) NOT NULL UNIQUE,
  staff_name VARCHAR(255) NOT NULL,
  staff_email VARCHAR(255),
  current_year INTEGER NOT NULL,
  cy_start_date DATE,
  cy_end_date DATE,
  cy_total_commits INTEGER DEFAULT 0,
  cy_total_prs INTEGER DEFAULT 0,
  cy_total_approvals_given INTEGER DEFAULT 0,
  cy_total_repositories INTEGER DEFAULT 0,
  cy_total_files_changed INTEGER DEFAULT 0,
  cy_total_lines_changed INTEGER DEFAULT 0,
  cy_file_types_list TEXT,
  cy_monthly_commits TEXT,
  last_calculated DATETIME,
  calculation_version VARCHAR(20) DEFAULT '1.0'
);
"""

# The first id of each table, and the number of rows from gap to gap: ids that AUTO_INCREMENT would not assign again.
ID_RULES = {
    "repositories": (12, 3),
    "authors": (107, 4),
    "commits": (1001, 50),
    "pull_requests": (501, 20),
    "pr_approvals": (2001, 30),
    "staff_details": (302, 5),
    "author_staff_mapping": (203, 7),
    "staff_metrics": (31, 9),
    "current_year_staff_metrics": (41, 8),
}


class SampleError(Exception):
    """Why there is no sample, in a sentence for the person at the console."""


def ids(table: str, start: int, count: int) -> Ints:
    """The ids of `count` rows of a table, from row number `start` on."""
    first, between_gaps = ID_RULES[table]
    rows = np.arange(start, start + count, dtype=np.int64)
    return first + rows + rows // between_gaps


def timestamps(seconds: Ints, known: NDArray[np.bool_] | None = None) -> pa.Array:
    """Seconds since 1970 as `YYYY-MM-DD HH:MM:SS.000000` in UTC, NULL where not known."""
    mask = None if known is None else ~known
    return pa.array(seconds.astype("datetime64[s]").astype("datetime64[us]"), mask=mask).cast(pa.string())


def dates(seconds: Ints, known: NDArray[np.bool_] | None = None) -> pa.Array:
    """Seconds since 1970 as `YYYY-MM-DD`, NULL where not known."""
    mask = None if known is None else ~known
    return pa.array(seconds.astype("datetime64[s]").astype("datetime64[D]"), mask=mask).cast(pa.string())


class SampleWriter:
    """Appends rows to the tables of a new sample, and counts them."""

    def __init__(self, path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(SCHEMA)
        self.rows = dict.fromkeys(ID_RULES, 0)
        self._connection = dbapi.connect(str(path), autocommit=True)
        self._cursor = self._connection.cursor()
        # A file that is thrown away after any failure needs no journal; the cache holds the index over random hashes.
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -200000"):
            self._cursor.execute(f"PRAGMA {pragma}")
            self._cursor.fetchall()
        # Below the DB-API, whose commit() does nothing on a connection that was opened with autocommit.
        self._connection.adbc_connection.set_autocommit(False)

    def add(self, table: str, columns: Columns, count: int | None = None) -> None:
        """Appends rows, given as columns of equal length, to a table: the first `count`, or all."""
        rows = pa.table(dict(columns)).slice(0, count)
        if rows.num_rows:
            self._cursor.adbc_ingest(table, rows, mode="append")
            self.rows[table] += rows.num_rows

    def commit(self) -> None:
        """Makes the rows lasting."""
        self._connection.adbc_connection.commit()

    def close(self) -> None:
        """Lets go of the file."""
        self._cursor.close()
        self._connection.close()


@contextmanager
def new_sample(path: Path, force: bool) -> Iterator[SampleWriter]:
    """A writer whose rows are in the database `path` when the block ends well, and nowhere when it does not."""
    path = path.absolute()
    if path.is_dir():
        raise SampleError(f"{path} is a folder; name the database file to write.")
    if not path.parent.is_dir():
        raise SampleError(f"The folder {path.parent} does not exist; create it or write somewhere else.")
    if path.exists() and not force:
        raise SampleError(f"{path} exists already; use --force to replace it.")
    partial = path.with_name(f"{path.name}-{os.getpid()}.partial")
    try:
        with closing(SampleWriter(partial)) as writer:
            yield writer
            writer.commit()
        # A write-ahead log left by the old file would be played into the new one.
        for suffix in ("-wal", "-shm", "-journal"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        os.replace(partial, path)
    except (sqlite3.Error, dbapi.Error, OSError) as error:
        raise SampleError(f"{path} could not be written ({error}); is there room, and may you write there?") from error
    finally:
        partial.unlink(missing_ok=True)
