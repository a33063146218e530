"""Servers that wait with an accelerator: one for each free slot, and never beside somebody's container."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from docker.errors import DockerException
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.warm_pool import World, a_world, pause, until

from madang_hub.catalog import Choice
from madang_hub.lending import Lent, Vacancy
from madang_hub.warm import stock
from madang_hub.warm.claimed import NotWarmError
from madang_hub.warm.pool import Machine
from madang_hub.warm.server import Server

KIND = "acme.com/npu"
ONE, TWO = (Vacancy(f"NPU-{n}", KIND, (f"{KIND}={n}",)) for n in range(2))


@pytest.fixture
async def world(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    async with a_world(root, tmp_path, monkeypatch) as made:
        yield made


def lent(*vacancies: Vacancy) -> Lent:
    devices = tuple(d for v in vacancies for d in v.devices)
    return Lent("a" * 32, tuple(v.slot for v in vacancies), devices, (KIND,))


def waiting(world: World, *vacancies: Vacancy) -> list[Server]:
    slots = {v.slot for v in vacancies or (ONE, TWO)}
    return [s for s in world.pool.stock.servers.values() if s.order.accelerator in slots]


async def used_before(world: World, choice: Choice | None = None) -> None:
    """Somebody has started this with an accelerator of the kind, and those without one wait."""
    await world.filled(5)
    with pytest.raises(NotWarmError):
        await world.claim("somebody", lent(replace(ONE, slot="NPU-9")), choice)


async def filled(world: World, *vacancies: Vacancy) -> None:
    """One is ready with each of these and of nothing else of the kind."""
    await used_before(world)
    world.vacant[:] = vacancies
    for _ in range(1000):
        await world.pool.look()
        if sum(s.ready for s in waiting(world)) == len(vacancies):
            return
        await asyncio.sleep(0)
    raise AssertionError("they did not come to wait")


async def test_one_waits_with_each_and_is_claimed_by_who_has_its_lease(world: World) -> None:
    await filled(world, ONE, TWO)
    for vacancy in (ONE, TWO):
        assert len(world.engine.has(vacancy.devices[0])) == 1
    # somebody without a lease gets one without
    assert world.engine.devices[(await world.claim("ben")).container] == ()
    claimed = await world.claim("ann", lent(TWO))
    assert world.engine.devices[claimed.container] == TWO.devices
    assert world.engine.names[claimed.container] == "madang-user-ann"
    assert [s.order.accelerator for s in waiting(world)] == [ONE.slot]
    # hers is no server of the pool's any more
    world.vacant[:] = [ONE, replace(TWO, kept=True)]
    await world.pool.look()
    assert world.engine.has(TWO.devices[0]) == [claimed.container]
    with pytest.raises(NotWarmError):
        await world.claim("dan", lent(TWO))


async def test_before_anybody_used_such_a_one_none_waits(world: World) -> None:
    world.vacant[:] = [ONE, TWO]
    await world.filled(5)
    assert not waiting(world)


async def test_the_environment_that_says_so_waits_before_anybody_used_one(world: World) -> None:
    await world.filled(5)
    world.vacant[:] = [replace(ONE, kind="rebellions.ai/npu")]
    await world.pool.look()
    (server,) = waiting(world)
    assert server.kind == f"accelerator/small/{ONE.slot}"


@pytest.mark.parametrize(
    "other",
    [
        lent(ONE, TWO),
        lent(replace(ONE, devices=(f"{KIND}=7",))),
        lent(replace(ONE, slot="NPU-5")),
    ],
)
async def test_it_is_for_no_other_lease(world: World, other: Lent) -> None:
    await filled(world, ONE)
    with pytest.raises(NotWarmError) as refused:
        await world.claim("ann", other)
    assert refused.value.reason == "none"


async def test_it_is_for_no_other_size(world: World) -> None:
    await filled(world, ONE)
    other = Choice(world.choice.environment, world.pool._catalog.sizes["medium"])
    with pytest.raises(NotWarmError):
        await world.claim("ann", lent(ONE), other)
    assert len(waiting(world)) == 1
    await world.pool.vacate(lent(ONE))
    assert world.engine.has(ONE.devices[0]) == []
    assert not waiting(world)


async def test_a_start_without_a_lease_takes_none_away(world: World) -> None:
    await filled(world, ONE)
    await world.pool.vacate(Lent(kinds=(KIND,)))
    assert len(waiting(world)) == 1
    assert not world.engine.cleared


async def test_what_an_earlier_hub_left_is_looked_for_as_well(world: World) -> None:
    await world.pool.vacate(lent(ONE))
    assert len(world.engine.cleared) == 1


async def test_nobody_says_which_are_free_so_none_waits_and_none_is_claimed(world: World) -> None:
    await filled(world, ONE, TWO)
    world.away[0] = True
    world.engine.slow = asyncio.Event()
    await world.pool.look()
    assert not waiting(world)
    assert world.engine.has(ONE.devices[0]) == world.engine.has(TWO.devices[0]) == []
    with pytest.raises(NotWarmError):
        await world.claim("ann", lent(ONE))
    # those without one wait on
    assert len(world.pool.stock.servers) == 5
    world.engine.slow.set()


@pytest.mark.parametrize(
    "told",
    [
        [],
        [replace(ONE, kept=True, environment="torch", size="small")],
        [replace(ONE, kept=True, environment="lab", size="medium")],
        [replace(ONE, devices=(f"{KIND}=7",))],
    ],
)
async def test_it_goes_when_the_broker_says_something_else(
    world: World, told: list[Vacancy]
) -> None:
    await filled(world, ONE)
    (before,) = waiting(world)
    world.vacant[:] = told
    await world.pool.look()
    assert before.container in world.networks.removed
    assert before not in waiting(world)


@pytest.mark.parametrize("environment", ["", "lab"])
async def test_it_stays_for_the_server_that_it_is_kept_for(world: World, environment: str) -> None:
    await filled(world, ONE)
    world.vacant[:] = [replace(ONE, kept=True, environment=environment)]
    before = waiting(world)
    await world.pool.look()
    assert waiting(world) == before
    claimed = await world.claim("ann", lent(ONE))
    assert claimed.container == before[0].container


async def test_none_is_made_for_what_is_kept(world: World) -> None:
    await used_before(world)
    world.vacant[:] = [replace(ONE, kept=True)]
    for _ in range(20):
        await world.pool.look()
    assert not waiting(world)


async def test_none_is_made_for_what_a_start_got_meanwhile(world: World) -> None:
    """The broker said that it is free; by now it is somebody's, whose container is being made."""
    await used_before(world)
    world.vacant[:] = [ONE]
    world.networks.pauses[:] = [0, 50]
    looking = asyncio.create_task(world.pool.look())
    # a network is being taken for it
    await until(lambda: not world.networks.pauses)
    await world.pool.vacate(lent(ONE))
    world.engine.make("ann's", ONE.devices)
    assert (await looking).make == (f"lab/small/{ONE.slot}",)
    await world.pool.stock.vacate([ONE.slot])
    assert not world.engine.refused
    assert world.engine.has(ONE.devices[0]) == ["ann's"]
    # the next answer knows of it
    world.vacant[:] = []
    await world.pool.look()
    assert not world.pool.stock.got


