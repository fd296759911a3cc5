"""The ready-made plan for Home Assistant, on tables that its recorder's own models made."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

import dfsync
from tests.applications.support import needs, run
from tests.support.applications import home_assistant
from tests.support.applications.databases import Frames, answers, assert_same, fill

pytestmark = needs("home-assistant")
MAKE_TABLES = Path(__file__).parent / "home_assistant_site" / "make_tables.py"
STATES = 150_000


def make(database: Engine, rows: Frames) -> None:
    run("home-assistant", MAKE_TABLES, database.url.render_as_string(hide_password=False))
    fill(database, rows)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recorder") / "home-assistant_v2.db"
    engine = sa.create_engine(f"sqlite:///{path}")
    make(engine, home_assistant.instance("a", STATES, seed=1))
    engine.dispose()
    return path


def test_into_the_database_of_another_instance(source: Path, target: Engine, tmp_path: Path) -> None:
    make(target, home_assistant.instance("b", STATES // 10, year=2025, seed=2))
    before = {name: answers(target, query) for name, query in home_assistant.relations(2025)}
    assert dfsync.check(source, target.url, out=tmp_path).ok
    first = dfsync.sync(source, target.url, out=tmp_path)
    assert (first.ok, first.plan is not None and first.plan.base) == (True, "home-assistant")
    assert_same(source, target, home_assistant.relations(2026))
    after = {name: answers(target, query) for name, query in home_assistant.relations(2025)}
    assert all(before[name] <= after[name] for name in before)
    assert dfsync.verify(source, target.url, out=tmp_path).ok
    again = dfsync.sync(source, target.url, out=tmp_path)
    assert (again.ok, sum(c.inserted + c.updated for c in again.counts)) == (True, 0)


def test_into_its_own_fresh_target_ids_stay(source: Path, target: Engine, tmp_path: Path) -> None:
    make(target, {"schema_changes": pd.DataFrame({"schema_version": [53], "changed": ["2026-11-27 10:00:00"]})})
    options = dfsync.SyncOptions(keep_ids="strict", on_match="update")
    result = dfsync.sync(source, target.url, out=tmp_path, options=options)
    assert result.ok
    assert_same(source, target, home_assistant.relations(2026))
    same = "SELECT state_id, last_updated_ts FROM states"
    assert answers(target, same) == answers(source, same)
    assert dfsync.verify(source, target.url, out=tmp_path).ok
