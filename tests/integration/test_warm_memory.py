"""The pool of waiting servers as a Hub has it, on a real engine: people's memory comes first."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.models.containers import Container
from support.deployment import new_prefix, wait_for

from madang_hub.catalog import Catalog
from madang_hub.image_table import TABLE
from madang_hub.isolation.pool import NetworkPool
from madang_hub.people.database import Database
from madang_hub.places import Places
from madang_hub.settings import Settings
from madang_hub.warm import beginning, outside, servers
from madang_hub.warm.servers import WarmServers

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

BASE = 2


@dataclass
class Running:
    """The pool, what it has on the engine, and the memory that it sees."""

    pool: WarmServers
    engine: docker.DockerClient
    instance: str
    meminfo: Path

    def available(self, share: float) -> None:
        """As much of the machine's memory is available as this share of all."""
        text = Path("/proc/meminfo").read_text(encoding="ascii")
        (total,) = re.findall(r"MemTotal: +(\d+)", text)
        seen = re.sub(r"(MemAvailable: +)\d+", rf"\g<1>{int(int(total) * share)}", text)
        draft = self.meminfo.with_suffix(".draft")
        draft.write_text(seen, encoding="ascii")
        draft.rename(self.meminfo)

    def label(self) -> dict[str, Any]:
        return {"label": f"madang.instance={self.instance}"}

    def containers(self) -> list[Container]:
        found: list[Container] = self.engine.containers.list(all=True, filters=self.label())
        return found

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        await asyncio.to_thread(wait_for, holds, what, 90)

    async def filled(self) -> None:
        def ready() -> bool:
            return sum(s.ready for s in self.pool.stock.servers.values()) == BASE

        await self.until(ready, f"{BASE} waiting servers")


@pytest.fixture
async def running(
    engine: docker.DockerClient, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Running]:
    monkeypatch.setattr(outside, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(servers, "EVERY", 0.5)
    settings = Settings.model_validate(
        {"data": tmp_path / "data", "instance": f"t{secrets.token_hex(3)}", "warm_base": BASE}
    )
    places = Places(settings, "server")
    places.warm_slots.mkdir(parents=True)
    for folder in (tmp_path, settings.data, places.run):
        folder.chmod(0o711)
    networks = NetworkPool(
        IPv4Network("10.238.0.0/24"), instance=settings.instance, prefix=new_prefix(), kept=0
    )
    database = Database(f"sqlite:///{tmp_path / 'hub.sqlite'}")
    before = {*beginning._running}
    catalog = Catalog.load(root / TABLE)
    pool = beginning.warm_servers(places, catalog, networks, database, lambda: False, set)
    (task,) = beginning._running - before
    made = Running(pool, engine, settings.instance, tmp_path / "meminfo")
    made.available(0.9)
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        beginning._running.discard(task)
        assert made.containers() == []
        assert engine.networks.list(filters=made.label()) == []
        database.close()


async def test_where_people_need_the_memory_nothing_waits(running: Running) -> None:
    await running.filled()
    assert len(running.containers()) == BASE
    assert len(running.engine.networks.list(filters=running.label())) == BASE
    # a fifth of the machine stays free for what people's programs grow by
    running.available(0.19)
    await running.until(lambda: not running.containers(), "the waiting servers to be removed")
    await running.until(lambda: not running.pool.stock.servers, "the pool to know it")
    assert not list((running.meminfo.parent / "data" / "run" / "warm").iterdir())
    # and they come again with the memory
    running.available(0.9)
    await running.filled()
