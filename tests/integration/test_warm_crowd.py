"""Two hundred people press start in the same moment, and five servers wait: each goes to one person at most.

The machine has eight places, so everybody else gets a new container or is told that all places are taken. Who
has a server writes their name with it and stops it at once.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import docker
import pytest
from support.classroom import imported
from support.people import Person
from support.remains import parts_of, wait_for_idle
from support.warm_stack import CHOICE, Stack, warm_stack

from madang_hub.web.i18n import gettext_for

pytestmark = [pytest.mark.engine, pytest.mark.long, pytest.mark.timeout(1500)]

BASE = 5
CROWD = 200
WAVES = 3
NETWORK = "10.238.0.0/26"
"""Eight places."""
TAKEN = "All places on this machine are taken. Try again when others have stopped."


@dataclass(frozen=True)
class Outcome:
    """What ``person`` got: the container, and its slot if it had waited; or the sentence of a refusal."""

    person: str
    container: str = ""
    slot: str = ""
    refused: str = ""


@pytest.fixture(scope="module")
def stack(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    data = tmp_path_factory.mktemp("crowd") / "data"
    # no network stays, so that one that was left is seen
    with warm_stack(engine, data, NETWORK, BASE, MADANG_NETWORKS_KEPT="0") as made:
        yield made


@pytest.fixture(scope="module")
def tokens(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Two hundred people, each with an API token of their own."""
    people = imported(
        stack.deployment,
        "class:crowd",
        "모두",
        {f"crowd{n:03}": ("trainee", f"사람{n:03}") for n in range(CROWD)},
        tmp_path_factory.mktemp("roster"),
    ).people

    def token(person: Person) -> str:
        reply = person.api("POST", f"/users/{person.name}/tokens", json={"note": "crowd"})
        assert reply.status_code == 201, reply.text
        return str(reply.json()["token"])

    with ThreadPoolExecutor(8) as together:
        return dict(zip(people, together.map(token, people.values()), strict=True))


def test_each_that_waits_goes_to_one_person_at_most(
    stack: Stack, tokens: dict[str, str], tmp_path: Path
) -> None:
    parts = parts_of(stack)
    homes = stack.deployment.data / "homes"
    ever: Counter[str] = Counter()
    for wave in range(WAVES):
        stack.filled(seconds=400)
        waiting = {str(c.id) for c in stack.waiting()}
        before = stack.metric("madang_server_starts_total", how="warm")
        outcomes = asyncio.run(_together(stack, tokens, f"wave{wave}"))
        started = [o for o in outcomes if o.container]
        warm = [o for o in started if o.slot]
        said = Counter(o.refused for o in outcomes if o.refused)
        print(
            f"wave {wave}: {len(warm)} warm, {len(started) - len(warm)} cold; refused: {dict(said)}"
        )
        assert len(outcomes) == CROWD
        assert {o.person for o in started}.isdisjoint(o.person for o in outcomes if o.refused)
        # nobody's was another's, in this wave or before
        ever.update(o.container for o in started)
        assert max(ever.values()) == 1
        assert len(warm) > BASE / 2, "most that waited went to somebody"
        assert len({o.slot for o in warm}) == len(warm)
        assert {o.container for o in warm} & waiting
        assert stack.metric("madang_server_starts_total", how="warm") == before + len(warm)
        # and what each wrote is in their own home
        for one in started:
            assert (homes / one.person / f"wave{wave}").read_text() == one.person
        wrote = {path.parent.name for path in homes.glob(f"*/wave{wave}")}
        assert wrote == {o.person for o in started}
        # the others were told the truth
        assert said.keys() <= {gettext_for("ko")(TAKEN)}
        wait_for_idle(stack, parts)


async def _together(stack: Stack, tokens: dict[str, str], file: str) -> list[Outcome]:
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=300)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
        return await asyncio.gather(*(_one(stack, http, n, t, file) for n, t in tokens.items()))


async def _one(
    stack: Stack, http: aiohttp.ClientSession, name: str, token: str, file: str
) -> Outcome:
    """Ask for a server; write into it and stop it where there is one."""
    url, headers = stack.deployment.url, {"Authorization": f"token {token}"}
    server = f"{url}/hub/api/users/{name}/server"
    async with http.post(server, json=CHOICE, headers=headers) as reply:
        status, text = reply.status, await reply.text()
    if status == 503:
        return Outcome(name, refused=str(json.loads(text)["message"]))
    assert status in (201, 202), f"{status}: {text}"
    # JupyterHub says 201 also where a start that took longer than it waits has failed in the same moment
    if refused := await _awaited(http, server, headers):
        return Outcome(name, refused=refused)
    found = await asyncio.to_thread(_container, stack, name)
    body = {"type": "file", "format": "text", "content": name}
    async with http.put(
        f"{url}/user/{name}/api/contents/{file}", json=body, headers=headers
    ) as reply:
        assert reply.status == 201, await reply.text()
    async with http.delete(server, headers=headers) as reply:
        assert reply.status in (202, 204), await reply.text()
    return Outcome(name, found[0], found[1])


async def _awaited(http: aiohttp.ClientSession, server: str, headers: dict[str, str]) -> str:
    """Wait for the end of a start; the sentence where it is refused."""
    async with http.get(f"{server}/progress", headers=headers) as events:
        async for line in events.content:
            if line.startswith(b"data:"):
                event = json.loads(line[5:])
                if event.get("failed"):
                    return str(event["message"]).removeprefix("Spawn failed: ")
                if event.get("ready"):
                    return ""
    raise AssertionError("the progress ended without an end of the start")


def _container(stack: Stack, name: str) -> tuple[str, str]:
    """The person's container and the slot in which it waited, if it did."""
    found = stack.engine.containers.get(f"{stack.instance}-user-{name}")
    return str(found.id), str(found.labels.get("madang.warm", ""))
