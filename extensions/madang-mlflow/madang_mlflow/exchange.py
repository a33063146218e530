"""Requests and answers as ASGI has them."""

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
App = Callable[[Event, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_PAGE_HEADERS: Headers = [
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
]


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


def replaying(body: bytes, receive: Receive) -> Receive:
    """A `Receive` that gives a body which was read already."""
    sent = False

    async def replay() -> Event:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def response_headers(headers: Headers, path: str, is_file: bool) -> Headers:
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


def set_cookie(value: str) -> tuple[bytes, bytes]:
    """The header for a cookie's value."""
    return (b"set-cookie", value.encode("latin-1"))


async def read(receive: Receive, limit: int) -> bytes | None:
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


async def redirect(send: Send, location: str, extra: Headers) -> None:
    """Send the browser elsewhere."""
    headers = [(b"location", location.encode("latin-1")), *extra]
    await answer(send, 302, b"", b"text/plain", headers)


async def answer(send: Send, status: int, content: bytes, kind: bytes, extra: Headers) -> None:
    """Answer without MLflow."""
    headers = [
        (b"content-type", kind),
        (b"content-length", str(len(content)).encode()),
        *_OWN_PAGE_HEADERS,
        *extra,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
