"""The broker as a Tornado application: its addresses, all below the service's prefix."""

from __future__ import annotations

from tornado.web import Application, RequestHandler

from madang_hub.accelerators.broker import classroom, handlers, metrics, pages, report_page
from madang_hub.accelerators.broker.parts import Parts
from madang_hub.accelerators.broker.rounds import Rounds
from madang_hub.people.service.process import COMMON, application_of
from madang_hub.places import ACCELERATOR_SERVICE

REQUEST = r"api/requests/([0-9a-f]{32})"
TEAM = r"((?:class|team):[a-z0-9-]+)"

ROUTES: list[tuple[str, type[RequestHandler]]] = [
    *COMMON,
    (r"", pages.Mine),
    (rf"class/{TEAM}", pages.ClassPage),
    (r"admin", pages.Admin),
    (r"report", report_page.Report),
    (r"report\.csv", report_page.ReportTable),
    (r"metrics", metrics.Metrics),
    (r"api/", handlers.Overview),
    (r"api/requests", handlers.Requests),
    (REQUEST, handlers.OneRequest),
    (rf"{REQUEST}/take", handlers.Take),
    (rf"{REQUEST}/leave", handlers.Leave),
    (rf"{REQUEST}/extend", handlers.Extend),
    (rf"{REQUEST}/give-back", handlers.GiveBack),
    (r"api/devices/([^/]{1,255})", handlers.Devices),
    (r"api/vacant", handlers.Vacant),
    (rf"api/class/{TEAM}", pages.ClassTables),
    (r"api/admin", pages.AdminTables),
    (r"api/slots", handlers.Slots),
    (r"api/slots/drain", handlers.Drain),
    (r"api/slots/undrain", handlers.Undrain),
    (r"api/budgets", handlers.Allow),
    (r"api/reservations", classroom.Reservations),
]
"""Every address below the prefix; :data:`.process.PUBLIC` are the public ones."""


def application(
    parts: Parts, rounds: Rounds, prefix: str, hub_prefix: str, cookie_secret: bytes
) -> Application:
    """The application at ``prefix``; see :func:`.application_of`."""
    found = application_of(ACCELERATOR_SERVICE, ROUTES, parts, prefix, hub_prefix, cookie_secret)
    found.settings["rounds"] = rounds
    return found
