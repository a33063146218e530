"""Nobody sees another's runs: two persons, a team, a class and its mentor at a real tracking server.

Everything that ann logs holds ``HIDDEN`` somewhere, never in a name that a request carries, so that an
answer which holds it has told something about her work.
"""

import json
import os
import re
import secrets
import subprocess
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from support.tracking import HEARD, PREFIX, Stack, mlflow_python, running, wait_until

from madang_mlflow.routes import CLIENT_AND_UI, PAGES, UI_ONLY, changes

HIDDEN = "ann-only-7f3a"
SCOPE = ["access:services!service=mlflow"]

LOG = f"""
import json, os, pathlib, mlflow
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, LoggedModelParameter
client = MlflowClient()
with mlflow.start_run(tags={{"secret": "{HIDDEN}"}}, description="{HIDDEN}") as run:
    mlflow.log_param("depth", "{HIDDEN}")
    mlflow.log_metric("loss", 0.25)
    mlflow.log_text("{HIDDEN}", "note.txt")
    mlflow.log_input(mlflow.data.from_numpy(__import__("numpy").zeros(3), name="{HIDDEN}"))
run_id = run.info.run_id
experiment = run.info.experiment_id
client.set_experiment_tag(experiment, "secret", "{HIDDEN}")
model = client.create_logged_model(experiment, "net", tags={{"secret": "{HIDDEN}"}})
client.log_model_params(model.model_id, {{"width": "{HIDDEN}"}})
mlflow.log_metric("acc", 0.5, run_id=run_id, model_id=model.model_id)
client.create_registered_model("net", description="{HIDDEN}")
client.create_model_version("net", run.info.artifact_uri, run_id, description="{HIDDEN}")
client.set_registered_model_alias("net", "best", "1")
mlflow.register_prompt("ask", "{HIDDEN} {{{{x}}}}")
@mlflow.trace
def work(x):
    return "{HIDDEN}"
work("{HIDDEN}")
mlflow.flush_trace_async_logging()
trace = mlflow.search_traces(return_type="list", locations=[experiment])[0].info.trace_id
note = mlflow.log_feedback(trace_id=trace, name="good", value=True, rationale="{HIDDEN}")
data = mlflow.genai.datasets.create_dataset(name="cases", experiment_id=[experiment],
    tags={{"secret": "{HIDDEN}"}})
data.merge_records([{{"inputs": {{"q": "{HIDDEN}"}}}}])
print("IDS" + json.dumps({{"run": run_id, "experiment": experiment, "model": model.model_id,
    "trace": trace, "assessment": note.assessment_id, "dataset": data.dataset_id,
    "uri": run.info.artifact_uri}}))
"""


@dataclass(frozen=True)
class Work:
    """What ann logged."""

    token: str
    ids: dict[str, str]

    @property
    def folder(self) -> str:
        """The run's artifacts below the server's artifact root."""
        return self.ids["uri"].removeprefix("mlflow-artifacts:/")


def on_the_machine(folder: Path, script: str, **variables: str) -> str:
    """What a script of the operator says that opens the tracking database itself."""
    run = subprocess.run(
        [mlflow_python(), "-W", "ignore", "-c", textwrap.dedent(script)],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            **variables,
        },
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return run.stdout


OLD = """
    import mlflow
    place = "mlflow-artifacts:/1"
    experiment = mlflow.MlflowClient().create_experiment("ben", artifact_location=place)
    run = mlflow.MlflowClient().create_run(experiment, tags={"secret": "before"})
    """


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """With a run, in an experiment of ben's name, from before there were workspaces."""
    folder = tmp_path_factory.mktemp("workspaces")
    on_the_machine(folder, OLD)
    with running(folder) as made:
        yield made


def logged(stack: Stack) -> Work:
    """Ann has logged something of every kind."""
    token, _ = stack.new_token("ann", SCOPE)
    run = stack.client(token, LOG, workspace="u-ann", experiment="ann")
    assert run.returncode == 0, run.stderr[-4000:]
    assert "workspace=u-ann" in run.stdout
    line = next(line for line in run.stdout.splitlines() if line.startswith("IDS"))
    return Work(token, json.loads(line.removeprefix("IDS")))


@pytest.fixture(scope="module")
def ann(stack: Stack) -> Work:
    return logged(stack)


