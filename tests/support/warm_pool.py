"""A pool of warm servers with a real line to each; the engine, the mounter and the broker are played."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, cast

import pytest
from docker.errors import APIError

from madang_hub.catalog import Catalog, Choice
from madang_hub.image_table import TABLE
from madang_hub.isolation import networks
from madang_hub.isolation.pool import NetworkPool
from madang_hub.lending import BrokerAwayError, Lent, Vacancy
from madang_hub.mounter.client import NotMountedError
from madang_hub.warm import lines, servers
from madang_hub.warm.containers import Containers
from madang_hub.warm.pool import Machine, Meeting
from madang_hub.warm.server import Server
from madang_hub.warm.servers import Outside, WarmServers

GIB = 2**30
MACHINE = Machine(64 * GIB, 16, 0, 0, 0)
COMMAND = ["jupyterhub-singleuser", "--port=8888"]
POOL = IPv4Network("10.213.0.0/20")


class Networks:
    """A pool of networks without an engine."""

    def __init__(self) -> None:
        self.range = POOL
        self.used: set[int] = set()
        self.removed: list[str] = []
        self.away = False
        self.pauses: list[int] = []
        """How long the engine and the broker take for each of their next calls, in turns of the loop."""
        self.answer: asyncio.Event | None = None
        """The broker's answer is on its way until then."""

    async def take(self) -> networks.NetworkPlan:
        await pause(self.pauses)
        index = networks.next_free(self.used, self.range)
        self.used.add(index)
        return networks.plan(self.range, index)

    def give_back(self, plan: networks.NetworkPlan) -> None:
        self.used.discard(plan.index)

    async def make(self, _: networks.NetworkPlan) -> None:
        pass

    async def drop(self, container: str, index: int) -> None:
        if self.away:
            raise APIError("no engine")
        if container:
            await pause(self.pauses)
            self.removed.append(container)
        self.used.discard(index)


@dataclass
class Engine:
    """Containers in which a server waits by a real line, answers a claim once, and remembers it."""

    version_now: str = "sha256:1"
    answer: dict[str, Any] = field(default_factory=lambda: {"taken": 1})
    fail: str = ""
    names: dict[str, str] = field(default_factory=dict)
    connected: list[str] = field(default_factory=list)
    told: dict[str, dict[str, Any]] = field(default_factory=dict)
    ends: dict[str, socket.socket] = field(default_factory=dict)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    cleared: list[Collection[str]] = field(default_factory=list)
    gone_on: dict[str, tuple[bool, bool]] = field(default_factory=dict)
    ended: list[str] = field(default_factory=list)
    hello: bytes = b'{"waiting": 1}'
    slow: asyncio.Event | None = None
    networks: Networks = field(default_factory=Networks)
    devices: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Those of each container, waiting or not."""
    refused: list[str] = field(default_factory=list)
    """Containers that would have had another's device."""

    def has(self, device: str) -> list[str]:
        """The containers that are there and have it."""
        gone = self.networks.removed
        return [c for c, some in self.devices.items() if device in some and c not in gone]

    def make(self, container: str, devices: tuple[str, ...]) -> None:
        """As the gateway does it: no device is in two containers.

        Raises:
            APIError: one is in another.
        """
        if any(self.has(device) for device in devices):
            self.refused.append(container)
            raise APIError("the device is in another container")
        self.devices[container] = devices

    def _may(self, call: str) -> None:
        if self.fail == call:
            raise APIError(f"no {call}")

    async def version(self, image: str) -> str:
        return self.version_now

    async def create(self, server: Server) -> None:
        if self.slow:
            # a thread asks the engine, and nothing stops a thread
            await asyncio.shield(self.slow.wait())
        container = f"container-{server.slot}"
        await pause(self.networks.pauses)
        self.make(container, server.order.devices)
        await pause(self.networks.pauses)
        server.container = container
        self._may("create")
        end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        end.connect(str(server.line.folder / "line"))
        namespace = os.open("/proc/self/ns/mnt", os.O_RDONLY)
        socket.send_fds(end, [self.hello], [namespace])
        os.close(namespace)
        end.setblocking(False)
        self.ends[server.container] = end
        task = asyncio.create_task(self._wait(server.container, end))
        self.tasks.add(task)

    async def _wait(self, container: str, end: socket.socket) -> None:
        with suppress(ConnectionResetError), end:
            if claim := await asyncio.get_running_loop().sock_recv(end, 2**16):
                assert container not in self.told, "a second claim"
                self.told[container] = json.loads(claim)
                end.send(json.dumps(self.answer).encode())
                said = await asyncio.get_running_loop().sock_recv(end, 16)
                if said:
                    assert said == b"go"
                    # by now it has its name and its network
                    self.gone_on[container] = (container in self.names, container in self.connected)
        self.ended.append(container)

    async def rename(self, container: str, name: str) -> None:
        self._may("rename")
        assert name not in self.names.values()
        self.names[container] = name

    async def connect(self, container: str, plan: Any) -> None:
        self._may("connect")
        self.connected.append(container)

    async def clear(self, _: Any, known: Callable[[], Collection[str]]) -> None:
        self.cleared.append(known())


