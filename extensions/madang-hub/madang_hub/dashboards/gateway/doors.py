"""What a visitor's frame asks: HTTP and websockets below ``visit/<visit>/``, to the runner of that visit's app.

No cookie is asked for, set, or passed on: whoever has the path is the frame. Every address that is not there
answers the same empty 404, whichever the reason.
"""

from __future__ import annotations

import asyncio
from typing import Any, NoReturn

import aiohttp
from tornado import web
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError, WebSocketHandler
from yarl import URL

from madang_hub.dashboards.gateway import proxied
from madang_hub.dashboards.gateway.here import HubGateway
from madang_hub.dashboards.gateway.proxied import Wish
from madang_hub.dashboards.gateway.runner import Runner
from madang_hub.dashboards.gateway.visits import GoneError, UnknownError, Visit

BODY = 64 * 1024
"""Bytes of the largest body of a request: a page that is closed sends none to speak of."""
MESSAGE = 16 * 1024 * 1024
"""Bytes of the largest message from a visitor, as the runner takes it."""
ANSWER = 64 * 1024 * 1024 + 1024 * 1024
"""Bytes of the largest message to a visitor; the runner sends none of more than 64 MiB."""
PATIENT = aiohttp.ClientTimeout(total=None, connect=10, sock_read=300)
"""A page takes as long as the author's code."""
_NOTHING = frozenset({301, 302, 303, 307, 308, 401, 403, 404, 405})
"""Answers of the runner that all mean that there is nothing: a redirect would lead out of the visit."""
PING_S = 30.0
"""Seconds between two questions whether a page is still there."""


def rules_at(prefix: str, gateway: HubGateway) -> list[Any]:
    """Rules of tornado for ``<prefix>visit/``."""
    about = {"gateway": gateway, "prefix": prefix}
    visit = rf"{prefix}visit/({proxied.VISIT})/"
    return [
        (visit + r"(api/kernels/[0-9a-f-]{36}/channels)", SocketDoor, about),
        (visit + r"(.*)", Door, about),
        (rf"{prefix}visit(?:/.*)?", Nothing),
    ]


class Sealed(web.RequestHandler):
    """Headers that every answer has; errors say nothing."""

    def set_default_headers(self) -> None:
        for name, value in proxied.SEALED:
            self.set_header(name, value)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.clear_header("Server")

    def check_xsrf_cookie(self) -> None:
        """Whoever has the path is the frame, which has no cookie."""

    def write_error(self, status_code: int, **_: Any) -> None:
        self.set_header("Cache-Control", "no-store")
        self.finish("")


class Nothing(Sealed):
    """Every address below ``visit/`` that is none."""

    def prepare(self) -> None:
        raise web.HTTPError(404)


def _not_found(_: web.RequestHandler, *__: str) -> NoReturn:
    """What another method than those that there are gets."""
    raise web.HTTPError(404)


class _OfAVisit(Sealed):
    """Finds the visit and its app."""

    gateway: HubGateway
    prefix: str
    runner: Runner
    visit: Visit

    def initialize(self, gateway: HubGateway, prefix: str) -> None:
        self.gateway, self.prefix = gateway, prefix

    def find(self, name: str, wish: Wish | None) -> None:
        """The visit that may ask for ``wish`` now.

        Raises:
            web.HTTPError: 404: there is none; 410: it is over, or its page was served; 429: too many requests.
        """
        visits, now = self.gateway.open_visits, self.gateway.clock()
        try:
            visit = visits.page(name, now) if wish is Wish.PAGE else visits.get(name)
        except GoneError:
            raise web.HTTPError(410) from None
        except UnknownError:
            raise web.HTTPError(404) from None
        if not visit.requests.take(now):
            raise web.HTTPError(429)
        app = self.gateway.apps.find(visit.app)
        if wish is None or app is None or app.runner is None or visit.shown is None:
            raise web.HTTPError(404)
        self.visit, self.runner = visit, app.runner

    def upstream(self) -> URL:
        """The address at the runner: the path as it came, without what is the gateway's."""
        rest = self.request.path.removeprefix(self.prefix)
        query = f"?{self.request.query}" if self.request.query else ""
        # no second reading: what was checked is what is asked
        return URL(f"{self.runner.url}/{rest}{query}", encoded=True)

    def inward(self) -> dict[str, str]:
        """Headers for the runner."""
        base = f"{self.prefix}visit/{self.visit.name}/"
        return proxied.inward(self.request.headers, self.runner.key, base, self.visit.language)


