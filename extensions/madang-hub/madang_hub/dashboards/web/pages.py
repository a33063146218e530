"""The pages: gallery, visit, the author's desk, and the page behind a link."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from madang_hub.dashboards.model import Dashboard, State
from madang_hub.dashboards.rights import Do, allowed, looks_after
from madang_hub.dashboards.web import views
from madang_hub.dashboards.web.base import Asked, Common
from madang_hub.dashboards.web.people import link_id

DAYS = 14
"""Days of which the author's desk says how many visits began."""
EVENTS = 50
"""Lines of what happened, on the author's desk."""


class Page(Asked):
    """A page, for a browser only."""

    tokens = False
    page = True


class Gallery(Page):
    """The first page: what the person may open, and what the person looks after."""

    async def get(self) -> None:
        parts, now = self.parts, self.parts.seconds()
        work, store = parts.work, parts.store
        mine = await work(store.of, self.viewer.name)
        seen = await work(store.seen_by, self.visitor, now)
        led = [await work(store.of_team, team) for team in sorted(self.actor.mentor_of)]
        if self.admin:
            # nobody else decides about what has stopped
            led.append([d for d in await work(store.all) if d.state is State.STOPPED])
        found = [
            d
            for d in views.listed(mine, seen, *led)
            if d.state is not State.GONE
            and (d in mine or d in seen or looks_after(self.actor, d, now))
        ]
        cards = [
            views.card(d, self.actor, self.visitor, parts.gateway.state(d.slug), now) for d in found
        ]
        self.render(
            "gallery.html",
            cards=cards,
            kinds=frozenset[str]().union(*(card.kinds for card in cards)),
            called=await self.off_loop(parts.people.called),
            publishes=self.actor.publishes,
        )


class VisitPage(Page):
    """``d/<slug>/``: the frame for a visit, which its script begins."""

    def set_default_headers(self) -> None:
        super().set_default_headers()
        # the address may hold what is the visitor's own; the app in the frame must not read it
        self.set_header("Referrer-Policy", "no-referrer")

    async def get(self, slug: str) -> None:
        dashboard = await self.seen(slug)
        called = await self.off_loop(self.parts.people.called)
        self.render(
            "visit.html",
            dashboard=dashboard,
            by=called.get(dashboard.owner, dashboard.owner),
            manages=looks_after(self.actor, dashboard, self.parts.seconds()),
        )


class OpenPage(Common):
    """``open/<slug>/``: the page behind a link. The same for every slug, whether there is one or not: what the
    link is good for, its script asks with the token after ``#``."""

    page = True

    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.set_header("Referrer-Policy", "no-referrer")

    async def prepare(self) -> None:
        """Nobody need be signed in."""

    async def get(self, slug: str) -> None:
        self.render("visit.html", dashboard=None, slug=slug, by="", manages=False)


class DeskPage(Page):
    """``d/<slug>/desk``: for who looks after it."""

    template = "desk.html"

    async def get(self, slug: str) -> None:
        dashboard = await self.looked_after(slug)
        self.render(self.template, **await self._values(dashboard))

    async def _values(self, dashboard: Dashboard) -> dict[str, Any]:
        parts, now = self.parts, self.parts.seconds()
        may = allowed(self.actor, dashboard, now)
        mine = dashboard.owner == self.actor.name
        called = await self.off_loop(parts.people.called)
        titles = await self.off_loop(parts.people.titles)
        own = self.actor.teams | self.actor.mentor_of | dashboard.audience.teams
        return {
            "dashboard": dashboard,
            "state": views.shown_state(dashboard),
            "may": {do.value for do in may},
            "mine": mine,
            "edits": Do.EDIT in may and dashboard.state in (State.PUBLISHED, State.UNPUBLISHED),
            "called": called,
            "teams": {
                name: titles[name].title or name if name in titles else name for name in sorted(own)
            },
            "sizes": {
                name: size.title.for_language(self.language) for name, size in parts.sizes.items()
            },
            "links": [link for link in dashboard.audience.links if link.open(now)],
            "link_days": parts.links.days,
            # what an app says of itself (code, tracebacks, its log) is its author's alone
            "desk": await parts.gateway.desk(dashboard.slug) if mine else None,
            "days": await self._days(dashboard) if mine else [],
            "events": await parts.work(parts.store.events, dashboard.slug, EVENTS),
            "moment": views.moment,
            "said": views.said,
            "link_id": link_id,
        }

    async def _days(self, dashboard: Dashboard) -> list[tuple[date, int]]:
        """The last days with how many visits began on each; none where nobody has come at all."""
        parts, today = self.parts, self.parts.today()
        since = today - timedelta(days=DAYS - 1)
        found = await parts.work(parts.store.visits, dashboard.slug, since)
        days = [since + timedelta(days=n) for n in range(DAYS)]
        return [(day, found.get(day, 0)) for day in days] if found else []


class DeskTables(DeskPage):
    """``GET api/dashboards/<slug>/desk``: what changes on that page, as HTML for its script."""

    page = False
    template = "desk_tables.html"