async def pause(turns: list[int]) -> None:
    """Let others work, as long as is said for this call."""
    for _ in range(turns.pop(0) if turns else 0):
        await asyncio.sleep(0)


def home(name: str) -> servers.Home:
    """The folder ``name`` is there."""

    async def there() -> str:
        return name

    return there


async def until(holds: Callable[[], bool]) -> None:
    """Let others work until it holds."""
    for _ in range(100_000):
        if holds():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never held")


@dataclass
class World:
    """A pool, and what it is told."""

    pool: WarmServers
    engine: Engine
    networks: Networks
    slots: Path
    choice: Choice
    homes: list[tuple[str, str]]
    meetings: list[Meeting]
    busy: list[bool]
    vacant: list[Vacancy]
    away: list[bool]
    """Whether the broker is."""

    async def filled(self, count: int) -> None:
        """Look until so many are ready."""
        for _ in range(1000):
            await self.pool.look()
            if sum(s.ready for s in self.pool.stock.servers.values()) >= count:
                return
            await asyncio.sleep(0)
        raise AssertionError("they did not come to wait")

    async def claim(
        self, name: str = "minji", lent: Lent | None = None, choice: Choice | None = None
    ) -> servers.Claimed:
        async def told() -> tuple[list[str], dict[str, str]]:
            return COMMAND, {"MADANG_LANG": "ko", "JUPYTERHUB_API_TOKEN": f"token of {name}"}

        wish = choice or self.choice
        return await self.pool.claim(wish, home(name), f"madang-user-{name}", told, lent)

    @property
    def nothing_left(self) -> bool:
        return not list(self.slots.iterdir())


@asynccontextmanager
async def a_world(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    """A pool that keeps five of the default kind."""
    monkeypatch.setattr(lines, "USER_UID", os.geteuid())
    homes: list[tuple[str, str]] = []

    def mount(_: Path, home: str, slot: str, namespace: int) -> None:
        if home == "broken":
            raise NotMountedError("the home is not a folder")
        assert os.fstat(namespace).st_ino == Path("/proc/self/ns/mnt").stat().st_ino
        homes.append((home, slot))

    monkeypatch.setattr(servers, "mount", mount)
    catalog = Catalog.load(root / TABLE)
    nets = Networks()
    engine = Engine(networks=nets)
    vacancies: list[Vacancy] = []
    away = [False]

    async def vacant() -> list[Vacancy]:
        if away[0]:
            raise BrokerAwayError("no answer")
        # what was so a moment ago
        found = [*vacancies]
        if nets.answer is not None:
            await nets.answer.wait()
        await pause(nets.pauses)
        return found

    meetings: list[Meeting] = []
    busy = [False]

    def told(_: datetime) -> Iterable[Meeting]:
        return meetings

    pool = WarmServers(
        catalog,
        cast(NetworkPool, nets),
        cast(Containers, engine),
        tmp_path,
        tmp_path / "mounter.sock",
        Outside(told, lambda: busy[0], lambda _: MACHINE, vacant),
        base=5,
    )
    choice = Choice(catalog.environments[catalog.default[0]], catalog.sizes[catalog.default[1]])
    yield World(pool, engine, nets, tmp_path, choice, homes, meetings, busy, vacancies, away)
    for server in [*pool.stock.servers.values()]:
        await pool.stock.removed(server)
    for task in engine.tasks:
        task.cancel()
    await asyncio.gather(*engine.tasks, return_exceptions=True)
