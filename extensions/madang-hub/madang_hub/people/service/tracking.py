"""The tracking server as the people service uses it: with the token of the person who visits a page.

The service has no rights there of its own. What a mentor may read, the gate before MLflow decides, from the
mentor's own token (``permissions.PEOPLE_ON_BEHALF``).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import aiohttp

from madang_hub.places import TRACKING_PREFIX

AT_ONCE = 8
"""Questions that are under way at the same time, whoever asks: MLflow has two processes."""
SECONDS = 5.0
"""The longest that one answer may take."""
ALL_SECONDS = 12.0
"""The longest that a whole class may take."""
MAX_ANSWER = 8 * 2**20
"""Bytes of an answer at most; runs carry their parameters, tags and data sets with them."""
T = TypeVar("T")


class TrackingAwayError(RuntimeError):
    """The tracking server does not answer in time, or not as agreed."""


class TrackingClosedError(RuntimeError):
    """The gate says that this is not the visitor's to read."""


class Tracking:
    """A client of the gate.

    Args:
        url: its own address on this machine, without a path.
        host: the proxy's, as people's programs on this machine name it: the gate answers to no other name.
    """

    def __init__(self, url: str, host: str) -> None:
        self._url = url.rstrip("/") + TRACKING_PREFIX
        self._host = host
        self._session: aiohttp.ClientSession | None = None
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def search(
        self, what: str, token: str, workspace: str, body: Mapping[str, object]
    ) -> object:
        """The answer to ``<what>/search`` (``experiments`` or ``runs``) in somebody's workspace.

        Args:
            token: the visitor's.

        Raises:
            TrackingAwayError, TrackingClosedError: there is none.
        """
        path = f"api/2.0/mlflow/{what}/search"
        headers = {
            "Host": self._host,
            "Authorization": f"Bearer {token}",
            "X-MLFLOW-WORKSPACE": workspace,
        }
        async with self._turn:
            try:
                async with (
                    asyncio.timeout(SECONDS),
                    self._open().post(
                        self._url + path, json=dict(body), headers=headers, allow_redirects=False
                    ) as reply,
                ):
                    data = await _read(reply.content)
                    status = reply.status
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise TrackingAwayError(f"{path}: {error.__class__.__name__}") from error
        if status in (401, 403):
            raise TrackingClosedError(f"{path}: {status} in {workspace}")
        try:
            if status != 200:
                raise TrackingAwayError(f"{path}: {status}")
            return json.loads(data)
        except ValueError as error:
            raise TrackingAwayError(f"{path}: no JSON") from error

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        return self._session


async def _read(content: aiohttp.StreamReader) -> bytes:
    data = b""
    async for part in content.iter_chunked(64 * 1024):
        data += part
        if len(data) > MAX_ANSWER:
            raise TrackingAwayError(f"an answer longer than {MAX_ANSWER} bytes")
    return data


async def of_each(
    names: list[str], ask: Callable[[str], Awaitable[T]], seconds: float
) -> dict[str, T | TrackingAwayError | TrackingClosedError]:
    """What ``ask`` says for each name; a refusal stands in its place, and so does a time that ran out.

    Args:
        seconds: for all of them together.
    """
    tasks = {name: asyncio.ensure_future(ask(name)) for name in names}
    if tasks:
        await asyncio.wait(tasks.values(), timeout=seconds)
    found: dict[str, T | TrackingAwayError | TrackingClosedError] = {}
    late = [name for name, task in tasks.items() if not task.done()]
    for name in late:
        tasks.pop(name).cancel()
        found[name] = TrackingAwayError("no time left")
    for name, task in tasks.items():
        error = task.exception()
        if isinstance(error, TrackingAwayError | TrackingClosedError):
            found[name] = error
        else:
            found[name] = task.result()
    return found


def experiments_from(answer: object) -> list[dict[str, Any]]:
    """The experiments of an answer to ``experiments/search``: ``id``, ``name`` and ``made`` (ms)."""
    raw = answer.get("experiments") if isinstance(answer, dict) else None
    found = []
    for one in raw if isinstance(raw, list) else ():
        if isinstance(one, dict) and one.get("experiment_id") and one.get("name"):
            made = one.get("creation_time")
            number = int(made) if isinstance(made, int | str) and str(made).isdecimal() else 0
            found.append(
                {"id": str(one["experiment_id"]), "name": str(one["name"]), "made": number}
            )
    return found
