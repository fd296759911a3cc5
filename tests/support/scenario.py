"""A source and a target of any shape, synced twice."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from dfsync.commands.create_tables import create_tables
from dfsync.model.options import SyncOptions
from dfsync.model.rejects import KEEPS_OTHER_VALUES
from dfsync.output.result import SyncResult
from dfsync.pipeline.observer import Observer
from dfsync.plan.model import TablePlan
from tests.support.git_history import execute, ids, run, run_sql

Rows = list[tuple[Any, ...]]


def fail_if_failed(result: SyncResult) -> None:
    errors = [c.error for c in result.counts if c.error]
    assert not errors, errors


@contextmanager
def statements(before: Callable[[str], None] = lambda statement: None) -> Iterator[list[str]]:
    """Those that are sent to any server; `before` is told each one."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: object) -> None:
        sent.append(statement)
        before(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield sent
    event.remove(Engine, "before_cursor_execute", note)


def failed_rows(result: SyncResult) -> dict[str, list[int]]:
    """The rows without a target row. Those that have one and could not give it their values are in the rejects, too."""
    standing = {name: ~rejects["reason"].str.endswith(KEEPS_OTHER_VALUES) for name, rejects in result.rejects.items()}
    return {name: list(rejects["old_id"][standing[name]]) for name, rejects in result.rejects.items()}


@dataclass
class Scenario:
    """Owns one source file, one target database and what is synced between them."""

    folder: Path
    target: Engine
    plan: Path | None = None

    @property
    def source(self) -> Path:
        return self.folder / "source.db"

    def create_source(self, script: str, plan: str | None = None) -> None:
        """The source's tables and rows, and the plan."""
        run_sql(self.source, script)
        if plan is not None:
            self.plan = self.folder / "plan.toml"
            self.plan.write_text(plan, encoding="utf-8")

    def create_target(self, script: str | None, *rows: str) -> None:
        """The target's tables, made by dfsync where `script` is None, and the rows that are its own."""
        if script is None:
            create_tables(self.source, self.target.url, options=SyncOptions(plan=self.plan))
        else:
            execute(self.target, *filter(str.strip, script.split(";\n")))
        execute(self.target, *rows)

    def sync(self, **options: Any) -> SyncResult:
        return run(self.source, self.target, self.folder / "out", plan=self.plan, **options)

    def sync_with_notes(self, **options: Any) -> tuple[SyncResult, list[str]]:
        """What came of it, and what was noted on the way."""
        noted: list[str] = []

        class Notes(Observer):
            def note(self, table: TablePlan, message: str) -> None:
                noted.append(message)

        return self.sync(observer=Notes(), **options), noted

    def sync_twice(self, **options: Any) -> SyncResult:
        """The first of two runs; the second, with the same options but by plain inserts, found nothing to do."""
        own = self.all_rows()
        first = self.sync(**options)
        fail_if_failed(first)
        before, known = self.all_rows(), (self.folder / "out" / "id_mappings.json").read_bytes()
        for table, rows in own.items():
            assert not Counter(map(repr, rows)) - Counter(map(repr, before[table])), f"{table} has lost rows of its own"
        actions = {name: Counter(mapping["action"]) for name, mapping in first.mappings.items()}
        rejected = failed_rows(first)
        second = self.sync(**{**options, "local_infile": False})
        fail_if_failed(second)
        assert {c.name: (c.inserted, c.updated) for c in second.counts} == {c.name: (0, 0) for c in second.counts}
        assert failed_rows(second) == rejected
        assert (self.folder / "out" / "id_mappings.json").read_bytes() == known
        assert self.all_rows() == before
        assert {c.name: c.inserted for c in first.counts if c.name in actions} == {
            name: count["inserted"] for name, count in actions.items()
        }
        return first

    def id_maps(self, result: SyncResult) -> dict[str, dict[int, int]]:
        return {name: ids(mapping) for name, mapping in result.mappings.items()}

    def read_source(self, query: str) -> Rows:
        with closing(sqlite3.connect(self.source)) as connection:
            return connection.execute(query).fetchall()

    def read_target(self, query: str) -> Rows:
        with self.target.connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(query.replace("%", "%%"))]

    def all_rows(self) -> dict[str, Rows]:
        """The rows of every table of the target, in some order that stays."""
        tables = [name for name, kind in self.read_target("SHOW FULL TABLES") if kind == "BASE TABLE"]
        quoted = {name: "`" + name.replace("`", "``") + "`" for name in tables}
        return {name: sorted(self.read_target(f"SELECT * FROM {q}"), key=repr) for name, q in quoted.items()}  # noqa: S608

    def assert_same(self, query: str, *own: tuple[Any, ...]) -> None:
        """The query, of joins and without ids, gives the same in source and target, save the target's own rows."""
        here, there = Counter(self.read_source(query)), Counter(self.read_target(query.replace('"', "`")))
        assert here, "the query finds nothing"
        assert there == here + Counter(own)
