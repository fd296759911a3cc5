"""A process that is killed does no harm, and one that does not end is named."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine

import dfsync.target.connection
from dfsync.model.errors import DfsyncError
from dfsync.target.connection import exclusive_lock
from tests.support.git_history import assert_copied, create_tables, fetch, run, run_sql, target_rows
from tests.support.runs.killed import HISTORY, KILLED, kill_sync, wait_until_alone
from tests.support.scenario import Scenario
from tests.support.tables import visits


class TestAProcessThatIsKilled:
    @pytest.mark.parametrize(
        ("moment", "table"),
        [
            ("progress", "commits"),
            ("rows_done", "commits"),
            ("table_finished", "commits"),
            ("table_started", "pr_approvals"),
            # While it writes the record of the run, the journal of a table before its COMMIT and after it, a mapping.
            *(("fsync", str(number)) for number in (2, 5, 7, 8, 9, 10, 11, 17, 25, 30)),
        ],
    )
    def test_leaves_nothing_half_done_and_the_next_run_finishes(
        self, source: Path, target: Engine, target_url: str, out: Path, moment: str, table: str
    ) -> None:
        create_tables(target)
        command = [sys.executable, "-c", KILLED, str(source), target_url, str(out), moment, table, "0"]
        assert subprocess.run(command, capture_output=True).returncode == -signal.SIGKILL
        wait_until_alone(target)
        assert fetch(target, "SELECT COUNT(*) FROM commits") in ([(0,)], [(200,)])
        assert not (out / "id_mappings.json").exists()
        result = run(source, target, out, tables=HISTORY)
        assert result.ok
        assert all(c.total == len(target_rows(target, c.table)) for c in result.counts)
        again = run(source, target, out.with_name("again"), tables=HISTORY)
        assert (out / "id_mappings.json").read_bytes() == (out.with_name("again") / "id_mappings.json").read_bytes()
        assert_copied(source, target, again.mappings, also_matched=True)
        assert not [path for path in out.rglob("*") if "partial" in path.name]


class TestARunInPiecesThatIsKilled:
    @pytest.fixture
    def scenario(self, tmp_path: Path, target: Engine) -> Scenario:
        scenario = Scenario(tmp_path, target)
        scenario.create_source(visits.SOURCE, "[tables.places]\n[tables.visits]\nidentity = 'id'\n")
        scenario.create_target(visits.TARGET, "INSERT INTO places (name) VALUES ('elsewhere'), ('Place 4')")
        return scenario

    @pytest.mark.parametrize(
        ("call", "number"), [*(("commit", n) for n in range(2, 12)), *(("fsync", n) for n in range(6, 76, 7))]
    )
    def test_ends_like_a_clean_run_when_run_again(self, scenario: Scenario, call: str, number: int) -> None:
        kill_sync(scenario, call, number, commit_every=4)
        result = scenario.sync(commit_every=4)
        assert result.ok
        assert [c.inserted + c.matched for c in result.counts] == [visits.ROWS, visits.ROWS]
        assert [len(rows) for rows in scenario.all_rows().values()] == [visits.ROWS + 1, visits.ROWS]
        scenario.assert_same(visits.JOINED)
        known = (scenario.folder / "out" / "id_mappings.json").read_bytes()
        again = scenario.sync()
        assert [c.matched for c in again.counts] == [visits.ROWS, visits.ROWS]
        assert (scenario.folder / "out" / "id_mappings.json").read_bytes() == known
        assert not (scenario.folder / "out" / "pieces").exists()

    def test_knows_its_rows_though_the_source_has_changed_since(self, scenario: Scenario) -> None:
        # The five of the places, and of the three pieces of the visits that are committed the first two.
        kill_sync(scenario, "write_piece", 8, commit_every=4)
        assert fetch(scenario.target, "SELECT COUNT(*) FROM visits") == [(12,)]
        run_sql(scenario.source, "UPDATE visits SET note = 'another' WHERE id IN (1, 8)")
        result = scenario.sync(commit_every=4, on_match="update")
        assert [(c.inserted, c.updated) for c in result.counts] == [(0, 0), (visits.ROWS - 12, 2)]
        scenario.assert_same(visits.JOINED)
        again = scenario.sync(commit_every=4)
        assert [(c.inserted, c.matched) for c in again.counts] == [(0, visits.ROWS)] * 2

    def test_and_killed_again_still_knows_them(self, scenario: Scenario) -> None:
        kill_sync(scenario, "write_piece", 8, commit_every=4)
        kill_sync(scenario, "write_piece", 1, commit_every=4)
        run_sql(scenario.source, "UPDATE visits SET note = 'another' WHERE id = 1")
        result = scenario.sync(commit_every=4, on_match="update")
        assert sum(c.inserted for c in result.counts) == visits.ROWS - 16
        assert fetch(scenario.target, "SELECT COUNT(*) FROM visits") == [(visits.ROWS,)]


def test_another_run_that_does_not_end_is_named(
    source: Path, target: Engine, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_tables(target)
    monkeypatch.setattr(dfsync.target.connection, "_LOCK_SECONDS", 0)
    other = create_engine(target.url)
    with (
        exclusive_lock(other),
        pytest.raises(DfsyncError, match=r"Another dfsync is writing to dfsync_test_\w+ on"),
    ):
        run(source, target, out, tables=HISTORY)
    assert fetch(target, "SELECT COUNT(*) FROM repositories") == [(0,)]
    other.dispose()
    wait_until_alone(target)
    assert run(source, target, out, tables=HISTORY).ok
