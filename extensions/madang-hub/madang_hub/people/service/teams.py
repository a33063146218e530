"""A class over HTTP: who is there and what runs, start and stop of some or all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from madang_hub.catalog import Catalog, OptionError
from madang_hub.catalog import Person as Chooser
from madang_hub.people.directory import Membership, Person, Team
from madang_hub.people.service.base import NOTHING_HERE, Base, Problem
from madang_hub.people.service.classroom import (
    FAILURE_SHOWN,
    Member,
    meeting_to_start,
    members,
    newest_of_each,
    person_model,
)
from madang_hub.people.service.hub import Hub, HubAwayError, HubRefusedError, HubUser
from madang_hub.people.service.me import announcement_model
from madang_hub.web.i18n import N_, translated

log = logging.getLogger("madang.people")


class TeamHandler(Base):
    """What the handlers of one team share: only its mentors and admins get beyond :meth:`led`."""

    async def led(self, name: str) -> Team:
        """The team called ``name``, for who may see it.

        Raises:
            Problem: (404) there is none, or it is not this person's: both read the same.
        """
        if not self.viewer.leads(name):
            raise Problem(404, NOTHING_HERE)
        return self.found(await self.off_loop(self.parts.directory.team, name))

    def members(self, team: Team) -> list[Member]:
        """Blocking: the people of ``team`` who have access."""
        directory = self.parts.directory
        memberships = directory.memberships(team=team.name)
        today = self.parts.now().astimezone(self.parts.zone).date()
        people = people_of(directory.people(), memberships)
        return [m for m in members(memberships, people) if m.person.active(today)]


def people_of(people: list[Person], memberships: list[Membership]) -> dict[str, Person]:
    names = {m.person for m in memberships}
    return {p.name: p for p in people if p.name in names}


class ClassState(TeamHandler):
    """``GET api/class/<team>``."""

    async def get(self, name: str) -> None:
        team, now = await self.led(name), self.parts.now()
        await self.parts.visits.tidy(now)
        users = await self.parts.hub.users()
        self.send(await self.off_loop(self._model, team, users, now))

    def _model(self, team: Team, users: dict[str, HubUser], now: datetime) -> dict[str, Any]:
        parts = self.parts
        everything = parts.shelf.everything()
        rows = self.members(team)
        names = [m.person.name for m in rows]
        inside = {one.trainee: one for one in parts.lookins.open_ones() if one.team == team.name}
        failed = newest_of_each(
            parts.failures.read(people=names, since=now - FAILURE_SHOWN, limit=1000)
        )
        return {
            "name": team.name,
            "title": team.title or team.name,
            "now": now.isoformat(),
            "people": [
                person_model(
                    m,
                    users.get(m.person.name),
                    inside.get(m.person.name),
                    failed.get(m.person.name),
                    self.viewer.name,
                    everything,
                    self.language,
                    now,
                )
                for m in rows
            ],
            "announcements": [
                announcement_model(one)
                for one in parts.announcements.shown({team.name}, now)
                if one.team == team.name
            ],
        }


class ClassStart(TeamHandler):
    """``POST api/class/<team>/start``: ``people`` (or null: all trainees and members), and, where the
    timetable names none, ``environment`` and ``size``."""

    async def post(self, name: str) -> None:
        team, body = await self.led(name), self.body()
        chosen = await self.off_loop(self.selected, team, body.get("people"))
        options = await self.off_loop(self._options, team, body)
        users = await self.parts.hub.users()
        off = [m for m in chosen if not _up(users.get(m.person.name))]
        for member in off:
            # the Hub checks again for the person itself; this says it before anything is started
            self._check(member, team, options)
        results = await together(off, lambda m: self._start(m, options))
        await self.off_loop(
            self.parts.audit.write,
            self.parts.now(),
            self.viewer.name,
            "class.started",
            team.name,
            team=team.name,
            people=names_without(off, results),
            **options,
        )
        self.send_results(chosen, off, results)

    def send_results(
        self, chosen: list[Member], asked: list[Member], failed: list[dict[str, str]]
    ) -> None:
        """How many the Hub was asked for, how many needed nothing, and whom it failed for, with the cause."""
        self.send(
            {
                "asked": len(asked),
                "already": len(chosen) - len(asked),
                "failed": [
                    {**f, "message": translated(f["message"], self.language)} for f in failed
                ],
            },
            202,
        )

    def selected(self, team: Team, wish: Any) -> list[Member]:
        """Blocking: the people that are meant; mentors are only meant by name.

        Raises:
            Problem: (400) no list of names, (404) somebody who is not of this team.
        """
        everybody = self.members(team)
        if wish is None:
            return [m for m in everybody if m.role != "mentor"]
        if not isinstance(wish, list) or not all(isinstance(w, str) for w in wish):
            raise Problem(400, N_("The request is not understood."))
        # fellow mentors are not in a mentor's hands, at the Hub neither
        by_name = {
            m.person.name: m
            for m in everybody
            if m.role != "mentor" or m.person.name == self.viewer.name or self.viewer.admin
        }
        if set(wish) - set(by_name):
            raise Problem(404, N_("Somebody of these is not in this class."))
        return [by_name[w] for w in dict.fromkeys(wish)]

    def _options(self, team: Team, body: dict[str, Any]) -> dict[str, str]:
        meeting = meeting_to_start(self.parts.classes.timetable(team), self.parts.now())
        if meeting is not None and not body.get("environment"):
            return {"environment": meeting.environment, "size": meeting.size}
        environment, size = body.get("environment"), body.get("size")
        if not isinstance(environment, str) or not isinstance(size, str) or not environment:
            raise Problem(400, N_("Choose an environment and a size."))
        return {"environment": environment, "size": size}

    def _check(self, member: Member, team: Team, options: dict[str, str]) -> None:
        person = Chooser(member.person.name, frozenset({team.name}), member.person.admin)
        catalog: Catalog = self.parts.catalog
        try:
            catalog.choose(dict(options), person)
        except OptionError as error:
            raise Problem(400, error.message, **error.values_in(self.language)) from error

    async def _start(self, member: Member, options: dict[str, str]) -> str:
        hub: Hub = self.parts.hub
        try:
            await hub.start(member.person.name, options)
        except HubRefusedError as refusal:
            if refusal.status == 404:
                return N_("has never signed in, so there is no server to start yet")
            if refusal.status == 400:
                return ""  # runs or starts already
            return refusal.message or N_("the Hub refused it")
        return ""


class ClassStop(ClassStart):
    """``POST api/class/<team>/stop``: ``people`` (or null: all trainees and members)."""

    async def post(self, name: str) -> None:
        team, body = await self.led(name), self.body()
        chosen = await self.off_loop(self.selected, team, body.get("people"))
        users = await self.parts.hub.users()
        on = [m for m in chosen if _up(users.get(m.person.name))]
        results = await together(on, self._stop)
        await self.off_loop(
            self.parts.audit.write,
            self.parts.now(),
            self.viewer.name,
            "class.stopped",
            team.name,
            team=team.name,
            people=names_without(on, results),
        )
        self.send_results(chosen, on, results)

    async def _stop(self, member: Member) -> str:
        try:
            await self.parts.hub.stop(member.person.name)
        except HubRefusedError as refusal:
            if refusal.status in (400, 404):
                return ""  # is off, or stops already
            return refusal.message or N_("the Hub refused it")
        return ""


def names_without(people: list[Member], failed: list[dict[str, str]]) -> list[str]:
    """The names of ``people`` for whom it did not fail."""
    not_these = {f["person"] for f in failed}
    return [m.person.name for m in people if m.person.name not in not_these]


def _up(user: HubUser | None) -> bool:
    return user is not None and user.server is not None


async def together(
    people: list[Member], work: Callable[[Member], Awaitable[str]]
) -> list[dict[str, str]]:
    """``work`` for all side by side; who it failed for, and why. What failed for one stops no other.

    Raises:
        HubAwayError: it failed for everybody, because the Hub does not answer.
    """
    results = await asyncio.gather(*(work(m) for m in people), return_exceptions=True)
    failed, away = [], 0
    for member, result in zip(people, results, strict=True):
        if isinstance(result, HubAwayError):
            away += 1
            result = N_("the Hub did not answer")
        elif isinstance(result, BaseException):
            raise result
        if result:
            failed.append({"person": member.person.name, "message": result})
    if people and away == len(people):
        raise HubAwayError("no answer for anybody")
    return failed
