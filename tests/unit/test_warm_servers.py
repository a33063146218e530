"""The pool of warm servers with a real line to each; the engine and the mounter are played."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network
from pathlib import Path
from typing import cast

import pytest
from docker.errors import APIError
from sqlalchemy.exc import OperationalError
from support.warm_pool import COMMAND, World, a_world, home, until

from madang_hub.isolation import networks
from madang_hub.isolation.pool import NetworkPool
from madang_hub.warm import lines, servers, stock
from madang_hub.warm.claimed import NotWarmError
from madang_hub.warm.pool import Meeting, Plan
from madang_hub.warm.server import Server


@pytest.fixture
async def world(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    async with a_world(root, tmp_path, monkeypatch) as made:
        yield made


async def test_a_claim_gives_home_name_network_and_what_it_is_to_be(world: World) -> None:
    await world.filled(5)
    claimed = await world.claim()
    slot = claimed.container.removeprefix("container-")
    assert world.homes == [("minji", slot)]
    assert world.engine.names == {claimed.container: "madang-user-minji"}
    assert world.engine.connected == [claimed.container]
    told = world.engine.told[claimed.container]
    assert told["command"] == COMMAND
    assert told["environ"]["JUPYTERHUB_API_TOKEN"] == "token of minji"
    await until(lambda: bool(world.engine.gone_on))
    # it begins when it has all of that
    assert world.engine.gone_on == {claimed.container: (True, True)}
    assert claimed.plan.index in world.networks.used
    assert not (world.slots / slot).exists()
    assert not world.networks.removed


async def test_nothing_of_a_person_is_known_to_one_that_waits(world: World) -> None:
    await world.filled(5)
    engine = world.engine
    assert [engine.told, engine.names, engine.connected, world.homes] == [{}, {}, [], []]


async def test_two_hundred_at_once_on_five_give_each_to_one_person(world: World) -> None:
    await world.filled(5)
    world.busy[0] = True
    found = await asyncio.gather(
        *(world.claim(f"p{n}") for n in range(200)), return_exceptions=True
    )
    claimed = [f for f in found if isinstance(f, servers.Claimed)]
    assert len(claimed) == 5
    assert len({c.container for c in claimed}) == len({c.plan.index for c in claimed}) == 5
    assert all(isinstance(f, servers.Claimed | NotWarmError) for f in found)
    assert len(world.engine.told) == 5
    assert {t["environ"]["JUPYTERHUB_API_TOKEN"] for t in world.engine.told.values()} == {
        f"token of {name.removeprefix('madang-user-')}" for name in world.engine.names.values()
    }
    assert world.nothing_left


@pytest.mark.parametrize("call", ["rename", "connect"])
async def test_an_engine_that_fails_leaves_nothing(world: World, call: str) -> None:
    await world.filled(5)
    world.engine.fail = call
    with pytest.raises(NotWarmError) as refused:
        await world.claim()
    assert refused.value.reason == "failed"
    assert len(world.networks.removed) == 1
    assert len(list(world.slots.iterdir())) == len(world.networks.used) == 4
    # it may know what it was to be, but it never began, and is gone
    await until(lambda: bool(world.engine.ended))
    assert not world.engine.gone_on


async def test_a_home_that_is_not_mounted_leaves_nothing(world: World) -> None:
    await world.filled(5)
    with pytest.raises(NotWarmError, match="not a folder"):
        await world.claim("broken")
    assert len(world.networks.removed) == 1
    assert not world.engine.told


async def test_one_that_refuses_is_removed(world: World) -> None:
    world.engine.answer = {"refused": "variables"}
    await world.filled(5)
    with pytest.raises(NotWarmError) as refused:
        await world.claim()
    assert refused.value.reason == "variables"
    assert len(world.networks.removed) == 1


async def test_a_start_that_is_given_up_leaves_nothing(world: World) -> None:
    await world.filled(5)

    async def never() -> tuple[list[str], dict[str, str]]:
        await asyncio.Event().wait()
        raise AssertionError

    start = asyncio.create_task(
        world.pool.claim(world.choice, home("minji"), "madang-user-minji", never)
    )
    await until(lambda: bool(world.homes))
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert len(world.networks.removed) == 1
    assert not world.engine.told


async def test_what_an_engine_that_is_away_does_not_remove_is_removed_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that has a person's name already, which no other look can tell from a person's own."""
    await world.filled(5)
    world.networks.away = True
    world.engine.fail = "connect"
    with pytest.raises(NotWarmError):
        await world.claim()
    assert world.engine.names
    assert not world.networks.removed
    monkeypatch.setattr(servers, "EVERY", 0)
    running = asyncio.create_task(world.pool.run())
    await until(lambda: len(world.engine.cleared) > 2)
    world.networks.away = False
    await until(lambda: world.networks.removed == [*world.engine.names])
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert world.networks.removed.count(next(iter(world.engine.names))) == 1


