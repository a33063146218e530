"""The agreed REST API of the service of dashboards on a loopback port: real rules, real store, real snapshots.

Only what decides elsewhere is the test's: who somebody is, and what the check of a version says.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from madang_hub.dashboards import rights
from madang_hub.dashboards import versions as rules
from madang_hub.dashboards.archive import received
from madang_hub.dashboards.audience import Audience
from madang_hub.dashboards.bounds import Limits
from madang_hub.dashboards.gateway.gateway import CheckResult, Trouble
from madang_hub.dashboards.model import Actor, Check, Dashboard, Policy
from madang_hub.dashboards.refusals import (
    ArchiveRefusedError,
    ChangedError,
    DashboardError,
    MayNotError,
    NoRoomError,
    NotFoundError,
)
from madang_hub.dashboards.store import Dashboards
from madang_hub.dashboards.web import views
from madang_hub.people.database import Database
from madang_hub.people.sentences import Sentence

PREFIX = "/services/dashboards/"
BUSY = "Others are publishing."
TITLES = {"class:2026-a": "인공지능 1반", "team:vision": "비전 팀"}
TEAMS = frozenset(TITLES)
SIZES = {
    "ko": {"small": "작음 (1 GB)", "medium": "보통 (2 GB)"},
    "en": {"small": "Small (1 GB)", "medium": "Medium (2 GB)"},
}
STATUS = {
    MayNotError: 403,
    NotFoundError: 404,
    ChangedError: 409,
    ArchiveRefusedError: 422,
    NoRoomError: 507,
}


@dataclass(frozen=True)
class Verdict:
    """What the check of the next version says; ``cell`` is counted from 1; ``ran``: it could be run at all."""

    passed: bool = True
    why: str = ""
    cell: int | None = None
    ran: bool = True

    @property
    def kept(self) -> str:
        """As a version keeps it."""
        cell = None if self.cell is None else self.cell - 1
        return views.kept(CheckResult(False, Trouble(0.0, "cell", self.why, cell), self.ran))


@dataclass
class DashboardsApi:
    """``actors`` by token; ``verdict`` None: the check has not ended yet.

    Attributes:
        seen: method and path of every request.
        slow: the bodies of versions are not read before it is set; ``arrived``: one has begun to come,
            ``ended``: the last has come to its end, or not.
        away: whether everything is answered with 503.
        fails: by method: ``refused`` (429 with :data:`BUSY`), ``trouble`` (503 with it), ``lost`` (it is done,
            and no answer comes).
    """

    store: Dashboards
    policy: Policy
    actors: dict[str, Actor]
    verdict: Verdict | None = field(default_factory=Verdict)
    seen: list[tuple[str, str]] = field(default_factory=list)
    slow: threading.Event = field(default_factory=threading.Event)
    arrived: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    away: bool = False
    fails: dict[str, str] = field(default_factory=dict)
    url: str = ""

    def check(self, slug: str) -> None:
        """The check of the newest version ends, if there is a word."""
        found = self.store.find(slug)
        verdict, now = self.verdict, int(time.time())
        if found is None or verdict is None or not found.versions:
            return
        newest = found.versions[-1]
        if newest.check is not Check.CHECKING:
            return
        if verdict.passed:
            self.store.move(slug, lambda d: rules.passed(d, newest.number, now))
            return
        self.store.move(slug, lambda d: rules.failed(d, newest.number, verdict.kept, now))

    def show(self, found: Dashboard, actor: Actor) -> dict[str, Any]:
        """``D`` of the agreement."""
        now = int(time.time())
        return {
            "slug": found.slug,
            "url": f"{PREFIX}d/{found.slug}/",
            "title": found.title,
            "description": found.description,
            "owner": found.owner,
            "team": found.team,
            "state": found.state.value,
            "revision": found.revision,
            "current": found.current,
            "audience": {
                "people": sorted(found.audience.people),
                "teams": sorted(found.audience.teams),
                "everyone": found.audience.signed_in,
                "links": [],
            },
            "versions": [views.version_model(v, author=True) for v in reversed(found.versions)],
            "may": sorted(do.value for do in rights.allowed(actor, found, now)),
        }


def audience_of(raw: dict[str, Any]) -> Audience:
    return Audience(frozenset(raw["people"]), frozenset(raw["teams"]), raw["everyone"])


def expected(raw: dict[str, Any]) -> int | None:
    return None if raw.get("expect") is None else int(raw["expect"])


class _Handler(BaseHTTPRequestHandler):
    api: DashboardsApi
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PATCH(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.api.seen.append((self.command, self.path))
        token = self.headers.get("Authorization", "").rpartition(" ")[2]
        actor = self.api.actors.get(token)
        address = urlsplit(self.path)
        if self.api.away:
            self._send(503, None)
            return
        if actor is None or not address.path.startswith(PREFIX):
            self._send(403 if actor is None else 404, None)
            return
        fails = self.api.fails.get(self.command)
        if fails in ("refused", "trouble"):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status = 429 if fails == "refused" else 503
            self._send(status, {"status": status, "message": BUSY})
            return
        language = "ko" if self.headers.get("Accept-Language", "").startswith("ko") else "en"
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        try:
            status, body = self._do(actor, address.path.removeprefix(PREFIX), query, language)
        except DashboardError as error:
            status = next((s for kind, s in STATUS.items() if isinstance(error, kind)), 400)
            sentence: Sentence = error.sentence
            body = {"status": status, "message": sentence.text(language)}
        except ConnectionError:
            self.close_connection = True
            return
        finally:
            if self.command == "PUT":
                self.api.ended.set()
        if fails == "lost":
            self.close_connection = True
            return
        self._send(status, body)

    def _do(self, actor: Actor, path: str, query: dict[str, str], language: str) -> tuple[int, Any]:
        api, store, now = self.api, self.api.store, int(time.time())
        if (self.command, path) == ("GET", "api/mine"):
            rows = [api.show(d, actor) for d in store.of(actor.name)]
            teams = sorted(actor.teams | actor.mentor_of)
            found = {
                "publishes": actor.publishes,
                "teams": [{"name": name, "title": TITLES[name]} for name in teams],
                "sizes": [
                    {"name": name, "title": title} for name, title in SIZES[language].items()
                ],
                "size": "small",
            }
            return 200, {**found, "dashboards": rows}
        if (self.command, path) == ("POST", "api/dashboards"):
            raw = self._json()
            made = store.create(
                actor, raw["title"], now, team=raw["team"], description=raw["description"]
            )
            audience = audience_of(raw["audience"])
            if audience != made.audience:
                made = store.move(made.slug, lambda d: rules.for_whom(d, audience, actor, now))
            return 201, api.show(made, actor)
        match = re.fullmatch(r"api/dashboards/([a-z0-9]+)(/versions)?", path)
        found_one = store.find(match[1]) if match else None
        if match is None or found_one is None or not rights.allowed(actor, found_one, now):
            return 404, {"status": 404, "message": "no such dashboard"}
        slug = match[1]
        if match[2] and self.command == "PUT":
            size = int(self.headers["Content-Length"])
            with received(_Body(self, size), store.snapshots, Limits()) as incoming:
                kept = store.publish(
                    slug,
                    incoming,
                    query["notebook"],
                    actor,
                    now,
                    environment="dashboard",
                    size=query.get("size", "small"),
                    expect=expected(query),
                )
            return 202, api.show(kept, actor)
        if self.command == "PATCH":
            return 200, api.show(self._patch(slug, actor, self._json(), now), actor)
        api.check(slug)
        return 200, api.show(store.find(slug) or found_one, actor)

    def _patch(self, slug: str, actor: Actor, raw: dict[str, Any], now: int) -> Dashboard:
        def step(before: Dashboard) -> rules.Step:
            title = raw.get("title", before.title)
            description = raw.get("description", before.description)
            taken = rules.edit(before, title, description, actor, now)
            if "audience" in raw:
                taken = rules.for_whom(taken[0], audience_of(raw["audience"]), actor, now)
            return taken

        return self.api.store.move(slug, step, expect=expected(raw))

    def _json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        return found

    def _send(self, status: int, body: Any) -> None:
        reply = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *words: object) -> None:
        """Nothing."""


class _Body:
    """A request's body; one that ends before its length is no whole one."""

    def __init__(self, handler: _Handler, size: int) -> None:
        self._handler, self._left = handler, size

    def read(self, size: int) -> bytes:
        self._handler.api.arrived.set()
        self._handler.api.slow.wait(60)
        part = self._handler.rfile.read(min(size, self._left))
        if self._left and not part:
            raise ConnectionError
        self._left -= len(part)
        return part


@contextmanager
def dashboards_api(
    folder: Path, actors: dict[str, Actor], policy: Policy | None = None
) -> Iterator[DashboardsApi]:
    """The API of an empty store in ``folder``; ``url`` is that of the service, without a slash at its end."""
    policy = policy or Policy()
    database = Database(f"sqlite:///{folder / 'dashboards.sqlite'}")
    api = DashboardsApi(Dashboards(database, folder / "versions", policy), policy, actors)
    api.slow.set()
    handler = type("Handler", (_Handler,), {"api": api})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    # what is on its way is not taken for what has come
    server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    api.url = f"http://127.0.0.1:{server.server_address[1]}{PREFIX}".rstrip("/")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield api
    finally:
        api.slow.set()
        server.shutdown()
        server.server_close()
        thread.join()
        database.close()
