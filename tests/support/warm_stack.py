"""A stack of server mode with warm servers: who waits, who was claimed, and what the Hub counts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
from docker.models.containers import Container

from support.deployment import Deployment, wait_for
from support.people import Person

CHOICE = {"environment": "lab", "size": "small"}


class Stack:
    """The stack, its admin, and what waits in it."""

    def __init__(self, admin: Person, engine: docker.DockerClient, base: int) -> None:
        self.admin, self.deployment, self.engine, self.base = (
            admin,
            admin.deployment,
            engine,
            base,
        )
        self.instance = self.deployment.instance

    def containers(self, start: str) -> list[Container]:
        """Those whose names begin so, whether they run or not."""
        found: list[Container] = self.engine.containers.list(
            all=True, filters={"label": f"madang.instance={self.instance}"}
        )
        return [c for c in found if str(c.name).startswith(f"{self.instance}-{start}")]

    def waiting(self) -> list[Container]:
        return self.containers("warm-")

    def server_of(self, person: Person) -> Container:
        (found,) = [
            c for c in self.containers("user-") if c.name == f"{self.instance}-user-{person.name}"
        ]
        return found

    def metric(self, name: str, **labels: str) -> float:
        """What the Hub's metrics say; 0 where it says nothing."""
        page = self.admin.session.get(f"{self.admin.url}/hub/metrics", timeout=20).text
        for line in page.splitlines():
            if line.startswith(name + "{") and all(f'{k}="{v}"' in line for k, v in labels.items()):
                return float(line.split()[-1])
        return 0.0

    def ready(self, kind: str = "lab/small") -> int:
        return int(self.metric("madang_warm_servers", state="ready", kind=kind))

    def filled(self, count: int | None = None, seconds: float = 120) -> None:
        """Return when so many wait (None: the base). None is made while the machine has too much to do."""
        wanted = self.base if count is None else count
        wait_for(lambda: self.ready() >= wanted, f"{wanted} waiting servers", seconds)

    def start(self, person: Person, how: str) -> None:
        """Start the person's server, and see that it came about like this."""
        if how == "warm":
            self.filled(1)
        else:
            for container in self.waiting():
                container.remove(force=True)
        before = self.metric("madang_server_starts_total", how=how)
        person.start(**CHOICE)
        assert self.metric("madang_server_starts_total", how=how) == before + 1
        if how == "cold":
            wait_for(lambda: not self.ready(), "the pool to know that those are gone")

    def slots(self) -> set[str]:
        return {f.name for f in (self.deployment.data / "run" / "warm").iterdir()}

    def part(self, service: str) -> Container:
        found: Container = self.engine.containers.get(f"{self.instance}-{service}-1")
        return found


@contextmanager
def warm_stack(
    engine: docker.DockerClient, data: Path, network: str, base: int, **settings: str
) -> Iterator[Stack]:
    """A stack of its own in which ``base`` servers wait; nothing of it is left afterwards."""
    extra = {"MADANG_WARM": "1", "MADANG_WARM_BASE": str(base), **settings}
    deployment = Deployment("server", data, network=network, extra=extra)
    try:
        admin = Person(deployment, deployment.admin, language="en")
        admin.join(deployment.one_time_password(deployment.up()))
        yield Stack(admin, engine, base)
    finally:
        print(deployment.logs())  # shown when a test failed
        deployment.remove()
