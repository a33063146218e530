"""The gate: a pure ASGI application in front of MLflow's.

Each request goes through, in this order: host → prefix → odd path → identity → scope and kind →
origin (for cookies) → list of open routes → body. Only then MLflow sees it, without prefix,
credentials or any header that is not on a short list.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote

from madang_mlflow import bodies, pages, paths
from madang_mlflow.identity import (
    CodeRefusedError,
    Directory,
    HubUnreachableError,
    Identity,
    Unsure,
)
from madang_mlflow.pages import Message
from madang_mlflow.routes import FILES, AllowList
from madang_mlflow.session import Sessions, read_cookies
from madang_mlflow.settings import Hosts

log = logging.getLogger("madang.tracking")

Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
App = Callable[[Event, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

#: The request headers that MLflow sees. Anything else could pretend to be an identity, a
#: workspace, another host or another path to some layer below.
PASSED_HEADERS = frozenset(
    b"content-type content-length content-encoding transfer-encoding accept accept-encoding "
    b"accept-language user-agent range if-range if-none-match if-modified-since if-match "
    b"if-unmodified-since cache-control".split()
)

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_PAGE_HEADERS: Headers = [
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
]


class HubCalls(Protocol):
    """What the gate asks of the Hub beside identities (`madang_mlflow.hub.Hub`)."""

    def new_challenge(self) -> tuple[str, str, str]:
        """A PKCE verifier, its challenge and the challenge's method."""

    def authorize_url(self, state: str, challenge: str, method: str) -> str:
        """Where a browser goes to sign in."""

    async def token_for_code(self, code: str, verifier: str) -> str:
        """The token for an OAuth code."""

    async def close(self) -> None:
        """Close connections."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request's line and headers, as the gate looks at them."""

    method: str
    raw_path: bytes
    query: bytes
    headers: Headers

    @classmethod
    def of(cls, scope: Event) -> "Request":
        """Read an ASGI scope; servers that keep no raw path are not supported."""
        raw_path: bytes = scope["raw_path"]
        return cls(scope["method"], raw_path, scope["query_string"], list(scope["headers"]))

    def all(self, name: bytes) -> list[bytes]:
        """All values of a header (its name in lower case)."""
        return [value for key, value in self.headers if key == name]

    def one(self, name: bytes) -> str:
        """A header's first value, or an empty text."""
        return next((value.decode("latin-1") for key, value in self.headers if key == name), "")

    @property
    def navigates(self) -> bool:
        """Whether this is a person opening a page (and not a script or a program)."""
        if self.method not in ("GET", "HEAD") or self.all(b"authorization"):
            return False
        mode = self.one(b"sec-fetch-mode")
        return mode == "navigate" if mode else "text/html" in self.one(b"accept")


def bearer(header: str) -> str:
    """The token in an Authorization header's value; empty if there is none."""
    scheme, _, token = header.strip().partition(" ")
    return token.strip() if scheme.lower() in ("bearer", "token") else ""


def same_site(request: Request, scheme: str) -> bool:
    """Whether a request that carries a cookie was made by this site's own pages, or by hand.

    A change needs proof: ``Sec-Fetch-Site: same-origin``, or an ``Origin`` that is the host which
    was asked (and which the gate knows, by then). What only reads is refused when a browser says that
    another site's page reads it; opening a page by a link is allowed.
    """
    site, origin = request.one(b"sec-fetch-site"), request.one(b"origin").lower()
    if origin and origin != f"{scheme}://{request.one(b'host').lower()}":
        return False
    if request.method in _SAFE:
        if site in ("", "same-origin", "none"):
            return True
        return request.navigates and request.one(b"sec-fetch-dest") in ("", "document")
    return site == "same-origin" or (site == "" and origin != "")


