"""The servers that wait in containers of their own, in server mode: made ahead, claimed once, or removed.

How many wait is ``pool.py``'s rule, with which accelerators ``kinds.py``'s; what becomes of each until somebody
gets it, ``stock.py``; what is said to it, ``lines.py``; which calls the engine is asked, ``containers.py``.
Here is what happens when. One object for the Hub's process: nobody else knows which wait.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from docker.errors import DockerException
from requests.exceptions import ConnectionError as EngineGone
from sqlalchemy.exc import SQLAlchemyError

from madang_hub.catalog import Catalog, Choice
from madang_hub.isolation.networks import NetworkPlan, PoolExhausted
from madang_hub.isolation.pool import NetworkPool
from madang_hub.lending import BrokerAwayError, Lent, Vacancy
from madang_hub.mounter.client import mount
from madang_hub.warm import counts, kinds, lines, pool
from madang_hub.warm.claimed import NotWarmError
from madang_hub.warm.containers import Containers
from madang_hub.warm.server import Order, Server
from madang_hub.warm.stock import Stock

log = logging.getLogger(__name__)

WAITING_MEMORY = 128 * 2**20
"""Bytes that one takes while it waits (measured: docs/explanation/instant-start.md), with a tenth of room."""
EVERY = 5.0
"""Seconds between two looks at the pool."""
PATIENCE = 15.0
"""Seconds that a claim may take before the server is started cold.

It takes 0.1 s. Where two hundred people press start at once, the Hub comes to each only after seconds; to give
up then would only make them wait for a new container as well.
"""
THREADS = 4
"""Homes that are being mounted at a time; the mounter serves one after the other."""

Home = Callable[[], Coroutine[Any, Any, str]]
"""Name of the person's folder below the homes, when it is there."""
Told = Callable[[], Awaitable[tuple[Sequence[str], Mapping[str, str]]]]
"""Command and variables of the server that is to be; asked for when it is sure that one waits."""


Vacant = Callable[[], Awaitable[Sequence[Vacancy]]]
"""The slots of accelerators for which a server may wait.

Raises:
    BrokerAwayError: nobody says; then none waits.
"""


async def _none() -> Sequence[Vacancy]:
    return ()


@dataclass(frozen=True)
class Claimed:
    """The container of a claimed server, and its network."""

    container: str
    plan: NetworkPlan


@dataclass(frozen=True)
class Outside:
    """What the pool is told from outside.

    Args:
        meetings: classes that meet now or soon, by the clock that is passed.
        busy: whether people's servers are being started just now; none is made then.
        machine: the machine, with so many bytes taken by servers that wait.
        vacant: accelerators that nobody's server has.
    """

    meetings: Callable[[datetime], Iterable[pool.Meeting]]
    busy: Callable[[], bool]
    machine: Callable[[int], pool.Machine]
    vacant: Vacant = _none


