"""What MLflow's own client finds in a backend store, as JSON; then it logs one more run of an experiment."""

import json
import sys

from mlflow import MlflowClient

client, again = MlflowClient(sys.argv[1]), sys.argv[2]
found = {"runs": {}, "models": {}}
for experiment in client.search_experiments():
    runs = client.search_runs([experiment.experiment_id], max_results=10_000)
    found["runs"][experiment.name] = sorted(run.info.run_id for run in runs)
for model in client.search_registered_models():
    versions = client.search_model_versions(f"name = '{model.name}'")
    found["models"][model.name] = [[version.version, version.source] for version in versions]
experiment = client.get_experiment_by_name(again)
first = client.search_runs([experiment.experiment_id])[0].info.run_id
found["history"] = len(client.get_metric_history(first, "loss"))
found["datasets"] = [dataset.name for dataset in client.search_datasets(experiment_ids=[experiment.experiment_id])]
run = client.create_run(experiment.experiment_id).info.run_id
client.log_metric(run, "loss", 0.25)
client.set_terminated(run)
found["logged"] = client.get_run(run).data.metrics
found["next"] = int(client.create_experiment("next"))
print(json.dumps(found))
