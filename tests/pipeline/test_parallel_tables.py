"""Several tables at a time: told of in the plan's order, and none before those that it needs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from dfsync.commands.sync import sync
from dfsync.model.options import SyncOptions
from dfsync.pipeline.observer import Observer
from tests.support.git_history import (
    assert_copied,
    counts,
    create_tables,
    execute,
    fetch,
    run,
    run_sql,
    sample,
    source_rows,
)

LOCKED = 1.0


@contextmanager
def locked(target: Engine, statement: str) -> Iterator[None]:
    """Another client's row, of a natural key of ours, for a while: whoever inserts the same has to wait."""
    with target.connect() as other:
        other.execute(text(statement))
        timer = threading.Timer(LOCKED, other.rollback)
        timer.start()
        yield
        timer.join()


class Diary(Observer):
    """What was told, of which table."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def table_started(self, table: Any, total: int) -> None:
        self.told.append(("started", table.name))

    def progress(self, table: Any, done: int) -> None:
        if ("progress", table.name) not in self.told:
            self.told.append(("progress", table.name))

    def rows_done(self, table: Any, *_: Any) -> None:
        self.told.append(("rows", table.name))

    def table_finished(self, table: Any, _: Any) -> None:
        self.told.append(("finished", table.name))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample(tmp_path_factory.mktemp("source") / "history.db", 300)


@pytest.mark.parametrize("jobs", [1, 3, 9])
def test_tables_are_told_of_in_the_order_of_the_plan_one_after_the_other(
    source: Path, target: Engine, tmp_path: Path, jobs: int
) -> None:
    create_tables(target)
    diary = Diary()
    result = sync(
        source, target.url, out=tmp_path / "out", options=SyncOptions(jobs=jobs, batch_size=20), observer=diary
    )
    assert result.ok
    assert_copied(source, target, result.mappings)
    moments = ("started", "progress", "rows", "finished")
    assert diary.told == [(moment, count.name) for count in result.counts for moment in moments]


def test_the_map_is_the_same_however_many_go_at_a_time(source: Path, target: Engine, tmp_path: Path) -> None:
    create_tables(target)
    for jobs in (8, 1):
        run(source, target, tmp_path / str(jobs), jobs=jobs)
    one, eight = (tmp_path / str(jobs) / "id_mappings.json" for jobs in (1, 8))
    assert one.read_bytes() == eight.read_bytes()


PLAN = """
[tables.parents]
natural_key = ["code"]
foreign_keys = {}
[tables.children]
natural_key = ["name"]
foreign_keys = {}
"""


@pytest.mark.parametrize("planned", [True, False])
def test_a_table_waits_for_those_that_the_target_has_it_refer_to_though_the_plan_does_not_say_so(
    target: Engine, tmp_path: Path, planned: bool
) -> None:
    source = run_sql(
        tmp_path / "s.db",
        "CREATE TABLE parents (id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE);"
        "CREATE TABLE children (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, parent TEXT);"
        "INSERT INTO parents VALUES (1, 'a'), (2, 'b'); INSERT INTO children VALUES (1, 'x', 'a'), (2, 'y', 'b');",
    )
    execute(
        target,
        "CREATE TABLE parents (id INT AUTO_INCREMENT PRIMARY KEY, code VARCHAR(20) UNIQUE)",
        "CREATE TABLE children (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20) UNIQUE, parent VARCHAR(20), "
        "FOREIGN KEY (parent) REFERENCES parents (code))",
    )
    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN)
    with locked(target, "INSERT INTO parents (code) VALUES ('b')"):
        result = run(source, target, tmp_path / "out", plan=plan if planned else None, jobs=2)
    assert counts(result) == {"parents": (2, 0, 0), "children": (2, 0, 0)}


def test_a_table_that_waits_for_a_lock_does_not_keep_the_others(source: Path, target: Engine, tmp_path: Path) -> None:
    create_tables(target)
    seen: list[int] = []

    class Look(Observer):
        def progress(self, table: Any, done: int) -> None:
            if table.name == "authors":
                seen.append(fetch(target, "SELECT COUNT(*) FROM repositories")[0][0])

    address = next(iter(source_rows(source, "authors").values()))["email"]
    with locked(target, f"INSERT INTO authors (email) VALUES ('{address}')"):  # noqa: S608
        options = SyncOptions(tables=("authors", "repositories"), jobs=2)
        result = sync(source, target.url, out=tmp_path / "out", options=options, observer=Look())
    assert result.ok
    assert seen[-1] > 0
