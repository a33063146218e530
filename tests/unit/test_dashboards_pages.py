"""The pages of dashboards and coming in, over HTTP with the sign-in in the test's hand."""

from __future__ import annotations

import asyncio
import html
import logging
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from support.dashboards import HOSTILE, NOW, Site, serving
from support.people import visible
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

from madang_hub.dashboards import versions as rules
from madang_hub.dashboards.web import rounds
from madang_hub.dashboards.web.app import PUBLIC, ROUTES
from madang_hub.dashboards.web.rounds import Rounds
from madang_hub.dashboards.web.upload import Versions
from madang_hub.people.database import Database
from madang_hub.people.service.base import SignedIn
from madang_hub.people.service.hub import Hub
from madang_hub.people.service.process import PUBLIC as COMMON
from madang_hub.places import Places

FOR_CLASS: dict[str, Any] = {"audience": {"teams": ["class:c"]}, "team": "class:c"}
NOWHERE = "z" * 20


@pytest.fixture
async def site(
    database: Database, places: Places, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Site]:
    async with serving(database, places.settings.data, monkeypatch) as found:
        yield found


async def link_to(site: Site, slug: str, days: int = 7) -> tuple[str, str]:
    """Id and token of a new link."""
    made = await site.done("mia", "POST", f"api/dashboards/{slug}/links", {"days": days})
    return made["id"], made["url"].partition("#")[2]


# ---- pages ----------------------------------------------------------------------------------


async def test_the_gallery_has_what_is_for_me(site: Site) -> None:
    slug = await site.published(title="For the class", **FOR_CLASS)
    open_to_all = await site.published("max", title="Open", audience={"everyone": True})
    draft = (await site.made(title="Draft"))["slug"]
    kinds = {}
    for who in ("mia", "tom", "dan", "eve", "moe", "chief"):
        page = await site.done(who, "GET", "")
        found = re.findall(r'data-kinds="([a-z ]*)" data-slug="(\w+)"', page)
        kinds[who] = {slug: words for words, slug in found}
    assert kinds["mia"] == {slug: "mine team", open_to_all: "everyone", draft: "mine"}
    assert kinds["tom"] == {slug: "shared team", open_to_all: "everyone"}
    assert kinds["dan"] == kinds["eve"] == {open_to_all: "everyone"}
    assert kinds["moe"] == {slug: "shared team", open_to_all: "everyone"}
    assert kinds["chief"] == {slug: "admin", open_to_all: "everyone"}


async def test_a_draft_is_nobody_elses(site: Site) -> None:
    """Also not of a fellow mentor; what has stopped is the mentor's and admin's to decide."""
    draft = (await site.made(title="Draft", **FOR_CLASS))["slug"]
    private = await site.published(title="Private", team="class:c")
    shown = await site.published(title="Shown", **FOR_CLASS)
    for slug, status in ((draft, 404), (private, 404), (shown, 200)):
        assert (await site.ask("moe", "GET", f"d/{slug}/desk"))[0] == status
        assert (await site.ask("moe", "GET", f"api/dashboards/{slug}"))[0] == status
    page = await site.done("moe", "GET", "")
    assert (draft in page, private in page, shown in page) == (False, False, True)
    for one in (private, shown):
        await site.parts.move(one, lambda d: rules.owner_gone(d, (), NOW, site.parts.policy))
    moes, chiefs = await site.done("moe", "GET", ""), await site.done("chief", "GET", "")
    assert (private in moes, shown in moes) == (False, True)
    assert (private in chiefs, shown in chiefs) == (True, True)
    taken = await site.done("moe", "POST", f"api/dashboards/{shown}/take-over", {})
    assert taken["owner"] == "moe"
    given = await site.done("chief", "POST", f"api/dashboards/{private}/hand-over", {"to": "moe"})
    assert given["owner"] == "moe"


async def test_the_desk_has_what_the_author_needs(site: Site) -> None:
    slug = await site.published(**FOR_CLASS)
    site.gateway.broken.add("b.ipynb")
    await site.sent(slug, notebook="b.ipynb")
    await site.checked(slug)
    await site.visits("tom", slug)
    page = visible(await site.done("mia", "GET", f"d/{slug}/desk"))
    for words in ("Cell 2:", "NameError", "ValueError", "Visitors now 1 of 2 places", "line <img"):
        assert words in page, words
    tables = await site.done("mia", "GET", f"api/dashboards/{slug}/desk")
    assert "NameError" in tables
    # others who may take it off read neither code nor log
    for who in ("moe", "chief"):
        page = visible(await site.done(who, "GET", f"d/{slug}/desk"))
        assert "Take it off" in page
        for words in ("NameError", "ValueError", "line <img", "Save who sees it", "b.ipynb"):
            assert words not in page, words


