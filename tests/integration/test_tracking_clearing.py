"""Deleted runs are cleared with their files, in every workspace, and nothing else is touched."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.storage import BUCKET, Bucket, storage
from support.tracking import Stack, mlflow_python, running, wait_until

SCOPE = ["access:services!service=mlflow"]

LOG = """
    import json, mlflow
    from mlflow import MlflowClient
    client = MlflowClient()
    class Twice(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            return [2 * x for x in model_input]
    def run(size):
        with mlflow.start_run() as active:
            mlflow.log_text("x" * size, "text.txt")
            mlflow.log_metric("loss", 0.5)
        return active.info.run_id
    ids = {"kept": run(1_000), "gone": run(200_000)}
    with mlflow.start_run() as active:
        ids["model"] = mlflow.pyfunc.log_model(
            name="twice", python_model=Twice(), pip_requirements=[]).model_id
    other = mlflow.set_experiment("other")
    ids["experiment"], ids["inside"] = other.experiment_id, run(50_000)
    @mlflow.trace
    def work(x):
        return x
    work(1)
    mlflow.flush_trace_async_logging()
    client.create_registered_model("net")
    source = client.get_run(ids["gone"]).info.artifact_uri
    client.create_model_version("net", source, ids["gone"])
    client.delete_run(ids["gone"])
    client.delete_logged_model(ids["model"])
    client.delete_experiment(ids["experiment"])
    print("IDS" + json.dumps(ids))
    """


def task(stack: Stack, *words: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [mlflow_python(), "-W", "ignore", "-m", "madang_mlflow", *words],
        env=stack.tracking_env,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


class Files:
    """What is stored, wherever that is."""

    def __init__(self, folder: Path, bucket: Bucket | None) -> None:
        self._folder = folder
        self._bucket = bucket

    def of(self, workspace: str) -> dict[str, int]:
        if self._bucket:
            prefix = f"madang/workspaces/{workspace}/"
            stored = self._bucket.keys(prefix)
            return {key.removeprefix(prefix): size for key, size in stored.items()}
        place = self._folder / "artifacts" / "workspaces" / workspace
        files = [path for path in place.rglob("*") if path.is_file()]
        return {str(path.relative_to(place)): path.stat().st_size for path in files}


@pytest.fixture(scope="module", params=["folder", pytest.param("bucket", marks=pytest.mark.long)])
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Stack, Files]]:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "folder":
        with running(folder) as stack:
            yield stack, Files(folder, None)
        return
    with storage(tmp_path_factory.mktemp("s3")) as bucket:
        bucket.put(f"{BUCKET}/outside.txt", b"x")
        with running(folder, bucket.settings) as stack:
            yield stack, Files(folder, bucket)


def log(stack: Stack, user: str) -> dict[str, str]:
    token, _ = stack.new_token(user, SCOPE)
    run = stack.client(token, LOG, workspace=f"u-{user}", experiment=user)
    assert run.returncode == 0, run.stderr[-4000:]
    found = re.search(r"^IDS(.*)$", run.stdout, re.MULTILINE)
    assert found
    return {"token": token, **json.loads(found[1])}


def test_deleted_runs_are_cleared_with_their_files(served: tuple[Stack, Files]) -> None:
    stack, files = served
    ann, ben = log(stack, "ann"), log(stack, "ben")
    before, others = files.of("u-ann"), files.of("u-ben")
    # nothing is old enough
    assert task(stack, "gc") == []
    # only shown
    due = {one["workspace"]: one for one in task(stack, "gc", "--older-than", "0d")}
    assert set(due) == {"u-ann", "u-ben"}
    assert set(due["u-ann"]["runs"]) == {ann["gone"], ann["inside"]}
    assert due["u-ann"]["models"] == [ann["model"]]
    assert due["u-ann"]["experiments"] == [ann["experiment"]]
    assert due["u-ann"]["registered"] == ["net/1"]
    assert files.of("u-ann") == before
    kept = {path: size for path, size in before.items() if ann["kept"] in path}
    assert kept
    assert due["u-ann"]["bytes"] == sum(before.values()) - sum(kept.values())
    # done
    done = task(stack, "gc", "--older-than", "0d", "--yes")
    assert [one["error"] for one in done] == ["", ""]
    assert files.of("u-ann") == kept
    assert {path for path in files.of("u-ben") if ben["kept"] in path} == set(files.of("u-ben"))
    assert set(files.of("u-ben")) < set(others)
    # the rows are gone, and what was not deleted reads as ever
    run = "api/2.0/mlflow/runs/get?run_id="
    assert stack.call(run + ann["gone"], ann["token"]).status_code == 404
    assert stack.call(run + ann["kept"], ann["token"]).ok
    text = stack.call(f"get-artifact?run_id={ann['kept']}&path=text.txt", ann["token"]).text
    assert text == "x" * 1000
    assert task(stack, "gc", "--older-than", "0d", "--yes") == []


def test_one_workspace_that_fails_does_not_hold_up_the_others(
    served: tuple[Stack, Files],
) -> None:
    """Nor is anything removed outside the workspace, whatever a run's row says."""
    stack, files = served
    dan = log(stack, "dan")
    mia = log(stack, "mia")
    # as if dan's run's files were noted to lie in mia's workspace: never removed from there
    stolen = f"mlflow-artifacts:/workspaces/u-mia/1/{mia['kept']}/artifacts"
    done = subprocess.run(
        [
            mlflow_python(),
            "-c",
            "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=30); "
            "c.execute('UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?', sys.argv[2:]); c.commit()",
            *(str(stack.folder / "mlflow.db"), stolen, dan["gone"]),
        ],
        check=False,
    )
    assert done.returncode == 0
    found = {one["workspace"]: one for one in task(stack, "gc", "--older-than", "0d", "--yes")}
    assert "not a place of the workspace 'u-dan'" in found["u-dan"]["error"]
    assert found["u-mia"]["error"] == ""
    assert {path for path in files.of("u-mia") if mia["kept"] in path} == set(files.of("u-mia"))
    assert files.of("u-mia")


def test_clearing_makes_room(tmp_path: Path) -> None:
    settings = {"MADANG_TRACKING_QUOTA_GB": "0.0003", "MADANG_TRACKING_STATE": str(tmp_path)}
    with running(tmp_path, settings) as stack:
        ann = log(stack, "ann")
        path = "api/2.0/mlflow-artifacts/artifacts/more.bin"

        def put() -> int:
            reply = stack.call(path, ann["token"], method="PUT", data=b"x" * 200_000)
            return reply.status_code

        assert put() == 507
        task(stack, "gc", "--older-than", "0d", "--yes")
        wait_until(lambda: put() == 200, "room for the file", 30)
