"""The Hub as the gateway uses it: the service account and its named servers, by REST."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp

from madang_hub.places import DASHBOARD_ACCOUNT

TIMEOUT = aiohttp.ClientTimeout(total=30)


class HubAwayError(RuntimeError):
    """The Hub does not answer, or not sensibly."""


class HubRefusedError(RuntimeError):
    """The Hub said no: ``status`` and its own sentence, which may hold lines of a log."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message or f"The Hub answered {status}.")
        self.status = status


@dataclass(frozen=True, slots=True)
class Server:
    """One of the account's servers that is not stopped.

    Attributes:
        url: where its runner answers; "" as long as it does not.
    """

    name: str
    ready: bool
    pending: str
    url: str
    options: Mapping[str, Any] = field(default_factory=dict)


def server_from(model: Mapping[str, Any]) -> Server | None:
    """A server of the Hub's API; None for one that is stopped."""
    if model.get("stopped"):
        return None
    state = model.get("state")
    return Server(
        name=str(model.get("name")),
        ready=bool(model.get("ready")),
        pending=str(model.get("pending") or ""),
        url=str(state.get("app_url") or "") if isinstance(state, Mapping) else "",
        options=model.get("user_options") or {},
    )


class AppsHub:
    """A client; make it inside the loop that uses it.

    Args:
        api: the Hub's API (``http://127.0.0.1:8081/hub/api``).
    """

    def __init__(self, api: str, token: str) -> None:
        self._api = api.rstrip("/") + "/users/" + DASHBOARD_ACCOUNT
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"token {token}"},
            timeout=TIMEOUT,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def close(self) -> None:
        await self._session.close()

    async def _ask(self, method: str, path: str = "", body: Any = None) -> tuple[int, Any]:
        """Status and JSON of the Hub's answer.

        Raises:
            HubAwayError: no answer, or no JSON.
            HubRefusedError: 400 and more, with what the Hub says.
        """
        try:
            async with self._session.request(method, self._api + path, json=body) as reply:
                raw, status, kind = await reply.text(), reply.status, reply.content_type
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise HubAwayError(f"{method} {path}: {type(error).__name__}") from error
        content: Any = None
        if raw and kind == "application/json":
            try:
                content = json.loads(raw)
            except ValueError as error:
                raise HubAwayError(f"{method} {path}: no JSON") from error
        if status >= 400:
            said = content.get("message") if isinstance(content, dict) else ""
            raise HubRefusedError(status, str(said or ""))
        return status, content

    async def servers(self) -> dict[str, Server | None]:
        """All of the account's servers by name; None for one that is stopped.

        Raises:
            HubAwayError, HubRefusedError: the Hub does not say.
        """
        _, model = await self._ask("GET", "?include_stopped_servers=1")
        rows = (model or {}).get("servers") or {}
        # an account has a server without a name, which is none of ours
        return {str(name): server_from(row) for name, row in rows.items() if name}

    async def server(self, name: str) -> Server | None:
        """One of them; None: it is not there or stopped.

        Raises:
            HubAwayError, HubRefusedError: the Hub does not say.
        """
        try:
            _, model = await self._ask("GET", f"/servers/{name}")
        except HubRefusedError as refused:
            if refused.status == 404:
                return None
            raise
        return server_from(model or {})

    async def start(self, name: str, options: Mapping[str, Any]) -> None:
        """Begin to start it.

        Raises:
            HubAwayError: whether it starts is not known.
            HubRefusedError: it does not; with what the spawner says, for the author.
        """
        await self._ask("POST", f"/servers/{name}", {"display_name": name, "user_options": options})

    async def why(self, name: str) -> str:
        """Why a start that has ended went wrong, in the spawner's words; "" where the Hub does not know."""
        url = f"{self._api}/servers/{name}/progress"
        try:
            async with self._session.get(url) as reply:
                async for line in reply.content:
                    if not line.startswith(b"data:"):
                        continue
                    event = json.loads(line[5:])
                    if event.get("failed"):
                        return str(event.get("message", "")).removeprefix("Spawn failed: ")
                    if event.get("ready"):
                        break
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return ""
        return ""

    async def stop(self, name: str) -> bool:
        """Stop it and let the Hub forget it; whether it is gone. Asked again, it goes on.

        Raises:
            HubAwayError, HubRefusedError: it may still run.
        """
        try:
            status, _ = await self._ask("DELETE", f"/servers/{name}", {"remove": True})
        except HubRefusedError as refused:
            if refused.status == 404:
                return True
            raise
        return status == 204

    async def active(self, moments: Mapping[str, float]) -> None:
        """Report when servers were last used, in seconds since 1970.

        Raises:
            HubAwayError, HubRefusedError: it is not taken.
        """
        rows = {n: {"last_activity": _iso(at)} for n, at in moments.items()}
        latest = _iso(max(moments.values()))
        await self._ask("POST", "/activity", {"last_activity": latest, "servers": rows})


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()