@pytest.mark.parametrize(
    ("language", "not_run", "no_answer"),
    [
        ("ko", "점검을 하지 못했습니다.", "제시간에 끝나지"),
        ("en", "The check could not be run.", "gave no answer in time"),
    ],
)
async def test_the_desk_says_in_the_readers_language_that_no_check_was_run(
    site: Site, language: str, not_run: str, no_answer: str
) -> None:
    slug = await site.published(**FOR_CLASS)
    site.gateway.impossible.add("b.ipynb")
    await site.sent(slug, notebook="b.ipynb")
    await site.checked(slug)
    page = visible(await site.done("mia", "GET", f"d/{slug}/desk", Accept_Language=language))
    assert not_run in page
    assert no_answer not in page
    # one that nobody heard of any more
    site.gateway.gate.clear()
    late = await site.sent(slug, notebook="c.ipynb")
    number = late["versions"][0]["number"]
    await site.parts.move(slug, lambda d: rules.failed(d, number, "", NOW))
    page = visible(await site.done("mia", "GET", f"d/{slug}/desk", Accept_Language=language))
    assert no_answer in page


@pytest.mark.parametrize("language", ["ko", "en"])
async def test_nothing_of_people_is_taken_for_html(site: Site, language: str) -> None:
    """Titles, descriptions, names, teams, errors, logs."""
    slug = await site.published(title=HOSTILE, description=HOSTILE, **FOR_CLASS)
    site.gateway.broken.add("b.ipynb")
    await site.sent(slug, notebook="b.ipynb")
    await site.checked(slug)
    await site.visits("tom", slug)
    for path in ("", f"d/{slug}/", f"d/{slug}/desk", f"api/dashboards/{slug}/desk"):
        page = await site.done("mia", "GET", path, Accept_Language=language)
        assert "<img src=x" not in page, path
        assert html.escape(HOSTILE, quote=False)[:20] in page or "&lt;img src=x" in page, path
        for value in re.findall(r'="([^"]*onerror[^"]*)"', page):
            assert "<" not in value


async def test_pages_are_for_browsers_that_come_to_them(site: Site) -> None:
    slug = await site.published(**FOR_CLASS)
    for path in ("", f"d/{slug}/", f"d/{slug}/desk", f"d/{NOWHERE}/"):
        status, _ = await site.ask("", "GET", path)
        assert status == 302, path  # to the sign-in, whatever there is
        for status, _ in (
            await site.ask("mia", "GET", path, Sec_Fetch_Mode="cors"),
            await site.ask("mia", "GET", path, token=True),
        ):
            assert status == 403, path


@pytest.mark.parametrize("who", ["eve", "dan", "max"])
async def test_a_strangers_pages_are_those_of_what_does_not_exist(site: Site, who: str) -> None:
    slug = await site.published(**FOR_CLASS)
    for path in ("d/{}/", "d/{}/desk"):
        found = await site.ask(who, "GET", path.format(slug))
        nothing = await site.ask(who, "GET", path.format(NOWHERE))
        assert found == nothing
        assert found[0] == 404
    # who may visit it has no desk
    assert (await site.ask("tom", "GET", f"d/{slug}/"))[0] == 200
    assert (await site.ask("tom", "GET", f"d/{slug}/desk"))[0] == 404


async def test_the_frame_is_sandboxed_and_is_told_no_address(site: Site) -> None:
    slug = await site.published(**FOR_CLASS)
    for path in (f"d/{slug}/", f"open/{slug}/"):
        async with (
            aiohttp.ClientSession(headers={"X-Who": "tom"}) as session,
            session.get(site.url + path) as reply,
        ):
            page = await reply.text()
            assert reply.headers["Referrer-Policy"] == "no-referrer"
            assert "script-src 'self'" in reply.headers["Content-Security-Policy"]
        frames = re.findall(r"<iframe[^>]*>", page)
        assert len(frames) == 1
        allowed = re.search(r'sandbox="([^"]*)"', frames[0])
        assert allowed
        assert set(allowed[1].split()) == {"allow-scripts", "allow-downloads"}
        assert 'referrerpolicy="no-referrer"' in frames[0]
        assert "src=" not in frames[0]


