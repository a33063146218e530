"""What the broker does by itself, with a Hub that does as the test says and a clock that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Protocol, cast
from zoneinfo import ZoneInfo

import pytest
from support.accelerators import slots, wish
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

from madang_hub.accelerators.broker.desk import Desk
from madang_hub.accelerators.broker.engine import HubServers
from madang_hub.accelerators.broker.parts import Parts, answers
from madang_hub.accelerators.broker.policy import Limits
from madang_hub.accelerators.broker.rounds import Rounds
from madang_hub.accelerators.idle import Notice
from madang_hub.accelerators.inventory import Inventory
from madang_hub.accelerators.leases import Lease, Policy, State, Why
from madang_hub.accelerators.reconcile import Container
from madang_hub.accelerators.slots import Health, Use
from madang_hub.accelerators.store import Leases
from madang_hub.accelerators.table import TableError
from madang_hub.people.audit import Audit
from madang_hub.people.database import Database
from madang_hub.people.directory import Directory
from madang_hub.people.service.hub import Hub, HubAwayError, HubRefusedError, HubUser, Server
from madang_hub.people.service.parts import templates
from madang_hub.places import Places
from madang_hub.shelf.offering import Shelf

NOW = 1_767_225_600
POLICY = Policy(longest=4 * 3600)
TORCH: dict[str, Any] = {"environment": "torch-cuda", "size": "large"}


@dataclass
class SomeHub(Hub):
    """Servers by person; ``away`` and ``refuses`` (a status) are what its answers are instead."""

    servers: dict[str, Server] = field(default_factory=dict)
    away: bool = False
    refuses: int = 0
    starts_nothing: bool = False
    stops_slowly: bool = False
    people_answer: bool = True
    began: datetime | None = None
    """When servers that are started now begin."""
    calls: list[tuple[str, str]] = field(default_factory=list)

    def _answers(self, what: str, name: str) -> None:
        self.calls.append((what, name))
        if self.away:
            raise HubAwayError("no answer")

    async def user(self, name: str) -> HubUser | None:
        self._answers("user", name)
        found = self.servers.get(name)
        return HubUser(name, None, (found,) if found else ())

    async def start(self, name: str, options: Mapping[str, str]) -> None:
        self._answers("start", name)
        if self.refuses:
            raise HubRefusedError(self.refuses, "no")
        if not self.starts_nothing:
            self.servers[name] = Server("", True, None, self.began, dict(options))

    async def stop(self, name: str) -> None:
        self._answers("stop", name)
        if self.refuses:
            raise HubRefusedError(self.refuses, "no")
        if self.stops_slowly:
            self.servers[name] = replace(self.servers[name], ready=False, pending="stop")
        else:
            self.servers.pop(name, None)

    def asked(self, what: str) -> list[str]:
        return [name for verb, name in self.calls if verb == what]


@dataclass
class Stage:
    """A broker without a process; ``second`` is the clock."""

    hub: SomeHub
    desk: Desk
    rounds: Rounds
    machine: list[Inventory | Exception]
    parts: Parts = field(init=False)
    second: int = NOW

    async def round(self, later: int = 5) -> None:
        """The next round, so many seconds later."""
        self.second += later
        self.hub.began = datetime.fromtimestamp(self.second, UTC)
        await self.rounds.once()

    async def crash(self) -> None:
        """The process is gone, with all that it remembered, and another begins."""
        before = self.desk
        store = Leases(before.leases._database, before.policy)
        self.desk = Desk(
            store,
            before.policy,
            before.limits,
            before.zone,
            before.ill_seconds,
            before.helpers,
            servers_work=before.servers_work,
        )
        self.parts = replace(self.parts, desk=self.desk)
        self.rounds = Rounds(self.parts)

    def lease(self, identity: str) -> Lease:
        found = self.desk.leases.lease(identity)
        assert found is not None
        return found


@asynccontextmanager
async def stage(
    database: Database, places: Places, policy: Policy = POLICY
) -> AsyncIterator[Stage]:
    hub = SomeHub()
    desk = Desk(Leases(database, policy), policy, Limits(), ZoneInfo("UTC"), 30, lambda: ["admin"])
    machine: list[Inventory | Exception] = [Inventory(slots(1))]
    made: list[Stage] = []

    def take(last: Inventory | None) -> Inventory:
        if isinstance(machine[0], Exception):
            raise machine[0]
        return machine[0]

    async def reports_arrive() -> bool:
        return hub.people_answer

    with ThreadPoolExecutor(1) as worker:
        parts = Parts(
            settings=places.settings,
            directory=Directory(database),
            audit=Audit(database),
            templates=templates(),
            zone=ZoneInfo("UTC"),
            shelf=cast(Shelf, None),  # no round looks at it
            hub=hub,
            engine=HubServers(hub),
            desk=desk,
            take=take,
            reports_arrive=reports_arrive,
            now=lambda: datetime.fromtimestamp(made[0].second, UTC),
            worker=worker,
        )
        made.append(Stage(hub, desk, Rounds(parts), machine))
        made[0].parts = parts
        await made[0].round(0)
        yield made[0]


class Play(Protocol):
    """Tells a story."""

    def __call__(
        self, story: Callable[[Stage], Awaitable[None]], policy: Policy = POLICY
    ) -> None: ...


@pytest.fixture
def play(database: Database, places: Places) -> Play:
    """Runs a story on a stage of one GPU."""

    def run(story: Callable[[Stage], Awaitable[None]], policy: Policy = POLICY) -> None:
        async def told() -> None:
            async with stage(database, places, policy) as there:
                await story(there)

        asyncio.run(told())

    return run


def test_whose_turn_it_is_gets_the_server_that_was_asked_for(play: Play) -> None:
    async def story(at: Stage) -> None:
        lease = at.desk.ask(wish(**TORCH), at.second)
        await at.round()
        assert at.lease(lease.id).state is State.ACTIVE
        assert at.hub.servers["minji"].options == TORCH
        await at.round()
        assert at.lease(lease.id).container == "minji/"
        await at.round()
        assert at.hub.asked("start") == ["minji"]

    play(story)


def test_who_asked_for_no_start_gets_none(play: Play) -> None:
    async def story(at: Stage) -> None:
        lease = at.desk.ask(wish(), at.second)
        await at.round()
        assert at.lease(lease.id).state is State.GRANTED
        assert at.hub.asked("start") == []
        # not taken in time
        await at.round(POLICY.claim + 1)
        assert at.lease(lease.id).why is Why.UNCLAIMED

    play(story)


def test_a_server_without_it_is_neither_used_nor_stopped(play: Play) -> None:
    async def story(at: Stage) -> None:
        at.hub.servers["minji"] = Server("", True, None, None)
        lease = at.desk.ask(wish(**TORCH), at.second)
        await at.round()
        await at.round()
        assert at.lease(lease.id).state is State.GRANTED
        assert (at.hub.asked("start"), at.hub.asked("stop")) == ([], [])
        await at.hub.stop("minji")
        await at.round()
        assert at.lease(lease.id).state is State.ACTIVE

    play(story)


@pytest.mark.parametrize("status", [400, 403, 404, 500, 503])
def test_a_start_that_is_refused_costs_nothing(play: Play, status: int) -> None:
    async def story(at: Stage) -> None:
        lease = at.desk.ask(wish(**TORCH), at.second)
        following = at.desk.ask(wish("jisu", "team:b"), at.second)
        at.hub.refuses = status
        await at.round()
        assert at.lease(lease.id).why is Why.NEVER_STARTED
        # the slot is held until a listing shows that nothing came of it after all
        assert at.lease(following.id).state is State.QUEUED
        await at.round()
        assert at.lease(following.id).state is State.GRANTED
        (span,) = at.desk.leases.accounts.spans()
        assert span.end == span.begin

    play(story)


def test_a_hub_that_does_not_answer_a_start_is_asked_again(play: Play) -> None:
    async def story(at: Stage) -> None:
        lease = at.desk.ask(wish(**TORCH), at.second)
        taken: list[str] = []

        async def away(name: str, options: Mapping[str, str]) -> None:
            taken.append(name)
            raise HubAwayError("no answer")

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(at.hub, "start", away)
            await at.round()
        assert (taken, at.lease(lease.id).state) == (["minji"], State.ACTIVE)
        await at.round()
        assert at.hub.asked("start") == ["minji"]
        await at.round()
        assert at.lease(lease.id).container == "minji/"

    play(story)


def test_a_server_that_never_comes_is_not_asked_for_without_end(play: Play) -> None:
    async def story(at: Stage) -> None:
        at.hub.starts_nothing = True
        lease = at.desk.ask(wish(**TORCH), at.second)
        for _ in range(4):
            await at.round()
        assert at.hub.asked("start") == ["minji"]
        await at.round(POLICY.starting)
        assert at.lease(lease.id).why is Why.NEVER_STARTED

    play(story)


def test_a_server_that_stopped_gives_its_accelerator_back(play: Play) -> None:
    async def story(at: Stage) -> None:
        lease = at.desk.ask(wish(**TORCH), at.second)
        await at.round()
        await at.round()
        del at.hub.servers["minji"]
        await at.round()
        assert (at.lease(lease.id).state, at.lease(lease.id).why) == (State.ENDING, Why.VANISHED)
        await at.round()
        assert at.lease(lease.id).state is State.ENDED

    play(story)


def test_what_is_over_is_stopped_although_the_hub_stumbles(play: Play) -> None:
    async def story(at: Stage) -> None:
        lease = at.desk.ask(wish(**TORCH, seconds=600), at.second)
        following = at.desk.ask(wish("jisu"), at.second)
        await at.round()
        await at.round()
        at.hub.refuses = 503
        await at.round(600)
        assert at.lease(lease.id).state is State.ENDING
        await at.round()
        assert at.hub.asked("stop") == ["minji"]
        assert at.lease(following.id).state is State.QUEUED
        at.hub.refuses = 0
        await at.round()
        await at.round()
        assert at.hub.asked("stop") == ["minji", "minji"]
        assert at.lease(following.id).state is State.GRANTED

    play(story)


def test_while_the_hub_is_away_nothing_is_granted_or_lost(play: Play) -> None:
    async def story(at: Stage) -> None:
        lease = at.desk.ask(wish(**TORCH), at.second)
        await at.round()
        await at.round()
        at.hub.away = True
        await at.round()
        assert not at.desk.engine_answers
        assert at.lease(lease.id).state is State.ACTIVE
        at.machine[0] = Inventory(slots(2))
        waiting = at.desk.ask(wish("jisu"), at.second)
        await at.round()
        assert at.lease(waiting.id).state is State.QUEUED
        at.hub.away = False
        await at.round()
        assert at.lease(waiting.id).state is State.GRANTED
        assert at.lease(lease.id).state is State.ACTIVE

    play(story)


def test_one_that_falls_ill_is_given_to_nobody_at_once(play: Play) -> None:
    async def story(at: Stage) -> None:
        (one,) = slots(1)
        at.machine[0] = Inventory((replace(one, health=Health.ILL, why="It is broken."),))
        await at.round()
        lease = at.desk.ask(wish(), at.second)
        await at.round()
        assert at.lease(lease.id).state is State.QUEUED
        at.machine[0] = Inventory((one,))
        await at.round()
        assert at.lease(lease.id).state is State.GRANTED

    play(story)


def test_a_table_that_is_wrong_keeps_the_last_inventory(play: Play) -> None:
    async def story(at: Stage) -> None:
        at.machine[0] = TableError("accelerators.toml: no.")
        lease = at.desk.ask(wish(**TORCH), at.second)
        await at.round(60)
        assert at.lease(lease.id).state is State.ACTIVE
        assert await at.rounds.once() == ["inventory"]

    play(story)


def test_the_hub_may_refuse_to_say_what_runs(play: Play) -> None:
    """A scope was taken away: as if it did not answer."""

    async def story(at: Stage) -> None:
        lease = at.desk.ask(wish(**TORCH), at.second)
        await at.round()

        async def forbidden(name: str) -> HubUser | None:
            raise HubRefusedError(403, "no")

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(at.hub, "user", forbidden)
            assert await at.rounds.once() == ["containers"]
        assert at.lease(lease.id).state is State.ACTIVE
        assert not at.desk.engine_answers

    play(story)


@pytest.mark.parametrize(("status", "raised"), [(400, False), (404, False), (403, True)])
def test_stopping_what_has_stopped_is_no_error(status: int, raised: bool) -> None:
    async def stop() -> Any:
        hub = SomeHub(refuses=status)
        await HubServers(hub).stop(Container("minji/", "r1", ()))
        return hub

    if raised:
        with pytest.raises(HubRefusedError):
            asyncio.run(stop())
    else:
        assert asyncio.run(stop()).asked("stop") == ["minji"]


# ---- a server that runs without it --------------------------------------------------------------

PLAIN = {"environment": "torch-cuda", "size": "medium"}


async def taken_with_a_server(at: Stage) -> str:
    """Minji's server runs without an accelerator, and she takes one for it."""
    at.hub.servers["minji"] = Server("", True, None, None, PLAIN)
    lease = at.desk.ask(wish(), at.second)
    assert lease.state is State.GRANTED
    at.desk.take_after_stop(lease.id, "minji", "torch-cuda", "medium", at.second)
    return lease.id


