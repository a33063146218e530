"""The panel *My runs*: what a real user server tells of runs at a real tracking server, gate and all."""

from __future__ import annotations

from typing import Any

import pytest
from support.deployment import Deployment, wait_for
from support.people import Person, newcomer
from support.runs import Notebook, notebook, tracking_frozen


@pytest.fixture(scope="module")
def person(embedded_mode: Deployment) -> Person:
    made = newcomer(embedded_mode, "runs-jiwoo")
    made.start(environment="lab", size="small")
    return made


@pytest.fixture(scope="module")
def hand(person: Person) -> Notebook:
    return notebook(person)


def panel(person: Person) -> dict[str, Any]:
    reply = person.server("GET", f"/user/{person.name}/madang/runs")
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


def soon(person: Person, count: int) -> list[dict[str, Any]]:
    """The panel's rows, once there are so many: an answer serves for some seconds."""
    wait_for(lambda: len(panel(person)["runs"]) == count, f"{count} runs in the panel", 30)
    runs: list[dict[str, Any]] = panel(person)["runs"]
    return runs


def test_from_the_first_run_to_the_comparison(person: Person, hand: Notebook) -> None:
    empty = panel(person)
    assert (empty["state"], empty["runs"]) == ("on", [])
    assert empty["experiment"] == person.name
    assert empty["pages"] == "/services/mlflow/#/experiments?workspace=u-runs-jiwoo"

    # as a notebook logs it: with nothing but what the server's environment says
    person.run(
        "import mlflow\n"
        "with mlflow.start_run(run_name='첫 실험'):\n"
        "    for step in range(100):\n"
        "        mlflow.log_metrics({'loss': 1 / (step + 1), 'val_loss': 2 / (step + 1)}, step=step)\n"
    )
    [first] = soon(person, 1)
    assert (first["name"], first["experiment"], first["status"]) == (
        "첫 실험",
        person.name,
        "finished",
    )
    assert first["metric"]["name"] == "val_loss"
    assert first["metric"]["value"] == pytest.approx(0.02)
    points = first["metric"]["points"]
    assert 10 < len(points) <= 60
    assert points[0] == [0, 2.0]
    assert points[-1] == [99, pytest.approx(0.02)]
    assert points == sorted(points)
    assert first["baseline"] is None
    assert first["started"] > 1_700_000_000_000

    lesson, tags = "1과 회귀", {"madang.role": "baseline", "madang.main_metric": "mae"}
    hand.log(lesson, "기준", {"mae": [4.0], "loss": [1.0]}, tags=tags)
    hand.log(lesson, "better", {"mae": [9.0, 3.5], "loss": [7.0]})
    hand.log(lesson, "worse", {"mae": [5.0]}, status="FAILED")
    hand.log(lesson, "still", {}, status="RUNNING")
    hand.log("odd/../name", "nan", {"loss": [1.0, float("nan")]}, status="KILLED")
    rows = {row["name"]: row for row in soon(person, 6)}
    assert list(rows)[-1] == "첫 실험", "the newest comes first"
    assert rows["기준"]["is_baseline"]
    assert rows["기준"]["baseline"] is None
    better = rows["better"]
    assert better["metric"] == {"name": "mae", "value": 3.5, "points": [[0, 9.0], [1, 3.5]]}
    assert better["baseline"] == {"value": 4.0, "difference": -0.5, "verdict": "better"}
    assert rows["worse"]["baseline"]["verdict"] == "worse"
    assert rows["worse"]["status"] == "failed"
    assert (rows["still"]["status"], rows["still"]["metric"]) == ("running", None)
    assert (rows["nan"]["status"], rows["nan"]["metric"]["value"]) == ("killed", None)
    # where it leads is where that run is
    run, experiment = better["id"], hand.experiment(lesson)
    assert better["url"] == (
        f"/services/mlflow/#/experiments/{experiment}/runs/{run}?workspace=u-runs-jiwoo"
    )
    assert hand.ask("GET", "runs/get", params={"run_id": run}).status_code == 200


def test_only_ones_own_runs_are_there(embedded_mode: Deployment, person: Person) -> None:
    other = notebook(newcomer(embedded_mode, "runs-other"))
    other.log("1과 회귀", "somebody else's", {"mae": [1.0]})
    names = {row["name"] for row in panel(person)["runs"]}
    assert names
    assert "somebody else's" not in names
    stranger = Person(embedded_mode, "nobody")
    reply = stranger.session.get(
        f"{embedded_mode.url}/user/{person.name}/madang/runs", timeout=30, allow_redirects=False
    )
    assert reply.status_code in (302, 403)


def test_an_absent_tracking_server_is_said_and_found_again(
    embedded_mode: Deployment, person: Person, hand: Notebook
) -> None:
    assert panel(person)["state"] == "on"
    with tracking_frozen(embedded_mode):
        wait_for(lambda: panel(person)["state"] == "away", "the panel to say so", 60)
        # its other parts do not wait for it
        assert person.server("GET", f"/user/{person.name}/madang/status").status_code == 200
    hand.log("1과 회귀", "after", {"mae": [1.0]})
    wait_for(lambda: panel(person)["state"] == "on", "the panel to ask again", 90)
    assert panel(person)["runs"][0]["name"] == "after"
    person.stop()
