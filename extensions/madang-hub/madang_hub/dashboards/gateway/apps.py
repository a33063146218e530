"""Apps as servers of the Hub: started, watched, adopted and stopped. Joins the rules of :mod:`.life` to Hub and
runner; of visits it is only told how many there are.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp

from madang_hub.dashboards.gateway import life as rules
from madang_hub.dashboards.gateway import sealed
from madang_hub.dashboards.gateway.hub import AppsHub, HubAwayError, HubRefusedError, Server
from madang_hub.dashboards.gateway.life import Life, Patience
from madang_hub.dashboards.gateway.runner import Runner, RunnerAwayError, Seen, StrangerError
from madang_hub.dashboards.gateway.sealed import Order

log = logging.getLogger("madang.dashboards")

LOOK = 0.2
"""Seconds between two looks whether a starting app answers."""
USUAL = 5.0
"""Seconds that a start takes until one was measured."""
LOOKING = "it is still looking what runs"
HUB_TROUBLE = (HubAwayError, HubRefusedError)


class StartError(RuntimeError):
    """An app does not start; the text is for its author."""


@dataclass(eq=False)
class App:
    """One version of one dashboard, whether it runs or not.

    Attributes:
        order: what it shows.
        name: of its server; "" where it has none.
        seen: what its runner last said; kept when it has ended, for the author.
        heard: when it last said something, on the clock.
        said: why it does not start.
    """

    order: Order
    life: Life = field(default_factory=Life)
    name: str = ""
    runner: Runner | None = None
    seen: Seen | None = None
    heard: float = 0.0
    since: float = 0.0
    said: str = ""
    starting: asyncio.Task[None] | None = None


class Apps:
    """All apps.

    Args:
        secret: of the installation (:mod:`.sealed`).
        clock: seconds that only go forward.
    """

    def __init__(
        self,
        hub: AppsHub,
        session: aiohttp.ClientSession,
        secret: str,
        patience: Patience,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hub, self._session, self._secret = hub, session, secret
        self.patience, self._clock = patience, clock
        self.current: dict[str, App] = {}
        """The app of each dashboard that new visitors get, by slug."""
        self.leaving: list[App] = []
        """Those of earlier versions: who is there may stay, nobody comes."""
        self.usual = USUAL
        self._unwanted: dict[str, str] = {}
        """Servers that must go, and what they show."""
        self._stopping: set[str] = set()
        """Those of which the Hub is asked just now."""
        self._checking: dict[str, str] = {}

    # ---- which there are ------------------------------------------------------------------

    def find(self, name: str) -> App | None:
        """The app with the server ``name``."""
        return next((app for app in self.all() if name and app.name == name), None)

    def all(self) -> list[App]:
        """Every app that is not forgotten."""
        return [*self.current.values(), *self.leaving]

    def in_use(self) -> frozenset[str]:
        """The snapshots that servers show, or may show."""
        shown = {app.order.content for app in self.all() if app.name}
        return frozenset(shown | set(self._unwanted.values()) | set(self._checking.values()))

    def percent(self, app: App) -> int:
        """How far a start has come."""
        return rules.percent(app.life, self._clock(), self.usual)

    # ---- starting -------------------------------------------------------------------------

    def wake(self, order: Order) -> App:
        """The app that shows ``order``, being started if it may be."""
        app = self.current.get(order.slug)
        if app is None or app.order != order:
            if app is not None and app.name:
                # also one that still starts: it is stopped when it has
                self.leaving.append(app)
            app = self.current[order.slug] = App(order)
        now = self._clock()
        if rules.may_start(app.life, now):
            app.life = rules.started(app.life, now)
            # before its task's first step: what is in no list is stopped by nobody
            app.name = sealed.new_name()
            app.starting = asyncio.create_task(self._start(app))
        return app

    async def _start(self, app: App) -> None:
        began = self._clock()
        try:
            app.runner, app.seen = await self.serve(app.name, app.order)
        except StartError as error:
            app.said = str(error)
            log.warning("the app of %s does not start: %s", app.order.slug, app.said[:500])
            self._drop(app)
            app.life = rules.failed(app.life, self._clock(), self.patience)
        except asyncio.CancelledError:
            self._drop(app)
            raise
        except Exception:
            log.exception("the app of %s does not start", app.order.slug)
            app.said = "Something unexpected went wrong; the operator finds it in the log."
            self._drop(app)
            app.life = rules.failed(app.life, self._clock(), self.patience)
        else:
            now = self._clock()
            app.said, app.heard, app.since = "", now, time.time()
            app.life = rules.answered(app.life, now)
            self.usual = now - began
            log.info("the app of %s is ready after %.1f s", app.order.slug, now - began)

    async def serve(self, name: str, order: Order) -> tuple[Runner, Seen]:
        """Start the server ``name`` for ``order``; its runner, as soon as it answers.

        Raises:
            StartError: it does not start; the server must be dropped.
        """
        options = sealed.options(self._secret, name, order)
        deadline = self._clock() + self.patience.start
        try:
            await self._hub.start(name, options)
            while True:
                server = await self._hub.server(name)
                if server is not None and server.ready and server.url:
                    break
                if server is None or not (server.pending or server.ready):
                    raise StartError(await self._hub.why(name) or "It ended while it was starting.")
                if self._clock() > deadline:
                    raise StartError(f"It did not start within {self.patience.start:.0f} seconds.")
                await asyncio.sleep(LOOK)
            return await self._met(name, server.url)
        except HubRefusedError as error:
            raise StartError(str(error)) from error
        except (HubAwayError, RunnerAwayError) as error:
            raise StartError(f"It could not be started ({error}).") from error

    async def _met(self, name: str, url: str) -> tuple[Runner, Seen]:
        runner = Runner(self._session, url, sealed.key(self._secret, name))
        return runner, await runner.seen()

    # ---- the end --------------------------------------------------------------------------

    def forget(self, slug: str) -> list[App]:
        """Stop all apps of a dashboard; those that had a server. Failures are forgotten as well."""
        ended = [app for app in self.all() if app.order.slug == slug]
        self.current.pop(slug, None)
        self.leaving = [app for app in self.leaving if app.order.slug != slug]
        for app in ended:
            if app.starting is not None and not app.starting.done():
                app.starting.cancel()
        return [app for app in ended if app.name]

    def rest(self, app: App) -> None:
        """Stop an app that nobody visits; the next visitor wakes it."""
        self._drop(app)
        app.life = Life(since=self._clock())
        self.leaving = [one for one in self.leaving if one is not app]

    def drop(self, name: str, order: Order | None = None) -> None:
        """This server must go; ``order``: what it shows, where that is known."""
        self._unwanted[name] = order.content if order is not None else ""

    def _drop(self, app: App) -> None:
        if app.name:
            self.drop(app.name, app.order)
        app.name, app.runner = "", None

    async def clear(self) -> None:
        """Have the Hub stop what must go; what it does not do now is asked for again."""
        names = [name for name in self._unwanted if name not in self._stopping]
        await asyncio.gather(*(self._stop(name) for name in names))

    async def _stop(self, name: str) -> None:
        self._stopping.add(name)
        try:
            if await self._hub.stop(name):
                self._unwanted.pop(name, None)
        except HUB_TROUBLE as error:
            log.warning("the server %s is not stopped yet: %s", name, error)
        finally:
            self._stopping.discard(name)

    # ---- watching -------------------------------------------------------------------------

    async def adopt(self) -> list[App]:
        """Take over what runs already, as after a restart; those apps.

        Raises:
            HubAwayError, HubRefusedError: the Hub does not say what runs.
        """
        servers = await self._hub.servers()
        if any(server is not None and server.pending == "check" for server in servers.values()):
            raise HubAwayError(LOOKING)
        adopted = []
        for name, server in servers.items():
            if self.find(name) or name in self._checking:
                continue
            app = await self._adopted(name, server)
            if app is None:
                if name not in self._unwanted:
                    self.drop(name)
                continue
            self.current[app.order.slug] = app
            adopted.append(app)
            log.info("the app of %s runs already", app.order.slug)
        return adopted

    async def _adopted(self, name: str, server: Server | None) -> App | None:
        if server is None:
            return None
        try:
            order = sealed.order_of(self._secret, name, server.options)
        except sealed.UnsealedError:
            return None
        if order.check or not server.ready or not server.url or order.slug in self.current:
            return None
        try:
            runner, seen = await self._met(name, server.url)
        except RunnerAwayError:
            return None
        now = self._clock()
        life = rules.answered(Life(), now)
        return App(order, life, name, runner, seen, heard=now, since=time.time())

    async def look(self, app: App) -> bool:
        """Ask an app that runs how it is; False: it has ended."""
        if app.runner is None or not app.life.runs:
            return True
        runner = app.runner
        try:
            seen = await runner.seen()
        except RunnerAwayError as error:
            if app.runner is not runner:
                return False
            silent = self._clock() - app.heard >= self.patience.silent
            if not silent and not isinstance(error, StrangerError):
                return True
            self._ended(app, str(error))
            return False
        if app.runner is not runner:
            return False
        app.seen, app.heard = seen, self._clock()
        return True

    def _ended(self, app: App, why: str) -> None:
        log.warning("the app of %s has ended (%s)", app.order.slug, why)
        app.said = "It ended by itself; where memory ran out, this is why."
        self._drop(app)
        app.life = rules.ended(app.life, self._clock(), self.patience)
        self.leaving = [one for one in self.leaving if one is not app]

    async def compare(self) -> list[tuple[App, str]]:
        """Hold what the Hub says that runs against what should; those that have ended, with their names.

        What runs and is nobody's is dropped: an admin may have started it.

        Raises:
            HubAwayError, HubRefusedError: the Hub does not say what runs.
        """
        asked = self._clock()
        servers = await self._hub.servers()
        if any(server is not None and server.pending == "check" for server in servers.values()):
            raise HubAwayError(LOOKING)
        ended = []
        for app in self.all():
            if app.runner is None or not app.life.runs or app.life.since > asked:
                # the Hub's answer may be older than its start
                continue
            server = servers.get(app.name)
            if server is None or not server.ready or server.url != app.runner.url:
                ended.append((app, app.name))
                self._ended(app, "the Hub says so")
        for name, server in servers.items():
            known = self.find(name) or name in self._checking or name in self._unwanted
            if not known and (server is None or not server.pending):
                log.warning("the server %s is no dashboard's; it is stopped", name)
                self.drop(name)
        return ended

    async def report(self) -> None:
        """Tell the Hub when each app was last used."""
        found = {a.name: a.seen.active for a in self.all() if a.name and a.seen is not None}
        if found:
            try:
                await self._hub.active(found)
            except HUB_TROUBLE as error:
                log.warning("the Hub does not take when dashboards were used: %s", error)

    # ---- the check run --------------------------------------------------------------------

    def check_begins(self, name: str, order: Order) -> None:
        """This server is for a check run."""
        self._checking[name] = order.content

    def check_ends(self, name: str, order: Order) -> None:
        """It is done."""
        self._checking.pop(name, None)
        self.drop(name, order)
