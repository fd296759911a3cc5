"""The ready-made plan for Uptime Kuma 2, on the tables that its migrations make."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import Engine

import dfsync
from tests.support.applications import uptime_kuma
from tests.support.applications.databases import answers, assert_same, make_source, make_target
from tests.support.git_history import execute, fetch, ids, run_sql

HEARTBEATS = 300


def options(**more: str) -> dfsync.SyncOptions:
    return dfsync.SyncOptions(plan="uptime-kuma", **more)  # type: ignore[arg-type]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_source(tmp_path / "kuma.db", "uptime-kuma", uptime_kuma.instance("a", HEARTBEATS, seed=1))


@pytest.fixture
def other(target: Engine) -> Engine:
    """The target, in which another instance's rows are."""
    make_target(target, "uptime-kuma", uptime_kuma.instance("b", HEARTBEATS // 2, seed=2))
    return target


@pytest.fixture
def fresh(target: Engine) -> Engine:
    """The target as Uptime Kuma's first start leaves it."""
    settings = pd.DataFrame({"key": ["jwtSecret", "migrateAggregateTableState"], "value": ["new", '"migrated"']})
    make_target(target, "uptime-kuma", {"setting": settings})
    return target


def test_is_chosen_by_itself(source: Path, other: Engine) -> None:
    assert dfsync.resolve_plan(source, other.url).plan.base == "uptime-kuma"


def test_leaves_nothing_undecided(source: Path, other: Engine) -> None:
    checked = dfsync.check(source, other.url, options=options())
    assert checked.ok
    assert not [f for f in checked.findings if f.level == "warning" and "no natural key" in f.message]


def test_into_another_instance(source: Path, other: Engine, tmp_path: Path) -> None:
    before = {name: answers(other, query) for name, query in uptime_kuma.relations("b")}
    first = dfsync.sync(source, other.url, out=tmp_path / "out", options=options())
    assert first.ok
    assert_same(source, other, uptime_kuma.relations("a"))
    assert {name: answers(other, query) for name, query in uptime_kuma.relations("b")} == before
    assert dfsync.verify(source, other.url, out=tmp_path / "out", options=options()).ok
    again = dfsync.sync(source, other.url, out=tmp_path / "out", options=options())
    assert (again.ok, sum(c.inserted + c.updated for c in again.counts)) == (True, 0)


def test_monitors_and_notifications_of_one_name_are_several(source: Path, other: Engine, tmp_path: Path) -> None:
    dfsync.sync(source, other.url, out=tmp_path / "out", options=options())
    for query in (
        "SELECT COUNT(*) FROM monitor WHERE name = 'Ping'",
        "SELECT COUNT(*) FROM notification WHERE name = 'My Email Alert (1)'",
        "SELECT COUNT(*) FROM `group` WHERE name = 'Services'",
    ):
        [(count,)] = answers(source, query)
        assert fetch(other, query) == [(2 * count,)], query  # type: ignore[operator]


def test_users_and_tags_of_one_name_are_one(source: Path, other: Engine, tmp_path: Path) -> None:
    dfsync.sync(source, other.url, out=tmp_path / "out", options=options())
    assert fetch(other, "SELECT username, password FROM `user` WHERE username = 'admin'") == [("admin", "$2b$10$b")]
    assert fetch(other, "SELECT COUNT(*) FROM tag WHERE name = 'Prod'") == [(1,)]


def test_settings_of_one_instance_stay_there(source: Path, other: Engine, tmp_path: Path) -> None:
    dfsync.sync(source, other.url, out=tmp_path / "out", options=options())
    own = ", ".join(map(repr, uptime_kuma.OWN_SETTINGS))
    kept = fetch(other, f"SELECT DISTINCT SUBSTR(value, -5) FROM setting WHERE `key` IN ({own})")  # noqa: S608
    assert kept == [('of b"',)]
    assert fetch(other, "SELECT COUNT(*) FROM setting WHERE `key` LIKE 'only-%'") == [(2,)]


def test_into_its_own_fresh_target_ids_stay(source: Path, fresh: Engine, tmp_path: Path) -> None:
    move = options(on_match="update", keep_ids="free")
    result = dfsync.sync(source, fresh.url, out=tmp_path / "out", options=move)
    assert result.ok
    assert_same(source, fresh, uptime_kuma.relations("a"))
    changed = {name for name, mapping in result.mappings.items() if (mapping["old_id"] != mapping["new_id"]).any()}
    # The first start has written settings; nobody asks for one by its number.
    assert changed == {"setting"}
    # So whoever was logged in still is.
    assert fetch(fresh, "SELECT value FROM setting WHERE `key` = 'jwtSecret'") == [('"jwtSecret of a"',)]
    assert dfsync.verify(source, fresh.url, out=tmp_path / "out", options=move).ok


def test_what_was_edited_or_counted_on_between_two_runs(source: Path, fresh: Engine, tmp_path: Path) -> None:
    first = dfsync.sync(source, fresh.url, out=tmp_path / "out", options=options())
    monitor = ids(first.mappings["monitor"])[2]
    run_sql(
        source,
        """UPDATE monitor SET name = 'renamed', interval = 30 WHERE id = 2;
        UPDATE stat_daily SET up = up + 1 WHERE monitor_id = 2;
        UPDATE monitor_tls_info SET info_json = 'new' WHERE monitor_id = 2;
        INSERT INTO heartbeat (monitor_id, status, time) VALUES (2, 1, '2026-11-27 10:00:00.250')""",
    )
    again = dfsync.sync(source, fresh.url, out=tmp_path / "out", options=options(on_match="update"))
    assert {c.name: c.inserted for c in again.counts if c.inserted} == {"heartbeat": 1}
    assert_same(source, fresh, uptime_kuma.relations("a"))
    assert fetch(fresh, "SELECT id, `interval` FROM monitor WHERE name = 'renamed'") == [(monitor, 30)]


def test_another_version_is_refused(source: Path, other: Engine) -> None:
    execute(other, "DELETE FROM knex_migrations WHERE name LIKE '2026-0%'")
    found = dfsync.check(source, other.url, options=options()).findings
    assert len([f for f in found if f.level == "error" and "bring both to one version first" in f.message]) == 1