async def test_where_no_place_is_left_one_that_waits_gives_way(world: World) -> None:
    nets, warm = cast(NetworkPool, world.networks), world.pool
    await world.filled(5)
    world.networks.range = IPv4Network("10.213.0.0/26")
    for _ in range(8):
        await servers.a_place(nets, warm)
    assert len(world.networks.removed) == 5
    assert world.nothing_left
    with pytest.raises(networks.PoolExhausted):
        await servers.a_place(nets, warm)
    with pytest.raises(networks.PoolExhausted):
        await servers.a_place(nets, None)


async def test_one_that_is_made_is_there_before_it_is_removed(world: World) -> None:
    world.engine.slow = asyncio.Event()
    await world.pool.look()
    await until(lambda: len(world.pool.stock.making) == 2)
    giving = asyncio.create_task(world.pool.give_way())
    for _ in range(20):
        await asyncio.sleep(0)
    assert not giving.done()
    assert len(world.networks.used) == 2, "its network is not another's yet"
    world.engine.slow.set()
    assert await giving
    assert len(world.networks.removed) == 1
    assert len(world.networks.used) == 1


async def test_one_in_the_middle_of_a_claim_is_not_taken_for_a_leftover(world: World) -> None:
    await world.filled(5)
    go = asyncio.Event()

    async def later() -> tuple[list[str], dict[str, str]]:
        await go.wait()
        return COMMAND, {}

    start = asyncio.create_task(
        world.pool.claim(world.choice, home("minji"), "madang-user-minji", later)
    )
    await until(lambda: bool(world.homes))
    running = asyncio.create_task(world.pool.run())
    await until(lambda: bool(world.engine.cleared))
    assert world.homes[0][1] in world.engine.cleared[0]
    go.set()
    await start
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_home_that_comes_too_late_is_not_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The claim is given up; who waits for the home elsewhere still gets it."""
    monkeypatch.setattr(servers, "PATIENCE", 0.05)
    await world.filled(5)
    came = asyncio.Event()

    async def late() -> str:
        await came.wait()
        return "minji"

    home = asyncio.ensure_future(late())

    async def told() -> tuple[list[str], dict[str, str]]:
        return COMMAND, {}

    async def folder() -> str:
        return await home

    with pytest.raises(NotWarmError):
        await world.pool.claim(world.choice, folder, "madang-user-minji", told)
    assert not world.homes
    came.set()
    assert await home == "minji"


async def test_one_that_is_claimed_while_others_are_removed_does_not_end_the_pool(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.filled(5)
    world.engine.version_now = "sha256:2"
    world.busy[0] = True
    dropped = world.pool.stock.removed

    async def slow(server: Server) -> None:
        # somebody takes the others meanwhile
        for slot in [*world.pool.stock.servers]:
            if slot != server.slot:
                world.pool.stock.servers.pop(slot).line.close()
        await dropped(server)

    monkeypatch.setattr(world.pool.stock, "removed", slow)
    await world.pool.look()
    assert not world.pool.stock.servers


async def test_a_fault_of_one_look_is_not_the_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []

    async def look() -> None:
        looks.append(1)
        raise KeyError("a fault")

    monkeypatch.setattr(world.pool, "look", look)
    monkeypatch.setattr(servers, "EVERY", 0.0)
    running = asyncio.create_task(world.pool.run())
    await until(lambda: len(looks) > 2)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_one_that_ended_is_not_claimed_and_goes(world: World) -> None:
    await world.filled(5)
    for end in world.engine.ends.values():
        end.close()
    with pytest.raises(NotWarmError):
        await world.claim()
    await world.pool.look()
    assert len(world.networks.removed) == 5
    # what ends by itself is not made again at once
    assert not world.pool.stock.servers


async def test_an_image_that_changed_is_given_to_nobody(world: World) -> None:
    await world.filled(5)
    world.engine.version_now = "sha256:2"
    world.busy[0] = True
    await world.pool.look()
    assert len(world.networks.removed) == 5
    with pytest.raises(NotWarmError) as refused:
        await world.claim()
    assert refused.value.reason == "none"


async def test_none_is_made_while_people_start(world: World) -> None:
    world.busy[0] = True
    plan = await world.pool.look()
    assert plan.make
    assert not world.pool.stock.servers


async def test_a_class_finds_one_for_each(world: World) -> None:
    now = datetime.now(UTC)
    world.meetings.append(Meeting("lab/medium", now + timedelta(minutes=3), 12, 2))
    await world.filled(15)
    kinds = [s.kind for s in world.pool.stock.servers.values()]
    assert kinds.count("lab/medium") == 10
    assert kinds.count("lab/small") == 5


async def test_a_kind_that_cannot_be_made_rests(world: World) -> None:
    world.engine.fail = "create"
    await world.pool.look()
    await asyncio.gather(*world.pool.stock.making.values())
    world.engine.fail = ""
    await world.pool.look()
    assert not world.pool.stock.servers
    assert world.nothing_left
    assert not world.networks.used
    await world.pool.look(datetime.now(UTC) + stock.AGAIN)
    assert world.pool.stock.servers


@pytest.mark.parametrize("hello", [b"", b"{}", b"[]", b'{"waiting": 2}', b"\xff"])
async def test_what_says_something_else_is_no_server(world: World, hello: bytes) -> None:
    world.engine.hello = hello
    await world.pool.look()
    await asyncio.gather(*world.pool.stock.making.values())
    assert not world.pool.stock.servers
    assert world.nothing_left


async def test_another_account_at_the_line_is_no_server(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "USER_UID", os.geteuid() + 1)
    await world.pool.look()
    await asyncio.gather(*world.pool.stock.making.values())
    assert not world.pool.stock.servers


async def test_the_rescue_never_waits(world: World) -> None:
    world.meetings.append(Meeting("rescue/small", datetime.now(UTC), 12))
    await world.pool.look()
    assert "rescue/small" not in world.pool._kinds


@pytest.mark.parametrize(
    "error", [OperationalError("select", {}, Exception("gone")), APIError("no engine")]
)
async def test_a_look_that_fails_is_not_the_last(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    look, failed = world.pool.look, asyncio.Event()

    async def fails_once() -> Plan:
        if not failed.is_set():
            failed.set()
            raise error
        return await look()

    monkeypatch.setattr(servers, "EVERY", 0)
    monkeypatch.setattr(world.pool, "look", fails_once)
    running = asyncio.create_task(world.pool.run())
    await until(lambda: any(s.ready for s in world.pool.stock.servers.values()))
    assert failed.is_set()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


def test_what_an_earlier_hub_left_of_slots_goes(tmp_path: Path) -> None:
    for name in ("0123456789abcdef", "fedcba9876543210", "0000000000000000", "lab"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "line").touch()
    (tmp_path / "0000000000000000" / "what").touch()
    lines.sweep(tmp_path, {"fedcba9876543210"})
    left = ["0000000000000000", "fedcba9876543210", "lab"]
    assert sorted(f.name for f in tmp_path.iterdir()) == left
    assert (tmp_path / "0000000000000000" / "what").exists()


async def test_the_end_of_the_hub_removes_all(world: World) -> None:
    running = asyncio.create_task(world.pool.run())
    await until(lambda: any(s.ready for s in world.pool.stock.servers.values()))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert world.nothing_left
    assert not world.networks.used
    # those that an earlier Hub left are looked for first
    assert world.engine.cleared[0] == set()
