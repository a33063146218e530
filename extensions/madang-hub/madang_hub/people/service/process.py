"""What the processes of services have in common: their application, their address, their end, their log."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from madang_hub.people.service.base import Callback, Ground, NotFound, Session
from madang_hub.web.static_files import STATIC, MadangStaticFiles

log = logging.getLogger("madang.people")
PORT_WAIT = 15.0
"""Seconds for which the address may still belong to a predecessor that is ending."""


class Health(RequestHandler):
    """Whether the process serves; for the operator and tests. Says nothing else."""

    def get(self) -> None:
        self.set_header("Cache-Control", "no-store")
        self.clear_header("Server")
        self.finish("ok")


COMMON: list[tuple[str, type[RequestHandler]]] = [
    (r"health", Health),
    (r"oauth_callback", Callback),
    (r"session", Session),
]
"""What every service has below its prefix ..."""
PUBLIC = frozenset({"health", "oauth_callback"})
"""... and which of its addresses are for everybody."""


def application_of(
    service: str,
    routes: Sequence[tuple[str, type[RequestHandler]]],
    parts: Ground,
    prefix: str,
    hub_prefix: str,
    cookie_secret: bytes,
) -> Application:
    """The application of ``service`` at ``prefix``; both prefixes have slashes at both ends.

    ``cookie_secret`` signs the sessions of browsers; they outlive a restart as long as it stays the same.
    """
    found: list[Any] = [(prefix + pattern, handler) for pattern, handler in routes]
    return Application(
        found,
        default_handler_class=NotFound,
        parts=parts,
        service=service,
        cookie_secret=cookie_secret,
        madang_language=parts.settings.language,
        # addresses of the Hub's static files, with Madang's versions; the Hub serves them
        static_path=str(STATIC),
        static_url_prefix=hub_prefix + "static/",
        static_handler_class=MadangStaticFiles,
    )


async def listen(server: HTTPServer, port: int, host: str) -> None:
    """Listen there; a predecessor whose Hub was killed needs a moment to notice.

    Raises:
        OSError: the port stays taken by something else.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PORT_WAIT
    while True:
        try:
            server.listen(port, host)
        except OSError:
            if loop.time() > deadline:
                raise
            await asyncio.sleep(0.3)
        else:
            return


async def orphaned(stop: asyncio.Event) -> None:
    """End when the Hub is gone: the next Hub starts a service of its own on this address."""
    parent = os.getppid()
    while os.getppid() == parent:  # noqa: ASYNC110 (the system tells nobody)
        await asyncio.sleep(1)
    log.warning("the Hub that started this service is gone")
    stop.set()


def say(name: str) -> None:
    """Log to stderr, which is the Hub's; ``name`` is the service's in each line."""
    logging.basicConfig(
        level=logging.INFO,
        format=f"[%(levelname).1s %(asctime)s {name} %(name)s] %(message)s",
        datefmt="%Y-%m-%d %H:%M:%S",
    )
    # it logs identities of XSRF tokens and each GET of another kind at this level
    for noisy in ("tornado.application", "tornado.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