def test_a_server_that_runs_is_stopped_and_started_with_it(play: Play) -> None:
    async def story(at: Stage) -> None:
        at.hub.stops_slowly = True
        mine = await taken_with_a_server(at)
        await at.round()
        # it stops: nothing is taken yet, and no second server is asked for
        assert (at.lease(mine).state, at.hub.asked("stop")) == (State.TAKING, ["minji"])
        await at.round()
        assert at.hub.asked("start") == []
        del at.hub.servers["minji"]
        await at.round()
        assert (at.lease(mine).state, at.lease(mine).began) == (State.ACTIVE, at.second)
        assert at.hub.servers["minji"].options == PLAIN
        await at.round()
        assert at.lease(mine).container == "minji/"
        assert at.hub.asked("start") == ["minji"]
        (span,) = at.desk.leases.accounts.spans()
        assert span.begin == at.lease(mine).began

    play(story)


@pytest.mark.parametrize("when", ["before the stop", "after the stop", "after the taking", "later"])
def test_a_crash_between_stop_and_start_loses_nothing(play: Play, when: str) -> None:
    async def story(at: Stage) -> None:
        mine = await taken_with_a_server(at)
        if when == "before the stop":
            await at.crash()
        await at.round()
        assert "minji" not in at.hub.servers
        if when == "after the stop":
            await at.crash()
        if when == "after the taking":
            # the process ends between its two words: one for the lease, one to the Hub
            at.desk.take(mine, "minji", at.second)
            await at.crash()
        await at.round()
        if when == "later":
            await at.crash()
        await at.round()
        await at.round()
        assert at.lease(mine).state is State.ACTIVE
        assert at.lease(mine).container == "minji/"
        assert at.hub.asked("start") == ["minji"]
        assert at.hub.servers["minji"].options == PLAIN

    play(story)


