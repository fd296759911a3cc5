"""A journal that is not whole is no ground for an undo, and one of another target none to change the maps."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from dfsync.commands.runs import runs
from dfsync.model.errors import DfsyncError
from tests.support.git_history import run_sql
from tests.support.runs.undone import dump, id_mappings, undo
from tests.support.scenario import Scenario

SOURCE = """
CREATE TABLE t (id INTEGER PRIMARY KEY, k TEXT NOT NULL UNIQUE, v TEXT);
CREATE TABLE play (album TEXT);
INSERT INTO t VALUES (1, 'a', 'new'), (2, 'b', 'x');
INSERT INTO play VALUES ('p'), ('p')"""


@pytest.fixture
def synced(scenario: Scenario) -> Scenario:
    scenario.create_source(SOURCE)
    scenario.create_target(None, "INSERT INTO t (k, v) VALUES ('a', 'old')")
    scenario.sync(on_match="update")
    return scenario


@pytest.mark.parametrize(("file", "table"), [("inserted/t", "t"), ("before/t", "t"), ("inserted/play", "play")])
def test_a_file_that_is_gone_fails_its_table_and_no_other(synced: Scenario, file: str, table: str) -> None:
    before = dump(synced)
    (path,) = (synced.folder / "out" / "runs").glob(f"*/{file}.parquet")
    path.unlink()
    result = undo(synced)
    errors = {t.name: t.error for t in result.runs[0].tables}
    assert "lacks rows" in (errors.pop(table) or "")
    assert set(errors.values()) == {None}
    assert dump(synced)[table] == before[table]
    assert runs(synced.folder / "out").runs[-1].undone is None


def test_rows_that_stay_since_their_children_failed_say_so(scenario: Scenario) -> None:
    scenario.create_source(
        "CREATE TABLE device (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
        "CREATE TABLE reading (id INTEGER PRIMARY KEY, n INT UNIQUE, device_id INTEGER REFERENCES device);"
        "INSERT INTO device VALUES (1, 'a'), (2, 'b'); INSERT INTO reading VALUES (1, 1, 1), (2, 2, 2)"
    )
    scenario.create_target(None)
    scenario.sync()
    (path,) = (scenario.folder / "out" / "runs").glob("*/inserted/reading.parquet")
    path.unlink()
    for dry_run in (True, False):
        reading, device = undo(scenario, dry_run=dry_run).runs[0].tables
        assert reading.error
        assert device.reasons == {"reading, which failed, refers to it": 2}


def test_a_run_is_not_taken_back_where_a_later_one_cannot_be_read(synced: Scenario) -> None:
    run_sql(synced.source, "INSERT INTO t VALUES (3, 'c', 'y')")
    synced.sync()
    before = dump(synced)
    last = sorted((synced.folder / "out" / "runs").iterdir())[-1]
    (last / "run.json").write_text("{")
    with pytest.raises(DfsyncError, match=last.name):
        undo(synced)
    assert dump(synced) == before


def test_maps_of_another_target_stay(synced: Scenario, tmp_path: Path, target: Engine) -> None:
    name = f"{target.url.database}_2"
    with target.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    other = Scenario(tmp_path, create_engine(target.url.set(database=name)))
    try:
        other.create_target(None)
        other.sync()
        maps = id_mappings(other)
        assert undo(synced, runs(synced.folder / "out").runs[0].id).ok
        assert id_mappings(other) == maps
    finally:
        other.target.dispose()
        with target.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name}"))


def test_a_map_that_is_damaged_does_not_stop_an_undo(synced: Scenario) -> None:
    (synced.folder / "out" / "mappings" / "t.parquet").write_bytes(b"x")
    assert undo(synced).ok
    assert dump(synced) == {"t": [(1, "a", "old")], "play": []}
    counts = {c.name: (c.inserted, c.updated) for c in synced.sync(on_match="update").counts}
    assert counts == {"t": (1, 1), "play": (2, 0)}
