"""Apps before a Hub in the memory: what runs is what the Hub says and what proves itself; doors and strangers
are real servers on ports."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

import aiohttp
import pytest
from support.apps import published
from tornado.httpserver import HTTPServer
from tornado.routing import Router
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

from madang_dashboard.gate import Door, Nothing
from madang_dashboard.gate import proof as given_proof
from madang_hub.dashboards.gateway import here, sealed
from madang_hub.dashboards.gateway.apps import App, Apps
from madang_hub.dashboards.gateway.gateway import Doing, FailedError, FullError
from madang_hub.dashboards.gateway.here import HubGateway
from madang_hub.dashboards.gateway.hub import AppsHub, HubAwayError, Server
from madang_hub.dashboards.gateway.life import Patience
from madang_hub.dashboards.gateway.proxied import KEY_HEADER
from madang_hub.dashboards.gateway.runner import Runner, StrangerError
from madang_hub.dashboards.gateway.sealed import Order

SECRET = "s" * 64
ORDER = Order("slug", 1, "0" * 64, "a.ipynb", "small")
STATE = {
    "visits": [],
    "seats": 4,
    "memory_limit": None,
    "last_activity": 1.0,
    "errors": [],
    "log": [],
}


class State(RequestHandler):
    """As a runner's, behind its door."""

    def get(self) -> None:
        self.finish(STATE)


class Anything(RequestHandler):
    """A stranger who says of everything that it fits, and keeps what it is shown."""

    def get(self) -> None:
        self.settings["shown"].append(dict(self.request.headers))
        self.finish(STATE if self.settings["proof"] is None else self.settings["proof"])


@asynccontextmanager
async def listening(inside: Any, port: int = 0) -> AsyncIterator[str]:
    server = HTTPServer(inside)
    if port:
        server.listen(port, "127.0.0.1")
    else:
        socket, port = bind_unused_port()
        server.add_socket(socket)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop()
        await server.close_all_connections()


def door(key: str) -> Router:
    return Door(key, Application([("/state", State)], default_handler_class=Nothing))


def stranger(proof: str | None = None) -> Application:
    return Application([(".*", Anything)], shown=[], proof=proof)


@dataclasses.dataclass
class MemoryHub:
    """The Hub; what is started answers below ``url``.

    Attributes:
        away: it does not answer.
        hanging: a stop takes until this is set.
    """

    url: str = ""
    running: dict[str, Server | None] = dataclasses.field(default_factory=dict)
    stopped: list[str] = dataclasses.field(default_factory=list)
    away: bool = False
    hanging: asyncio.Event | None = None

    async def servers(self) -> dict[str, Server | None]:
        if self.away:
            raise HubAwayError("away")
        return dict(self.running)

    async def server(self, name: str) -> Server | None:
        return self.running.get(name)

    async def start(self, name: str, options: Mapping[str, Any]) -> None:
        self.running[name] = Server(name, True, "", f"{self.url}/{name}", options)

    async def stop(self, name: str) -> bool:
        if self.hanging is not None:
            await self.hanging.wait()
        self.running.pop(name, None)
        self.stopped.append(name)
        return True

    async def why(self, name: str) -> str:
        return ""

    async def active(self, moments: Mapping[str, float]) -> None:
        pass

    async def close(self) -> None:
        pass


class Doors(Router):
    """The doors of all apps: that of each below its name."""

    def find_handler(self, request: Any, **more: Any) -> Any:
        _, name, rest = request.path.split("/", 2)
        request.path = "/" + rest
        return door(sealed.key(SECRET, name)).find_handler(request, **more)