def test_which_addresses_are_for_everybody() -> None:
    """All others ask who comes before anything else."""
    asks = (SignedIn.prepare, Versions.prepare)
    for pattern, handler in ROUTES:
        assert (handler.prepare in asks) == (pattern not in PUBLIC | COMMON), pattern


# ---- coming in ------------------------------------------------------------------------------


async def test_a_visit_begins_when_the_app_is_there(site: Site) -> None:
    slug = await site.published(**FOR_CLASS)
    path = f"api/dashboards/{slug}/visit"
    status, first = await site.ask("tom", "POST", path, {})
    assert (status, first["state"], first["percent"]) == (202, "starting", 40)
    assert first["sentence"]
    found = await site.visits("tom", slug, "region=jeju&year=2026")
    assert found["path"] == f"visit/{found['visit']}/?region=jeju&year=2026"
    assert site.gateway.queries == ["region=jeju&year=2026"]
    assert await site.done("tom", "GET", f"{path}/{found['visit']}") == {"open": True}
    # another person's visit is none of mine
    assert await site.done("mia", "GET", f"{path}/{found['visit']}") == {"open": False}


async def test_full_and_failed_are_said(site: Site) -> None:
    slug = await site.published(**FOR_CLASS)
    await site.visits("tom", slug)
    await site.visits("mia", slug)
    assert (await site.visits("moe", slug))["state"] == "full"
    await site.gateway.end(slug, ["tom"])
    assert (await site.visits("moe", slug))["state"] == "open"
    await site.gateway.stop(slug)
    site.gateway.refuses.add(slug)
    assert (await site.visits("tom", slug))["state"] == "failed"


async def test_visits_are_counted_by_day(site: Site) -> None:
    """And by nothing else: whose they are is not kept."""
    slug = await site.published(**FOR_CLASS)
    assert "days-title" not in await site.done("mia", "GET", f"d/{slug}/desk")
    await site.visits("tom", slug)
    site.clock[0] = NOW + 86400
    await site.visits("moe", slug)
    today = site.parts.today()
    counted = await site.parts.work(site.store.visits, slug, today - timedelta(days=9))
    assert counted == {today - timedelta(days=1): 1, today: 1}
    page = await site.done("mia", "GET", f"d/{slug}/desk")
    rows = re.findall(r'<time datetime="([0-9-]{10})">.*?<span class="number">(\d+)<', page, re.S)
    assert [n for _, n in rows] == ["0"] * 12 + ["1", "1"]
    assert rows[-1][0] == today.isoformat()
    assert "days-title" not in await site.done("moe", "GET", f"d/{slug}/desk")
    # gone with the dashboard
    await site.done("mia", "DELETE", f"api/dashboards/{slug}")
    site.clock[0] += site.parts.policy.grace + 1
    await site.rounds.tick()
    assert await site.parts.work(site.store.visits, slug, today - timedelta(days=9)) == {}
    await site.parts.work(site.store.count_visit, slug, today)


@pytest.mark.parametrize("query", ["a" * 2001, "a=\n", "a#b", "a b", "a\\b"])
async def test_an_address_that_is_not_passed_on(site: Site, query: str) -> None:
    slug = await site.published(**FOR_CLASS)
    status, _ = await site.ask("tom", "POST", f"api/dashboards/{slug}/visit", {"query": query})
    assert status == 400


async def test_by_a_link_without_an_account(site: Site) -> None:
    slug = await site.published(title="Prices")
    identity, token = await link_to(site, slug)
    path = f"api/open/{slug}/visit"
    reply = await site.done("", "POST", path, {"link": token})
    while reply["state"] != "open":
        reply = await site.done("", "POST", path, {"link": token})
    assert reply["title"] == "Prices"
    assert [v.visitor for v in site.gateway.visits(slug)] == [f"link:{identity}"]
    goes_on = await site.done("", "POST", f"{path}/{reply['visit']}", {"link": token})
    assert goes_on == {"open": True}
    # every other link, and every other dashboard, answers as if there were nothing
    nothing = await site.ask("", "POST", f"api/open/{NOWHERE}/visit", {"link": token})
    assert nothing[0] == 404
    for wrong in ("", "x", token[:-1], identity):
        assert await site.ask("", "POST", path, {"link": wrong}) == nothing
        asked = await site.ask("", "POST", f"{path}/{reply['visit']}", {"link": wrong})
        assert asked == nothing
    other = await site.published("max")
    assert await site.ask("", "POST", f"api/open/{other}/visit", {"link": token}) == nothing
    assert (await site.ask("", "GET", f"open/{NOWHERE}/"))[0] == 200
    page = await site.done("", "GET", f"open/{slug}/")
    assert "Prices" not in page
    # a link opens nothing else
    assert (await site.ask("", "GET", f"api/dashboards/{slug}"))[0] == 403


