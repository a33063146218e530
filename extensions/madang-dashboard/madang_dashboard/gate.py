"""The door of the container: who has no key gets the same 404 wherever he knocks. To one question it answers
without the key: the proof that it has that key itself, so that nobody need show it to a stranger."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Awaitable, Mapping
from typing import Any

from tornado import httputil, web
from tornado.routing import Router

from madang_dashboard import words
from madang_dashboard.desk import Desk
from madang_dashboard.framework import VISIT, Route
from madang_dashboard.visits import Visit, Why

KEY_HEADER = "X-Madang-Key"
BASE_HEADER = "X-Madang-Base"
STATE_HEADER = "X-Madang-State"
"""On an answer that is no page: which of the runner's states it tells."""

# allow-same-origin is missing on purpose: the app's scripts are nobody, wherever the page is opened. So are
# allow-popups and allow-top-navigation.
POLICY = "sandbox allow-scripts allow-downloads; frame-ancestors 'self'; base-uri 'self'; object-src 'none'"

NONCE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
"""What somebody draws who asks for the proof: ``GET /state?nonce=<nonce>`` without a key."""
_BASE = re.compile(r"/(?:(?!\.\.?/)[A-Za-z0-9._~@-]+/)*")


class Sealed(web.RequestHandler):
    """Headers and errors that every answer of the runner has."""

    def set_default_headers(self) -> None:
        """The sandbox, and nothing about the server."""
        self.set_header("Content-Security-Policy", POLICY)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "no-referrer")
        # the page's own origin is "null" in its sandbox: fonts and questions by script need to be allowed
        self.set_header("Access-Control-Allow-Origin", "null")
        self.clear_header("Server")

    def write_error(self, status_code: int, **_: Any) -> None:
        """No reason, no traceback, no page of Jupyter's."""
        self.finish("")

    @property
    def desk(self) -> Desk:
        """Where the visits are known."""
        found: Desk = self.settings["desk"]
        return found

    @property
    def languages(self) -> str:
        """What the visitor's browser says of languages."""
        return self.request.headers.get("Accept-Language", "")

    def say(self, status: int, state: words.State) -> None:
        """Answer with a page that tells ``state``."""
        self.set_status(status)
        self.set_header(STATE_HEADER, state)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Cache-Control", "no-store")
        self.finish(words.page(state, self.languages))


class OfAVisit(Sealed):
    """Answers only below the path of a visit that has not ended, and where a kernel is named only its own."""

    visit: Visit

    async def prepare(self) -> None:
        """Find the visit; 404 for every other."""
        found = self.desk.visits.get(
            self.path_kwargs.pop("visit"), self.path_kwargs.get("kernel_id")
        )
        if found is None:
            raise web.HTTPError(404)
        self.visit = found
        above = super().prepare()
        if isinstance(above, Awaitable):
            await above


class Nothing(Sealed):
    """What every other address answers."""

    def prepare(self) -> None:
        """404, whatever the method."""
        raise web.HTTPError(404)


def proof(key: str, nonce: str) -> str:
    """What only somebody with ``key`` can answer to ``nonce``: 64 characters."""
    return hmac.new(key.encode(), f"proof\0{nonce}".encode(), hashlib.sha256).hexdigest()


class ProofHandler(Sealed):
    """``GET /state?nonce=<nonce>`` without the key. Says nothing else, not even whether somebody is there."""

    def initialize(self, proof: str) -> None:
        """What is answered."""
        self._proof = proof

    def get(self) -> None:
        """The proof."""
        self.set_header("Cache-Control", "no-store")
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(self._proof)


class StateHandler(Sealed):
    """``GET /state``: visits, seats, errors. For the author, through the gateway."""

    def get(self) -> None:
        """As JSON."""
        self.set_header("Cache-Control", "no-store")
        self.finish(self.desk.state())


class EndHandler(OfAVisit):
    """``DELETE /visit/<visit>``: the gateway ends it."""

    async def delete(self) -> None:
        """204."""
        await self.desk.end(self.visit, Why.CLOSED)
        self.set_status(204)


def base_of(request: httputil.HTTPServerRequest, visit: str) -> str:
    """The path below which the visitor's browser sees the visit; ends with a slash.

    Raises:
        web.HTTPError: 400 for a header that is no path.
    """
    base = request.headers.get(BASE_HEADER, f"/visit/{visit}/")
    if len(base) > 512 or not _BASE.fullmatch(base):
        raise web.HTTPError(400)
    return base


def own_routes() -> list[Route]:
    """Addresses that every framework has."""
    return [(r"/state", StateHandler, {}), (VISIT, EndHandler, {})]


def application(desk: Desk, routes: list[Route], settings: Mapping[str, Any]) -> web.Application:
    """Everything that is behind the door; what is not in ``routes`` is not there."""
    rest = {"default_handler_class": Nothing, "desk": desk, "serve_traceback": False}
    return web.Application(list(routes), **{**settings, **rest})


class Door(Router):
    """Lets requests with the key through to ``inside``."""

    def __init__(self, key: str, inside: web.Application) -> None:
        self._secret, self._key = key, key.encode()
        self._inside = inside

    def find_handler(
        self, request: httputil.HTTPServerRequest, **kwargs: Any
    ) -> httputil.HTTPMessageDelegate | None:
        """The handler's, or for a wrong key the one of :class:`Nothing`."""
        shown = request.headers.pop(KEY_HEADER, "")
        if hmac.compare_digest(shown.encode(), self._key):
            return self._inside.find_handler(request, **kwargs)
        nonce = request.query_arguments.get("nonce", [b""])[0].decode("latin-1")
        if request.method == "GET" and request.path == "/state" and NONCE.fullmatch(nonce):
            found = {"proof": proof(self._secret, nonce)}
            return self._inside.get_handler_delegate(request, ProofHandler, found)
        return self._inside.get_handler_delegate(request, Nothing)
