"""People leave, and their runs stay: removed, renamed, and handed over to somebody."""

import json
import re
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.tracking import HEARD, Stack, mlflow_python, running, wait_until

SCOPE = ["access:services!service=mlflow"]
LOG = """
    import mlflow
    with mlflow.start_run(tags={"secret": "stays-8c1e"}) as run:
        mlflow.log_text("stays-8c1e", "note.txt")
    print("RUN" + run.info.run_id)
    """


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("life")
    with running(folder, {"MADANG_TRACKING_STATE": str(folder)}) as made:
        yield made


def log(stack: Stack, user: str) -> tuple[str, str]:
    """A token and the id of a run."""
    token, _ = stack.new_token(user, SCOPE)
    run = stack.client(token, LOG, workspace=f"u-{user}", experiment=user)
    assert run.returncode == 0, run.stderr[-3000:]
    found = re.search(r"^RUN(\w+)", run.stdout, re.MULTILINE)
    assert found
    return token, found[1]


def code(stack: Stack, run: str, token: str, workspace: str) -> int:
    path = f"api/2.0/mlflow/runs/get?run_id={run}"
    headers = {"X-MLFLOW-WORKSPACE": workspace}
    return stack.call(path, token, headers=headers).status_code


def note(stack: Stack, user: str) -> str:
    place = stack.folder / "artifacts" / "workspaces" / f"u-{user}"
    (file,) = place.rglob("note.txt")
    return file.read_text()


