"""How the tests of the sample maker read what it writes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

Row = tuple[Any, ...]

PEOPLE = """
    CREATE TEMP TABLE people AS
    SELECT lower(email) AS mail, min(m.bank_id_1) AS bank
    FROM authors a JOIN author_staff_mapping m ON lower(m.author_name) = lower(a.name) GROUP BY mail"""
# What the rows add up to, and what the metrics say.
SUMS = [
    (
        """SELECT bank, count(*), sum(lines_added), sum(lines_deleted), sum(files_changed),
        count(DISTINCT repository_id), min(commit_date), max(commit_date)
        FROM commits JOIN people ON mail = lower(author_email) GROUP BY bank ORDER BY bank""",
        """SELECT bank_id_1, total_commits, total_lines_added, total_lines_deleted, total_files_changed,
        repositories_touched, first_commit_date, last_commit_date
        FROM staff_metrics WHERE total_commits > 0 ORDER BY 1""",
    ),
    (
        """SELECT bank, count(*), sum(files_changed), sum(lines_added + lines_deleted), count(DISTINCT repository_id)
        FROM commits JOIN people ON mail = lower(author_email)
        WHERE substr(commit_date, 1, 4) = (SELECT max(substr(commit_date, 1, 4)) FROM commits)
        GROUP BY bank ORDER BY bank""",
        """SELECT bank_id_1, cy_total_commits, cy_total_files_changed, cy_total_lines_changed, cy_total_repositories
        FROM current_year_staff_metrics WHERE cy_total_commits > 0 ORDER BY 1""",
    ),
    (
        """SELECT bank, count(*), count(merged_date)
        FROM pull_requests JOIN people ON mail = lower(author_email) GROUP BY bank ORDER BY bank""",
        """SELECT bank_id_1, total_prs_created, total_prs_merged
        FROM staff_metrics WHERE total_prs_created > 0 ORDER BY 1""",
    ),
    (
        """SELECT bank, count(*) FROM pr_approvals JOIN people ON mail = lower(user_email)
        WHERE status = 'APPROVED' GROUP BY bank ORDER BY bank""",
        """SELECT bank_id_1, total_pr_approvals_given
        FROM staff_metrics WHERE total_pr_approvals_given > 0 ORDER BY 1""",
    ),
]


def query(path: Path, sql: str) -> list[Row]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def table(path: Path, name: str) -> list[Row]:
    return query(path, f"SELECT * FROM {name} ORDER BY id")  # noqa: S608


def number(path: Path, sql: str) -> Any:
    return query(path, sql)[0][0]


def assert_true_sums(path: Path) -> None:
    """The staff's metrics are what their commits, pull requests and approvals add up to."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(PEOPLE)
        for counted, kept in SUMS:
            rows = connection.execute(counted).fetchall()
            assert rows
            assert rows == connection.execute(kept).fetchall()
