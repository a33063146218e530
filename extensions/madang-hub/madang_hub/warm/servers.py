"""The servers that wait in containers of their own, in server mode: made ahead, claimed once, or removed.

How many wait is ``pool.py``'s rule; what is said to them, ``lines.py``; which calls the engine is asked,
``containers.py``. Here is what happens when. One object for the Hub's process: nobody else knows which wait.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from docker.errors import DockerException
from requests.exceptions import ConnectionError as EngineGone
from sqlalchemy.exc import SQLAlchemyError

from madang_hub.catalog import Catalog, Choice
from madang_hub.isolation.networks import NetworkPlan, PoolExhausted
from madang_hub.isolation.pool import NetworkPool
from madang_hub.mounter.client import mount
from madang_hub.warm import counts, lines, pool
from madang_hub.warm.claimed import NotWarmError
from madang_hub.warm.containers import Containers
from madang_hub.warm.lines import Line
from madang_hub.warm.names import slot_name

log = logging.getLogger(__name__)

WAITING_MEMORY = 128 * 2**20
"""Bytes that one takes while it waits (measured: docs/explanation/instant-start.md), with a tenth of room."""
EVERY = 5.0
"""Seconds between two looks at the pool."""
ARRIVAL = 120.0
"""Seconds after which one that does not come to wait is given up."""
PATIENCE = 15.0
"""Seconds that a claim may take before the server is started cold.

It takes 0.1 s. Where two hundred people press start at once, the Hub comes to each only after seconds; to give
up then would only make them wait for a new container as well.
"""
THREADS = 4
"""Homes that are being mounted at a time; the mounter serves one after the other."""
AGAIN = timedelta(seconds=30)
"""Until another of a kind is made after one that could not be."""

Home = Callable[[], Coroutine[Any, Any, str]]
"""Name of the person's folder below the homes, when it is there."""
Told = Callable[[], Awaitable[tuple[Sequence[str], Mapping[str, str]]]]
"""Command and variables of the server that is to be; asked for when it is sure that one waits."""


def kind_of(choice: Choice) -> str:
    """The kind of a choice, as the rule of the pool names it."""
    return f"{choice.environment.name}/{choice.size.name}"


