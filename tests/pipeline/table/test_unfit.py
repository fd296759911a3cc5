"""A row that has a target row, and whose own values do not fit there: told, listed, and no success."""

from __future__ import annotations

import json
from pathlib import Path

from sqlalchemy import Engine

from dfsync.model.rejects import KEEPS_OTHER_VALUES
from dfsync.output.result import SyncResult
from tests.support.runs.command_line import process
from tests.support.scenario import Scenario

TARGET = "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9) NOT NULL UNIQUE, v VARCHAR(3))"
REASON = f"is longer than the 3 characters of varchar(3){KEEPS_OTHER_VALUES}"


def updating(tmp_path: Path, target: Engine) -> Scenario:
    scenario = Scenario(tmp_path, target)
    scenario.create_source(
        """CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE, v TEXT);
        INSERT INTO t VALUES (1, 'a', 'new'), (2, 'b', 'too long'), (3, 'c', 'x')"""
    )
    scenario.create_target(TARGET, "INSERT INTO t (name, v) VALUES ('a', 'old'), ('b', 'old')")
    return scenario


def listed(result: SyncResult) -> list[tuple[int, str, str, str]]:
    return [tuple(row) for row in result.rejects["t"].to_numpy().tolist()]


def told(result: SyncResult) -> tuple[int, ...]:
    (c,) = result.counts
    assert c.total == c.inserted + c.matched + c.updated + c.failed
    return c.inserted, c.matched, c.updated, c.failed, c.unfit


def test_an_update_that_does_not_fit(tmp_path: Path, target: Engine) -> None:
    scenario = updating(tmp_path, target)
    rehearsed = scenario.sync(on_match="update", dry_run=True)
    result = scenario.sync(on_match="update")
    assert told(result) == told(rehearsed) == (1, 1, 1, 0, 1)
    assert listed(result) == listed(rehearsed) == [(2, "v", "too long", REASON)]
    assert not result.ok
    assert result.mappings["t"]["action"].tolist() == ["updated", "matched", "inserted"]
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["tables"][0]["unfit"] == 1


def test_quiet_tells_it_and_the_exit_status_is_1(tmp_path: Path, target: Engine) -> None:
    scenario = updating(tmp_path, target)
    url = target.url.render_as_string(hide_password=False)
    where = ["--source", str(scenario.source), "--target", url, "--out", str(tmp_path / "out")]
    done = process("-q", "--on-match", "update", *where)
    assert done.returncode == 1, done.stderr
    assert f"[FAIL] T (ID: 2): column v: value 'too long': {REASON}" in done.stdout
    assert "1 kept other values" in done.stdout
    verified = process("verify", *where)
    assert "T: 3 rows: 2 equal, 1 rejected by the sync" in verified.stdout
    assert process("report", str(tmp_path / "out")).returncode == 0


def test_of_two_rows_of_one_key_the_first_does_not_fit(tmp_path: Path, target: Engine) -> None:
    scenario = Scenario(tmp_path, target)
    scenario.create_source(
        """CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, v TEXT);
        INSERT INTO t VALUES (1, 'a', 'too long'), (2, 'a', 'x')"""
    )
    scenario.create_target(TARGET)
    result = scenario.sync()
    assert told(result) == (1, 1, 0, 0, 1)
    assert listed(result) == [(1, "v", "too long", REASON)]
    assert result.mappings["t"]["new_id"].nunique() == 1


def test_a_row_that_another_client_inserted_meanwhile_is_none(tmp_path: Path, target: Engine) -> None:
    scenario = updating(tmp_path, target)
    assert told(scenario.sync()) == (1, 2, 0, 0, 0)
