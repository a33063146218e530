"""What passes between a visitor's frame and the runner: addresses and headers. Rules only: lists of what may,
all else stays outside.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import Enum

KEY_HEADER, BASE_HEADER, STATE_HEADER = "X-Madang-Key", "X-Madang-Base", "X-Madang-State"
"""As the runner calls them (``madang_dashboard.gate``)."""
SUBPROTOCOL = "v1.kernel.websocket.jupyter.org"
ORIGIN = "null"
"""What a browser says of a page in a sandbox; sockets of no other page are let through."""
ENDED_CODE = 4001
"""Close code of a socket whose visit is over (``madang_dashboard.visits``)."""

POLICY = "sandbox allow-scripts allow-downloads; frame-ancestors 'self'; base-uri 'self'; object-src 'none'"
"""On every answer, whatever the runner says: without ``allow-same-origin`` the app's scripts are nobody."""

VISIT = r"[A-Za-z0-9_-]{16,128}"
_KERNEL = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_FILES = r"voila/(?:templates|static|labextensions|api/themes)/[A-Za-z0-9._~@+ ()/-]+"


class Wish(Enum):
    """What is asked below a visit's path."""

    PAGE = "page"
    FILE = "file"
    MODEL = "model"
    """What its kernel is called; the page's scripts ask before they connect."""
    SOCKET = "socket"
    LEAVE = "leave"
    """The page was closed."""


_WISHES: tuple[tuple[Wish, str, re.Pattern[str]], ...] = (
    (Wish.PAGE, "GET", re.compile(r"", re.ASCII)),
    (Wish.FILE, "GET", re.compile(_FILES, re.ASCII)),
    (Wish.MODEL, "GET", re.compile(rf"api/kernels/{_KERNEL}", re.ASCII)),
    (Wish.SOCKET, "GET", re.compile(rf"api/kernels/{_KERNEL}/channels", re.ASCII)),
    (Wish.LEAVE, "POST", re.compile(rf"voila/api/shutdown/{_KERNEL}", re.ASCII)),
)


def wish(method: str, rest: str) -> Wish | None:
    """What is asked by ``method`` for ``rest``, the decoded path after ``visit/<visit>/``; None: nothing that
    there is."""
    if any(part in ("", ".", "..") for part in rest.split("/")[:-1]) or rest.endswith(
        ("/.", "/..")
    ):
        return None
    for found, verb, pattern in _WISHES:
        if method == verb and pattern.fullmatch(rest):
            return found
    return None


_INWARD = (
    "Accept",
    "Accept-Encoding",
    "Content-Type",
    "If-Modified-Since",
    "If-None-Match",
    "Origin",
    "Range",
)
"""No cookie, no token, nothing that begins with X-: the app learns nothing of who looks."""

_OUTWARD = (
    "Accept-Ranges",
    "Cache-Control",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Length",
    "Content-Range",
    "Content-Type",
    "ETag",
    "Last-Modified",
    "Retry-After",
    "Vary",
    STATE_HEADER,
)
"""No cookie, no redirect."""


def inward(headers: Mapping[str, str], key: str, base: str, language: str) -> dict[str, str]:
    """Headers for the runner.

    Args:
        headers: the visitor's; asked for by name, whatever the case.
        base: the path below which the visitor's browser sees the visit.
    """
    kept = {name: headers[name] for name in _INWARD if name in headers}
    return {**kept, "Accept-Language": language, KEY_HEADER: key, BASE_HEADER: base}


def outward(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Headers for the visitor, of those of the runner's answer."""
    wanted = {name.lower(): name for name in _OUTWARD}
    return [(wanted[n.lower()], value) for n, value in headers if n.lower() in wanted]


SEALED: tuple[tuple[str, str], ...] = (
    ("Content-Security-Policy", POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    # the page's own origin is "null" in its sandbox: fonts and questions by script need to be allowed
    ("Access-Control-Allow-Origin", ORIGIN),
)
"""Headers of every answer."""