@dataclass
class Server:
    """One that was made ahead."""

    slot: str
    kind: str
    version: str
    made: datetime
    plan: NetworkPlan
    line: Line
    container: str = ""
    ready: bool = False

    def as_told(self) -> pool.Waiting:
        """As the rule sees it."""
        return pool.Waiting(self.slot, self.kind, self.version, self.made, self.ready)


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
    """

    meetings: Callable[[datetime], Iterable[pool.Meeting]]
    busy: Callable[[], bool]
    machine: Callable[[int], pool.Machine]


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
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="mount")
        self._servers: dict[str, Server] = {}
        self._in_claim: set[str] = set()
        self._starts: dict[str, deque[datetime]] = {}
        self._failed: dict[str, datetime] = {}
        self._kinds: dict[str, pool.Kind] = {}
        self._making: dict[str, asyncio.Task[None]] = {}
        self._left: list[Server] = []

    def __deepcopy__(self, memo: dict[int, Any]) -> WarmServers:
        """Itself: traitlets copies every configured value."""
        return self

    # ---- claims ---------------------------------------------------------------------------

    async def claim(self, choice: Choice, home: Home, name: str, told: Told) -> Claimed:
        """A waiting server of this kind, which becomes what is ``told``; it is counted.

        Args:
            name: name of the person's container.

        Raises:
            NotWarmError: start it cold; nothing is left of a try.
        """
        began = time.monotonic()
        kind = kind_of(choice)
        self._starts.setdefault(kind, deque(maxlen=1000)).append(datetime.now(UTC))
        try:
            server = self._taken(kind)
            try:
                async with asyncio.timeout(PATIENCE):
                    await self._become(server, home, name, told)
            except BaseException as error:
                # also where the start was given up: half a claim is nobody's server
                await asyncio.shield(self._removed(server))
                if isinstance(error, NotWarmError) or not isinstance(error, Exception):
                    raise
                raise NotWarmError("failed", f"{type(error).__name__}: {error}") from error
            finally:
                self._in_claim.discard(server.slot)
        except NotWarmError as error:
            counts.cold(error.reason)
            raise
        server.line.close()
        counts.warm(time.monotonic() - began)
        self._count()
        return Claimed(server.container, server.plan)

    def _taken(self, kind: str) -> Server:
        """The oldest that may be given; from here on it is nobody else's.

        Raises:
            NotWarmError: there is none.
        """
        now, rule = datetime.now(UTC), pool.Rule()
        own = [s for s in self._servers.values() if s.kind == kind]
        for server in sorted((s for s in own if s.ready), key=lambda s: s.made):
            if not server.line.open or pool.outdated(server.as_told(), self._kinds, now, rule):
                continue  # the next look removes it
            del self._servers[server.slot]
            self._in_claim.add(server.slot)
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
        for server in sorted(self._servers.values(), key=lambda s: s.ready):
            await self._dropped(server)
            return True
        return False

    # ---- the pool -------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the pool until cancelled, then remove all that wait.

        Those that an earlier Hub left behind end by themselves, for it was at their line; here what is left of
        them is removed.
        """
        try:
            while True:
                try:
                    left, self._left = self._left, []
                    for server in left:
                        await self._removed(server)
                    known = {*self._servers, *self._in_claim}
                    await self._engine.clear(self._networks, known)
                    lines.sweep(self._slots, known)
                    await self.look()
                except (DockerException, EngineGone, SQLAlchemyError, OSError) as error:
                    # engine or database are away; the next look may find them
                    log.warning("Warm servers: %s: %s", type(error).__name__, error)
                except Exception:
                    # a fault of ours: everybody would start cold for ever
                    log.exception("Warm servers: this look failed")
                await asyncio.sleep(EVERY)
        finally:
            gone = [*self._servers.values()]
            await asyncio.gather(*(self._dropped(s) for s in gone), return_exceptions=True)

    async def look(self, now: datetime | None = None) -> pool.Plan:
        """Compare what waits with what is wanted, remove what is too much and begin what is missing."""
        now = now or datetime.now(UTC)
        for server in [s for s in self._servers.values() if s.ready and not s.line.open]:
            log.warning("A waiting server of %s ended by itself", server.kind)
            self._failed[server.kind] = now
            await self._dropped(server)
        meetings = await asyncio.to_thread(lambda: list(self._outside.meetings(now)))
        await self._look_at_kinds(meetings)
        machine = await asyncio.to_thread(
            self._outside.machine, WAITING_MEMORY * len(self._servers)
        )
        plan = pool.plan(
            self._kinds,
            [s.as_told() for s in self._servers.values()],
            meetings,
            self._starts,
            machine,
            now,
        )
        for slot in plan.remove:
            # claimed meanwhile, perhaps
            if slot in self._servers:
                await self._dropped(self._servers[slot])
        if not self._outside.busy():
            for kind in plan.make:
                if now - self._failed.get(kind, now - AGAIN) >= AGAIN:
                    await self._begin(kind, now)
        self._count(plan.wanted)
        return plan

    async def _look_at_kinds(self, meetings: Iterable[pool.Meeting]) -> None:
        """Which kinds there may be now, and which version each image is."""
        default = "/".join(self._catalog.default)
        named = {default, *self._starts, *(m.kind for m in meetings)}
        named |= {s.kind for s in self._servers.values()}
        choices = {kind: choice for kind in named if (choice := self._choice(kind)) is not None}
        images = {c.environment.image for c in choices.values()}
        versions = {
            name: await self._engine.version(self._catalog.reference(name)) for name in images
        }
        self._kinds = {
            kind: pool.Kind(self._base if kind == default else 0, WAITING_MEMORY, version)
            for kind, choice in choices.items()
            if (version := versions[choice.environment.image])
        }

    def _choice(self, kind: str) -> Choice | None:
        """What a kind means; None for one that is never made ahead: unknown, or the rescue."""
        name, _, size = kind.partition("/")
        environment = self._catalog.environments.get(name)
        if environment is None or environment.rescue or size not in environment.sizes:
            return None
        return Choice(environment, self._catalog.sizes[size])

    async def _begin(self, kind: str, now: datetime) -> None:
        """Begin to make one."""
        try:
            plan = await self._networks.take()
        except (PoolExhausted, DockerException, EngineGone) as error:
            self._gave_up(kind, error)
            return
        slot = slot_name()
        server = Server(slot, kind, self._kinds[kind].version, now, plan, Line(self._slots, slot))
        self._servers[slot] = server
        task = self._making[slot] = asyncio.create_task(self._make(server))
        task.add_done_callback(lambda _: self._making.pop(slot, None))

    async def _make(self, server: Server) -> None:
        """Make one; a failure is logged, and the kind rests for a while."""
        choice = self._choice(server.kind)
        assert choice is not None  # noqa: S101  # the rule makes only kinds that it was told of
        parts: list[asyncio.Future[None]] = []
        try:
            server.line.listen()
            parts += map(
                asyncio.ensure_future,
                (
                    self._networks.make(server.plan),
                    self._engine.create(
                        server.slot, choice, server.plan, server.line.folder, server
                    ),
                ),
            )
            async with asyncio.timeout(ARRIVAL):
                await asyncio.wait(parts)
                for part in parts:
                    part.result()
                await server.line.arrival()
        except asyncio.CancelledError:
            # what the engine was asked for is there before it is removed
            if parts:
                await asyncio.wait(parts)
            raise
        except (NotWarmError, DockerException, EngineGone, OSError, TimeoutError) as error:
            self._gave_up(server.kind, error)
            self._servers.pop(server.slot, None)
            await self._removed(server)
            return
        server.ready = True
        self._failed.pop(server.kind, None)
        self._count()

    def _gave_up(self, kind: str, error: Exception) -> None:
        log.warning("No waiting server of %s: %s %s", kind, type(error).__name__, error)
        self._failed[kind] = datetime.now(UTC)

    async def _dropped(self, server: Server) -> None:
        """It is removed, also where it is only being made."""
        self._servers.pop(server.slot, None)
        if (task := self._making.get(server.slot)) is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self._removed(server)

    async def _removed(self, server: Server) -> None:
        """Nothing is left of it; where the engine cannot remove it now, a later look does."""
        server.line.close()
        try:
            await self._networks.drop(server.container, server.plan.index)
        except (DockerException, OSError) as error:
            # it may have a person's name by now, so nobody but the one who knows it can find it
            log.warning("Not removed yet: the server of %s (%s)", server.slot, error)
            self._left.append(server)

    def _count(self, wanted: Mapping[str, int] | None = None) -> None:
        states = [(s.kind, "ready" if s.ready else "starting") for s in self._servers.values()]
        counts.pool(states, wanted)


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
