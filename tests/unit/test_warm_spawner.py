"""The embedded spawner with a warm parent: it claims, notices the end, stops, and starts cold where it must."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from subprocess import Popen
from types import SimpleNamespace
from typing import Any

import pytest
from jupyterhub.utils import exponential_backoff
from support.deployment import free_ports, wait_for

from madang_hub.catalog import Catalog
from madang_hub.image_table import TABLE
from madang_hub.local import MadangLocalSpawner
from madang_hub.warm import claimed, parents
from madang_hub.warm.parents import WarmParents

PROGRAM = """\
import http.server, os, sys
port = int(sys.argv[1].removeprefix("--port="))
print("serving", os.environ["HOME"], flush=True)
try:
    http.server.HTTPServer(("127.0.0.1", port), http.server.BaseHTTPRequestHandler).serve_forever()
except KeyboardInterrupt:
    print("asked to stop", flush=True)
"""


class Spawner(MadangLocalSpawner):
    """With what a Hub gives a spawner."""

    def begin(self) -> Any:
        return SimpleNamespace(environment=self.catalog.environments["lab"])

    async def ready_home(self, uid: int = 0, gid: int = 0) -> Path:
        home = Path(self.homes) / "minji"
        home.mkdir(parents=True, exist_ok=True)
        return home

    def get_args(self) -> list[str]:
        return [f"--port={self.port}"]

    def get_env(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": self.home_dir, "LANG": "C.UTF-8"}

    @property
    def output(self) -> str:
        return self._log_file().read_text()


@pytest.fixture
async def spawner(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Spawner]:
    programs = tmp_path / "env" / "lab" / "bin"
    programs.mkdir(parents=True)
    source = str(root / "extensions" / "madang-lab")
    waiting = (
        f"import sys; sys.path.append({source!r})\n"
        "from pathlib import Path\nfrom madang_lab.warm.program import run\n"
        "sys.path.pop()\nrun(Path(sys.argv[1]), sys.argv[2], lambda: None)\n"
    )
    for name, text in (("jupyterhub-singleuser", PROGRAM), ("madang-warm", waiting)):
        (programs / name).write_text(f"#!{sys.executable}\n{text}")
        (programs / name).chmod(0o755)
    monkeypatch.setattr(parents, "KEPT", ("PATH",))
    [port] = free_ports(1)
    warm = WarmParents(tmp_path / "env", tmp_path / "warm", tmp_path, {"LANG": "C.UTF-8"})
    warm.later = 0
    made = Spawner(
        catalog=Catalog.load(root / TABLE),
        homes=str(tmp_path / "homes"),
        environments=str(tmp_path / "env"),
        samples=str(root / "images"),
        logs=str(tmp_path / "servers"),
        ip="127.0.0.1",
        port=port,
        warm=warm,
        user=SimpleNamespace(name="minji"),
    )
    yield made
    if made.pid:
        await made.stop(now=True)
    made.warm._retire("lab")
    for process in made.warm._former:
        process.wait(20)


async def a_parent(spawner: Spawner) -> int:
    """The parent's process, when it waits."""
    await asyncio.to_thread(spawner.warm.ensure, "lab")
    folder = spawner.warm.folder_of("lab")
    await asyncio.to_thread(wait_for, (folder / "socket").exists, "the parent", 20)
    with claimed.connect(folder) as line:
        return claimed.peer(line)[0]


def refused(folder: Path) -> None:
    """Return when the parent has answered a claim that is none."""
    with claimed.connect(folder) as line:
        line.settimeout(20)
        line.send(b"{}")
        assert b"refused" in line.recv(4096)


async def ends(spawner: Spawner) -> int:
    """How the server ended, as the spawner says."""
    status: int | None = None

    async def ended() -> bool:
        nonlocal status
        status = await spawner.poll()
        return status is not None

    await exponential_backoff(ended, "the server runs on", start_wait=0.02, timeout=20)
    assert status is not None
    return status


async def test_it_claims_and_the_server_listens_when_the_start_is_over(spawner: Spawner) -> None:
    await a_parent(spawner)
    assert await spawner.start() == ("127.0.0.1", spawner.port)
    assert isinstance(spawner.proc, claimed.ClaimedServer)
    assert spawner.pid == spawner.proc.pid
    with socket.create_connection(("127.0.0.1", spawner.port), 5):
        pass
    assert await spawner.poll() is None
    assert spawner.output == f"serving {spawner.home_dir}\n"
    await spawner.stop()
    assert spawner.output.endswith("asked to stop\n")
    assert (spawner.pid, spawner.last_end) == (0, "")


async def test_a_killed_server_is_noticed(spawner: Spawner) -> None:
    await a_parent(spawner)
    await spawner.start()
    pid = spawner.pid
    os.kill(pid, signal.SIGKILL)
    assert await ends(spawner) == -signal.SIGKILL
    assert (spawner.pid, spawner.last_end) == (0, "killed")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_hub_that_was_restarted_knows_the_process_alone(spawner: Spawner) -> None:
    await a_parent(spawner)
    await spawner.start()
    state = spawner.get_state()
    with spawner.proc:
        spawner.proc = None
    spawner.load_state(state)
    assert await spawner.poll() is None
    await spawner.stop()
    assert spawner.output.endswith("asked to stop\n")


async def test_without_a_parent_it_starts_cold_and_the_next_is_warm(spawner: Spawner) -> None:
    await spawner.start()
    assert isinstance(spawner.proc, Popen)
    await spawner.stop()
    folder = spawner.warm.folder_of("lab")
    await asyncio.to_thread(wait_for, (folder / "socket").exists, "a parent for the next", 20)
    await spawner.start()
    assert isinstance(spawner.proc, claimed.ClaimedServer)


async def test_a_parent_of_the_former_environment_is_replaced(spawner: Spawner) -> None:
    former = await a_parent(spawner)
    (Path(spawner.environments) / "lab" / ".madang-lock").write_text("new")
    await spawner.start()
    assert isinstance(spawner.proc, Popen)
    await spawner.stop()
    await asyncio.to_thread(wait_for, lambda: not claimed.alive(former), "the old one to go", 20)
    assert await a_parent(spawner) != former
    await spawner.start()
    assert isinstance(spawner.proc, claimed.ClaimedServer)


async def test_a_parent_that_does_not_answer_costs_no_start(
    spawner: Spawner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claimed, "PATIENCE", 0.1)
    parent = await a_parent(spawner)
    os.kill(parent, signal.SIGSTOP)
    try:
        await spawner.start()
        assert isinstance(spawner.proc, Popen)
    finally:
        os.kill(parent, signal.SIGCONT)
    # what it forks now finds nobody who tells it to go on; whoever comes later is answered later
    await asyncio.to_thread(refused, spawner.warm.folder_of("lab"))
    children = Path(f"/proc/{parent}/task/{parent}/children")
    await asyncio.to_thread(wait_for, lambda: not children.read_text(), "its child to go", 20)
    await asyncio.to_thread(wait_for, lambda: spawner.output, "the cold server's words", 20)
    assert spawner.output == f"serving {spawner.home_dir}\n"


async def test_turned_off_every_server_is_cold(spawner: Spawner) -> None:
    await a_parent(spawner)
    warm, spawner.warm = spawner.warm, None
    try:
        await spawner.start()
        assert isinstance(spawner.proc, Popen)
    finally:
        spawner.warm = warm
