"""What the engine says about leases: the real gateway, a stand-in engine, a Hub in the test's hand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import IPv4Network
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from aiohttp import web
from support.accelerators import wish
from support.gateway import gateway_at, standing_in

from madang_hub.accelerators.broker.containers import STARTING, EngineContainers, ended_at
from madang_hub.accelerators.leases import Lease, State
from madang_hub.accelerators.reconcile import Container
from madang_hub.engine.gateway import Gateway
from madang_hub.engine.policy import BROKER_CALLS
from madang_hub.engine.rules import Rules
from madang_hub.people.service.hub import Hub, HubAwayError, HubRefusedError, HubUser, Server

NOW = 1_767_225_600
ANN, BEN = "a" * 64, "b" * 64
LEASE = "1" * 32


def container(
    person: str, lease: str, state: str = "running", created: int = NOW
) -> dict[str, Any]:
    labels = {
        "madang.instance": "madang",
        "madang.user": person,
        "madang.lease": lease,
        "madang.slots": "GPU-1 GPU-2",
    }
    return {"Labels": labels, "State": state, "Created": created, "Name": f"/madang-user-{person}"}


def made_ahead(name: str, state: str = "running", slots: str = "GPU-1 GPU-2") -> dict[str, Any]:
    """One that waited, or waits still: its labels name neither person nor lease."""
    labels = {"madang.instance": "madang", "madang.warm": "0" * 16, "madang.slots": slots}
    # long before anybody's start
    row = {"Labels": labels, "State": state, "Created": NOW - 3600}
    return {**row, "Name": f"/{name}", "Names": [f"/{name}"]}


@dataclass
class StandIn:
    """An engine with ``containers`` by id, and what it ``says`` in place of what it should.

    The key of ``says`` is a method and a path below that of containers, the value a status and a body.
    """

    containers: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    says: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.method, request.path_qs))
        path = request.path.removeprefix("/v1.41/containers/")
        if (request.method, path) in self.says:
            status, text = self.says[request.method, path]
            return web.Response(status=status, text=text)
        if path == "json":
            return web.json_response([{"Id": i, **c} for i, c in self.containers.items()])
        identity = path.partition("/")[0]
        found = self.containers.get(identity)
        if found is None:
            return web.json_response({"message": "no such container"}, status=404)
        if request.method == "GET":
            state = {"Running": found["State"] == "running", "FinishedAt": "2026-01-01T00:00:07.5Z"}
            config = {"Labels": found["Labels"]}
            return web.json_response(
                {"Id": identity, "Name": found["Name"], "State": state, "Config": config}
            )
        if request.method == "DELETE":
            self.containers.pop(identity)
        return web.Response(status=204)

    def done(self, method: str) -> list[str]:
        return [p.removeprefix("/v1.41/containers/") for m, p in self.asked if m == method]


@dataclass
class SomeHub(Hub):
    """Servers by person."""

    servers: dict[str, Server] = field(default_factory=dict)
    away: bool = False
    refuses: int = 0
    stopped: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    async def user(self, name: str) -> HubUser | None:
        self.asked.append(name)
        if self.away:
            raise HubAwayError("no answer")
        found = self.servers.get(name)
        return HubUser(name, None, (found,) if found else ())

    async def stop(self, name: str) -> None:
        if self.refuses:
            raise HubRefusedError(self.refuses, "no")
        self.stopped.append(name)

    def has(self, name: str, started: int = NOW, pending: str | None = None) -> None:
        begun = datetime.fromtimestamp(started, UTC)
        self.servers[name] = Server("", pending is None, pending, begun)


@dataclass
class Scene:
    engine: StandIn
    hub: SomeHub
    broker: EngineContainers


Told = Callable[[Callable[[Scene], Awaitable[None]]], None]


@pytest.fixture
def play(short_folder: Path) -> Told:
    """Tells a story with the real gateway."""

    async def told(story: Callable[[Scene], Awaitable[None]]) -> None:
        standin, hub = StandIn(), SomeHub()
        engine, gate = short_folder / "engine.sock", short_folder / "gate.sock"
        rules = Rules(frozenset(), PurePosixPath("/homes"), IPv4Network("10.213.0.0/20"))
        gateway = Gateway(engine, rules, calls=BROKER_CALLS)
        async with standing_in(standin.answer, engine), gateway_at(gateway, gate):
            broker = EngineContainers(hub, gate, "madang")
            try:
                await story(Scene(standin, hub, broker))
            finally:
                await broker.close()

    return lambda story: asyncio.run(told(story))


def lease(state: State = State.ACTIVE, person: str = "ann") -> Lease:
    return Lease(LEASE, wish(person, "team:a"), NOW, state=state, slots=("GPU-1", "GPU-2"))


def test_containers_are_what_their_labels_say(play: Told) -> None:
    async def story(here: Scene) -> None:
        here.engine.containers = {
            ANN: container("ann", LEASE),
            BEN: container("ben", "2" * 32, "created"),
        }
        found = await here.broker.list([lease()])
        assert found == [
            Container(ANN, LEASE, ("GPU-1", "GPU-2")),
            Container(BEN, "2" * 32, ("GPU-1", "GPU-2")),
        ]
        # with nothing that is ending, the Hub is asked for nobody
        assert here.hub.asked == []

    play(story)


@pytest.mark.parametrize("state", ["exited", "dead"])
def test_one_that_ended_says_when(play: Told, state: str) -> None:
    async def story(here: Scene) -> None:
        here.engine.containers = {ANN: container("ann", LEASE, state)}
        assert await here.broker.list([lease()]) == [
            Container(ANN, LEASE, ("GPU-1", "GPU-2"), NOW + 7)
        ]

    play(story)


@pytest.mark.parametrize("state", [{}, {"Running": False, "FinishedAt": "?"}, None])
def test_an_end_that_nobody_can_read(state: Any) -> None:
    with pytest.raises(HubAwayError):
        ended_at({"State": state})


def test_one_that_runs_again_has_no_end() -> None:
    assert ended_at({"State": {"Running": True, "FinishedAt": "2026-01-01T00:00:07.5Z"}}) == 0


def test_one_that_went_while_it_was_looked_at(play: Told) -> None:
    async def story(here: Scene) -> None:
        here.engine.containers = {ANN: container("ann", LEASE, "exited")}
        here.engine.says["GET", f"{ANN}/json"] = (404, "{}")
        assert await here.broker.list([]) == []

    play(story)


def test_a_start_under_way_holds_a_lease_that_is_over(play: Told) -> None:
    """It may have asked for its devices before the end; its container may come yet."""

    async def story(here: Scene) -> None:
        here.hub.has("ann", pending="spawn")
        assert await here.broker.list([lease()]) == []
        (found,) = await here.broker.list([lease(State.ENDING)])
        assert found == Container(STARTING + "ann", LEASE, ("GPU-1", "GPU-2"))
        await here.broker.stop(found)  # nothing to stop yet
        assert (here.hub.stopped, here.engine.done("DELETE")) == ([], [])
        # its container is there now, and counts in its place
        here.engine.containers = {ANN: container("ann", LEASE)}
        assert [c.id for c in await here.broker.list([lease(State.ENDING)])] == [ANN]
        here.engine.containers = {}
        here.hub.has("ann")  # a server without devices
        assert await here.broker.list([lease(State.ENDING)]) == []

    play(story)


def test_the_hub_is_asked_before_the_engine(play: Told) -> None:
    async def story(here: Scene) -> None:
        here.hub.away = True
        with pytest.raises(HubAwayError):
            await here.broker.list([lease(State.ENDING)])
        assert here.engine.asked == []

    play(story)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ((500, "{}"), "500"),
        ((200, "hello"), "no JSON"),
        ((200, "{}"), "cannot be read"),
        ((200, "[{}]"), "cannot be read"),
    ],
)
def test_an_engine_that_gives_no_listing_has_said_nothing(
    play: Told, answer: tuple[int, str], sentence: str
) -> None:
    async def story(here: Scene) -> None:
        here.engine.says["GET", "json"] = answer
        with pytest.raises(HubAwayError, match=sentence):
            await here.broker.list([])

    play(story)


def test_a_gateway_that_is_not_there(short_folder: Path) -> None:
    async def story() -> None:
        broker = EngineContainers(SomeHub(), short_folder / "nothing.sock", "madang")
        try:
            with pytest.raises(HubAwayError):
                await broker.list([])
        finally:
            await broker.close()

    asyncio.run(story())


async def listed(here: Scene) -> Container:
    (found,) = await here.broker.list([])
    return found


def test_the_hub_stops_its_own_server(play: Told) -> None:
    async def story(here: Scene) -> None:
        here.engine.containers = {ANN: container("ann", LEASE)}
        here.hub.has("ann", started=NOW - 1)
        await here.broker.stop(await listed(here))
        assert (here.hub.stopped, here.engine.done("DELETE")) == (["ann"], [])
        here.hub.refuses = 400  # it stops already
        await here.broker.stop(await listed(here))
        here.hub.refuses = 403
        with pytest.raises(HubRefusedError):
            await here.broker.stop(await listed(here))

    play(story)


def test_how_it_ended_is_the_hubs_to_see_first(play: Told) -> None:
    async def story(here: Scene) -> None:
        here.engine.containers = {ANN: container("ann", LEASE, "exited")}
        here.hub.has("ann", started=NOW - 1)
        await here.broker.stop(await listed(here))
        assert (here.hub.stopped, here.engine.done("DELETE")) == ([], [])
        here.hub.servers.clear()
        await here.broker.stop(await listed(here))
        assert here.engine.done("DELETE") == [f"{ANN}?force=true&v=true"]

    play(story)


@pytest.mark.parametrize("started", [None, NOW + 60])
def test_an_orphan_is_removed_by_the_gateway(play: Told, started: int | None) -> None:
    """Nobody's, or left behind by an earlier server: the one that runs now is not touched."""

    async def story(here: Scene) -> None:
        here.engine.containers = {ANN: container("ann", LEASE)}
        if started is not None:
            here.hub.has("ann", started=started)
        await here.broker.stop(await listed(here))
        assert here.hub.stopped == []
        assert here.engine.done("POST") == [f"{ANN}/stop?t=10"]
        # one that does not end and what it has made for itself go as well
        assert here.engine.done("DELETE") == [f"{ANN}?force=true&v=true"]
        assert await here.broker.list([]) == []

    play(story)


