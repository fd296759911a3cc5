"""What belongs together in the tables of MLflow."""

from __future__ import annotations

from tests.plan.builtin.mlflow.rows import OURS
from tests.support.scenario import Scenario

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


def assert_all_there(scenario: Scenario) -> None:
    """What belongs together in the source does so in the target, where as much belongs together as before."""
    for name, query in RELATIONS.items():
        ours, all_rows = {*scenario.read_source(query)}, {*scenario.read_target(query.replace('"', "`"))}
        assert ours, f"{name}: the query finds nothing"
        assert ours <= all_rows, name
        assert not [row for row in all_rows - ours if OURS.name in repr(row)], name
