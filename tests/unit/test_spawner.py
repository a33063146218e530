"""What both spawners do with what is lent, and what a person is told when the engine gives no container."""

from __future__ import annotations

import json
import time
from ipaddress import IPv4Network
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import docker
import pytest
from docker.errors import APIError, DockerException
from dockerspawner import DockerSpawner
from jupyterhub.spawner import LocalProcessSpawner
from requests import Response

from madang_hub import lending
from madang_hub.catalog import Catalog
from madang_hub.image_table import TABLE
from madang_hub.isolation import networks
from madang_hub.isolation.pool import NetworkPool
from madang_hub.local import MadangLocalSpawner
from madang_hub.options import StartRefused
from madang_hub.spawner import MadangSpawner
from madang_hub.warm.claimed import NotWarmError
from madang_hub.warm.servers import WarmServers

DEVICES = ("nvidia.com/gpu=1", "nvidia.com/gpu=2")
LENT = lending.Lent("a" * 32, ("GPU-1", "GPU-2"), DEVICES, ("nvidia.com/gpu",))
KEPT = lending.Lent(kinds=("nvidia.com/gpu",))
"""Nothing is lent to this person, though there is what could be."""
NONE = lending.Lent()
OF_A_LEASE = {"madang.lease", "madang.slots", "madang.devices"}


class Networks:
    """The first of a pool is free."""

    range = IPv4Network("10.213.0.0/20")

    def plan(self, index: int) -> networks.NetworkPlan:
        return networks.plan(self.range, index)

    async def take(self) -> networks.NetworkPlan:
        return self.plan(0)

    async def make(self, _: networks.NetworkPlan) -> None:
        pass


class Spawner(MadangSpawner):
    """With what a Hub gives a spawner. No engine is asked before DockerSpawner's own part of a start."""

    client = docker.APIClient(version="1.45")
    networks = cast(NetworkPool, Networks())

    async def get_object(self) -> Any:
        return None

    def begin(self) -> Any:
        return SimpleNamespace(
            environment=self.catalog.environments["lab"], size=self.catalog.sizes["small"]
        )

    async def ready_home(self, uid: int = 0, gid: int = 0) -> Path:
        return Path("/homes/minji")


class Process(MadangLocalSpawner):
    """With what a Hub gives a spawner. Its environment is not installed."""

    def begin(self) -> Any:
        return SimpleNamespace(environment=self.catalog.environments["lab"])

    async def ready_home(self, uid: int = 0, gid: int = 0) -> Path:
        return Path("/homes/minji")


@pytest.fixture
def spawner(root: Path, tmp_path: Path) -> Spawner:
    heartbeat = tmp_path / "guard.json"
    heartbeat.write_text(json.dumps({"time": time.time()}))
    return Spawner(
        catalog=Catalog.load(root / TABLE),
        accelerators_url="http://broker",
        guard_heartbeat=str(heartbeat),
        user=SimpleNamespace(name="minji"),
        language="en",
    )


def lends(monkeypatch: pytest.MonkeyPatch, lent: lending.Lent) -> None:
    """The broker says so to whoever asks."""

    async def ask(*_: str) -> lending.Lent:
        return lent

    monkeypatch.setattr(lending, "ask", ask)


async def refused(
    spawner: Spawner, monkeypatch: pytest.MonkeyPatch, lent: lending.Lent, said: str
) -> StartRefused:
    """A start with what is ``lent``; the engine makes no container and has ``said`` why."""
    lends(monkeypatch, lent)

    async def start(_: DockerSpawner) -> None:
        answer = Response()
        answer.status_code = 500
        raise APIError(said, answer, said)

    monkeypatch.setattr(DockerSpawner, "start", start)
    with pytest.raises(StartRefused) as refusal:
        await spawner.start()
    await cast(Any, spawner._network)
    return refusal.value


