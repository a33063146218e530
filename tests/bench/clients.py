"""One person's way from the start request to the first executed cell, timed."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass

import aiohttp
from support.people import Person


@dataclass(frozen=True)
class Client:
    """Somebody with an API token for a Hub at ``url``; ``options`` go into the start request, ``code`` is the
    first cell."""

    url: str
    name: str
    token: str
    options: dict[str, str]
    code: str = "6 * 7"

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"token {self.token}"}

    async def first_cell(self) -> float:
        """Seconds from the start request to the reply of the first cell.

        Raises:
            AssertionError: the server did not start, or the cell did not run.
        """
        timeout = aiohttp.ClientTimeout(total=300)
        async with aiohttp.ClientSession(headers=self._headers, timeout=timeout) as http:
            begin = time.perf_counter()
            await self._start(http)
            await self._run_cell(http)
            return time.perf_counter() - begin

    async def _start(self, http: aiohttp.ClientSession) -> None:
        server = f"{self.url}/hub/api/users/{self.name}/server"
        async with http.post(server, json=self.options) as reply:
            assert reply.status in (201, 202), await reply.text()
            if reply.status == 201:
                return
        async with http.get(f"{server}/progress") as events:
            async for line in events.content:
                if line.startswith(b"data:"):
                    event = json.loads(line[5:])
                    assert not event.get("failed"), event
                    if event.get("ready"):
                        return
        raise AssertionError("the progress ended without a ready server")

    async def _run_cell(self, http: aiohttp.ClientSession) -> None:
        base = f"{self.url}/user/{self.name}/api/kernels"
        async with http.post(base, json={"name": "python3"}) as reply:
            assert reply.status == 201, await reply.text()
            kernel = (await reply.json())["id"]
        header = {
            "msg_id": uuid.uuid4().hex,
            "msg_type": "execute_request",
            "username": self.name,
            "session": uuid.uuid4().hex,
            "version": "5.3",
        }
        request = {
            "header": header,
            "parent_header": {},
            "metadata": {},
            "content": {"code": self.code, "silent": False},
            "channel": "shell",
            "buffers": [],
        }
        async with http.ws_connect(f"{base}/{kernel}/channels") as socket:
            await socket.send_str(json.dumps(request))
            async for raw in socket:
                got = json.loads(raw.data)
                if got["msg_type"] == "execute_reply":
                    assert got["content"]["status"] == "ok", got
                    return
        raise AssertionError("the kernel's channel closed")

    async def stop(self) -> None:
        """Stop the server and return when it is gone."""
        user = f"{self.url}/hub/api/users/{self.name}"
        async with aiohttp.ClientSession(headers=self._headers) as http:
            async with http.delete(f"{user}/server") as reply:
                assert reply.status in (202, 204, 404), await reply.text()
            while True:
                async with http.get(user) as reply:
                    if not (await reply.json()).get("servers"):
                        return


def client_of(person: Person, options: dict[str, str]) -> Client:
    """``person`` (who is signed in) as a client with a token of the own."""
    reply = person.api("POST", f"/users/{person.name}/tokens", json={"note": "bench"})
    reply.raise_for_status()
    return Client(person.url, person.name, reply.json()["token"], options)
