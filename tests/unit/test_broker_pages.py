"""The broker's pages over HTTP, with the sign-in in the test's hand (the real one: integration tests)."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

import aiohttp
import pytest
from support.accelerators import GPU, slots, wish
from support.people import visible
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port

from madang_hub.accelerators.broker.app import ROUTES, application
from madang_hub.accelerators.broker.desk import Desk
from madang_hub.accelerators.broker.engine import HubServers
from madang_hub.accelerators.broker.metrics import STATES
from madang_hub.accelerators.broker.parts import TEMPLATES, Parts
from madang_hub.accelerators.broker.policy import Limits
from madang_hub.accelerators.broker.rounds import Rounds
from madang_hub.accelerators.broker.scopes import ADMIN, METRICS
from madang_hub.accelerators.estimate import NoEstimate
from madang_hub.accelerators.inventory import Inventory
from madang_hub.accelerators.leases import Lease, Policy, State, Why
from madang_hub.accelerators.reconcile import Container
from madang_hub.accelerators.reserving import Need
from madang_hub.accelerators.slots import Health
from madang_hub.accelerators.store import Leases
from madang_hub.catalog import Catalog
from madang_hub.people.audit import Audit
from madang_hub.people.database import Database
from madang_hub.people.directory import Directory, Team
from madang_hub.people.directory import Person as Record
from madang_hub.people.service.base import SignedIn
from madang_hub.people.service.hub import Hub, HubUser, Server
from madang_hub.people.service.parts import templates
from madang_hub.people.timetable import Timetable, parse_times
from madang_hub.places import Places
from madang_hub.settings import Settings
from madang_hub.shelf.offering import Shelf
from madang_hub.web.static_files import STATIC

ROOT = Path(__file__).resolve().parents[2]
PREFIX = "/services/accelerators/"
POLICY = Policy(longest=4 * 3600, claim=120)
NOW = 1_795_000_000
"""In November 2026."""
HOSTILE = "<img src=x onerror=alert(1)>\"'&"
HOUR = 3600


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
            kind = "service" if given["X-Who"] == "prometheus" else "user"
            user = {
                "name": given["X-Who"],
                "kind": kind,
                "scopes": given.get("X-Scopes", "").split(),
            }
            handler._token_authenticated = "X-Token" in given
        if sync:
            return user

        async def later() -> Any:
            return user

        return later()

    def check_scopes(self, wanted: set[str], user: Any) -> bool:
        return wanted <= set(user["scopes"])


class SomeHub:
    """Who has a server."""

    def __init__(self) -> None:
        self.servers: set[str] = set()

    async def user(self, name: str) -> HubUser:
        server = (Server("", True, None, None),) if name in self.servers else ()
        return HubUser(name, None, server)


@dataclass
class Site:
    """The pages at ``url``."""

    url: str
    desk: Desk
    directory: Directory
    hub: SomeHub

    async def ask(
        self, who: str, path: str = "", method: str = "GET", body: Any = None, **headers: str
    ) -> tuple[int, str, Any]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if who:
            named["X-Who"] = who
        named.setdefault("Accept-Language", "en")
        async with (
            aiohttp.ClientSession(headers=named) as session,
            session.request(method, self.url + path, json=body, allow_redirects=False) as reply,
        ):
            return reply.status, await reply.text(), reply.headers

    async def page(self, who: str, path: str = "", **headers: str) -> str:
        status, text, _ = await self.ask(who, path, **headers)
        assert status == 200, text
        return text

    async def admin(self, path: str) -> str:
        return await self.page("chief", path, X_Scopes=ADMIN)

    def serve(self, person: str, team: str, **more: Any) -> Lease:
        """Somebody who asks."""
        return self.desk.ask(wish(person, team, **more), NOW)

    def run(self, lease: Lease, seconds: int) -> None:
        """The lease is taken, used for so long, and given back."""
        person = lease.request.person
        self.desk.take(lease.id, person, NOW)
        box = Container(f"{person}/", lease.id, lease.slots)
        self.desk.listed([box], NOW + 1, NOW + 1)
        self.desk.give_back(lease.id, person, NOW + seconds)
        self.desk.listed([], NOW + seconds + 5, NOW + seconds + 5)


@pytest.fixture
async def site(
    database: Database, places: Places, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Site]:
    directory = Directory(database)
    directory.save_team(Team("team:a", HOSTILE))
    directory.save_team(Team("class:c", "인공지능 1반"))
    directory.set_industry("team:a", "제조")
    directory.save_people([Record("ann", f"김안나{HOSTILE}"), Record("chief", admin=True)])
    for name, roles in {
        "ann": {"team:a": "member"},
        "ben": {"class:c": "trainee"},
        "teacher": {"class:c": "mentor"},
        "nobody": {},
    }.items():
        directory.save_people([found] if (found := directory.person(name)) else [Record(name)])
        directory.set_memberships(name, cast(Any, roles), "operator")
    limits = Limits(budgets={"class:c": 2.0 * HOUR})
    desk = Desk(
        Leases(database, POLICY),
        POLICY,
        limits,
        ZoneInfo("Asia/Seoul"),
        30,
        lambda: ["chief"],
        Inventory(slots(2)),
        engine_answers=True,
    )
    hub = SomeHub()
    client = cast(Hub, hub)
    parts = Parts(
        settings=Settings.model_validate({"data": places.settings.data, "admin": "root"}),
        directory=directory,
        audit=Audit(database),
        templates=templates(TEMPLATES),
        zone=desk.zone,
        shelf=Shelf(Catalog.load(ROOT / "images" / "images.toml")),
        hub=client,
        engine=HubServers(client),
        desk=desk,
        take=lambda last: desk.inventory,
        now=lambda: datetime.fromtimestamp(NOW, UTC),
    )
    monkeypatch.setattr(SignedIn, "_hub_auth", Auth())
    monkeypatch.setattr(SignedIn, "get_current_user", lambda self: self.hub_auth.get_user(self))
    monkeypatch.setattr(SignedIn, "get_login_url", lambda self: "/hub/login")
    monkeypatch.setattr(SignedIn, "_xsrf_text", lambda self: "xsrf")
    server = HTTPServer(application(parts, Rounds(parts), PREFIX, "/hub/", b"s" * 32))
    socket, port = bind_unused_port()
    server.add_socket(socket)
    yield Site(f"http://127.0.0.1:{port}{PREFIX}", desk, directory, hub)
    server.stop()
    await server.close_all_connections()
    parts.worker.shutdown()


# ---- who sees what ------------------------------------------------------------------------------

SEEN = {
    "": {"ann": 200, "ben": 200, "teacher": 200, "nobody": 200},
    "session": {"ann": 200, "nobody": 200},
    "class/class:c": {"ann": 404, "ben": 404, "teacher": 200, "nobody": 404},
    "class/team:a": {"ann": 404, "teacher": 404},
    "class/class:none": {"teacher": 404},
    "admin": {"ann": 403, "teacher": 403, "chief": 403},
    "report": {"ann": 404, "ben": 404, "teacher": 200, "chief": 200},
    "report.csv": {"ann": 404, "teacher": 200, "chief": 200},
    "report?month=2026-13": {"teacher": 400},
    "metrics": {"ann": 403, "teacher": 403, "chief": 403},
}


@pytest.mark.parametrize("path", SEEN)
async def test_who_sees_which_page(site: Site, path: str) -> None:
    """An admin whose sign-in did not bring the scope sees no slots either."""
    for who, expected in SEEN[path].items():
        status, text, headers = await site.ask(who, path)
        assert status == expected, (who, visible(text))
        assert headers["Cache-Control"] == "no-store"
        assert "script-src 'self'" in headers["Content-Security-Policy"]


def paths() -> list[str]:
    named = {r"((?:class|team):[a-z0-9-]+)": "class:c", r"([0-9a-f]{32})": "0" * 32, r"\.": "."}
    found = []
    for pattern, handler in ROUTES:
        if getattr(handler, "page", False):
            for words, name in named.items():
                pattern = pattern.replace(words, name)
            found.append(pattern)
    return found


@pytest.mark.parametrize("path", paths())
async def test_a_page_is_for_a_browser_that_comes_to_it(site: Site, path: str) -> None:
    """Neither for a stranger, nor for scripts of other people's servers, nor for tokens."""
    status, _, headers = await site.ask("", path)
    assert (status, headers["Location"].partition("?")[0]) == (302, "/hub/login")
    for extra in ({"Sec_Fetch_Mode": "cors"}, {"Sec_Fetch_Mode": "no-cors"}, {"X_Token": "1"}):
        status, text, _ = await site.ask("chief", path, X_Scopes=ADMIN, **extra)
        assert status == 403, visible(text)


