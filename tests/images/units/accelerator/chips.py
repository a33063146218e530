"""The notebook in the person's home runs in both languages, and each run that it logs keeps to the schema."""

import importlib
import os
import sys
from pathlib import Path
from typing import Any

folder = Path.home() / "ai-chips"
os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{Path.home()}/tracking.db"
os.chdir(folder)
sys.path.insert(0, str(folder))

rules: Any = importlib.import_module("chipbench.rules")
mlflow: Any = importlib.import_module("mlflow")
nbformat: Any = importlib.import_module("nbformat")
nbclient: Any = importlib.import_module("nbclient")

for language in ("ko", "en"):
    notebook = nbformat.read(folder / f"ai-chips.{language}.ipynb", as_version=4)
    done = nbclient.NotebookClient(notebook, timeout=240, kernel_name="python3").execute()
    outputs = [o for c in done.cells if c.cell_type == "code" for o in c.outputs]
    texts = [o.text for o in outputs if o.output_type == "stream"]
    # no warnings, and a font for every sign of the plot
    assert not [text for text in texts if "Warning" in text or "glyph" in text], texts
    assert sum("image/png" in o.get("data", {}) for o in outputs) == 1

experiment = mlflow.get_experiment_by_name("ai-chips")
assert any(f"/#/experiments/{experiment.experiment_id}" in text for text in texts), texts
client = mlflow.MlflowClient()
runs = client.search_runs([experiment.experiment_id])
parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
children = [run for run in runs if run not in parents]
assert len(parents) == 2, "one for each time that the notebook ran"
for run in children:
    assert rules.check(run.data.params, run.data.metrics, run.data.tags) == [], run
    assert run.data.metrics["latency_count"] >= 200
    assert run.data.metrics["accuracy"] > 0.95, run
    assert run.data.metrics["agreement_fp32"] > 0.98, run
for parent in parents:
    assert [file.path for file in client.list_artifacts(parent.info.run_id)] == ["digits.onnx"]
    mine = [r for r in children if r.data.tags["mlflow.parentRunId"] == parent.info.run_id]
    names = {(r.data.params["device"], r.data.params["precision"]) for r in mine}
    assert len(names) == len(mine)
    here = {(d, p) for d, p in names if d.endswith(":cpu")}
    assert {("ort:cpu", "fp32"), ("ort:cpu", "int8"), ("torch:cpu", "fp32")} <= here
    skipped = parent.data.tags["skipped"]
    # no GPU here: what CUDA's build can do without one is not measured and named after it
    assert names == here, names
    # what this CPU cannot is said, and not recorded
    assert "torch:cpu int8: PyTorch" in skipped
    assert ("torch:cpu", "int8") not in names
    for device, precision in {(d, p) for d in ("ort:cpu", "torch:cpu") for p in rules.PRECISIONS}:
        assert ((device, precision) in names) != (f"{device} {precision}: " in skipped)
# the second notebook took the first one's model
assert len({run.data.params["model_sha256"] for run in children}) == 1

# the table has the latest of each, and nothing of another model
bench: Any = importlib.import_module("chipbench.bench")
latest = max(parents, key=lambda run: run.info.start_time).info.run_id
with mlflow.start_run(experiment_id=experiment.experiment_id, tags=bench.TAGS) as late:
    mlflow.log_params({**children[0].data.params, "device": "late"})
table = bench.table()
assert set(table["device"]) == {"late", "ort:cpu", "torch:cpu"}
assert set(table[table["device"] != "late"]["tags.mlflow.parentRunId"]) == {latest}
with mlflow.start_run(experiment_id=experiment.experiment_id, tags=bench.TAGS):
    mlflow.log_params({**children[0].data.params, "model_sha256": "0" * 64})
assert len(bench.table()) == 1

# what nobody computed is refused: a device that is not here does not become a figure of the CPU
runtimes: Any = importlib.import_module("chipbench.runtimes")
devices: Any = importlib.import_module("chipbench.devices")
model: Any = importlib.import_module("chipbench.model")
data = model.digits()
absent = devices.Device("ort", "CUDAExecutionProvider", 0, "nvidia.com/gpu", "none")
refusal = ""
try:
    runtimes.ready(absent, "fp32", model.kept(folder / "digits.onnx", data), data, 1)
except Exception as error:  # of which kind is the runtime's own
    refusal = str(error)
assert "fallback to CPU EP has been explicitly disabled" in refusal, (
    refusal or "the CPU has answered"
)