class Gate:
    """Wraps MLflow's ASGI application."""

    def __init__(
        self,
        app: App,
        *,
        hub: HubCalls,
        directory: Directory,
        sessions: Sessions,
        routes: AllowList,
        prefix: str,
        hosts: Hosts,
        public_url: str,
        hub_timeout: float,
        retry_after: int,
    ) -> None:
        self._app = app
        self._hub = hub
        self._directory = directory
        self._sessions = sessions
        self._routes = routes
        self._prefix = prefix
        self._hosts = hosts
        self._scheme, _, netloc = public_url.partition("://")
        self._host_header = (b"host", netloc.encode("ascii"))
        self._hub_timeout = hub_timeout
        self._retry_after = retry_after

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":  # MLflow has none
            await send({"type": "websocket.close", "code": 1008})

    async def _lifespan(self, scope: Event, receive: Receive, send: Send) -> None:
        async def closing(event: Event) -> None:
            if event["type"].startswith("lifespan.shutdown."):
                await self._hub.close()
            await send(event)

        await self._app(scope, receive, closing)

    async def _http(self, scope: Event, receive: Receive, send: Send) -> None:
        request = Request.of(scope)
        prefix = self._prefix.encode()
        raw = request.raw_path
        if raw in (b"/health", prefix + b"health") and request.method in ("GET", "HEAD"):
            await self._pass(scope, request, b"/health", "/health", receive, send)
            return
        refusal = self._before_identity(request)
        if refusal:
            await self._say(request, send, refusal)
            return
        if raw == prefix[:-1]:
            await _redirect(send, self._prefix, [])
            return
        if raw == prefix + b"oauth_callback" and request.method == "GET":
            await self._callback(request, send)
            return
        inner_raw = raw[len(prefix) - 1 :]
        inner = unquote(inner_raw.decode("ascii"), errors="strict")
        if await self._admitted(request, inner, send):
            if bodies.looked_at(request.method, inner):
                replay = await self._checked_body(request, receive, send)
                if replay is None:
                    return
                request, receive = replay
            await self._pass(scope, request, inner_raw, inner, receive, send)

    def _before_identity(self, request: Request) -> Message | None:
        hosts = request.all(b"host")
        if len(hosts) > 1 or len(request.all(b"authorization")) > 1:
            return pages.ODD_HEADERS
        if not self._hosts.known(request.one(b"host")):
            return pages.WRONG_HOST
        prefix = self._prefix.encode()
        raw = request.raw_path
        if not raw.startswith(prefix) and raw != prefix[:-1]:
            return pages.NOT_FOUND
        if not raw.isascii() or paths.odd(raw):
            return pages.ODD_PATH
        return None

    async def _admitted(self, request: Request, inner: str, send: Send) -> bool:
        """Whether the caller may make this request; if not, the answer has been sent."""
        by_header = bool(request.all(b"authorization"))
        cookies = {} if by_header else read_cookies(request.all(b"cookie"))
        # A header never falls back to the cookie: a script that sends its own is taken by it.
        token = (
            bearer(request.one(b"authorization"))
            if by_header
            else self._sessions.read_session(cookies)
        )
        verdict = await self._directory.identify(token) if token else Unsure.REFUSED
        if verdict is Unsure.UNREACHABLE:
            await self._hub_away(request, send, by_header)
            return False
        if not isinstance(verdict, Identity):
            await self._sign_in(request, cookies, send)
            return False
        if not verdict.may_enter:
            refusal = pages.NOT_ALLOWED
        elif not by_header and not same_site(request, self._scheme):
            refusal = pages.FOREIGN_PAGE
        elif not self._routes.open(request.method, inner):
            refusal = pages.CLOSED
        else:
            return True
        log.info("Refused %s %s for %s: %s", request.method, inner, verdict.name, refusal.status)
        await self._say(request, send, refusal)
        return False

    async def _sign_in(self, request: Request, cookies: dict[str, str], send: Send) -> None:
        """Nobody is signed in: browsers go to the Hub, others hear 401."""
        extra: Headers = []
        if self._sessions.name in cookies:
            extra.append(_set_cookie(self._sessions.clear_session()))
        if not request.navigates:
            await self._say(request, send, pages.SIGN_IN, extra)
            return
        target = request.raw_path.decode("ascii")
        if request.query:
            target += "?" + request.query.decode("latin-1")
        verifier, challenge, method = self._hub.new_challenge()
        pending, cookie = self._sessions.begin(paths.safe_next(target, self._prefix), verifier)
        extra += [_set_cookie(old) for old in self._sessions.sweep(cookies)]
        extra.append(_set_cookie(cookie))
        await _redirect(send, self._hub.authorize_url(pending.state, challenge, method), extra)

    async def _callback(self, request: Request, send: Send) -> None:
        """The browser comes back from the Hub."""
        query = parse_qs(request.query.decode("latin-1"), max_num_fields=20)
        states, codes = query.get("state", []), query.get("code", [])
        cookies = read_cookies(request.all(b"cookie"))
        pending = self._sessions.finish(cookies, states[0]) if len(states) == 1 else None
        if pending is None:
            await self._say(request, send, pages.LOGIN_LOST)
            return
        done = [_set_cookie(self._sessions.clear_state(pending.state))]
        if len(codes) != 1:  # the Hub said no, or the person did
            await self._say(request, send, pages.NOT_ALLOWED, done)
            return
        try:
            async with asyncio.timeout(self._hub_timeout * 5):
                token = await self._hub.token_for_code(codes[0], pending.verifier)
        except (HubUnreachableError, TimeoutError):
            await self._say(request, send, pages.HUB_AWAY)
            return
        except CodeRefusedError:
            await self._say(request, send, pages.LOGIN_LOST, done)
            return
        done.append(_set_cookie(self._sessions.write_session(token)))
        await _redirect(send, paths.safe_next(pending.next, self._prefix), done)

    async def _hub_away(self, request: Request, send: Send, by_header: bool) -> None:
        """MLflow's client retries every call on 429, but only some on 503."""
        retry = [(b"retry-after", str(self._retry_after).encode())]
        message = pages.HUB_AWAY
        if by_header:
            message = Message(429, message.en, message.ko)
        await self._say(request, send, message, retry)

    async def _checked_body(
        self, request: Request, receive: Receive, send: Send
    ) -> tuple[Request, Receive] | None:
        body = await _read(receive, bodies.MAX_BYTES)
        if body is None:
            await self._say(request, send, pages.TOO_LARGE)
            return None
        if request.all(b"content-encoding"):
            await self._say(request, send, pages.PACKED)
            return None
        try:
            checked = bodies.checked(body)
        except bodies.RefusedBodyError as refusal:
            content = pages.document(400, str(refusal))
            await _answer(send, 400, content, b"application/json", [])
            return None
        dropped = (b"content-length", b"transfer-encoding", b"content-type")
        headers = [pair for pair in request.headers if pair[0] not in dropped]
        headers.append((b"content-length", str(len(checked)).encode()))
        headers.append((b"content-type", b"application/json"))
        sent = False

        async def replay() -> Event:
            nonlocal sent
            if sent:
                return await receive()
            sent = True
            return {"type": "http.request", "body": checked, "more_body": False}

        return Request(request.method, request.raw_path, request.query, headers), replay

    async def _pass(
        self,
        scope: Event,
        request: Request,
        raw_path: bytes,
        path: str,
        receive: Receive,
        send: Send,
    ) -> None:
        """Hand a request that was let in on to MLflow."""
        inner = dict(scope)
        inner["path"], inner["raw_path"], inner["root_path"] = path, raw_path, ""
        passed = [pair for pair in request.headers if pair[0] in PASSED_HEADERS]
        inner["headers"] = [self._host_header, *passed]
        is_file = FILES.fullmatch(path) is not None

        async def cleaned(event: Event) -> None:
            if event["type"] == "http.response.start":
                event = {**event, "headers": _response_headers(event["headers"], path, is_file)}
            await send(event)

        await self._app(inner, receive, cleaned)

    async def _say(
        self, request: Request, send: Send, message: Message, extra: Headers | None = None
    ) -> None:
        if request.navigates:
            cookies = read_cookies(request.all(b"cookie"))
            lang = pages.language(cookies, request.one(b"accept-language"))
            content = pages.page(message, lang, self._prefix)
            policy = b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
            headers = [(b"content-security-policy", policy), (b"vary", b"accept-language, cookie")]
            kind = b"text/html; charset=utf-8"
        else:
            content, headers = pages.document(message.status, message.en), []
            kind = b"application/json"
        await _answer(send, message.status, content, kind, [*headers, *(extra or [])])


