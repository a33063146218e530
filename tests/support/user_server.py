"""A real user server with Madang's part in it, beside a Hub whose answers the test decides."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import requests
from conftest import missing

from support.deployment import free_ports, wait_for
from support.fake_hub import FakeHub

OWNER, MENTOR, STRANGER = "o" * 32, "m" * 32, "s" * 32
"""Tokens."""


@dataclass
class Server:
    """The user server of minji; ``url`` ends with a slash."""

    hub: FakeHub
    url: str
    home: Path
    log: Path
    process: subprocess.Popen[bytes]

    def ask(self, method: str, path: str, token: str = OWNER, **options: Any) -> requests.Response:
        headers = {"Authorization": f"token {token}"} if token else {}
        headers |= options.pop("headers", {})
        return requests.request(method, self.url + path, headers=headers, timeout=30, **options)

    def status(self, token: str = OWNER) -> dict[str, Any]:
        reply = self.ask("GET", "madang/status", token)
        assert reply.status_code == 200, reply.text
        found: dict[str, Any] = reply.json()
        return found

    @asynccontextmanager
    async def socket(self, path: str, token: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"token {token}"}) as http,
            http.ws_connect(self.url + path) as socket,
        ):
            yield socket


@contextmanager
def user_server(
    root: Path, home: Path, hub: FakeHub, environ: Mapping[str, str]
) -> Iterator[Server]:
    """The user server of minji in ``home``, with these variables beside those that JupyterHub sets."""
    program = root / "build" / "env" / "lab" / "bin" / "jupyterhub-singleuser"
    if not program.exists():
        missing("build/env/lab (run `scripts/madang environments`)")
    [port] = free_ports(1)
    url = f"http://127.0.0.1:{port}/user/minji/"
    log = home / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(program), "--allow-root"],
            env={
                "PATH": f"{program.parent}:{os.defpath}",
                "HOME": str(home),
                "LANG": "C.UTF-8",
                "JUPYTER_CONFIG_PATH": str(root / "images" / "base" / "etc"),
                "JUPYTERHUB_API_TOKEN": OWNER,
                "JUPYTERHUB_API_URL": f"{hub.url}/hub/api",
                "JUPYTERHUB_ACTIVITY_URL": f"{hub.url}/hub/api/users/minji/activity",
                "JUPYTERHUB_BASE_URL": "/",
                "JUPYTERHUB_CLIENT_ID": "jupyterhub-user-minji",
                "JUPYTERHUB_OAUTH_ACCESS_SCOPES": '["access:servers!user=minji"]',
                "JUPYTERHUB_SERVICE_PREFIX": "/user/minji/",
                "JUPYTERHUB_SERVICE_URL": url,
                "JUPYTERHUB_USER": "minji",
                **environ,
            },
            cwd=home,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    server = Server(hub, url, home, log, process)
    try:
        wait_for(lambda: _answers(server), "the user server", 60)
        yield server
    finally:
        process.terminate()
        process.wait(30)


def _answers(server: Server) -> bool:
    assert server.process.poll() is None, server.log.read_text()
    try:
        return server.ask("GET", "api/status").ok
    except requests.RequestException:
        return False
