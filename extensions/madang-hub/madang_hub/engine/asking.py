"""Asking the engine itself, for the gateway: a request, and what it says of a container or network."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from madang_hub.engine.policy import Subject
from madang_hub.user_container import DEVICES_LABEL

LOOKUP_TIMEOUT = 30.0
"""Seconds for asking the engine about a subject."""

CONNECT_TIMEOUT = 5.0
"""Seconds until an engine that does not take a connection counts as unreachable."""


class EngineSaidError(Exception):
    """The engine's own answer about a subject, to be given back as it is (404 and the like)."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(status)
        self.status, self.body = status, body


class Asking:
    """The engine at the path ``socket``, between :meth:`open` and :meth:`close`."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(str(self.socket), limit=0),
            timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_TIMEOUT),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def close(self) -> None:
        assert self._session is not None  # noqa: S101  # it was opened
        await self._session.close()

    def ask(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]] = (),
        body: bytes | None = None,
        limit: float | None = None,
    ) -> Any:
        """The answer, as a context; ``limit``: seconds for all of it."""
        assert self._session is not None  # noqa: S101  # it was opened before any request
        url = URL.build(scheme="http", host="engine", path=path, encoded=True).with_query(query)
        headers = {"Accept-Encoding": "identity"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        return self._session.request(
            method,
            url,
            data=body,
            headers=headers,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=limit, connect=CONNECT_TIMEOUT),
        )

    async def look(self, version: str, subject: Subject) -> Mapping[str, Any]:
        """What the engine says of ``subject`` now; ``version``: the start of the path, such as ``/v1.45``.

        Raises:
            EngineSaidError: it says that there is none, or the like.
        """
        suffix = "/json" if subject.kind == "container" else ""
        path = f"{version}/{subject.kind}s/{subject.ref}{suffix}"
        async with self.ask("GET", path, limit=LOOKUP_TIMEOUT) as reply:
            text = await reply.read()
            if reply.status != 200:
                raise EngineSaidError(reply.status, text)
        return described(text)

    async def with_devices(self, version: str) -> Any:
        """The engine's listing of all containers with devices of any Madang; ``version`` as in :meth:`look`.

        Raises:
            EngineSaidError: it gives none.
        """
        query = [
            ("all", "true"),
            ("filters", json.dumps({"label": [DEVICES_LABEL]})),
        ]
        path = f"{version}/containers/json"
        async with self.ask("GET", path, query, limit=LOOKUP_TIMEOUT) as reply:
            text = await reply.read()
            if reply.status != 200:
                raise EngineSaidError(reply.status, text)
        try:
            return json.loads(text)
        except ValueError as error:
            raise aiohttp.ClientPayloadError("the engine's listing is no JSON") from error


def described(text: bytes) -> Mapping[str, Any]:
    """The object with an id that the engine's answer holds.

    Raises:
        aiohttp.ClientPayloadError: it holds none.
    """
    try:
        value = json.loads(text)
        if isinstance(value, dict) and isinstance(value.get("Id"), str):
            return value
    except ValueError:
        pass
    raise aiohttp.ClientPayloadError("the engine's answer has no Id")
