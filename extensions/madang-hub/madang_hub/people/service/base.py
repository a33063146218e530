"""What every handler of the service does: who is asking, may this request be, how an error reads.

Two ways in. A *browser* has a session here (OAuth at the Hub, a signed cookie) and sends an XSRF token with
everything but a visit to a page. A *token* (of a user's JupyterLab) is only for what concerns its owner:
a handler says so by ``tokens = True``.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from datetime import datetime
from types import SimpleNamespace
from typing import Any, ClassVar, Protocol, TypeVar
from zoneinfo import ZoneInfo

from jinja2 import Environment as Jinja
from jupyterhub.services.auth import HubOAuth, HubOAuthCallbackHandler, HubOAuthenticated
from sqlalchemy.exc import SQLAlchemyError
from tornado.web import HTTPError, RequestHandler

from madang_hub.people.directory import Directory
from madang_hub.people.service.hub import HubAwayError, HubRefusedError
from madang_hub.people.service.parts import Parts
from madang_hub.people.service.who import Viewer, viewer
from madang_hub.places import (
    ACCELERATOR_SERVICE,
    DASHBOARD_SERVICE,
    PEOPLE_SERVICE,
    TRACKING_SERVICE,
)
from madang_hub.settings import Settings
from madang_hub.tracking import workspace_of
from madang_hub.web.i18n import N_, Language, gettext_for, language_of_handler
from madang_hub.web.pages import CONTENT_SECURITY_POLICY

log = logging.getLogger("madang.people")
BODY_BYTES = 4 * 2**20
"""The largest body that is read; a roster of thousands of lines is smaller."""
HUB_SECONDS = 15
"""How long a request waits for the Hub to say who comes."""
R = TypeVar("R")


class Problem(HTTPError):  # noqa: N818 (it is shown, not only raised)
    """Something a person can meet: a status and a sentence of the catalogues with ``{named}`` places."""

    def __init__(self, status: int, message: str, **values: str) -> None:
        super().__init__(status, reason=None)
        self.message = message
        self.values = values


HUB_AWAY = N_("The Hub does not answer right now. Nothing was changed; try again in a minute.")
DATABASE_AWAY = N_("The database does not answer right now. Try again in a minute.")
NOT_SIGNED_IN = N_("Please sign in again: load the page anew.")
NO_ACCESS = N_("Your access to this Madang has ended. Ask your mentor or the operator.")
NOTHING_HERE = N_("There is nothing here, or it is not for you.")
NO_TOKENS = N_("This is only for the pages in a browser, not for tokens.")
WENT_WRONG = N_(
    "Something went wrong on our side. Try again; if it stays, tell the operator the time."
)


TITLES = {
    PEOPLE_SERVICE: N_("Classes"),
    ACCELERATOR_SERVICE: N_("Accelerators"),
    DASHBOARD_SERVICE: N_("Dashboards"),
}
"""What people call the services that have pages."""


class Ground(Protocol):
    """What :class:`SignedIn` needs of a service: its Tornado setting ``parts`` has at least these."""

    @property
    def settings(self) -> Settings: ...

    @property
    def directory(self) -> Directory: ...

    @property
    def templates(self) -> Jinja: ...

    @property
    def zone(self) -> ZoneInfo: ...

    @property
    def now(self) -> Callable[[], datetime]: ...


def frame_of(handler: Any, someone: Viewer | None, xsrf: str) -> dict[str, Any]:
    """What the frame of the Hub's pages asks for, on a page of the service in ``handler.settings["service"]``.

    ``xsrf`` is the page's token; "" where nobody is signed in.
    """
    prefix = handler.hub_auth.hub_prefix
    service = handler.settings["service"]
    user = None
    if someone is not None:
        shown = {"display_name": someone.display_name}
        user = SimpleNamespace(name=someone.name, user_info=shown)
    return {
        "static_url": handler.static_url,
        "base_url": prefix,
        "prefix": prefix.removesuffix("hub/"),
        "user": user,
        "viewer": someone,
        "xsrf_token": xsrf,
        "logo_url": "",
        "tracking_service": TRACKING_SERVICE,
        "workspace_of": workspace_of,
        "people_service": PEOPLE_SERVICE,
        "services": [],
        "parsed_scopes": {"admin-ui"} if someone and someone.admin else set(),
        "login_url": prefix + "login",
        "logout_url": prefix + "logout",
        "announcement": "",
        "here": service,
        "service_title": TITLES[service],
        "service_url": handler.hub_auth.base_url,
    }


class SignedIn(HubOAuthenticated, RequestHandler):  # type: ignore[misc]  # the mixin has no types
    """The frame of a handler, of this service and of others. ``self.viewer`` is set when :meth:`prepare` lets
    a request through."""

    tokens: ClassVar[bool] = False
    page: ClassVar[bool] = False
    viewer: Viewer

    @property
    def ground(self) -> Ground:
        found: Ground = self.settings["parts"]
        return found

    @property
    def language(self) -> Language:
        return language_of_handler(self)

    def sentence(self, message: str, **values: str) -> str:
        """An English sentence of the catalogues in the language of the request."""
        return gettext_for(self.language)(message).format(**values)

    @staticmethod
    async def off_loop(work: Callable[..., R], *args: Any, **kwargs: Any) -> R:
        """A blocking call, off the loop."""
        return await asyncio.to_thread(work, *args, **kwargs)

    # ---- before ---------------------------------------------------------------------------

    def set_default_headers(self) -> None:
        self.set_header("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        self.set_header("Referrer-Policy", "same-origin")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-store")
        self.clear_header("Server")

    def check_xsrf_cookie(self) -> None:
        """Tornado asks before it is known who comes; :meth:`prepare` asks when it is known."""

    async def prepare(self) -> None:
        try:
            # asks the Hub where no fresh answer is kept; never on the loop's time
            async with asyncio.timeout(HUB_SECONDS):
                user = await self.hub_auth.get_user(self, sync=False)
        except (HTTPError, TimeoutError) as error:
            raise Problem(502, HUB_AWAY) from error
        by_token = bool(getattr(self, "_token_authenticated", False))
        if by_token and not self.tokens:
            raise Problem(403, NO_TOKENS)
        if not by_token:
            self._check_browser(user)
        if self.current_user is None:
            if user is None and self.page and self.request.method in ("GET", "HEAD"):
                self.redirect(self.get_login_url())
                return
            raise Problem(403, NOT_SIGNED_IN)
        await self.admit(user)

    async def admit(self, user: dict[str, Any]) -> None:
        """Let in who comes, as the Hub says it (the model of ``GET /hub/api/user``): a person with access.

        Raises:
            Problem: (403) it is no person, or access has ended.
        """
        if user.get("kind") != "user":
            raise Problem(403, NO_TOKENS)
        self.viewer = await self._viewer(str(user["name"]))

    def _check_browser(self, user: Any) -> None:
        """A request with cookies must come from a page of this service, or be a visit to one.

        Stricter than JupyterHub, which lets scripts of the same origin (other people's servers) read by
        GET: a page is only given to a browser that navigates, data only with the page's XSRF token.
        """
        navigates = self.request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate"
        if self.page and self.request.method in ("GET", "HEAD"):
            if not navigates:
                raise Problem(403, NOT_SIGNED_IN)
            return
        if user is None:
            return
        given = self.request.headers.get("X-XSRFToken") or self.get_argument("_xsrf", "")
        if not given or given != self._xsrf_text():
            raise Problem(403, NOT_SIGNED_IN)

    def _xsrf_text(self) -> str:
        token: bytes | str = self.xsrf_token
        return token.decode("ascii") if isinstance(token, bytes) else token

    async def _viewer(self, name: str) -> Viewer:
        def look() -> Viewer | None:
            directory = self.ground.directory
            return viewer(
                name,
                directory.person(name),
                directory.memberships(person=name),
                self.ground.settings.admin,
                self.ground.now().astimezone(self.ground.zone).date(),
            )

        found = await self.off_loop(look)
        if found is None:
            raise Problem(403, NO_ACCESS)
        return found

    # ---- answers --------------------------------------------------------------------------

    def send(self, content: Any, status: int = 200) -> None:
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(content, ensure_ascii=False))

    def body(self) -> dict[str, Any]:
        """The request's JSON object.

        Raises:
            Problem: (400) it is none.
        """
        try:
            content = json.loads(self.request.body or b"{}")
        except ValueError as error:
            raise Problem(400, N_("The request is not understood.")) from error
        if not isinstance(content, dict):
            raise Problem(400, N_("The request is not understood."))
        return content

    def render(self, template: str, **values: Any) -> None:  # type: ignore[override]  # never Tornado's templates, only ours
        """One of our templates in the frame of the Hub's pages."""
        page = self.ground.templates.get_template(template)
        self.finish(page.render(**self._frame(), **values))

    def _frame(self) -> dict[str, Any]:
        someone = getattr(self, "viewer", None)
        return frame_of(self, someone, self._xsrf_text() if someone is not None else "")

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """JSON as JupyterHub's for the API, a page for a page; a sentence in both."""
        error = (kwargs.get("exc_info") or (None, None, None))[1]
        status, message = self._explained(status_code, error)
        self.set_status(status)
        if self.page:
            self.render("problem.html", status_code=status, message=message)
        else:
            self.send({"status": status, "message": message}, status)

    def _explained(self, status: int, error: BaseException | None) -> tuple[int, str]:
        if isinstance(error, Problem):
            return error.status_code, self.sentence(error.message, **error.values)
        if isinstance(error, HubAwayError):
            return 502, self.sentence(HUB_AWAY)
        if isinstance(error, HubRefusedError):
            # the service's own rights or wish: not the person's fault
            return 502, self.sentence(HUB_AWAY)
        if isinstance(error, SQLAlchemyError):
            return 503, self.sentence(DATABASE_AWAY)
        if status in (403, 404):
            return status, self.sentence(NOTHING_HERE if status == 404 else NOT_SIGNED_IN)
        if status < 500:
            return status, self.sentence(N_("The request is not understood."))
        return status, self.sentence(WENT_WRONG)

    def log_exception(self, typ: Any, value: BaseException | None, tb: Any) -> None:
        if isinstance(value, HubAwayError | HubRefusedError | SQLAlchemyError):
            # one line; the statement of a database error may hold people's data
            text = "" if isinstance(value, SQLAlchemyError) else f": {value}"
            log.error("%s %s: %s%s", self.request.method, self.request.path, typ.__name__, text)
        elif not isinstance(value, Problem):
            super().log_exception(typ, value, tb)

    def found(self, thing: R | None) -> R:
        """``thing``, or 404 where there is none."""
        if thing is None:
            raise Problem(404, NOTHING_HERE)
        return thing


class Base(SignedIn):
    """The frame of a handler of the people service."""

    @property
    def parts(self) -> Parts:
        found: Parts = self.settings["parts"]
        return found


class Page(Base):
    """A page for a browser."""

    page = True


class Session(SignedIn):
    """``session``: an empty page whose visit signs a browser in here; the Hub's pages load it unseen."""

    page = True

    def set_default_headers(self) -> None:
        super().set_default_headers()
        policy = self._headers["Content-Security-Policy"]
        self.set_header(
            "Content-Security-Policy",
            policy.replace("frame-ancestors 'none'", "frame-ancestors 'self'"),
        )

    async def get(self) -> None:
        self.render("session.html")


class NotFound(Base):
    """Every other address: the same sentence for what is not there and what is not for this person."""

    async def prepare(self) -> None:
        raise Problem(404, NOTHING_HERE)


class Callback(HubOAuthCallbackHandler):  # type: ignore[misc]  # upstream has no types
    """The end of the sign-in at the Hub; says plainly when that did not work."""

    def set_default_headers(self) -> None:
        self.set_header("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        self.set_header("Referrer-Policy", "same-origin")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-store")
        self.clear_header("Server")

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        parts: Ground = self.settings["parts"]
        sentence = N_("The sign-in to this page did not work. Open it once more.")
        message = gettext_for(language_of_handler(self))(sentence)
        page = parts.templates.get_template("problem.html")
        frame = frame_of(self, None, "")
        self.finish(page.render(**frame, status_code=status_code, message=message))


def sign_in() -> HubOAuth:
    """The OAuth client, with answers of the Hub kept for seconds only: access that ends, ends here soon."""
    return HubOAuth.instance(cache_max_age=15)
