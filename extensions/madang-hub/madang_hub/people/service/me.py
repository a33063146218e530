"""What concerns the person who asks: the own server's end, announcements, who is looking in.

JupyterLab asks as well, with the own server's token.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, cast, get_args

from madang_hub.people.announcements import Announcement
from madang_hub.people.directory import Person
from madang_hub.people.idle import ExtensionRefused
from madang_hub.people.lookin import LookIn
from madang_hub.people.servers import BusyWhy
from madang_hub.people.service.base import Base, Problem
from madang_hub.web.i18n import N_

UNCLEAR = N_("The request is not understood.")


def announcement_model(one: Announcement) -> dict[str, Any]:
    """As JSON has it."""
    return {
        "id": one.id,
        "text": one.text,
        "team": one.team,
        "from": one.since.isoformat(),
        "until": one.until.isoformat(),
    }


def look_in_model(one: LookIn, people: Mapping[str, Person]) -> dict[str, Any]:
    """As JSON has it; ``people`` give names as people call each other."""

    def called(name: str) -> str:
        person = people.get(name)
        return person.display_name if person and person.display_name else name

    return {
        "id": one.id,
        "mentor": one.mentor,
        "mentor_name": called(one.mentor),
        "trainee": one.trainee,
        "trainee_name": called(one.trainee),
        "team": one.team,
        "reason": one.reason,
        "began": one.began.isoformat(),
        "until": one.until.isoformat(),
        "ended": one.ended.isoformat() if one.ended else None,
    }


class Me(Base):
    """``GET api/me``."""

    tokens = True

    async def get(self) -> None:
        now = self.parts.now()
        await self.parts.visits.tidy(now)
        self.send(await self.off_loop(self._model, now))

    def _model(self, now: datetime) -> dict[str, Any]:
        parts, name = self.parts, self.viewer.name
        inside = [one for one in parts.lookins.open_ones(trainee=name) if one.trainee == name]
        visiting = [one for one in parts.lookins.open_ones(mentor=name) if one.mentor == name]
        names = _called(parts.directory, {o.mentor for o in inside} | {o.trainee for o in visiting})
        state = parts.servers.server_state(name, "", now)
        return {
            "name": name,
            "now": now.isoformat(),
            "server": state.model() if state else None,
            "announcements": [
                announcement_model(one) for one in parts.announcements.shown(self.viewer.teams, now)
            ],
            "look_ins": [look_in_model(one, names) for one in inside],
            "visiting": [look_in_model(one, names) for one in visiting],
        }


def _called(directory: Any, names: Iterable[str]) -> dict[str, Person]:
    found = (directory.person(name) for name in names)
    return {person.name: person for person in found if person is not None}


class Extend(Base):
    """``POST api/me/extend``: one press of the button."""

    tokens = True

    async def post(self) -> None:
        server = _server(self.body())
        try:
            state = await self.off_loop(
                self.parts.servers.extend, self.viewer.name, server, self.parts.now()
            )
        except ExtensionRefused as refusal:
            self.send({"status": 409, "message": refusal.sentence.text(self.language)}, 409)
            return
        self.send(state.model())


class Busy(Base):
    """``POST api/me/busy``: the server says that something runs in it."""

    tokens = True

    async def post(self) -> None:
        body = self.body()
        busy, why = body.get("busy"), body.get("why", "")
        if not isinstance(busy, bool) or why not in get_args(BusyWhy):
            raise Problem(400, UNCLEAR)
        await self.off_loop(
            self.parts.servers.busy,
            self.viewer.name,
            _server(body),
            busy,
            cast(BusyWhy, why),
            self.parts.now(),
        )
        self.set_status(204)


def _server(body: Mapping[str, Any]) -> str:
    server = body.get("server", "")
    if not isinstance(server, str) or len(server) > 255:
        raise Problem(400, UNCLEAR)
    return server
