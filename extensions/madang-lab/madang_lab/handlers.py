"""The routes below ``/madang``, for JupyterLab in the browser. All need a signed-in person, and those that
change something need the server's owner and Jupyter's XSRF token."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import asdict
from typing import Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import web

MAX_BODY = 1024
"""Bytes; nothing that most routes are told is longer."""
MAX_MINUTES = 10**6


def owns(handler: Any) -> bool:
    """Whether the owner of this server asks."""
    is_owner = getattr(handler.authorizer, "is_owner", None)
    return bool(is_owner is None or is_owner(handler.current_user))


class Base(APIHandler):
    """What the routes share."""

    auth_resource = "madang"

    @property
    def people(self) -> Any:
        """The people service; None outside Madang."""
        return self.settings["madang_people"]

    @property
    def lending(self) -> Any:
        """The broker of accelerators; None where this server knows of none."""
        return self.settings["madang_lending"]

    @property
    def is_owner(self) -> bool:
        """Whether the owner of this server asks."""
        return owns(self)

    @property
    def language(self) -> str:
        """The language of JupyterLab's page, for sentences of the people service."""
        return str(self.request.headers.get("Accept-Language", ""))[:100]

    def must_be_the_owner(self, service: Any, longest: int = MAX_BODY) -> None:
        """Refuse visitors: with this server's token they would act as its owner at ``service``.

        ``longest``: bytes of the body at most.
        """
        if len(self.request.body) > longest:
            raise web.HTTPError(413, "That is too long.")
        if not self.is_owner:
            raise web.HTTPError(403, "Only the owner of this server can do that.")
        if service is None:
            raise web.HTTPError(404, "This server does not belong to a Madang with that.")

    def answer(self, status: int, body: object) -> None:
        """Send ``body`` as JSON."""
        self.set_status(status)
        self.finish(json.dumps(body))

    async def do(self, action: Any, last: bool = False) -> None:
        """Wait for ``action`` and answer with the state after it; a refusal keeps its own words.

        ``last``: this server ends by it, so nothing more is asked, and the answer is only that it is done.
        """
        from madang_lab.service import AwayError, RefusedError

        try:
            await action
        except RefusedError as error:
            self.answer(error.status, {"status": error.status, "message": error.message})
        except AwayError as error:
            self.log.warning("Not answered: %s", error)
            self.answer(503, {"status": 503, "message": ""})
        else:
            self.answer(202 if last else 200, {} if last else await self.state())

    async def state(self) -> dict[str, Any]:
        """Memory, own packages, and what the people service says about this server (None: no answer) and
        the broker of accelerators (None: there is none)."""
        from madang_lab.memory import memory
        from madang_lab.service import AwayError

        used = await asyncio.to_thread(memory, os.environ, os.getpid())
        found: dict[str, Any] | None = None
        if self.people is not None:
            try:
                found = await self.people.latest()
            except AwayError as error:
                self.log.debug("The people service: %s", error)
        owner = self.is_owner
        lending = self.lending if owner else None
        packages = (
            await asyncio.to_thread(self.settings["madang_packages"].state) if owner else None
        )
        if found is not None and not owner:
            name = self.current_user.username
            visits = [visit for visit in found["look_ins"] if visit["mentor"] == name]
            # what is meant for the owner is not shown to a visitor
            found = {**found, "server": None, "announcements": [], "look_ins": visits}
        return {
            "memory": asdict(used),
            "owner": owner,
            "name": os.environ.get("JUPYTERHUB_USER", ""),
            "madang": self.people is not None,
            "run": self.settings["madang_run"],
            "packages": packages,
            "me": found,
            "lending": None if lending is None else await lending.state(),
        }


class StatusHandler(Base):
    """What the status bar and the notices show."""

    # looking at the clock is no work: it must not keep a server alive
    _track_activity = False

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """The state now."""
        self.answer(200, await self.state())


class RunsHandler(Base):
    """The panel *My runs*. A visitor sees it, too: whom a person lets in may look over the shoulder, and
    a mentor of the class may read these runs at the tracking server anyway."""

    # it asks by itself, as long as it is shown
    _track_activity = False

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """The latest runs; ``state`` is ``none`` without a tracking server, ``away`` if it does not answer."""
        tracking = self.settings["madang_tracking"]
        if tracking is None:
            self.answer(200, {"state": "none", "pages": "", "experiment": "", "runs": []})
            return
        from madang_lab.tracking import TrackingAwayError

        try:
            runs, state = await tracking.latest(), "on"
        except TrackingAwayError as error:
            self.log.debug("The tracking server: %s", error)
            runs, state = [], "away"
        place = tracking.place
        self.answer(
            200,
            {"state": state, "pages": place.home, "experiment": place.experiment, "runs": runs},
        )


class ExtendHandler(Base):
    """More time for this server."""

    @web.authenticated
    @authorized
    async def post(self) -> None:
        """Ask for it; the state after it."""
        self.must_be_the_owner(self.people)
        await self.do(self.people.extend(self.language))


class EndLookInHandler(Base):
    """The end of a look-in, by the one who is looked at."""

    @web.authenticated
    @authorized
    async def post(self, identity: str) -> None:
        """End it; the visitor's connections are closed before the answer."""
        self.must_be_the_owner(self.people)
        await self.do(self._end(identity))

    async def _end(self, identity: str) -> None:
        await self.people.end_look_in(identity, self.language)
        look = getattr(self.authorizer, "look", None)
        if look is not None:
            await look(at_once=True)


class LeaseHandler(Base):
    """What the owner does with an accelerator that is lent or asked for."""

    @web.authenticated
    @authorized
    async def post(self, identity: str, what: str) -> None:
        """Do it; the state after it, or nothing where this server ends by it."""
        self.must_be_the_owner(self.lending)
        step = self.lending.step(identity, what, self._body(what), self.language)
        await self.do(step, last=what in ("take", "give-back"))

    def _body(self, what: str) -> dict[str, object]:
        """What the broker is told besides.

        Raises:
            HTTPError: (400) ``extend`` without a number of minutes.
        """
        if what == "take":
            return {"restart": True}
        if what != "extend":
            return {}
        try:
            body = json.loads(self.request.body)
        except ValueError:
            body = None
        minutes = body.get("minutes") if isinstance(body, dict) else None
        if (
            not isinstance(minutes, int)
            or isinstance(minutes, bool)
            or not 0 < minutes <= MAX_MINUTES
        ):
            raise web.HTTPError(400, "Say for how many minutes.")
        return {"minutes": minutes}


def routes(base_url: str) -> list[tuple[str, type[Base]]]:
    """Tornado's routes below ``base_url``."""
    return [
        (url_path_join(base_url, "madang", "status"), StatusHandler),
        (url_path_join(base_url, "madang", "runs"), RunsHandler),
        (url_path_join(base_url, "madang", "extend"), ExtendHandler),
        (
            url_path_join(base_url, "madang", "look-ins", "([A-Za-z0-9-]{1,64})", "end"),
            EndLookInHandler,
        ),
        (
            url_path_join(
                base_url,
                "madang",
                "leases",
                "([0-9a-f]{32})",
                "(extend|give-back|take|leave)",
            ),
            LeaseHandler,
        ),
    ]
