"""Runs in tests: logged at a Madang's tracking server by its REST API, as MLflow's client does it."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from madang_hub.tracking import workspace_of
from support.deployment import Deployment

SCOPE = "access:services!service=mlflow"


@dataclass(frozen=True)
class Notebook:
    """``name`` with a token, as programs in that person's server have one."""

    deployment: Deployment
    name: str
    token: str

    @property
    def workspace(self) -> str:
        return workspace_of(self.name)

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        return requests.request(
            method,
            f"{self.deployment.url}/services/mlflow/api/2.0/mlflow/{path}",
            headers={
                "Authorization": f"Bearer {self.token}",
                "X-MLFLOW-WORKSPACE": self.workspace,
            },
            timeout=60,
            **options,
        )

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        reply = self.ask("POST", path, json=body)
        assert reply.status_code == 200, f"{path}: {reply.status_code} {reply.text}"
        found: dict[str, Any] = reply.json()
        return found

    def experiment(self, name: str) -> str:
        """The id of the experiment of this name, made if there is none."""
        reply = self.ask("GET", "experiments/get-by-name", params={"experiment_name": name})
        if reply.status_code == 200:
            found: str = reply.json()["experiment"]["experiment_id"]
            return found
        made: str = self.post("experiments/create", name=name)["experiment_id"]
        return made

    def log(
        self,
        experiment: str,
        name: str,
        metrics: Mapping[str, Sequence[float]] | None = None,
        status: str = "FINISHED",
        started: float | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """A run with each metric's values at steps 0, 1, …; its id.

        Args:
            started: seconds since 1970; now, if it is not given.
        """
        now = round((time.time() if started is None else started) * 1000)
        run: str = self.post(
            "runs/create",
            experiment_id=self.experiment(experiment),
            run_name=name,
            start_time=now,
            tags=[{"key": key, "value": value} for key, value in (tags or {}).items()],
        )["run"]["info"]["run_id"]
        values = [
            # as MLflow's client writes what JSON has no word for
            {
                "key": key,
                "value": value if math.isfinite(value) else "NaN",
                "step": step,
                "timestamp": now + step,
            }
            for key, series in (metrics or {}).items()
            for step, value in enumerate(series)
        ]
        self.post("runs/log-batch", run_id=run, metrics=values)
        if status != "RUNNING":
            self.post("runs/update", run_id=run, status=status, end_time=now + 1000)
        return run


def notebook(person: Any) -> Notebook:
    """A notebook of somebody who is signed in (a ``Person``)."""
    body = {"scopes": [SCOPE], "expires_in": 3600}
    reply = person.api("POST", f"/users/{person.name}/tokens", json=body)
    assert reply.status_code == 201, reply.text
    return Notebook(person.deployment, person.name, reply.json()["token"])


def tracking_processes(deployment: Deployment) -> list[int]:
    """Every process of this installation's tracking server (embedded mode)."""
    mark = f"MADANG_TRACKING_PORT={deployment.tracking_port}\0".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes()
            if b"mlflow" in words and mark in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


@contextmanager
def tracking_frozen(deployment: Deployment) -> Iterator[None]:
    """The tracking server takes connections and does not answer."""
    processes = tracking_processes(deployment)
    assert processes
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)