def task(stack: Stack, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [mlflow_python(), "-W", "ignore", "-m", "madang_mlflow", *words],
        env=stack.tracking_env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def within_the_time(stack: Stack, run: str, token: str, workspace: str, wanted: int) -> None:
    """The answer is soon, and then always, the one that is wanted."""

    def so() -> bool:
        # both workers must have heard it: many in a row, on connections of their own
        return all(code(stack, run, token, workspace) == wanted for _ in range(12))

    wait_until(so, f"{wanted} for {workspace}", HEARD)


def test_who_is_removed_is_out_and_the_runs_stay(stack: Stack) -> None:
    token, run = log(stack, "ben")
    assert code(stack, run, token, "u-ben") == 200
    stack.keeper("DELETE", "/users/ben").raise_for_status()
    within_the_time(stack, run, token, "u-ben", 401)
    assert note(stack, "ben") == "stays-8c1e"
    listed = task(stack, "list")
    assert '"workspace": "u-ben"' in listed.stdout, listed.stderr


def test_who_is_renamed_leaves_the_runs_behind(stack: Stack) -> None:
    """Madang renames nobody; whoever does it in the Hub itself takes no right along."""
    token, run = log(stack, "dan")
    stack.keeper("PATCH", "/users/dan", json={"name": "daniel"}).raise_for_status()
    within_the_time(stack, run, token, "u-dan", 403)
    assert note(stack, "dan") == "stays-8c1e"


def test_a_removed_persons_runs_are_handed_over_to_read(stack: Stack) -> None:
    _, run = log(stack, "mia")
    ann, _ = stack.new_token("ann", SCOPE)
    assert code(stack, run, ann, "u-mia") == 403
    done = task(stack, "hand-over", "u-mia", "ann", "--title", "mia", "--days", "30")
    assert done.returncode == 0, done.stderr
    there = {"X-MLFLOW-WORKSPACE": "u-mia"}
    assert code(stack, run, ann, "u-mia") == 200
    text = stack.call(f"get-artifact?run_id={run}&path=note.txt", ann, headers=there).text
    assert text == "stays-8c1e"
    listed = stack.call("api/3.0/mlflow/workspaces", ann).json()["workspaces"]
    assert {"name": "u-mia", "description": "mia"} in listed
    # what shall go on is logged anew, as docs/howto/tracking-people.md says
    copied = stack.client(
        ann,
        f"""
        import mlflow
        mlflow.set_workspace("u-mia")
        file = mlflow.artifacts.download_artifacts(run_id="{run}", artifact_path="note.txt")
        mlflow.set_workspace("u-ann")
        with mlflow.start_run() as copy:
            mlflow.log_artifact(file)
        print(mlflow.artifacts.load_text(copy.info.artifact_uri + "/note.txt"))
        """,
        workspace="u-ann",
        experiment="ann",
    )
    assert copied.returncode == 0, copied.stderr[-3000:]
    assert "stays-8c1e" in copied.stdout
    # to read, not to change, and nobody else
    tag = {"run_id": run, "key": "seen", "value": "yes"}
    change = "api/2.0/mlflow/runs/set-tag"
    assert stack.call(change, ann, method="POST", json=tag, headers=there).status_code == 403
    other, _ = stack.new_token("admin", SCOPE)
    assert code(stack, run, other, "u-mia") == 403
    # what is not a person's is not handed over, and what was stays so
    assert task(stack, "hand-over", "g-crew", "ann").returncode == 1
    assert task(stack, "hand-over", "default", "ann").returncode == 1
    assert code(stack, run, ann, "u-mia") == 200
    # and back: at once, in every worker
    assert task(stack, "hand-over", "u-mia", "ann", "--end").returncode == 0
    assert {code(stack, run, ann, "u-mia") for _ in range(12)} == {403}
    assert "was not handed" in task(stack, "hand-over", "u-mia", "ann", "--end").stderr


def test_a_workspace_in_one_file(stack: Stack, tmp_path: Path) -> None:
    token, _ = stack.new_token("admin", SCOPE)
    script = """
        import mlflow
        client = mlflow.MlflowClient()
        class Twice(mlflow.pyfunc.PythonModel):
            def predict(self, context, model_input, params=None):
                return [2 * x for x in model_input]
        with mlflow.start_run(run_name="마당") as run:
            for step in range(300):
                mlflow.log_metric("loss", 1 / (step + 1), step=step)
            mlflow.log_param("depth", "3")
            mlflow.log_text("stays-8c1e", "folder/note.txt")
            model = mlflow.pyfunc.log_model(name="twice", python_model=Twice(), pip_requirements=[])
        mlflow.register_model(model.model_uri, "it's twice")
        @mlflow.trace
        def work(x):
            return x + 1
        work(41)
        mlflow.flush_trace_async_logging()
        """
    run = stack.client(token, script, workspace="u-admin", experiment="admin")
    assert run.returncode == 0, run.stderr[-3000:]
    done = task(stack, "archive", "u-admin")
    assert done.returncode == 0, done.stderr[-3000:]
    path = stack.folder / "archive" / done.stdout.strip()
    assert path.stat().st_mode & 0o777 == 0o600
    with tarfile.open(path) as tar:
        tar.extractall(tmp_path, filter="data")
    about = json.loads((tmp_path / "workspace.json").read_text())
    assert "admin" in [one["name"] for one in about["experiments"]]
    assert [one["name"] for one in about["registered_models"]] == ["it's twice"]
    assert [v["version"] for v in about["registered_models"][0]["versions"]] in (["1"], [1])
    assert len(about["models"]) == 1
    (line,) = (tmp_path / "runs.jsonl").read_text().splitlines()
    kept = json.loads(line)
    assert kept["info"]["run_name"] == "마당"
    assert kept["data"]["params"] == {"depth": "3"}
    assert len(kept["history"]["loss"]) == 300
    assert kept["history"]["loss"][299][:1] == [299]
    (trace,) = (tmp_path / "traces.jsonl").read_text().splitlines()
    assert "41" in trace
    stored = stack.folder / "artifacts" / "workspaces" / "u-admin"
    files = {str(f.relative_to(stored)): f.read_bytes() for f in stored.rglob("*") if f.is_file()}
    place = tmp_path / "files"
    found = {str(f.relative_to(place)): f.read_bytes() for f in place.rglob("*") if f.is_file()}
    assert found == files
    assert any(name.endswith("folder/note.txt") for name in found)
    assert "no workspace" in task(stack, "archive", "u-nobody").stderr
