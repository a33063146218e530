"""A service of the Hub, asked with this server's own token, which never leaves this process.

What each service answers, and what of it is handed to the browser, is in a module of its own:
:mod:`.people`, :mod:`.lending`, :mod:`.publish.service`.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

SECONDS = 10.0
"""The longest that an answer may take."""
MAX_ANSWER = 256 * 1024
"""Bytes of an answer that are read at most."""
MAX_TEXT = 2000
FRESH = 10.0
"""Seconds for which an answer serves all of a person's tabs."""
LONGEST_WAIT = 300.0
"""Seconds between two tries at most; it doubles from :data:`FRESH` with each failure."""
REFUSALS = frozenset({400, 404, 409, 429, 502, 503})
"""The statuses that may come with a sentence for the person."""


class AwayError(Exception):
    """The service does not answer, or not as agreed; the message is for the log.

    Attributes:
        status: HTTP's, of the answer that came; 0: none came.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class RefusedError(Exception):
    """The service said no; ``message`` is for the person."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


def wait(failures: int) -> float:
    """Seconds until the service is asked again, after so many failures in a row."""
    return float(min(LONGEST_WAIT, FRESH * 2 ** min(failures, 10)))


class Service:
    """One person's view of the service at ``url`` (ends without a slash).

    ``most``: bytes of an answer that are read at most.

    Args:
        path: below ``url``, of what is asked again and again.
        cleaned: what of that answer pages use; raises AwayError if it is not as agreed.
        refusals: the statuses of this service that come with a sentence for the person.
    """

    most = MAX_ANSWER

    def __init__(
        self,
        url: str,
        token: str,
        path: str,
        cleaned: Callable[[object], dict[str, Any]],
        refusals: Collection[int] = REFUSALS,
    ) -> None:
        self.url, self._token = url, token
        self._path, self._cleaned, self._refusals = path, cleaned, refusals
        self._asking = asyncio.Lock()
        self._latest: dict[str, Any] | None = None
        self._trouble = AwayError("not asked yet")
        self._failures = 0
        self._asked = float("-inf")

    async def latest(self, language: str = "") -> dict[str, Any]:
        """The cleaned answer, at most :data:`FRESH` seconds old; of a new one words are in ``language``.

        Raises:
            AwayError: there is none; the service is asked again after :func:`wait`.
        """
        async with self._asking:
            if time.monotonic() - self._asked >= wait(self._failures):
                try:
                    self._latest = self._cleaned(await self.ask("GET", self._path, None, language))
                    self._failures = 0
                except (AwayError, RefusedError) as error:
                    self._latest, self._trouble = None, AwayError(str(error), error.status)
                    self._failures += 1
                self._asked = time.monotonic()
            if self._latest is None:
                raise AwayError(str(self._trouble), self._trouble.status)
            return self._latest

    def forget(self) -> None:
        """What was answered before is old: something was changed."""
        self._asked = float("-inf")

    def headers(self, language: str = "") -> dict[str, str]:
        """Of a request in the person's name; ``language`` is that of refusals."""
        found = {"Authorization": f"token {self._token}", "Accept": "application/json"}
        return {**found, "Accept-Language": language} if language else found

    async def ask(
        self, method: str, path: str, body: Mapping[str, object] | None = None, language: str = ""
    ) -> object:
        """The answer of ``path`` as JSON.

        Raises:
            AwayError, RefusedError: there is none.
        """
        import aiohttp  # JupyterHub's own client has it loaded; a plain JupyterLab need not

        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SECONDS)) as session,
                # a redirect would carry the token elsewhere
                session.request(
                    method,
                    f"{self.url}/{path}",
                    json=body,
                    headers=self.headers(language),
                    allow_redirects=False,
                ) as reply,
            ):
                status, data = reply.status, await read(reply.content, self.most)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise AwayError(f"{method} {path}: {error.__class__.__name__}") from error
        return answer(f"{method} {path}", status, data, self._refusals, self.most)


async def read(content: Any, most: int = MAX_ANSWER) -> bytes:
    """An answer's bytes; of one that is too long so many that :func:`answer` sees it."""
    data = b""
    async for part in content.iter_chunked(16 * 1024):
        data += part
        if len(data) > most:
            break
    return data


def answer(
    request: str,
    status: int,
    data: bytes,
    refusals: Collection[int] = REFUSALS,
    most: int = MAX_ANSWER,
) -> object:
    """What came back, as JSON (None for an empty answer).

    Raises:
        RefusedError: a sentence for the person came with a status that says no.
        AwayError: anything that is not as agreed.
    """
    if len(data) > most:
        raise AwayError(f"{request}: an answer longer than {most} bytes", status)
    try:
        found = json.loads(data) if data.strip() else None
    except ValueError as error:
        raise AwayError(f"{request}: status {status} without JSON", status) from error
    if 200 <= status < 300:
        return found
    message = found.get("message") if isinstance(found, dict) else None
    if status in refusals and isinstance(message, str) and message:
        raise RefusedError(status, message[:MAX_TEXT])
    raise AwayError(f"{request}: status {status}", status)


# ---- what pages are handed --------------------------------------------------------------------


def text(raw: object) -> str:
    """A text or a whole number as a text of bounded length; anything else is empty."""
    if isinstance(raw, bool) or not isinstance(raw, str | int):
        return ""
    return str(raw)[:MAX_TEXT]


def number(raw: object, most: int = 2**53) -> int | None:
    """A whole number from 0 to ``most`` (the largest that a browser counts with); None for anything else."""
    if isinstance(raw, bool) or not isinstance(raw, int) or not 0 <= raw <= most:
        return None
    return raw


def rows(raw: object, most: int) -> list[dict[str, Any]]:
    """The first ``most`` objects of a list; anything else is left out."""
    found = [row for row in raw if isinstance(row, dict)] if isinstance(raw, list) else []
    return found[:most]
