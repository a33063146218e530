"""The service as a Tornado application: its addresses, all below the service's prefix."""

from __future__ import annotations

import logging

from tornado.web import Application, RequestHandler

from madang_hub.dashboards.store import LETTERS, SLUG
from madang_hub.dashboards.web import api, pages, upload, visiting
from madang_hub.dashboards.web.parts import Parts
from madang_hub.dashboards.web.rounds import Rounds
from madang_hub.people.service.process import COMMON, application_of
from madang_hub.places import DASHBOARD_SERVICE

ONE = rf"([{LETTERS}]{{{SLUG}}})"
VISIT = r"([A-Za-z0-9_-]{8,128})"
LINK = r"([0-9a-f]{16})"
MOVE = r"(show|unpublish|undelete|hand-over|take-over)"

ROUTES: list[tuple[str, type[RequestHandler]]] = [
    *COMMON,
    (r"", pages.Gallery),
    (rf"d/{ONE}/", pages.VisitPage),
    (rf"d/{ONE}/desk", pages.DeskPage),
    (rf"open/{ONE}/", pages.OpenPage),
    (r"api/mine", api.Mine),
    (r"api/shared", api.Shared),
    (r"api/dashboards", api.Made),
    (rf"api/dashboards/{ONE}", api.One),
    (rf"api/dashboards/{ONE}/versions", upload.Versions),
    (rf"api/dashboards/{ONE}/{MOVE}", api.Moved),
    (rf"api/dashboards/{ONE}/links", api.Links),
    (rf"api/dashboards/{ONE}/links/{LINK}", api.OneLink),
    (rf"api/dashboards/{ONE}/desk", pages.DeskTables),
    (rf"api/dashboards/{ONE}/visit", visiting.Visit),
    (rf"api/dashboards/{ONE}/visit/{VISIT}", visiting.OneVisit),
    (rf"api/open/{ONE}/visit", visiting.LinkVisit),
    (rf"api/open/{ONE}/visit/{VISIT}", visiting.OneLinkVisit),
]
"""Every address below the prefix but the gateway's, which are ``visit/<random>/…``."""
PUBLIC = frozenset({rf"open/{ONE}/", rf"api/open/{ONE}/visit", rf"api/open/{ONE}/visit/{VISIT}"})
"""Those that ask for no account, beside :data:`.process.PUBLIC`: what a link's token opens, nothing else."""


access = logging.getLogger("tornado.access")


def note(handler: RequestHandler) -> None:
    """Log a request that was refused or failed (Tornado's ``log_function``): what answered it, but no address.

    The path may open somebody's visit, and the query is the visitor's own.
    """
    status = handler.get_status()
    level = logging.INFO if status < 400 else logging.WARNING if status < 500 else logging.ERROR
    took = 1000 * handler.request.request_time()
    access.log(
        level, "%d %s %s %.2fms", status, handler.request.method, type(handler).__name__, took
    )


def application(parts: Parts, rounds: Rounds, hub_prefix: str, cookie_secret: bytes) -> Application:
    """The application at ``parts.prefix``; see :func:`.application_of`."""
    found = application_of(
        DASHBOARD_SERVICE, ROUTES, parts, parts.prefix, hub_prefix, cookie_secret
    )
    found.settings["rounds"] = rounds
    found.settings["log_function"] = note
    # of the gateway: no cookie, no page of ours; whoever has the random path is that visit's frame
    found.add_handlers(r".*", parts.gateway.handlers(parts.prefix))
    return found
