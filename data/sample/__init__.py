"""A source database to sync: from the history of git repositories, or made up in any length.

The staff is made up in either case; its metrics are true sums over the commits and pull requests.
"""

from __future__ import annotations

from pathlib import Path

from data.sample.git_log import read_repository
from data.sample.history import write_history
from data.sample.synthetic import write_synthetic
from data.sample.writer import new_sample

__all__ = ["make_from_git", "make_synthetic"]


def make_synthetic(path: Path, commits: int, seed: int = 1, force: bool = False) -> dict[str, int]:
    """Writes made-up history to a new database and returns the number of rows of each table.

    The same seed gives the same rows; more commits give the same rows and more, with the staff's metrics counted anew.
    """
    with new_sample(path, force) as writer:
        write_synthetic(writer, commits, seed)
    return writer.rows


def make_from_git(path: Path, repositories: list[Path], seed: int = 1, force: bool = False) -> dict[str, int]:
    """Writes the history of git repositories to a new database and returns the number of rows of each table."""
    with new_sample(path, force) as writer:
        distinct = dict.fromkeys(repository.resolve() for repository in repositories)
        write_history(writer, [read_repository(repository) for repository in distinct], seed)
    return writer.rows
