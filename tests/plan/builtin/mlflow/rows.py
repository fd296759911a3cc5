"""Rows of an MLflow server, for tables that MLflow's own migrations made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

AT = 1_790_000_000_000
_ROWS_PER_STATEMENT = 5_000


@dataclass(frozen=True)
class Server:
    """What one server has; ids that are texts begin with its name."""

    name: str
    experiments: dict[int, str]
    runs: int = 2
    """Of each experiment."""
    metrics: int = 3
    """Of each run."""

    def run_id(self, experiment: int, run: int = 0) -> str:
        """The id of a run."""
        return f"{self.name}{experiment:03d}{run:05d}".ljust(32, "0")


OURS = Server("ours", {0: "Default", 1: "churn", 2: "prices", 4: "shared"})
OTHER = Server("other", {0: "Default", 1: "fraud", 2: "shared", 3: "demand"})


def insert_rows(engine: sa.Engine, server: Server) -> None:
    """Insert all rows of a server, into tables whose experiments and models have none of these names."""
    with engine.begin() as connection:
        if engine.dialect.name == "mysql":
            connection.exec_driver_sql("SET SESSION sql_mode = CONCAT(@@sql_mode, ',NO_AUTO_VALUE_ON_ZERO')")
        for name, rows in (_of_experiments(server) | _of_models(server)).items():
            table = sa.table(name, *(sa.column(column) for column in rows[0]))
            for start in range(0, len(rows), _ROWS_PER_STATEMENT):
                connection.execute(sa.insert(table), rows[start : start + _ROWS_PER_STATEMENT])
    engine.dispose()


def _of_experiments(server: Server) -> dict[str, list[dict[str, Any]]]:
    tables: dict[str, list[dict[str, Any]]] = {}
    for number, name in server.experiments.items():
        for table, rows in (_experiment(server, number, name) | _traces(server, number, name)).items():
            tables.setdefault(table, []).extend(rows)
    return tables


def _experiment(server: Server, number: int, name: str) -> dict[str, list[dict[str, Any]]]:
    place, dataset = f"mlflow-artifacts:/{number}", f"{server.name}-ds-{number}"
    runs = [server.run_id(number, run) for run in range(server.runs)]
    by_run = {
        "user_id": "eva",
        "source_type": "LOCAL",
        "status": "FINISHED",
        "start_time": AT,
        "end_time": AT,
        "lifecycle_stage": "active",
    }
    source = {"dataset_source_type": "local", "dataset_source": "{}"}
    times = {"creation_timestamp_ms": AT, "last_updated_timestamp_ms": AT}
    return {
        "experiments": [_named(experiment_id=number, name=name, artifact_location=place, lifecycle_stage="active")],
        "experiment_tags": [{"key": f"by {server.name}", "value": name, "experiment_id": number}],
        "runs": [
            {
                "run_uuid": run,
                "name": f"{name} {i}",
                "experiment_id": number,
                "artifact_uri": f"{place}/{run}",
                **by_run,
            }
            for i, run in enumerate(runs)
        ],
        "tags": [{"key": "mlflow.runName", "value": f"{name} {i}", "run_uuid": run} for i, run in enumerate(runs)],
        "params": [{"key": "rate", "value": str(i / 7), "run_uuid": run} for i, run in enumerate(runs)],
        "metrics": [
            {"key": "loss", "value": 1 / (step + 1), "timestamp": AT, "step": step, "is_nan": False, "run_uuid": run}
            for run in runs
            for step in range(server.metrics)
        ],
        "latest_metrics": [
            {"key": "loss", "value": 0.5, "timestamp": AT, "step": server.metrics, "is_nan": False, "run_uuid": run}
            for run in runs
        ],
        "datasets": [
            {"dataset_uuid": dataset, "experiment_id": number, "name": "train", "digest": dataset, **source},
        ],
        "inputs": [_pair("input_uuid", ("DATASET", dataset), ("RUN", runs[0]))],
        "logged_models": [
            {
                "model_id": f"m-{runs[0]}",
                "experiment_id": number,
                "name": "net",
                "artifact_location": place,
                "status": 2,
            }
            | times
        ],
    }


def _traces(server: Server, number: int, name: str) -> dict[str, list[dict[str, Any]]]:
    trace, cases, scorer = (f"{kind}-{server.name}-{number}" for kind in ("tr", "d", "sc"))
    at = {"created_timestamp": AT, "last_updated_timestamp": AT}
    said = {"name": "ok", "assessment_type": "feedback", "value": "true", "source_type": "HUMAN", "valid": True}
    span = {"status": "OK", "start_time_unix_nano": 5, "end_time_unix_nano": 9, "content": "{}"}
    return {
        "trace_info": [{"request_id": trace, "experiment_id": number, "timestamp_ms": AT, "status": "OK"}],
        "spans": [{"trace_id": trace, "experiment_id": number, "span_id": "s1", "name": name, **span}],
        "assessments": [
            {"assessment_id": f"a-{trace}", "trace_id": trace, "experiment_id": number, **said, **at},
        ],
        "evaluation_datasets": [_named(dataset_id=cases, name=f"cases of {server.name}", digest=cases)],
        "entity_associations": [
            _pair("association_id", ("evaluation_dataset", cases), ("experiment", str(number))),
            _pair("association_id", ("trace", trace), ("run", server.run_id(number))),
        ],
        "scorers": [{"scorer_id": scorer, "experiment_id": number, "scorer_name": f"strict of {server.name}"}],
        "scorer_versions": [{"scorer_id": scorer, "scorer_version": 1, "serialized_scorer": "{}"}],
    }


def _of_models(server: Server) -> dict[str, list[dict[str, Any]]]:
    models = [f"model of {server.name}", "shared"]
    version = {"version": 1, "creation_time": AT + len(server.name), "source": server.name, "workspace": "default"}
    version |= {"current_stage": "None", "status": "READY", "last_updated_time": AT}
    job = {"id": f"job-{server.name}", "job_name": "score", "params": "{}", "status": 1, "retry_count": 0}
    return {
        "registered_models": [{"name": name, "workspace": "default", "creation_time": AT} for name in models],
        "model_versions": [{"name": name, **version} for name in models],
        "jobs": [{**job, "creation_time": AT, "last_update_time": AT, "workspace": "default"}],
        "job_locks": [{"lock_key": "score", "job_id": job["id"], "acquired_at": AT}],
        "scheduler_leases": [{"lease_key": "scoring", "acquired_at": AT, "ttl_seconds": 60}],
        "sql_trace_metric_daily_rollups": [
            {
                "experiment_id": 1,
                "rollup_day": "2026-09-21",
                "metric_name": "n",
                "grouping_set": "g",
                "sample_count": 1,
            },
        ],
    }


def _named(**values: Any) -> dict[str, Any]:
    return {**values, "workspace": "default", "last_update_time": AT}


def _pair(own_id: str, source: tuple[str, str], destination: tuple[str, str]) -> dict[str, Any]:
    sides = {"source_type": source[0], "source_id": source[1]}
    return {own_id: source[1][-36:], **sides, "destination_type": destination[0], "destination_id": destination[1]}
