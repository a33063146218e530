"""A network is freed once, by whoever removes its container first: right after it is another's."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Network
from threading import Event
from typing import Any, cast

import docker
import pytest
from docker.errors import APIError, NotFound

from madang_hub.isolation.pool import NetworkPool


class Engine:
    """Containers and networks, and how its calls end."""

    def __init__(self) -> None:
        self.containers_here = {"one"}
        self.calls: list[str] = []
        self.slow = Event()
        self.slow.set()
        self.away = False

    def containers(self, **_: Any) -> list[dict[str, Any]]:
        return [{"Labels": {"madang.network": "0"}}] if "one" in self.containers_here else []

    def networks(self, **_: Any) -> list[dict[str, Any]]:
        return []

    def remove_container(self, container: str, **_: Any) -> None:
        self.slow.wait(20)
        if self.away:
            raise APIError("no engine")
        self.calls.append(container)
        if container not in self.containers_here:
            raise NotFound("no such container")
        self.containers_here.remove(container)

    def remove_network(self, name: str) -> None:
        self.calls.append(name)


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def pool(engine: Engine) -> NetworkPool:
    made = NetworkPool(IPv4Network("10.0.0.0/28"), instance="m", prefix="mdt", kept=0)
    made._client = cast(docker.APIClient, engine)
    return made


async def test_a_second_removal_does_not_free_what_is_anothers_by_now(
    pool: NetworkPool, engine: Engine
) -> None:
    assert (await pool.take()).index == 1
    await pool.drop("one", 0)
    assert (await pool.take()).index == 0
    before = [*engine.calls]
    await pool.drop("one", 0)
    assert engine.calls == before
    assert pool._used == {0, 1}


async def test_two_removals_at_once_are_one(pool: NetworkPool, engine: Engine) -> None:
    await pool.take()
    engine.slow.clear()
    both = [asyncio.create_task(pool.drop("one", 0)) for _ in range(2)]
    await asyncio.sleep(0)
    engine.slow.set()
    await asyncio.gather(*both)
    assert engine.calls == ["one", "m-u-0"]


async def test_what_could_not_be_removed_is_tried_again(pool: NetworkPool, engine: Engine) -> None:
    await pool.take()
    engine.away = True
    with pytest.raises(APIError):
        await pool.drop("one", 0)
    assert pool._used == {0, 1}
    engine.away = False
    await pool.drop("one", 0)
    assert engine.calls == ["one", "m-u-0"]
    assert pool._used == {1}


async def test_what_was_removed_by_hand_frees_its_network(
    pool: NetworkPool, engine: Engine
) -> None:
    await pool.take()
    engine.containers_here.clear()
    await pool.drop("one", 0)
    assert pool._used == {1}


async def test_what_a_stop_removed_is_not_freed_twice(pool: NetworkPool, engine: Engine) -> None:
    await pool.take()
    engine.containers_here.clear()
    pool.removed("one")
    # the stop's own
    await pool.drop("", 0)
    assert (await pool.take()).index == 0
    await pool.drop("one", 0)
    assert pool._used == {0, 1}
