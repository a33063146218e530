"""The pages: what concerns everybody, a mentor's class, the admin's overview."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from madang_hub.catalog import Catalog, Offer
from madang_hub.catalog import Person as Chooser
from madang_hub.people.announcements import HOURS
from madang_hub.people.directory import Membership, Person, Team
from madang_hub.people.lookin import MINUTES, REASON_LENGTH
from madang_hub.people.service.base import NOTHING_HERE, Page, Problem
from madang_hub.people.service.classroom import (
    ONLINE,
    meeting_to_start,
    members,
    server_model,
)
from madang_hub.people.service.hub import HubAwayError, HubRefusedError, HubUser
from madang_hub.people.service.teams import TeamHandler
from madang_hub.people.timetable import Timetable

AUDIT_LINES = 100
PEOPLE_PER_PAGE = 50


@dataclass(frozen=True)
class MyTeam:
    """A team as its people see it in a list."""

    team: Team
    roles: tuple[str, ...]
    people: int
    online: int | None
    running: int | None

    @property
    def title(self) -> str:
        return self.team.title or self.team.name


class Mine(Page):
    """The first page: what concerns the person, and the classes that a mentor leads."""

    async def get(self) -> None:
        now = self.parts.now()
        await self.parts.visits.tidy(now)
        users: Mapping[str, HubUser] | None = None
        if self.viewer.mentor_of:
            try:
                users = await self.parts.hub.users()
            except (HubAwayError, HubRefusedError):
                users = None  # the numbers stay away, the page does not
        values = await self.off_loop(self._values, users, now)
        self.render("mine.html", **values)

    def _values(self, users: Mapping[str, HubUser] | None, now: datetime) -> dict[str, Any]:
        parts, me = self.parts, self.viewer
        led, other = [], []
        for name in sorted(me.teams):
            team = parts.directory.team(name)
            if team is None:
                continue
            roles = tuple(sorted({m.role for m in me.memberships if m.team == name}))
            if name in me.mentor_of:
                led.append(self._led(team, roles, users, now))
            else:
                other.append(MyTeam(team, roles, 0, None, None))
        lines = parts.audit.read(about=me.name, limit=AUDIT_LINES)
        return {
            "led": led,
            "other": other,
            "lines": lines,
            "look_ins": parts.lookins.about(me.name),
            "called": {p.name: p.display_name for p in parts.directory.people() if p.display_name}
            if lines
            else {},
        }

    def _led(
        self,
        team: Team,
        roles: tuple[str, ...],
        users: Mapping[str, HubUser] | None,
        now: datetime,
    ) -> MyTeam:
        names = {
            m.person for m in self.parts.directory.memberships(team=team.name) if m.role != "mentor"
        }
        if users is None:
            return MyTeam(team, roles, len(names), None, None)
        here = [users[n] for n in names if n in users]
        online = sum(u.last_activity is not None and now - u.last_activity <= ONLINE for u in here)
        running = sum(u.server is not None for u in here)
        return MyTeam(team, roles, len(names), online, running)


class ClassPage(TeamHandler, Page):
    """A class, for its mentors and admins; its table is filled by ``classroom.js``."""

    page = True

    async def get(self, name: str) -> None:
        team, now = await self.led(name), self.parts.now()
        timetable = await self.off_loop(self.parts.classes.timetable, team)
        lines = await self.off_loop(self._lines, team)
        self.render(
            "class.html",
            team=team,
            minutes=MINUTES,
            reason_length=REASON_LENGTH,
            hours=HOURS,
            timetable=timetable,
            meeting=self._meeting(timetable, now),
            offers=(offers := offers_to(self.parts.catalog, team.name)),
            sizes=list({s.name: s for o in offers for s in o.sizes}.values()),
            default=self.parts.catalog.default,
            **lines,
        )

    def _lines(self, team: Team) -> dict[str, Any]:
        directory = self.parts.directory
        return {
            "lines": self.parts.audit.read(team=team.name, limit=AUDIT_LINES),
            "called": {p.name: p.display_name for p in directory.people() if p.display_name},
        }

    def _meeting(self, timetable: Timetable, now: datetime) -> dict[str, Any] | None:
        meeting = meeting_to_start(timetable, now)
        if meeting is None:
            return None
        catalog = self.parts.catalog
        environment = catalog.environments.get(meeting.environment)
        size = catalog.sizes.get(meeting.size)
        if environment is None or size is None:
            return None
        language = self.language
        return {
            "begin": meeting.begin.astimezone(self.parts.zone),
            "end": meeting.end.astimezone(self.parts.zone),
            "environment": environment.title.for_language(language),
            "size": size.title.for_language(language),
        }


def offers_to(catalog: Catalog, team: str) -> list[Offer]:
    """What the people of ``team`` may start."""
    return list(catalog.offers(Chooser("", frozenset({team}))))


class Admin(Page):
    """People with search, teams, environments and who uses them, running servers, failed starts."""

    async def get(self) -> None:
        if not self.viewer.admin:
            raise Problem(404, NOTHING_HERE)
        now = self.parts.now()
        users = await self.parts.hub.users()
        wanted = self.get_query_argument("q", "").strip()[:100]
        number = self.get_query_argument("page", "1")
        page = int(number) if number.isascii() and number.isdigit() and len(number) < 7 else 1
        self.render("overview.html", **await self.off_loop(self._values, users, wanted, page, now))

    def _values(
        self, users: Mapping[str, HubUser], wanted: str, page: int, now: datetime
    ) -> dict[str, Any]:
        parts = self.parts
        people = {p.name: p for p in parts.directory.people()}
        for name in users:
            people.setdefault(name, Person(name))
        memberships = parts.directory.memberships()
        found = search(list(people.values()), memberships, wanted)
        pages = max(1, -(-len(found) // PEOPLE_PER_PAGE))
        page = min(max(page, 1), pages)
        roles: dict[str, dict[str, set[str]]] = {}
        for m in memberships:
            roles.setdefault(m.person, {}).setdefault(m.team, set()).add(m.role)
        today = now.astimezone(parts.zone).date()
        running = [
            (people[u.name], server_model(u.server, parts.shelf.everything(), self.language), u)
            for u in users.values()
            if u.server is not None
        ]
        return {
            "wanted": wanted,
            "number": page,
            "pages": pages,
            "count": len(found),
            "people": found[(page - 1) * PEOPLE_PER_PAGE : page * PEOPLE_PER_PAGE],
            "users": users,
            "roles": roles,
            "today": today,
            "first_admin": parts.settings.admin,
            "teams": team_rows(parts.directory.teams(), memberships, people),
            "running": sorted(running, key=lambda row: row[0].name),
            "usage": usage(parts.catalog, users, self.language),
            "failures": parts.failures.read(limit=50),
            "called": {p.name: p.display_name for p in people.values() if p.display_name},
            "lines": parts.audit.read(limit=AUDIT_LINES),
            "hours": HOURS,
        }


def search(
    people: Sequence[Person], memberships: Sequence[Membership], wanted: str
) -> list[Person]:
    """The people in whose name, user name, address or teams every word of ``wanted`` stands, by name."""
    teams: dict[str, list[str]] = {}
    for m in memberships:
        teams.setdefault(m.person, []).append(m.team)
    words = wanted.casefold().split()

    def text(person: Person) -> str:
        parts = (person.name, person.display_name, person.email or "", *teams.get(person.name, ()))
        return "\n".join(parts).casefold()

    found = [p for p in people if all(word in text(p) for word in words)]
    return sorted(found, key=lambda p: (p.display_name or p.name, p.name))


def team_rows(
    teams: Sequence[Team], memberships: Sequence[Membership], people: Mapping[str, Person]
) -> list[dict[str, Any]]:
    """Each team with how many people it has and who its mentors are."""
    rows = []
    for team in teams:
        of_team = members([m for m in memberships if m.team == team.name], people)
        rows.append(
            {
                "team": team,
                "people": sum(m.role != "mentor" for m in of_team),
                "mentors": [
                    m.person.display_name or m.person.name for m in of_team if m.role == "mentor"
                ],
            }
        )
    return rows


def usage(catalog: Catalog, users: Mapping[str, HubUser], language: str) -> list[dict[str, Any]]:
    """Each environment with who runs it now."""
    rows = []
    for environment in catalog.environments.values():
        using = sorted(
            u.name
            for u in users.values()
            if u.server is not None and u.server.options.get("environment") == environment.name
        )
        rows.append(
            {
                "title": environment.title.for_language(language),
                "name": environment.name,
                "who": environment.who,
                "people": using,
            }
        )
    return rows
