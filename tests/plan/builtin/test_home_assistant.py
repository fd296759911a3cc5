"""The ready-made plan for Home Assistant's recorder, on the tables that its db_schema.py makes."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine

import dfsync
from tests.support.applications import home_assistant
from tests.support.applications.databases import answers, assert_same, make_source, make_target
from tests.support.git_history import execute, fetch, run_sql

STATES = 400
SINCE = """
    INSERT INTO states (state, metadata_id, last_updated_ts, old_state_id)
        SELECT 'new', metadata_id, 1790000000.25 + metadata_id, MAX(state_id) FROM states GROUP BY metadata_id LIMIT 2;
    UPDATE recorder_runs SET "end" = '2026-09-01 12:00:00.000000', closed_incorrect = 1 WHERE run_id = 2"""


def options(**more: str) -> dfsync.SyncOptions:
    return dfsync.SyncOptions(plan="home-assistant", **more)  # type: ignore[arg-type]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    rows = home_assistant.instance("a", STATES, seed=1)
    return make_source(tmp_path / "home-assistant_v2.db", "home-assistant", rows)


@pytest.fixture
def other(target: Engine) -> Engine:
    """The target, in which another instance's rows are."""
    make_target(target, "home-assistant", home_assistant.instance("b", STATES // 2, year=2025, seed=2))
    return target


def test_is_chosen_by_itself(source: Path, other: Engine) -> None:
    assert dfsync.resolve_plan(source, other.url).plan.base == "home-assistant"


def test_every_table_has_a_natural_key_that_an_index_serves(source: Path, other: Engine) -> None:
    checked = dfsync.check(source, other.url, options=options())
    assert checked.ok
    warned = {finding.table for finding in checked.findings if finding.level == "warning"}
    # Home Assistant looks these up by their hash alone, and so finds few rows.
    assert warned == {"event_data", "state_attributes"}


def test_into_another_instance(source: Path, other: Engine, tmp_path: Path) -> None:
    before = {name: answers(other, query) for name, query in home_assistant.relations(2025)}
    first = dfsync.sync(source, other.url, out=tmp_path / "out", options=options())
    assert first.ok
    assert_same(source, other, home_assistant.relations(2026))
    after = {name: answers(other, query) for name, query in home_assistant.relations(2025)}
    assert all(before[name] <= after[name] for name in before)
    verified = dfsync.verify(source, other.url, out=tmp_path / "out", options=options())
    assert verified.ok
    again = dfsync.sync(source, other.url, out=tmp_path / "out", options=options())
    assert (again.ok, sum(c.inserted + c.updated for c in again.counts)) == (True, 0)


def test_an_entity_of_both_is_one(source: Path, other: Engine, tmp_path: Path) -> None:
    dfsync.sync(source, other.url, out=tmp_path / "out", options=options())
    assert fetch(other, "SELECT COUNT(*) FROM states_meta WHERE entity_id = 'sun.sun'") == [(1,)]


def test_the_next_run_brings_what_came_since(source: Path, other: Engine, tmp_path: Path) -> None:
    dfsync.sync(source, other.url, out=tmp_path / "out", options=options())
    run_sql(source, SINCE)
    again = dfsync.sync(source, other.url, out=tmp_path / "out", options=options())
    assert {c.name: (c.inserted, c.updated) for c in again.counts if c.inserted or c.updated} == {
        "recorder_runs": (0, 1),
        "states": (2, 0),
    }
    assert_same(source, other, home_assistant.relations(2026))


def test_the_books_stay_where_they_are(source: Path, other: Engine, tmp_path: Path) -> None:
    run_sql(source, "INSERT INTO migration_changes VALUES ('entity_id_migration', 1)")
    dfsync.sync(source, other.url, out=tmp_path / "out", options=options())
    assert fetch(other, "SELECT * FROM migration_changes") == []
    assert fetch(other, "SELECT schema_version, COUNT(*) FROM schema_changes GROUP BY 1") == [(53, 1)]


def test_another_schema_version_is_refused(source: Path, other: Engine) -> None:
    run_sql(source, "INSERT INTO schema_changes (schema_version, changed) VALUES (52, '2026-06-01')")
    found = dfsync.check(source, other.url, options=options()).findings
    assert ["the source is at 52, the target is at 53" in f.message for f in found if f.level == "error"] == [True]


def test_into_its_own_fresh_target(source: Path, target: Engine, tmp_path: Path) -> None:
    # What its first start there writes: entities and event types in another order, a run, the first states.
    make_target(target, "home-assistant", {})
    execute(
        target,
        "INSERT INTO states_meta VALUES (1, 'sun.sun'), (2, 'sensor.s0_a')",
        "INSERT INTO event_types VALUES (1, 'start')",
        "INSERT INTO states (state_id, state, metadata_id, last_updated_ts) VALUES (1, 'unknown', 2, 1795000000.5)",
        "INSERT INTO recorder_runs VALUES (1, '2026-11-27 10:00:00', '2026-11-27 10:01:00', 0, '2026-11-27 10:00:00')",
        "INSERT INTO schema_changes VALUES (1, 53, '2026-11-27 10:00:00')",
    )
    fresh = options(on_match="update", keep_ids="free")
    result = dfsync.sync(source, target.url, out=tmp_path / "out", options=fresh)
    assert result.ok
    own = "SELECT state, last_updated_ts FROM states WHERE last_updated_ts < 1790000000"
    assert answers(target, own) == answers(source, own)
    assert fetch(target, "SELECT COUNT(*) FROM states_meta WHERE entity_id = 'sun.sun'") == [(1,)]
    ids = result.mappings["states"]
    assert (ids["old_id"] != ids["new_id"]).sum() == 1
    assert dfsync.verify(source, target.url, out=tmp_path / "out", options=fresh).ok


def test_leftover_columns_of_an_old_file(source: Path, other: Engine, tmp_path: Path) -> None:
    # Home Assistant never dropped these: `domain` has values in the oldest rows, the other is NULL in all.
    run_sql(
        source,
        """ALTER TABLE states ADD domain VARCHAR(64); UPDATE states SET domain = 'sensor' WHERE state_id < 20;
        ALTER TABLE statistics ADD something_old TEXT""",
    )
    assert dfsync.sync(source, other.url, out=tmp_path / "out", options=options()).ok
    assert_same(source, other, home_assistant.relations(2026))


def test_of_a_damaged_file_the_rest_goes_in(source: Path, other: Engine, tmp_path: Path) -> None:
    run_sql(
        source,
        """DELETE FROM states WHERE state_id BETWEEN 50 AND 60;
        DELETE FROM state_attributes WHERE attributes_id = 3""",
    )
    result = dfsync.sync(source, other.url, out=tmp_path / "out", options=options())
    assert result.ok
    assert_same(source, other, home_assistant.relations(2026))