@pytest.fixture(scope="module")
def ben(stack: Stack) -> str:
    return stack.new_token("ben", SCOPE)[0]


def filled(ids: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Every open route with ann's ids in it."""
    both = [line for line in CLIENT_AND_UI if "/workspaces" not in line]
    lines = [*PAGES]
    for prefix, table in (("/api", both), ("/ajax-api", [*both, *UI_ONLY])):
        lines += [line.replace(" ", f" {prefix}", 1) for line in table]
    for line in lines:
        method, path = line.split(" ")
        kind = next((k for k in ("traces", "datasets", "logged-models") if f"/{k}/" in path), "")
        one = {"traces": "trace", "datasets": "dataset", "logged-models": "model"}.get(kind, "run")
        path = path.replace("{id}", ids[one]).replace("{assessment}", ids["assessment"])
        path = path.replace("{key}", "secret")
        place = ids["uri"].removeprefix("mlflow-artifacts:/").lstrip("/")
        yield method, path.replace("{path}", f"{place}/note.txt")


def parameters(ids: dict[str, str], name: str) -> dict[str, Any]:
    """One set of parameters that has what every route asks for."""
    run, experiment, trace = ids["run"], ids["experiment"], ids["trace"]
    return {
        **{"run_id": run, "run_uuid": run, "run_ids": [run], "experiment_id": experiment},
        **{"experiment_ids": [experiment], "experiment_name": "ann", "name": name},
        **{"model_id": ids["model"], "trace_id": trace, "request_id": trace, "trace_ids": [trace]},
        **{"request_ids": [trace], "dataset_id": ids["dataset"], "key": "depth", "value": "0"},
        **{"version": "1", "alias": "best", "path": "note.txt", "metric_key": "loss"},
        **{"metric_keys": ["loss"], "max_results": 10, "new_name": "taken", "timestamp": 1},
        **{"artifact_file_path": "note.txt", "max_traces": 10, "start_time": 1, "step": 0},
        "locations": [
            {
                "type": "MLFLOW_EXPERIMENT",
                "mlflow_experiment": {"experiment_id": experiment},
            }
        ],
        "tags": [{"key": "secret", "value": "0"}],
        "params": [{"key": "width", "value": "0"}],
        "metrics": [{"key": "acc", "value": 9, "timestamp": 1, "step": 0}],
        "models": [{"model_id": ids["model"], "step": 0}],
        "assessment": {
            **{"assessment_name": "good", "trace_id": trace, "feedback": {"value": False}},
            "source": {"source_type": "HUMAN", "source_id": "ben"},
        },
        "trace": {
            "trace_info": {
                **{"trace_id": trace, "state": "OK", "request_time": "2026-01-01T00:00:00Z"},
                "trace_location": {
                    "type": "MLFLOW_EXPERIMENT",
                    "mlflow_experiment": {"experiment_id": experiment},
                },
            }
        },
        "query": "query Q($i: MlflowGetRunInput) { mlflowGetRun(input: $i) "
        "{ run { data { params { key value } tags { key value } } experiment { name } } } }",
        "variables": {"i": {"runId": run}},
        "operationName": "Q",
    }


def sweep(
    stack: Stack, token: str, ids: dict[str, str], *, only_reads: bool = False, workspace: str = ""
) -> tuple[set[str], set[int]]:
    """Routes that told something, and all status codes."""
    told, codes = set(), set()
    headers = {"Authorization": f"Bearer {token}"}
    if workspace:
        headers["X-MLFLOW-WORKSPACE"] = workspace
    with requests.Session() as session:
        session.headers.update(headers)
        for method, path in filled(ids):
            if only_reads and changes(method, path):
                continue
            named = ("net", "ask", "cases") if "model" in path or "dataset" in path else ("net",)
            for name in named:
                given = parameters(ids, name)
                if method in ("GET", "DELETE") and "records" not in path:
                    flat = {k: v for k, v in given.items() if not isinstance(v, dict)}
                    sent: dict[str, Any] = {"params": {**flat, "tags": None}}
                    if method == "DELETE":
                        sent["json"] = given
                else:
                    sent = {"json": given}
                reply = session.request(
                    method, stack.url.rstrip("/") + path, timeout=30, allow_redirects=False, **sent
                )
                codes.add(reply.status_code)
                if HIDDEN in reply.text:
                    told.add(f"{method} {path}")
    return told, codes


def snapshot(stack: Stack, work: Work) -> dict[str, Any]:
    """All that ann can read of her work."""
    ids = work.ids
    found: dict[str, Any] = {}
    for path in (
        f"api/2.0/mlflow/experiments/get?experiment_id={ids['experiment']}",
        f"api/2.0/mlflow/runs/get?run_id={ids['run']}",
        f"api/2.0/mlflow/artifacts/list?run_id={ids['run']}",
        f"get-artifact?run_id={ids['run']}&path=note.txt",
        f"api/2.0/mlflow/metrics/get-history?run_id={ids['run']}&metric_key=loss",
        f"api/2.0/mlflow/logged-models/{ids['model']}",
        "api/2.0/mlflow/registered-models/search",
        "api/2.0/mlflow/model-versions/search",
        f"api/3.0/mlflow/traces/{ids['trace']}",
        f"ajax-api/3.0/mlflow/get-trace-artifact?request_id={ids['trace']}",
        f"api/3.0/mlflow/datasets/{ids['dataset']}",
        f"api/3.0/mlflow/datasets/{ids['dataset']}/records",
        "api/2.0/mlflow/experiments/search?max_results=50",
    ):
        reply = stack.call(path, work.token)
        assert reply.ok, (path, reply.text)
        found[path] = reply.text
    assert sum(HIDDEN in text for text in found.values()) >= 9
    return found


def test_another_reads_and_changes_nothing(stack: Stack, ann: Work, ben: str) -> None:
    before = snapshot(stack, ann)
    # the detector sees what there is to see when the owner asks …
    seen, _ = sweep(stack, ann.token, ann.ids, only_reads=True)
    assert len(seen) > 35, sorted(seen)
    # … and nothing when another person asks, on any open route
    told, codes = sweep(stack, ben, ann.ids)
    assert told == set()
    assert {400, 404} <= codes
    assert snapshot(stack, ann) == before


def own_experiment(stack: Stack, token: str) -> str:
    """The id of a new experiment."""
    url, body = "api/2.0/mlflow/experiments/create", {"name": secrets.token_hex(8)}
    reply = stack.call(url, token, method="POST", json=body)
    assert reply.ok, reply.text
    return str(reply.json()["experiment_id"])


def test_metrics_are_not_written_to_anothers_model(stack: Stack, ann: Work, ben: str) -> None:
    """MLflow itself does not ask whose model an id is."""
    before = snapshot(stack, ann)
    experiment = own_experiment(stack, ben)
    run = stack.call(
        "api/2.0/mlflow/runs/create", ben, method="POST", json={"experiment_id": experiment}
    ).json()["run"]["info"]["run_id"]
    metric = {"key": "acc", "value": 9, "timestamp": 1, "step": 0, "model_id": ann.ids["model"]}
    plain = json.dumps({"run_id": run, **metric})
    for path, body in (
        ("log-metric", plain),
        ("log-metric", plain.replace("model_id", "modelId")),
        ("log-metric", plain.replace("model_id", "m\\u006fdel_id")),
        ("log-metric", json.dumps(plain)),
        ("log-batch", json.dumps({"run_id": run, "metrics": [metric]})),
    ):
        for api in ("api", "ajax-api"):
            url = f"{api}/2.0/mlflow/runs/{path}"
            kind = {"Content-Type": "application/json"}
            reply = stack.call(url, ben, method="POST", data=body, headers=kind)
            assert reply.status_code == 400, (path, body)
    assert snapshot(stack, ann) == before


def test_assessments_are_not_moved(stack: Stack, ann: Work, ben: str) -> None:
    """Into a trace of one's own, by the id of another's: MLflow takes any."""
    before = snapshot(stack, ann)
    experiment, mine = own_experiment(stack, ben), f"tr-{secrets.token_hex(16)}"
    info = {
        **{"trace_id": mine, "state": "OK", "request_time": "2026-01-01T00:00:00Z"},
        "trace_location": {
            "type": "MLFLOW_EXPERIMENT",
            "mlflow_experiment": {"experiment_id": experiment},
        },
        "assessments": [
            {
                **{"assessment_id": ann.ids["assessment"], "assessment_name": "good"},
                **{"feedback": {"value": False}, "trace_id": mine},
                **{"create_time": "2026-01-01T00:00:00Z", "valid": True},
                "last_update_time": "2026-01-01T00:00:00Z",
                "source": {"source_type": "HUMAN", "source_id": "ben"},
            }
        ],
    }
    for _ in range(2):
        reply = stack.call(
            "api/3.0/mlflow/traces", ben, method="POST", json={"trace": {"trace_info": info}}
        )
        assert reply.ok, reply.text
    assert snapshot(stack, ann) == before


def names(reply: requests.Response) -> list[str]:
    assert reply.ok, reply.text
    return [item["name"] for item in reply.json()["workspaces"]]


@pytest.mark.parametrize("value", ["u-ann", "default", "g-nobody", "u-nobody", "g-crew"])
def test_anothers_workspace_is_refused(stack: Stack, ben: str, value: str) -> None:
    """And whether there is one of that name is not told."""
    headers = {"X-MLFLOW-WORKSPACE": value}
    for path in ("api/2.0/mlflow/experiments/search?max_results=5", "version"):
        reply = stack.call(path, ben, headers=headers)
        assert reply.status_code == 403
        assert "not yours" in reply.json()["message"]
    assert stack.call(f"api/3.0/mlflow/workspaces/{value}", ben).status_code == 403


@pytest.mark.parametrize(
    "value",
    ["U-ANN", "u-ann, u-ben", "u_ann", "../u-ann", "*", "%2e", "u-ann;", "-", "a" * 64],
)
def test_odd_names_of_workspaces_are_refused(stack: Stack, ben: str, value: str) -> None:
    url = stack.backend + PREFIX
    headers = {"X-MLFLOW-WORKSPACE": value, "Host": f"127.0.0.1:{stack.ports['port']}"}
    assert stack.call("version", ben, headers=headers, base=url).status_code == 400


def test_a_workspace_named_twice_is_refused(stack: Stack, ben: str) -> None:
    import http.client

    with closing(
        http.client.HTTPConnection("127.0.0.1", stack.ports["tracking"], timeout=30)
    ) as connection:
        connection.putrequest("GET", f"{PREFIX}version", skip_host=True)
        connection.putheader("Host", f"127.0.0.1:{stack.ports['port']}")
        connection.putheader("Authorization", f"Bearer {ben}")
        connection.putheader("X-MLFLOW-WORKSPACE", "u-ben")
        connection.putheader("x-mlflow-workspace", "u-ann")
        connection.endheaders()
        with connection.getresponse() as reply:
            status = reply.status
    assert status == 400


def test_an_empty_name_is_the_own_workspace(stack: Stack, ann: Work, ben: str) -> None:
    path = f"api/2.0/mlflow/runs/get?run_id={ann.ids['run']}"
    empty = {"X-MLFLOW-WORKSPACE": ""}
    assert stack.call(path, ann.token, headers=empty).ok
    assert stack.call(path, ben, headers=empty).status_code == 404


def test_artifact_paths_are_not_guessed(stack: Stack, ann: Work, ben: str) -> None:
    place = ann.folder.lstrip("/")
    assert place.startswith("workspaces/u-ann/")
    inside = place.removeprefix("workspaces/u-ann/")
    ids = (ann.ids["experiment"], ann.ids["run"])
    guesses = [
        place,
        inside,
        f"workspaces/u-ben/../u-ann/{inside}",
        f"../u-ann/{inside}",
        f"..%2fu-ann%2f{inside}",
        f"%252e%252e/u-ann/{inside}",
        f"workspaces%2fu-ann%2f{inside}",
        f"./workspaces/u-ann/{inside}",
        f"workspaces//u-ann/{inside}",
        f"workspaces/U-ANN/{inside}",
        f"..\\u-ann\\{inside}",
        "workspaces/u-ann",
        "workspaces",
        "workspaces/",
        f"{ids[0]}/{ids[1]}/artifacts",
    ]
    root = "2.0/mlflow-artifacts/artifacts"
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {ben}"
        for api in ("api", "ajax-api"):
            for guess in guesses:
                for method in ("GET", "PUT", "DELETE"):
                    raw = requests.Request(method, f"{stack.backend}{PREFIX}", data=b"ben")
                    ready = session.prepare_request(raw)
                    ready.headers["Host"] = f"127.0.0.1:{stack.ports['port']}"
                    ready.url = f"{stack.backend}{PREFIX}{api}/{root}/{guess}/note.txt"
                    reply = session.send(ready, timeout=30)
                    assert HIDDEN not in reply.text, (method, guess)
                for query in (guess, f"{guess}/note.txt"):
                    reply = session.get(f"{stack.url}{api}/{root}", params={"path": query})
                    assert not reply.ok or not reply.json().get("files"), (query, reply.text)
    assert stack.call(f"get-artifact?run_id={ids[1]}&path=note.txt", ann.token).text == HIDDEN
    # what ben put under a guessed name lies in his own workspace
    mine = stack.folder / "artifacts" / "workspaces"
    for path in mine.rglob("note.txt"):
        owner = path.relative_to(mine).parts[0]
        assert path.read_text() == {"u-ann": HIDDEN, "u-ben": "ben"}[owner], path


def test_a_source_in_anothers_workspace_gives_nothing(stack: Stack, ann: Work, ben: str) -> None:
    def post(path: str, body: dict[str, str]) -> requests.Response:
        return stack.call(f"api/2.0/mlflow/{path}", ben, method="POST", json=body)

    assert post("registered-models/create", {"name": "thief"}).ok
    for number, source in enumerate(
        (
            ann.ids["uri"],
            f"runs:/{ann.ids['run']}",
            f"models:/{ann.ids['model']}",
            "models:/net/1",
            f"mlflow-artifacts://x/{ann.folder.lstrip('/')}",
        )
    ):
        post("model-versions/create", {"name": "thief", "source": source})
        url = f"model-versions/get-artifact?name=thief&version={number + 1}&path=note.txt"
        assert HIDDEN not in stack.call(url, ben).text, source
    for version in range(1, 7):
        url = f"model-versions/get-artifact?name=thief&version={version}&path=note.txt"
        assert HIDDEN not in stack.call(url, ben).text


def test_a_team_shares_and_leaving_ends_it(stack: Stack, ann: Work, ben: str) -> None:
    dan, _ = stack.new_token("dan", SCOPE)
    crew = {"X-MLFLOW-WORKSPACE": "g-crew"}
    script = """
        import mlflow
        with mlflow.start_run() as run:
            mlflow.log_text("x", "a.txt")
        print("RUN" + run.info.run_id)
        """
    run = stack.client(dan, script, workspace="g-crew", experiment="dan")
    assert run.returncode == 0, run.stderr[-3000:]
    found = re.search(r"^RUN(\w+)", run.stdout, re.MULTILINE)
    assert found
    path = f"api/2.0/mlflow/runs/get?run_id={found[1]}"
    tag = {"run_id": found[1], "key": "seen", "value": "yes"}
    assert stack.call(path, ann.token, headers=crew).ok
    change = "api/2.0/mlflow/runs/set-tag"
    assert stack.call(change, ann.token, method="POST", json=tag, headers=crew).ok
    assert stack.call(path, ann.token).status_code == 404  # one workspace at a time
    assert stack.call(path, ben, headers=crew).status_code == 403
    assert stack.call(path, ben).status_code == 404
    assert names(stack.call("api/3.0/mlflow/workspaces", dan)) == ["u-dan", "g-crew"]
    # a class shares nothing
    assert names(stack.call("api/3.0/mlflow/workspaces", ben)) == ["u-ben"]
    stack.keeper("DELETE", "/groups/team:crew/users", json={"users": ["dan"]}).raise_for_status()

    def out() -> bool:
        return all(stack.call(path, dan, headers=crew).status_code == 403 for _ in range(12))

    wait_until(out, "the end of dan's rights", HEARD)
    assert stack.call(path, dan).status_code == 404
    assert stack.call(path, ann.token, headers=crew).ok


def test_a_mentor_changes_nothing(stack: Stack, ann: Work) -> None:
    """Every change is refused before MLflow sees it."""
    mia, _ = stack.new_token("mia", SCOPE)
    before = snapshot(stack, ann)
    there = {"X-MLFLOW-WORKSPACE": "u-ann"}
    for method, path in set(filled(ann.ids)):
        if changes(method, path):
            reply = stack.call(path[1:], mia, method=method, headers=there, json={})
            assert reply.status_code == 403, (method, path)
            assert "not change it" in reply.json()["message"]
    assert snapshot(stack, ann) == before


def test_a_mentor_reads_the_own_class(stack: Stack, ann: Work) -> None:
    mia, _ = stack.new_token("mia", SCOPE)
    listed = names(stack.call("ajax-api/3.0/mlflow/workspaces", mia))
    assert listed == ["u-mia", "u-ann", "u-ben"]
    there = {"X-MLFLOW-WORKSPACE": "u-ann"}
    run = f"api/2.0/mlflow/runs/get?run_id={ann.ids['run']}"
    assert HIDDEN in stack.call(run, mia, headers=there).text
    # without a name, or under the own one, nothing of hers
    assert sweep(stack, mia, ann.ids, only_reads=True)[0] == set()
    told, _ = sweep(stack, mia, ann.ids, only_reads=True, workspace="u-ann")
    assert len(told) > 35
    # not of another class
    assert stack.call(run, mia, headers={"X-MLFLOW-WORKSPACE": "u-dan"}).status_code == 403
    # who leaves the class is not read any more
    stack.keeper("DELETE", "/groups/class:a/users", json={"users": ["ann"]}).raise_for_status()

    def ended() -> bool:
        return all(stack.call(run, mia, headers=there).status_code == 403 for _ in range(12))

    wait_until(ended, "the end of the mentor's right")


def test_a_person_named_admin_is_nobody_special(stack: Stack, ann: Work) -> None:
    token, _ = stack.new_token("admin", SCOPE)
    assert names(stack.call("api/3.0/mlflow/workspaces", token)) == ["u-admin"]
    for workspace in ("default", "u-ann"):
        headers = {"X-MLFLOW-WORKSPACE": workspace}
        assert stack.call("version", token, headers=headers).status_code == 403


def test_workspaces_are_made_by_nobody(stack: Stack, ben: str) -> None:
    for method, path in (("POST", ""), ("PATCH", "/u-ben"), ("DELETE", "/u-ben")):
        for api in ("api", "ajax-api"):
            url = f"{api}/3.0/mlflow/workspaces{path}"
            reply = stack.call(url, ben, method=method, json={"name": "u-new"})
            assert reply.status_code == 403


def test_graphql_changes_nothing(stack: Stack, ben: str) -> None:
    query = "{ __schema { mutationType { fields { name } } } }"
    reply = stack.call("graphql", ben, method="POST", json={"query": query})
    fields = {field["name"] for field in reply.json()["data"]["__schema"]["mutationType"]["fields"]}
    assert fields == {"mlflowSearchDatasets", "mlflowSearchRuns", "testMutation"}


def test_what_was_logged_before_stays_and_is_nobodys(stack: Stack, ben: str) -> None:
    search = "api/2.0/mlflow/experiments/search?max_results=50"
    own = stack.call(search, ben).json()["experiments"]
    assert "1" not in [experiment["experiment_id"] for experiment in own]
    assert stack.call("api/2.0/mlflow/experiments/get?experiment_id=1", ben).status_code == 404
    query = {"experiment_ids": ["1", *(e["experiment_id"] for e in own)]}
    found = stack.call("api/2.0/mlflow/runs/search", ben, method="POST", json=query)
    assert found.ok
    assert "before" not in found.text
    said = on_the_machine(
        stack.folder,
        """
        import mlflow
        (run,) = mlflow.MlflowClient().search_runs(["1"])
        print(run.data.tags["secret"])
        """,
        MLFLOW_ENABLE_WORKSPACES="true",
        MLFLOW_WORKSPACE="default",
    )
    assert said.strip() == "before"


def test_two_workers_make_a_workspace_at_once(stack: Stack) -> None:
    token, _ = stack.new_token("dan", SCOPE)
    body = {"max_results": 50}

    def search(_: int) -> list[str]:
        url = "api/2.0/mlflow/experiments/search"
        reply = stack.call(url, token, method="POST", json=body)
        assert reply.ok, reply.text
        return [experiment["name"] for experiment in reply.json()["experiments"]]

    with ThreadPoolExecutor(16) as pool:
        assert all(names == ["dan"] for names in pool.map(search, range(48)))
