"""Kernels of a user server, as a page uses them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
from support.messages import execute_request

from images.containers import TOKEN, Running


@contextmanager
def kernel(server: Running, name: str = "python3") -> Iterator[str]:
    """A new kernel of that name; its id."""
    made = server.session.post(f"{server.url}/api/kernels", json={"name": name}, timeout=60)
    assert made.status_code == 201, made.text
    identity = str(made.json()["id"])
    try:
        yield identity
    finally:
        server.session.delete(f"{server.url}/api/kernels/{identity}", timeout=60)


def run_cell(server: Running, code: str, name: str = "python3") -> str:
    """Run ``code`` in a kernel of its own; what it printed."""
    with kernel(server, name) as identity:
        return asyncio.run(execute(server.url, identity, code))


async def execute(url: str, kernel: str, code: str) -> str:
    """Run ``code`` in ``kernel``; what it printed."""
    message = execute_request(code, "kim")
    header = message["header"]
    printed = ""
    async with (
        asyncio.timeout(120),
        aiohttp.ClientSession(headers={"Authorization": f"token {TOKEN}"}) as http,
        http.ws_connect(
            f"{url}/api/kernels/{kernel}/channels?session_id={header['session']}"
        ) as socket,
    ):
        await socket.send_str(json.dumps(message))
        async for raw in socket:
            got = json.loads(raw.data)
            if got["parent_header"].get("msg_id") != header["msg_id"]:
                continue
            if got["msg_type"] == "stream":
                printed += got["content"]["text"]
            if got["msg_type"] == "error":
                raise AssertionError("\n".join(got["content"]["traceback"]))
            if got["msg_type"] == "status" and got["content"]["execution_state"] == "idle":
                return printed
    raise AssertionError("the kernel's channel closed")
