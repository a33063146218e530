"""The REST API: for the pages, for JupyterLab and ``madang publish``.

Bodies and answers are JSON; what stands in a body is judged by :mod:`.wishes`, who may do it by the rules.
``expect`` is the revision that whoever asks has seen: if somebody was faster, nothing is done (409).
"""

from __future__ import annotations

import secrets
from typing import Any

from madang_hub.dashboards import versions as rules
from madang_hub.dashboards.audience import TOKEN_BYTES, Audience, add_link, fingerprint, revoke
from madang_hub.dashboards.model import Dashboard
from madang_hub.dashboards.refusals import NotFoundError
from madang_hub.dashboards.rights import Do, must
from madang_hub.dashboards.store import Move
from madang_hub.dashboards.web import views
from madang_hub.dashboards.web.base import Asked
from madang_hub.dashboards.web.people import link_id, link_of
from madang_hub.dashboards.web.wishes import (
    AudienceWish,
    WishError,
    audience_of,
    expected,
    text_of,
    whole_of,
)
from madang_hub.web.i18n import N_

SHOWN = 8
"""Dashboards on the home page; the gallery has all."""


class Answering(Asked):
    """Answers with a dashboard."""

    def model(self, dashboard: Dashboard, *, long: bool = True) -> dict[str, Any]:
        now = self.parts.seconds()
        return views.model(dashboard, self.actor, self.parts.prefix, now, long=long)

    async def wish(self, body: Any, dashboard: Dashboard | None = None) -> AudienceWish:
        """The audience that a body asks for; see :func:`.wishes.audience_of`."""
        parts = self.parts
        known = await self.off_loop(lambda: {p.name for p in parts.directory.people()})
        present = dashboard.audience if dashboard else Audience()
        own = self.actor.teams | self.actor.mentor_of
        return audience_of(body, present, own, known | {parts.settings.admin})

    def for_whom(self, wish: AudienceWish) -> Move:
        now = self.parts.seconds()
        return lambda d: rules.for_whom(d, wish.over(d.audience), self.actor, now)


class Mine(Answering):
    """``GET api/mine``: the own dashboards without tracebacks, and what is needed to publish one."""

    async def get(self) -> None:
        parts = self.parts
        found = await parts.work(parts.store.of, self.viewer.name)
        teams = await self.off_loop(parts.people.titles)
        own = sorted(self.actor.teams | self.actor.mentor_of)
        self.send(
            {
                "publishes": self.actor.publishes,
                "teams": [
                    {"name": name, "title": teams[name].title or name}
                    for name in own
                    if name in teams
                ],
                "sizes": [
                    {"name": size.name, "title": size.title.for_language(self.language)}
                    for size in parts.sizes_for(self.viewer)
                ],
                "size": parts.default_size,
                "dashboards": [self.model(d, long=False) for d in found],
            }
        )


class Made(Answering):
    """``POST api/dashboards``: an address for a first version; nobody but the author is let in before it has
    one."""

    async def post(self) -> None:
        parts, body = self.parts, self.body()
        # before anything is said of people whom the body names
        rules.must_publish(self.actor)
        team = text_of(body, "team", "")
        title, description = text_of(body, "title"), text_of(body, "description", "")
        wish = await self.wish(body.get("audience", {}))
        made = await parts.work(
            parts.store.create,
            self.actor,
            title,
            parts.seconds(),
            team=team,
            description=description,
        )
        if wish != AudienceWish():
            made = await parts.move(made.slug, self.for_whom(wish))
        self.send(self.model(made), 201)


class One(Answering):
    """``api/dashboards/<slug>``: see it, change its words and audience, delete it."""

    async def get(self, slug: str) -> None:
        self.send(self.model(await self.looked_after(slug)))

    async def patch(self, slug: str) -> None:
        parts, body, now = self.parts, self.body(), self.parts.seconds()
        found = await self.managed(slug)
        must(self.actor, Do.EDIT, found, now)
        expect = expected(body.get("expect"))
        wish = await self.wish(body["audience"], found) if "audience" in body else None
        if {"title", "description"} & body.keys():
            title = text_of(body, "title", found.title)
            description = text_of(body, "description", found.description)
            found = await parts.move(
                slug, lambda d: rules.edit(d, title, description, self.actor, now), expect=expect
            )
            expect = found.revision
        if wish is not None:
            found = await parts.move(slug, self.for_whom(wish), expect=expect)
            # before the answer: whoever was taken out is out when the author reads that it is so
            await self.rounds.enforce_one(found)
        self.send(self.model(found))

    async def delete(self, slug: str) -> None:
        parts, now = self.parts, self.parts.seconds()
        await self.managed(slug)
        self.send(
            self.model(
                await parts.move(slug, lambda d: rules.delete(d, self.actor, now, parts.policy))
            )
        )


