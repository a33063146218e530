"""The pool of users' networks on a real engine: what stays for the next server and what does not."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from ipaddress import IPv4Network
from typing import Any, TypeVar

import docker
import pytest
from docker.models.containers import Container

from madang_hub.isolation.networks import INSTANCE_LABEL, NetworkPlan
from madang_hub.isolation.pool import NetworkPool

pytestmark = pytest.mark.engine
POOL = IPv4Network("10.234.0.0/26")
MARK = f"{INSTANCE_LABEL}=tnets"

T = TypeVar("T")


def run(what: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(what)


def pool(kept: int, within: IPv4Network = POOL) -> NetworkPool:
    return NetworkPool(within, instance="tnets", prefix="mdn", kept=kept)


async def start(networks: NetworkPool, count: int) -> list[NetworkPlan]:
    plans = [await networks.take() for _ in range(count)]
    await asyncio.gather(*(networks.make(p) for p in plans))
    return plans


async def stop(networks: NetworkPool, plans: list[NetworkPlan]) -> None:
    await asyncio.gather(*(networks.drop("", p.index) for p in plans))


@pytest.fixture
def there(engine: docker.DockerClient) -> Iterator[docker.DockerClient]:
    yield engine
    for container in engine.containers.list(all=True, filters={"label": MARK}):
        container.remove(force=True)
    for network in engine.networks.list(filters={"label": MARK}):
        network.remove()


def ids(there: docker.DockerClient) -> dict[str, str]:
    return {str(n.name): str(n.id) for n in there.networks.list(filters={"label": MARK})}


def on(there: docker.DockerClient, plan: NetworkPlan) -> Container:
    return there.containers.create(
        "debian:bookworm-slim", ["true"], network=plan.name, labels=dict(plan.labels)
    )


def test_the_first_ones_stay_and_are_used_again(there: docker.DockerClient) -> None:
    async def day() -> None:
        networks = pool(kept=2)
        plans = await start(networks, 3)
        before = ids(there)
        assert set(before) == {"tnets-u-0", "tnets-u-1", "tnets-u-2"}
        await stop(networks, plans)
        assert set(ids(there)) == {"tnets-u-0", "tnets-u-1"}
        again = await start(networks, 3)
        after = ids(there)
        assert [p.index for p in again] == [0, 1, 2]
        assert (after["tnets-u-0"], after["tnets-u-1"]) == (
            before["tnets-u-0"],
            before["tnets-u-1"],
        )
        assert after["tnets-u-2"] != before["tnets-u-2"]
        await stop(networks, again)

    run(day())


def test_none_stays_when_none_may(there: docker.DockerClient) -> None:
    async def day() -> None:
        networks = pool(kept=0)
        await stop(networks, await start(networks, 2))

    run(day())
    assert ids(there) == {}


def test_one_that_somebody_removed_is_made_again(there: docker.DockerClient) -> None:
    async def day() -> None:
        networks = pool(kept=2)
        await stop(networks, await start(networks, 1))
        there.networks.get("tnets-u-0").remove()
        await start(networks, 1)

    run(day())
    assert set(ids(there)) == {"tnets-u-0"}


def test_one_of_another_range_is_replaced(there: docker.DockerClient) -> None:
    run(start(pool(kept=2, within=IPv4Network("10.234.1.0/26")), 1))
    run(start(pool(kept=2), 1))
    found = there.networks.get("tnets-u-0")
    assert found.attrs["IPAM"]["Config"][0]["Subnet"] == "10.234.0.0/29"


def test_a_new_hub_knows_what_is_taken(there: docker.DockerClient) -> None:
    """Also by a container that has ended and is not tidied yet: its end will free that network."""
    before = run(start(pool(kept=1), 3))
    on(there, before[1])
    networks = pool(kept=1)
    plan = run(networks.take())
    assert plan.index == 0
    assert set(ids(there)) == {"tnets-u-0", "tnets-u-1"}, "the third was left behind by a crash"
    assert run(networks.take()).index == 2
