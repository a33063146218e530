"""The pages: a person's own, which a script fills; of a class; of all slots."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from madang_hub.accelerators.broker import views
from madang_hub.accelerators.broker.handlers import AdminAsked, Asked
from madang_hub.accelerators.leases import Lease, State
from madang_hub.accelerators.ledger import Budget
from madang_hub.catalog import Offer
from madang_hub.catalog import Person as Chooser
from madang_hub.people.service.base import NOTHING_HERE, Problem

MINUTES = (30, 60, 120, 240, 480, 720, 1440)
"""Lengths that the form offers, as far as the policy allows them, and the longest itself."""


class Page(Asked):
    """A page of the broker, for a browser only."""

    tokens = False
    page = True

    def called(self) -> dict[str, str]:
        """Blocking: what people call each other, by user name."""
        return {p.name: p.display_name for p in self.parts.directory.people() if p.display_name}

    async def line(self, leases: Iterable[Lease], now: int) -> list[Lease]:
        """Who of ``leases`` (the open ones) waits, in order; teams with nothing left this month come last."""
        desk, work = self.parts.desk, self.parts.work
        teams = {x.request.team for x in leases if x.state is State.QUEUED}
        spent = [name for name in teams if (await work(desk.budget, name, now)).spent]
        return await work(desk.leases.accounts.line, now, desk.limits.weights, spent)


@dataclass(frozen=True)
class Led:
    """A team that somebody may see the reservations of."""

    name: str
    title: str


class Mine(Page):
    """The first page: what concerns the person."""

    async def get(self) -> None:
        values = await self.off_loop(self._values)
        self.render("mine.html", **values)

    def _values(self) -> dict[str, Any]:
        parts, me = self.parts, self.viewer
        slots = parts.desk.inventory.slots
        kinds = {slot.kind for slot in slots}
        who = Chooser(me.name, me.teams, me.admin)
        offers = [o for o in parts.shelf.open_to(who).offers(who) if can_use(o, kinds)]
        titles = self.titles()
        return {
            "there": bool(slots),
            "offers": offers,
            "sizes": list({s.name: s for o in offers for s in o.sizes}.values()),
            "teams": {name: titles.get(name, name) for name in sorted(me.teams)},
            "led": [Led(name, titles.get(name, name)) for name in sorted(me.mentor_of)],
            "minutes": lengths(parts.desk.policy.longest // 60),
            "longest": parts.desk.policy.longest // 60,
            "after": parts.settings.accelerator_after,
            "starting": parts.desk.policy.starting // 60,
            "claim": -(-parts.desk.policy.claim // 60),
        }


class ClassPage(Page):
    """``class/<team>``: what is reserved for a class, and who of it has an accelerator or waits."""

    template = "class.html"

    async def get(self, name: str) -> None:
        if not self.viewer.leads(name):
            raise Problem(404, NOTHING_HERE)
        team = self.found(await self.off_loop(self.parts.directory.team, name))
        desk, work, now = self.parts.desk, self.parts.work, self.parts.seconds()
        leases = await work(desk.leases.open_ones)
        budget = await work(desk.budget, name, now)
        titles = await self.off_loop(self.titles)
        self.render(
            self.template,
            team=team,
            there=bool(desk.inventory.slots),
            held=[x for x in leases if x.request.team == name and x.state is not State.QUEUED],
            line=places(await self.line(leases, now), name),
            budget=budget,
            warning=views.warning(budget, self.language, titles),
            titles=titles,
            called=await self.off_loop(self.called),
            moment=views.moment,
            state=views.shown_state,
        )


class ClassTables(ClassPage):
    """``GET api/class/<team>``: what changes on that page, as HTML for its script."""

    page = False
    template = "class_tables.html"


class Admin(AdminAsked, Page):
    """``admin``: every slot, the line in its order, the budgets of all teams."""

    template = "slots.html"

    async def get(self) -> None:
        desk, work, now = self.parts.desk, self.parts.work, self.parts.seconds()
        found = desk.inventory
        leases, drained = await work(desk.leases.open_ones), await work(desk.leases.drained)
        titles = await self.off_loop(self.titles)
        budgets = [await work(desk.budget, team, now) for team in titles]
        self.render(
            self.template,
            slots=views.slots_model(found, leases, drained),
            lending=desk.engine_answers,
            faults=found.faults,
            notes=found.notes,
            line=places(await self.line(leases, now)),
            spent={b.team for b in budgets if b.spent},
            budgets=sorted(budgets, key=_part, reverse=True),
            titles=titles,
            called=await self.off_loop(self.called),
            moment=views.moment,
        )


class AdminTables(Admin):
    """``GET api/admin``: what changes on that page, as HTML for its script."""

    page = False
    template = "slots_tables.html"


def places(order: Iterable[Lease], team: str = "") -> list[tuple[int, Lease]]:
    """The requests of ``team`` (all: "") with their places in the whole line, from 1."""
    return [(n, x) for n, x in enumerate(order, 1) if team in ("", x.request.team)]


def _part(budget: Budget) -> tuple[float, float]:
    """Whose budget is nearest to its end comes first; those without a limit by their use."""
    return (budget.used / budget.limit if budget.limit else 0.0, budget.used)


def can_use(offer: Offer, kinds: set[str]) -> bool:
    """Whether the environment can compute on one of ``kinds``."""
    return not kinds.isdisjoint(offer.environment.accelerators)


def lengths(longest: int) -> list[int]:
    """The minutes that a form offers where at most ``longest`` may be asked for, rising."""
    return [m for m in MINUTES if m < longest] + [longest]
