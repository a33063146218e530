"""Apps in server mode: a container with one snapshot, in a network that leads nowhere."""

from __future__ import annotations

import asyncio
from typing import Any

from docker.errors import DockerException, ImageNotFound
from dockerspawner import DockerSpawner
from requests.exceptions import ConnectionError as EngineGone

from madang_hub.catalog import Choice
from madang_hub.dashboards.gateway.spawning import AppServer
from madang_hub.isolation.networks import NetworkPlan, PoolExhausted
from madang_hub.spawner import LATER, MadangSpawner
from madang_hub.user_container import app_host_config

HOME = "/tmp"  # noqa: S108  # in the container, where nothing else can be written


class DashboardSpawner(AppServer, MadangSpawner):
    """:class:`MadangSpawner` that starts apps as well."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if self.name:
            # the account has many; and what is refused must not have the name of the person's own container
            self.set_trait("name_template", f"{self.name_template}--{{servername}}")

    async def start(self) -> str:
        """Start the person's server, or the app."""
        return await (self._start_app() if self.is_app else super().start())

    async def poll(self) -> int | str | None:
        """As of every server; what is refused never runs."""
        return 0 if self.is_refused else await super().poll()

    async def stop(self, now: bool = False) -> None:
        """As of every server; of what is refused there is nothing to stop."""
        if not self.is_refused:
            await super().stop(now)

    async def _start_app(self) -> str:
        """Returns its URL as soon as the runner answers.

        Raises:
            StartRefused: (503) what is needed is missing, or the runner ended; with its last lines.
        """
        choice = self.begin()
        self._check_guard()
        await self._make_app(choice)
        url = f"http://{self.networks.plan(self.network_index).address}:{self.port}"
        await self._answers(url, LATER)
        self._answered = True
        self.app_url = url
        return url

    async def _make_app(self, choice: Choice) -> None:
        snapshot = self.snapshot
        try:
            await self._clear_name()
            plan = await self._closed_place()
            self.network_index, self.network_name = plan.index, plan.name
            self._network = asyncio.ensure_future(self.networks.make(plan))
            self.extra_create_kwargs = self._create_kwargs(plan, choice)
            self.extra_host_config = app_host_config(plan, choice, snapshot)
            await DockerSpawner.start(self)
        except ImageNotFound as error:
            raise self.not_started(
                f"What dashboards run in is not installed on this machine yet ({self.image}). Tell the "
                "operator: 'make up' builds it."
            ) from error
        except PoolExhausted as error:
            raise self.not_started(
                "Too many servers run at the moment. Try again later."
            ) from error
        except (EngineGone, DockerException) as error:
            raise self.not_started(
                f"The container engine did not make it ({error}). Tell the operator."
            ) from error

    async def _closed_place(self) -> NetworkPlan:
        """A free network; where all are taken, that of a server that waits for nobody yet."""
        while True:
            try:
                plan: NetworkPlan = await self.networks.take(closed=True)
                return plan
            except PoolExhausted:
                if self.warm is None or not await self.warm.give_way():
                    raise

    def choose(self, options: Any) -> Choice:
        choice = super().choose(options)
        if self.is_app:
            self.image = self.catalog.reference_of(choice.environment)
        return choice

    async def _check_alive(self) -> None:
        if self.is_app and await self.poll() is not None:
            raise self.not_started(f"The runner ended; its last lines: {await self._log_tail()}")
        await super()._check_alive()

    def get_env(self) -> dict[str, str]:
        """An app gets what is listed; nothing of the Hub is left to be taken away."""
        return {**self.app_environment(), "HOME": HOME} if self.is_app else super().get_env()

    def get_args(self) -> list[str]:
        return [] if self.is_app else list(super().get_args())