class Door(_OfAVisit):
    """Page, files, and the message that the page is closed."""

    async def get(self, name: str, rest: str) -> None:
        await self._pass("GET", name, rest)

    async def post(self, name: str, rest: str) -> None:
        await self._pass("POST", name, rest)

    head = put = patch = delete = options = _not_found

    async def _pass(self, method: str, name: str, rest: str) -> None:
        wish = proxied.wish(method, rest)
        self.find(name, wish)
        if len(self.request.body) > BODY:
            raise web.HTTPError(413)
        try:
            async with self.gateway.session.request(
                method,
                self.upstream(),
                headers=self.inward(),
                data=self.request.body if method == "POST" else None,
                allow_redirects=False,
                timeout=PATIENT,
            ) as reply:
                await self._answer(reply)
        except (aiohttp.ClientError, TimeoutError, OSError):
            if not self._headers_written:
                raise web.HTTPError(502) from None
            # half of it is sent: without its end the browser notices that the rest is missing
            self.detach().close()
        except StreamClosedError:
            # the visitor went away; the runner notices by the closed connection
            return

    async def _answer(self, reply: aiohttp.ClientResponse) -> None:
        if reply.status in _NOTHING:
            raise web.HTTPError(404)
        self.set_status(reply.status)
        self.clear_header("Content-Type")
        for name, value in proxied.outward(reply.headers.items()):
            self.set_header(name, value)
        async for chunk in reply.content.iter_any():
            self.write(chunk)
            await self.flush()
        await self.finish()

    def compute_etag(self) -> None:
        """The runner's, or none."""


class SocketDoor(_OfAVisit, WebSocketHandler):
    """The websocket between a page and its kernel."""

    _counted = False
    _wire: aiohttp.ClientWebSocketResponse | None = None
    _reading: asyncio.Task[None] | None = None

    async def get(self, name: str, rest: str) -> None:
        """Only from a page in its sandbox, with the subprotocol that the runner speaks."""
        self.find(name, Wish.SOCKET if proxied.wish("GET", rest) is Wish.SOCKET else None)
        if self.request.headers.get("Origin") != proxied.ORIGIN:
            raise web.HTTPError(403)
        offered = self.request.headers.get("Sec-WebSocket-Protocol", "")
        if proxied.SUBPROTOCOL not in [word.strip() for word in offered.split(",")]:
            raise web.HTTPError(400)
        if self.visit.sockets >= self.gateway.open_visits.limits.sockets:
            raise web.HTTPError(429)
        # counted before anything is waited for
        self.visit.sockets += 1
        self._counted = True
        try:
            self._wire = await self.gateway.session.ws_connect(
                self.upstream(),
                headers=self.inward(),
                protocols=(proxied.SUBPROTOCOL,),
                max_msg_size=ANSWER,
                timeout=aiohttp.ClientWSTimeout(ws_close=5),
                autoping=True,
            )
        except aiohttp.WSServerHandshakeError as error:
            self._uncount()
            raise web.HTTPError(error.status if error.status in (400, 403, 429) else 404) from None
        except (aiohttp.ClientError, TimeoutError, OSError):
            self._uncount()
            raise web.HTTPError(502) from None
        if self.visit.name not in self.gateway.open_visits.here:
            # it ended in the meantime
            await self._hang_up()
            raise web.HTTPError(410)
        try:
            await super().get(name, rest)
        finally:
            if self.ws_connection is None:
                await self._hang_up()

    head = post = put = patch = delete = options = _not_found

    @property
    def max_message_size(self) -> int:
        return MESSAGE

    @property
    def ping_interval(self) -> float:
        return PING_S

    def check_origin(self, origin: str) -> bool:
        """:meth:`get` has looked."""
        return True

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return proxied.SUBPROTOCOL

    def get_compression_options(self) -> None:
        """None: a small message that unpacks to a large one is no way in."""

    async def open(self, *_: str) -> None:
        """The page's side is there as well."""
        self.set_nodelay(True)
        sockets = self.gateway.closers.setdefault(self.visit.name, {})
        sockets[id(self)] = lambda: self.close(proxied.ENDED_CODE, "closed")
        self._reading = asyncio.ensure_future(self._read())

    async def on_message(self, message: str | bytes) -> None:
        """From the visitor; the next one is read when this one is passed on."""
        if self._wire is None or isinstance(message, str):
            return
        try:
            await self._wire.send_bytes(message)
        except (aiohttp.ClientError, OSError):
            self.close(1011)

    async def _read(self) -> None:
        """From the runner, as fast as the visitor takes it."""
        wire = self._wire
        if wire is None:
            return
        try:
            async for message in wire:
                if message.type is aiohttp.WSMsgType.BINARY:
                    await self.write_message(message.data, binary=True)
        except (WebSocketClosedError, StreamClosedError):
            pass
        finally:
            code = wire.close_code
            self.close(code if code == proxied.ENDED_CODE else 1011)

    def on_close(self) -> None:
        sockets = self.gateway.closers.get(self.visit.name, {})
        sockets.pop(id(self), None)
        if not sockets:
            self.gateway.closers.pop(self.visit.name, None)
        if self._reading is not None:
            self._reading.cancel()
        self.gateway.later(self._hang_up())

    async def _hang_up(self) -> None:
        self._uncount()
        wire, self._wire = self._wire, None
        if wire is not None:
            await wire.close()

    def _uncount(self) -> None:
        if self._counted:
            self._counted = False
            self.visit.sockets -= 1
