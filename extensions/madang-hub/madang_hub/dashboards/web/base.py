"""The frame of the service's handlers: who asks with which rights, what a refusal reads like."""

from __future__ import annotations

from typing import Any

from madang_hub.dashboards.audience import Visitor, may_see
from madang_hub.dashboards.model import Actor, Dashboard
from madang_hub.dashboards.refusals import (
    ArchiveRefusedError,
    DashboardError,
    MayNotError,
    NoRoomError,
    NotFoundError,
)
from madang_hub.dashboards.rights import looks_after
from madang_hub.dashboards.web.parts import Parts
from madang_hub.dashboards.web.people import actor_of, visitor_of
from madang_hub.dashboards.web.rounds import Rounds
from madang_hub.dashboards.web.scopes import ADMIN, PUBLISH
from madang_hub.dashboards.web.wishes import WishError
from madang_hub.people.service.base import NOTHING_HERE, Problem, SignedIn

STATUS: tuple[tuple[type[DashboardError], int], ...] = (
    (WishError, 400),
    (ArchiveRefusedError, 400),
    (MayNotError, 403),
    (NotFoundError, 404),
    (NoRoomError, 507),
    (DashboardError, 409),
)
"""The status of a refusal: the first that fits."""


class Common(SignedIn):
    """What handlers for everybody and for people who are signed in share."""

    @property
    def parts(self) -> Parts:
        found: Parts = self.settings["parts"]
        return found

    @property
    def rounds(self) -> Rounds:
        found: Rounds = self.settings["rounds"]
        return found

    def _explained(self, status: int, error: BaseException | None) -> tuple[int, str]:
        if isinstance(error, DashboardError):
            status = next(number for kind, number in STATUS if isinstance(error, kind))
            return status, error.sentence.text(self.language)
        return super()._explained(status, error)

    def log_exception(self, typ: Any, value: BaseException | None, tb: Any) -> None:
        if not isinstance(value, DashboardError):
            super().log_exception(typ, value, tb)


class Asked(Common):
    """A person who asks, in the browser or with a token of the own server."""

    tokens = True
    actor: Actor
    admin = False

    async def admit(self, user: dict[str, Any]) -> None:
        await super().admit(user)
        self.admin = bool(self.hub_auth.check_scopes({ADMIN}, user))
        may_publish = bool(self.hub_auth.check_scopes({PUBLISH}, user))
        self.actor = actor_of(self.viewer, may_publish=may_publish, admin=self.admin)

    @property
    def visitor(self) -> Visitor:
        return visitor_of(self.viewer, admin=self.admin)

    async def managed(self, slug: str) -> Dashboard:
        """A dashboard that the person may do something to, or may see: what exactly, the rules say.

        Raises:
            Problem: (404) there is none, or none for this person: both read the same.
        """
        now = self.parts.seconds()
        found = await self.parts.work(self.parts.store.find, slug)
        if found is None or not (
            looks_after(self.actor, found, now) or may_see(found, self.visitor, now)
        ):
            raise Problem(404, NOTHING_HERE)
        return found

    async def looked_after(self, slug: str) -> Dashboard:
        """A dashboard that the person may do something to.

        Raises:
            Problem: (404) for everybody else.
        """
        found = await self.managed(slug)
        if not looks_after(self.actor, found, self.parts.seconds()):
            raise Problem(404, NOTHING_HERE)
        return found

    async def seen(self, slug: str) -> Dashboard:
        """A dashboard that the person may visit.

        Raises:
            Problem: (404) there is none, or none for this person: both read the same.
        """
        found = await self.parts.work(self.parts.store.find, slug)
        if found is None or not may_see(found, self.visitor, self.parts.seconds()):
            raise Problem(404, NOTHING_HERE)
        return found
