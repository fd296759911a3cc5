"""The ready-made plan for MLflow, on the tables that MLflow's migrations make, with rows that are made up."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

import dfsync
from dfsync.plan.builtin.ready_made import told_by
from tests.plan.builtin.mlflow.relations import assert_all_there
from tests.plan.builtin.mlflow.rows import OTHER, OURS, Server, insert_rows
from tests.support.scenario import Scenario, fail_if_failed

FOLDER = Path(__file__).parent
PAGE = (Path(__file__).parents[4] / "docs" / "plans" / "mlflow.md").read_text(encoding="utf-8")
FIRST, SECOND = re.findall(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.fixture
def servers(tmp_path: Path, target: Engine) -> Callable[[Server | None], Scenario]:
    """A source of our rows, and a target of another server's rows, or of none."""

    def make(other: Server | None) -> Scenario:
        scenario = Scenario(tmp_path, target)
        scenario.create_source((FOLDER / "sqlite.sql").read_text(encoding="utf-8"))
        insert_rows(sa.create_engine(f"sqlite:///{scenario.source}"), OURS)
        scenario.create_target((FOLDER / "mariadb.sql").read_text(encoding="utf-8"))
        if other:
            insert_rows(target, other)
        return scenario

    return make


def test_it_is_told_by_its_tables(servers: Callable[[Server | None], Scenario]) -> None:
    scenario = servers(None)
    tables = [name for (name,) in scenario.read_source("SELECT name FROM sqlite_master WHERE type = 'table'")]
    assert [application.plan for application in told_by(tables)] == ["mlflow"]


class TestANewServer:
    def test_all_is_there_with_its_numbers(self, servers: Callable[[Server | None], Scenario]) -> None:
        # A server that was started has the experiment 0.
        scenario = servers(Server("seed", {0: "Default"}, runs=1))
        result, notes = scenario.sync_with_notes(on_match="update")
        fail_if_failed(result)
        assert_all_there(scenario)
        ids = "SELECT experiment_id, name, artifact_location FROM experiments"
        assert {*scenario.read_target(ids)} == {*scenario.read_source(ids)}
        assert not [note for note in notes if "another id" in note]
        left_out = ("job_locks", "scheduler_leases", "sql_trace_metric_daily_rollups", "alembic_version")
        assert not {*left_out} & {counts.name for counts in result.counts}

    def test_of_tables_alone(self, servers: Callable[[Server | None], Scenario]) -> None:
        scenario = servers(None)
        result = scenario.sync_twice(on_match="update")
        assert not any(counts.failed for counts in result.counts)
        assert scenario.id_maps(result)["experiments"] == {0: 0, 1: 1, 2: 2, 4: 4}
        assert dfsync.verify(scenario.source, scenario.target.url, out=scenario.folder / "out").ok
        assert_all_there(scenario)


class TestAServerThatHasItsOwn:
    def test_with_the_two_plans_of_the_page(self, servers: Callable[[Server | None], Scenario]) -> None:
        scenario = servers(OTHER)
        before = scenario.all_rows()
        for number, text in enumerate((FIRST, SECOND)):
            scenario.plan = scenario.folder / f"{number}.toml"
            scenario.plan.write_text(text, encoding="utf-8")
            out = scenario.folder / f"out{number}"
            result = dfsync.sync(
                scenario.source, scenario.target.url, out=out, options=dfsync.SyncOptions(plan=scenario.plan)
            )
            fail_if_failed(result)
            assert scenario.id_maps(result)["experiments"] == {0: 0, 1: 4, 2: 5, 4: 2}
        assert_all_there(scenario)
        now = scenario.all_rows()
        assert not [name for name, rows in before.items() if {*rows} - {*now[name]}]

    def test_a_version_of_another_model_is_a_reject(self, servers: Callable[[Server | None], Scenario]) -> None:
        scenario = servers(OTHER)
        result, notes = scenario.sync_with_notes()
        assert {counts.name: counts.failed for counts in result.counts if counts.failed} == {"model_versions": 1}
        assert "Duplicate entry" in result.rejects["model_versions"]["reason"].item()
        assert [note for note in notes if note.startswith("experiments: 3 rows have other ids")]
