"""The people service, asked with this server's own token, which never leaves this process.

Rules are :func:`me` and the functions below it: what of an answer is handed to the browser.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any

SECONDS = 10.0
"""The longest that an answer may take."""
MAX_ANSWER = 256 * 1024
"""Bytes of an answer that are read at most."""
MAX_TEXT = 2000
WHY = ("idle", "class", "limit", "account", "provider")
"""Reasons why a server ends that the page has words for."""
MAX_ROWS = 100
FRESH = 10.0
"""Seconds for which an answer serves all of a person's tabs."""
LONGEST_WAIT = 300.0
"""Seconds between two tries at most; it doubles from :data:`FRESH` with each failure."""


class AwayError(Exception):
    """The people service does not answer, or not as agreed; the message is for the log."""


class RefusedError(Exception):
    """The people service said no; ``message`` is for the person."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


def wait(failures: int) -> float:
    """Seconds until the service is asked again, after so many failures in a row."""
    return float(min(LONGEST_WAIT, FRESH * 2 ** min(failures, 10)))


class People:
    """One person's view of the people service at ``url`` (ends without a slash)."""

    def __init__(self, url: str, token: str, server: str = "") -> None:
        self._url, self._token, self._server = url, token, server
        self._asking = asyncio.Lock()
        self._me: dict[str, Any] | None = None
        self._trouble = ""
        self._failures = 0
        self._asked = float("-inf")

    async def me(self) -> dict[str, Any]:
        """The cleaned answer of ``api/me``, at most :data:`FRESH` seconds old.

        Raises:
            AwayError: there is none; the service is asked again after :func:`wait`.
        """
        async with self._asking:
            if time.monotonic() - self._asked >= wait(self._failures):
                try:
                    self._me = me(await self._ask("GET", "api/me"))
                    self._trouble, self._failures = "", 0
                except (AwayError, RefusedError) as error:
                    self._me, self._trouble = None, str(error)
                    self._failures += 1
                self._asked = time.monotonic()
            if self._me is None:
                raise AwayError(self._trouble)
            return self._me

    def forget(self) -> None:
        """What was answered before is old: something was changed."""
        self._asked = float("-inf")

    async def extend(self, language: str) -> None:
        """Ask for more time.

        Raises:
            AwayError, RefusedError: there is none.
        """
        await self._ask("POST", "api/me/extend", {"server": self._server}, language)
        self.forget()

    async def end_look_in(self, identity: str, language: str) -> None:
        """End a look-in at this server.

        Raises:
            AwayError, RefusedError: it goes on.
        """
        await self._ask("POST", f"api/look-ins/{identity}/end", {}, language)
        self.forget()

    async def report(self, why: str) -> None:
        """Say what runs here: ``kernel``, ``accelerator``, or "" for nothing any more.

        Raises:
            AwayError, RefusedError: nobody listens.
        """
        body = {"server": self._server, "busy": bool(why), "why": why}
        await self._ask("POST", "api/me/busy", body)

    async def _ask(
        self, method: str, path: str, body: Mapping[str, object] | None = None, language: str = ""
    ) -> object:
        import aiohttp  # JupyterHub's own client has it loaded; a plain JupyterLab need not

        headers = {"Authorization": f"token {self._token}", "Accept": "application/json"}
        if language:
            headers["Accept-Language"] = language
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SECONDS)) as session,
                # a redirect would carry the token elsewhere
                session.request(
                    method,
                    f"{self._url}/{path}",
                    json=body,
                    headers=headers,
                    allow_redirects=False,
                ) as reply,
            ):
                status, data = reply.status, await _read(reply.content)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise AwayError(f"{method} {path}: {error.__class__.__name__}") from error
        return answer(f"{method} {path}", status, data)


async def _read(content: Any) -> bytes:
    data = b""
    async for part in content.iter_chunked(16 * 1024):
        data += part
        if len(data) > MAX_ANSWER:
            break
    return data


def answer(request: str, status: int, data: bytes) -> object:
    """What came back, as JSON (None for an empty answer).

    Raises:
        RefusedError: a sentence for the person came with a status that says no.
        AwayError: anything that is not as agreed.
    """
    if len(data) > MAX_ANSWER:
        raise AwayError(f"{request}: an answer longer than {MAX_ANSWER} bytes")
    try:
        found = json.loads(data) if data.strip() else None
    except ValueError as error:
        raise AwayError(f"{request}: status {status} without JSON") from error
    if 200 <= status < 300:
        return found
    message = found.get("message") if isinstance(found, dict) else None
    if status in (400, 404, 409, 429, 502, 503) and isinstance(message, str) and message:
        raise RefusedError(status, message[:MAX_TEXT])
    raise AwayError(f"{request}: status {status}")


def me(raw: object) -> dict[str, Any]:
    """``api/me`` with the fields that pages use, each of its kind; the rest is left out.

    Raises:
        AwayError: it is no such answer.
    """
    if not isinstance(raw, dict):
        raise AwayError("GET api/me: no object")
    return {
        "now": _text(raw.get("now")),
        "server": _server(raw.get("server")),
        "announcements": _rows(raw.get("announcements"), ("id", "text", "team", "from", "until")),
        "look_ins": _rows(
            raw.get("look_ins"), ("id", "mentor", "mentor_name", "reason", "began", "until")
        ),
    }


def _server(raw: object) -> dict[str, Any] | None:
    if not isinstance(raw, dict):
        return None
    return {
        "ends": _text(raw.get("ends")) or None,
        "why": raw["why"] if raw.get("why") in WHY else None,
        "warning": raw.get("warning") is True,
        "can_extend": raw.get("can_extend") is True,
        "extended_until": _text(raw.get("extended_until")) or None,
    }


def _rows(raw: object, fields: tuple[str, ...]) -> list[dict[str, str]]:
    rows = [row for row in raw if isinstance(row, dict)] if isinstance(raw, list) else []
    found = ({name: _text(row.get(name)) for name in fields} for row in rows[:MAX_ROWS])
    return [row for row in found if row["id"]]


def _text(raw: object) -> str:
    if isinstance(raw, bool) or not isinstance(raw, str | int):
        return ""
    return str(raw)[:MAX_TEXT]
