"""The page for people: what is free, the own place in line, the own accelerator. A script fills it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from madang_hub.accelerators.broker.handlers import Asked
from madang_hub.catalog import Offer
from madang_hub.catalog import Person as Chooser

MINUTES = (30, 60, 120, 240, 480, 720, 1440)
"""Lengths that the form offers, as far as the policy allows them, and the longest itself."""


class Page(Asked):
    """A page of the broker, for a browser only."""

    tokens = False
    page = True


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
        titles = {t.name: t.title or t.name for t in parts.directory.teams()}
        return {
            "there": bool(slots),
            "offers": offers,
            "sizes": list({s.name: s for o in offers for s in o.sizes}.values()),
            "teams": {name: titles.get(name, name) for name in sorted(me.teams)},
            "led": [Led(name, titles.get(name, name)) for name in sorted(me.mentor_of)],
            "minutes": lengths(parts.desk.policy.longest // 60),
            "longest": parts.desk.policy.longest // 60,
            "starting": parts.desk.policy.starting // 60,
            "claim": -(-parts.desk.policy.claim // 60),
        }


def can_use(offer: Offer, kinds: set[str]) -> bool:
    """Whether the environment can compute on one of ``kinds``."""
    return not kinds.isdisjoint(offer.environment.accelerators)


def lengths(longest: int) -> list[int]:
    """The minutes that a form offers where at most ``longest`` may be asked for, rising."""
    return [m for m in MINUTES if m < longest] + [longest]