@dataclasses.dataclass
class Stage:
    """The gateway, its Hub and its clock."""

    gateway: HubGateway
    hub: MemoryHub
    now: list[float]

    @property
    def apps(self) -> Apps:
        return self.gateway.apps

    async def ready(self, order: Order = ORDER) -> App:
        app = self.apps.wake(order)
        assert app.starting is not None
        await app.starting
        assert app.life.doing is Doing.READY, app.said
        return app

    async def settled(self) -> None:
        """What nobody waits for is done."""
        await self.gateway.idle()


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    hub, now = MemoryHub(), [1000.0]
    async with listening(Doors()) as url:
        hub.url = url
        gateway = HubGateway(
            "http://127.0.0.1:1/hub/api",
            "t" * 32,
            SECRET,
            patience=Patience(young=0),
            clock=lambda: now[0],
        )
        await gateway._hub.close()
        gateway._hub = cast(AppsHub, hub)
        gateway.apps._hub = cast(AppsHub, hub)
        await gateway._adopt()
        yield Stage(gateway, hub, now)
        await gateway.close()


# ---- the proof ------------------------------------------------------------------------------


async def test_a_runner_proves_itself_before_it_is_shown_the_key() -> None:
    key = "k" * 64
    async with aiohttp.ClientSession() as session:
        async with listening(door(key)) as url:
            await Runner(session, url, key).proved()
            assert (await Runner(session, url, key).seen()).seats == 4
            with pytest.raises(StrangerError):
                await Runner(session, url, "x" * 64).seen()
        for said in (None, "", "0" * 64, "0" * 1000, given_proof(key, "n" * 43)):
            other = stranger(said)
            async with listening(other) as url:
                with pytest.raises(StrangerError):
                    await Runner(session, url, key).seen()
                with pytest.raises(StrangerError):
                    await Runner(session, url, key).end("v" * 32)
            assert len(other.settings["shown"]) == 2
            assert key not in str(other.settings["shown"])


async def test_the_door_proves_itself_and_says_nothing_else() -> None:
    key = "k" * 64
    nonce = sealed.new_nonce()
    async with aiohttp.ClientSession() as session, listening(door(key)) as url:

        async def asked(method: str, path: str) -> tuple[int, str]:
            async with session.request(method, url + path) as reply:
                return reply.status, await reply.text()

        assert await asked("GET", f"/state?nonce={nonce}") == (200, given_proof(key, nonce))
        assert given_proof(key, nonce) == sealed.proof(key, nonce)
        for method, path in [
            ("GET", "/state"),
            ("GET", "/state?nonce="),
            ("GET", f"/state?nonce={nonce}x"),
            ("GET", f"/state?nonce={nonce[:-1]}%0a"),
            ("GET", f"/?nonce={nonce}"),
            ("POST", f"/state?nonce={nonce}"),
        ]:
            assert await asked(method, path) == (404, ""), path


# ---- what runs ------------------------------------------------------------------------------


async def test_whoever_gets_the_address_is_not_the_app(stage: Stage) -> None:
    app = await stage.ready()
    other = stranger()
    async with listening(other) as url:
        assert app.runner is not None
        app.runner.url = url  # the engine gave it to somebody else
        with pytest.raises(FailedError):
            await stage.gateway.open(published("slug", "0" * 64), "minji", "ko", "secret=1")
        assert stage.gateway.visits("slug") == []
        # nobody waits until it has been silent for long
        await stage.gateway.look()
    assert stage.gateway.state("slug").doing is Doing.ASLEEP
    shown = str(other.settings["shown"])
    assert shown != "[]"
    assert KEY_HEADER not in shown
    assert "secret" not in shown


@pytest.mark.parametrize("how", ["gone", "stopping", "elsewhere"])
async def test_the_hub_says_what_runs(stage: Stage, how: str) -> None:
    app = await stage.ready()
    path = await stage.gateway.open(published("slug", "0" * 64), "minji", "ko", "")
    assert path.startswith("visit/")
    server = stage.hub.running[app.name]
    assert server is not None
    changed = {
        "gone": None,
        "stopping": dataclasses.replace(server, ready=False, pending="stop"),
        "elsewhere": dataclasses.replace(server, url="http://127.0.0.1:1"),
    }
    stage.hub.running[app.name] = changed[how]
    name = app.name
    stage.now[0] += here.COMPARE
    # it answers and proves itself all the while
    await stage.gateway.look()
    await stage.settled()
    assert stage.gateway.state("slug").doing is Doing.ASLEEP
    assert stage.gateway.visits("slug") == []
    assert stage.hub.stopped == [name]


