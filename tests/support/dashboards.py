"""The dashboards service with apps that are kept in the memory, and the sign-in in the test's hand.

What runs apps for real is tested with the gateway; the service only knows what the Protocol says.
"""

from __future__ import annotations

import asyncio
import io
import secrets
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

import aiohttp
import pytest
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import RequestHandler

from madang_hub.catalog import Catalog
from madang_hub.dashboards.gateway.gateway import (
    AppState,
    CheckResult,
    Desk,
    DeskVisit,
    Doing,
    FailedError,
    FullError,
    Gateway,
    OpenVisit,
    Trouble,
)
from madang_hub.dashboards.model import Dashboard, Policy, Version
from madang_hub.dashboards.store import Dashboards
from madang_hub.dashboards.web.app import application
from madang_hub.dashboards.web.parts import TEMPLATES, Parts
from madang_hub.dashboards.web.people import People
from madang_hub.dashboards.web.rounds import Rounds
from madang_hub.dashboards.web.scopes import ADMIN, PUBLISH
from madang_hub.people.database import Database
from madang_hub.people.directory import Directory, Team
from madang_hub.people.directory import Person as Record
from madang_hub.people.sentences import Sentence
from madang_hub.people.service.base import SignedIn
from madang_hub.people.service.parts import templates
from madang_hub.settings import Settings
from support.snapshots import entry, packed

ROOT = Path(__file__).resolve().parents[2]
PREFIX = "/services/dashboards/"
NOW = 1_795_000_000
"""In November 2026."""
HOSTILE = "<img src=x onerror=alert(1)>\"'&"
BROKEN = "a cell that fails"
"""Content of a notebook whose check fails in its second cell."""


@dataclass
class MemoryGateway:
    """Apps as entries of a table: each start takes one look, each app has ``seats``.

    Attributes:
        ended: which visitors were put out, in order.
        refuses: apps that do not start.
        broken: notebooks whose check fails in the second cell; ``impossible``: whose check cannot be run.
        gate: a check waits for it.
    """

    seats: int = 2
    running: dict[str, str] = field(default_factory=dict)
    starting: set[str] = field(default_factory=set)
    open_visits: dict[str, list[OpenVisit]] = field(default_factory=dict)
    ended: list[tuple[str, str]] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    refuses: set[str] = field(default_factory=set)
    queries: list[str] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    impossible: set[str] = field(default_factory=set)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def start(self, dashboard: Dashboard) -> None:
        if dashboard.slug not in self.running:
            self.starting.add(dashboard.slug)

    def state(self, slug: str) -> AppState:
        if slug in self.starting:
            if slug in self.refuses:
                return AppState(Doing.FAILED, 0, Sentence("Please try again."))
            self.starting.discard(slug)
            self.running[slug] = slug
            return AppState(Doing.STARTING, 40, Sentence("Please try again."))
        if slug not in self.running:
            return AppState(Doing.ASLEEP, 0, Sentence("Please try again."))
        full = len(self.open_visits.get(slug, [])) >= self.seats
        return AppState(Doing.FULL if full else Doing.READY, 100, Sentence("Please try again."))

    async def open(self, dashboard: Dashboard, visitor: str, language: str, query: str) -> str:
        slug = dashboard.slug
        if slug in self.refuses:
            raise FailedError("Please try again.")
        there = self.open_visits.setdefault(slug, [])
        if len(there) >= self.seats:
            raise FullError("Please try again.")
        self.queries.append(query)
        visit = OpenVisit(secrets.token_urlsafe(16), visitor, float(NOW))
        there.append(visit)
        return f"visit/{visit.visit}/" + (f"?{query}" if query else "")

    async def end(self, slug: str, visitors: Collection[str]) -> None:
        there = self.open_visits.get(slug, [])
        self.ended += [(slug, v.visitor) for v in there if v.visitor in visitors]
        self.open_visits[slug] = [v for v in there if v.visitor not in visitors]

    async def stop(self, slug: str) -> None:
        self.ended += [(slug, v.visitor) for v in self.open_visits.pop(slug, [])]
        self.running.pop(slug, None)
        self.starting.discard(slug)
        self.stopped.append(slug)

    async def check(self, dashboard: Dashboard, version: Version) -> CheckResult:
        await self.gate.wait()
        if version.notebook in self.impossible:
            raise OSError("no engine")
        if version.notebook in self.broken:
            trouble = Trouble(NOW, "cell", f"NameError: {HOSTILE}", 1, "boom()")
            return CheckResult(passed=False, trouble=trouble)
        return CheckResult(passed=True)

    async def desk(self, slug: str) -> Desk:
        there = self.open_visits.get(slug, [])
        return Desk(
            self.state(slug),
            seats=self.seats,
            visits=tuple(DeskVisit(v.since, v.since, 40_000_000) for v in there),
            errors=(Trouble(NOW, "callback", f"ValueError: {HOSTILE}", 0, HOSTILE),),
            log=(f"line {HOSTILE}",),
        )

    def visits(self, slug: str) -> list[OpenVisit]:
        return list(self.open_visits.get(slug, []))

    def in_use(self) -> frozenset[str]:
        return frozenset()

    def handlers(self, prefix: str) -> list[Any]:
        return [(rf"{prefix}visit/([A-Za-z0-9_-]+)/", FramePage)]

    async def run(self) -> None:
        await asyncio.Event().wait()


