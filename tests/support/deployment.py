"""A real Madang for tests: started by the same command that `make up` runs, on ports of its own."""

from __future__ import annotations

import itertools
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from string import ascii_lowercase
from typing import Literal

from madang_hub.places import APP_MARK, SERVER_MARK
from madang_hub.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
Mode = Literal["server", "embedded"]


_PORTS = itertools.count()


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody listens on and nobody is given by the system.

    They lie below the range from which the system takes ports for outgoing connections, and each of
    xdist's workers has a thousand of its own, so that nobody takes one before it is used.
    """
    first = 20_000 + 1_000 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    found: list[int] = []
    while len(found) < count:
        port = first + next(_PORTS) % 1_000
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind(("", port))
            except OSError:
                continue
        found.append(port)
    return found


def wait_for(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Return when ``condition()`` is true; fail with ``what`` after ``seconds``.

    What comes soon is seen soon; what takes its time is asked four times a second: tests share two cores.
    """
    deadline, pause = time.monotonic() + seconds, 0.05
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:.0f} s in vain: {what}")
        time.sleep(pause)
        pause = min(pause * 1.3, 0.25)


def new_prefix() -> str:
    """A new one; as long as every other, so that none begins with another (the guard refuses that)."""
    return "mdt" + "".join(secrets.choice(ascii_lowercase) for _ in range(5))


@dataclass
class Deployment:
    """One installation; ``data`` is its own folder, names and ranges do not meet others'."""

    mode: Mode
    data: Path
    instance: str = field(default_factory=lambda: f"t{secrets.token_hex(3)}")
    network: str = "10.214.0.0/20"
    bridge_prefix: str = field(default_factory=new_prefix)
    admin: str = "operator"
    extra: dict[str, str] = field(default_factory=dict)
    tracking_workers: int = 1
    """Embedded mode: processes of the tracking server; each takes 3 s of processor time to start."""

    def __post_init__(self) -> None:
        self.port, self.hub_port, self.proxy_api_port = free_ports(3)
        self.tracking_port, self.people_port, self.accelerators_port = free_ports(3)
        (self.dashboards_port,) = free_ports(1)

    @property
    def cdi(self) -> Path:
        """Embedded mode: the folder of CDI specifications that it looks into, whatever the machine has."""
        return self.data.parent / "cdi"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environ(self) -> dict[str, str]:
        own = {k: v for k, v in os.environ.items() if not k.startswith("MADANG_")}
        return {
            **own,
            "MADANG_MODE": self.mode,
            "MADANG_DATA": str(self.data),
            "MADANG_INSTANCE": self.instance,
            "MADANG_PORT": str(self.port),
            "MADANG_HUB_PORT": str(self.hub_port),
            "MADANG_PROXY_API_PORT": str(self.proxy_api_port),
            "MADANG_TRACKING_PORT": str(self.tracking_port),
            "MADANG_PEOPLE_PORT": str(self.people_port),
            "MADANG_ACCELERATORS_PORT": str(self.accelerators_port),
            "MADANG_DASHBOARDS_PORT": str(self.dashboards_port),
            "MADANG_NETWORK": self.network,
            "MADANG_BRIDGE_PREFIX": self.bridge_prefix,
            "MADANG_ADMIN": self.admin,
            # what tests warm servers says so; others need the processor
            "MADANG_WARM": "0",
            **(self._embedded if self.mode == "embedded" else {}),
            **self.extra,
        }

    @property
    def _embedded(self) -> dict[str, str]:
        return {
            "MADANG_ACCELERATOR_CDI": str(self.cdi),
            "MADANG_TRACKING_WORKERS": str(self.tracking_workers),
        }

    def madang(self, *words: str, check: bool = True, stdin: str = "") -> str:
        """Run ``madang WORDS``; its output (stdout and stderr)."""
        done = subprocess.run(
            [str(ROOT / "scripts" / "madang"), *words],
            env=self.environ,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        output = done.stdout + done.stderr
        if check and done.returncode:
            raise AssertionError(f"madang {' '.join(words)} failed:\n{output}\n{self.logs()}")
        return output

    def up(self) -> str:
        return self.madang("up")

    def down(self) -> None:
        self.madang("down")

    @contextmanager
    def running(self) -> Iterator[None]:
        """It is up, and nothing of it is left afterwards."""
        try:
            self.up()
            yield
        finally:
            self.remove()

    def remove(self) -> None:
        """Stop it and delete its data, also after a failed start."""
        try:
            if self.mode == "embedded":
                self._end()
            else:
                self.madang("reset", "--yes")
        finally:
            shutil.rmtree(self.data, ignore_errors=True)

    def _end(self) -> None:
        """End all processes at once; in order (what `test_operation` proves) it takes 4 s of processor time."""
        marks = [f"MADANG_DATA={self.data}\0"]
        marks += [f"{mark}={self.data / 'homes'}\0" for mark in (SERVER_MARK, APP_MARK)]

        def none_left() -> bool:
            left = {pid for mark in marks for pid in with_environment(mark)}
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not left

        wait_for(none_left, f"the last process of {self.data} to end")

    def one_time_password(self, output: str) -> str:
        """The one-time password that a command printed."""
        words = output.split()
        return words[words.index("password:" if "password:" in words else "password") + 1]

    def compose(self, *words: str) -> str:
        """``docker compose WORDS`` for this stack."""
        environ = {
            **self.environ,
            **Settings.load(ROOT, self.environ).environ(),
            "MADANG_RELEASE": "0",
            "MADANG_ENGINE_SOCKET": "/dev/null",
            "COMPOSE_PROJECT_NAME": self.instance,
        }
        done = subprocess.run(
            ["docker", "compose", "--file", str(ROOT / "docker-compose.yml"), *words],
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout + done.stderr

    def logs(self) -> str:
        """The last lines of every part, for a failed test."""
        if self.mode == "server":
            return self.compose("logs", "--tail", "60")
        parts = []
        for log in sorted((self.data / "log").glob("*.log")):
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-60:])
            parts.append(f"== {log.name}\n{tail}")
        return "\n".join(parts)


def python() -> str:
    return sys.executable


def with_environment(text: str) -> list[int]:
    """Processes that have ``text`` in their environment, as ``/proc`` shows it."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if text.encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
    return found


def processes(deployment: Deployment, *words: str) -> list[int]:
    """Processes of this installation (embedded mode) with all of ``words`` in their command line."""
    found = []
    for pid in with_environment(str(deployment.data)):
        with suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            if all(word in command for word in words):
                found.append(pid)
    return found


def kill(deployment: Deployment, *words: str) -> None:
    """End these processes without a word, as a crash does."""
    pids = processes(deployment, *words)
    assert pids, words
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def family(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for one in found:
        for task in (Path("/proc") / str(one) / "task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found
