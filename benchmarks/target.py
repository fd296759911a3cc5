"""The database that is filled, and emptied again: made by dfsync's own create-tables, the same for every contestant."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

import dfsync
from benchmarks.process import NotDone

NAME = "benchmark"
QUIET_SECONDS = 120
DIRTY_PAGES = 1_000
# The higher limit first.
HURRY = {"innodb_io_capacity_max": 20_000, "innodb_io_capacity": 20_000, "innodb_max_dirty_pages_pct": 0}
_AT_ONCE = 500_000


def natural_keys() -> dict[str, list[str]]:
    """The natural key of each table of the built-in plan, parents before their children."""
    assert dfsync.__file__
    plan = tomllib.loads((Path(dfsync.__file__).parent / "plan" / "builtin" / "git_history.toml").read_text())
    return {table.get("table", name): table["natural_key"] for name, table in plan["tables"].items()}


TABLES = tuple(natural_keys())


class Target:
    """Owns the database of one chain of steps on a server that runs."""

    def __init__(self, server_url: str, name: str = NAME) -> None:
        self._server = sa.create_engine(server_url, isolation_level="AUTOCOMMIT")
        self.url = sa.make_url(server_url).set(database=name)
        self._engine = sa.create_engine(self.url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)

    @property
    def socket(self) -> str:
        return str(self.url.query["unix_socket"])

    @property
    def url_text(self) -> str:
        return self.url.render_as_string(hide_password=False)

    @contextmanager
    def empty(self) -> Iterator[None]:
        """A new database without tables, which is dropped afterwards, when the server has nothing more to write."""
        with self._server.connect() as connection:
            connection.execute(sa.text(f"DROP DATABASE IF EXISTS {self.url.database}"))
            connection.execute(sa.text(f"CREATE DATABASE {self.url.database} CHARACTER SET utf8mb4"))
        try:
            yield
        finally:
            with self._server.connect() as connection:
                connection.execute(sa.text(f"DROP DATABASE {self.url.database}"))

    def settle(self) -> None:
        """Waits until the server has written what it owes to the disk, so that nobody pays for who came before."""
        deadline = time.monotonic() + QUIET_SECONDS
        with self._server.connect() as connection:
            # Not in its usual lazy way, which keeps up to nine tenths of its memory unwritten.
            usual = {name: connection.scalar(sa.text(f"SELECT @@GLOBAL.{name}")) for name in HURRY}
            _set(connection, HURRY)
            while self._dirty(connection) > DIRTY_PAGES and time.monotonic() < deadline:
                time.sleep(0.1)
            _set(connection, dict(reversed(usual.items())))

    def version(self) -> str:
        with self._server.connect() as connection:
            return str(connection.scalar(sa.text("SELECT VERSION()")))

    def definitions(self) -> list[str]:
        """The statements that make the tables as they are."""
        with self._engine.connect() as connection:
            return [connection.execute(sa.text(f"SHOW CREATE TABLE {table}")).one()[1] for table in TABLES]

    def create(self, definitions: list[str]) -> None:
        with self._engine.connect() as connection:
            for definition in definitions:
                connection.exec_driver_sql(definition)

    def count(self) -> int:
        """How many rows there are in all tables."""
        with self._engine.connect() as connection:
            return sum(connection.scalar(sa.text(f"SELECT COUNT(*) FROM {table}")) or 0 for table in TABLES)  # noqa: S608

    def highest_ids(self) -> dict[str, int]:
        with self._engine.connect() as connection:
            return {
                table: connection.scalar(sa.text(f"SELECT COALESCE(MAX(id), 0) FROM {table}")) or 0  # noqa: S608
                for table in TABLES
            }

    def export(self, folder: Path, above: dict[str, int] | None = None) -> None:
        """Writes the rows of each table, or those above an id, to files for `load`."""
        folder.mkdir(parents=True, exist_ok=True)
        with self._engine.connect() as connection:
            for table in TABLES:
                (folder / table).unlink(missing_ok=True)
                connection.execute(
                    sa.text(
                        f"SELECT * FROM {table} WHERE id > :above ORDER BY id "  # noqa: S608
                        f"INTO OUTFILE '{folder / table}' CHARACTER SET utf8mb4"
                    ),
                    {"above": (above or {}).get(table, 0)},
                )
        (folder / "complete").touch()

    def load(self, folder: Path) -> float:
        """The floor: the server reads the finished rows from its own disk. Gives the seconds."""
        with self._engine.connect() as connection:
            started = time.perf_counter()
            for table in TABLES:
                connection.execute(
                    sa.text(f"LOAD DATA INFILE '{folder / table}' INTO TABLE {table} CHARACTER SET utf8mb4")
                )
            return time.perf_counter() - started

    def add_foreign(self, commits: int) -> None:
        """Rows of somebody else: one repository with so many commits, whose hashes are nobody else's."""
        with self._engine.connect() as connection:
            connection.execute(sa.text("INSERT INTO repositories (slug, name) VALUES ('elsewhere', 'Elsewhere')"))
            for first in range(1, commits + 1, _AT_ONCE):
                sequence = f"seq_{first}_to_{min(first + _AT_ONCE - 1, commits)}"
                connection.execute(
                    sa.text(
                        "INSERT INTO commits (repository_id, hash, author_name, author_email, commit_date, message) "  # noqa: S608
                        "SELECT 1, SHA1(CONCAT('elsewhere ', seq)), 'Ada Elsewhere', 'ada@elsewhere.example', "
                        f"'2020-01-01', 'A change that was made elsewhere' FROM {sequence}"
                    )
                )

    def delete_above(self, highest: dict[str, int]) -> None:
        """Takes back what a sync has added."""
        with self._engine.connect() as connection:
            for table in reversed(TABLES):
                connection.execute(sa.text(f"DELETE FROM {table} WHERE id > :id"), {"id": highest[table]})  # noqa: S608

    def must_have(self, rows: int) -> None:
        """Raises `NotDone` unless the tables have so many rows: nobody is fast by leaving some out."""
        there = self.count()
        if there != rows:
            raise NotDone(f"{there:,} rows are there in place of {rows:,}")

    @staticmethod
    def _dirty(connection: sa.Connection) -> int:
        status = connection.execute(sa.text("SHOW GLOBAL STATUS LIKE 'Innodb_buffer_pool_pages_dirty'")).one()
        return int(status[1])


def _set(connection: sa.Connection, values: dict[str, Any]) -> None:
    for name, value in values.items():
        connection.execute(sa.text(f"SET GLOBAL {name} = {value}"))