def test_a_server_that_does_not_stop_loses_its_turn(play: Play) -> None:
    async def story(at: Stage) -> None:
        at.hub.stops_slowly = True
        mine = await taken_with_a_server(at)
        following = at.desk.ask(wish("jisu", "team:b"), at.second)
        await at.round(POLICY.starting)
        assert at.lease(mine).state is State.TAKING
        await at.round(1)
        assert (at.lease(mine).state, at.lease(mine).why) == (State.ENDED, Why.NEVER_STARTED)
        assert at.lease(following.id).state is State.GRANTED
        assert at.hub.asked("start") == []
        assert list(at.desk.leases.accounts.spans()) == []

    play(story)


def test_a_broker_that_was_away_for_long_gives_it_to_the_next(play: Play) -> None:
    async def story(at: Stage) -> None:
        mine = await taken_with_a_server(at)
        await at.round()
        await at.crash()
        await at.round(POLICY.starting + 1)
        assert at.lease(mine).why is Why.NEVER_STARTED
        assert at.hub.asked("start") == []

    play(story)


def test_who_starts_a_server_by_hand_meanwhile_gets_it_stopped_again(play: Play) -> None:
    async def story(at: Stage) -> None:
        mine = await taken_with_a_server(at)
        await at.round()
        await at.hub.start("minji", {"environment": "lab"})
        await at.round()
        assert at.lease(mine).state is State.TAKING
        await at.round()
        assert at.lease(mine).state is State.ACTIVE
        assert at.hub.servers["minji"].options == PLAIN

    play(story)