class FramePage(RequestHandler):
    """What stands in the frame."""

    def get(self, visit: str) -> None:
        self.set_header("Content-Security-Policy", "sandbox allow-scripts")
        self.finish(f"<!doctype html><title>app</title><p>visit {visit}</p>")


class Auth:
    """In place of the Hub's sign-in: whoever ``X-Who`` names, with ``X-Scopes``; by token with ``X-Token``."""

    hub_prefix = "/hub/"
    hub_host = ""
    base_url = PREFIX
    login_url = "/hub/login"
    access_scopes: frozenset[str] = frozenset()

    def get_user(self, handler: Any, sync: bool = True) -> Any:
        given = handler.request.headers
        user = None
        if "X-Who" in given:
            scopes = given.get("X-Scopes", "").split()
            user = {"name": given["X-Who"], "kind": given.get("X-Kind", "user"), "scopes": scopes}
            handler._token_authenticated = "X-Token" in given
        if sync:
            return user

        async def later() -> Any:
            return user

        return later()

    def check_scopes(self, wanted: set[str], user: Any) -> bool:
        return wanted <= set(user["scopes"])


SCOPES = {"mia": PUBLISH, "moe": PUBLISH, "max": PUBLISH, "chief": f"{PUBLISH} {ADMIN}"}
"""What the Hub would give: mia and moe are mentors of class:c, max of class:d, chief is an admin."""


@dataclass
class Site:
    """The service at ``url``."""

    url: str
    parts: Parts
    rounds: Rounds
    gateway: MemoryGateway
    directory: Directory
    store: Dashboards
    clock: list[int]

    async def ask(
        self,
        who: str,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: bool = False,
        data: bytes | None = None,
        **headers: str,
    ) -> tuple[int, Any]:
        """Status and answer (JSON, or text); as the own page asks, or with ``token`` as a user server."""
        named = {"Accept-Language": "en"}
        if who:
            named |= {"X-Who": who, "X-Scopes": SCOPES.get(who, "")}
        named |= {"X-Token": "1"} if token else {"X-XSRFToken": "xsrf"}
        if not path.startswith("api/"):
            named.pop("X-XSRFToken", None)
        named |= {name.replace("_", "-"): value for name, value in headers.items()}
        async with (
            aiohttp.ClientSession(headers={k: v for k, v in named.items() if v}) as session,
            session.request(
                method,
                self.url + path,
                json=body,
                data=io.BytesIO(data) if data is not None else None,
                allow_redirects=False,
            ) as reply,
        ):
            if reply.content_type == "application/json":
                return reply.status, await reply.json()
            return reply.status, await reply.text()

    async def done(self, who: str, method: str, path: str, body: Any = None, **more: Any) -> Any:
        status, answer = await self.ask(who, method, path, body, **more)
        assert status < 300, (status, answer)
        return answer

    async def made(self, who: str = "mia", title: str = "Prices", **more: Any) -> dict[str, Any]:
        found: dict[str, Any] = await self.done(
            who, "POST", "api/dashboards", {"title": title, **more}
        )
        return found

    async def sent(
        self, slug: str, who: str = "mia", notebook: str = "a.ipynb", **query: str
    ) -> dict[str, Any]:
        more = "".join(f"&{name}={value}" for name, value in query.items())
        data = packed(entry(notebook, f"{slug} {len(more)} {self.clock[0]}".encode()))
        path = f"api/dashboards/{slug}/versions?notebook={notebook}{more}"
        found: dict[str, Any] = await self.done(who, "PUT", path, data=data)
        return found

    async def checked(self, slug: str) -> Dashboard:
        """The dashboard, when no check of it runs any more."""
        self.gateway.gate.set()
        async with asyncio.timeout(20):
            while True:
                await self.rounds.check()
                found = await self.parts.work(self.store.find, slug)
                assert found is not None
                if all(v.check.value != "checking" for v in found.versions):
                    return found
                await asyncio.sleep(0)

    async def published(self, who: str = "mia", **more: Any) -> str:
        """The slug of a dashboard that is shown."""
        slug = str((await self.made(who, **more))["slug"])
        await self.sent(slug, who)
        assert (await self.checked(slug)).published
        return slug

    async def visits(self, who: str, slug: str, query: str = "") -> dict[str, Any]:
        """As the page does: ask until the visit begins."""
        while True:
            path = f"api/dashboards/{slug}/visit"
            reply: dict[str, Any] = await self.done(who, "POST", path, {"query": query})
            if reply["state"] not in ("asleep", "starting"):
                return reply


