"""What classes have reserved: seen and said by their mentors, and by admins."""

from __future__ import annotations

from typing import Any

from madang_hub.accelerators.broker import views
from madang_hub.accelerators.broker.handlers import NO_RIGHT, Asked
from madang_hub.accelerators.broker.scopes import ADMIN
from madang_hub.accelerators.broker.wishes import need_of
from madang_hub.people.service.base import Problem


class Reservations(Asked):
    """``GET api/reservations``: of the classes that this person mentors, admins: of all.

    ``POST``: see :func:`.wishes.need_of` for the body. Both answer with the list.
    """

    @property
    def all_of_them(self) -> bool:
        """Whether this is an admin with the scope; the token in a user server has none."""
        return bool(self.hub_auth.check_scopes({ADMIN}, self.current_user))

    async def get(self) -> None:
        self.send(await self._list())

    async def post(self) -> None:
        now, name = self.parts.now(), self.viewer.name
        need = need_of(self.body(), name, int(now.timestamp()))
        if need.team not in self.viewer.mentor_of and not self.all_of_them:
            raise Problem(403, NO_RIGHT, scope=ADMIN)
        self.found(await self.off_loop(self.parts.directory.team, need.team))
        await self.parts.work(self.parts.desk.reserve, need)
        await self.note(
            now,
            "accelerator.reserved",
            need.team,
            team=need.team,
            kind=need.kind,
            model=need.model,
            count=need.count,
        )
        self.rounds.wake()
        self.send(await self._list())

    async def _list(self) -> list[dict[str, Any]]:
        found = await self.parts.work(self.parts.desk.needs, self.parts.seconds())
        return [
            views.need_model(need, following)
            for need, following in found
            if self.all_of_them or need.team in self.viewer.mentor_of
        ]
