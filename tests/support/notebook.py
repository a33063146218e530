"""A notebook that stays open while something happens to Madang."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import aiohttp

from support.messages import execute_request
from support.people import Person

T = TypeVar("T")


class OpenNotebook:
    """A notebook in somebody's browser: one kernel, and one websocket to it that stays open."""

    def __init__(self, person: Person) -> None:
        self.person = person
        made = person.server("POST", "/kernels", json={"name": "python3"})
        assert made.status_code == 201, made.text
        self.kernel = made.json()["id"]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.connect()

    def _do(self, work: Coroutine[Any, Any, T], seconds: float) -> T:
        return asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, seconds), self._loop).result(
            seconds + 5
        )

    def connect(self) -> None:
        """Open the websocket (again)."""
        self._do(self._connect(), 30)

    async def _connect(self) -> None:
        person = self.person
        cookies = "; ".join(
            f"{c.name}={c.value}"
            for c in person.session.cookies
            if f"/user/{person.name}/".startswith(c.path)
        )
        self._http = aiohttp.ClientSession(headers={"Cookie": cookies})
        try:
            self._socket = await self._http.ws_connect(
                f"{person.url}/user/{person.name}/api/kernels/{self.kernel}/channels",
                origin=person.url,
            )
        except BaseException:
            await self._http.close()
            raise

    def ask(self, code: str, seconds: float = 30) -> str:
        """Run ``code`` in the kernel, over the websocket that is open; what it printed."""
        return self._do(self._ask(code), seconds).strip()

    async def _ask(self, code: str) -> str:
        message = execute_request(code, self.person.name)
        await self._socket.send_json(message)
        printed: list[str] = []
        async for raw in self._socket:
            got = json.loads(raw.data)
            if got["parent_header"].get("msg_id") != message["header"]["msg_id"]:
                continue
            content = got["content"]
            if got["msg_type"] == "stream":
                printed.append(content["text"])
            if got["msg_type"] == "error":
                raise AssertionError("\n".join(content["traceback"]))
            if got["msg_type"] == "status" and content["execution_state"] == "idle":
                return "".join(printed)
        raise ConnectionError("the websocket was closed")

    def reconnects(self) -> bool:
        """Whether a new websocket reaches the same kernel now (as JupyterLab tries by itself)."""
        self._do(self._close(), 10)
        try:
            self.connect()
        except (aiohttp.ClientError, TimeoutError):
            return False
        return True

    async def _close(self) -> None:
        await self._socket.close()
        await self._http.close()

    def close(self) -> None:
        self._do(self._close(), 10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@contextmanager
def notebook(person: Person) -> Iterator[OpenNotebook]:
    opened = OpenNotebook(person)
    try:
        yield opened
    finally:
        opened.close()