def _response_headers(headers: Headers, path: str, is_file: bool) -> Headers:
    """MLflow's response headers without those that would open it to other sites' pages."""
    kept = [
        (name, value)
        for name, value in headers
        if not name.lower().startswith(b"access-control-") and name.lower() != b"set-cookie"
    ]
    names = {name.lower() for name, _ in kept}
    if is_file:
        # A file that somebody logged may be a page with a script: it must not run as this host.
        kept.append((b"content-security-policy", b"sandbox; default-src 'none'; img-src data:"))
    if b"cache-control" not in names and not path.startswith("/static-files/"):
        kept.append((b"cache-control", b"no-store"))
    return kept


def _set_cookie(value: str) -> tuple[bytes, bytes]:
    return (b"set-cookie", value.encode("latin-1"))


async def _read(receive: Receive, limit: int) -> bytes | None:
    """A whole body; None if it is longer than the limit."""
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        event = await receive()
        chunk = event.get("body", b"")
        size += len(chunk)
        if size > limit:
            return None
        chunks.append(chunk)
        more = event["type"] == "http.request" and event.get("more_body", False)
    return b"".join(chunks)


async def _redirect(send: Send, location: str, extra: Headers) -> None:
    headers = [(b"location", location.encode("latin-1")), *extra]
    await _answer(send, 302, b"", b"text/plain", headers)


async def _answer(send: Send, status: int, content: bytes, kind: bytes, extra: Headers) -> None:
    headers = [
        (b"content-type", kind),
        (b"content-length", str(len(content)).encode()),
        *_OWN_PAGE_HEADERS,
        *extra,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
