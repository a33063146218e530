"""The service of dashboards, asked with this server's own token.

Rules are :func:`mine` and the functions below it: what of an answer is used and handed to the browser.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, BinaryIO, Literal
from urllib.parse import quote, urlencode

from madang_lab.publish.wish import Audience
from madang_lab.service import (
    AwayError,
    Service,
    answer,
    number,
    read,
    rows,
    text,
)

CHUNK = 256 * 1024
CONNECT_S, UNPACK_S = 10.0, 300.0
"""Seconds: until a connection is there; and for which the service may be silent, while it unpacks."""
CHECKS = ("checking", "passed", "failed", "replaced")
ABSENT = (302, 403, 404)
"""No such service: the Hub answers in its place; or it is not for this server."""
MAX_DASHBOARDS, MAX_NAMES = 200, 500
ANY = frozenset(range(400, 600))
"""Statuses that may come with a sentence for the person."""

Mine = dict[str, Any]
"""What :func:`mine` returns."""


class Dashboards(Service):
    """One person's dashboards at the service's ``url`` (ends without a slash)."""

    # fifty dashboards of twenty versions; or one with twenty tracebacks
    most = 4 * 2**20

    def __init__(self, url: str, token: str) -> None:
        super().__init__(url, token, "api/mine", mine, ANY)
        self._was_there = False

    async def state(self, language: str = "") -> tuple[Literal["on", "none", "away"], Mine | None]:
        """Whether there is such a service, and what it says; ``away``: it does not answer just now."""
        try:
            found = await self.latest(language)
        except AwayError as error:
            # who was there once is away
            absent = error.status in ABSENT and not self._was_there
            return ("none" if absent else "away"), None
        self._was_there = True
        return "on", found

    async def find(self, slug: str, language: str) -> dict[str, Any]:
        """The dashboard as it is now.

        Raises:
            AwayError, RefusedError: there is no answer.
        """
        return dashboard(await self.ask("GET", self._at(slug), None, language))

    async def create(self, body: Mapping[str, object], language: str) -> dict[str, Any]:
        """A new dashboard, without a version.

        Raises:
            AwayError, RefusedError: there is none.
        """
        self.forget()
        return dashboard(await self.ask("POST", "api/dashboards", body, language))

    async def change(self, slug: str, body: Mapping[str, object], language: str) -> dict[str, Any]:
        """Other words or another audience.

        Raises:
            AwayError, RefusedError: it stays as it was.
        """
        self.forget()
        return dashboard(await self.ask("PATCH", self._at(slug), body, language))

    async def send(
        self,
        slug: str,
        archive: BinaryIO,
        size: int,
        query: Mapping[str, str],
        language: str,
        told: Callable[[int], None],
    ) -> dict[str, Any]:
        """Send ``archive`` (``size`` bytes) as a new version.

        Args:
            query: ``notebook``, ``size``, ``expect``.
            told: called with the bytes that are on their way.

        Raises:
            AwayError, RefusedError: there is no new version.
            OSError: ``archive`` cannot be read.
        """
        import aiohttp

        path = f"{self._at(slug)}/versions?{urlencode(query)}"
        headers = {
            **self.headers(language),
            "Content-Type": "application/gzip",
            # else the service could not say at once that it is too much
            "Content-Length": str(size),
        }
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=UNPACK_S)
        self.forget()
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.put(
                    f"{self.url}/{path}",
                    data=_parts(archive, told),
                    headers=headers,
                    allow_redirects=False,
                ) as reply,
            ):
                status, data = reply.status, await read(reply.content, self.most)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise AwayError(f"PUT {path}: {error.__class__.__name__}") from error
        return dashboard(answer(f"PUT {path}", status, data, ANY, self.most))

    def _at(self, slug: str) -> str:
        return f"api/dashboards/{quote(slug, safe='')}"


def dashboards_of(environ: Mapping[str, str]) -> Dashboards | None:
    """The service as this server reaches it; None outside Madang."""
    url, token = environ.get("MADANG_DASHBOARDS_URL", ""), environ.get("JUPYTERHUB_API_TOKEN", "")
    return Dashboards(url.rstrip("/"), token) if url and token else None


async def _parts(archive: BinaryIO, told: Callable[[int], None]) -> AsyncIterator[bytes]:
    sent = 0
    while part := await asyncio.to_thread(archive.read, CHUNK):
        yield part
        sent += len(part)
        told(sent)


# ---- what is used of answers ------------------------------------------------------------------


def mine(raw: object) -> Mine:
    """``api/mine`` with the fields that are used, each of its kind; the rest is left out.

    Raises:
        AwayError: it is no such answer.
    """
    if not isinstance(raw, dict):
        raise AwayError("GET api/mine: no object")
    return {
        "publishes": raw.get("publishes") is True,
        "teams": _named(raw.get("teams")),
        "sizes": _named(raw.get("sizes")),
        # the one that is meant where none is said
        "size": text(raw.get("size")),
        "dashboards": [dashboard(row) for row in rows(raw.get("dashboards"), MAX_DASHBOARDS)],
    }


def dashboard(raw: object) -> dict[str, Any]:
    """One dashboard; of its versions only the newest.

    Raises:
        AwayError: it is none.
    """
    found = raw if isinstance(raw, dict) else {}
    slug, revision = text(found.get("slug")), number(found.get("revision"))
    if not slug or revision is None:
        raise AwayError("the service's answer is no dashboard")
    audience = found.get("audience")
    return {
        "slug": slug,
        "revision": revision,
        **{
            name: text(found.get(name)) for name in ("url", "title", "description", "team", "state")
        },
        "current": number(found.get("current")) or 0,
        "audience": _audience(audience),
        "version": _version(found.get("versions")),
        # its author with the right to publish, and nobody else
        "mine": "publish" in _texts(found.get("may")),
    }


def audience_of(found: Mapping[str, Any]) -> Audience:
    """The audience of a :func:`dashboard`."""
    said = found["audience"]
    return Audience(tuple(said["people"]), tuple(said["teams"]), said["everyone"])


def _audience(raw: object) -> dict[str, Any]:
    found = raw if isinstance(raw, dict) else {}
    return {
        "people": _texts(found.get("people")),
        "teams": _texts(found.get("teams")),
        "everyone": found.get("everyone") is True,
        "links": len(rows(found.get("links"), MAX_NAMES)),
    }


def _version(raw: object) -> dict[str, Any] | None:
    """The newest version: what its check said, and where it went wrong (``cell`` from 1; 0: nowhere).

    ``ran`` is false where the check could not be run, which says nothing of the notebook.
    """
    versions = [row for row in rows(raw, MAX_NAMES) if number(row.get("number"))]
    if not versions:
        return None
    row = max(versions, key=lambda one: int(one["number"]))
    return {
        "number": row["number"],
        "notebook": text(row.get("notebook")),
        "size": text(row.get("size")),
        "check": row["check"] if row.get("check") in CHECKS else "",
        "cell": number(row.get("cell")) or 0,
        "said": _long(row.get("said")),
        "ran": row.get("ran") is not False,
    }


def _named(raw: object) -> list[dict[str, str]]:
    """Things with a name and a title for people."""
    found = (
        {"name": text(row.get("name")), "title": text(row.get("title"))}
        for row in rows(raw, MAX_NAMES)
    )
    return [{**one, "title": one["title"] or one["name"]} for one in found if one["name"]]


def _long(raw: object) -> str:
    """A traceback: of a long one the end."""
    return raw[-20_000:] if isinstance(raw, str) else ""


def _texts(raw: object) -> list[str]:
    found = raw if isinstance(raw, list) else []
    return [one[:200] for one in found[:MAX_NAMES] if isinstance(one, str) and one]