def test_one_that_is_gone_is_no_error(play: Told) -> None:
    async def story(here: Scene) -> None:
        here.engine.containers = {ANN: container("ann", LEASE)}
        found = await listed(here)
        here.engine.containers = {}
        await here.broker.stop(found)

    play(story)


def test_one_that_somebody_else_removes_is_no_error(play: Told) -> None:
    async def story(here: Scene) -> None:
        here.engine.containers = {ANN: container("ann", LEASE)}
        here.engine.says["DELETE", ANN] = (409, "{}")
        await here.broker.stop(await listed(here))

    play(story)


# ---- containers that were made ahead --------------------------------------------------------------


def test_one_that_waits_is_nobodys_use(play: Told) -> None:
    async def story(here: Scene) -> None:
        here.engine.containers = {ANN: made_ahead("madang-warm-" + "0" * 16)}
        assert await here.broker.list([lease(), lease(State.ENDING)]) == []

    play(story)


@pytest.mark.parametrize("state", [State.ACTIVE, State.ENDING])
def test_one_that_somebody_has_is_of_that_persons_lease(play: Told, state: State) -> None:
    async def story(here: Scene) -> None:
        here.engine.containers = {ANN: made_ahead("madang-user-ann")}
        here.hub.has("ann")
        found = await here.broker.list([lease(State.QUEUED, "ben"), lease(state)])
        assert found == [Container(ANN, LEASE, ("GPU-1", "GPU-2"))]
        # it was made before the server was started, and is that server's all the same
        await here.broker.stop(found[0])
        assert (here.hub.stopped, here.engine.done("DELETE")) == (["ann"], [])

    play(story)


