"""The networks of user servers on the engine: taken at a start, dropped after the end; some stay for the next.

The adapter beside the rules of ``networks.py``. It has a client and threads of its own: DockerSpawner has
one thread for all its Docker calls, and a network takes as long to make as a container.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from ipaddress import IPv4Network
from typing import Any
from weakref import WeakValueDictionary

import docker
import docker.utils
from docker.errors import APIError, NotFound

from madang_hub.isolation import networks

REMEMBERED = 1000
"""How many removed containers are remembered; a second removal follows within a minute or so."""


class NetworkPool:
    """Which slices of ``pool`` are in use, as this process knows it; the engine is asked once.

    The first ``kept`` networks stay on the engine when their server has gone, for the next one: making
    one costs the engine about a dozen firewall commands, in the very minute in which a class starts.
    """

    def __init__(self, pool: IPv4Network, *, instance: str, prefix: str, kept: int) -> None:
        self.range = pool
        self._instance = instance
        self._prefix = prefix
        self._kept = kept
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="networks")
        self._client: docker.APIClient | None = None
        self._used: set[int] | None = None
        self._given: set[int] = set()
        """Those of ``_used`` that somebody of this process has. Both hold numbers of slices."""
        self._lock = asyncio.Lock()
        self._gone: deque[str] = deque(maxlen=REMEMBERED)
        self._dropping: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def __deepcopy__(self, memo: dict[int, Any]) -> NetworkPool:
        """Itself: traitlets copies every configured value, and which networks are taken is known here only."""
        return self

    def plan(self, index: int) -> networks.NetworkPlan:
        """The network with this ``index``."""
        return networks.plan(self.range, index, instance=self._instance, prefix=self._prefix)

    async def take(self, *, closed: bool = False) -> networks.NetworkPlan:
        """A free network's plan, which nobody else gets until :meth:`drop`; it may not be made yet.

        Args:
            closed: whether it is to lead nowhere.

        Raises:
            networks.PoolExhausted: all are in use.
            docker.errors.DockerException: the engine cannot be asked which are.
        """
        async with self._lock:
            if self._used is None:
                self._used = await self._in_use()
            number = networks.next_free(self._used, self.range)
            self._used.add(number)
            self._given.add(number)
        return self.plan(number + networks.CLOSED_FROM if closed else number)

    def give_back(self, plan: networks.NetworkPlan) -> None:
        """What was taken is not needed; it was not made."""
        self._forget(plan.index)

    async def make(self, plan: networks.NetworkPlan) -> None:
        """Make the network on the engine, unless it was kept there."""

        def made(client: docker.APIClient) -> None:
            if plan.closed and (number := networks.slice_of(plan.index)) < self._kept:
                # the one that was kept for people has the same addresses
                with suppress(NotFound):
                    client.remove_network(self.plan(number).name)
            elif plan.index < self._kept:
                with suppress(NotFound):
                    if networks.is_as_planned(client.inspect_network(plan.name), plan):
                        return
                    client.remove_network(plan.name)
            client.create_network(**networks.create_kwargs(plan))

        await self._call(made)

    async def drop(self, container: str, index: int) -> None:
        """Remove ``container`` (an id, or empty) and free its network (-1: none), which is the caller's.

        What is gone already is passed over. Several may ask for the same container; its network is freed once,
        for right after it may be another's.

        Raises:
            docker.errors.DockerException, requests.exceptions.ConnectionError: not removed yet.
        """
        async with self._turn(container):
            if container in self._gone:
                return
            await self._remove(container)
            await self._free(index)
            if container:
                self.removed(container)

    async def clear(self, container: str, index: int) -> None:
        """Remove a ``container`` that was found on the engine and is nobody's here; its label says ``index``.

        Its network may be another's: where the engine's answer to a call came too late, the start was given up
        and its network freed, and the container appears afterwards. So it is freed only if nobody of this
        process has it, and no other container.

        Raises:
            docker.errors.DockerException, requests.exceptions.ConnectionError: not removed yet.
        """
        async with self._turn(container):
            if container in self._gone:
                return
            nobodys = await self._set_aside(index)
            others = [c for c in await self.containers() if c["Id"] != container]
            await self._remove(container)
            number = networks.slice_of(index)
            theirs = (networks.slice_of(networks.index_in(c["Labels"])) for c in others)
            if nobodys and number not in theirs:
                await self._free(index)
                self.removed(container)

    def _turn(self, container: str) -> asyncio.Lock:
        """One after the other, for each container."""
        return self._dropping.setdefault(container, asyncio.Lock()) if container else asyncio.Lock()

    async def _set_aside(self, index: int) -> bool:
        """Whether nobody of this process has it; from here on nobody gets it until it is freed."""
        async with self._lock:
            if self._used is None:
                self._used = await self._in_use()
            number = networks.slice_of(index)
            if index < 0 or number in self._given:
                return False
            self._used.add(number)
        return True

    async def _remove(self, container: str) -> None:
        if container:
            with suppress(NotFound):
                await self._call(lambda c: c.remove_container(container, v=True, force=True))

    async def _free(self, index: int) -> None:
        if index >= self._kept:
            name = self.plan(index).name
            with suppress(NotFound):
                await self._call(lambda c: c.remove_network(name))
        self._forget(index)

    def _forget(self, index: int) -> None:
        number = networks.slice_of(index)
        if self._used is not None:
            self._used.discard(number)
        self._given.discard(number)

    def removed(self, container: str) -> None:
        """Remember that this container is gone: a later :meth:`drop` does not free its network again."""
        self._gone.append(container)

    async def containers(self) -> list[dict[str, Any]]:
        """All containers of this installation's servers, as the engine lists them.

        Raises:
            docker.errors.DockerException, requests.exceptions.ConnectionError: the engine cannot be asked.
        """
        label = {"label": f"{networks.INSTANCE_LABEL}={self._instance}"}
        found: list[dict[str, Any]] = await self._call(
            lambda client: client.containers(all=True, filters=label)
        )
        return found

    async def _in_use(self) -> set[int]:
        """Ask the engine which networks belong to containers; remove those that a crash left behind."""
        label = {"label": f"{networks.INSTANCE_LABEL}={self._instance}"}
        containers = await self.containers()
        labels = (c["Labels"].get(networks.NETWORK_LABEL) for c in containers)
        used = {networks.slice_of(int(index)) for index in labels if index}
        found = await self._call(lambda client: client.networks(filters=label))
        for name in (str(network["Name"]) for network in found):
            index = networks.index_of(name, instance=self._instance)
            number = -1 if index is None else networks.slice_of(index)
            if index is None or number in used or index < self._kept:
                continue
            if not await self._removed(name):
                used.add(number)
        return used

    async def _removed(self, name: str) -> bool:
        try:
            await self._call(lambda client: client.remove_network(name))
        except APIError:
            return False  # a container is on it
        return True

    def _call(self, call: Callable[[docker.APIClient], Any]) -> asyncio.Future[Any]:
        def run() -> Any:
            if self._client is None:
                environment = docker.utils.kwargs_from_env()
                self._client = docker.APIClient(version="auto", **environment)
            return call(self._client)

        return asyncio.get_running_loop().run_in_executor(self._threads, run)