async def test_none_is_made_for_what_was_claimed_while_the_answer_was_on_its_way(
    world: World,
) -> None:
    await filled(world, ONE)
    world.networks.answer = asyncio.Event()
    looking = asyncio.create_task(world.pool.look())
    for _ in range(20):
        await asyncio.sleep(0)
    world.vacant[:] = [replace(ONE, kept=True)]
    claimed = await world.claim("ann", lent(ONE))
    assert not looking.done()
    world.networks.answer.set()
    await looking
    await until(lambda: not world.pool.stock.making and not world.pool.stock._removals)
    await world.pool.look()
    assert world.engine.has(ONE.devices[0]) == [claimed.container]
    assert not world.engine.refused
    assert not waiting(world)


async def test_one_that_is_being_made_is_there_before_it_is_gone(world: World) -> None:
    await used_before(world)
    world.busy[0] = True
    world.vacant[:] = [ONE]
    await world.pool.look()
    world.engine.slow = asyncio.Event()
    await world.pool.stock.begin(world.pool._orders[f"lab/small/{ONE.slot}"], datetime.now(UTC))
    vacating = asyncio.create_task(world.pool.vacate(lent(ONE)))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not vacating.done()
    world.engine.slow.set()
    await vacating
    assert len(world.networks.removed) == 1
    assert world.engine.has(ONE.devices[0]) == []


async def test_one_that_is_on_its_way_out_is_waited_for(world: World) -> None:
    await filled(world, ONE)
    (server,) = waiting(world)
    world.networks.pauses[:] = [1000]
    going = asyncio.create_task(world.pool.stock.removed(server))
    await asyncio.sleep(0)
    vacating = asyncio.create_task(world.pool.vacate(lent(ONE)))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not vacating.done()
    await asyncio.gather(going, vacating)
    assert world.engine.has(ONE.devices[0]) == []


async def test_a_start_that_is_given_up_while_it_waits_for_that_blocks_nobody(world: World) -> None:
    """JupyterHub cancels a start that takes too long."""
    await filled(world, ONE)
    (server,) = waiting(world)
    used = {*world.networks.used}
    world.networks.pauses[:] = [1000]
    vacating = asyncio.create_task(world.pool.vacate(lent(ONE)))
    for _ in range(20):
        await asyncio.sleep(0)
    vacating.cancel()
    await asyncio.gather(vacating, return_exceptions=True)
    assert vacating.cancelled()
    async with asyncio.timeout(20):
        await world.pool.vacate(lent(ONE))
    assert world.engine.has(ONE.devices[0]) == []
    assert world.networks.used == used - {server.plan.index}


async def test_what_is_tried_again_just_now_is_waited_for(world: World) -> None:
    await filled(world, ONE)
    (server,) = waiting(world)
    world.networks.away = True
    await world.pool.stock.removed(server)
    world.networks.away = False
    world.networks.pauses[:] = [1000]
    trying = asyncio.create_task(world.pool.stock.try_again())
    for _ in range(20):
        await asyncio.sleep(0)
    async with asyncio.timeout(20):
        await asyncio.gather(world.pool.vacate(lent(ONE)), world.pool.vacate(lent(ONE)), trying)
    assert world.engine.has(ONE.devices[0]) == []


