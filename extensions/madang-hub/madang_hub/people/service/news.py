"""Announcements over HTTP: a mentor tells a class, an admin anybody."""

from __future__ import annotations

from madang_hub.people.announcements import (
    EVERYBODY,
    Announcement,
    AnnouncementRefused,
    announcement,
)
from madang_hub.people.service.base import NOTHING_HERE, Base, Problem
from madang_hub.people.service.me import announcement_model


class NewsMade(Base):
    """``POST api/announcements``."""

    async def post(self) -> None:
        body, now = self.body(), self.parts.now()
        team = body.get("team")
        if not isinstance(team, str) or not self._may(team):
            raise Problem(404, NOTHING_HERE)
        if team != EVERYBODY:
            self.found(await self.off_loop(self.parts.directory.team, team))
        try:
            new = announcement(team, self.viewer.name, body.get("text"), body.get("hours"), now)
        except AnnouncementRefused as refusal:
            raise Problem(400, refusal.message, **refusal.values) from refusal
        self.send(await self.off_loop(self._keep, new), 201)

    def _may(self, team: str) -> bool:
        return self.viewer.admin if team == EVERYBODY else self.viewer.leads(team)

    def _keep(self, new: Announcement) -> dict[str, object]:
        identity = self.parts.announcements.add(new)
        self.parts.audit.write(
            new.since,
            new.author,
            "announcement.made",
            new.team or "everybody",
            team=new.team,
            id=identity,
            until=new.until.isoformat(),
        )
        return {**announcement_model(new), "id": identity}


class NewsRemoved(Base):
    """``DELETE api/announcements/<id>``."""

    async def delete(self, identity: str) -> None:
        one = self.found(await self.off_loop(self.parts.announcements.get, int(identity)))
        may = self.viewer.admin if one.team == EVERYBODY else self.viewer.leads(one.team)
        self.found(one if may else None)
        if await self.off_loop(self.parts.announcements.remove, one.id):
            await self.off_loop(
                self.parts.audit.write,
                self.parts.now(),
                self.viewer.name,
                "announcement.removed",
                one.team or "everybody",
                team=one.team,
                id=one.id,
            )
        self.set_status(204)
