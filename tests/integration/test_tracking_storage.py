"""Runs in PostgreSQL and their files in an S3 server (moto's), four workers, through the gate: what works, and
what nobody gets at.

A model version's ``source`` is where the server reads with its own keys. The last test takes the rule away and
shows that MLflow then hands out another bucket: so the tests before it can fail.
"""

import hashlib
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from conftest import missing
from support.deployment import free_ports
from support.postgres import postgres, programs
from support.storage import BUCKET, KEYS, OTHER, Bucket, storage
from support.tracking import Stack, mlflow_python, running, stop, wait_until

from madang_mlflow import launch
from madang_mlflow.storage import read

SCOPE = ["access:services!service=mlflow"]
SECRET = b"salaries-41c9"


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    with storage(tmp_path_factory.mktemp("s3")) as made:
        made.put("2026/all.csv", SECRET, OTHER)
        made.put("outside/all.csv", SECRET)
        yield made


@pytest.fixture(scope="module")
def stack(bucket: Bucket, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    where = programs()
    if where is None:
        missing("PostgreSQL (Debian's package postgresql)")
        raise AssertionError
    with postgres(where) as databases:
        settings = {
            **bucket.settings,
            "MADANG_TRACKING_BACKEND": databases[0],
            "MADANG_TRACKING_WORKERS": "4",
        }
        with running(tmp_path_factory.mktemp("tracking"), settings) as made:
            yield made


LOG = """
    import hashlib, json, os, pathlib, mlflow
    from mlflow import MlflowClient
    big = os.urandom(20 * 1024 * 1024)
    pathlib.Path("big.bin").write_bytes(big)
    pathlib.Path("note.txt").write_text("마당")
    class Twice(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            return [2 * x for x in model_input]
    with mlflow.start_run() as run:
        mlflow.log_artifact("big.bin", "data")
        mlflow.log_artifact("note.txt", "folder with 공백")
        model = mlflow.pyfunc.log_model(name="twice", python_model=Twice(), pip_requirements=[])
    run_id = run.info.run_id
    names = [f.path for f in MlflowClient().list_artifacts(run_id)]
    assert names == ["data", "folder with 공백"], names
    for path in ("data/big.bin", "folder with 공백/note.txt"):
        got = mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=path, dst_path="got")
        assert pathlib.Path(got).read_bytes() == pathlib.Path(pathlib.Path(path).name).read_bytes()
    assert mlflow.pyfunc.load_model(model.model_uri).predict([1, 2]) == [2, 4]
    version = mlflow.register_model(model.model_uri, "twice")
    assert mlflow.pyfunc.load_model("models:/twice/1").predict([3]) == [6]
    print("IDS" + json.dumps({"run": run_id, "uri": run.info.artifact_uri, "source": version.source,
        "big": hashlib.sha256(big).hexdigest()}))
    """


@pytest.fixture(scope="module")
def ann(stack: Stack) -> dict[str, str]:
    """What ann logged, and her token."""
    token, _ = stack.new_token("ann", SCOPE)
    run = stack.client(token, LOG, workspace="u-ann", experiment="ann")
    assert run.returncode == 0, run.stderr[-4000:]
    found = re.search(r"^IDS(.*)$", run.stdout, re.MULTILINE)
    assert found
    return {"token": token, **json.loads(found[1])}


def test_files_and_models_go_there_and_come_back(
    stack: Stack, bucket: Bucket, ann: dict[str, str]
) -> None:
    stored = bucket.keys()
    own = [key for key in stored if key.startswith("madang/workspaces/u-ann/")]
    assert [key for key in stored if key not in own] == ["outside/all.csv"]
    place = f"{ann['uri'].removeprefix('mlflow-artifacts:/').lstrip('/')}/data/big.bin"
    assert stored[f"madang/{place}"] == 20 * 1024 * 1024
    assert any(key.endswith("/artifacts/MLmodel") for key in own)
    # nothing was left on the server's own disk
    assert not (stack.folder / "artifacts").exists()
    url = f"get-artifact?run_id={ann['run']}&path=data/big.bin"
    got = stack.call(url, ann["token"]).content
    assert hashlib.sha256(got).hexdigest() == ann["big"]


def test_no_address_leads_around_the_gate(stack: Stack, ann: dict[str, str]) -> None:
    info = stack.call("api/3.0/mlflow/server-info", ann["token"]).json()
    assert info["multipart_uploads_enabled"] is False
    assert info["multipart_downloads_enabled"] is False
    run = stack.client(
        ann["token"],
        """
        import os
        print("KEYS" + str([k for k in os.environ if k.startswith("AWS_") or "S3" in k]))
        """,
    )
    assert "KEYS[]" in run.stdout


def test_what_is_not_there_is_said_at_once(stack: Stack, ann: dict[str, str]) -> None:
    """With 500 MLflow's client would ask again for minutes."""
    place = ann["uri"].removeprefix("mlflow-artifacts:/").lstrip("/")
    path = f"api/2.0/mlflow-artifacts/artifacts/{place}/nothing.txt"
    assert stack.call(path, ann["token"]).status_code == 404


def test_deleted_files_are_gone_from_the_storage(
    stack: Stack, bucket: Bucket, ann: dict[str, str]
) -> None:
    place = ann["uri"].removeprefix("mlflow-artifacts:/").lstrip("/")
    path = f"api/2.0/mlflow-artifacts/artifacts/{place}"
    assert stack.call(f"{path}/x/a.txt", ann["token"], method="PUT", data=b"a").ok
    assert stack.call(f"{path}/xy/a.txt", ann["token"], method="PUT", data=b"a").ok
    assert stack.call(f"{path}/x", ann["token"], method="DELETE").ok
    left = bucket.keys(f"madang/{place}/x")
    assert list(left) == [f"madang/{place}/xy/a.txt"]


def sources(bucket: Bucket, ann: dict[str, str]) -> list[str]:
    place = ann["uri"].removeprefix("mlflow-artifacts:/").lstrip("/")
    return [
        f"s3://{OTHER}/2026",
        f"s3://{BUCKET}/outside",
        f"s3://{BUCKET}/madang/{place}",
        f"madang-s3://{OTHER}/2026",
        f"madang-s3://{BUCKET}/madang/{place}",
        f"S3://{OTHER}/2026",
        f" s3://{OTHER}/2026",
        f"{bucket.endpoint}/{OTHER}/2026",
        f"mlflow-artifacts:/{place}",
        f"mlflow-artifacts://{OTHER}/2026",
        f"mlflow-artifacts:/../../{OTHER}/2026",
        f"mlflow-artifacts:/workspaces/u-ben/../u-ann/{place.removeprefix('workspaces/u-ann/')}",
        "mlflow-artifacts:/outside",
        f"runs:/{ann['run']}/data",
        ann["source"],
        "models:/twice/1",
    ]


def test_a_source_elsewhere_gives_nothing(
    stack: Stack, bucket: Bucket, ann: dict[str, str]
) -> None:
    ben, _ = stack.new_token("ben", SCOPE)
    made = stack.call(
        "api/2.0/mlflow/runs/create",
        ben,
        method="POST",
        json={"experiment_id": own_experiment(stack, ben)},
    )
    run_id = made.json()["run"]["info"]["run_id"]
    post = {"method": "POST"}
    path = "api/2.0/mlflow/registered-models/create"
    assert stack.call(path, ben, json={"name": "thief"}, **post).ok
    for source in sources(bucket, ann):
        for more in ({}, {"run_id": run_id}, {"run_id": ann["run"]}):
            body = {"name": "thief", "source": source, **more}
            path = "api/2.0/mlflow/model-versions/create"
            reply = stack.call(path, ben, json=body, **post)
            if "s3://" in source.lower() or "://" in source:
                assert reply.status_code == 400, (source, reply.text)
            if not reply.ok:
                continue
            version = reply.json()["model_version"]["version"]
            for file in ("all.csv", "data/big.bin", "big.bin", "MLmodel"):
                url = f"model-versions/get-artifact?name=thief&version={version}&path={file}"
                got = stack.call(url, ben)
                assert not got.ok, (source, file)
    # and his own is registered as ever
    run = stack.client(
        ben,
        """
        import mlflow
        with mlflow.start_run() as run:
            mlflow.log_text("x", "model/a.txt")
        client = mlflow.MlflowClient()
        client.create_registered_model("mine")
        source = f"{run.info.artifact_uri}/model"
        version = client.create_model_version("mine", source, run.info.run_id)
        got = mlflow.artifacts.download_artifacts(f"models:/mine/{version.version}")
        assert open(f"{got}/a.txt").read() == "x"
        """,
        experiment="ben",
    )
    assert run.returncode == 0, run.stderr[-3000:]


def own_experiment(stack: Stack, token: str) -> str:
    reply = stack.call(
        "api/2.0/mlflow/experiments/search", token, method="POST", json={"max_results": 5}
    )
    return str(reply.json()["experiments"][0]["experiment_id"])


def test_no_key_is_told_or_logged(stack: Stack) -> None:
    assert "not-for-users" not in (stack.folder / "log").read_text()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            said = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        assert b"not-for-users" not in said


def test_the_operator_hears_what_is_wrong(bucket: Bucket, stack: Stack) -> None:
    def ask(**changed: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [mlflow_python(), "-m", "madang_mlflow", "storage"],
            env={**stack.tracking_env, **changed},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    good = ask()
    assert good.returncode == 0, good.stderr
    assert "can be written and read" in good.stdout
    assert not bucket.keys("madang/workspaces/.check")
    none = ask(MADANG_TRACKING_ARTIFACTS="s3://nowhere")
    assert none.returncode == 1
    assert "'nowhere'" in none.stderr
    assert "NoSuchBucket" in none.stderr
    (port,) = free_ports(1)
    away = ask(MADANG_TRACKING_S3_ENDPOINT=f"http://127.0.0.1:{port}")
    assert away.returncode == 1
    assert f"127.0.0.1:{port}" in away.stderr
    assert "Traceback" not in away.stderr


def test_without_the_rule_another_bucket_is_handed_out(
    bucket: Bucket, stack: Stack, tmp_path: Path
) -> None:
    """MLflow alone, with the same settings but without the rule about sources and without the gate."""
    problems: list[str] = []
    env = {**stack.tracking_env, **bucket.settings}
    bare = launch.environment(env, f"sqlite:///{tmp_path}/mlflow.db", read(env, problems))
    assert not problems
    del bare["MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX"]
    (port,) = free_ports(1)
    command = [mlflow_python(), "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    destination = ["--serve-artifacts", "--artifacts-destination", f"madang-s3://{BUCKET}/bare"]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            [*command, *destination],
            env={**bare, "PATH": os.environ["PATH"]},
            cwd=tmp_path,
            stdout=log,
            stderr=log,
        )
        try:
            base = f"http://127.0.0.1:{port}"
            wait_until(lambda: requests.get(f"{base}/health", timeout=5).ok, "MLflow")
            api = f"{base}/api/2.0/mlflow"
            headers = {"X-MLFLOW-WORKSPACE": "default"}
            for path, body in (
                ("registered-models/create", {"name": "thief"}),
                ("model-versions/create", {"name": "thief", "source": f"s3://{OTHER}/2026"}),
            ):
                reply = requests.post(f"{api}/{path}", json=body, headers=headers, timeout=30)
                assert reply.ok, reply.text
            query = {"name": "thief", "version": "1", "path": "all.csv"}
            got = requests.get(
                f"{base}/model-versions/get-artifact", params=query, headers=headers, timeout=30
            )
            assert got.content == SECRET
        finally:
            stop(server)


def test_keys_of_the_tests_are_what_the_howto_shows() -> None:
    text = (Path(__file__).parents[2] / "docs/howto/tracking-storage.md").read_text()
    for line in KEYS.splitlines():
        assert line.split(" = ")[0] in text
