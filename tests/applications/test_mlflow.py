"""The ready-made plan for MLflow, on databases that MLflow's own migrations made, looked at by MLflow's own client."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

import dfsync
from tests.applications.support import ROOT, needs, run
from tests.plan.builtin.mlflow.relations import assert_all_there
from tests.plan.builtin.mlflow.rows import OTHER, OURS, Server, insert_rows
from tests.support.scenario import Scenario, fail_if_failed

pytestmark = needs("mlflow")
SITE = Path(__file__).parent / "mlflow_site"
MANY = replace(OURS, runs=40, metrics=1_250)
ALL_METRICS = 4 * 40 * 1_250
FIRST, SECOND = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "plans" / "mlflow.md").read_text(), flags=re.DOTALL)


def upgrade(url: sa.URL) -> None:
    run("mlflow", "-m", "mlflow", "db", "upgrade", url.render_as_string(hide_password=False))


def look(target: Engine, experiment: str, folder: Path) -> dict[str, Any]:
    url = target.url.render_as_string(hide_password=False)
    found: dict[str, Any] = json.loads(run("mlflow", SITE / "look.py", url, experiment, folder=folder))
    return found


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mlflow") / "source.db"
    url = sa.make_url(f"sqlite:///{path}")
    upgrade(url)
    insert_rows(sa.create_engine(url), MANY)
    return path


def scenario_of(source: Path, target: Engine, other: Server | None) -> Scenario:
    upgrade(target.url)
    if other:
        insert_rows(target, other)
    return Scenario(source.parent, target)


def runs_of(*servers: Server) -> dict[str, list[str]]:
    ids: dict[str, list[str]] = {}
    for server in servers:
        for number, name in server.experiments.items():
            ids.setdefault(name, []).extend(server.run_id(number, run) for run in range(server.runs))
    return {name: sorted(runs) for name, runs in ids.items()}


def test_a_new_server(source: Path, target: Engine, tmp_path: Path) -> None:
    scenario = scenario_of(source, target, None)
    result = dfsync.sync(source, target.url, out=tmp_path, options=dfsync.SyncOptions(on_match="update"))
    assert result.ok
    assert {counts.name: counts.inserted for counts in result.counts}["metrics"] == ALL_METRICS
    assert dfsync.verify(source, target.url, out=tmp_path).ok
    assert_all_there(scenario)
    found = look(target, "churn", tmp_path)
    assert found["runs"] == runs_of(MANY)
    assert found["models"] == {"model of ours": [[1, "ours"]], "shared": [[1, "ours"]]}
    assert (found["history"], found["datasets"]) == (1_250, ["cases of ours"])
    assert (found["logged"], found["next"]) == ({"loss": 0.25}, 5)


def test_a_server_that_has_its_own(source: Path, target: Engine, tmp_path: Path) -> None:
    scenario = scenario_of(source, target, OTHER)
    for number, text in enumerate((FIRST, SECOND)):
        plan = tmp_path / f"{number}.toml"
        plan.write_text(text)
        out, options = tmp_path / str(number), dfsync.SyncOptions(plan=plan)
        result = dfsync.sync(source, target.url, out=out, options=options)
        fail_if_failed(result)
        assert sum(counts.failed for counts in result.counts) == (1 if text == FIRST else 0)
        assert dfsync.verify(source, target.url, options=options, out=out).ok
        again = dfsync.sync(source, target.url, out=out, options=options)
        assert not any(counts.inserted or counts.updated for counts in again.counts)
    assert_all_there(scenario)
    found = look(target, "churn", tmp_path)
    assert found["runs"] == runs_of(MANY, OTHER)
    assert found["models"] == {name: [[1, by]] for name, by in _MODELS.items()}
    assert (found["history"], found["datasets"], found["next"]) == (1_250, ["cases of ours"], 6)


_MODELS = {"model of ours": "ours", "model of other": "other", "shared": "other"}