def people(directory: Directory) -> None:
    """mia leads class:c, max leads class:d; tom is in c, dan in d, eve in none; chief is an admin."""
    directory.save_team(Team("class:c", f"인공지능 1반{HOSTILE}"))
    directory.save_team(Team("class:d", "인공지능 2반"))
    directory.save_people([Record("mia", f"미아{HOSTILE}"), Record("chief", admin=True)])
    for name, roles in {
        "mia": {"class:c": "mentor"},
        "max": {"class:d": "mentor"},
        "moe": {"class:c": "mentor"},
        "tom": {"class:c": "trainee"},
        "dan": {"class:d": "trainee"},
        "eve": {},
    }.items():
        directory.save_people([found] if (found := directory.person(name)) else [Record(name)])
        directory.set_memberships(name, cast(Any, roles), "operator")


@asynccontextmanager
async def serving(
    database: Database, data: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any
) -> AsyncIterator[Site]:
    """The service, without its rounds: a test takes their steps."""
    directory, clock, gateway = Directory(database), [NOW], MemoryGateway()
    people(directory)
    policy = Policy()
    catalog = Catalog.load(ROOT / "images" / "images.toml")
    zone = ZoneInfo("Asia/Seoul")

    def now() -> datetime:
        return datetime.fromtimestamp(clock[0], UTC)

    store = Dashboards(database, data / "dashboards" / "versions", policy)
    store.snapshots.mkdir(parents=True, exist_ok=True)
    parts = Parts(
        settings=Settings.model_validate({"data": data, "admin": "root", **settings}),
        directory=directory,
        templates=templates(TEMPLATES),
        zone=zone,
        people=People(directory, "root", lambda: now().date()),
        store=store,
        gateway=cast(Gateway, gateway),
        sizes=catalog.sizes,
        default_size=catalog.default[1],
        prefix=PREFIX,
        policy=policy,
        now=now,
    )
    monkeypatch.setattr(SignedIn, "_hub_auth", Auth())
    monkeypatch.setattr(SignedIn, "get_current_user", lambda self: self.hub_auth.get_user(self))
    monkeypatch.setattr(SignedIn, "get_login_url", lambda self: "/hub/login")
    monkeypatch.setattr(SignedIn, "_xsrf_text", lambda self: "xsrf")
    rounds = Rounds(parts)
    server = HTTPServer(application(parts, rounds, "/hub/", b"s" * 32), max_body_size=2**18)
    socket, port = bind_unused_port()
    server.add_socket(socket)
    try:
        yield Site(
            f"http://127.0.0.1:{port}{PREFIX}", parts, rounds, gateway, directory, store, clock
        )
    finally:
        server.stop()
        await server.close_all_connections()
        parts.unpackers.shutdown()
        parts.worker.shutdown()
