"""The runner of dashboards as a process, and visitors who speak to it as a page would, or as no page would."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import requests

from madang_dashboard.frames import PROTOCOL, Frame, read, split, written
from madang_dashboard.gate import BASE_HEADER, KEY_HEADER
from madang_hub.deploy.embedded import ensure_dashboard
from madang_hub.places import bin_of
from support.deployment import wait_for

ROOT = Path(__file__).resolve().parents[2]
BASE = "/services/dashboards/visit/of-a-visitor/"
QUIET_S = 20.0


def program() -> list[str]:
    """The command of the runner, in the environment that embedded mode has for it."""
    ensure_dashboard(ROOT)
    return [str(bin_of(ROOT, "dashboard") / "python"), "-P", "-m", "madang_dashboard"]


def notebook(cells: list[str], more: Sequence[dict[str, Any]] = ()) -> str:
    """A notebook of these code cells, never run, and ``more`` cells of other kinds below them."""
    rows: list[dict[str, Any]] = [
        {
            "id": f"c{number}",
            "cell_type": "code",
            "source": source,
            "metadata": {},
            "outputs": [],
            "execution_count": None,
        }
        for number, source in enumerate(cells)
    ]
    rows += [{"id": f"m{number}", "metadata": {}, **cell} for number, cell in enumerate(more)]
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return json.dumps(
        {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": spec}, "cells": rows}
    )


@dataclass
class Runner:
    """A running ``madang-dashboard``."""

    url: str
    key: str
    pid: int
    log: Path

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        """A request of the gateway."""
        headers = {KEY_HEADER: self.key, BASE_HEADER: BASE, **options.pop("headers", {})}
        return requests.request(
            method, self.url + path, headers=headers, timeout=60, allow_redirects=False, **options
        )

    def state(self) -> dict[str, Any]:
        """What the author reads."""
        found: dict[str, Any] = self.ask("GET", "/state").json()
        return found

    def visits(self) -> dict[str, dict[str, Any]]:
        """The visits that have not ended, by name."""
        return {visit["visit"]: visit for visit in self.state()["visits"]}

    def kernels(self) -> list[int]:
        """The processes of all kernels."""
        return children_of(self.pid)

    def visit(self, query: str = "") -> Visit:
        """A visitor's page."""
        name = secrets.token_urlsafe(18)
        page = self.ask("GET", f"/visit/{name}/{query}")
        page.encoding = "utf-8"
        return Visit(self, name, page)


@dataclass
class Visit:
    """One visit and its page."""

    runner: Runner
    name: str
    page: requests.Response

    @property
    def path(self) -> str:
        return f"/visit/{self.name}"

    @property
    def kernel(self) -> str:
        """The id of the kernel that the page names."""
        _, _, after = self.page.text.partition('"kernelId": "')
        return after[:36]

    @property
    def channels(self) -> str:
        return f"{self.path}/api/kernels/{self.kernel}/channels"

    @asynccontextmanager
    async def socket(
        self, path: str | None = None, protocols: tuple[str, ...] = (PROTOCOL,), **headers: str
    ) -> AsyncIterator[Socket]:
        """The page's socket; a header that is empty is not sent."""
        url = f"{self.runner.url}{path or self.channels}?session_id={secrets.token_hex(8)}"
        every = {KEY_HEADER: self.runner.key, "Origin": "null", **headers}
        sent = {name: value for name, value in every.items() if value}
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(
                url, protocols=protocols, headers=sent, max_msg_size=0, autoping=True
            ) as found,
        ):
            yield Socket(found)

    async def refused(self, path: str | None = None, **options: Any) -> int:
        """The status with which a socket is refused."""
        try:
            async with self.socket(path, **options):
                return 101
        except aiohttp.WSServerHandshakeError as error:
            return error.status


