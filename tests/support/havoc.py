"""Random ends of an installation's parts and servers, by a plan that follows from a seed.

Everything is killed by its process, as a crash does: the engine notices it, and starts again what it is to.
"""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Literal

import docker
from docker.errors import DockerException
from docker.models.containers import Container
from requests.exceptions import RequestException

from support.deployment import wait_for
from support.warm_stack import Stack

What = Literal["hub", "mounter", "engine", "waiting", "server", "dockerd", "dockerd, asked"]
When = Literal["at once", "in a claim", "with work"]


@dataclass(frozen=True)
class Kill:
    """One end. ``engine`` is the gateway (its part's name), ``server`` the container of the cycle's person.

    ``in a claim``: in the moment in which a container that waited gets the name of the person's; ``with work``:
    after what the person wrote was acknowledged, and before the stop.
    """

    what: What
    when: When


def plan(kills: Mapping[Kill, int], cycles: int, seed: int) -> dict[int, Kill]:
    """Which cycle has which kill; the same for the same seed."""
    every = [kill for kill, count in kills.items() for _ in range(count)]
    chance = random.Random(seed)  # noqa: S311  # a plan that can be repeated
    chance.shuffle(every)
    return dict(zip(sorted(chance.sample(range(cycles), len(every))), every, strict=True))


@dataclass(frozen=True)
class Process:
    """The first process of a container."""

    pid: int
    container: str

    @classmethod
    def of(cls, container: Container) -> Process:
        container.reload()
        return cls(int(container.attrs["State"]["Pid"]), str(container.id))

    def kill(self) -> bool:
        """End it; False where it had ended, also if another process got its number."""
        try:
            if self.container not in Path(f"/proc/{self.pid}/cgroup").read_text(encoding="utf-8"):
                return False
            os.kill(self.pid, signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError):
            return False
        return True


@dataclass
class Havoc:
    """Ends things of ``stack`` and counts what it ended."""

    stack: Stack
    restart_engine: Callable[[signal.Signals], None] | None = None
    done: Counter[Kill] = field(default_factory=Counter)
    claims: int = 0
    """How many containers that waited got a person's name."""

    def __post_init__(self) -> None:
        self._lock = Lock()
        self._armed: dict[str, tuple[Kill, Process | None]] = {}
        self._over = Event()
        self._client = docker.DockerClient.from_env(timeout=60)
        self._watcher = Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def close(self) -> None:
        self._over.set()
        self._client.close()

    def do(self, kill: Kill, server: str) -> None:
        """End it now; ``server`` is the name of the person's container. What is not there cannot be ended."""
        if kill.what in ("dockerd", "dockerd, asked"):
            assert self.restart_engine is not None
            with self._lock:
                self.restart_engine(signal.SIGKILL if kill.what == "dockerd" else signal.SIGTERM)
                self.done[kill] += 1
            return
        if process := self._found(kill, server):
            self._end(kill, process)

    def arm(self, kill: Kill, server: str) -> None:
        """End it in the moment in which a container that waited gets the name ``server``."""
        # known beforehand, for a claim takes a tenth of a second
        of_its_own = kill.what in ("server", "dockerd", "dockerd, asked")
        process = None if of_its_own else self._found(kill, server)
        self._armed[server] = (kill, process)

    def disarm(self, server: str) -> None:
        """It was not claimed: nothing is ended."""
        self._armed.pop(server, None)

    def _found(self, kill: Kill, server: str) -> Process | None:
        with suppress(DockerException, RequestException):
            if kill.what == "waiting":
                found = [c for c in self.stack.waiting() if c.status == "running"]
                return Process.of(found[0]) if found else None
            name = server if kill.what == "server" else f"{self.stack.instance}-{kill.what}-1"
            return Process.of(self.stack.engine.containers.get(name))
        return None

    def _end(self, kill: Kill, process: Process) -> None:
        if process.kill():
            with self._lock:
                self.done[kill] += 1

    def _watch(self) -> None:
        """Wait for renamings, also over the engine's own restarts."""
        mark = {"label": f"madang.instance={self.stack.instance}", "event": "rename"}
        while not self._over.is_set():
            with suppress(DockerException, RequestException, OSError, ValueError):
                for event in self._client.events(decode=True, filters=mark):
                    self.claims += 1
                    name = str(event["Actor"]["Attributes"]["name"]).removeprefix("/")
                    if (armed := self._armed.pop(name, None)) is None:
                        continue
                    kill, process = armed
                    if kill.what in ("dockerd", "dockerd, asked"):
                        self.do(kill, name)
                        continue
                    if kill.what == "server":
                        process = Process.of(self._client.containers.get(event["Actor"]["ID"]))
                    if process:
                        self._end(kill, process)
            self._over.wait(0.2)


def back(stack: Stack, parts: frozenset[str]) -> None:
    """Return when all ``parts`` run again."""

    def run() -> bool:
        try:
            return all(stack.engine.containers.get(p).status == "running" for p in parts)
        except (DockerException, RequestException):
            return False

    wait_for(run, "the parts to run again", 180)
