"""Tracking goes away while somebody trains: nothing is lost."""

from __future__ import annotations

import os
import signal
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.deployment import Deployment, family, processes, wait_for
from support.notebook import notebook
from support.people import newcomer

#: Ten metrics a step, one by one and together, and a file now and then.
TRAINING = """
    import mlflow, pathlib
    progress = pathlib.Path.home() / "progress"
    logged = {{key: [] for key in ("loss", *(f"layer{{n}}" for n in range(9)))}}
    with mlflow.start_run() as run:
        for step in range({steps}):
            values = {{key: number / (step + 1) for number, key in enumerate(logged, 1)}}
            for key, value in values.items():
                logged[key].append((step, value))
            mlflow.log_metric("loss", values.pop("loss"), step=step)
            mlflow.log_metrics(values, step=step)
            if step % 50 == 49:
                mlflow.log_text(str(step), f"checkpoints/{{step}}.txt")
            progress.write_text(str(step))
    client = mlflow.MlflowClient()
    ended = client.get_run(run.info.run_id)
    assert ended.info.status == "FINISHED", ended.info
    total = 0
    for key, expected in logged.items():
        kept = client.get_metric_history(run.info.run_id, key)
        found = sorted((metric.step, metric.value) for metric in kept)
        assert found == expected, (key, set(expected) - set(found), set(found) - set(expected))
        assert ended.data.metrics[key] == expected[-1][1], (key, ended.data.metrics)
        total += len(found)
    files = client.list_artifacts(run.info.run_id, "checkpoints")
    assert len(files) == {steps} // 50, files
    print("ALL", total)
    """


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    deployment = Deployment("embedded", tmp_path / "data", tracking_workers=2)
    with deployment.running():
        yield deployment


def restart(deployment: Deployment, *, crash: bool) -> None:
    """The tracking server ends, in order or all at once, and supervisord starts it again."""
    (server,) = processes(deployment, "-m mlflow server")
    for pid in family(server) if crash else [server]:
        os.kill(pid, signal.SIGKILL if crash else signal.SIGTERM)
    wait_for(lambda: set(processes(deployment, "-m mlflow server")) - {server}, "a new server", 60)


def train(deployment: Deployment, steps: int, seconds: float) -> None:
    """A loop in a notebook's kernel, and two restarts while it runs."""
    person = newcomer(deployment, "minji", language="en")
    person.start(environment="lab", size="small")
    progress = deployment.data / "homes" / "minji" / "progress"

    def reached() -> int:
        return int(progress.read_text() or 0) if progress.exists() else 0

    code = textwrap.dedent(TRAINING.format(steps=steps))
    with notebook(person) as kernel, ThreadPoolExecutor(1) as pool:
        loop = pool.submit(kernel.ask, code, seconds)
        for part, crash in ((steps // 4, False), (steps // 2, True)):
            wait_for(lambda part=part: loop.done() or reached() > part, f"step {part}", seconds)  # type: ignore[misc]  # part of this turn
            assert not loop.done(), loop.result()
            restart(deployment, crash=crash)
        # MLflow says first where the run can be seen
        assert loop.result().splitlines()[-1] == f"ALL {10 * steps}"


@pytest.mark.long
def test_a_training_loop_loses_nothing_through_two_restarts(deployment: Deployment) -> None:
    train(deployment, 100, 300)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_ten_thousand_metrics_through_two_restarts(deployment: Deployment) -> None:
    train(deployment, 1_000, 900)
