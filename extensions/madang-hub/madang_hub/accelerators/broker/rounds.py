"""What the broker does by itself every few seconds, and at once when somebody asked for something."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Collection
from datetime import datetime

from madang_hub.accelerators.broker.measured import DECISION
from madang_hub.accelerators.broker.parts import Parts
from madang_hub.accelerators.inventory import changes
from madang_hub.accelerators.leases import Lease, LeaseError, State
from madang_hub.accelerators.reconcile import Container, Do
from madang_hub.accelerators.restarts import Next, Restart, comes_back, next_step
from madang_hub.people.service.hub import HubRefusedError, Server
from madang_hub.people.service.tasks import Tasks, side_by_side

log = logging.getLogger("madang.accelerators")
EVERY = 5.0
"""Seconds between two rounds ..."""
SOON = 1.0
"""... and while a server is being stopped, whose accelerators the next in line waits for."""


class Rounds:
    """The inventory, the containers, what lies idle, the line and the starts, in this order."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._wake = asyncio.Event()
        self._stopping = False
        self._asked: set[str] = set()
        """Leases for which the Hub has been asked to start a server."""
        self._tasks = Tasks(
            {
                "inventory": self.look,
                "containers": self.compare,
                "idle": self.end_idle,
                "line": self.advance,
                "starts": self.start,
                "restarts": self.bring_back,
            }
        )

    async def run(self) -> None:
        """Do a round now, and again, until cancelled."""
        while True:
            self._wake.clear()
            await self.once()
            pause = SOON if self._stopping else EVERY
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), pause)

    async def once(self) -> list[str]:
        """One round; the names of the steps that failed. They are tried again in the next."""
        return await self._tasks.run_once(self._parts.now())

    def wake(self) -> None:
        """Do the next round at once."""
        self._wake.set()

    async def look(self, now: datetime) -> None:
        """Take the inventory, and end the leases of slots that stay ill."""
        parts = self._parts
        last = parts.desk.inventory
        found = await asyncio.to_thread(parts.take, last)
        changed = changes(last, found)
        for slot in (*changed.came, *changed.well_again):
            log.info("%s is here, %s", slot.id, slot.why or "and well")
        for slot in (*changed.went, *changed.fell_ill):
            log.warning("%s: %s", slot.id, slot.why or "it is not there any more.")
        for fault in set(found.faults) - set(last.faults):
            log.warning("%s", fault)
        broken = await parts.work(parts.desk.looked, found, parts.seconds())
        for over, again in broken:
            log.warning(
                "lease %s: a slot of it is ill; asked again: %s", over.id, again is not None
            )

    async def compare(self, now: datetime) -> None:
        """Compare leases with the servers that there are, and stop those whose lease is over.

        Raises:
            HubAwayError: nobody says which there are; then nothing is granted.
        """
        parts, self._stopping = self._parts, False
        try:
            leases = await parts.work(parts.desk.leases.open_ones)
            listed = parts.seconds()
            containers = await parts.engine.list(leases)
            found = await parts.work(parts.desk.listed, containers, listed, parts.seconds())
        except Exception:
            parts.desk.engine_answers = False
            raise
        for action in found.actions:
            log.info("lease %s: %s", action.lease, action.do.value)
        by_id = {container.id: container for container in containers}
        known = {lease.id: lease for lease in leases}
        stop = [x for x in found.actions if x.do is Do.STOP]
        self._stopping = bool(stop)
        await side_by_side(self._end(by_id[x.container], known.get(x.lease)) for x in stop)

    async def _end(self, container: Container, lease: Lease | None) -> None:
        """Stop a container; note before, if its server is to come back."""
        parts = self._parts
        if lease is not None and comes_back(lease, parts.desk.policy):
            user = await parts.hub.user(lease.request.person)
            if user is not None and user.server is not None:
                await self._comes_back(lease, user.server)
        await parts.engine.stop(container)

    async def _comes_back(self, lease: Lease, server: Server) -> None:
        """Note what is to be started again; one that stops already was stopped by its person."""
        if server.pending == "stop":
            return
        parts, options = self._parts, server.options
        environment, size = (str(options.get(name, "")) for name in ("environment", "size"))
        restart = Restart(lease.request.person, lease.id, environment, size, parts.seconds())
        await parts.work(parts.desk.leases.restart_later, restart)

    async def end_idle(self, now: datetime) -> None:
        """End the leases of accelerators that lay idle for long while somebody waits."""
        parts = self._parts
        arrive = await parts.reports_arrive()
        for lease in await parts.work(parts.desk.find_idle, parts.seconds(), arrive):
            log.info("lease %s: idle, and somebody waits", lease.id)
            self.wake()

    async def advance(self, now: datetime) -> None:
        """End what is over and serve the line."""
        parts = self._parts
        with DECISION.time():
            granted = await parts.work(parts.desk.advance, parts.seconds())
        for lease in granted:
            log.info("lease %s: granted", lease.id)

    async def start(self, now: datetime) -> None:
        """Start the servers of those whose turn it is and who asked for that."""
        leases = await self._parts.work(self._parts.desk.leases.open_ones)
        self._asked.intersection_update(x.id for x in leases)
        await side_by_side(self._start(x) for x in leases if self._wants(x))

    def _wants(self, lease: Lease) -> bool:
        if lease.state is State.TAKING:
            return True
        if not lease.request.environment:
            return False
        # an active one without a server: this process ended after it was taken, or the Hub did not answer
        unseen = lease.state is State.ACTIVE and not lease.container and lease.id not in self._asked
        return lease.state is State.GRANTED or unseen

    async def _start(self, lease: Lease) -> None:
        parts, request = self._parts, lease.request
        user = await parts.hub.user(request.person)
        if user is not None and user.server is not None and lease.state is State.TAKING:
            self._stopping = True
            await self._comes_back(lease, user.server)
            await parts.hub.stop_if_there(request.person)
            return
        if user is None or user.server is not None:
            # it would not get the devices; its person stops it and takes the lease, or leaves it
            return
        try:
            await parts.work(parts.desk.take, lease.id, request.person, parts.seconds())
        except LeaseError as error:
            log.info("lease %s: %s", lease.id, error)
            return
        try:
            await self._ask_for_start(request.person, request.environment, request.size)
        except HubRefusedError as refusal:
            user = await parts.hub.user(request.person)
            if user is None or user.server is None:
                log.warning("lease %s: the Hub starts no server (%s)", lease.id, refusal.status)
                await parts.work(parts.desk.refused, lease.id, parts.seconds())
                return
        self._asked.add(lease.id)

    async def _ask_for_start(self, person: str, environment: str, size: str) -> None:
        """What is empty is as the Hub has it by default.

        Raises:
            HubRefusedError: it does not start it.
        """
        options = {"environment": environment, "size": size}
        named = {name: value for name, value in options.items() if value}
        await self._parts.hub.start(person, named)

    async def bring_back(self, now: datetime) -> None:
        """Start the servers again that were stopped and have no accelerator, without one."""
        parts = self._parts
        noted = await parts.work(parts.desk.leases.restarts)
        if noted:
            leases = await parts.work(parts.desk.leases.open_ones)
            await side_by_side(self._bring_back(x, leases) for x in noted)

    async def _bring_back(self, restart: Restart, leases: Collection[Lease]) -> None:
        parts = self._parts
        lease = await parts.work(parts.desk.leases.lease, restart.lease)
        theirs = [x for x in leases if x.request.person == restart.person]
        user = await parts.hub.user(restart.person)
        server = user.server if user is not None else None
        began = int(server.started.timestamp()) if server and server.started else 0
        running = began if server else None
        what = next_step(restart, lease, theirs, running, parts.seconds(), parts.desk.policy)
        if what is Next.WAIT:
            return
        if what is Next.START:
            try:
                await self._ask_for_start(restart.person, restart.environment, restart.size)
            except HubRefusedError as refusal:
                log.warning("lease %s: its server does not come back (%s)", restart.lease, refusal)
        await parts.work(parts.desk.leases.forget_restart, restart)
