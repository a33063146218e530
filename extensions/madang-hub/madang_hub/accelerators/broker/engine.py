"""What holds accelerators: containers, as the Hub or an engine knows them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Protocol

from madang_hub.accelerators.leases import Lease, State
from madang_hub.accelerators.reconcile import Container
from madang_hub.people.service.hub import Hub

HOLDING = frozenset({State.ACTIVE, State.ENDING})
"""The states in which a lease may have a container."""


class Engine(Protocol):
    """Lists and stops containers that have accelerators."""

    async def list(self, leases: Iterable[Lease]) -> list[Container]:
        """All containers with accelerators: never a part of them. ``leases`` are the open ones.

        Raises:
            HubAwayError: there is no complete answer.
        """
        ...

    async def stop(self, container: Container) -> None:
        """Ask for its end. One that is gone is no error.

        Raises:
            HubAwayError: there is no answer.
            HubRefusedError: it may not be stopped.
        """
        ...

    async def close(self) -> None:
        """Nobody is asked any more."""
        ...


class HubServers:
    """Where servers are processes: the Hub's word for which servers there are.

    A process has no label, so the server of a person *is* the container of that person's lease: of anybody's
    leases only one at a time is active or ending (:meth:`.desk.Desk.take` sees to it), and it is only taken
    while no server is there. A server that is started while the lease is ending counts too, because it may have
    asked for its devices before. So a slot is held for too long rather than too short.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def list(self, leases: Iterable[Lease]) -> list[Container]:
        """The Hub is asked for each holder by name: a listing of everybody comes in pages, and who moves
        between two of them is in none."""
        found = await asyncio.gather(*(self._of(x) for x in leases if x.state in HOLDING))
        return [container for container in found if container is not None]

    async def _of(self, lease: Lease) -> Container | None:
        user = await self._hub.user(lease.request.person)
        if user is None or user.server is None:
            return None
        return Container(f"{user.name}/", lease.id, lease.slots)

    async def stop(self, container: Container) -> None:
        await self._hub.stop_if_there(container.id.removesuffix("/"))

    async def close(self) -> None:
        """The Hub's client is not this one's to close."""