async def test_what_can_be_no_link_does_not_reach_the_store(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody may send it, as often as they like, and the store has one thread."""
    slug = await site.published()
    _, token = await link_to(site, slug)
    path = f"api/open/{slug}/visit"
    nothing = await site.ask("", "POST", path, {"link": "x" * len(token)})
    assert nothing[0] == 404
    monkeypatch.setattr(site.store, "find", None)
    for wrong in ("", "x", token[:-1], token + "x", token[:-1] + "\n", token[:-1] + "가"):
        assert await site.ask("", "POST", path, {"link": wrong}) == nothing
    object.__setattr__(site.parts, "links", type(site.parts.links)(days=0))
    for given in (token, "x"):
        assert await site.ask("", "POST", path, {"link": given}) == nothing


async def test_links_end_and_can_be_switched_off(site: Site) -> None:
    slug = await site.published()
    _, token = await link_to(site, slug, days=1)
    path = f"api/open/{slug}/visit"
    await site.done("", "POST", path, {"link": token})
    site.clock[0] = NOW + 86400
    assert (await site.ask("", "POST", path, {"link": token}))[0] == 404
    site.clock[0] = NOW
    object.__setattr__(site.parts, "links", type(site.parts.links)(days=0))
    assert (await site.ask("", "POST", path, {"link": token}))[0] == 404


# ---- who may not stay -----------------------------------------------------------------------


async def test_a_smaller_audience_counts_at_once(site: Site) -> None:
    slug = await site.published(audience={"people": ["tom", "eve"]})
    stays = await site.visits("tom", slug)
    goes = await site.visits("eve", slug)
    body = {"audience": {"people": ["tom"]}}
    await site.done("mia", "PATCH", f"api/dashboards/{slug}", body)
    assert site.gateway.ended == [(slug, "eve")]
    path = f"api/dashboards/{slug}/visit"
    assert (await site.ask("eve", "GET", f"{path}/{goes['visit']}"))[0] == 404
    assert await site.done("tom", "GET", f"{path}/{stays['visit']}") == {"open": True}


async def test_who_leaves_a_team_or_madang_is_put_out(site: Site) -> None:
    slug = await site.published(**FOR_CLASS)
    await site.visits("tom", slug)
    await site.visits("moe", slug)
    await site.rounds.enforce()
    assert site.gateway.ended == []
    site.directory.set_memberships("tom", {}, "operator")
    await site.rounds.enforce()
    assert site.gateway.ended == [(slug, "tom")]
    site.directory.end("moe", "removed", site.parts.now())
    await site.rounds.enforce()
    assert site.gateway.ended == [(slug, "tom"), (slug, "moe")]


async def test_no_address_of_a_visit_and_no_query_is_logged(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    path = "visit/" + "s" * 32 + "/"
    assert (await site.ask("", "GET", path))[0] == 200
    assert (await site.ask("", "POST", path))[0] == 405
    assert (await site.ask("tom", "GET", f"d/{NOWHERE}/?name=s-e-c-r-e-t"))[0] == 404
    said = [r.getMessage() for r in caplog.records if r.name.startswith("tornado")]
    assert [line.rpartition(" ")[0] for line in said] == [
        "200 GET FramePage",
        "405 POST FramePage",
        "404 GET VisitPage",
    ]


async def test_what_takes_long_keeps_nobody_in(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Authors who left, say, whose many dashboards a Hub that hangs does not stop."""
    slug = await site.published(**FOR_CLASS)
    await site.visits("tom", slug)
    site.directory.set_memberships("tom", {}, "operator")
    hangs = asyncio.Event()

    async def authors() -> None:
        hangs.set()
        await asyncio.Event().wait()

    looks = 0
    twice = asyncio.Event()
    enforce = site.rounds.enforce

    async def counted() -> None:
        nonlocal looks
        if hangs.is_set():
            await enforce()
            looks += 1
            if looks == 2:
                twice.set()

    monkeypatch.setattr(site.rounds, "authors", authors)
    monkeypatch.setattr(site.rounds, "enforce", counted)
    monkeypatch.setattr(rounds, "LOOK", 0.01)
    running = asyncio.create_task(site.rounds.run())
    await asyncio.wait_for(twice.wait(), 20)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert site.gateway.ended == [(slug, "tom")]


async def test_who_came_by_a_link_goes_with_it(site: Site) -> None:
    slug = await site.published(**FOR_CLASS)
    identity, token = await link_to(site, slug, days=1)
    await site.visits("tom", slug)
    await site.done("", "POST", f"api/open/{slug}/visit", {"link": token})
    await site.done("mia", "DELETE", f"api/dashboards/{slug}/links/{identity}")
    assert site.gateway.ended == [(slug, f"link:{identity}")]
    # by the clock alone
    other, token = await link_to(site, slug, days=1)
    await site.done("", "POST", f"api/open/{slug}/visit", {"link": token})
    await site.rounds.enforce()
    assert len(site.gateway.ended) == 1
    site.clock[0] = NOW + 86400
    await site.rounds.enforce()
    assert site.gateway.ended[1:] == [(slug, f"link:{other}")]


async def test_nobody_slips_in_while_the_audience_shrinks(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The audience changes after it was looked at, and before the visit is there."""
    slug = await site.published(audience={"people": ["tom"]})
    await site.done("tom", "POST", f"api/dashboards/{slug}/visit", {})
    begins = site.gateway.open

    async def slow(*given: object) -> str:
        await site.done("mia", "PATCH", f"api/dashboards/{slug}", {"audience": {}})
        return await begins(*given)  # type: ignore[arg-type]  # passes on what it was given

    monkeypatch.setattr(site.gateway, "open", slow)
    status, _ = await site.ask("tom", "POST", f"api/dashboards/{slug}/visit", {})
    assert status == 404
    assert site.gateway.visits(slug) == []


@pytest.mark.parametrize("move", ["unpublish", "delete"])
async def test_what_is_taken_off_does_not_run_on(site: Site, move: str) -> None:
    slug = await site.published(**FOR_CLASS)
    await site.visits("tom", slug)
    method, path = ("DELETE", "") if move == "delete" else ("POST", "/unpublish")
    await site.done("mia", method, f"api/dashboards/{slug}{path}")
    assert site.gateway.ended == [(slug, "tom")]
    assert not site.gateway.running


async def test_what_was_adopted_and_is_shown_to_nobody_is_stopped(site: Site) -> None:
    """The service was away while it was taken off."""
    slug = await site.published(**FOR_CLASS)
    await site.done("mia", "POST", f"api/dashboards/{slug}/unpublish")
    site.gateway.running[slug] = slug
    await site.rounds.enforce()
    assert not site.gateway.running


async def test_an_author_who_leaves(site: Site) -> None:
    """It passes to a mentor of its team; what only the author could see stops, and waits."""
    shared = await site.published(**FOR_CLASS)
    private = await site.published(title="Private", team="class:c")
    await site.rounds.authors()
    site.directory.end("mia", "removed", site.parts.now())
    await site.rounds.authors()
    found = {d.slug: d for d in await site.parts.work(site.store.all)}
    assert (found[shared].owner, found[shared].state.value) == ("moe", "published")
    assert (found[private].owner, found[private].state.value) == ("mia", "stopped")
    assert private in site.gateway.stopped


async def test_a_check_that_was_interrupted_is_begun_again(site: Site) -> None:
    slug = (await site.made())["slug"]
    await site.sent(slug)
    await site.rounds.check()
    # the next process knows of no check
    again = Rounds(site.parts)
    site.gateway.gate.set()
    await again.check()
    found = await site.checked(slug)
    assert found.current == 1


async def test_the_account_of_apps_is_in_no_list_of_people() -> None:
    """The Hub knows it as a user; the admin's page and everything that counts people must not."""

    class Users(RequestHandler):
        def get(self) -> None:
            rows = [{"name": name} for name in ("dashboards", "tom")]
            self.finish({"items": rows, "_pagination": {"next": None}})

    server = HTTPServer(Application([("/hub/api/users", Users)]))
    socket, port = bind_unused_port()
    server.add_socket(socket)
    hub = Hub(f"http://127.0.0.1:{port}/hub/api", "token", "en")
    try:
        assert list(await hub.users()) == ["tom"]
    finally:
        await hub.close()
        server.stop()
        await server.close_all_connections()
