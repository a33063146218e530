"""MadangSpawner: a user server in its own container, on its own network.

A thin subclass of DockerSpawner. What may be started is decided in ``catalog.py``, which network it
gets in ``isolation/networks.py``, what its container may do in ``user_container.py``; here all are put
into DockerSpawner's traits.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakSet

import aiohttp
from docker.errors import DockerException, ImageNotFound, NotFound
from dockerspawner import DockerSpawner
from requests.exceptions import ConnectionError as EngineGone
from traitlets import Instance, Int, Unicode

from madang_hub.catalog import Choice
from madang_hub.engine_trouble import EngineTrouble
from madang_hub.first_answer import listens, responds
from madang_hub.isolation.networks import NetworkPlan, PoolExhausted, index_in
from madang_hub.lending import Lent
from madang_hub.people.failures import noting
from madang_hub.user_container import HUB_HOST, host_config, hostname, lease_labels
from madang_hub.user_server import HOME_TROUBLE
from madang_hub.warm.claimed import NotWarmError
from madang_hub.warm.servers import WarmServers, a_place

SOON, LATER = 0.01, 0.04
"""Seconds between two looks whether a starting server answers: one that had waited, and any other."""
ALIVE_EVERY = 1.0
"""Seconds between looks whether a starting container still runs, for one start at a time."""
TIDY_AGAIN = 10.0
"""Seconds until the engine is asked again to remove what it could not."""


class MadangSpawner(EngineTrouble, DockerSpawner):
    """One container and one network per user server."""

    instance = Unicode(
        "madang",
        help="Name of this installation: label of its containers and networks. Default: `madang`.",
    ).tag(config=True)
    warm = Instance(
        WarmServers,
        allow_none=True,
        help="The servers that wait to be claimed. Default: none, every server starts cold.",
    ).tag(config=True)
    network_index = Int(-1, help="Index of this server's network in the pool; -1 when it has none.")

    running: ClassVar[set[str]] = set()
    """Who has a server of this Hub that answers."""
    waiting: ClassVar[int] = 0
    """How many containers are starting just now."""
    _tidying: ClassVar[set[asyncio.Task[None]]] = set()
    _all: ClassVar[WeakSet[MadangSpawner]] = WeakSet()

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._all.add(self)
        self._answered = False  # it was up once: only then an end is one that a person missed
        self._stage: tuple[int, str] = (0, "")
        self._stage_changed = asyncio.Event()
        self._network: asyncio.Future[None] | None = None
        self._exit_code = 0  # of the container that was last seen to have ended

    @classmethod
    def starting(cls) -> bool:
        """Whether somebody's server is being started just now."""
        return any(spawner.pending == "spawn" for spawner in cls._all)

    @classmethod
    def names(cls) -> set[str]:
        """The names of the containers that run, start or stop just now, as this Hub knows it."""
        return {spawner.object_name for spawner in cls._all if spawner.active}

    # ---- options --------------------------------------------------------------------------

    def choose(self, options: Any) -> Choice:
        """Check the request's options and set image and limits by them."""
        choice = super().choose(options)
        self.image = self.catalog.reference_of(choice.environment)
        return choice

    # ---- starting -------------------------------------------------------------------------

    @noting
    async def start(self) -> str:
        """Home, network, container (one that waited, or a new one), and the first answer over HTTP.

        Returns the server's URL.

        Raises:
            StartRefused: (503) something of the installation is missing; the sentence is for the
                person, the log says what an operator must know.
        """
        choice = self.begin()
        self._enter(10, "Preparing your folder and network")
        self._check_guard()
        home = asyncio.ensure_future(self.ready_home())
        try:
            lent = await self.borrow()
            warm = await self._claimed(choice, home, lent)
            if not warm:
                await self._make(choice, await home, lent)
        finally:
            # also where the start failed before anybody asked for it
            await asyncio.gather(home, return_exceptions=True)
        url = f"http://{self.networks.plan(self.network_index).address}:{self.port}"
        self._enter(60, "Starting JupyterLab")
        await self._answers(url, SOON if warm else LATER)
        self._answered = True
        self.running.add(self.user.name)
        if self.started_hook is not None:
            self.started_hook(self)
        self._enter(95, "Almost there")
        return url

    async def _claimed(self, choice: Choice, home: Awaitable[Path], lent: Lent) -> bool:
        """Whether a server that waited has become this person's, with just what is lent."""
        if self.warm is None:
            return False

        async def folder() -> str:
            return (await home).name

        async def told() -> tuple[list[str], dict[str, str]]:
            return await self.get_command(), self.get_env()

        try:
            claimed = await self.warm.claim(choice, folder, self.object_name, told, lent)
        except NotWarmError as error:
            self.log.info("%s: no warm server (%s), starting a cold one", self.user.name, error)
            return False
        self.object_id = claimed.container
        self.network_index, self.network_name = claimed.plan.index, claimed.plan.name
        self.log.info("%s: claimed the warm server %s", self.user.name, claimed.container[:12])
        return True

    async def _make(self, choice: Choice, home: Path, lent: Lent) -> None:
        """A new container on a network of its own, started."""
        try:
            await self._clear_name()
            if self.warm is not None:
                await self.warm.vacate(lent)
            plan = await a_place(self.networks, self.warm)
            self.network_index = plan.index
            self._network = asyncio.ensure_future(self.networks.make(plan))
            self.network_name = plan.name
            self.extra_create_kwargs = self._create_kwargs(plan, choice)
            self.extra_host_config = host_config(plan, choice, home, lent.devices)
            self._enter(30, "Creating your container")
            await super().start()
        except ImageNotFound as error:
            raise self._refusal(
                "This environment is not installed on this machine yet. Tell the operator.",
                "image-missing",
                f"image {self.image} is missing; 'make up' or 'madang images build' builds it",
            ) from error
        except (EngineGone, PoolExhausted, DockerException) as error:
            raise self._explained(error) from error

    async def _clear_name(self) -> None:
        """Remove a container with this server's name, and its network: a Hub that ended left it."""
        if (found := await self.get_object()) is None:
            return
        self.log.warning("Removing %s, which an ended Hub left", self.container_name)
        await self.networks.clear(found[self.object_id_key], index_in(found["Config"]["Labels"]))
        self.object_id = ""

    def _create_kwargs(self, plan: NetworkPlan, choice: Choice) -> dict[str, Any]:
        endpoint = self.client.create_endpoint_config(ipv4_address=str(plan.address))
        return {
            "user": "1000:1000",
            "hostname": hostname(choice.environment),
            "labels": {
                "madang.instance": self.instance,
                "madang.user": self.user.name,
                "madang.server": self.name,
                "madang.environment": self.environment_name,
                "madang.version": self.version,
                "madang.size": self.size_name,
                "madang.network": str(plan.index),
                **lease_labels(self._lent),
            },
            "networking_config": self.client.create_networking_config({plan.name: endpoint}),
        }

    async def start_object(self) -> None:
        """The container may start once its network is there (made side by side with it)."""
        if self._network is not None:
            await self._network
            self._network = None
        await super().start_object()

    async def get_ip_and_port(self) -> tuple[str, int]:
        """Known beforehand: the network has one address for the one container."""
        return str(self.networks.plan(self.network_index).address), self.port

    async def _answers(self, url: str, pause: float) -> None:
        """Return when the server answers; fail at once when its container has ended.

        ``pause``: seconds between two looks while no other server starts.

        The Hub would notice an answer late (it waits longer from try to try) and a dead container
        only after its own timeout.
        """
        target = url + str(self.server.base_url if self.server else "/") + "api"
        host, port = str(self.networks.plan(self.network_index).address), self.port
        deadline = time.monotonic() + self.start_timeout
        next_look = time.monotonic() + ALIVE_EVERY
        kind = type(self)
        kind.waiting += 1
        try:
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
                while time.monotonic() < deadline:
                    # while nobody listens yet, a refused connection is all that it costs
                    if await listens(host, port) and await responds(session, target):
                        return
                    if time.monotonic() > next_look:
                        await self._check_alive()
                        next_look = time.monotonic() + ALIVE_EVERY * kind.waiting
                    # a class's starts together ask as often as a few would: they need the processor
                    await asyncio.sleep(min(0.5, pause * kind.waiting))
        finally:
            kind.waiting -= 1
        raise TimeoutError(f"no answer from {target} in {self.start_timeout} seconds")

    async def _check_alive(self) -> None:
        if (ended := await self.poll()) is not None:
            tail = await self._log_tail()
            log = f"container ended while starting ({ended}); its last lines: {tail}"
            if self._exit_code in HOME_TROUBLE:
                raise self.home_trouble(HOME_TROUBLE[self._exit_code], log)
            raise self._refusal(
                "Your server ended while it was starting. If this happens again, tell the operator the "
                "time.",
                "died",
                log,
            )

    async def _log_tail(self) -> str:
        try:
            raw = await self.docker("logs", self.container_id, tail=15)
        except DockerException as error:
            return f"(no log: {error})"
        return str(raw.decode("utf-8", "replace"))

    # ---- environment ----------------------------------------------------------------------

    def get_env(self) -> dict[str, str]:
        """What a server is told: language, size and how to reach tracking (with its own token)."""
        env: dict[str, str] = super().get_env()
        env.update(self.environment_at(f"http://{HUB_HOST}:{self.public_port}"))
        # a device in a container is its alone; madang_lab counts its use as activity
        env["MADANG_OWN_DEVICES"] = "1"
        return env

    # ---- the end --------------------------------------------------------------------------

    async def poll(self) -> int | str | None:
        """None while the container runs; remembers why it ended otherwise."""
        try:
            container = await self.get_object()
        except (EngineGone, DockerException) as error:
            # nobody knows: saying "ended" would drop a running server from the proxy
            self.log.error("Cannot ask the engine about %s: %s", self.container_name, error)
            return None
        if container is None:
            if self._answered:
                self.last_end = "killed"
            return 0
        if self.network_index < 0:
            # the Hub ended in the middle of its start
            self.network_index = index_in(container["Config"]["Labels"])
        state = container["State"]
        if state["Running"]:
            return None
        self._exit_code = int(state["ExitCode"])
        # the engine sets the mark for any process inside, a kernel too; 137 is what SIGKILL leaves
        memory = state.get("OOMKilled") and state["ExitCode"] == 137
        end = "memory" if memory else "killed"
        if self._answered:
            self.last_end = end
        return f"exit code {state['ExitCode']}, {end} at {state['FinishedAt']}"

    async def get_url(self) -> str:
        """Where the server answers; a Hub that ended in the middle of its start did not write it down."""
        if self.network_index < 0 or self.server is None:
            return str(await super().get_url())
        address = self.networks.plan(self.network_index).address
        return f"http://{address}:{self.port}{self.server.base_url}"

    async def get_object(self) -> Any:
        """The engine's description of the container; None when there is none.

        DockerSpawner takes an engine's inner error (500) for a container that is gone, and the Hub would
        drop a server that runs.
        """
        try:
            found = await self.docker(f"inspect_{self.object_type}", self.object_name)
        except NotFound:
            self.object_id = ""
            return None
        self.object_id = found[self.object_id_key]
        return found

    async def stop(self, now: bool = False) -> None:
        """Stop and remove the container; :meth:`tidy` follows.

        Raises:
            RuntimeError: the engine did not do it (it is done as soon as the engine can).
        """
        if not self.object_id:
            return
        try:
            await self.stop_object()
            await self.remove_object()
        except (EngineGone, DockerException) as error:
            raise RuntimeError(f"the engine did not stop {self.container_name}: {error}") from error
        self.networks.removed(self.object_id)
        self.object_id = ""

    async def tidy(self) -> None:
        """Remove what is left of a server that ended, in whatever way, and free its network.

        JupyterHub's ``post_stop_hook``: the Hub calls :meth:`stop` only for a container that runs, not
        for one that ended by itself or never came to run.
        """
        container, index = self.object_id, self.network_index
        if self._network is not None:
            # a start that failed half-way: what it began must be there before it can be removed
            await asyncio.gather(self._network, return_exceptions=True)
            self._network = None
        if not container and index < 0:
            return
        if not await self._removed(container, index):
            task = asyncio.create_task(self._tidy_later(container, index))
            self._tidying.add(task)
            task.add_done_callback(self._tidying.discard)

    async def _tidy_later(self, container: str, index: int) -> None:
        removed = False
        while not removed:
            await asyncio.sleep(TIDY_AGAIN)
            removed = await self._removed(container, index)
        self.log.info("The rest of %s is removed now", self.container_name)

    async def _removed(self, container: str, index: int) -> bool:
        """Remove ``container`` (an id: its name may be another's by now) and the network ``index``."""
        try:
            await self.networks.drop(container, index)
        except (EngineGone, DockerException) as error:
            self.log.warning("Not removed yet: what is left of %s (%s)", self.container_name, error)
            return False
        return True

    def get_state(self) -> dict[str, Any]:
        return {**super().get_state(), "network_index": self.network_index}

    def load_state(self, state: dict[str, Any]) -> None:
        super().load_state(state)
        self.network_index = state.get("network_index", -1)
        self._answered = self.network_index >= 0
        if self._answered and not self.name:
            self.running.add(self.user.name)

    def clear_state(self) -> None:
        super().clear_state()
        self.network_index = -1
        self._answered = False
        if not self.name:
            # what has a name is no person's server, whoever it is said to be of
            self.running.discard(self.user.name)

    # ---- progress -------------------------------------------------------------------------

    def _enter(self, percent: int, msgid: str) -> None:
        self._stage = (percent, msgid)
        self._stage_changed.set()

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """What is happening, in the language of the person who pressed start."""
        shown = -1
        while True:
            percent, msgid = self._stage
            if percent > shown and msgid:
                shown = percent
                yield {"progress": percent, "message": self._sentence(msgid)}
            self._stage_changed.clear()
            await self._stage_changed.wait()
