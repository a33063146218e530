"""Servers with names: the service account's alone. A person's, which is always refused, touches nothing."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import docker
import pytest
from jupyterhub.spawner import SimpleLocalProcessSpawner
from tornado.web import HTTPError

from madang_hub.catalog import Catalog
from madang_hub.dashboards.gateway.assembly import named_servers
from madang_hub.dashboards.gateway.container_app import DashboardSpawner
from madang_hub.dashboards.gateway.local_app import DashboardLocalSpawner
from madang_hub.image_table import TABLE
from madang_hub.options import StartRefused
from madang_hub.places import DASHBOARD_ACCOUNT
from madang_hub.spawner import MadangSpawner

APP = "app-" + "a" * 20


class Containers:
    """An engine on which the person's own server runs; what is asked of it is noted."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def docker(self, method: str, name: str, **_: Any) -> Any:
        self.asked.append(f"{method} {name}")
        labels = {"madang.network": "0"}
        running = {"Running": True, "ExitCode": 0}
        return {"Id": "c" * 64, "State": running, "Config": {"Labels": labels}}


class Spawner(DashboardSpawner):
    """With what a Hub gives a spawner."""

    client = docker.APIClient(version="1.45")


def spawner_of(root: Path, person: str, name: str) -> Spawner:
    return Spawner(
        catalog=Catalog.load(root / TABLE),
        prefix="madang-user",
        name_template="{prefix}-{username}",
        user=SimpleNamespace(name=person, url=f"/user/{person}/"),
        orm_spawner=SimpleNamespace(name=name, server=None, state={}),
    )


def test_no_two_servers_have_one_container(root: Path) -> None:
    wanted = [("minji", ""), ("minji", "foo"), ("minji", "bar"), (DASHBOARD_ACCOUNT, APP)]
    names = [spawner_of(root, *one).container_name for one in wanted]
    assert names[0] == "madang-user-minji"
    assert names[3].startswith(f"madang-user-{DASHBOARD_ACCOUNT}--app-")
    assert len(set(names)) == len(names)


async def test_what_is_refused_does_not_touch_the_own_server(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Hub cleans up after a refused start, as after every other: it asks, and stops what runs."""
    engine = Containers()
    monkeypatch.setattr(MadangSpawner, "docker", lambda _, *args, **more: engine.docker(*args))
    monkeypatch.setattr(MadangSpawner, "running", {"minji"})
    refused = spawner_of(root, "minji", "foo")
    with pytest.raises(StartRefused) as told:
        refused.choose({})
    assert told.value.status_code == 403
    assert await refused.poll() == 0
    await refused.stop()
    await refused.tidy()
    refused.clear_state()
    assert engine.asked == []
    # the own server counts as running all the while
    assert MadangSpawner.running == {"minji"}
    own = spawner_of(root, "minji", "")
    assert await own.poll() is None
    assert engine.asked == ["inspect_container madang-user-minji"]
    own.clear_state()
    assert MadangSpawner.running == set()


async def test_nor_does_it_in_embedded_mode(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def poll(spawner: Any) -> None:
        asked.append(f"poll {spawner.name}")

    async def stop(spawner: Any, now: bool = False) -> None:
        asked.append(f"stop {spawner.name}")

    monkeypatch.setattr(SimpleLocalProcessSpawner, "poll", poll)
    monkeypatch.setattr(SimpleLocalProcessSpawner, "stop", stop)
    for name in ("foo", ""):
        spawner = DashboardLocalSpawner(
            catalog=Catalog.load(root / TABLE),
            user=SimpleNamespace(name="minji"),
            orm_spawner=SimpleNamespace(name=name, server=None, state={}),
        )
        await spawner.poll()
        await spawner.stop()
    assert asked == ["poll ", "stop "]


@pytest.mark.parametrize("address", [[], ["minji"], [DASHBOARD_ACCOUNT, APP]])
def test_the_account_may_have_any_number(address: list[str]) -> None:
    # below zero: no limit, and the Hub's pages show no form
    assert named_servers(SimpleNamespace(path_args=address)) == -1


@pytest.mark.parametrize("address", [["minji", "foo"], ["minji", ""], ["admin", APP]])
def test_nobody_else_gets_one(address: list[str]) -> None:
    with pytest.raises(HTTPError) as told:
        named_servers(SimpleNamespace(path_args=address))
    assert told.value.status_code == 403
    assert "이름" in str(told.value.log_message)