async def rounds_of(at: Stage, count: int) -> None:
    for _ in range(count):
        await at.round()


@pytest.mark.parametrize("crashes", [False, True])
def test_who_leaves_while_the_server_stops_gets_it_back(play: Play, crashes: bool) -> None:
    """Whatever becomes of servers whose lease is over: this one had nothing to do with a lease."""

    async def story(at: Stage) -> None:
        at.hub.stops_slowly = True
        mine = await taken_with_a_server(at)
        await at.round()
        at.desk.leave(mine, "minji", at.second)
        if crashes:
            await at.crash()
        await at.round()
        assert at.hub.asked("start") == []
        del at.hub.servers["minji"]
        await rounds_of(at, 3)
        assert at.hub.asked("start") == ["minji"]
        assert at.hub.servers["minji"].options == PLAIN
        assert at.desk.leases.restarts() == []

    play(story)


def test_a_start_with_it_that_is_refused_brings_the_server_back(play: Play) -> None:
    async def story(at: Stage) -> None:
        at.hub.servers["minji"] = Server("", True, None, None, PLAIN)
        lease = at.desk.ask(wish(), at.second)
        at.desk.take_after_stop(lease.id, "minji", "torch-cuda", "large", at.second)
        await at.round()
        at.hub.refuses = 403
        await at.round()
        assert at.lease(lease.id).why is Why.NEVER_STARTED
        at.hub.refuses = 0
        await rounds_of(at, 3)
        assert at.hub.asked("start") == ["minji", "minji"]
        assert at.hub.servers["minji"].options == PLAIN
        assert at.desk.held_by("minji", at.second) is None

    play(story)


