"""A network is freed once, by whoever removes its container first: right after it is another's."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Network
from threading import Event
from typing import Any, cast

import docker
import pytest
from docker.errors import APIError, NotFound
from hypothesis import given, settings
from hypothesis import strategies as st

from madang_hub.isolation.networks import CLOSED_FROM, PoolExhausted
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
        return [{"Id": c, "Labels": {"madang.network": "0"}} for c in sorted(self.containers_here)]

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

    def create_network(self, name: str, internal: bool = False, **_: Any) -> None:
        self.calls.append(f"{name} {'closed' if internal else 'open'}")

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


async def test_one_that_comes_late_does_not_free_what_is_anothers_by_now(
    pool: NetworkPool, engine: Engine
) -> None:
    """The call that makes a container got no answer in time, so its start was given up without its id."""
    engine.containers_here.clear()
    assert (await pool.take()).index == 0
    await pool.drop("", 0)
    assert (await pool.take()).index == 0
    engine.containers_here.add("late")
    before = len(engine.calls)
    await pool.clear("late", 0)
    assert engine.calls[before:] == ["late"], "it goes, and the network of the other stays"
    assert pool._used == {0}
    await pool.drop("other", 0)
    assert pool._used == set()


async def test_one_that_comes_late_holds_its_network_while_it_is_removed(
    pool: NetworkPool, engine: Engine
) -> None:
    engine.containers_here.clear()
    await pool.drop("", (await pool.take()).index)
    engine.containers_here.add("late")
    engine.slow.clear()
    going = asyncio.create_task(pool.clear("late", 0))
    await asyncio.sleep(0)
    assert (await pool.take()).index == 1
    engine.slow.set()
    await going
    assert pool._used == {1}
    assert engine.calls[-2:] == ["late", "m-u-0"]
    assert (await pool.take()).index == 0
    before = [*engine.calls]
    await pool.clear("late", 0)
    assert engine.calls == before


async def test_what_an_ended_hub_left_frees_its_network_once_no_other_has_it(
    pool: NetworkPool, engine: Engine
) -> None:
    engine.containers_here.add("two")
    await pool.clear("one", 0)
    assert pool._used == {0}
    await pool.clear("two", 0)
    assert pool._used == set()
    assert engine.calls == ["one", "two", "m-u-0"]


async def test_what_somebody_found_is_freed_by_whose_it_was(
    pool: NetworkPool, engine: Engine
) -> None:
    """A start that failed tidies up later, and meanwhile the person's next one has found its container."""
    engine.containers_here.clear()
    index = (await pool.take()).index
    engine.containers_here.add("one")
    await pool.clear("one", index)
    assert pool._used == {index}
    await pool.drop("one", index)
    assert pool._used == set()


async def test_what_has_no_network_frees_none(pool: NetworkPool, engine: Engine) -> None:
    await pool.clear("one", -1)
    assert engine.calls == ["one"]
    assert pool._used == {0}


async def test_what_was_not_needed_is_free_again(pool: NetworkPool, engine: Engine) -> None:
    plan = await pool.take()
    pool.give_back(plan)
    assert engine.calls == []
    assert await pool.take() == plan


PLACES = 4
steps = st.lists(
    st.tuples(
        st.sampled_from(("take", "lose", "end", "appear", "clear")), st.integers(0, PLACES * 2)
    ),
    max_size=30,
)


@settings(deadline=None)  # threads
@given(steps)
def test_whatever_comes_late_no_network_is_given_twice(moves: list[tuple[str, int]]) -> None:
    """``lose``: a start is given up without its container's id, which may ``appear`` at any time after that."""

    async def story() -> None:
        engine = Engine()
        engine.containers_here.clear()
        labels: dict[str, int] = {}
        pool = NetworkPool(IPv4Network("10.0.0.0/27"), instance="m", prefix="mdt", kept=1)
        engine.containers = lambda **_: [  # type: ignore[method-assign]  # with labels of their own
            {"Id": c, "Labels": {"madang.network": str(labels[c])}} for c in engine.containers_here
        ]
        pool._client = cast(docker.APIClient, engine)
        mine: dict[str, int] = {}
        lost: list[str] = []
        number = 0
        for what, which in moves:
            names = sorted(mine)
            if what == "take" and len(mine) < PLACES - 1:
                number += 1
                try:
                    index = (await pool.take()).index
                except PoolExhausted:
                    # only what came late and was not found yet may keep more
                    assert engine.containers_here - mine.keys()
                    continue
                assert index not in mine.values()
                name = f"c{number:02}"
                mine[name] = labels[name] = index
                engine.containers_here.add(name)
            elif what == "lose" and names:
                name = names[which % len(names)]
                engine.containers_here.discard(name)
                lost.append(name)
                await pool.drop("", mine.pop(name))
            elif what == "end" and names:
                name = names[which % len(names)]
                await pool.drop(name, mine.pop(name))
            elif what == "appear" and lost:
                engine.containers_here.add(lost.pop(which % len(lost)))
            elif what == "clear":
                for late in engine.containers_here - mine.keys():
                    await pool.clear(late, labels[late])
            assert pool._used is None or set(mine.values()) <= pool._used
        for late in engine.containers_here - mine.keys():
            await pool.clear(late, labels[late])
        # and none is lost
        assert (pool._used or set()) == set(mine.values())

    asyncio.run(story())


async def test_a_closed_network_takes_a_slice_and_gives_it_back(engine: Engine) -> None:
    pool = NetworkPool(IPv4Network("10.0.0.0/28"), instance="m", prefix="mdt", kept=2)
    pool._client = cast(docker.APIClient, engine)
    closed = await pool.take(closed=True)
    assert closed.closed
    assert closed.index == CLOSED_FROM + 1
    # both slices are taken now, whichever kind has them
    with pytest.raises(PoolExhausted):
        await pool.take()
    await pool.make(closed)
    # the one that was kept for people has the same addresses
    assert engine.calls == ["m-u-1", f"{closed.name} closed"]
    await pool.drop("", closed.index)
    assert engine.calls[-1] == closed.name
    assert (await pool.take()).index == 1


async def test_closed_networks_are_found_after_a_restart() -> None:
    class Restarted(Engine):
        def containers(self, **_: Any) -> list[dict[str, Any]]:
            return [{"Labels": {"madang.network": str(CLOSED_FROM)}}]

        def networks(self, **_: Any) -> list[dict[str, Any]]:
            return [{"Name": f"m-u-{CLOSED_FROM}"}, {"Name": f"m-u-{CLOSED_FROM + 1}"}]

    found = Restarted()
    pool = NetworkPool(IPv4Network("10.0.0.0/28"), instance="m", prefix="mdt", kept=2)
    pool._client = cast(docker.APIClient, found)
    assert (await pool.take()).index == 1
    # the one that no container is in was a crash's
    assert found.calls == [f"m-u-{CLOSED_FROM + 1}"]