@pytest.mark.parametrize("path", ["api/slots/drain", "api/requests", "api/budgets"])
async def test_a_post_from_elsewhere_is_refused(site: Site, path: str) -> None:
    slot = site.desk.inventory.slots[0].id
    body = {"slot": slot, "why": "x", "kind": GPU, "minutes": 60, "team": "class:c", "hours": 1}
    for extra in ({}, {"X_XSRFToken": "other"}, {"Origin": "http://evil.example"}):
        status, text, _ = await site.ask("chief", path, "POST", body, X_Scopes=ADMIN, **extra)
        assert status == 403, text
    assert site.desk.leases.drained() == {}
    assert site.desk.leases.open_ones() == []
    assert site.desk.budget("class:c", NOW).limit == 2 * HOUR


async def test_a_post_from_the_page_is_done(site: Site) -> None:
    slot = site.desk.inventory.slots[0].id
    body = {"slot": slot, "why": HOSTILE}
    browser = {"X_XSRFToken": "xsrf", "X_Scopes": ADMIN}
    status, text, _ = await site.ask("chief", "api/slots/drain", "POST", body, **browser)
    assert status == 204, text
    page = await site.admin("admin")
    assert f"“{HOSTILE}”" in visible(page)
    assert "<img" not in page.partition("<main")[2]