def test_who_got_the_server_with_it_gets_no_second_one(play: Play) -> None:
    """Neither while it is there nor when it is over, by the policy that it is stopped then."""

    async def story(at: Stage) -> None:
        mine = await taken_with_a_server(at)
        await rounds_of(at, 4)
        assert at.lease(mine).container == "minji/"
        assert at.desk.leases.restarts() == []
        at.desk.give_back(mine, "minji", at.second)
        await rounds_of(at, 4)
        assert at.lease(mine).state is State.ENDED
        assert at.hub.asked("start") == ["minji"]

    play(story)


def test_who_was_to_get_an_ill_one_waits_for_the_next_as_others_do(play: Play) -> None:
    async def story(at: Stage) -> None:
        at.hub.stops_slowly = True
        mine = await taken_with_a_server(at)
        await at.round()
        (one,) = slots(1)
        at.machine[0] = Inventory((replace(one, health=Health.ILL, why="It is broken."),))
        await at.round()
        await at.round(31)
        assert at.lease(mine).why is Why.ILL
        del at.hub.servers["minji"]
        await rounds_of(at, 2)
        assert at.hub.asked("start") == []
        at.machine[0] = Inventory((one,))
        await rounds_of(at, 3)
        assert at.hub.servers["minji"].options == PLAIN
        assert at.desk.held_by("minji", at.second) is not None
        assert at.hub.asked("start") == ["minji"]

    play(story)


# ---- after a lease --------------------------------------------------------------------------------

ON_CPU = replace(POLICY, on_cpu=True)


async def over(at: Stage, how: str = "time") -> str:
    """Minji's lease is over, by its time or by her."""
    lease = at.desk.ask(wish(**TORCH, seconds=600), at.second)
    await at.round()
    await at.round()
    if how == "time":
        at.second += 600
    else:
        at.desk.give_back(lease.id, "minji", at.second)
    return lease.id


@pytest.mark.parametrize("how", ["time", "given back"])
def test_the_server_comes_back_without_it(play: Play, how: str) -> None:
    async def story(at: Stage) -> None:
        mine = await over(at, how)
        following = at.desk.ask(wish("jisu"), at.second)
        for _ in range(4):
            await at.round()
        assert at.lease(mine).state is State.ENDED
        assert at.hub.asked("start") == ["minji", "minji"]
        assert at.hub.servers["minji"].options == TORCH
        assert at.desk.held_by("minji", at.second) is None
        assert at.lease(following.id).state is State.GRANTED
        # once, also when its person stops it
        await at.hub.stop("minji")
        await at.round()
        assert at.hub.asked("start") == ["minji", "minji"]

    play(story, ON_CPU)


def test_without_that_policy_it_stays_stopped(play: Play) -> None:
    async def story(at: Stage) -> None:
        await over(at)
        for _ in range(4):
            await at.round()
        assert at.hub.asked("start") == ["minji"]

    play(story)


@pytest.mark.parametrize("after", range(4))
def test_a_crash_on_the_way_to_the_cpu_loses_no_server(play: Play, after: int) -> None:
    async def story(at: Stage) -> None:
        await over(at)
        for n in range(5):
            if n == after:
                await at.crash()
            await at.round()
        assert at.hub.asked("start") == ["minji", "minji"]
        assert "minji" in at.hub.servers

    play(story, ON_CPU)