class WarmServers:
    """Those of one installation. :meth:`run` keeps them while the Hub runs.

    Args:
        networks: where each gets its network from, which it keeps when it is claimed.
        containers: the engine.
        slots: folder for their lines; the gateway and the mounter know it too.
        mounter: the mounter's socket.
        base: how many of the default environment and size always wait.
    """

    def __init__(
        self,
        catalog: Catalog,
        networks: NetworkPool,
        containers: Containers,
        slots: Path,
        mounter: Path,
        outside: Outside,
        base: int,
    ) -> None:
        self._catalog, self._networks, self._engine = catalog, networks, containers
        self._slots, self._mounter, self._outside, self._base = slots, mounter, outside, base
        self.stock = Stock(networks, containers, slots)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="mount")
        self._starts: dict[str, deque[datetime]] = {}
        self._accelerated: dict[str, deque[str]] = {}
        """What was started with accelerators of each kind."""
        self._orders: dict[str, Order] = {}
        self._kinds: dict[str, pool.Kind] = {}
        self._broker_answers = True

    def __deepcopy__(self, memo: dict[int, Any]) -> WarmServers:
        """Itself: traitlets copies every configured value."""
        return self

    # ---- claims ---------------------------------------------------------------------------

    async def claim(
        self, choice: Choice, home: Home, name: str, told: Told, lent: Lent | None = None
    ) -> Claimed:
        """A waiting server of this kind, which becomes what is ``told``; it is counted.

        Args:
            name: name of the person's container.
            lent: what is lent to the person; only a server that waits with just that will do.

        Raises:
            NotWarmError: start it cold; nothing is left of a try.
        """
        began = time.monotonic()
        lent = lent or Lent()
        self.stock.got.update(lent.slots)
        kind = kinds.kind_of(choice, lent)
        self._remember(choice, lent)
        try:
            server = self._taken(kind, lent.devices)
            try:
                async with asyncio.timeout(PATIENCE):
                    await self._become(server, home, name, told)
            except BaseException as error:
                # also where the start was given up: half a claim is nobody's server
                await self.stock.removed(server)
                if isinstance(error, NotWarmError) or not isinstance(error, Exception):
                    raise
                raise NotWarmError("failed", f"{type(error).__name__}: {error}") from error
            finally:
                self.stock.in_claim.discard(server.slot)
        except NotWarmError as error:
            counts.cold(error.reason)
            raise
        server.line.close()
        self.stock.given(server)
        counts.warm(time.monotonic() - began)
        self.stock.count()
        return Claimed(server.container, server.plan)

    def _remember(self, choice: Choice, lent: Lent) -> None:
        """Somebody starts this, warm or cold."""
        kind = kinds.kind_of(choice)
        if lent.devices:
            accelerator = lent.devices[0].partition("=")[0]
            self._accelerated.setdefault(accelerator, deque(maxlen=100)).append(kind)
        else:
            self._starts.setdefault(kind, deque(maxlen=1000)).append(datetime.now(UTC))

    def _taken(self, kind: str, devices: Sequence[str]) -> Server:
        """The oldest that may be given; from here on it is nobody else's.

        Raises:
            NotWarmError: there is none.
        """
        now, rule, stock = datetime.now(UTC), pool.Rule(), self.stock
        own = [
            s for s in stock.servers.values() if (s.kind, s.order.devices) == (kind, tuple(devices))
        ]
        for server in sorted((s for s in own if s.ready), key=lambda s: s.made):
            if not server.line.open or pool.outdated(server.as_told(), self._kinds, now, rule):
                continue  # the next look removes it
            del stock.servers[server.slot]
            stock.in_claim.add(server.slot)
            return server
        raise NotWarmError("starting" if any(not s.ready for s in own) else "none")

    async def _become(self, server: Server, home: Home, name: str, told: Told) -> None:
        async def prepared() -> None:
            """It prepares in its home, while the engine connects its network."""
            words, _ = await _all(told(), mounted())
            await server.line.claim(*words)

        async def mounted() -> None:
            # a claim that is given up is not the end of the home, for which a cold start waits too
            folder = await asyncio.shield(asyncio.ensure_future(home()))
            namespace = server.line.namespace
            # not in the usual threads, which a class's homes are made in
            await asyncio.get_running_loop().run_in_executor(
                self._threads, mount, self._mounter, folder, server.slot, namespace
            )

        await _all(
            prepared(),
            self._engine.rename(server.container, name),
            self._engine.connect(server.container, server.plan),
        )
        server.line.go()

    async def give_way(self) -> bool:
        """Remove one, for somebody needs its place now; False where none waits or is being made."""
        for server in sorted(self.stock.servers.values(), key=lambda s: s.ready):
            await self.stock.removed(server)
            return True
        return False

    async def vacate(self, lent: Lent) -> None:
        """Return when nothing that waits has a device that is ``lent``; then a container may be made with it.

        Raises:
            docker.errors.DockerException, requests.exceptions.ConnectionError: one cannot be removed now.
        """
        if lent.slots:
            self.stock.got.update(lent.slots)
            await self.stock.vacate(lent.slots)
            # and of an earlier Hub's
            await self._engine.clear(self._networks, lambda: self.stock.known)

    # ---- the pool -------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the pool until cancelled, then remove all that wait.

        Those that an earlier Hub left behind end by themselves, for it was at their line; here what is left of
        them is removed.
        """
        stock = self.stock
        try:
            while True:
                try:
                    await stock.try_again()
                    await self._engine.clear(self._networks, lambda: stock.known)
                    lines.sweep(self._slots, stock.known)
                    await self.look()
                except (DockerException, EngineGone, SQLAlchemyError, OSError) as error:
                    # engine or database are away; the next look may find them
                    log.warning("Warm servers: %s: %s", type(error).__name__, error)
                except Exception:
                    # a fault of ours: everybody would start cold for ever
                    log.exception("Warm servers: this look failed")
                await asyncio.sleep(EVERY)
        finally:
            gone = [*stock.servers.values()]
            await asyncio.gather(*(stock.removed(s) for s in gone), return_exceptions=True)

    async def look(self, now: datetime | None = None) -> pool.Plan:
        """Compare what waits with what is wanted, remove what is too much and begin what is missing."""
        now = now or datetime.now(UTC)
        stock = self.stock
        await stock.look_at_ended(now)
        vacancies = await self._vacant()
        meetings = await asyncio.to_thread(lambda: list(self._outside.meetings(now)))
        await self._look_at_kinds(meetings, vacancies)
        machine = await asyncio.to_thread(
            self._outside.machine, WAITING_MEMORY * len(stock.servers)
        )
        plan = pool.plan(
            self._kinds,
            [s.as_told() for s in stock.servers.values()],
            meetings,
            self._starts,
            machine,
            now,
        )
        for slot in plan.remove:
            # claimed meanwhile, perhaps
            if slot in stock.servers:
                await stock.removed(stock.servers[slot])
        if not self._outside.busy():
            for kind in plan.make:
                if not stock.rests(kind, now):
                    await stock.begin(self._orders[kind], now)
        stock.count(plan.wanted)
        return plan

    async def _vacant(self) -> Sequence[Vacancy]:
        """The slots of accelerators for which a server may wait; none where nobody says."""
        before = {*self.stock.got}
        try:
            found = await self._outside.vacant()
        except BrokerAwayError as error:
            if self._broker_answers:
                log.warning(
                    "No server waits with an accelerator: the broker cannot be asked (%s)", error
                )
            self._broker_answers = False
            return ()
        self._broker_answers = True
        # the answer knows of these starts' leases; who came while it was on its way is still remembered
        self.stock.got -= before
        return found

    async def _look_at_kinds(
        self, meetings: Iterable[pool.Meeting], vacancies: Sequence[Vacancy]
    ) -> None:
        """Which kinds there may be now, and which version each image is."""
        stock, default = self.stock, "/".join(self._catalog.default)
        named = {default, *self._starts, *(m.kind for m in meetings)}
        named |= {s.kind for s in stock.servers.values() if not s.order.accelerator}
        usually = {
            v.kind: kinds.usual(v.kind, self._accelerated.get(v.kind, ()), self._catalog)
            for v in vacancies
        }
        waiting = {slot: s.kind for slot, s in stock.by_accelerator.items()}
        with_slots = kinds.of_slots(vacancies, stock.got, waiting, usually)
        choices = {
            kind: choice
            for kind in {*named, *with_slots}
            if (choice := kinds.choice_of(kind, self._catalog)) is not None
        }
        images = {c.environment.image for c in choices.values()}
        versions = {
            name: await self._engine.version(self._catalog.reference(name)) for name in images
        }
        self._orders = {
            kind: _order(kind, choice, version, with_slots.get(kind))
            for kind, choice in choices.items()
            if (version := versions[choice.environment.image])
        }
        self._kinds = {
            kind: self._kind(order, with_slots.get(kind), kind == default)
            for kind, order in self._orders.items()
        }

    def _kind(self, order: Order, vacancy: Vacancy | None, default: bool) -> pool.Kind:
        if vacancy is not None:
            more = not vacancy.kept
            return pool.Kind(1, WAITING_MEMORY, order.version, most=1, more=more)
        return pool.Kind(self._base if default else 0, WAITING_MEMORY, order.version)


def _order(kind: str, choice: Choice, version: str, vacancy: Vacancy | None) -> Order:
    if vacancy is None:
        return Order(kind, choice, version)
    # other devices of the same slot are another server
    version = " ".join((version, *vacancy.devices))
    return Order(kind, choice, version, vacancy.slot, vacancy.devices)


async def _all(*parts: Awaitable[Any]) -> list[Any]:
    """What all of them return. None is left alone when another fails: the container is removed right after."""
    done = await asyncio.gather(*parts, return_exceptions=True)
    for one in done:
        if isinstance(one, BaseException):
            raise one
    return done


async def a_place(networks: NetworkPool, warm: WarmServers | None) -> NetworkPlan:
    """A free network; where all are taken, that of a server that waits for nobody yet.

    Raises:
        PoolExhausted: people's servers have them all.
    """
    while True:
        try:
            return await networks.take()
        except PoolExhausted:
            if warm is None or not await warm.give_way():
                raise
