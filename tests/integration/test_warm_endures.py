"""Instant start endures: two hundred claims and stops, while everything is killed around them.

In the long form the container engine itself is killed as well. That engine is of this test alone, in a network
namespace of its own, for others must not lose theirs. What is killed in which cycle follows from a seed, which
is printed; ``MADANG_TEST_SEED`` repeats it, and ``MADANG_TEST_CYCLES`` makes the long form shorter.
"""

from __future__ import annotations

import math
import os
import random
import secrets
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue

import docker
import pytest
import requests
from conftest import missing
from support.deployment import Deployment, wait_for
from support.havoc import Havoc, Kill, back, plan
from support.island import Island, island
from support.people import Person, newcomer
from support.persistent import Persistent
from support.remains import parts_of, remains, wait_for_idle
from support.warm_stack import Stack

pytestmark = [
    pytest.mark.engine,
    pytest.mark.long,
    # docker-py forgets the socket of a try that finds no engine (docker/transport/unixconn.py, `connect`)
    pytest.mark.filterwarnings("ignore:unclosed <socket.socket.*family=1:ResourceWarning"),
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in. <socket.socket.*family=1:pytest.PytestUnraisableExceptionWarning"
    ),
]

BASE = 3
NETWORK = "10.237.0.0/25"
ALL = [
    Kill(what, when) for what in ("hub", "mounter", "engine") for when in ("at once", "in a claim")
]
KILLS = {
    **dict.fromkeys(ALL, 4),
    Kill("hub", "with work"): 2,
    Kill("waiting", "at once"): 8,
    Kill("server", "in a claim"): 12,
    Kill("server", "with work"): 8,
    Kill("dockerd", "with work"): 2,
    Kill("dockerd, asked", "at once"): 1,
    Kill("dockerd", "in a claim"): 1,
}


@dataclass(frozen=True)
class Form:
    """How many cycles, of how many people at a time, with which kills."""

    cycles: int
    people: int
    kills: dict[Kill, int]

    def of(self, cycles: int) -> Form:
        """The same with so many cycles, and with each kill at least once."""
        kills = {kill: math.ceil(n * cycles / self.cycles) for kill, n in self.kills.items()}
        return replace(self, cycles=cycles, kills=kills)

    @property
    def own_engine(self) -> bool:
        return any(kill.what.startswith("dockerd") for kill in self.kills)


FORMS = {
    "short": Form(
        10, 3, dict.fromkeys([*ALL, Kill("server", "in a claim"), Kill("server", "with work")], 1)
    ),
    "long": Form(200, 4, KILLS),
}


@pytest.fixture(scope="module", params=FORMS)
def form(request: pytest.FixtureRequest) -> Form:
    found = FORMS[str(request.param)]
    fewer = os.environ.get("MADANG_TEST_CYCLES")
    return found.of(int(fewer)) if fewer and found.own_engine else found


@pytest.fixture(scope="module")
def away(
    form: Form, engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Island | None]:
    """An engine that may be killed, where one is needed."""
    if not form.own_engine:
        yield None
        return
    if os.geteuid() != 0:
        missing("root, who may make network namespaces")
    # nothing can be built on an island
    Deployment("server", tmp_path_factory.mktemp("images") / "data").madang("images")
    images = [tag for image in engine.images.list() for tag in image.tags]
    with island() as here:
        here.take([tag for tag in images if tag.startswith(("madang/", "debian:"))])
        with here.inside():
            yield here


@pytest.fixture(scope="module")
def stack(
    form: Form, away: Island | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    deployment = Deployment(
        "server",
        tmp_path_factory.mktemp("endures") / "data",
        network=NETWORK,
        # no network stays, so that one that was left is seen
        extra={
            "MADANG_WARM": "1",
            "MADANG_WARM_BASE": str(BASE),
            "MADANG_NETWORKS_KEPT": "0",
            "MADANG_ENVIRONMENTS": "lab",
        },
    )
    with ExitStack() as closing:
        client = docker.DockerClient.from_env(timeout=120)
        closing.callback(client.close)
        closing.callback(deployment.remove)
        closing.callback(lambda: print(deployment.logs()))  # shown when a test failed
        admin = Person(deployment, deployment.admin, language="en")
        admin.join(deployment.one_time_password(deployment.up()))
        yield Stack(admin, client, BASE)


@pytest.mark.timeout(2700)
def test_nothing_is_lost_and_nothing_is_left(form: Form, stack: Stack, away: Island | None) -> None:
    seed = int(os.environ.get("MADANG_TEST_SEED") or secrets.randbits(32))
    print(f"MADANG_TEST_SEED={seed}")
    stack.filled(seconds=400)
    parts = parts_of(stack)
    assert len(parts) >= 8, parts
    assert remains(stack, parts) == []
    names = [f"cycler{n}" for n in range(form.people)]
    people = [Persistent(newcomer(stack.deployment, name, language="en")) for name in names]
    havoc = Havoc(stack, away.restart_engine if away else None)
    todo: SimpleQueue[tuple[int, Kill | None]] = SimpleQueue()
    planned = plan(form.kills, form.cycles, seed)
    for number in range(form.cycles):
        todo.put((number, planned.get(number)))

    try:
        with ThreadPoolExecutor(form.people) as together:
            for done in [together.submit(_work, p, todo, stack, havoc, seed) for p in people]:
                done.result()
    finally:
        havoc.close()
        print(
            "killed:",
            *sorted(f"{n} × {k.what} {k.when}" for k, n in havoc.done.items()),
            sep="\n  ",
        )
        print(f"claims: {havoc.claims} in {form.cycles} cycles")
        told = sum((person.told for person in people), Counter[str]())
        print("told:", *(f"{n} × {what}" for what, n in told.most_common()), sep="\n  ")

    back(stack, parts)
    homes = stack.deployment.data / "homes"
    assert [lost for person in people for lost in person.lost(homes / person.name)] == []
    assert sum(len(person.kept) for person in people) == form.cycles
    # each of them really happened, and what it was to happen to
    assert {kill.what for kill in form.kills} == {kill.what for kill in havoc.done}
    assert havoc.claims > form.cycles / 10

    stack.filled(seconds=400)
    wait_for_idle(stack, parts)
    # and it is as good as new
    with_it = people[0].person
    stack.start(with_it, "warm")
    assert with_it.run("print(6 * 7)").strip() == "42"
    with_it.stop()
    wait_for_idle(stack, parts)


def _work(
    one: Persistent,
    todo: SimpleQueue[tuple[int, Kill | None]],
    stack: Stack,
    havoc: Havoc,
    seed: int,
) -> None:
    """Cycles, until none is left to do."""
    server = f"{stack.instance}-user-{one.name}"
    while True:
        try:
            number, kill = todo.get_nowait()
        except Empty:
            return
        chance = random.Random(f"{seed} {number}")  # noqa: S311  # bytes that can be repeated
        if kill and (kill.when == "in a claim" or kill.what == "waiting"):
            with suppress(AssertionError):
                # while the machine has too much to do none is made, and the start is not held up for that
                wait_for(lambda: _one_waits(stack), "a server to wait", 60)
        if kill and kill.when == "at once":
            havoc.do(kill, server)
        if kill and kill.when == "in a claim":
            havoc.arm(kill, server)
        one.start()
        havoc.disarm(server)
        one.save(f"{one.name}-{number}.bin", chance.randbytes(chance.randrange(1, 100_000)))
        if kill and kill.when == "with work":
            havoc.do(kill, server)
        one.stop()


def _one_waits(stack: Stack) -> bool:
    try:
        return stack.ready() > 0
    except requests.RequestException:
        return False
