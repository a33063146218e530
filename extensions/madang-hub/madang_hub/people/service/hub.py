"""The Hub as the people service uses it: its REST API with the service's own token, never blocking."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

import aiohttp

from madang_hub.people.accounts import DASHBOARD_ACCOUNT

log = logging.getLogger("madang.people")
PAGE = 200
"""People per request of a listing."""
FRESH = 2.0
"""Seconds for which a listing serves all who look; many may look at one class."""
TIMEOUT = aiohttp.ClientTimeout(total=20)
STARTS_AT_ONCE = 8
"""Requests for starts and stops that are under way at the same time."""


class HubAwayError(RuntimeError):
    """The Hub does not answer, or not sensibly."""


class HubRefusedError(RuntimeError):
    """The Hub said no; ``status`` and its own sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


@dataclass(frozen=True)
class Server:
    """A server of somebody, as the Hub sees it now."""

    name: str
    ready: bool
    pending: str | None
    started: datetime | None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class HubUser:
    """Somebody whom the Hub knows: who has signed in at least once, or was made by an operator."""

    name: str
    last_activity: datetime | None
    servers: tuple[Server, ...] = ()

    @property
    def server(self) -> Server | None:
        """The default server when it is there in any state."""
        return next((s for s in self.servers if s.name == ""), None)


def moment(text: object) -> datetime | None:
    """A time of the Hub's API (ISO with a zone)."""
    return datetime.fromisoformat(text) if isinstance(text, str) and text else None


def user_from(model: Mapping[str, Any]) -> HubUser:
    """A user of the Hub's API; stopped servers are left out."""
    servers = [
        Server(
            name=str(name),
            ready=bool(s.get("ready")),
            pending=s.get("pending"),
            started=moment(s.get("started")),
            options=s.get("user_options") if isinstance(s.get("user_options"), dict) else {},
        )
        for name, s in (model.get("servers") or {}).items()
        if not s.get("stopped")
    ]
    return HubUser(str(model["name"]), moment(model.get("last_activity")), tuple(servers))


class Hub:
    """A client; make it inside the loop that uses it."""

    def __init__(self, api: str, token: str, language: str) -> None:
        self._api = api.rstrip("/")
        self._session = aiohttp.ClientSession(
            headers={
                "Authorization": f"token {token}",
                # messages of a start that a mentor asked for
                "Accept-Language": language,
            },
            timeout=TIMEOUT,
        )
        self._listing: dict[str, HubUser] = {}
        self._listed = -FRESH
        self._listing_lock = asyncio.Lock()
        self._starts = asyncio.Semaphore(STARTS_AT_ONCE)

    async def close(self) -> None:
        await self._session.close()

    async def _ask(
        self, method: str, path: str, body: Any = None, accept: str = "application/json"
    ) -> tuple[int, Any]:
        """Status and JSON of the Hub's answer.

        Raises:
            HubAwayError: no answer, an answer of 500 and more that is no refusal, or no JSON.
            HubRefusedError: 4xx.
        """
        try:
            async with self._session.request(
                method, self._api + path, json=body, headers={"Accept": accept}
            ) as reply:
                raw = await reply.text()
                status = reply.status
                kind = reply.content_type
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise HubAwayError(f"{method} {path}: {error.__class__.__name__}") from error
        content: Any = None
        if raw and kind == "application/json":
            try:
                content = json.loads(raw)
            except ValueError as error:
                raise HubAwayError(f"{method} {path}: no JSON") from error
        if status >= 400:
            message = content.get("message", "") if isinstance(content, dict) else ""
            if status >= 500 and not message:
                raise HubAwayError(f"{method} {path}: {status}")
            raise HubRefusedError(status, str(message))
        return status, content

    # ---- people ---------------------------------------------------------------------------

    async def user(self, name: str) -> HubUser | None:
        """One person now, or None where the Hub does not know that name."""
        try:
            _, model = await self._ask("GET", f"/users/{quote(name, safe='')}")
        except HubRefusedError as refusal:
            if refusal.status == 404:
                return None
            raise
        return user_from(model)

    async def users(self) -> dict[str, HubUser]:
        """Everybody by name, at most :data:`FRESH` seconds old; the account of running dashboards is nobody."""
        async with self._listing_lock:
            if time.monotonic() - self._listed < FRESH:
                return self._listing
            models = await self._all("/users")
            people = (model for model in models if model["name"] != DASHBOARD_ACCOUNT)
            found = {model["name"]: user_from(model) for model in people}
            self._listing, self._listed = found, time.monotonic()
            return found

    async def _all(self, path: str) -> list[Any]:
        """All pages of a listing."""
        found: list[Any] = []
        offset: int | None = 0
        while offset is not None:
            _, page = await self._ask(
                "GET",
                f"{path}?offset={offset}&limit={PAGE}",
                accept="application/jupyterhub-pagination+json",
            )
            found += page["items"]
            following = page["_pagination"].get("next")
            offset = following["offset"] if following else None
        return found

    def forget(self) -> None:
        """The next listing asks the Hub."""
        self._listed = -FRESH

    # ---- groups ---------------------------------------------------------------------------

    async def groups(self) -> dict[str, list[str]]:
        """Who is in which of the Hub's groups now."""
        return {group["name"]: group["users"] for group in await self._all("/groups")}

    async def take_out(self, group: str, people: Sequence[str]) -> None:
        """Remove ``people`` from a group of the Hub; others in it stay."""
        await self._ask("DELETE", f"/groups/{quote(group, safe='')}/users", {"users": list(people)})

    # ---- servers --------------------------------------------------------------------------

    async def start(self, name: str, options: Mapping[str, str]) -> None:
        """Ask for the start of the default server of ``name``; it goes on at the Hub.

        Raises:
            HubRefusedError: (404) never signed in, (400) runs already, (403, 503) may not or cannot.
        """
        async with self._starts:
            await self._ask("POST", f"/users/{quote(name, safe='')}/server", dict(options))
        self.forget()

    async def stop(self, name: str) -> None:
        """Ask for the stop of the default server of ``name``."""
        async with self._starts:
            await self._ask("DELETE", f"/users/{quote(name, safe='')}/server")
        self.forget()

    async def stop_if_there(self, name: str) -> None:
        """The same; a server that starts, stops or has stopped already is no error."""
        try:
            await self.stop(name)
        except HubRefusedError as refusal:
            if refusal.status not in (400, 404):
                raise

    # ---- shares ---------------------------------------------------------------------------

    async def share(self, owner: str, server: str, visitor: str) -> None:
        """Let ``visitor`` enter the server ``server`` of ``owner``, until :meth:`unshare`."""
        await self._ask(
            "POST",
            f"/shares/{quote(owner, safe='')}/{quote(server, safe='')}",
            {"user": visitor},
        )

    async def unshare(self, owner: str, server: str, visitor: str) -> None:
        """Take it back; nothing to take back is as good."""
        try:
            await self._ask(
                "DELETE",
                f"/users/{quote(visitor, safe='')}/shared/{quote(owner, safe='')}"
                f"/{quote(server, safe='')}",
            )
        except HubRefusedError as refusal:
            # no such share, person or server any more
            if refusal.status != 404:
                raise