async def test_what_the_engine_does_not_remove_lets_nobody_start_with_it(world: World) -> None:
    await filled(world, ONE)
    world.networks.away = True
    for _ in range(2):
        with pytest.raises(DockerException, match="cannot be removed now"):
            await world.pool.vacate(lent(ONE))
    # and none is made beside it
    world.vacant[:] = [ONE]
    await world.pool.look()
    assert not waiting(world)
    world.networks.away = False
    await world.pool.vacate(lent(ONE))
    assert world.engine.has(ONE.devices[0]) == []


async def test_a_claim_that_fails_leaves_the_device_to_a_new_container(world: World) -> None:
    await filled(world, ONE)
    world.engine.fail = "rename"
    with pytest.raises(NotWarmError):
        await world.claim("ann", lent(ONE))
    await world.pool.vacate(lent(ONE))
    world.engine.make("ann's", ONE.devices)


async def test_where_memory_is_short_it_goes_as_the_others_do(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(world, ONE)
    full = Machine(2**30, 16, 2**30, 0, 0)
    monkeypatch.setattr(
        world.pool, "_outside", replace(world.pool._outside, machine=lambda _: full)
    )
    await world.pool.look()
    assert not world.pool.stock.servers


async def test_a_slot_that_could_not_be_served_rests(world: World) -> None:
    await used_before(world)
    world.vacant[:] = [ONE]
    world.engine.make("a container that nobody knows", ONE.devices)
    await world.pool.look()
    await until(lambda: not world.pool.stock.making and not world.pool.stock._removals)
    await world.pool.look()
    assert not waiting(world)
    assert ONE.slot not in world.pool.stock.by_accelerator
    world.networks.removed.append("a container that nobody knows")
    await world.pool.look(datetime.now(UTC) + stock.AGAIN)
    assert waiting(world)


# ---- whatever happens at the same time -----------------------------------------------------------

moves = st.lists(
    st.tuples(
        st.sampled_from(("start", "start", "stop", "away", "back", "wait")),
        st.integers(0, 1),
        st.booleans(),
        st.integers(0, 60),
    ),
    max_size=14,
)


@settings(max_examples=60, deadline=None)
@example([("start", 0, True, 60)] * 2, [0] * 40)
@given(moves, st.lists(st.integers(0, 12), max_size=80))
def test_a_device_is_never_in_two_containers_and_nobody_starts_in_vain(
    steps: list[tuple[str, int, bool, int]], pauses: list[int]
) -> None:
    """Leases come and go while the pool looks all the time, and every call of the engine takes its time."""

    async def story(world: World) -> None:
        free = [ONE, TWO]
        holder: dict[str, str] = {}
        starts: dict[str, asyncio.Task[None]] = {}
        medium = Choice(world.choice.environment, world.pool._catalog.sizes["medium"])
        world.vacant[:] = free
        world.networks.pauses[:] = pauses

        async def start(person: str, vacancy: Vacancy, usual: bool) -> None:
            """As the spawner does it; the lease is there already."""
            mine, choice = lent(vacancy), world.choice if usual else medium
            try:
                claimed = (await world.claim(person, mine, choice)).container
            except NotWarmError:
                await world.pool.vacate(mine)
                claimed = f"{person}'s"
                world.engine.make(claimed, vacancy.devices)
            assert world.engine.has(vacancy.devices[0]) == [claimed]
            holder[vacancy.slot] = claimed

        async def look_again_and_again() -> None:
            while True:
                await world.pool.look()
                found = [s.order.accelerator for s in waiting(world)]
                assert len(set(found)) == len(found)

        looking = asyncio.create_task(look_again_and_again())
        for number, (what, which, usual, turns) in enumerate(steps):
            vacancy = (ONE, TWO)[which]
            if what == "start" and vacancy.slot not in starts:
                kept = replace(vacancy, kept=True)
                world.vacant[:] = [kept if v.slot == vacancy.slot else v for v in world.vacant]
                starts[vacancy.slot] = asyncio.create_task(start(f"p{number}", vacancy, usual))
            elif what == "stop" and vacancy.slot in starts:
                await starts.pop(vacancy.slot)
                world.networks.removed.append(holder.pop(vacancy.slot))
                world.vacant[:] = [vacancy if v.slot == vacancy.slot else v for v in world.vacant]
            elif what in ("away", "back"):
                world.away[0] = what == "away"
            await pause([turns])
            assert not looking.done() or looking.result()
        await asyncio.gather(*starts.values())
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        for slot, container in holder.items():
            vacancy = ONE if slot == ONE.slot else TWO
            assert world.engine.has(vacancy.devices[0]) == [container]
        assert not world.engine.refused

    async def all_of_it() -> None:
        with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
            root = Path(__file__).parents[2]
            async with a_world(root, Path(folder), patch) as world:
                await story(world)

    asyncio.run(all_of_it())
