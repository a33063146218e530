"""The gate's part that counts files on their way in, and refuses those that a workspace has no room for.

The rules are in `madang_mlflow.quota`, the counts in `madang_mlflow.ledger`; this waits for both in threads.
"""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from madang_mlflow import quota
from madang_mlflow.artifacts import StorageError
from madang_mlflow.exchange import Event, Receive, Request, Send, answer
from madang_mlflow.ledger import Ledger
from madang_mlflow.quota import Limits, Usage

log = logging.getLogger("madang.tracking")

#: Insufficient Storage. MLflow's client does not try again on it (it does on 429 and 503), and urllib3 would on
#: 413 with a Retry-After.
STATUS = 507

#: Bytes by which an upload that does not say how long it is grows in the ledger.
STEP = 8 * 2**20

#: Where the gate says what a workspace holds.
USAGE = "/madang/usage"

#: What is said while the storage does not answer.
AWAY = (
    "파일 저장소가 응답하지 않습니다. 잠시 후 다시 시도해 주세요. "
    "The storage of files does not answer: try again shortly."
)

_JSON = b"application/json; charset=utf-8"

Go = Callable[[Receive, Send], Awaitable[None]]


class _FullError(Exception):
    """The body is longer than there is room."""


class Meter:
    """Counts what comes in.

    Args:
        limits: what workspaces may hold.
        ledger: the counts.
        measure: counts the bytes of a workspace's files; blocks.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        limits: Limits,
        ledger: Ledger,
        measure: Callable[[str], int],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._limits = limits
        self._ledger = ledger
        self._measure = measure
        self._clock = clock
        self._measuring: dict[str, asyncio.Lock] = {}

    async def run(
        self, request: Request, path: str, workspace: str, receive: Receive, send: Send, go: Go
    ) -> None:
        """Answer the question for usage; let anything else go on, counted if it brings a file.

        Args:
            request: the request.
            path: decoded, without the service's prefix.
            workspace: in which it is.
            receive: gives its body.
            send: takes the answer.
            go: hands it on to MLflow.
        """
        limit = self._limits.of(workspace)
        if path != USAGE and not (limit and quota.brings_files(request.method, path)):
            await go(receive, send)
            return
        size = quota.length(request.all(b"content-length"))
        try:
            if path == USAGE:
                await self._say_usage(workspace, send)
                return
            number = await self._begin(workspace, size, limit)
        except StorageError as error:
            log.warning("What %s holds cannot be counted: %s", workspace, error)
            await _say_error(send, 503, "TEMPORARILY_UNAVAILABLE", AWAY)
            return
        if number is None:
            await self.refuse(workspace, limit, receive, send)
            return
        await _Upload(self, number, workspace, size, limit).run(receive, send, go)

    async def usage(self, workspace: str, *, refusing: bool = False) -> Usage:
        """What a workspace holds, measured if that is due."""
        async with self._measuring.setdefault(workspace, asyncio.Lock()):
            now = self._clock()
            known = await asyncio.to_thread(self._ledger.usage, workspace)
            if known is None or quota.to_measure(known, now, refusing=refusing):

                def count() -> int:
                    return self._measure(workspace)

                return await asyncio.to_thread(self._ledger.measure, workspace, count, now)
            return known

    async def _begin(self, workspace: str, size: int, limit: int) -> int | None:
        await self.usage(workspace)
        begun = await asyncio.to_thread(self._ledger.begin, workspace, size, limit, self._clock())
        if begun is None:
            await self.usage(workspace, refusing=True)
            begun = await asyncio.to_thread(
                self._ledger.begin, workspace, size, limit, self._clock()
            )
        return begun

    async def grow(self, number: int, workspace: str, limit: int) -> bool:
        """Room for one `STEP` more."""
        args = (number, workspace, STEP, limit)
        if await asyncio.to_thread(self._ledger.grow, *args):
            return True
        await self.usage(workspace, refusing=True)
        return await asyncio.to_thread(self._ledger.grow, *args)

    async def end(self, number: int, workspace: str, stored: int) -> None:
        """An upload has ended."""
        await asyncio.to_thread(self._ledger.end, number, workspace, stored)

    async def refuse(self, workspace: str, limit: int, receive: Receive, send: Send) -> None:
        """Say that there is no room."""
        # The rest of the body is taken and dropped: a client that is still sending would see a broken
        # connection instead of the answer, and try again.
        while (event := await receive())["type"] == "http.request" and event.get("more_body"):
            pass
        # both languages: programs do not say which one their people read
        text = " ".join(quota.full(await self.usage(workspace), limit))
        await _say_error(send, STATUS, "REQUEST_LIMIT_EXCEEDED", text)

    async def _say_usage(self, workspace: str, send: Send) -> None:
        found = await self.usage(workspace)
        said = {
            "workspace": workspace,
            "used_bytes": found.used,
            "limit_bytes": self._limits.of(workspace) or None,
            "measured": datetime.fromtimestamp(found.at, UTC).isoformat(timespec="seconds"),
        }
        await answer(send, 200, json.dumps(said).encode(), _JSON, [])


async def _say_error(send: Send, status: int, code: str, text: str) -> None:
    said = {"error_code": code, "message": text, "status": status}
    await answer(send, status, json.dumps(said, ensure_ascii=False).encode(), _JSON, [])


class _Upload:
    """One upload: its body is counted as it comes, its answer looked at."""

    def __init__(self, meter: Meter, number: int, workspace: str, size: int, limit: int) -> None:
        self._meter = meter
        self._number = number
        self._workspace = workspace
        self._granted = size
        self._limit = limit
        self._came = 0
        self._status = 0
        self._full = False

    async def run(self, receive: Receive, send: Send, go: Go) -> None:
        async def counted() -> Event:
            event = await receive()
            self._came += len(event.get("body", b""))
            while self._came > self._granted:
                if not await self._meter.grow(self._number, self._workspace, self._limit):
                    self._full = True
                    raise _FullError
                self._granted += STEP
            return event

        async def seen(event: Event) -> None:
            if self._full:  # what MLflow says to the exception
                return
            if event["type"] == "http.response.start":
                self._status = event["status"]
            await send(event)

        try:
            await go(counted, seen)
        except Exception:
            if not self._full:
                raise
        finally:
            stored = self._came if 200 <= self._status < 300 and not self._full else 0
            await asyncio.shield(self._meter.end(self._number, self._workspace, stored))
        if self._full:
            await self._meter.refuse(self._workspace, self._limit, receive, send)
