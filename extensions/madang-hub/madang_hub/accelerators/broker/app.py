"""The broker as a Tornado application: its addresses, all below the service's prefix."""

from __future__ import annotations

import secrets
from typing import Any

from tornado.web import Application, RequestHandler

from madang_hub.accelerators.broker import handlers
from madang_hub.accelerators.broker.parts import Parts
from madang_hub.accelerators.broker.rounds import Rounds
from madang_hub.people.service.app import Health
from madang_hub.people.service.base import NotFound

REQUEST = r"api/requests/([0-9a-f]{32})"

ROUTES: list[tuple[str, type[RequestHandler]]] = [
    (r"health", Health),
    (r"api/", handlers.Overview),
    (r"api/requests", handlers.Requests),
    (REQUEST, handlers.OneRequest),
    (rf"{REQUEST}/take", handlers.Take),
    (rf"{REQUEST}/leave", handlers.Leave),
    (rf"{REQUEST}/extend", handlers.Extend),
    (rf"{REQUEST}/give-back", handlers.GiveBack),
    (r"api/devices/([^/]{1,255})", handlers.Devices),
    (r"api/slots", handlers.Slots),
    (r"api/slots/drain", handlers.Drain),
    (r"api/slots/undrain", handlers.Undrain),
    (r"api/budgets", handlers.Allow),
]
"""Every address below the prefix; only ``health`` is public."""
PUBLIC = frozenset({"health"})


def application(parts: Parts, rounds: Rounds, prefix: str) -> Application:
    """The application at ``prefix`` (with slashes at both ends)."""
    routes: list[Any] = [(prefix + pattern, handler) for pattern, handler in ROUTES]
    return Application(
        routes,
        default_handler_class=NotFound,
        parts=parts,
        rounds=rounds,
        # nobody has a session here yet: no cookie is signed with it, and none is accepted
        cookie_secret=secrets.token_bytes(32),
        madang_language=parts.settings.language,
    )
