"""`check` and a dry run foretell what the sync does: counts, rejects, changed values, shared rows, other values."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from dfsync.commands.check import CheckResult, check
from dfsync.commands.create_tables import create_tables
from dfsync.commands.sync import sync
from dfsync.model.options import SyncOptions
from dfsync.output.result import SyncResult
from dfsync.plan.validation import ERROR, NOTE
from tests.support.git_history import execute, run_sql
from tests.support.random_schemas import (
    SchemaWithRows,
    database,
    fill_source,
    fill_target,
    schemas_with_rows,
    source_script,
)

EXAMPLES = 1_000 if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 25
REFUSED = "refused by the server"

words = st.sampled_from(["a", "A", "á", "b", "b ", "c", "much too long", "", None])
rows = st.tuples(
    words,
    st.sampled_from(["u", "U", "ü", "v", "w", "w ", None]),
    st.sampled_from(["1", "1.25", "1.24", "007", "many", None]),
    st.sampled_from(["2026-01-01 10:00:00", "2026-01-01 10:00:00.6", "2026-01-01 12:00:00+02:00", "soon", None]),
    st.sampled_from(["x", "X", "y", "z", None]),
    st.sampled_from([1, 2, 3, 9, None]),
)
own_words = words.filter(lambda word: word is None or len(word) < 5)
own_rows = st.lists(st.tuples(own_words, st.sampled_from(["u", "v", "ß", None])), max_size=4)
SOURCE = """CREATE TABLE p (id INTEGER PRIMARY KEY, name TEXT UNIQUE);
    INSERT INTO p VALUES (1, 'one'), (2, 'two'), (3, 'far too long');
    CREATE TABLE t (id INTEGER PRIMARY KEY, k TEXT, u TEXT, n TEXT, d TEXT, e TEXT, p INTEGER REFERENCES p (id))"""
TARGET = (
    "CREATE TABLE p (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(5) UNIQUE)",
    """CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, k VARCHAR(5), u VARCHAR(5) UNIQUE, n DECIMAL(5,1) NOT NULL,
    d DATETIME, e ENUM('x', 'y'), p INT REFERENCES p (id), UNIQUE (n, d, u)) DEFAULT CHARACTER SET utf8mb4
    COLLATE utf8mb4_general_ci""",
)
KEYS: Any = st.sampled_from(['["k"]', '["k", "d"]', '["k", "p"]', "[]", '["u"]'])


@given(world=st.lists(rows, max_size=12), own=own_rows, key=KEYS, batch_size=st.sampled_from([1, 3, 50]))
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_values_that_do_not_fit_change_or_collide(
    server_url: str, world: list[Any], own: list[Any], key: str, batch_size: int
) -> None:
    with tempfile.TemporaryDirectory(prefix="dfsync-case-") as name, database(server_url) as engine:
        source, plan = Path(name) / "source.db", Path(name) / "plan.toml"
        run_sql(source, SOURCE)
        insert(source, world)
        plan.write_text(f"[tables.p]\n[tables.t]\nnatural_key = {key}\n")
        execute(engine, *TARGET)
        with engine.begin() as connection:
            for values in own:
                connection.exec_driver_sql("INSERT IGNORE INTO t (k, u, n) VALUES (%s, %s, 5)", values)
        agree(source, engine, Path(name) / "out", plan, batch_size)


@given(case=schemas_with_rows())
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_rows_of_any_schema(server_url: str, case: SchemaWithRows) -> None:
    with tempfile.TemporaryDirectory(prefix="dfsync-case-") as name, database(server_url) as engine:
        source, plan = Path(name) / "source.db", Path(name) / "plan.toml" if case.plan else None
        if plan and case.plan:
            plan.write_text(case.plan, encoding="utf-8")
        run_sql(source, source_script(case.tables))
        create_tables(source, engine.url, options=SyncOptions(plan=plan))
        fill_source(source, case)
        fill_target(engine, case)
        agree(source, engine, Path(name) / "out", plan, 3)


def insert(source: Path, world: list[Any]) -> None:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(source)) as connection:
        connection.executemany("INSERT INTO t (k, u, n, d, e, p) VALUES (?, ?, ?, ?, ?, ?)", world)
        connection.commit()


def agree(source: Path, engine: Engine, out: Path, plan: Path | None, batch_size: int) -> None:
    """What `check` and a dry run say is what the sync does then."""
    options = SyncOptions(plan=plan, batch_size=batch_size)
    foretold = check(source, engine.url, options=options)
    rehearsed = sync(source, engine.url, out=out, options=SyncOptions(plan=plan, batch_size=batch_size, dry_run=True))
    result = sync(source, engine.url, out=out, options=options)
    assert [c.error for c in result.counts if c.error] == []
    assert counts(foretold.tables) == counts(rehearsed.counts) == counts(result.counts)
    assert rejected(rehearsed) == rejected(result)
    assert changed(foretold) == Counter(
        {(c.name, v["column"], v["note"]): v["rows"] for c in result.counts for v in c.changed_values}
    )
    assert [c.differing for c in rehearsed.counts] == [c.differing for c in result.counts]
    failed = Counter({c.name: c.failed + c.unfit for c in result.counts})
    assert sum((Counter({f.table: f.count or 0}) for f in foretold.findings if f.level == ERROR), Counter()) == +failed
    assert foretold.ok == result.ok


def counts(tables: Any) -> dict[str, tuple[int, ...]]:
    return {c.name: (c.total, c.inserted, c.matched, c.updated, c.failed) for c in tables}


def rejected(result: SyncResult) -> dict[str, list[Any]]:
    """The rejects; of those that the server refuses the rows alone, since it words the reason itself."""
    return {
        name: [
            (old_id, REFUSED) if REFUSED in reason else (old_id, str(column), str(value), reason)
            for old_id, column, value, reason in rejects.to_numpy().tolist()
        ]
        for name, rejects in result.rejects.items()
    }


def changed(foretold: CheckResult) -> Counter[tuple[str, str | None, str]]:
    """The notes about values, which name a column and a number of rows."""
    noted = [f for f in foretold.findings if f.level == NOTE and f.column is not None and f.count is not None]
    return Counter({(f.table, f.column, f.message): f.count or 0 for f in noted})
