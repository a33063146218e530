"""What the clock and changes of people bring about, whether a page asks or not.

Every few seconds the open visits are held against the audiences of now, in a task of its own, and checks are
begun; now and then what is due, whose author has left, and what nobody names any more. A part that fails is
said and done again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from madang_hub.dashboards import versions as rules
from madang_hub.dashboards.audience import Visitor, over
from madang_hub.dashboards.gateway.gateway import Doing
from madang_hub.dashboards.model import Actor, Dashboard, Policy, State, Version
from madang_hub.dashboards.refusals import DashboardError
from madang_hub.dashboards.web.parts import Parts
from madang_hub.dashboards.web.views import NOT_RUN, kept

log = logging.getLogger("madang.dashboards")
LOOK = 3.0
"""Seconds between two looks at the open visits: a smaller audience takes effect within ten."""
DUE = 60.0
"""Seconds between two looks at what the clock and people who left bring about."""
COLLECT = 600.0
CHECKS = 2
"""Checks that run at the same time: each takes an app's memory."""


class Rounds:
    """One per process; methods belong to its loop."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._checks: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(CHECKS)
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Look now."""
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        # what takes long in the rest keeps nobody in
        both = [asyncio.create_task(self._audiences()), asyncio.create_task(self._rest())]
        try:
            await asyncio.gather(*both)
        finally:
            for task in (*both, *self._checks.values()):
                task.cancel()

    async def _audiences(self) -> None:
        while True:
            await self._attempt(self.enforce)
            await asyncio.sleep(LOOK)

    async def _rest(self) -> None:
        loop = asyncio.get_running_loop()
        due = collect = loop.time()
        while True:
            await self._attempt(self.check)
            if loop.time() >= due:
                await self._attempt(self.tick)
                await self._attempt(self.authors)
                due = loop.time() + DUE
            if loop.time() >= collect:
                await self._attempt(self.collect)
                collect = loop.time() + COLLECT
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), LOOK)
            except TimeoutError:
                continue

    async def _attempt(self, part: Callable[[], Awaitable[object]]) -> None:
        try:
            await part()
        except Exception as error:  # the other parts, and the next round, must go on
            log.error("%s: %s: %s", part.__name__, type(error).__name__, error)

    # ---- audiences --------------------------------------------------------------------------

    async def enforce(self) -> None:
        """End every visit of whoever may not come in (any more), and apps of what nobody is shown."""
        for dashboard in await self._parts.work(self._parts.store.all):
            await self.enforce_one(dashboard)

    async def enforce_one(self, dashboard: Dashboard) -> None:
        """The same for one dashboard, as it is now."""
        parts, slug = self._parts, dashboard.slug
        if dashboard.state is not State.PUBLISHED:
            if parts.gateway.state(slug).doing not in (Doing.ASLEEP, Doing.FAILED):
                await parts.gateway.stop(slug)
            return
        there = {visit.visitor for visit in parts.gateway.visits(slug)}
        if not there:
            return

        def gone() -> list[str]:
            visits: list[tuple[str, Visitor]] = [
                (name, parts.people.still(name, dashboard.audience)) for name in sorted(there)
            ]
            return over(dashboard, visits, parts.seconds())

        if ended := await asyncio.to_thread(gone):
            await parts.gateway.end(slug, ended)
            log.info("%s: %d visitors may not stay", slug, len(ended))

    # ---- checks -----------------------------------------------------------------------------

    async def check(self) -> None:
        """Begin the checks of versions that wait for one, also after a restart; end those of replaced ones."""
        waiting = {
            (dashboard.slug, version.number): (dashboard, version)
            for dashboard, version in await self._parts.work(self._parts.store.checking)
        }
        for key, task in list(self._checks.items()):
            if task.done():
                del self._checks[key]
            elif key not in waiting:
                task.cancel()
        for key, (dashboard, version) in waiting.items():
            if key not in self._checks:
                self._checks[key] = asyncio.create_task(self._check(dashboard, version))

    async def _check(self, dashboard: Dashboard, version: Version) -> None:
        parts, slug, number = self._parts, dashboard.slug, version.number
        async with self._slots:
            try:
                result = await parts.gateway.check(dashboard, version)
                passed, why = result.passed, kept(result)
            except Exception as error:  # the author must get an answer whatever it is
                log.error("check of %s: %s: %s", slug, type(error).__name__, error)
                passed, why = False, NOT_RUN
        now = parts.seconds()

        def step(found: Dashboard) -> rules.Step:
            if passed:
                return rules.passed(found, number, now)
            return rules.failed(found, number, why, now)

        try:
            await parts.move(slug, step)
        except DashboardError as error:
            # it was replaced, deleted or is too late: the check says nothing any more
            log.info("%s, version %d: %s", slug, number, error)

    # ---- the clock and people -----------------------------------------------------------------

    async def tick(self) -> None:
        for changed in await self._parts.work(self._parts.store.tick, self._parts.seconds()):
            await self.enforce_one(changed)

    async def authors(self) -> None:
        """Dashboards of people who have left pass on or stop; those of people who came back wait for them."""
        parts, now = self._parts, self._parts.seconds()
        for owner in sorted(await parts.work(parts.store.owners)):
            here = await asyncio.to_thread(parts.people.look, owner) is not None
            for dashboard in await parts.work(parts.store.of, owner):
                if here and dashboard.state is State.STOPPED:
                    await parts.move(dashboard.slug, lambda d: rules.owner_back(d, now))
                elif not here and dashboard.state in (State.PUBLISHED, State.UNPUBLISHED):
                    heirs = await asyncio.to_thread(parts.people.mentors, dashboard.team)
                    await parts.move(dashboard.slug, partial(_gone, heirs, now, parts.policy))

    async def collect(self) -> None:
        parts = self._parts
        removed = await parts.work(parts.store.collect, parts.seconds(), parts.gateway.in_use())
        if removed:
            log.info("%d snapshots removed that nothing named", len(removed))


def _gone(
    heirs: Sequence[Actor], now: int, policy: Policy, dashboard: Dashboard
) -> rules.Step | None:
    return rules.owner_gone(dashboard, heirs, now, policy)