async def test_a_hub_that_does_not_know_ends_nothing(stage: Stage) -> None:
    app = await stage.ready()
    stage.hub.running["app-x"] = Server("app-x", False, "check", "")
    stage.now[0] += here.COMPARE
    for away in (False, True):
        stage.hub.away = away
        await stage.gateway.look()
        await stage.settled()
        stage.now[0] += here.COMPARE
    assert app.life.doing is Doing.READY
    assert stage.hub.stopped == []


async def test_what_nobody_started_here_is_stopped(stage: Stage) -> None:
    """As after an admin pressed start, or sent a sealed order again."""
    app = await stage.ready()
    name = sealed.new_name()
    sealed_options = sealed.options(SECRET, name, dataclasses.replace(ORDER, slug="deleted"))
    await stage.hub.start(name, sealed_options)
    stage.hub.running["app-starts"] = Server("app-starts", False, "spawn", "")
    check = sealed.new_name()
    stage.apps.check_begins(check, ORDER)
    await stage.hub.start(check, {})
    stage.now[0] += here.COMPARE
    await stage.gateway.look()
    await stage.settled()
    assert stage.hub.stopped == [name]
    assert set(stage.hub.running) == {app.name, "app-starts", check}


async def test_an_answer_older_than_the_start_ends_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def before() -> dict[str, Server | None]:
        stage.now[0] += 1
        await stage.ready()
        return {}

    monkeypatch.setattr(stage.hub, "servers", before)
    assert await stage.apps.compare() == []
    assert stage.gateway.state("slug").doing is Doing.READY


async def test_of_two_that_start_at_once_none_is_lost(stage: Stage) -> None:
    older = stage.apps.wake(ORDER)
    newer = stage.apps.wake(dataclasses.replace(ORDER, version=2))
    assert stage.apps.wake(dataclasses.replace(ORDER, version=2)) is newer
    assert older.starting is not None
    assert newer.starting is not None
    await asyncio.gather(older.starting, newer.starting)
    assert stage.apps.leaving == [older]
    assert {older.name, newer.name} == set(stage.hub.running)
    gone = older.name
    await stage.gateway.look()
    await stage.settled()
    assert stage.hub.stopped == [gone]
    assert set(stage.hub.running) == {newer.name}


async def test_a_stop_does_not_wait_for_the_hub(stage: Stage) -> None:
    app = await stage.ready()
    name = app.name
    await stage.gateway.open(published("slug", "0" * 64), "minji", "ko", "")
    stage.hub.hanging = asyncio.Event()
    async with asyncio.timeout(5):
        await stage.gateway.stop("slug")
    assert stage.gateway.visits("slug") == []
    assert stage.gateway.state("slug").doing is Doing.ASLEEP
    # the snapshot is in use until the Hub has done it
    assert ORDER.content in stage.gateway.in_use()
    assert stage.hub.stopped == []
    stage.hub.hanging.set()
    await stage.settled()
    assert stage.hub.stopped == [name]
    assert stage.gateway.in_use() == frozenset()


async def test_one_person_does_not_fill_an_app(stage: Stage) -> None:
    await stage.ready()
    made = published("slug", "0" * 64)

    async def opened(visitor: str) -> str:
        try:
            return await stage.gateway.open(made, visitor, "ko", "")
        except FullError as refused:
            return str(refused.sentence)

    found = [await opened("minji") for _ in range(30)]
    assert [f.startswith("visit/") for f in found] == [True] * 2 + [False] * 28
    assert "many times" in found[2]
    assert stage.gateway.state("slug").doing is Doing.READY
    for _ in range(2):
        assert (await opened("james")).startswith("visit/")
    assert stage.gateway.state("slug").doing is Doing.FULL
    assert "All seats" in await opened("kim")
    # nobody asked for those pages; and what was refused is not held against anybody
    stage.now[0] += 10
    assert stage.gateway.state("slug").doing is Doing.READY
    assert (await opened("kim")).startswith("visit/")
    assert (await opened("minji")).startswith("visit/")