# ---- what they say ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "words", "none"),
    [
        ("en", "What is free now", "has no accelerator that Madang knows"),
        ("ko", "지금 쓸 수 있는 것", "마당이 아는 가속기가 없습니다"),
    ],
)
async def test_the_own_page(site: Site, language: str, words: str, none: str) -> None:
    page = await site.page("ann", "?environment=torch-cuda", Accept_Language=language)
    assert words in visible(page)
    assert 'data-wish="torch-cuda"' in page
    # only what can use one of the kinds that are here, and to whom it is open
    assert 'value="torch-cuda"' in page
    assert 'value="lab"' not in page
    assert 'href="/services/accelerators/admin"' not in page
    # a title that somebody chose stays text
    assert HOSTILE not in page
    site.desk.inventory = Inventory()
    page = await site.page("ann", Accept_Language=language)
    assert none in visible(page)
    assert words not in visible(page)


WORDS_OF = {"accelerators-mine.js": "", "accelerators-desk.js": "class/class:c"}


@pytest.mark.parametrize("script", WORDS_OF)
async def test_a_script_finds_its_words(site: Site, script: str) -> None:
    page = await site.page("teacher", WORDS_OF[script])
    texts = re.search(r"data-texts='([^']*)'", page)
    assert texts
    known = json.loads(html.unescape(texts[1]))
    used = set(re.findall(r"\btexts\.(\w+)", (STATIC / script).read_text(encoding="utf-8")))
    assert used
    assert used <= set(known)
    assert all(known.values())


async def test_every_reason_has_words(site: Site) -> None:
    """Why a lease ended, and why nobody can say when it begins; the names are those of the script."""
    page = await site.page("ann")
    texts = re.search(r"data-texts='([^']*)'", page)
    assert texts
    known = json.loads(html.unescape(texts[1]))
    script = (STATIC / "accelerators-mine.js").read_text(encoding="utf-8")
    renamed = re.search(r"const WHY = \{(.*?)\}", script)
    assert renamed
    names = dict(re.findall(r'"?([\w-]+)"?: "(\w+)"', renamed[1]))
    assert {names.get(why.value, why.value) for why in Why} <= set(known)
    assert {f"none{one.value.capitalize()}" for one in NoEstimate} <= set(known)


async def test_who_leads_finds_the_other_pages(site: Site) -> None:
    teachers = await site.page("teacher")
    assert "class/class:c" in teachers
    assert f'href="{PREFIX}admin"' not in teachers
    admins = await site.page("chief")
    assert f'href="{PREFIX}admin"' in admins
    assert f'href="{PREFIX}report"' in admins
    assert "data-always" not in admins  # it is here