@pytest.mark.parametrize(
    ("name", "one"),
    [
        ("madang-user-ben", lease()),
        ("madang-user-ann", lease(State.QUEUED)),
        ("madang-user-ann", lease(person="ben")),
        ("else", lease()),
    ],
)
def test_one_that_no_lease_allows_is_of_none(play: Told, name: str, one: Lease) -> None:
    async def story(here: Scene) -> None:
        here.engine.containers = {ANN: made_ahead(name)}
        here.engine.containers[ANN]["Names"] = [f"/{name}"]
        (found,) = await here.broker.list([one])
        assert found == Container(ANN, "", ("GPU-1", "GPU-2"))

    play(story)


@pytest.mark.parametrize("state", [State.GRANTED, State.TAKING])
def test_one_whose_lease_was_taken_a_moment_ago_is_left_alone(play: Told, state: State) -> None:
    """Leases are read first, and a start takes its own before it gets the container."""

    async def story(here: Scene) -> None:
        here.engine.containers = {ANN: made_ahead("madang-user-ann")}
        assert await here.broker.list([lease(state)]) == []

    play(story)


def test_other_slots_are_another_lease(play: Told) -> None:
    async def story(here: Scene) -> None:
        here.engine.containers = {ANN: made_ahead("madang-user-ann", slots="GPU-3")}
        (found,) = await here.broker.list([lease()])
        assert (found.lease, found.slots) == ("", ("GPU-3",))

    play(story)


def test_a_name_with_odd_letters_is_its_persons(play: Told) -> None:
    async def story(here: Scene) -> None:
        here.engine.containers = {ANN: made_ahead("madang-user-kim-2eminji")}
        (found,) = await here.broker.list([lease(person="kim.minji")])
        assert found.lease == LEASE

    play(story)


def test_a_claim_that_may_fail_yet_is_not_the_container_of_a_lease(play: Told) -> None:
    """A new one would be made for the same lease, and be taken for one that no lease allows."""

    async def story(here: Scene) -> None:
        here.engine.containers = {ANN: made_ahead("madang-user-ann")}
        here.hub.has("ann", pending="spawn")
        assert await here.broker.list([lease()]) == []
        # one that is seen already, and one whose lease is over, count
        seen = Lease(**{f: getattr(lease(), f) for f in ("id", "request", "asked", "state", "slots")},
                     container=ANN)  # fmt: skip
        for one in (seen, lease(State.ENDING)):
            assert [c.id for c in await here.broker.list([one])] == [ANN]
        here.hub.has("ann")
        assert [c.id for c in await here.broker.list([lease()])] == [ANN]
        # the start came to another one after the listing
        here.engine.says["GET", f"{ANN}/json"] = (404, "{}")
        assert await here.broker.list([lease()]) == []

    play(story)
