"""A lesson in a real user server, with the real tracking server behind its gate; and while that hangs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from support.deployment import Deployment
from support.people import Person, newcomer
from support.runs import Notebook, notebook, tracking_frozen

from madang_hub.lessons import build

ROOT = Path(__file__).parents[2]
ASIDE = "import matplotlib; matplotlib.use('agg')\n"


@pytest.fixture(scope="module")
def person(embedded_mode: Deployment) -> Person:
    made = newcomer(embedded_mode, "lessons-mina")
    made.start(environment="lab", size="small")
    return made


@pytest.fixture(scope="module")
def hand(person: Person) -> Notebook:
    return notebook(person)


def solution(name: str) -> str:
    """All code of a lesson, solved, in one piece."""
    lesson = next(o for o in build.lessons(ROOT)[1] if o.about.id == name)
    cells = [c for c in lesson.cells if c.kind == "code" and c.is_in("solution")]
    return ASIDE + "\n".join(cell.of("solution") for cell in cells)


def runs_of(hand: Notebook, name: str) -> list[dict[str, Any]]:
    """The lesson's runs at the tracking server, oldest first: name, tags and metrics of each."""
    found = hand.post("runs/search", experiment_ids=[hand.experiment(f"tutorial/{name}")])
    return [
        {
            "name": run["info"]["run_name"],
            "status": run["info"]["status"],
            "tags": {t["key"]: t["value"] for t in run["data"]["tags"]},
            "metrics": {m["key"]: m["value"] for m in run["data"].get("metrics", [])},
            "params": {p["key"]: p["value"] for p in run["data"].get("params", [])},
        }
        for run in sorted(found.get("runs", []), key=lambda run: int(run["info"]["start_time"]))
    ]


def test_a_lessons_runs_are_recorded_with_its_tags(person: Person, hand: Notebook) -> None:
    said = person.run(solution("f3"))
    assert [line[:6] for line in said.splitlines() if line[0] in "✅❌"] == [
        "✅ f3.1",
        "✅ f3.2",
        "✅ f3.3",
    ]
    assert "⚠️" not in said
    runs = runs_of(hand, "f3")
    assert [run["name"] for run in runs] == ["guess", "logistic", "3-NN", "SVM"]
    assert {run["status"] for run in runs} == {"FINISHED"}
    for run in runs:
        tags = run["tags"]
        assert tags["lesson.id"] == "f3"
        assert tags["lesson.version"] == build.lessons(ROOT)[0].version
        assert tags["image.tag"] == "lab"
        assert (tags["lang"], tags["device"]) == ("ko", "cpu")
    assert [r["name"] for r in runs if r["tags"].get("madang.role") == "baseline"] == ["guess"]
    assert runs[0]["tags"]["madang.main_metric"] == "test_accuracy"
    assert runs[0]["tags"]["madang.better"] == "higher"
    assert runs[2]["params"] == {"model": "k-NN", "k": "3"}
    assert runs[0]["metrics"]["test_accuracy"] == pytest.approx(0.102, abs=5e-4)
    # the person's own server shows them, compared with the baseline
    shown = person.server("GET", f"/user/{person.name}/madang/runs").json()["runs"]
    assert {row["experiment"] for row in shown} == {"tutorial/f3"}


def test_a_mistake_of_the_learner_is_not_taken_for_the_servers(person: Person) -> None:
    code = (
        "import mlflow\nfrom madang_learn import lesson\nq = lesson('f3')\n"
        "try:\n    with q.run('twice'):\n        mlflow.log_param('k', 1)\n"
        "        mlflow.log_param('k', 2)\n"
        "except mlflow.exceptions.MlflowException as error:\n    print('raised', error.error_code)\n"
        "try:\n    with q.run('typo'):\n        undefined\n"
        "except NameError:\n    print('raised NameError')\n"
        "print(mlflow.active_run())\n"
    )
    said = person.run(code)
    assert "raised INVALID_PARAMETER_VALUE" in said
    assert "raised NameError" in said
    assert said.strip().endswith("None")
    assert "⚠️" not in said


def test_while_the_tracking_server_hangs_a_lesson_goes_on(
    person: Person, hand: Notebook, embedded_mode: Deployment
) -> None:
    before = len(runs_of(hand, "f3"))
    began = time.monotonic()
    with tracking_frozen(embedded_mode):
        said = person.run(solution("f3"))
    assert time.monotonic() - began < 60
    assert said.count("실험 기록 서버에 연결할 수 없습니다") == 1
    assert said.count("✅") == 3
    assert len(runs_of(hand, "f3")) == before


def test_a_server_that_goes_away_within_a_run_ends_no_lesson(person: Person) -> None:
    code = (
        "import mlflow, os\nfrom madang_learn import lesson\nq = lesson('f2')\n"
        "with q.run('cut off'):\n"
        "    os.environ['MLFLOW_TRACKING_URI'] = 'http://127.0.0.1:9/'\n"
        "    mlflow.set_tracking_uri('http://127.0.0.1:9/')\n"
        "    mlflow.log_metric('gflops', 1.0)\n"
        "with q.run('after'):\n    mlflow.log_metric('gflops', 2.0)\n"
        "print(list(q.runs()['tags.mlflow.runName']))\n"
    )
    said = person.run(code)
    assert said.count("실험 기록 서버에 연결할 수 없습니다") == 1
    assert "['after']" in said
