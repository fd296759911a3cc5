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
from tests.plan.builtin.mlflow.rows import OTHER, OURS, Server, insert_rows
from tests.support.scenario import Scenario, fail_if_failed

FOLDER = Path(__file__).parent
PAGE = (Path(__file__).parents[4] / "docs" / "plans" / "mlflow.md").read_text(encoding="utf-8")
FIRST, SECOND = re.findall(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL)
RELATIONS = {
    "runs": "SELECT e.name, r.name, r.run_uuid FROM runs r JOIN experiments e ON e.experiment_id = r.experiment_id",
    "metrics": """SELECT e.name, m.run_uuid, m."key", m.step, m.value FROM metrics m
        JOIN runs r ON r.run_uuid = m.run_uuid JOIN experiments e ON e.experiment_id = r.experiment_id""",
    "tags": 'SELECT e.name, t."key", t.value FROM experiment_tags t JOIN experiments e USING (experiment_id)',
    "datasets": "SELECT e.name, d.dataset_uuid FROM datasets d JOIN experiments e USING (experiment_id)",
    "inputs": """SELECT e.name, i.destination_id FROM inputs i JOIN datasets d ON d.dataset_uuid = i.source_id
        JOIN experiments e USING (experiment_id)""",
    "spans": """SELECT e.name, s.trace_id, s.duration_ns FROM spans s
        JOIN experiments e ON e.experiment_id = s.experiment_id""",
    "assessments": """SELECT e.name, a.trace_id FROM assessments a
        JOIN experiments e ON e.experiment_id = a.experiment_id""",
    "models": "SELECT e.name, m.model_id FROM logged_models m JOIN experiments e USING (experiment_id)",
    "scorers": """SELECT e.name, v.scorer_id, v.scorer_version FROM scorer_versions v JOIN scorers s USING (scorer_id)
        JOIN experiments e USING (experiment_id)""",
    "cases": """SELECT d.dataset_id, e.name FROM entity_associations a
        JOIN evaluation_datasets d ON d.dataset_id = a.source_id
        JOIN experiments e ON a.destination_id = CAST(e.experiment_id AS CHAR) AND a.destination_type = 'experiment'""",
    "traces": """SELECT a.source_id, r.name FROM entity_associations a JOIN runs r ON r.run_uuid = a.destination_id
        WHERE a.destination_type = 'run'""",
}
"""Who belongs to what, by names and by ids that are texts."""


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


def assert_all_there(scenario: Scenario) -> None:
    """What belongs together in the source does so in the target, where as much belongs together as before."""
    for name, query in RELATIONS.items():
        ours, all_rows = {*scenario.read_source(query)}, {*scenario.read_target(query.replace('"', "`"))}
        assert ours, f"{name}: the query finds nothing"
        assert ours <= all_rows, name
        assert not [row for row in all_rows - ours if OURS.name in repr(row)], name


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
