"""The servers that wait or are being made, from the first call to the engine to a claim or the end.

``servers.py`` decides which; here is what happens to each. One object for the Hub's process.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from docker.errors import DockerException
from requests.exceptions import ConnectionError as EngineGone

from madang_hub.isolation.networks import PoolExhausted
from madang_hub.isolation.pool import NetworkPool
from madang_hub.warm import counts
from madang_hub.warm.claimed import NotWarmError
from madang_hub.warm.containers import Containers
from madang_hub.warm.lines import Line
from madang_hub.warm.names import slot_name
from madang_hub.warm.server import Order, Server

log = logging.getLogger(__name__)

ARRIVAL = 120.0
"""Seconds after which one that does not come to wait is given up."""
AGAIN = timedelta(seconds=30)
"""Until another of a kind is made after one that could not be."""


class Stock:
    """Those of one installation.

    Args:
        networks: where each gets its network from, which it keeps when it is claimed.
        engine: makes the containers.
        slots: folder for their lines.
    """

    def __init__(self, networks: NetworkPool, engine: Containers, slots: Path) -> None:
        self._networks, self._engine, self._slots = networks, engine, slots
        self.servers: dict[str, Server] = {}
        """By the slot of their line."""
        self.in_claim: set[str] = set()
        """Slots of those that somebody is getting just now."""
        self.making: dict[str, asyncio.Task[None]] = {}
        self.by_accelerator: dict[str, Server] = {}
        """Of each slot of an accelerator the one that has its device, until it is somebody's or gone."""
        self.got: set[str] = set()
        """Slots of accelerators that starts have got since the broker was asked; none is made for them."""
        self._failed: dict[str, datetime] = {}
        self._left: list[Server] = []
        self._removals: dict[str, asyncio.Task[None]] = {}
        """By the slot of their line."""

    @property
    def known(self) -> set[str]:
        """The slots of all whose container may be on the engine by the name of one that waits."""
        return {*self.servers, *self.in_claim}

    def rests(self, kind: str, now: datetime) -> bool:
        """Whether one of this kind could not be made a moment ago."""
        return now - self._failed.get(kind, now - AGAIN) < AGAIN

    # ---- making ---------------------------------------------------------------------------

    async def begin(self, order: Order, now: datetime) -> None:
        """Begin to make one; where there is no network for it, its kind rests.

        None where somebody got its accelerator meanwhile, or another one with that is not gone yet.
        """
        if self._is_taken(order.accelerator):
            return
        try:
            plan = await self._networks.take()
        except (PoolExhausted, DockerException, EngineGone) as error:
            self._gave_up(order.kind, error)
            return
        if self._is_taken(order.accelerator):
            self._networks.give_back(plan)
            return
        slot = slot_name()
        server = Server(slot, order, now, plan, Line(self._slots, slot))
        self.servers[slot] = server
        if order.accelerator:
            self.by_accelerator[order.accelerator] = server
        task = self.making[slot] = asyncio.create_task(self._make(server))
        task.add_done_callback(lambda _: self.making.pop(slot, None))

    def _is_taken(self, accelerator: str) -> bool:
        return accelerator in self.got or accelerator in self.by_accelerator

    async def _make(self, server: Server) -> None:
        """Make one; a failure is logged, and the kind rests for a while."""
        parts: list[asyncio.Future[None]] = []
        try:
            server.line.listen()
            parts += map(
                asyncio.ensure_future,
                (
                    self._networks.make(server.plan),
                    self._engine.create(server),
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
            self.making.pop(server.slot, None)
            await self.removed(server)
            return
        server.ready = True
        self._failed.pop(server.kind, None)
        self.count()

    def _gave_up(self, kind: str, error: Exception) -> None:
        log.warning("No waiting server of %s: %s %s", kind, type(error).__name__, error)
        self._failed[kind] = datetime.now(UTC)

    # ---- the end --------------------------------------------------------------------------

    def given(self, server: Server) -> None:
        """It is somebody's."""
        self._forget(server)

    async def vacate(self, slots: Collection[str]) -> None:
        """Return when nothing that waits has a device of these slots of accelerators.

        Raises:
            docker.errors.DockerException: one cannot be removed now.
        """
        for slot in slots:
            if (server := self.by_accelerator.get(slot)) is None:
                continue
            if server.slot in self.in_claim and server.slot not in self._removals:
                # somebody gets it, or is refused
                await server.settled.wait()
            else:
                await self.removed(server)
            if self.by_accelerator.get(slot) is server:
                raise DockerException(f"what waited with {slot} cannot be removed now")

    def _forget(self, server: Server) -> None:
        if self.by_accelerator.get(server.order.accelerator) is server:
            del self.by_accelerator[server.order.accelerator]
        server.settled.set()

    async def look_at_ended(self, now: datetime) -> None:
        """Remove those that wait no more: they ended by themselves, and their kind rests."""
        for server in [s for s in self.servers.values() if s.ready and not s.line.open]:
            log.warning("A waiting server of %s ended by itself", server.kind)
            self._failed[server.kind] = now
            await self.removed(server)

    async def try_again(self) -> None:
        """Remove what the engine could not remove before."""
        for server in [*self._left]:
            await self.removed(server)

    async def removed(self, server: Server) -> None:
        """It is removed, also where it is only being made; what the engine cannot do now, a later look does.

        Who asks for it may be cancelled: it goes on.
        """
        if (going := self._removals.get(server.slot)) is None:
            self.servers.pop(server.slot, None)
            going = self._removals[server.slot] = asyncio.create_task(self._remove(server))
        await asyncio.shield(going)

    async def _remove(self, server: Server) -> None:
        try:
            if (task := self.making.pop(server.slot, None)) is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            server.line.close()
            await self._networks.drop(server.container, server.plan.index)
        except (DockerException, OSError) as error:
            # it may have a person's name by now, so nobody but the one who knows it can find it
            log.warning("Not removed yet: the server of %s (%s)", server.slot, error)
            if server not in self._left:
                self._left.append(server)
            server.settled.set()
        else:
            if server in self._left:
                self._left.remove(server)
            self._forget(server)
        finally:
            del self._removals[server.slot]

    def count(self, wanted: Mapping[str, int] | None = None) -> None:
        """Show how many there are, and how many are ``wanted``."""
        states = [(s.kind, "ready" if s.ready else "starting") for s in self.servers.values()]
        counts.pool(states, wanted)