async def test_all_slots(site: Site) -> None:
    first, second = site.desk.inventory.slots
    held = site.serve("ann", "team:a")
    ill = replace(second, health=Health.ILL, why=f"It is broken. {HOSTILE}")
    other = first if held.slots == (first.id,) else second
    site.desk.inventory = Inventory(
        (other, replace(ill, id=({first.id, second.id} - set(held.slots)).pop())),
        faults=(f"A file is wrong {HOSTILE}",),
    )
    waiting = site.serve("ben", "class:c", seconds=HOUR)
    page = await site.admin("admin")
    said = visible(page)
    assert f"김안나{HOSTILE} (ann)" in said
    assert "kept until taken" in said
    assert f"✕ ill It is broken. {HOSTILE}" in said
    assert f"A file is wrong {HOSTILE}" in said
    assert f'data-request="{waiting.id}"' in page
    assert "1 ben 인공지능 1반 class:c 1 × nvidia.com/gpu, 1 hour" in said
    assert f"{HOSTILE} team:a" in said
    assert "2.0 Grant more…" in said
    assert "<img" not in page.partition("<main")[2]
    assert "alert(1)>" not in page


async def test_the_line_has_the_order_of_serving(site: Site) -> None:
    """Who used nothing comes before who used something, whoever asked first; teams without budget come last."""
    site.run(site.serve("ann", "team:a", seconds=HOUR), HOUR)
    holders = [site.serve(name, "team:a") for name in ("x1", "x2")]
    assert [x.state for x in holders] == [State.GRANTED, State.GRANTED]
    site.serve("ann", "team:a")
    site.serve("ben", "class:c", seconds=HOUR)
    order = site.desk.leases.accounts.line(NOW)
    assert [x.request.person for x in order] == ["ben", "ann"]
    shut = site.desk.leases.accounts.line(NOW, barred=("class:c",))
    assert [x.request.person for x in shut] == ["ann", "ben"]
    page = await site.page("teacher", "class/class:c")
    assert "1 ben 인공지능 1반 class:c" in visible(page)
    assert "ann" not in visible(page).partition("Who waits")[2]


async def test_a_class(site: Site) -> None:
    site.serve("ben", "class:c", seconds=HOUR)
    site.serve("ann", "team:a", seconds=HOUR)
    said = visible(await site.page("teacher", "class/class:c", Accept_Language="ko"))
    assert "김안나" not in said
    assert "인공지능 1반" in said
    assert "ben H100 1개" in said
    assert "2.0시간 중 0.0시간 사용, 1.0시간 신청 중" in said


async def test_a_firm_has_no_timetable_to_reserve_for(site: Site) -> None:
    site.directory.set_memberships("nobody", {"team:a": "mentor"}, "operator")
    site.desk.limits = Limits(budgets={"team:a": 1.0 * HOUR})
    site.serve("ann", "team:a", seconds=HOUR)
    page = await site.page("nobody", "class/team:a")
    assert "Who has one" in visible(page)
    assert f"{HOSTILE} has used or asked for 100% of" in visible(page)
    assert "<img" not in page.partition("<main")[2]
    assert 'id="reservations"' not in page
    assert 'id="reservations"' in await site.page("teacher", "class/class:c")


async def test_a_part_is_called_a_part(site: Site) -> None:
    site.desk.inventory = Inventory(tuple(replace(s, shares=4) for s in slots(1)))
    site.serve("ben", "class:c", shared=True, seconds=HOUR)
    assert "ben a part of H100 kept" in visible(await site.page("teacher", "class/class:c"))


TABLES = {"api/class/class:c": ("teacher", "class/class:c"), "api/admin": ("chief", "admin")}


@pytest.mark.parametrize("path", TABLES)
async def test_what_changes_on_a_page(site: Site, path: str) -> None:
    """The page's script finds a place on the page for each part; as closed to others as the page itself."""
    who, of = TABLES[path]
    site.serve("ben", "class:c", seconds=HOUR)
    scopes = ADMIN if who == "chief" else ""
    page = await site.page(who, of, X_Scopes=scopes)
    parts = await site.page(who, path, X_Scopes=scopes, X_XSRFToken="xsrf")
    assert "ben" in visible(parts)
    assert "<main" not in parts
    named = re.findall(r'^<(?:section|div)[^>]* id="(\w+)"|^<div id="(\w+)"', parts, re.M)
    assert len(named) >= 3
    for names in named:
        assert f'id="{names[0] or names[1]}"' in page
    for other in ("ann", "nobody"):
        status, _, _ = await site.ask(other, path, X_XSRFToken="xsrf")
        assert status == (403 if path == "api/admin" else 404)
    for extra in ({}, {"X_XSRFToken": "xsrf", "X_Token": "1"}):
        status, text, _ = await site.ask(who, path, X_Scopes=scopes, **extra)
        assert status == 403
        assert "ben" not in text


