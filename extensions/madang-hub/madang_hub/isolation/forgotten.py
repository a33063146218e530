"""Removes containers with a person's name of which this Hub knows nothing.

A Hub that ends in the middle of a start, or after a stop that the engine refused and before the next try,
leaves a container behind that nobody stops: it would run with the person's home until their next start. The
engine's list is compared with the Hub's own; what two looks in a row find unknown is removed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any

import aiohttp
from docker.errors import DockerException

from madang_hub.isolation.networks import index_in
from madang_hub.isolation.pool import NetworkPool

log = logging.getLogger(__name__)

EVERY = 30.0
"""Seconds between two looks."""

Row = Mapping[str, Any]
"""A container as the engine lists it."""


class Forgotten:
    """The looks of one Hub.

    Args:
        networks: knows the engine.
        prefix: how the names of people's containers begin.
        known: the names of those that this Hub has or is starting or stopping; None where it cannot say it, as
            before it has read which servers there are.
    """

    def __init__(
        self,
        networks: NetworkPool,
        prefix: str,
        known: Callable[[], Awaitable[Collection[str] | None]],
    ) -> None:
        self._networks, self._prefix, self._known = networks, prefix, known
        self._before: set[str] = set()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            try:
                await self.look()
            except (DockerException, OSError) as error:
                # the next look may find the engine (what requests raises is an OSError)
                log.warning("Forgotten servers: %s: %s", type(error).__name__, error)
            except Exception:
                log.exception("Forgotten servers: this look failed")

    async def look(self) -> None:
        """Remove what was unknown at the last look too.

        Raises:
            docker.errors.DockerException, OSError: the engine cannot be asked.
        """
        rows = await self._networks.containers()
        # asked after the engine, so that one that was begun meanwhile is known
        known = await self._known()
        unknown = {} if known is None else dict(_unknown(rows, self._prefix, known))
        for container, index in unknown.items():
            if container in self._before:
                log.warning("Removing the container %s, which an ended Hub left", container[:12])
                try:
                    await self._networks.clear(container, index)
                except (DockerException, OSError) as error:
                    # no reason to leave the others
                    log.warning("Not removed: %s (%s)", container[:12], error)
        self._before = set(unknown)


def _unknown(rows: Iterable[Row], prefix: str, known: Collection[str]) -> Iterable[tuple[str, int]]:
    """Id and network's index of people's containers whose names nobody knows."""
    for row in rows:
        names = [str(name).removeprefix("/") for name in row.get("Names") or ()]
        if names and all(n.startswith(prefix) and n not in known for n in names):
            yield str(row["Id"]), index_in(row.get("Labels"))


def looking(
    networks: NetworkPool, prefix: str, names: Callable[[], Collection[str]], port: int
) -> None:
    """Begin the looks where a Hub is starting; ``port`` is its own."""

    async def known() -> Collection[str] | None:
        # it answers only after it has read which servers there are
        return names() if await answers(f"http://127.0.0.1:{port}/hub/health") else None

    try:
        # the Hub reads its configuration inside its loop; tests and commands have none
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return
    _running.add(loop.create_task(Forgotten(networks, prefix, known).run()))


async def answers(url: str) -> bool:
    """Whether ``url`` answers that all is well, within five seconds."""
    try:
        timeout = aiohttp.ClientTimeout(total=5)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as reply:
            return reply.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


_running: set[asyncio.Task[None]] = set()
"""The loop itself holds tasks weakly."""