def test_what_nobody_waits_for_any_more_is_not_started(play: Play) -> None:
    async def story(at: Stage) -> None:
        await over(at)
        await at.round()
        await at.round()
        await at.crash()
        await at.round(POLICY.starting + 10)
        assert at.hub.asked("start") == ["minji"]
        assert at.desk.leases.restarts() == []

    play(story, ON_CPU)


def test_who_stopped_the_server_gets_none(play: Play) -> None:
    async def story(at: Stage) -> None:
        at.hub.stops_slowly = True
        await over(at)
        await at.hub.stop("minji")
        await rounds_of(at, 2)
        assert at.hub.asked("stop") == ["minji", "minji"]
        assert at.desk.leases.restarts() == []
        del at.hub.servers["minji"]
        for _ in range(3):
            await at.round()
        assert at.hub.asked("start") == ["minji"]

    play(story, ON_CPU)


def test_a_start_on_the_cpu_that_is_refused_is_not_tried_for_ever(play: Play) -> None:
    async def story(at: Stage) -> None:
        await over(at)
        await at.round()
        await at.round()
        at.hub.refuses = 403
        for _ in range(3):
            await at.round()
        assert at.hub.asked("start") == ["minji", "minji"]
        assert at.desk.leases.restarts() == []

    play(story, ON_CPU)


# ---- idle accelerators ------------------------------------------------------------------------------

IDLE = replace(POLICY, idle=60, grace=20)
NOTHING, WORKING = Use(0, 100), Use(97, 100)


async def holds_one(at: Stage, use: Use = NOTHING, works: bool = False) -> str:
    """Minji has an accelerator on which this runs, and her server says that of itself."""
    at.machine[0] = Inventory(slots(1), {"H100-0000": use})
    at.desk.servers_work = lambda people, now: dict.fromkeys(people, works)
    lease = at.desk.ask(wish(**TORCH), at.second)
    await at.round()
    await at.round()
    assert at.lease(lease.id).container
    return lease.id