async def test_the_devices_of_the_lease_and_its_labels(
    spawner: Spawner, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = await refused(spawner, monkeypatch, LENT, "CDI device injection failed")
    requests = [{"driver": "cdi", "device_ids": [*DEVICES]}]
    assert spawner.extra_host_config["device_requests"] == requests
    labels = spawner.extra_create_kwargs["labels"]
    assert {key: labels[key] for key in OF_A_LEASE} == {
        "madang.lease": LENT.lease,
        "madang.slots": "GPU-1 GPU-2",
        "madang.devices": " ".join(DEVICES),
    }
    assert refusal.reason == "accelerator"
    assert "give the accelerator back" in refusal.jupyterhub_message


class Waiting(WarmServers):
    """None waits, and what it is asked for is remembered in ``calls``."""

    def __init__(self, calls: list[Any]) -> None:
        self.calls = calls

    async def claim(self, *told: Any) -> Any:
        self.calls.append(("claim", told[-1]))
        raise NotWarmError("none")

    async def vacate(self, lent: lending.Lent) -> None:
        self.calls.append(("vacate", lent))


@pytest.mark.parametrize("lent", [LENT, NONE])
async def test_nothing_that_waits_has_its_devices_when_a_container_is_made(
    spawner: Spawner, monkeypatch: pytest.MonkeyPatch, lent: lending.Lent
) -> None:
    calls: list[Any] = []
    spawner.warm = Waiting(calls)
    lends(monkeypatch, lent)

    async def start(_: DockerSpawner) -> None:
        calls.append("create")
        raise APIError("enough")

    monkeypatch.setattr(DockerSpawner, "start", start)
    with pytest.raises(StartRefused):
        await spawner.start()
    await cast(Any, spawner._network)
    assert calls == [("claim", lent), ("vacate", lent), "create"]


async def test_where_it_cannot_be_taken_away_no_container_is_made(
    spawner: Spawner, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []
    spawner.warm = Waiting(calls)
    lends(monkeypatch, LENT)

    async def stuck(_: lending.Lent) -> None:
        raise DockerException("what waited cannot be removed now")

    async def start(_: DockerSpawner) -> None:
        raise AssertionError("a container is made")

    monkeypatch.setattr(spawner.warm, "vacate", stuck)
    monkeypatch.setattr(DockerSpawner, "start", start)
    with pytest.raises(StartRefused) as refusal:
        await spawner.start()
    assert refusal.value.reason
    assert spawner.network_index == -1


async def test_without_a_lease_there_is_neither(
    spawner: Spawner, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = await refused(spawner, monkeypatch, NONE, "no such device")
    assert "device_requests" not in spawner.extra_host_config
    assert not OF_A_LEASE & set(spawner.extra_create_kwargs["labels"])
    assert refusal.reason == "engine-refused"


async def test_what_else_an_engine_says_is_not_the_accelerators(
    spawner: Spawner, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = await refused(spawner, monkeypatch, LENT, "pool overlaps with other one")
    assert refusal.reason == "engine-refused"


@pytest.mark.parametrize(("lent", "visible"), [(LENT, "GPU-1,GPU-2"), (KEPT, ""), (NONE, None)])
async def test_a_process_sees_the_gpus_of_the_lease(
    root: Path, monkeypatch: pytest.MonkeyPatch, lent: lending.Lent, visible: str | None
) -> None:
    lends(monkeypatch, lent)
    monkeypatch.setattr(LocalProcessSpawner, "get_env", lambda _: {})
    spawner = Process(
        catalog=Catalog.load(root / TABLE),
        accelerators_url="http://broker",
        environments="/nowhere",
        samples=str(root / "images"),
        user=SimpleNamespace(name="minji"),
    )
    with pytest.raises(StartRefused):
        await spawner.start()
    assert spawner.get_env().get("CUDA_VISIBLE_DEVICES") == visible


@pytest.mark.parametrize(
    ("environment", "folder", "told"),
    [("lab", "/lessons", "/lessons"), ("rescue", "/lessons", None), ("lab", "", None)],
)
def test_a_process_is_told_where_its_environments_lessons_are(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    environment: str,
    folder: str,
    told: str | None,
) -> None:
    monkeypatch.setattr(LocalProcessSpawner, "get_env", lambda _: {})
    catalog = Catalog.load(root / TABLE)
    offered = catalog.environments
    spawner = Process(
        catalog=catalog,
        environments="/nowhere",
        samples=str(root / "images"),
        lessons=folder,
        user=SimpleNamespace(name="minji"),
    )
    monkeypatch.setattr(spawner, "_choice", SimpleNamespace(environment=offered[environment]))
    assert spawner.get_env().get("MADANG_LESSONS") == told


def describes(spawner: Spawner, monkeypatch: pytest.MonkeyPatch, index: int) -> None:
    """The engine has a container with the spawner's name, in this network."""
    found = {
        "Id": "left",
        "Config": {"Labels": {"madang.network": str(index)}},
        "State": {"Running": True},
    }

    async def get_object() -> dict[str, Any]:
        return found

    monkeypatch.setattr(spawner, "get_object", get_object)


async def test_after_a_restart_in_the_middle_of_a_start_the_container_says_where_it_is(
    spawner: Spawner, monkeypatch: pytest.MonkeyPatch
) -> None:
    describes(spawner, monkeypatch, 7)
    spawner.orm_spawner = None
    server = SimpleNamespace(base_url="/user/minji/", url="http://:0/user/minji/")
    monkeypatch.setattr(Spawner, "server", server)
    spawner.load_state({"network_index": -1})
    assert await spawner.get_url() == server.url, "nobody has asked the engine"
    assert await spawner.poll() is None
    assert spawner.network_index == 7
    assert await spawner.get_url() == "http://10.213.0.58:8888/user/minji/"


async def test_what_an_ended_hub_left_of_the_name_goes_with_its_network(
    spawner: Spawner, monkeypatch: pytest.MonkeyPatch
) -> None:
    describes(spawner, monkeypatch, 7)
    cleared = []

    async def clear(container: str, index: int) -> None:
        cleared.append((container, index))

    monkeypatch.setattr(spawner.networks, "clear", clear, raising=False)
    await refused(spawner, monkeypatch, NONE, "no")
    assert cleared == [("left", 7)]
