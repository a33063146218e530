"""Coming in: a page asks again and again until its visit begins, and then whether it goes on.

Two ways: a person who is signed in, and whoever has a link (no account, no cookie: the token in the body is
all).
Who may not come in gets the same 404 as for a dashboard that does not exist.
"""

from __future__ import annotations

import asyncio
from typing import Any

from madang_hub.dashboards.audience import TOKEN, Visitor, fingerprint, follows, may_see
from madang_hub.dashboards.gateway.gateway import Doing, FailedError, FullError
from madang_hub.dashboards.model import Dashboard
from madang_hub.dashboards.web import views
from madang_hub.dashboards.web.base import Asked, Common
from madang_hub.dashboards.web.people import LINK, link_id
from madang_hub.dashboards.web.wishes import query_of, text_of
from madang_hub.people.service.base import NOTHING_HERE, Problem

PATIENCE = 45.0
"""Seconds that one request waits for a visit of an app that is ready; the page asks again."""


class Coming(Common):
    """Begins visits, and says whether one goes on."""

    async def begin(self, dashboard: Dashboard, visitor: str, query: str) -> None:
        """One look: the visit begins, or the answer says why not yet."""
        gateway, slug = self.parts.gateway, dashboard.slug
        state = gateway.state(slug)
        if state.doing in (Doing.READY, Doing.FULL):
            try:
                async with asyncio.timeout(PATIENCE):
                    path = await gateway.open(dashboard, visitor, self.language, query)
            except TimeoutError:
                state = gateway.state(slug)
            except (FullError, FailedError) as refusal:
                doing = Doing.FULL if isinstance(refusal, FullError) else Doing.FAILED
                self.send(
                    {
                        "state": doing.value,
                        "percent": 0,
                        "sentence": refusal.sentence.text(self.language),
                    }
                )
                return
            else:
                await self._still(dashboard, visitor)
                store, day = self.parts.store, self.parts.today()
                await self.parts.work(store.count_visit, dashboard.slug, day)
                self.send(
                    {
                        "state": "open",
                        "path": path,
                        "visit": path.split("/")[1],
                        "title": dashboard.title,
                        "description": dashboard.description,
                    }
                )
                return
        else:
            gateway.start(dashboard)
            state = gateway.state(slug)
        self.send({**views.state_model(state, self.language), "title": dashboard.title}, 202)

    async def _still(self, dashboard: Dashboard, visitor: str) -> None:
        """The audience may have shrunk while the visit began.

        Raises:
            Problem: (404) it did; the visit has ended.
        """
        now = await self.parts.work(self.parts.store.find, dashboard.slug)
        if now is not None:
            await self.rounds.enforce_one(now)
        there = {v.visitor for v in self.parts.gateway.visits(dashboard.slug)}
        if now is None or visitor not in there:
            raise Problem(404, NOTHING_HERE)

    def goes_on(self, dashboard: Dashboard, visitor: str, visit: str) -> None:
        there = self.parts.gateway.visits(dashboard.slug)
        self.send({"open": any(v.visit == visit and v.visitor == visitor for v in there)})


class Visit(Coming, Asked):
    """``POST api/dashboards/<slug>/visit``: of a person, in the browser only."""

    tokens = False

    async def post(self, slug: str) -> None:
        query = query_of(text_of(self.body(), "query", ""))
        await self.begin(await self.seen(slug), self.viewer.name, query)


class OneVisit(Coming, Asked):
    """``GET api/dashboards/<slug>/visit/<visit>``: whether it goes on; 404 where the person may not stay."""

    tokens = False

    async def get(self, slug: str, visit: str) -> None:
        self.goes_on(await self.seen(slug), self.viewer.name, visit)


class Linked(Coming):
    """Whoever has a link. No cookie is looked at, so there is nothing that another page could use: the token
    stands in the body."""

    async def prepare(self) -> None:
        """There is nobody to ask the Hub about."""

    async def linked(self, slug: str, body: dict[str, Any]) -> tuple[Dashboard, str]:
        """The dashboard and the visitor's name at the gateway.

        Raises:
            Problem: (404) there is none, the link is none of its, has ended, or links are off.
        """
        parts, now = self.parts, self.parts.seconds()
        given = text_of(body, "link", "")
        if not parts.links.days or not TOKEN.fullmatch(given):
            # nobody is known here yet, so the store is not asked for what can be no link
            raise Problem(404, NOTHING_HERE)
        token = fingerprint(given)
        found = await parts.work(parts.store.find, slug)
        if found is None:
            raise Problem(404, NOTHING_HERE)
        link = follows(found.audience, token, now)
        if link is None or not may_see(found, Visitor(link=token), now):
            raise Problem(404, NOTHING_HERE)
        return found, LINK + link_id(link)


class LinkVisit(Linked):
    """``POST api/open/<slug>/visit`` with ``link`` and ``query``."""

    async def post(self, slug: str) -> None:
        body = self.body()
        query = query_of(text_of(body, "query", ""))
        dashboard, visitor = await self.linked(slug, body)
        await self.begin(dashboard, visitor, query)


class OneLinkVisit(Linked):
    """``POST api/open/<slug>/visit/<visit>`` with ``link``: whether it goes on."""

    async def post(self, slug: str, visit: str) -> None:
        dashboard, visitor = await self.linked(slug, self.body())
        self.goes_on(dashboard, visitor, visit)
