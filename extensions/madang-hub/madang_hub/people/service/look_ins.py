"""Look-ins over HTTP: a mentor asks for one, either side ends it."""

from __future__ import annotations

from madang_hub.people.lookin import LookInRefused, may_end
from madang_hub.people.service.base import Base, Problem
from madang_hub.people.service.me import look_in_model


class LookInsAsked(Base):
    """``POST api/look-ins``."""

    async def post(self) -> None:
        body = self.body()
        try:
            look_in = await self.parts.visits.begin(
                self.viewer.name,
                body.get("trainee"),
                body.get("reason"),
                body.get("minutes"),
                self.parts.now(),
            )
        except LookInRefused as refusal:
            raise Problem(refusal.status, refusal.message, **refusal.values) from refusal
        self.send(look_in_model(look_in, {}), 201)


class LookInEnded(Base):
    """``POST api/look-ins/<id>/end``: by the person whose server it is, the mentor or an admin.

    With a token only the person whose server it is: that is whose JupyterLab shows the button.
    """

    tokens = True

    async def post(self, identity: str) -> None:
        look_in = self.found(await self.off_loop(self.parts.lookins.get, int(identity)))
        by_token = bool(getattr(self, "_token_authenticated", False))
        allowed = (
            self.viewer.name == look_in.trainee
            if by_token
            else may_end(look_in, self.viewer.name, self.viewer.admin)
        )
        self.found(look_in if allowed else None)
        # a second press, or one that came after the time: it is over all the same
        await self.parts.visits.end(look_in, self.viewer.name, self.parts.now())
        self.set_status(204)
