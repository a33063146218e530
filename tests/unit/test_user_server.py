"""What a user server is told by its variables, what is lent to it, and what is remembered of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from urllib3.util import Retry

from madang_hub import lending
from madang_hub.catalog import Catalog
from madang_hub.image_table import TABLE
from madang_hub.options import StartRefused
from madang_hub.user_server import UserServer
from madang_mlflow.identity import Times


class Remembering:
    """What a spawner of JupyterHub's has for what outlives the Hub's process."""

    def get_state(self) -> dict[str, Any]:
        return {"pid": 1}

    def load_state(self, state: dict[str, Any]) -> None:
        assert state["pid"] == 1

    def clear_state(self) -> None:
        pass


class Server(UserServer, Remembering):
    """With what else a spawner of JupyterHub's has."""

    api_token = "t"
    user = SimpleNamespace(name="kim")


def test_it_knows_every_environment_that_packages_may_be_for(root: Path) -> None:
    """Those that the operator does not offer just now as well: their packages are no leftovers."""
    offered = Catalog.load(root / TABLE).offering(["lab"])
    told = Server(catalog=offered).environment_at("http://hub")["MADANG_ENVIRONMENTS"].split()
    assert {"lab", "energy", "rescue"} <= set(told)
    assert "energy" not in offered.environments


def test_an_earlier_version_has_the_same_packages_of_ones_own(root: Path) -> None:
    server = Server(catalog=Catalog.load(root / TABLE))
    server.environment_name = "lab@0.0.9"
    assert server.environment_at("http://hub")["MADANG_ENVIRONMENT"] == "lab"


def test_who_logs_waits_as_long_as_the_gate_believes_the_hub(root: Path) -> None:
    told = Server(catalog=Catalog.load(root / TABLE)).environment_at("http://hub")
    assert told["MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER"] == "false"
    # as MLflow's client counts, which has 2 as its factor
    left = Retry(total=int(told["MLFLOW_HTTP_REQUEST_MAX_RETRIES"]), backoff_factor=2)
    pauses = 0.0
    while left.total:
        left = left.increment("POST", "/", error=ConnectionError())
        pauses += left.get_backoff_time()
    assert pauses >= Times().stale


LENT = lending.Lent("a" * 32, ("GPU-1",), ("nvidia.com/gpu=1",))


def borrowing(
    server: Server, monkeypatch: pytest.MonkeyPatch, answer: lending.Lent | Exception
) -> lending.Lent:
    """What ``server`` takes from a broker with this answer."""

    async def ask(url: str, token: str, person: str, language: str) -> lending.Lent:
        assert (url, token, person, language) == ("http://broker", "secret", "kim", "ko")
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(lending, "ask", ask)
    server.accelerators_url, server.accelerators_token = "http://broker", "secret"
    return asyncio.run(server.borrow())


def test_it_is_told_what_is_lent(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(catalog=Catalog.load(root / TABLE))
    assert borrowing(server, monkeypatch, LENT) == LENT
    assert server.environment_at("http://hub")["MADANG_LEASE"] == LENT.lease


def test_it_starts_without_a_broker_and_keeps_no_lease_of_an_earlier_start(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(catalog=Catalog.load(root / TABLE))
    borrowing(server, monkeypatch, LENT)
    away = lending.BrokerAwayError("it answers 502")
    assert borrowing(server, monkeypatch, away) == lending.Lent()
    assert server.environment_at("http://hub")["MADANG_LEASE"] == ""


def test_it_does_not_start_when_what_is_lent_is_ill(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    with pytest.raises(StartRefused) as refusal:
        borrowing(server, monkeypatch, lending.NotUsableError("It is ill"))
    assert (refusal.value.reason, refusal.value.jupyterhub_message) == ("accelerator", "It is ill")
    assert server.lease == ""


def test_the_lease_outlives_the_hub_and_ends_with_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server, after = Server(), Server()
    borrowing(server, monkeypatch, LENT)
    after.load_state(server.get_state())
    assert after.lease == LENT.lease
    after.clear_state()
    assert after.lease == ""
