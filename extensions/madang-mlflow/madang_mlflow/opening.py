"""MLflow's page opens at the caller's own workspace.

Which workspace MLflow's pages show stands behind the ``#`` of the address, which no server sees. Without
one they ask the person to choose. So a few lines of script (``opening.js``) go into the page in front of
MLflow's own: an address that names no workspace means the own one, as everywhere else.
"""

import logging
import re
from functools import cache
from importlib.resources import files

from madang_mlflow.exchange import Event, Headers, Request, Send

log = logging.getLogger("madang.tracking")

_HEAD = re.compile(rb"<head(?:\s[^>]*)?>", re.IGNORECASE)
#: What would make MLflow answer with less than the page, or with a packed one.
_PARTIAL = re.compile(rb"if-.*|range|accept-encoding")
#: What MLflow says of the page as it was; a copy that was kept could name somebody else's workspace.
_OUTDATED = frozenset((b"content-length", b"etag", b"last-modified", b"cache-control"))


def is_page(method: str, path: str) -> bool:
    """Whether a request is for MLflow's page (there is one; the rest is behind the ``#``)."""
    return method == "GET" and path == "/"


def whole(request: Request) -> Request:
    """The request as it has to be for an answer that can be read."""
    kept = [pair for pair in request.headers if not _PARTIAL.fullmatch(pair[0])]
    return Request(request.method, request.raw_path, request.query, kept)


def opened_at(page: bytes, home: str) -> bytes:
    """MLflow's page with the script in it; unchanged where there is no place for it.

    Args:
        page: the HTML.
        home: the caller's own workspace (letters, digits and ``-``, so there is nothing to escape).
    """
    script = b"<script>" + _script().replace(b"HOME", home.encode("ascii")) + b"</script>"
    found, count = _HEAD.subn(lambda head: head[0] + script, page, count=1)
    if not count:
        log.warning("MLflow's page has no <head>: it opens at the choice of a workspace.")
    return found


def opening(send: Send, home: str) -> Send:
    """A `Send` for the answer with the page: it goes out whole, with the script in it."""
    start: Event = {}
    body: list[bytes] = []

    async def sending(event: Event) -> None:
        if event["type"] == "http.response.start":
            start.update(event)
            return
        if event["type"] != "http.response.body":
            await send(event)
            return
        body.append(event.get("body", b""))
        if event.get("more_body", False):
            return
        content = b"".join(body)
        if start["status"] == 200:
            content = opened_at(content, home)
        headers: Headers = [pair for pair in start["headers"] if pair[0].lower() not in _OUTDATED]
        headers.append((b"content-length", str(len(content)).encode()))
        headers.append((b"cache-control", b"no-store"))
        await send({**start, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    return sending


@cache
def _script() -> bytes:
    return files("madang_mlflow").joinpath("opening.js").read_bytes()