@dataclass
class Socket:
    """A visitor's end."""

    wire: aiohttp.ClientWebSocketResponse
    seen: list[bytes] = field(default_factory=list)
    """Everything that came."""

    async def send(
        self,
        kind: str,
        content: dict[str, Any],
        channel: str = "shell",
        metadata: dict[str, Any] | None = None,
        buffers: tuple[bytes, ...] = (),
    ) -> str:
        """Send a message; returns its id."""
        number = secrets.token_hex(8)
        header = {
            "msg_id": number,
            "msg_type": kind,
            "session": "s",
            "username": "u",
            "date": "2026-01-01T00:00:00Z",
            "version": "5.3",
        }
        frame = Frame(
            channel, written(header), b"{}", written(metadata or {}), written(content), buffers
        )
        await self.wire.send_bytes(frame.joined())
        return number

    async def update(self, comm: str, **state: Any) -> str:
        """Change a widget."""
        data = {"method": "update", "state": state, "buffer_paths": []}
        return await self.send("comm_msg", {"comm_id": comm, "data": data})

    async def until(self, wanted: Callable[[str, dict[str, Any]], bool]) -> dict[str, Any]:
        """The content of the first message that is ``wanted``, by its kind and content."""
        async with asyncio.timeout(QUIET_S):
            while True:
                message = await self.wire.receive()
                assert message.type is aiohttp.WSMsgType.BINARY, message
                self.seen.append(message.data)
                frame = split(message.data)
                kind, content = read(frame.header)["msg_type"], read(frame.content)
                if wanted(kind, content):
                    return content

    async def answered(self, comm: str, trait: str) -> Any:
        """The next value of a widget's trait."""

        def wanted(kind: str, content: dict[str, Any]) -> bool:
            return (
                kind == "comm_msg"
                and content["comm_id"] == comm
                and trait in content["data"].get("state", {})
            )

        return (await self.until(wanted))["data"]["state"][trait]

    async def closed(self) -> int | None:
        """The code with which the runner closes the socket; what comes before is noted."""
        async with asyncio.timeout(QUIET_S):
            while True:
                message = await self.wire.receive()
                if message.type is aiohttp.WSMsgType.BINARY:
                    self.seen.append(message.data)
                else:
                    return self.wire.close_code

    async def widgets(self) -> dict[str, dict[str, Any]]:
        """The states of all widgets, by comm: how a page asks for them."""
        control = secrets.token_hex(16)
        await self.send(
            "comm_open",
            {"comm_id": control, "target_name": "jupyter.widget.control", "data": {}},
            metadata={"version": "1.0.0"},
        )
        await self.send("comm_msg", {"comm_id": control, "data": {"method": "request_states"}})
        content = await self.until(
            lambda kind, content: (
                kind == "comm_msg" and content["data"].get("method") == "update_states"
            )
        )
        return {comm: row["state"] for comm, row in content["data"]["states"].items()}


def named(widgets: dict[str, dict[str, Any]], description: str) -> str:
    """The comm of the widget with this description."""
    return next(c for c, state in widgets.items() if state.get("description") == description)


@contextmanager
def running(
    folder: Path, cells: list[str], more: Sequence[dict[str, Any]] = (), **settings: str
) -> Iterator[Runner]:
    """A runner that shows a :func:`notebook`; ``settings`` are its variables without their beginning."""
    snapshot = folder / "snapshot"
    snapshot.mkdir(parents=True, exist_ok=True)
    (snapshot / "앱.ipynb").write_text(notebook(cells, more), encoding="utf-8")
    key = secrets.token_urlsafe(32)
    log = folder / "log"
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "MADANG_DASHBOARD_KEY": key,
        "MADANG_DASHBOARD_ROOT": str(snapshot),
        "MADANG_DASHBOARD_NOTEBOOK": "앱.ipynb",
        "MADANG_DASHBOARD_BIND": "127.0.0.1:0",
        # what must reach nobody
        "JUPYTERHUB_API_TOKEN": "hub-secret",
        "SOMEBODYS_SECRET": "machine-secret",
        **{f"MADANG_DASHBOARD_{name}": value for name, value in settings.items()},
    }
    command = program()
    if os.geteuid() == 0:
        # root may read every process's memory; a container's user may not, with or without the runner's care
        setpriv = shutil.which("setpriv")
        assert setpriv, "setpriv (util-linux) is missing"
        command = [setpriv, "--bounding-set=-all", "--inh-caps=-all", *command]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environ, stdout=output, stderr=output, cwd=snapshot, start_new_session=True
        )

    def address() -> str | None:
        assert process.poll() is None, log.read_text()
        _, found, after = log.read_text().partition("listening on ")
        return after.split()[0] if found and "\n" in after else None

    try:
        wait_for(address, "the runner's address", 60)
        url = address()
        assert url
        yield Runner(url, key, process.pid, log)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()


def children_of(pid: int) -> list[int]:
    """The processes that ``pid``'s first thread started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def gone(pid: int) -> bool:
    """Whether the process ended."""
    return not Path(f"/proc/{pid}").exists()


def wait_until_gone(pids: list[int]) -> None:
    """Wait until all of these processes ended."""

    def left() -> list[str]:
        stats = [Path(f"/proc/{pid}/stat") for pid in pids if not gone(pid)]
        return [stat.read_text()[:60] for stat in stats]

    try:
        wait_for(lambda: all(gone(pid) for pid in pids), f"the end of {pids}", 20)
    except AssertionError as error:
        raise AssertionError(f"{error}: {left()}") from None