async def test_teams_are_called_by_their_titles(site: Site) -> None:
    week = Timetable(site.desk.zone, tuple(parse_times("mon-sun 00:01-23:59 lab small")))
    site.desk.timetables = lambda names: {name: week for name in names if name == "class:c"}
    site.desk.reserve(Need("class:c", GPU, "H100", 1, "teacher", NOW))
    site.run(site.serve("ben", "class:c", seconds=2 * HOUR), int(1.8 * HOUR))
    mine = json.loads(await site.page("ben", "api/", X_Token="1"))
    assert mine["budgets"][0]["warning"].startswith("인공지능 1반 has used or asked for 90% of")
    # also those of others
    theirs = json.loads(await site.page("ann", "api/", X_Token="1"))
    assert {one["title"] for one in theirs["reserved"]} == {"인공지능 1반"}
    assert "인공지능 1반 has used" in visible(await site.page("teacher", "class/class:c"))


async def test_what_is_missing_for_more_and_who_can_help(site: Site) -> None:
    site.run(site.serve("ben", "class:c", seconds=2 * HOUR), 2 * HOUR)
    model = await site.page("ben", "api/", X_Token="1")
    assert '"helpers": ["chief"]' in model
    assert '"helpers": []' in await site.page("ann", "api/", X_Token="1")
    assert "used up" in visible(await site.admin("admin"))


async def test_whether_a_server_is_in_the_way(site: Site) -> None:
    assert '"server": null' in await site.page("ann", "api/", X_Token="1")
    site.serve("ann", "team:a")
    assert '"server": false' in await site.page("ann", "api/", X_Token="1")
    site.hub.servers.add("ann")
    assert '"server": true' in await site.page("ann", "api/", X_Token="1")


# ---- the report and the figures -------------------------------------------------------------------


async def test_the_report(site: Site) -> None:
    site.run(site.serve("ann", "team:a", seconds=HOUR), 1800)
    site.run(site.serve("ben", "class:c", seconds=HOUR), 900)
    page = await site.page("chief", "report")
    said = visible(page)
    assert "Accelerator-hours 0.75" in said
    assert f"{HOSTILE} team:a 제조 0.50 0.50 1 1" in said
    assert "인공지능 1반 class:c – 0.25" in said
    assert "제조 0.50" in said
    assert "not said 0.25" in said
    assert page.count('class="plot"') == 2
    assert "<img" not in page.partition("<main")[2]
    mine = visible(await site.page("teacher", "report", Accept_Language="ko"))
    assert "가속기 시간 0.25" in mine
    assert "team:a" not in mine
    assert "Nothing in this month." in visible(await site.page("chief", "report?month=2025-02"))
    _, text, headers = await site.ask("teacher", "report.csv?month=2026-11")
    assert headers["Content-Type"] == "text/csv; charset=utf-8"
    assert "accelerators-2026-11.csv" in headers["Content-Disposition"]
    rows = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))
    assert [row[2] for row in rows if row[1] in ("Team", "Class")] == ["class:c"]


async def test_measurements(site: Site) -> None:
    site.run(site.serve("ann", "team:a", seconds=HOUR), 1800)
    site.serve("ann", "team:a")
    for who, scope in (("prometheus", METRICS), ("chief", ADMIN)):
        text = await site.page(who, "metrics", X_Token="1", X_Scopes=scope)
        names = {line.split(" ")[0]: line.rpartition(" ")[2] for line in text.splitlines()}
        assert (
            names['madang_accelerator_used_seconds_total{kind="nvidia.com/gpu",team="team:a"}']
            == "1800.0"
        )
        assert names['madang_accelerator_leases{state="granted"}'] == "1.0"
        assert (
            names['madang_accelerator_slots{kind="nvidia.com/gpu",model="H100",state="held"}']
            == "1.0"
        )
        assert names["madang_accelerator_grants_total"] == "2.0"
        for why in Why:
            assert f'madang_accelerator_ended_total{{why="{why.value}"}}' in names
        for state in STATES:
            assert (
                f'madang_accelerator_slots{{kind="nvidia.com/gpu",model="H100",state="{state}"}}'
                in names
            )
        assert "madang_accelerator_decision_seconds_count" in names
    for who, scope in (("prometheus", "other"), ("ann", "")):
        status, _, _ = await site.ask(who, "metrics", X_Token="1", X_Scopes=scope)
        assert status == 403
    # a browser's session is not asked for it, whatever it may
    status, _, _ = await site.ask("chief", "metrics", X_Scopes=ADMIN)
    assert status == 403
