"""Somebody at another person's server, as a browser goes there: entering, reading, writing."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable

import aiohttp
import requests

from support.deployment import wait_for
from support.messages import execute_request
from support.people import Person

OUT_WITHIN = 10.0
"""Seconds from the end of a look-in until the mentor gets nothing new."""
ENDLESS = "import time\nfor i in range(600):\n    print(i, flush=True)\n    time.sleep(0.2)"
KEPT = 60.0
"""Seconds for which a user server keeps the Hub's answers (jupyter_server_config.json)."""


def enter(visitor: Person, owner: str) -> requests.Response:
    """Open the server of ``owner`` in a browser; the Hub asks the first time whether that is meant."""
    reply = visitor.session.get(f"{visitor.url}/user/{owner}/lab", timeout=60)
    if reply.status_code == 200 and "oauth2/authorize" in reply.url:
        reply = visitor.session.post(
            reply.url,
            data={
                "_xsrf": visitor.xsrf,
                "scopes": re.findall(r'name="scopes" value="([^"]+)"', reply.text),
            },
            headers={"Referer": reply.url, "Sec-Fetch-Mode": "navigate"},
            timeout=60,
        )
    return reply


def come_in(visitor: Person, owner: str) -> None:
    """Enter. Who was shown out a moment before may have to wait: the server keeps the Hub's "no" so long."""
    wait_for(lambda: enter(visitor, owner).status_code == 200, "the server to open", KEPT + 10)
    wait_for(lambda: may_write(visitor, owner), "the server to let the visitor work", KEPT + 10)


def may_write(visitor: Person, owner: str) -> bool:
    reply = visitor.session.post(
        f"{visitor.url}/user/{owner}/api/contents/",
        json={"type": "directory"},
        headers={"X-XSRFToken": xsrf_at(visitor, owner), "Sec-Fetch-Mode": "cors"},
        timeout=30,
    )
    return reply.status_code == 201


def xsrf_at(visitor: Person, owner: str) -> str:
    found = (
        c.value
        for c in visitor.session.cookies
        if c.name == "_xsrf" and c.path.startswith(f"/user/{owner}")
    )
    return next(found, None) or ""


def look_at(visitor: Person, owner: str, path: str = "") -> requests.Response:
    """Read ``path`` of the home folder of ``owner`` over the server's API; no redirect is followed."""
    return visitor.session.get(
        f"{visitor.url}/user/{owner}/api/contents/{path}",
        headers={"X-XSRFToken": xsrf_at(visitor, owner), "Sec-Fetch-Mode": "cors"},
        allow_redirects=False,
        timeout=30,
    )


def read(visitor: Person, owner: str) -> int:
    """The status of reading the home folder of ``owner``."""
    return look_at(visitor, owner).status_code


# ---- connections that stay open ---------------------------------------------------------------


def kernel_of(visitor: Person, owner: str) -> str:
    reply = visitor.session.post(
        f"{visitor.url}/user/{owner}/api/kernels",
        json={"name": "python3"},
        headers={"X-XSRFToken": xsrf_at(visitor, owner), "Sec-Fetch-Mode": "cors"},
        timeout=60,
    )
    assert reply.status_code == 201, reply.text
    found: str = reply.json()["id"]
    return found


def cookies_of(visitor: Person, owner: str) -> str:
    path = f"/user/{owner}/"
    return "; ".join(
        f"{c.name}={c.value}" for c in visitor.session.cookies if path.startswith(c.path)
    )


def execute(code: str) -> str:
    return json.dumps(execute_request(code))


async def last_news(visitor: Person, path: str, first: str, end: Callable[[], object]) -> float:
    """Seconds from ``end()`` to the last message that the visitor's websocket at ``path`` got.

    ``first`` is sent there beforehand, and must make messages without end.
    """
    owner = path.split("/")[2]
    async with (
        aiohttp.ClientSession(headers={"Cookie": cookies_of(visitor, owner)}) as http,
        http.ws_connect(visitor.url + path, origin=visitor.url) as socket,
    ):
        await socket.send_str(first)
        for _ in range(10):  # it does run
            got = await asyncio.wait_for(socket.receive(), 30)
            assert got.type is aiohttp.WSMsgType.TEXT
        await asyncio.to_thread(end)
        ended = last = time.monotonic()
        while last - ended <= 3 * OUT_WITHIN:
            try:
                got = await asyncio.wait_for(socket.receive(), OUT_WITHIN)
            except TimeoutError:
                break
            if got.type is not aiohttp.WSMsgType.TEXT:
                break
            last = time.monotonic()
        return last - ended


async def refused(visitor: Person, path: str) -> int:
    owner = path.split("/")[2]
    async with aiohttp.ClientSession(headers={"Cookie": cookies_of(visitor, owner)}) as http:
        try:
            async with http.ws_connect(visitor.url + path, origin=visitor.url):
                return 101
        except aiohttp.WSServerHandshakeError as error:
            return error.status
