"""The engine's gateway in front of a stand-in engine, with docker-py as the client."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import stat
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import aiohttp
import docker
import pytest
from aiohttp import web
from docker.errors import APIError, NotFound
from docker.types import DeviceRequest, LogConfig
from jupyterhub.utils import exponential_backoff
from support.gateway import gateway_at, standing_in

from madang_hub.accelerators.table import TableError
from madang_hub.catalog import Catalog
from madang_hub.engine import asking
from madang_hub.engine.checks import Refused
from madang_hub.engine.gateway import Gateway, main
from madang_hub.engine.homes import real_folders
from madang_hub.engine.rules import Rules, rules_for
from madang_hub.engine.serving import bound
from madang_hub.isolation import networks
from madang_hub.places import Places
from madang_hub.settings import Settings

T = TypeVar("T")
OURS, STACK = "a" * 64, "b" * 64
POOL = IPv4Network("10.213.0.0/20")
KIND = "acme.com/npu"


@dataclass
class StandIn:
    """An engine that knows two containers and two networks, and remembers what it was asked."""

    socket: Path
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    more_log: asyncio.Event = field(default_factory=asyncio.Event)
    listing: list[dict[str, Any]] = field(default_factory=list)
    says: tuple[int, str] | None = None
    """In place of the listing."""
    making: asyncio.Event | None = None
    """What is to be made waits for it, and is in the listing then."""

    def calls(self, method: str) -> list[str]:
        return [path for verb, path, _, _ in self.asked if verb == method]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.asked.append((request.method, request.path, dict(request.query), body))
        path = request.path
        labels = {"madang.instance": "madang", "madang.user": "alice"}
        containers = {
            OURS: {
                "Id": OURS,
                "Name": "/madang-user-alice",
                "Config": {"Labels": labels, "Tty": False},
            },
            STACK: {"Id": STACK, "Name": "/madang-database", "Config": {"Labels": {}}},
        }
        names = {"madang-user-alice": OURS, "madang-database": STACK}
        parts = path.split("/")
        if path == "/version":
            return web.json_response({"ApiVersion": "1.45", "Version": "stand-in"})
        if path == "/_ping":
            return web.Response(text="OK", headers={"Api-Version": "1.45", "Set-Cookie": "a=b"})
        if path.endswith(("/containers/create", "/networks/create")):
            if self.making is not None:
                await self.making.wait()
                self.listing.append(json.loads(body))
            return web.json_response({"Id": OURS, "Warnings": []}, status=201)
        if path.endswith("/containers/json"):
            if self.says is not None:
                return web.Response(status=self.says[0], text=self.says[1])
            return web.json_response(self.listing)
        if path.endswith("/networks"):
            return web.json_response([])
        ref = names.get(parts[3], parts[3])
        if parts[2] == "networks":
            owner = {"madang-u-1": "madang", "bridge": ""}.get(ref, "")
            if ref == "bridge" or owner or ref == "c" * 64:
                if request.method == "DELETE":
                    return web.Response(status=204)
                found = {"madang.instance": owner, "madang.network": "1"}
                return web.json_response({"Id": "c" * 64, "Name": ref, "Labels": found})
            return web.json_response({"message": f"network {ref} not found"}, status=404)
        if ref not in containers:
            return web.json_response({"message": f"No such container: {ref}"}, status=404)
        if path.endswith("/logs"):
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"\x01\0\0\0\0\0\0\x06first\n")
            await self.more_log.wait()
            await response.write(b"\x01\0\0\0\0\0\0\x07second\n")
            await response.write_eof()
            return response
        if path.endswith("/json"):
            return web.json_response(containers[ref])
        return web.Response(status=204)


@pytest.fixture
def rules(short_folder: Path) -> Rules:
    return Rules(frozenset({"madang/lab:1"}), PurePosixPath(short_folder / "homes"), POOL)


@pytest.fixture
async def engine(short_folder: Path) -> AsyncIterator[StandIn]:
    standin = StandIn(short_folder / "engine.sock")
    async with standing_in(standin.answer, standin.socket):
        yield standin
        standin.more_log.set()


@pytest.fixture
async def listening(short_folder: Path, engine: StandIn, rules: Rules) -> AsyncIterator[Path]:
    path = short_folder / "gate.sock"
    gateway = Gateway(
        engine.socket,
        rules,
        check_homes=True,
        devices=lambda: {f"{KIND}=0": 1, f"{KIND}=1": 1, f"{KIND}=2": 2},
    )
    async with gateway_at(gateway, path):
        yield path


@pytest.fixture
async def client(listening: Path) -> AsyncIterator[docker.APIClient]:
    made = await asyncio.to_thread(docker.APIClient, f"unix://{listening}", version="auto")
    yield made
    await asyncio.to_thread(made.close)


async def do(call: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    return await asyncio.to_thread(call, *args, **kwargs)


def wanted(client: docker.APIClient, homes: PurePosixPath) -> dict[str, Any]:
    plan = networks.plan(POOL, 1)
    host = client.create_host_config(
        network_mode=plan.name,
        binds={f"{homes}/alice": {"bind": "/home/madang", "mode": "rw"}},
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        mem_limit=2**30,
        memswap_limit=2**30,
        cpu_quota=100_000,
        cpu_period=100_000,
        pids_limit=512,
        read_only=True,
        init=True,
        auto_remove=False,
        links={},
        mounts=[],
        tmpfs={"/tmp": "rw,nosuid,nodev,size=1048576"},
        extra_hosts={"hub.madang": str(plan.gateway)},
        log_config=LogConfig(type="json-file", config={"max-size": "5m", "max-file": "2"}),
    )
    endpoint = client.create_endpoint_config(ipv4_address=str(plan.address))
    return {
        "image": "madang/lab:1",
        "command": ["jupyterhub-singleuser"],
        "user": "1000:1000",
        "environment": {"JUPYTERHUB_API_TOKEN": "very-secret"},
        "volumes": ["/home/madang"],
        "ports": {"8888/tcp": None},
        "name": "madang-user-alice",
        "labels": {"madang.instance": "madang", "madang.user": "alice"},
        "host_config": host,
        "networking_config": client.create_networking_config({plan.name: endpoint}),  # type: ignore[arg-type]  # a mapping, say docker's documents
    }


async def test_the_life_of_a_server(
    client: docker.APIClient, engine: StandIn, rules: Rules
) -> None:
    await do(Path(rules.homes / "alice").mkdir, parents=True)
    await do(client.create_network, **networks.create_kwargs(networks.plan(POOL, 1)))
    made = await do(client.create_container, **wanted(client, rules.homes))
    assert made["Id"] == OURS
    await do(client.start, OURS)
    await do(client.inspect_container, "madang-user-alice")
    await do(client.stop, OURS, timeout=3)
    await do(client.remove_container, OURS, v=True)
    await do(client.remove_network, "madang-u-1")
    assert engine.calls("POST") == [
        "/v1.45/networks/create",
        "/v1.45/containers/create",
        f"/v1.45/containers/{OURS}/start",
        f"/v1.45/containers/{OURS}/stop",
    ]
    # names have become ids
    assert engine.calls("DELETE") == [f"/v1.45/containers/{OURS}", "/v1.45/networks/" + "c" * 64]
    sent = next(json.loads(b) for _, p, _, b in engine.asked if p.endswith("containers/create"))
    assert sent["HostConfig"]["RestartPolicy"]["Name"] == "no"


def lent(client: docker.APIClient, rules: Rules, *names: str) -> dict[str, Any]:
    """A server with these devices."""
    body = wanted(client, rules.homes)
    request = DeviceRequest(driver="cdi", device_ids=list(names))
    body["host_config"]["DeviceRequests"] = [request]
    body["labels"] |= {"madang.lease": "0" * 32, "madang.slots": "x"}
    body["labels"]["madang.devices"] = " ".join(names)
    return body


async def test_a_device_is_in_one_container_only(
    client: docker.APIClient, engine: StandIn, rules: Rules
) -> None:
    await do(Path(rules.homes / "alice").mkdir, parents=True)
    await do(client.create_container, **lent(client, rules, f"{KIND}=0", f"{KIND}=1"))
    (query,) = (q for _, p, q, _ in engine.asked if p == "/v1.45/containers/json")
    # of every Madang on this engine, and whether they run or not
    assert query == {"all": "true", "filters": '{"label": ["madang.devices"]}'}
    engine.listing = [{"Labels": {"madang.devices": f"{KIND}=7 {KIND}=1"}}]
    with pytest.raises(APIError, match=rf"the device {KIND}=1 is in another container"):
        await do(client.create_container, **lent(client, rules, f"{KIND}=0", f"{KIND}=1"))
    await do(client.create_container, **lent(client, rules, f"{KIND}=0"))
    with pytest.raises(APIError, match="not ours to give"):
        await do(client.create_container, **lent(client, rules, f"{KIND}=all"))
    assert engine.calls("POST") == ["/v1.45/containers/create"] * 2


async def test_a_divided_device_is_in_as_many_containers_as_the_operator_says(
    client: docker.APIClient, engine: StandIn, rules: Rules
) -> None:
    await do(Path(rules.homes / "alice").mkdir, parents=True)
    engine.listing = [{"Labels": {"madang.devices": f"{KIND}=2"}}]
    await do(client.create_container, **lent(client, rules, f"{KIND}=2"))
    engine.listing *= 2
    with pytest.raises(APIError, match=rf"the device {KIND}=2 is in another container"):
        await do(client.create_container, **lent(client, rules, f"{KIND}=2"))
    assert engine.calls("POST") == ["/v1.45/containers/create"]


async def test_of_two_at_once_one_gets_the_device(
    listening: Path, client: docker.APIClient, engine: StandIn, rules: Rules
) -> None:
    await do(Path(rules.homes / "alice").mkdir, parents=True)
    engine.making = asyncio.Event()
    body = lent(client, rules, f"{KIND}=0")
    both = [asyncio.create_task(do(client.create_container, **body)) for _ in range(2)]
    # what comes after them has come and gone often: time enough to look at the same listing
    while not engine.calls("POST"):
        await get(listening, "/_ping")
    for _ in range(20):
        await get(listening, "/_ping")
    engine.making.set()
    done = await asyncio.gather(*both, return_exceptions=True)
    (refused,) = (str(answer) for answer in done if isinstance(answer, APIError))
    assert f"the device {KIND}=0 is in another container" in refused
    assert engine.calls("POST") == ["/v1.45/containers/create"]


@pytest.mark.parametrize(
    ("says", "status", "sentence"),
    [
        ((200, '[{"Names": ["/x"]}]'), 403, "cannot be read"),
        ((200, "{}"), 403, "cannot be read"),
        ((200, "hello"), 502, "cannot be read"),
        ((500, '{"message": "ill"}'), 500, "ill"),
    ],
)
async def test_without_a_listing_no_device_is_given(
    client: docker.APIClient,
    engine: StandIn,
    rules: Rules,
    says: tuple[int, str],
    status: int,
    sentence: str,
) -> None:
    await do(Path(rules.homes / "alice").mkdir, parents=True)
    engine.says = says
    with pytest.raises(APIError, match=sentence) as refusal:
        await do(client.create_container, **lent(client, rules, f"{KIND}=0"))
    assert refusal.value.status_code == status
    assert engine.calls("POST") == []


async def test_where_the_operators_table_is_wrong_no_device_is_given(
    short_folder: Path, client: docker.APIClient, engine: StandIn, rules: Rules
) -> None:
    def devices() -> dict[str, int]:
        raise TableError("accelerators.toml cannot be read")

    await do(Path(rules.homes / "alice").mkdir, parents=True)
    path, body = short_folder / "wrong.sock", lent(client, rules, f"{KIND}=0")
    async with gateway_at(Gateway(engine.socket, rules, devices=devices), path):
        with closing(docker.APIClient(f"unix://{path}", version="1.45")) as other:
            with pytest.raises(APIError, match=r"accelerators\.toml cannot be read") as refusal:
                await do(other.create_container, **body)
            assert refusal.value.status_code == 403
            await do(other.create_container, **wanted(client, rules.homes))
    assert engine.calls("POST") == ["/v1.45/containers/create"]


async def test_refusals_reach_the_client_and_the_log_without_secrets(
    client: docker.APIClient, engine: StandIn, rules: Rules, caplog: pytest.LogCaptureFixture
) -> None:
    asked = len(engine.asked)
    body = wanted(client, rules.homes)
    body["host_config"]["Privileged"] = True
    with caplog.at_level(logging.INFO), pytest.raises(APIError) as refusal:
        await do(client.create_container, **body)
    assert refusal.value.status_code == 403
    assert "HostConfig.Privileged may not be set" in str(refusal.value.explanation)
    assert len(engine.asked) == asked
    line = next(r.getMessage() for r in caplog.records if "refused" in r.getMessage())
    assert line == ("refused POST '/v1.45/containers/create': HostConfig.Privileged may not be set")
    assert "very-secret" not in caplog.text


@pytest.mark.parametrize(
    "method", ["stop", "kill", "remove_container", "inspect_container", "logs"]
)
async def test_the_stack_itself_is_out_of_reach(
    client: docker.APIClient, engine: StandIn, method: str
) -> None:
    for ref in ("madang-database", STACK):
        asked = len(engine.asked)
        with pytest.raises(APIError) as refusal:
            await do(getattr(client, method), ref)
        assert refusal.value.status_code == 403
        # looked at, and left alone
        assert {(m, p) for m, p, _, _ in engine.asked[asked:]} == {
            ("GET", f"/v1.45/containers/{ref}/json")
        }


async def test_networks_of_others_are_out_of_reach(
    client: docker.APIClient, engine: StandIn
) -> None:
    with pytest.raises(APIError) as refusal:
        await do(client.remove_network, "bridge")
    assert refusal.value.status_code == 403
    assert engine.calls("DELETE") == []


async def test_what_is_not_there_is_not_found(client: docker.APIClient) -> None:
    with pytest.raises(NotFound, match="No such container"):
        await do(client.inspect_container, "madang-user-nobody")
    with pytest.raises(NotFound):
        await do(client.remove_network, "madang-u-9")


async def test_lists_are_filtered(client: docker.APIClient, engine: StandIn) -> None:
    await do(client.containers, all=True)
    await do(client.networks, filters={"label": "madang.instance=madang"})
    for _, path, query, _ in engine.asked[-2:]:
        assert json.loads(query["filters"]) == {"label": ["madang.instance=madang"]}, path


async def test_other_calls_never_arrive(client: docker.APIClient, engine: StandIn) -> None:
    asked = len(engine.asked)
    for call in (client.info, client.images, client.volumes, client.df):
        with pytest.raises(APIError) as refusal:
            await do(call)
        assert refusal.value.status_code == 403
    with pytest.raises(APIError):
        await do(client.exec_create, OURS, "sh")
    assert len(engine.asked) == asked


async def test_logs_come_as_they_are_written(client: docker.APIClient, engine: StandIn) -> None:
    stream = await do(client.logs, OURS, stream=True, follow=True)
    assert await do(next, stream) == b"first\n"
    engine.more_log.set()
    assert await do(list, stream) == [b"second\n"]


async def test_a_link_in_place_of_a_home_is_refused(
    client: docker.APIClient, engine: StandIn, rules: Rules
) -> None:
    await do(Path(rules.homes).mkdir)
    await do(Path(rules.homes / "alice").symlink_to, "/")
    with pytest.raises(APIError) as refusal:
        await do(client.create_container, **wanted(client, rules.homes))
    assert refusal.value.status_code == 403
    assert not [p for p in engine.calls("POST") if p.endswith("create")]


def test_homes_that_are_missing_or_files(short_folder: Path) -> None:
    rules = Rules(frozenset(), PurePosixPath(short_folder), POOL)
    body = {"HostConfig": {"Binds": [f"{short_folder}/a:/home/madang:rw"]}}
    with pytest.raises(Refused, match="No such file"):
        real_folders(body, rules)
    (short_folder / "a").write_text("")
    with pytest.raises(Refused, match="not a folder"):
        real_folders(body, rules)


async def test_the_socket_is_for_owner_and_group_only(listening: Path) -> None:
    assert stat.S_IMODE((await do(listening.stat)).st_mode) == 0o660


def test_an_old_socket_is_replaced_and_a_file_is_not(short_folder: Path) -> None:
    bound(short_folder / "s", None).close()
    bound(short_folder / "s", None).close()
    (short_folder / "f").write_text("mine")
    with pytest.raises(FileExistsError, match="not a socket"):
        bound(short_folder / "f", None)


async def get(listening: Path, path: str) -> tuple[int, Any, Any]:
    connector = aiohttp.UnixConnector(str(listening))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get(f"http://engine{path}") as reply,
    ):
        return reply.status, await reply.text(), reply.headers


async def post(listening: Path, path: str) -> int:
    connector = aiohttp.UnixConnector(str(listening))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.post(f"http://engine{path}") as reply,
    ):
        return reply.status


async def test_only_needed_headers_come_back(listening: Path) -> None:
    status, _, headers = await get(listening, "/_ping")
    assert status == 200
    assert headers["Api-Version"] == "1.45"
    assert "Set-Cookie" not in headers


async def test_health_says_whether_the_engine_answers(listening: Path) -> None:
    status, text, _ = await get(listening, "/health")
    assert (status, json.loads(text)) == (200, {"engine": "ok"})


async def test_a_body_beyond_the_limit(listening: Path, engine: StandIn) -> None:
    connector = aiohttp.UnixConnector(str(listening))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.post("http://engine/v1.45/containers/create", data=b" " * 2**20) as reply,
    ):
        assert reply.status == 403
        assert "larger" in await reply.text()


async def test_an_engine_that_is_gone(short_folder: Path, rules: Rules) -> None:
    gateway, gate = Gateway(short_folder / "nothing.sock", rules), short_folder / "gate.sock"
    async with gateway_at(gateway, gate):
        for path, expected in [
            ("/health", 503),
            ("/v1.45/containers/json", 502),
            ("/version", 502),
        ]:
            status, text, _ = await get(gate, path)
            assert status == expected
            assert "madang doctor" in json.loads(text)["message"]


async def test_an_engine_that_hangs(
    short_folder: Path, rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "LOOKUP_TIMEOUT", 0.2)
    release = asyncio.Event()

    async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.close()

    engine, gate = short_folder / "engine.sock", short_folder / "gate.sock"
    server = await asyncio.start_unix_server(hang, engine)
    async with gateway_at(Gateway(engine, rules), gate):
        status, text, _ = await get(gate, "/v1.45/containers/x/logs")
        assert status == 504
        assert "in time" in text
        release.set()
    server.close()
    await server.wait_closed()


async def test_the_brokers_socket_takes_fewer_calls(
    short_folder: Path, engine: StandIn, root: Path
) -> None:
    """The program itself, with both sockets."""
    gate = short_folder / "gate.sock"
    settings = {"MADANG_DATA": str(short_folder / "data"), "MADANG_ROOT": str(root)}
    broker = Places(Settings.load(root, settings), "server").broker_socket
    await do(broker.parent.mkdir, parents=True)
    command = [sys.executable, "-m", "madang_hub.engine.gateway", "--listen", str(gate)]
    command += ["--engine", f"unix://{engine.socket}", "--broker-group", str(os.getegid())]
    program = await asyncio.create_subprocess_exec(*command, env={**os.environ, **settings})

    async def listens() -> bool:
        return gate.is_socket() and broker.is_socket()

    try:
        await exponential_backoff(listens, "no sockets", timeout=20)
        start = f"/v1.45/containers/{OURS}/start"
        assert [await post(at, start) for at in (gate, broker)] == [204, 403]
        assert (await get(broker, "/v1.45/containers/json"))[0] == 200
    finally:
        program.terminate()
        assert await program.wait() == 0


async def test_an_installed_earlier_version_may_be_asked_for_while_it_is_installed(
    short_folder: Path, engine: StandIn, rules: Rules
) -> None:
    more: set[str] = {"madang/lab:0"}  # 404 is the engine's own answer, 403 the gateway's
    gateway = Gateway(engine.socket, rules, more_images=lambda: frozenset(more))
    path = short_folder / "gate.sock"
    async with (
        gateway_at(gateway, path),
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session,
    ):

        async def status(image: str) -> int:
            async with session.get(f"http://engine/v1.45/images/{image}/json") as reply:
                return reply.status

        assert [await status(f"madang/lab:{r}") for r in "012"] == [404, 404, 403]
        more.clear()
        assert [await status(f"madang/lab:{r}") for r in "012"] == [403, 404, 403]


def test_rules_follow_settings_and_table() -> None:
    table = Catalog.load(Path(__file__).parents[2] / "images" / "images.toml")
    catalog = table.offering(["lab", "energy"])
    settings = Settings.model_validate({"data": "/data", "instance": "second"})
    rules = rules_for(settings, catalog)
    assert rules.images == {f"madang/{name}:{catalog.release}" for name in ("lab", "energy")}
    assert rules.homes == PurePosixPath("/data/homes")
    assert rules.prefix == "second-user-"
    assert rules.max_memory == max(size.memory for size in catalog.sizes.values())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["--engine", "tcp://1.2.3.4"], "--engine"), (["--catalog", "/nowhere"], "cannot be read")],
)
def test_wrong_settings_end_with_a_sentence(
    arguments: list[str], says: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert main(arguments) == 2
    assert says in caplog.text
