"""The user server's questions to the tracking server: how many, how often, and what a bad answer does."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.deployment import free_ports
from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from madang_lab import tracking
from madang_lab.tracking import Place, Tracking, TrackingAwayError


class Desk:
    """A tracking server that answers as the test wants; ``asked`` holds path and body of each question."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.headers: dict[str, str] = {}
        self.answers: dict[str, Any] = {
            "experiments/search": {"experiments": [{"experiment_id": "7", "name": "lesson"}]},
            "runs/search": {"runs": [run("a", 0.5)]},
            "metrics/get-history-bulk-interval": {
                "metrics": [{"run_id": "a", "value": v, "step": s} for s, v in enumerate((1, 0.5))]
            },
        }
        self.status = 200

    def paths(self) -> list[str]:
        found = [path for path, _ in self.asked]
        self.asked.clear()
        return found


def run(identity: str, value: float) -> dict[str, Any]:
    return {
        "info": {"run_id": identity, "experiment_id": "7", "status": "RUNNING"},
        "data": {"metrics": [{"key": "loss", "value": value, "step": 1, "timestamp": 1}]},
    }


@pytest.fixture
async def desk() -> AsyncIterator[tuple[Desk, Tracking]]:
    made = Desk()

    class Answer(RequestHandler):
        def _answer(self, path: str) -> None:
            body = json.loads(self.request.body) if self.request.body else self.request.query
            made.asked.append((path, body))
            made.headers = dict(self.request.headers.get_all())
            if made.status in (301, 302):
                self.redirect("/elsewhere", status=made.status)
                return
            self.set_status(made.status)
            answer = made.answers[path]
            self.finish(answer if isinstance(answer, str) else json.dumps(answer))

        get = post = _answer

    [port] = free_ports(1)
    application = Application(
        [("/services/mlflow/api/2.0/mlflow/(.*)", Answer)], log_function=print
    )
    server = HTTPServer(application)
    server.listen(port, "127.0.0.1")
    uri = f"http://127.0.0.1:{port}/services/mlflow"
    yield made, Tracking(Place(uri, "/services/mlflow/", "token", "u-ann", "ann"))
    server.stop()
    await server.close_all_connections()


EVERYTHING = [
    "experiments/search",
    "runs/search",
    "runs/search",
    "metrics/get-history-bulk-interval",
]


async def test_a_curve_is_asked_for_once_until_it_grows(
    desk: tuple[Desk, Tracking], monkeypatch: pytest.MonkeyPatch
) -> None:
    there, ours = desk
    [row] = await ours.latest()
    assert row["metric"] == {"name": "loss", "value": 0.5, "points": [(0, 1.0), (1, 0.5)]}
    assert row["experiment"] == "lesson"
    assert there.headers["Authorization"] == "Bearer token"
    assert there.headers["X-Mlflow-Workspace"] == "u-ann"
    assert there.paths() == EVERYTHING
    # the next tab, right after it
    await ours.latest()
    assert there.paths() == []
    monkeypatch.setattr(tracking, "FRESH", 0.0)
    await ours.latest()
    assert there.paths() == EVERYTHING[:-1]
    there.answers["runs/search"] = {"runs": [run("a", 0.4)]}
    await ours.latest()
    assert there.paths() == EVERYTHING


async def test_without_experiments_there_is_nothing_more_to_ask(
    desk: tuple[Desk, Tracking],
) -> None:
    there, ours = desk
    there.answers["experiments/search"] = {}
    assert await ours.latest() == []
    assert there.paths() == ["experiments/search"]


@pytest.mark.parametrize("status", [302, 401, 403, 429, 500, 503])
async def test_a_refusal_is_no_answer(desk: tuple[Desk, Tracking], status: int) -> None:
    there, ours = desk
    there.status = status
    with pytest.raises(TrackingAwayError, match=str(status)):
        await ours.latest()
    # not again at once, whoever asks
    there.status = 200
    with pytest.raises(TrackingAwayError):
        await ours.latest()
    assert there.paths() == ["experiments/search"]


async def test_too_long_and_broken_answers_are_none(
    desk: tuple[Desk, Tracking], monkeypatch: pytest.MonkeyPatch
) -> None:
    there, ours = desk
    monkeypatch.setattr(tracking, "MAX_ANSWER", 1000)
    monkeypatch.setattr(tracking, "wait", lambda failures: 0.0)
    for answer in ("<html>", '{"experiments": "' + "x" * 2000 + '"}'):
        there.answers["experiments/search"] = answer
        with pytest.raises(TrackingAwayError):
            await ours.latest()
    for odd in ("[]", "3", '{"experiments": [3, {"name": "no id"}]}'):
        there.answers["experiments/search"] = odd
        assert await ours.latest() == []
        ours._asked = float("-inf")


async def test_a_server_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    [port] = free_ports(1)
    uri = f"http://127.0.0.1:{port}/services/mlflow"
    ours = Tracking(Place(uri, "/services/mlflow/", "token", "u-ann", "ann"))
    with pytest.raises(TrackingAwayError):
        await ours.latest()
