"""Who comes, in the words of the rules: an actor, a visitor. The directory's word of now counts.

What somebody may do in the own name follows from the scopes that the Hub gave to that sign-in or token. About
somebody who is not there (who gets a dashboard, whose visit goes on) the directory alone is asked; what it says
gives the same scopes at the next sign-in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

from madang_hub.dashboards.audience import Audience, Link, Visitor
from madang_hub.dashboards.model import Actor
from madang_hub.dashboards.web.scopes import publishes
from madang_hub.people.directory import Directory, Team
from madang_hub.people.service.who import Viewer, viewer

LINK = "link:"
"""Start of the visitor's name of who came by a link, as the gateway knows it; :func:`link_id` follows."""


def link_id(link: Link) -> str:
    """What a link is called in addresses and in the gateway: a part of the hash of its token, no secret."""
    return link.hash[:16]


def link_of(audience: Audience, identity: str) -> Link | None:
    return next((link for link in audience.links if link_id(link) == identity), None)


def actor_of(someone: Viewer, *, may_publish: bool, admin: bool) -> Actor:
    return Actor(someone.name, someone.teams, someone.mentor_of, may_publish, admin)


def visitor_of(someone: Viewer, *, admin: bool) -> Visitor:
    return Visitor(someone.name, someone.teams | someone.mentor_of, admin)


@dataclass(frozen=True)
class People:
    """The directory as dashboards ask it; methods block. ``links``: whether they let anybody in here."""

    directory: Directory
    first_admin: str
    today: Callable[[], date]
    links: bool = True

    def look(self, name: str) -> Viewer | None:
        """The person called ``name``; None where there is none, or access has ended."""
        person = self.directory.person(name)
        if person is None and name != self.first_admin:
            return None
        memberships = self.directory.memberships(person=name)
        return viewer(name, person, memberships, self.first_admin, self.today())

    def actor(self, name: str) -> Actor | None:
        """Somebody who is not there, as who may have a dashboard."""
        found = self.look(name)
        if found is None:
            return None
        return actor_of(
            found, may_publish=publishes(found.admin, found.mentor_of), admin=found.admin
        )

    def mentors(self, team: str) -> list[Actor]:
        """Those of ``team`` who have access."""
        names = {m.person for m in self.directory.memberships(team=team) if m.role == "mentor"}
        return [actor for name in sorted(names) if (actor := self.actor(name)) is not None]

    def still(self, name: str, audience: Audience) -> Visitor:
        """Who has a visit open, as that person (or link) is now."""
        if name.startswith(LINK):
            link = link_of(audience, name.removeprefix(LINK))
            return Visitor(link=link.hash if link and self.links else "")
        found = self.look(name)
        return visitor_of(found, admin=found.admin) if found else Visitor()

    def called(self) -> Mapping[str, str]:
        """What people call each other, by user name."""
        return {p.name: p.display_name for p in self.directory.people() if p.display_name}

    def titles(self) -> Mapping[str, Team]:
        return {team.name: team for team in self.directory.teams()}
