"""What the pool of warm servers asks the engine, by the Hub's gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import docker
import docker.utils
from docker.errors import ImageNotFound, NotFound

from madang_hub.catalog import Catalog
from madang_hub.isolation.networks import INSTANCE_LABEL, NetworkPlan, index_in
from madang_hub.isolation.pool import NetworkPool
from madang_hub.user_container import WAIT, hostname, warm_host_config, warm_labels
from madang_hub.warm.names import WARM_LABEL, container_name, prefix
from madang_hub.warm.server import Server

THREADS = 8
"""A class claims at once; the engine does much of it side by side."""


class Containers:
    """The waiting containers of one installation on the engine."""

    def __init__(self, catalog: Catalog, instance: str) -> None:
        self._catalog, self._instance = catalog, instance
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="warm")
        self._client: docker.APIClient | None = None

    async def version(self, image: str) -> str:
        """The image's id; empty where it is not there."""

        def looked(client: docker.APIClient) -> Any:
            ask: Any = client.inspect_image  # docker-py's types leave it out
            return ask(image)

        try:
            return str((await self._call(looked))["Id"])
        except (ImageNotFound, NotFound):
            return ""

    async def create(self, server: Server) -> None:
        """Make and start the container of ``server``; it has no network.

        The server learns its id as soon as there is one, so that it can be removed.

        Raises:
            docker.errors.DockerException: it cannot be made.
        """
        slot, order, plan = server.slot, server.order, server.plan
        choice, release = order.choice, self._catalog.release
        image = self._catalog.reference_of(choice.environment)

        def made(client: docker.APIClient) -> None:
            found = client.create_container(
                image=image,
                command=list(WAIT),
                user="1000:1000",
                hostname=hostname(choice.environment),
                name=container_name(self._instance, slot),
                labels=warm_labels(
                    self._instance, slot, plan, choice, release, order.accelerator, order.devices
                ),
                host_config=client.create_host_config(
                    **warm_host_config(plan, choice, server.line.folder, order.devices)
                ),
            )
            server.container = found["Id"]
            client.start(found["Id"])
            # one that is in `none` can be in no other
            client.disconnect_container_from_network(found["Id"], "none")

        await self._call(made)

    async def rename(self, container: str, name: str) -> None:
        """Give the container the name of a person's."""
        await self._call(lambda client: client.rename(container, name))

    async def connect(self, container: str, plan: NetworkPlan) -> None:
        """Connect the container to its network."""
        await self._call(
            lambda client: client.connect_container_to_network(
                container, plan.name, ipv4_address=str(plan.address)
            )
        )

    async def clear(self, networks: NetworkPool, known: Callable[[], Collection[str]]) -> None:
        """Remove waiting containers whose slot nobody knows, as a Hub that ended leaves them.

        ``known`` is asked before and after the engine: one may be claimed, and others begun, meanwhile.
        """
        before = {*known()}
        label = {"label": [f"{INSTANCE_LABEL}={self._instance}", WARM_LABEL]}
        found = await self._call(lambda client: client.containers(all=True, filters=label))
        slots = before.union(known())
        start = prefix(self._instance)
        for row in found:
            names = [str(name).removeprefix("/") for name in row.get("Names") or ()]
            slot = row["Labels"][WARM_LABEL]
            if slot in slots or not any(name.startswith(start) for name in names):
                continue
            with suppress(NotFound):
                await networks.clear(row["Id"], index_in(row["Labels"]))

    def _call(self, call: Callable[[docker.APIClient], Any]) -> asyncio.Future[Any]:
        def run() -> Any:
            if self._client is None:
                self._client = docker.APIClient(version="auto", **docker.utils.kwargs_from_env())
            return call(self._client)

        return asyncio.get_running_loop().run_in_executor(self._threads, run)