async def rounds(at: Stage, seconds: int) -> None:
    for _ in range(seconds // 5):
        await at.round()


def test_one_that_lies_idle_goes_to_who_waits(play: Play) -> None:
    async def story(at: Stage) -> None:
        mine = await holds_one(at)
        began = at.second
        await rounds(at, 60)
        told = at.desk.idle(at.lease(mine))
        assert told == Notice(began, None)
        # nobody waits: it stays
        await rounds(at, 300)
        assert at.lease(mine).state is State.ACTIVE
        following = at.desk.ask(wish("jisu"), at.second)
        await at.round()
        told = at.desk.idle(at.lease(mine))
        assert told == Notice(began, at.second + 20)
        await rounds(at, 15)
        assert at.lease(mine).state is State.ACTIVE
        await at.round()
        assert (at.lease(mine).state, at.lease(mine).why) == (State.ENDING, Why.IDLE)
        assert at.desk.idle(at.lease(mine)) is None
        await at.round()
        await at.round()
        assert at.hub.asked("stop") == ["minji"]
        assert at.hub.asked("start") == ["minji"]
        assert at.lease(following.id).state is State.GRANTED

    play(story, IDLE)


def test_its_server_comes_back_where_that_is_the_policy(play: Play) -> None:
    async def story(at: Stage) -> None:
        await holds_one(at)
        at.desk.ask(wish("jisu"), at.second)
        await rounds(at, 110)
        assert at.hub.asked("start") == ["minji", "minji"]

    play(story, replace(IDLE, on_cpu=True))


def test_a_request_that_cannot_use_it_takes_nothing(play: Play) -> None:
    async def story(at: Stage) -> None:
        mine = await holds_one(at)
        both = (*slots(1), *slots(1, model="L4"))
        at.machine[0] = Inventory(both, {s.id: NOTHING for s in both})
        await at.round()
        other = at.desk.ask(wish("hana", model="L4", **TORCH), at.second)
        await rounds(at, 10)
        at.desk.servers_work = lambda people, now: {p: p == "hana" for p in people}
        at.desk.ask(wish("jisu", model="L4"), at.second)
        await rounds(at, 300)
        assert at.lease(mine).state is State.ACTIVE
        assert at.lease(other.id).state is State.ACTIVE

    play(story, IDLE)


@pytest.mark.parametrize(
    ("use", "works", "people"),
    [
        (WORKING, False, True),
        # a kernel reads data, and the device waits for it
        (NOTHING, True, True),
        # what nobody says: a slice of a card, and whether a kernel works
        (Use(None, 100), False, True),
        (NOTHING, False, False),
    ],
)
def test_one_in_use_stays(play: Play, use: Use, works: bool, people: bool) -> None:
    async def story(at: Stage) -> None:
        at.hub.people_answer = people
        mine = await holds_one(at, use, works)
        at.desk.ask(wish("jisu"), at.second)
        await rounds(at, 300)
        assert at.lease(mine).state is State.ACTIVE
        assert at.desk.idle(at.lease(mine)) is None

    play(story, IDLE)


def test_what_was_not_seen_counts_as_use(play: Play) -> None:
    async def story(at: Stage) -> None:
        mine = await holds_one(at)
        at.desk.ask(wish("jisu"), at.second)
        # another process, which has seen nothing of it
        await rounds(at, 75)
        assert at.desk.idle(at.lease(mine)) is not None
        await at.crash()
        await at.round()
        assert at.desk.idle(at.lease(mine)) is None
        await rounds(at, 70)
        # the devices cannot be looked at: what was said last is no new look
        at.machine[0], seen = TableError("accelerators.toml: no."), at.machine[0]
        await rounds(at, 60)
        at.machine[0] = seen
        await at.round()
        assert at.desk.idle(at.lease(mine)) is None
        # nobody says which servers there are
        await rounds(at, 75)
        at.hub.away = True
        await rounds(at, 60)
        assert at.lease(mine).state is State.ACTIVE
        at.hub.away = False
        await at.round()
        assert at.lease(mine).why is Why.IDLE

    play(story, IDLE)


def test_what_was_seen_before_ends_nothing_now(play: Play) -> None:
    """Its end came while nobody said which servers there are, and now nobody sees the device."""

    async def story(at: Stage) -> None:
        mine = await holds_one(at)
        at.desk.ask(wish("jisu"), at.second)
        await rounds(at, 75)
        at.hub.away = True
        await rounds(at, 20)
        at.machine[0], seen = TableError("accelerators.toml: no."), at.machine[0]
        at.hub.away = False
        await rounds(at, 10)
        assert at.lease(mine).state is State.ACTIVE
        at.machine[0] = seen
        await at.round()
        assert at.lease(mine).why is Why.IDLE

    play(story, IDLE)


def test_a_server_on_its_way_is_not_idle(play: Play) -> None:
    """What is said of its person's servers may be about the one before."""

    async def story(at: Stage) -> None:
        at.machine[0] = Inventory(slots(1), {"H100-0000": NOTHING})
        at.desk.servers_work = lambda people, now: dict.fromkeys(people, False)
        at.hub.starts_nothing = True
        lease = at.desk.ask(wish(**TORCH), at.second)
        at.desk.ask(wish("jisu"), at.second)
        await rounds(at, 150)
        assert at.lease(lease.id).state is State.ACTIVE
        assert at.desk.idle(at.lease(lease.id)) is None

    play(story, IDLE)


def test_who_extends_is_there(play: Play) -> None:
    async def story(at: Stage) -> None:
        mine = await holds_one(at)
        await rounds(at, 70)
        assert at.desk.idle(at.lease(mine)) is not None
        at.desk.extend(mine, "minji", 3 * 3600, at.second)
        assert at.desk.idle(at.lease(mine)) is None
        await rounds(at, 60)
        assert at.desk.idle(at.lease(mine)) is None
        await at.round()
        assert at.desk.idle(at.lease(mine)) is not None

    play(story, IDLE)


def test_whether_servers_can_report() -> None:
    class Health(RequestHandler):
        def get(self, status: str) -> None:
            self.set_status(int(status))

    async def told() -> list[bool]:
        socket, port = bind_unused_port()
        server = HTTPServer(Application([(r"/(\d+)", Health)]))
        server.add_socket(socket)
        url = f"http://127.0.0.1:{port}"
        found = [await answers(f"{url}/{status}") for status in (200, 500)]
        server.stop()
        await server.close_all_connections()
        return [*found, await answers(f"{url}/200")]

    assert asyncio.run(told()) == [True, False, False]
