"""What the server does for people works without the packages that are left out."""

import importlib
import tempfile
from pathlib import Path
from typing import Any

for name in (
    "mlflow.server.handlers",
    "mlflow.server.fastapi_app",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.artifact.artifact_repository_registry",
    "madang_mlflow.app",
):
    importlib.import_module(name)

folder = Path(tempfile.mkdtemp())
tracking: Any = importlib.import_module("mlflow.tracking")
client = tracking.MlflowClient(f"sqlite:///{folder}/mlflow.db", f"sqlite:///{folder}/mlflow.db")
experiment = client.create_experiment("실험", artifact_location=f"file://{folder}/artifacts")
run = client.create_run(experiment)
client.log_metric(run.info.run_id, "loss", 0.5)
client.log_param(run.info.run_id, "이름", "값")
client.log_text(run.info.run_id, "안녕", "a/b.txt")
client.set_terminated(run.info.run_id)
assert [f.path for f in client.list_artifacts(run.info.run_id, "a")] == ["a/b.txt"]
assert client.search_runs([experiment], "metrics.loss < 1")[0].data.params["이름"] == "값"
client.create_registered_model("모델")
client.create_model_version("모델", f"{folder}/artifacts", run.info.run_id)
assert len(client.search_model_versions("name = '모델'")) == 1
client.delete_run(run.info.run_id)
