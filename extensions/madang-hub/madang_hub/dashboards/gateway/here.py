"""The gateway of this process: joins apps, visits and their doors."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Collection
from typing import Any

import aiohttp

from madang_hub.dashboards.gateway import life as rules
from madang_hub.dashboards.gateway.apps import HUB_TROUBLE, App, Apps
from madang_hub.dashboards.gateway.checking import check
from madang_hub.dashboards.gateway.gateway import (
    AppState,
    CheckResult,
    Desk,
    Doing,
    FailedError,
    FullError,
    OpenVisit,
)
from madang_hub.dashboards.gateway.hub import AppsHub
from madang_hub.dashboards.gateway.life import Patience
from madang_hub.dashboards.gateway.runner import Runner, RunnerAwayError
from madang_hub.dashboards.gateway.sealed import Order
from madang_hub.dashboards.gateway.visits import Limits, Visit, Visits
from madang_hub.dashboards.model import Dashboard, Version
from madang_hub.people.sentences import Sentence
from madang_hub.web.i18n import N_

log = logging.getLogger("madang.dashboards")

ROUND = 1.0
"""Seconds between two looks at apps and visits."""
COMPARE = 10.0
"""Seconds between two looks at what the Hub says that runs."""
REPORT = 60.0
"""Seconds between two reports of use to the Hub."""
LONGEST_QUERY = 2048

_SAID: dict[Doing, str] = {
    Doing.ASLEEP: N_("Nobody is there at the moment; it starts when it is opened."),
    Doing.STARTING: N_("The dashboard is starting."),
    Doing.READY: N_("The dashboard is ready."),
    Doing.FULL: N_("All seats are taken at the moment. Please open it again in a little while."),
    Doing.FAILED: N_("The dashboard does not start at the moment. Please tell its author."),
}
_OFTEN = N_(
    "You have opened dashboards many times just now. Close pages that you do not need, wait a minute and open "
    "it again."
)


def order_of(dashboard: Dashboard, version: Version, *, checked: bool = False) -> Order:
    """What a server is to show."""
    return Order(
        dashboard.slug, version.number, version.content, version.notebook, version.size, checked
    )


def _seats(app: App) -> int:
    return app.seen.seats if app.seen is not None else 0


class HubGateway:
    """:class:`.gateway.Gateway` by servers of the Hub. Made, and used, inside one loop.

    Args:
        api: the Hub's API; token: the service's.
        secret: of the installation, which the spawner has as well (:mod:`.sealed`).
        clock: seconds that only go forward.
    """

    def __init__(
        self,
        api: str,
        token: str,
        secret: str,
        *,
        patience: Patience | None = None,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.session = aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(),
            connector=aiohttp.TCPConnector(limit=0),
            auto_decompress=False,
        )
        self._hub = AppsHub(api, token)
        self.clock = clock
        self.patience = patience or Patience()
        self.apps = Apps(self._hub, self.session, secret, self.patience, clock)
        self.open_visits = Visits(limits or Limits())
        self.closers: dict[str, dict[int, Callable[[], None]]] = {}
        """How to close each socket of a visit, by the visit's name."""
        self._waiting = 0
        self._reported = self._compared = clock()
        self._adopted = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Let go of the connections; apps run on, the next gateway adopts them."""
        for task in self._tasks:
            task.cancel()
        await self.idle()
        await self._hub.close()
        await self.session.close()

    # ---- what pages ask -------------------------------------------------------------------

    def start(self, dashboard: Dashboard) -> None:
        """As :meth:`.gateway.Gateway.start`."""
        if dashboard.shown is not None and self._adopted.is_set():
            self.apps.wake(order_of(dashboard, dashboard.shown))

    def state(self, slug: str) -> AppState:
        """As :meth:`.gateway.Gateway.state`."""
        app = self.apps.current.get(slug)
        doing = app.life.doing if app is not None else Doing.ASLEEP
        if app is not None and doing is Doing.READY and self._full(app):
            doing = Doing.FULL
        percent = self.apps.percent(app) if app is not None else 0
        return AppState(doing, percent, Sentence(_SAID[doing]))

    def _full(self, app: App) -> bool:
        return self.open_visits.taken(app.name, self.clock()) >= _seats(app)

    def _admit(self, app: App, visitor: str) -> None:
        """Whether the visitor may begin a visit in ``app`` now.

        Raises:
            FullError: not now.
        """
        if self._full(app):
            raise FullError(_SAID[Doing.FULL])
        visits, now = self.open_visits, self.clock()
        shares = visits.shares(app.name, visitor, _seats(app), now)
        if not shares or not visits.may_begin(visitor, now):
            raise FullError(_OFTEN)

    async def open(self, dashboard: Dashboard, visitor: str, language: str, query: str) -> str:
        """As :meth:`.gateway.Gateway.open`."""
        version = dashboard.shown
        if version is None:
            raise FailedError(_SAID[Doing.FAILED])
        full = self._waiting >= self.open_visits.limits.waits
        if full or not self.open_visits.may_begin(visitor, self.clock()):
            raise FullError(_OFTEN)
        self._waiting += 1
        try:
            async with asyncio.timeout(self.patience.start + 10):
                await self._adopted.wait()
                app = self.apps.wake(order_of(dashboard, version))
                if app.starting is not None:
                    # the start goes on when this visitor does not wait for it
                    await asyncio.wait([app.starting])
        except TimeoutError:
            raise FailedError(_SAID[Doing.FAILED]) from None
        finally:
            self._waiting -= 1
        if app.life.runs:
            self._admit(app, visitor)
        await self._proved(app)
        if not app.life.runs or self.apps.current.get(dashboard.slug) is not app:
            raise FailedError(_SAID[Doing.FAILED])
        # others may have come meanwhile
        self._admit(app, visitor)
        name = secrets.token_urlsafe(24)
        self.open_visits.begin(
            name, dashboard.slug, app.name, visitor, language, self.clock(), time.time()
        )
        self._settle(app)
        asked = query[:LONGEST_QUERY]
        return f"visit/{name}/" + (f"?{asked}" if asked else "")

    async def _proved(self, app: App) -> None:
        """Whoever has the address of an app that ended is not it.

        Raises:
            FailedError: it does not run; or what answers there just now is not it, or nothing does.
        """
        runner = app.runner
        if runner is None:
            raise FailedError(_SAID[Doing.FAILED])
        try:
            await runner.proved()
        except RunnerAwayError as error:
            log.warning("nobody is let in to the app of %s: %s", app.order.slug, error)
            raise FailedError(_SAID[Doing.FAILED]) from error
        if app.runner is not runner:
            raise FailedError(_SAID[Doing.FAILED])

    async def end(self, slug: str, visitors: Collection[str]) -> None:
        """As :meth:`.gateway.Gateway.end`."""
        for visit in self.open_visits.of(slug):
            if visit.visitor in visitors:
                self._over(visit)
                app = self.apps.find(visit.app)
                if app is not None and app.runner is not None:
                    # not waited for: a runner that hangs keeps nobody in
                    self.later(self._close_in(app.runner, visit.name))

    async def stop(self, slug: str) -> None:
        """As :meth:`.gateway.Gateway.stop`."""
        # those that still start are cancelled, and dropped by their own task
        for app in self.apps.forget(slug):
            self.apps.drop(app.name, app.order)
        for visit in self.open_visits.of(slug):
            self._over(visit)
        # not waited for: the Hub may take long, or hang; what it did not stop is asked for again
        self.later(self.apps.clear())

    async def check(self, dashboard: Dashboard, version: Version) -> CheckResult:
        """As :meth:`.gateway.Gateway.check`."""
        await self._adopted.wait()
        try:
            return await check(self.apps, order_of(dashboard, version, checked=True))
        finally:
            self.later(self.apps.clear())

    async def desk(self, slug: str) -> Desk:
        """As :meth:`.gateway.Gateway.desk`."""
        app = self.apps.current.get(slug)
        if app is None:
            return Desk(self.state(slug))
        await self._look(app)
        runs, seen = app.life.runs, app.seen
        return Desk(
            self.state(slug),
            app.since if runs else 0.0,
            seen.seats if runs and seen else 0,
            seen.memory_limit if runs and seen else 0,
            tuple(seen.visits.values()) if runs and seen else (),
            seen.errors if seen else (),
            seen.log if seen else (),
            app.said,
        )

    def visits(self, slug: str) -> list[OpenVisit]:
        """As :meth:`.gateway.Gateway.visits`."""
        return [OpenVisit(v.name, v.visitor, v.wall) for v in self.open_visits.of(slug)]

    def in_use(self) -> frozenset[str]:
        """As :meth:`.gateway.Gateway.in_use`."""
        return self.apps.in_use()

    def handlers(self, prefix: str) -> list[Any]:
        """As :meth:`.gateway.Gateway.handlers`."""
        from madang_hub.dashboards.gateway.doors import rules_at

        return rules_at(prefix, self)

    # ---- looking after it -----------------------------------------------------------------

    async def run(self) -> None:
        """As :meth:`.gateway.Gateway.run`."""
        while True:
            try:
                if not self._adopted.is_set():
                    await self._adopt()
                await self.look()
            except HUB_TROUBLE as error:
                log.warning("the Hub does not say which dashboards run: %s", error)
            except Exception:
                log.exception("this look at the dashboards failed")
            await asyncio.sleep(ROUND)

    async def _adopt(self) -> None:
        """Take over apps; whose visits theirs are is not known any more, so those end."""
        for app in await self.apps.adopt():
            if app.runner is not None and app.seen is not None:
                for name in app.seen.visits:
                    await self._close_in(app.runner, name)
        self._adopted.set()

    async def look(self) -> None:
        """One round."""
        now = self.clock()
        for visit in self.open_visits.unasked(now, self.patience.page):
            self._over(visit)
        await asyncio.gather(*(self._look(app) for app in self.apps.all()))
        for app in self.apps.all():
            empty = app in self.apps.leaving and app.life.empty is not None
            if rules.over(app.life, self.clock(), self.patience) or empty:
                log.info("nobody is at the app of %s any more", app.order.slug)
                self.apps.rest(app)
        self.apps.leaving = [app for app in self.apps.leaving if app.name]
        # the Hub may take ten seconds for a stop
        self.later(self.apps.clear())
        if now - self._reported >= REPORT:
            self._reported = now
            await self.apps.report()
        if now - self._compared >= COMPARE:
            self._compared = now
            # nor is this waited for: the Hub may hang
            self.later(self._compare())

    async def _compare(self) -> None:
        try:
            ended = await self.apps.compare()
        except HUB_TROUBLE as error:
            log.warning("the Hub does not say which dashboards run: %s", error)
            return
        for app, name in ended:
            for visit in self.open_visits.of_app(name):
                self._over(visit)
            self._settle(app)
        self.later(self.apps.clear())

    async def _look(self, app: App) -> None:
        """Hear how an app is, and forget visits that it does not know any more."""
        name, asked = app.name, self.clock()
        there = await self.apps.look(app)
        known = app.seen.visits if there and app.seen is not None else {}
        gone = (
            self.open_visits.missing(name, known, asked) if there else self.open_visits.of_app(name)
        )
        for visit in gone:
            self._over(visit)
        self._settle(app)

    def _settle(self, app: App) -> None:
        visits = len(self.open_visits.of_app(app.name))
        app.life = rules.visited(app.life, visits, self.clock(), self.patience)

    # ---- the end of visits ----------------------------------------------------------------

    def _over(self, visit: Visit) -> None:
        """It is over: its sockets close, its path is gone."""
        self.open_visits.end(visit)
        for close in list(self.closers.pop(visit.name, {}).values()):
            close()

    async def _close_in(self, runner: Runner, name: str) -> None:
        try:
            await runner.end(name)
        except RunnerAwayError as error:
            # its sockets are closed, so the runner ends it by itself after a few seconds
            log.warning("a visit was not ended by the runner: %s", error)

    async def idle(self) -> None:
        """Return when nothing is under way that nobody waits for."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def later(self, work: Any) -> None:
        """Begin ``work``; nobody waits for it."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