class Moved(Answering):
    """``POST api/dashboards/<slug>/<move>``: show a version, unpublish, bring back, hand over, take over."""

    async def post(self, slug: str, move: str) -> None:
        parts, body = self.parts, self.body()
        before = await self.managed(slug)
        if move == "hand-over":
            # before anything is said of whom the body names
            must(self.actor, Do.HAND_OVER, before, parts.seconds())
        step = await self._step(move, body)
        after = await parts.move(slug, step, expect=expected(body.get("expect")))
        if move == "show" and after.current != before.current:
            # what ran shows another version; whoever was there comes in again
            await parts.gateway.stop(slug)
        await self.rounds.enforce_one(after)
        self.send(self.model(after))

    async def _step(self, move: str, body: dict[str, Any]) -> Move:
        actor, now = self.actor, self.parts.seconds()
        if move == "show":
            number = whole_of(body, "version")
            return lambda d: rules.show(d, number, actor, now)
        if move == "hand-over":
            name = text_of(body, "to").strip()
            to = await self.off_loop(self.parts.people.actor, name)
            if to is None:
                raise WishError(
                    N_("There is nobody with the user name {person}. Check how it is written."),
                    person=name[:60],
                )
            return lambda d: rules.hand_over(d, to, actor, now)
        step = {
            "unpublish": rules.unpublish,
            "undelete": rules.undelete,
            "take-over": rules.take_over,
        }[move]
        return lambda d: step(d, actor, now)


class Links(Answering):
    """``POST api/dashboards/<slug>/links``: a link for ``days`` for whoever has it. It is shown this once."""

    async def post(self, slug: str) -> None:
        parts, body, now = self.parts, self.body(), self.parts.seconds()
        await self.managed(slug)
        days, label = whole_of(body, "days"), text_of(body, "label", "")
        token = secrets.token_urlsafe(TOKEN_BYTES)
        hashed, me = fingerprint(token), self.actor.name

        def step(d: Dashboard) -> rules.Step:
            must(self.actor, Do.EDIT, d, now)
            audience = add_link(d.audience, hashed, me, label, days, now, parts.links)
            return rules.for_whom(d, audience, self.actor, now)

        after = await parts.move(slug, step)
        link = next(link for link in after.audience.links if link.hash == hashed)
        self.send(
            {
                "id": link_id(link),
                # after #: browsers send it to nobody, no log and no app sees it
                "url": f"{parts.prefix}open/{slug}/#{token}",
                "until": views.moment(link.ends),
            },
            201,
        )


class OneLink(Answering):
    """``DELETE api/dashboards/<slug>/links/<id>``: take it back. Whoever came by it is out at once."""

    async def delete(self, slug: str, identity: str) -> None:
        parts, now = self.parts, self.parts.seconds()
        await self.managed(slug)

        def step(d: Dashboard) -> rules.Step:
            must(self.actor, Do.EDIT, d, now)
            link = link_of(d.audience, identity)
            if link is None:
                raise NotFoundError(N_("There is no such link (any more). Load the page again."))
            return rules.for_whom(d, revoke(d.audience, link.hash, now), self.actor, now)

        after = await parts.move(slug, step)
        await self.rounds.enforce_one(after)
        self.send(self.model(after))


class Shared(Asked):
    """``GET api/shared``: what others share with this person, for the home page and the page of a class.

    ``team`` leaves what is for that team.
    """

    async def get(self) -> None:
        parts = self.parts
        team = self.get_query_argument("team", "")
        found = await parts.work(parts.store.seen_by, self.visitor, parts.seconds())
        called = await self.off_loop(parts.people.called)
        mine = self.actor.teams | self.actor.mentor_of
        shown = [
            d
            for d in found
            if (team in d.audience.teams and team in mine if team else self._shared(d, mine))
        ]
        self.send(
            {
                "dashboards": [
                    {
                        "title": d.title,
                        "url": f"{parts.prefix}d/{d.slug}/",
                        "by": called.get(d.owner, d.owner),
                    }
                    for d in shown[:SHOWN]
                ],
                "more": max(0, len(shown) - SHOWN),
            }
        )

    def _shared(self, dashboard: Dashboard, teams: frozenset[str]) -> bool:
        audience, name = dashboard.audience, self.viewer.name
        for_me = name in audience.people or bool(audience.teams & teams) or audience.signed_in
        return for_me and dashboard.owner != name
