"""The engine's gateway and containers that wait: docker-py as the client, a stand-in engine that remembers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import docker
import pytest
from aiohttp import web
from docker.errors import APIError, NotFound
from support.gateway import gateway_at, standing_in
from support.waiting import waiting

from madang_hub.catalog import Catalog, Choice
from madang_hub.engine.gateway import Gateway
from madang_hub.engine.policy import BROKER_CALLS
from madang_hub.engine.rules import Rules, rules_for
from madang_hub.isolation import networks
from madang_hub.settings import Settings

T = TypeVar("T")
SLOT = "0123456789abcdef"
NAME, ALICE = f"madang-warm-{SLOT}", "madang-user-alice"
WARM, COLD, STACK, OTHERS = "a" * 64, "d" * 64, "b" * 64, "e" * 64
CATALOG = Catalog.load(Path(__file__).parents[2] / "images" / "images.toml")
CHOICE = Choice(CATALOG.environments["lab"], CATALOG.sizes["small"])
PLAN = networks.plan(Settings.model_validate({"data": "/d"}).network, 3)


def network_id(index: int) -> str:
    return f"{index:064x}"


@dataclass
class Engine:
    """Containers by id and networks by id, changed as an engine changes them."""

    socket: Path
    containers: dict[str, dict[str, Any]] = field(default_factory=dict)
    networks: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    renaming: asyncio.Event | None = None
    """A rename waits for it."""

    def __post_init__(self) -> None:
        ours = {"madang.instance": "madang", "madang.user": "bob"}
        other = {"madang.instance": "other", "madang.warm": SLOT, "madang.network": "3"}
        self.add(COLD, "madang-user-bob", ours, PLAN.name)
        self.add(STACK, "madang-database", {"madang.stack": "madang"}, "none")
        self.add(OTHERS, f"other-warm-{SLOT}", other)
        for index in (3, 4):
            plan = networks.plan(Settings.model_validate({"data": "/d"}).network, index)
            self.networks[network_id(index)] = {"Name": plan.name, "Labels": dict(plan.labels)}
        self.networks["9" * 64] = {"Name": "bridge", "Labels": {}}

    def add(self, identity: str, name: str, labels: dict[str, str], *ends: str) -> None:
        self.containers[identity] = {
            "Name": f"/{name}",
            "State": {"Running": True},
            "Config": {"Labels": labels, "Tty": False},
            "NetworkSettings": {"Networks": {end: {} for end in ends}},
        }

    def calls(self, method: str) -> list[str]:
        return [path for verb, path, _, _ in self.asked if verb == method]

    def body(self, end: str) -> Any:
        return next(json.loads(b) for _, path, _, b in self.asked if path.endswith(end))

    def find(self, kind: str, ref: str) -> str | None:
        table = self.containers if kind == "containers" else self.networks
        by_name = {value["Name"].removeprefix("/"): key for key, value in table.items()}
        starts = [key for key in table if len(ref) >= 12 and key.startswith(ref)]
        return by_name.get(ref) or (starts[0] if starts else None)

    async def answer(self, request: web.Request) -> web.Response:
        text = await request.read()
        self.asked.append((request.method, request.path, dict(request.query), text))
        body = json.loads(text) if text else {}
        kind, ref, *rest = request.path.split("/")[2:]
        if request.path.endswith("/containers/create"):
            name = request.query["name"]
            self.add(WARM, name, body["Labels"], body["HostConfig"]["NetworkMode"])
            self.containers[WARM]["State"]["Running"] = False
            return web.json_response({"Id": WARM, "Warnings": []}, status=201)
        if request.path.endswith("/networks/none/disconnect"):
            self.containers[body["Container"]]["NetworkSettings"]["Networks"].pop("none")
            return web.Response(status=200)
        identity = self.find(kind, ref)
        if identity is None:
            return web.json_response({"message": f"No such {kind}: {ref}"}, status=404)
        found = (self.containers if kind == "containers" else self.networks)[identity]
        match (request.method, rest):
            case ("GET", ["json"] | []):
                return web.json_response({"Id": identity, **found})
            case ("POST", ["start"]):
                found["State"]["Running"] = True
            case ("POST", ["stop"] | ["kill"]):
                found["State"]["Running"] = False
            case ("POST", ["rename"]):
                if self.renaming is not None:
                    await self.renaming.wait()
                if self.find("containers", request.query["name"]) is not None:
                    return web.json_response({"message": "Conflict"}, status=409)
                found["Name"] = "/" + request.query["name"]
            case ("POST", ["connect"]):
                networks = self.containers[body["Container"]]["NetworkSettings"]["Networks"]
                networks[found["Name"]] = {}
            case ("POST", ["wait"]):
                return web.json_response({"StatusCode": 0})
            case ("DELETE", []):
                del self.containers[identity]
        return web.Response(status=204)


@pytest.fixture
def rules(short_folder: Path) -> Rules:
    return rules_for(Settings.model_validate({"data": short_folder}), CATALOG)


@pytest.fixture
async def engine(short_folder: Path) -> AsyncIterator[Engine]:
    standin = Engine(short_folder / "engine.sock")
    async with standing_in(standin.answer, standin.socket):
        yield standin


@pytest.fixture
async def client(
    short_folder: Path, engine: Engine, rules: Rules
) -> AsyncIterator[docker.APIClient]:
    path = short_folder / "gate.sock"
    async with gateway_at(Gateway(engine.socket, rules, check_homes=True), path):
        with closing(docker.APIClient(f"unix://{path}", version="1.45")) as made:
            yield made


@pytest.fixture
def slot(rules: Rules) -> Path:
    folder = Path(rules.warm or "", SLOT)
    folder.mkdir(parents=True)
    return folder


async def do(call: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    return await asyncio.to_thread(call, *args, **kwargs)


async def make(client: docker.APIClient, slot: Path) -> str:
    asked = waiting(client, CATALOG, CHOICE, "madang", PLAN, slot)
    return str((await do(client.create_container, **asked))["Id"])


async def ready(client: docker.APIClient, slot: Path) -> str:
    """A container that waits, out of the network ``none``."""
    identity = await make(client, slot)
    await do(client.start, identity)
    await do(client.disconnect_container_from_network, identity, "none")
    return identity


async def connect(client: docker.APIClient, ref: str, network: str = PLAN.name) -> None:
    address = str(PLAN.address)
    await do(client.connect_container_to_network, ref, network, ipv4_address=address)


async def refused(says: str, call: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    with pytest.raises(APIError) as refusal:
        await do(call, *args, **kwargs)
    assert refusal.value.status_code == 403
    assert says in str(refusal.value.explanation)


async def test_the_life_of_a_server_that_waited(
    client: docker.APIClient, engine: Engine, slot: Path
) -> None:
    identity = await ready(client, slot)
    await do(client.rename, identity, ALICE)
    await connect(client, ALICE)
    for call in ("inspect_container", "logs", "wait"):
        await do(getattr(client, call), ALICE)
        await do(getattr(client, call), identity)
    await do(client.kill, ALICE)
    await do(client.stop, ALICE, timeout=3)
    await do(client.remove_container, ALICE, v=True)
    assert WARM not in engine.containers
    # names have become ids, in bodies too
    assert [path.removeprefix("/v1.45") for path in engine.calls("POST")] == [
        "/containers/create",
        f"/containers/{WARM}/start",
        "/networks/none/disconnect",
        f"/containers/{WARM}/rename",
        f"/networks/{network_id(3)}/connect",
        f"/containers/{WARM}/wait",
        f"/containers/{WARM}/wait",
        f"/containers/{WARM}/kill",
        f"/containers/{WARM}/stop",
    ]
    assert engine.body("/none/disconnect") == {"Container": WARM, "Force": False}
    end = {"IPAMConfig": {"IPv4Address": str(PLAN.address)}}
    assert engine.body("/connect") == {"Container": WARM, "EndpointConfig": end}


async def test_one_that_waits_can_be_stopped_and_removed(
    client: docker.APIClient, engine: Engine, slot: Path
) -> None:
    await ready(client, slot)
    for call in ("inspect_container", "logs", "wait", "kill", "stop"):
        await do(getattr(client, call), NAME)
    await do(client.remove_container, NAME, force=True)
    assert WARM not in engine.containers


async def test_claimed_once(client: docker.APIClient, engine: Engine, slot: Path) -> None:
    """Whatever was remembered of it: by its id and by either name."""
    identity = await ready(client, slot)
    await do(client.rename, identity, ALICE)
    await connect(client, identity)
    asked = len(engine.calls("POST"))
    for ref in (identity, ALICE, identity[:12]):
        await refused("does not wait any more", client.rename, ref, "madang-user-mallory")
        await refused(
            "in a network already",
            client.connect_container_to_network,
            ref,
            PLAN.name,
            ipv4_address=str(PLAN.address),
        )
        await refused(
            "does not wait any more", client.disconnect_container_from_network, ref, "none"
        )
    with pytest.raises(NotFound):
        await do(client.rename, NAME, "madang-user-mallory")
    assert len(engine.calls("POST")) == asked
    assert engine.containers[WARM]["Name"] == f"/{ALICE}"


async def test_of_two_at_once_one_gets_it(
    client: docker.APIClient, engine: Engine, slot: Path, short_folder: Path
) -> None:
    identity = await ready(client, slot)
    engine.renaming = asyncio.Event()
    first = asyncio.create_task(do(client.rename, identity, ALICE))
    async with asyncio.timeout(20):
        while not engine.calls("POST")[-1].endswith("/rename"):
            await do(client.inspect_container, identity)
    # the engine says still that it waits
    assert engine.containers[WARM]["Name"] == f"/{NAME}"
    with closing(docker.APIClient(f"unix://{short_folder}/gate.sock", version="1.45")) as other:
        await refused("does not wait any more", other.rename, NAME, "madang-user-mallory")
    engine.renaming.set()
    await first
    assert engine.containers[WARM]["Name"] == f"/{ALICE}"
    assert sum(path.endswith("/rename") for path in engine.calls("POST")) == 1


async def test_a_name_that_is_taken_leaves_it_waiting(
    client: docker.APIClient, engine: Engine, slot: Path
) -> None:
    identity = await ready(client, slot)
    with pytest.raises(APIError) as conflict:
        await do(client.rename, identity, "madang-user-bob")
    assert conflict.value.status_code == 409
    await do(client.rename, identity, ALICE)
    assert engine.containers[WARM]["Name"] == f"/{ALICE}"


async def test_no_other_order(client: docker.APIClient, engine: Engine, slot: Path) -> None:
    identity = await make(client, slot)
    address = {"ipv4_address": str(PLAN.address)}
    connect_to = client.connect_container_to_network
    leave = client.disconnect_container_from_network
    # it was not started
    await refused("does not run", leave, identity, "none")
    await refused("does not run", connect_to, identity, PLAN.name, **address)
    await refused("does not run", client.rename, identity, ALICE)
    await do(client.start, identity)
    # it is in none
    await refused("in a network already", connect_to, identity, PLAN.name, **address)
    await refused("still in the network none", client.rename, identity, ALICE)
    await do(leave, identity, "none")
    await refused("not in the network none", leave, identity, "none")
    assert [path.rpartition("/")[2] for path in engine.calls("POST")] == [
        "create", "start", "disconnect",
    ]  # fmt: skip


async def test_no_other_subject(client: docker.APIClient, engine: Engine, slot: Path) -> None:
    identity = await ready(client, slot)
    address = {"ipv4_address": str(PLAN.address)}
    connect_to = client.connect_container_to_network
    asked = len(engine.calls("POST"))
    for ref in (STACK, "madang-database", STACK[:12], OTHERS, f"other-warm-{SLOT}"):
        not_ours = "not a user server of this installation"
        await refused(not_ours, client.rename, ref, ALICE)
        await refused(not_ours, client.disconnect_container_from_network, ref, "none")
        await refused(not_ours, connect_to, ref, PLAN.name, **address)
    for ref in (COLD, "madang-user-bob"):
        await refused("not made to wait", client.rename, ref, ALICE)
        await refused("not made to wait", client.disconnect_container_from_network, ref, "none")
        await refused("not made to wait", connect_to, ref, PLAN.name, **address)
    for network in ("bridge", "9" * 64):
        await refused("not a user server", connect_to, identity, network, **address)
        await refused("this call", client.disconnect_container_from_network, identity, network)
    other = networks.plan(Settings.model_validate({"data": "/d"}).network, 4)
    for network in (other.name, network_id(4)):
        for its in (PLAN.address, other.address):
            await refused(
                "not this container's", connect_to, identity, network, ipv4_address=str(its)
            )
    await refused(
        "its address there is", connect_to, identity, PLAN.name, ipv4_address=str(PLAN.gateway)
    )
    for more in ({"aliases": ["madang-database"]}, {"links": [("madang-database", "db")]},
                 {"mac_address": "02:00:00:00:00:01"}, {"link_local_ips": ["169.254.1.1"]},
                 {"ipv6_address": "fe80::1"}, {"driver_opt": {"a": "b"}}):  # fmt: skip
        await refused("not a key", connect_to, identity, PLAN.name, **{**address, **more})
    await refused("IPAMConfig", connect_to, identity, PLAN.name)
    await refused("Force", client.disconnect_container_from_network, identity, "none", force=True)
    await refused("must start with", client.rename, identity, "madang-database")
    with pytest.raises(NotFound):
        await do(client.rename, "madang-warm-" + "f" * 16, ALICE)
    with pytest.raises(NotFound):
        await do(connect_to, identity, "madang-u-9", **address)
    assert len(engine.calls("POST")) == asked


async def test_after_a_restart_of_the_gateway_it_is_claimed_still(
    client: docker.APIClient, engine: Engine, rules: Rules, slot: Path, short_folder: Path
) -> None:
    identity = await ready(client, slot)
    await do(client.rename, identity, ALICE)
    path = short_folder / "second.sock"
    async with gateway_at(Gateway(engine.socket, rules), path):
        with closing(docker.APIClient(f"unix://{path}", version="1.45")) as second:
            await do(second.inspect_container, identity)  # it is known as ours then
            await refused("does not wait any more", second.rename, identity, "madang-user-mallory")
            await connect(second, identity)


@pytest.mark.parametrize("what", ["link", "file", "nothing"])
async def test_a_slot_that_is_no_folder_is_refused(
    client: docker.APIClient, engine: Engine, slot: Path, what: str
) -> None:
    await do(slot.rmdir)
    if what == "link":
        await do(slot.symlink_to, "/")
    elif what == "file":
        await do(slot.write_text, "")
    with pytest.raises(
        APIError, match=r"the slot (is not a folder|cannot be looked at)"
    ) as refusal:
        await make(client, slot)
    assert refusal.value.status_code == 403
    assert engine.calls("POST") == []


async def test_the_broker_cannot_claim_and_can_stop(
    client: docker.APIClient, engine: Engine, rules: Rules, slot: Path, short_folder: Path
) -> None:
    identity = await ready(client, slot)
    path = short_folder / "broker.sock"
    async with gateway_at(Gateway(engine.socket, rules, calls=BROKER_CALLS), path):
        with closing(docker.APIClient(f"unix://{path}", version="1.45")) as broker:
            says = "not for who asks here"
            leave = broker.disconnect_container_from_network
            await refused(says, broker.rename, identity, ALICE)
            await refused(says, leave, identity, "none")
            await refused(says, broker.connect_container_to_network, identity, PLAN.name)
            await do(broker.stop, identity)
