"""The REST API of dashboards over HTTP, with the sign-in in the test's hand (integration: the real one)."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from support.dashboards import HOSTILE, NOW, Site, serving
from support.snapshots import entry, packed

from madang_hub.dashboards.archive import received
from madang_hub.dashboards.bounds import Limits
from madang_hub.dashboards.web import upload
from madang_hub.dashboards.web.scopes import ADMIN, PUBLISH
from madang_hub.people.database import Database
from madang_hub.places import Places

FOR_CLASS: dict[str, Any] = {"audience": {"teams": ["class:c"]}, "team": "class:c"}
NOWHERE = "z" * 20
"""A slug that nothing has."""


@pytest.fixture
async def site(
    database: Database, places: Places, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Site]:
    async with serving(database, places.settings.data, monkeypatch) as found:
        yield found


async def test_a_notebook_becomes_a_dashboard(site: Site) -> None:
    made = await site.made(title=" Prices\nof rice ", description="About it.", **FOR_CLASS)
    assert (made["title"], made["state"], made["current"]) == ("Prices of rice", "unpublished", 0)
    assert made["url"] == f"/services/dashboards/d/{made['slug']}/"
    assert made["audience"] == {"people": [], "teams": ["class:c"], "everyone": False, "links": []}
    sent = await site.sent(made["slug"])
    assert [v["check"] for v in sent["versions"]] == ["checking"]
    assert (await site.checked(made["slug"])).current == 1
    found = await site.done("mia", "GET", f"api/dashboards/{made['slug']}")
    assert (found["state"], found["current"]) == ("published", 1)
    assert found["versions"][0]["notebook"] == "a.ipynb"
    mine = await site.done("mia", "GET", "api/mine", token=True)
    assert [d["slug"] for d in mine["dashboards"]] == [made["slug"]]
    assert mine["publishes"]
    assert [t["name"] for t in mine["teams"]] == ["class:c"]
    assert mine["size"] in [s["name"] for s in mine["sizes"]]


async def test_a_check_that_fails_shows_cell_and_traceback_to_the_author_alone(site: Site) -> None:
    slug = await site.published(**FOR_CLASS)
    site.gateway.broken.add("b.ipynb")
    await site.sent(slug, notebook="b.ipynb")
    await site.checked(slug)
    found = await site.done("mia", "GET", f"api/dashboards/{slug}")
    assert found["current"] == 1  # what was shown stays
    version = found["versions"][0]
    assert (version["check"], version["cell"]) == ("failed", 2)
    assert "NameError" in version["said"]
    for other in ("moe", "chief"):  # a mentor of its team, and an admin: they may take it off
        seen = await site.done(other, "GET", f"api/dashboards/{slug}")
        assert [v["said"] for v in seen["versions"]] == ["", ""]
        assert [v["cell"] for v in seen["versions"]] == [None, None]
        assert seen["audience"]["links"] == []


async def test_a_check_that_could_not_be_run_blames_no_notebook(site: Site) -> None:
    slug = await site.published(**FOR_CLASS)
    site.gateway.impossible.add("b.ipynb")
    await site.sent(slug, notebook="b.ipynb")
    await site.checked(slug)
    sent = await site.sent(slug, notebook="c.ipynb")
    assert [v["ran"] for v in sent["versions"]] == [True, False, True]
    found = await site.done("mia", "GET", f"api/dashboards/{slug}")
    version = found["versions"][1]
    # no sentence: whoever shows it says it in the person's language
    assert (version["check"], version["cell"], version["said"]) == ("failed", None, "")


async def test_the_list_of_ones_own_has_no_tracebacks(site: Site) -> None:
    """They are long, and there may be twenty of fifty dashboards each."""
    slug = await site.published(**FOR_CLASS)
    site.gateway.broken.add("b.ipynb")
    await site.sent(slug, notebook="b.ipynb")
    await site.checked(slug)
    mine = await site.done("mia", "GET", "api/mine", token=True)
    [listed] = mine["dashboards"]
    assert [v["said"] for v in listed["versions"]] == ["", ""]
    found = await site.done("mia", "GET", f"api/dashboards/{slug}")
    assert "NameError" in found["versions"][0]["said"]
    for version in (*listed["versions"], *found["versions"]):
        version.pop("said")
    assert listed == found


async def test_rolling_back_taking_off_and_bringing_back(site: Site) -> None:
    slug = await site.published(**FOR_CLASS)
    await site.sent(slug)
    assert (await site.checked(slug)).current == 2
    assert (await site.visits("tom", slug))["state"] == "open"
    back = await site.done("mia", "POST", f"api/dashboards/{slug}/show", {"version": 1})
    assert back["current"] == 1
    # whoever was there saw the other version
    assert site.gateway.ended == [(slug, "tom")]
    assert slug not in site.gateway.running
    off = await site.done("mia", "POST", f"api/dashboards/{slug}/unpublish")
    assert (off["state"], off["current"]) == ("unpublished", 0)
    gone = await site.done("mia", "DELETE", f"api/dashboards/{slug}")
    assert gone["state"] == "deleted"
    there = await site.done("mia", "POST", f"api/dashboards/{slug}/undelete")
    assert there["state"] == "unpublished"


async def test_who_was_slower_is_told(site: Site) -> None:
    slug = await site.published(**FOR_CLASS)
    old = (await site.done("mia", "GET", f"api/dashboards/{slug}"))["revision"]
    await site.done("mia", "PATCH", f"api/dashboards/{slug}", {"title": "New", "expect": old})
    for method, path, body in (
        ("PATCH", "", {"title": "Late", "expect": old}),
        ("PATCH", "", {"audience": {}, "expect": old}),
        ("POST", "/unpublish", {"expect": old}),
    ):
        status, answer = await site.ask("mia", method, f"api/dashboards/{slug}{path}", body)
        assert status == 409, answer
        assert "Load the page again" in answer["message"]
    data = packed(entry("a.ipynb"))
    path = f"api/dashboards/{slug}/versions?notebook=a.ipynb&expect={old}"
    status, answer = await site.ask("mia", "PUT", path, data=data)
    assert status == 409, answer
    assert (await site.done("mia", "GET", f"api/dashboards/{slug}"))["title"] == "New"


CHANGES: list[tuple[str, str, Any]] = [
    ("GET", "", None),
    ("PATCH", "", {"title": "x"}),
    ("PATCH", "", {"audience": {"everyone": True}}),
    ("DELETE", "", None),
    ("POST", "/show", {"version": 1}),
    ("POST", "/unpublish", {}),
    ("POST", "/undelete", {}),
    ("POST", "/hand-over", {"to": "eve"}),
    ("POST", "/take-over", {}),
    ("POST", "/links", {"days": 1}),
    ("DELETE", f"/links/{'0' * 16}", None),
    ("GET", "/desk", None),
    ("POST", "/visit", {}),
    ("GET", f"/visit/{'v' * 20}", None),
]


@pytest.mark.parametrize("who", ["eve", "dan", "max"])
async def test_a_stranger_gets_the_same_answer_as_for_what_does_not_exist(
    site: Site, who: str
) -> None:
    """Also a mentor of another class."""
    slug = await site.published(**FOR_CLASS)
    before = await site.parts.work(site.store.find, slug)
    for method, path, body in CHANGES:
        found = await site.ask(who, method, f"api/dashboards/{slug}{path}", body)
        nothing = await site.ask(who, method, f"api/dashboards/{NOWHERE}{path}", body)
        assert found == nothing, (method, path)
        assert found[0] == 404, (method, path, found)
    data = packed(entry("a.ipynb"))
    for method, path in (("PUT", "versions?notebook=a.ipynb"),):
        found = await site.ask(who, method, f"api/dashboards/{slug}/{path}", data=data)
        nothing = await site.ask(who, method, f"api/dashboards/{NOWHERE}/{path}", data=data)
        assert found == nothing
        assert found[0] == 404
    assert await site.parts.work(site.store.find, slug) == before
    assert not site.gateway.open_visits


async def test_who_may_see_it_changes_nothing(site: Site) -> None:
    slug = await site.published(**FOR_CLASS)
    before = await site.parts.work(site.store.find, slug)
    for method, path, body in CHANGES:
        if "visit" in path:
            continue
        status, answer = await site.ask("tom", method, f"api/dashboards/{slug}{path}", body)
        assert status in (403, 404), (method, path, answer)
    # before anything of the body is looked at
    path = f"api/dashboards/{slug}/versions?notebook=a.ipynb"
    assert (await site.ask("tom", "PUT", path, data=b"no archive"))[0] == 403
    assert await site.parts.work(site.store.find, slug) == before


async def test_a_mentor_does_not_speak_for_a_fellow_mentor(site: Site) -> None:
    slug = await site.published(**FOR_CLASS)
    for who in ("moe", "chief"):
        for method, path, body in (
            ("PATCH", "", {"title": "x"}),
            ("POST", "/show", {"version": 1}),
            ("POST", "/links", {"days": 1}),
        ):
            status, answer = await site.ask(who, method, f"api/dashboards/{slug}{path}", body)
            assert status == 403, (who, method, path, answer)
    # but may take it off
    assert (await site.done("moe", "POST", f"api/dashboards/{slug}/unpublish"))["may"] == [
        "unpublish"
    ]


async def test_the_right_to_publish_is_the_hubs_word(site: Site) -> None:
    """Not the directory's: a token without the scope publishes nothing, whoever has it."""
    for token in (True, False):
        status, answer = await site.ask(
            "mia", "POST", "api/dashboards", {"title": "x"}, token=token, X_Scopes=ADMIN
        )
        assert status == 403, answer
    slug = await site.published(**FOR_CLASS)
    data = packed(entry("a.ipynb"))
    path = f"api/dashboards/{slug}/versions?notebook=a.ipynb"
    assert (await site.ask("mia", "PUT", path, data=data, X_Scopes="x"))[0] == 403
    assert (await site.ask("eve", "POST", "api/dashboards", {"title": "x"}))[0] == 403
    # an admin sees what is published by the scope, and not by the mark in the directory
    assert (await site.ask("chief", "GET", f"api/dashboards/{slug}"))[0] == 200
    assert (await site.ask("chief", "GET", f"api/dashboards/{slug}", X_Scopes=PUBLISH))[0] == 404


async def test_who_may_not_do_it_learns_nobodys_name(site: Site) -> None:
    """Whoever asks is told the same whether there is such a person or not."""
    slug = await site.published(**FOR_CLASS)
    answers = {
        str(await site.ask("tom", "POST", path, body, token=True))
        for name in ("eve", "no-such")
        for path, body in (("api/dashboards", {"title": "x", "audience": {"people": [name]}}),)
    }
    assert len(answers) == 1
    assert "403" in answers.pop()
    handed = {
        str(await site.ask("tom", "POST", f"api/dashboards/{slug}/hand-over", {"to": name}))
        for name in ("moe", "no-such")
    }
    assert len(handed) == 1
    assert "403" in handed.pop()


async def test_a_page_of_somebody_else_changes_nothing(site: Site) -> None:
    """A browser's cookies come along from everywhere; the page's token does not."""
    slug = await site.published(**FOR_CLASS)
    for method, path, body in [("POST", "api/dashboards", {"title": "x"})] + [
        (m, f"api/dashboards/{slug}{p}", b) for m, p, b in CHANGES
    ]:
        for given in ("", "other"):
            status, answer = await site.ask("mia", method, path, body, X_XSRFToken=given)
            assert status == 403, (method, path, answer)
    # and a visit begins in the browser only, never with a token of a server
    assert (await site.ask("mia", "POST", f"api/dashboards/{slug}/visit", {}, token=True))[0] == 403


async def test_services_are_no_people(site: Site) -> None:
    status, _ = await site.ask("prometheus", "GET", "api/mine", token=True, X_Kind="service")
    assert status == 403


@pytest.mark.parametrize(
    ("audience", "said"),
    [
        ({"people": ["nobody-there"]}, "nobody-there"),
        ({"teams": ["class:d"]}, "class:d"),
        ({"people": "tom"}, "not understood"),
        ({"everyone": 1}, "not understood"),
        ({"all": True}, "not understood"),
        ([], "not understood"),
    ],
)
async def test_an_audience_that_cannot_be(site: Site, audience: Any, said: str) -> None:
    body = {"title": "x", "team": "class:c", "audience": audience}
    status, answer = await site.ask("mia", "POST", "api/dashboards", body)
    assert status == 400, answer
    assert said in answer["message"]
    assert (await site.done("mia", "GET", "api/mine"))["dashboards"] == []


async def test_an_archive_that_cannot_be_taken(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    slug = (await site.made())["slug"]
    path = f"api/dashboards/{slug}/versions"
    for query, data, status in (
        ("notebook=a.ipynb", b"no archive", 400),
        ("notebook=a.ipynb", packed(entry("../a.ipynb")), 400),
        ("notebook=b.ipynb", packed(entry("a.ipynb")), 404),
        ("notebook=a.ipynb&size=none", packed(entry("a.ipynb")), 400),
        ("notebook=a.ipynb&expect=x", packed(entry("a.ipynb")), 400),
    ):
        got, answer = await site.ask("mia", "PUT", f"{path}?{query}", data=data)
        assert got == status, answer
        assert answer["message"], answer
    assert list(site.store.snapshots.iterdir()) == []
    # whose archive was refused may send another
    assert (await site.sent(slug))["versions"]


async def test_an_archive_that_is_too_large_is_not_read(site: Site) -> None:
    object.__setattr__(site.parts, "limits", Limits(packed=2**19))
    slug = (await site.made())["slug"]
    path = f"api/dashboards/{slug}/versions?notebook=a.ipynb"
    large = packed(entry("a.ipynb", os.urandom(2**18 + 2**17)))
    assert (await site.ask("mia", "PUT", path, data=large))[0] == 202  # more than other bodies
    too_large = packed(entry("a.ipynb", os.urandom(2**20)))
    try:
        status, answer = await site.ask("mia", "PUT", path, data=too_large)
    except OSError:
        status = 413  # the connection was closed while it was still being sent
    else:
        assert "MB" in answer["message"] or status == 400
    assert status in (400, 413)


@pytest.fixture
def hung_up(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set when the service has noticed that who sends an archive hung up."""
    noticed, before = asyncio.Event(), upload.Versions.on_connection_close

    def closed(handler: upload.Versions) -> None:
        before(handler)
        noticed.set()

    monkeypatch.setattr(upload.Versions, "on_connection_close", closed)
    return noticed


async def send_raw(site: Site, slug: str, data: bytes, length: int) -> asyncio.StreamWriter:
    """The beginning of an archive, on a connection that stays open."""
    parts = urlsplit(site.url)
    _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    lines = [
        f"PUT {parts.path}api/dashboards/{slug}/versions?notebook=a.ipynb HTTP/1.1",
        f"Host: {parts.netloc}",
        f"Content-Length: {length}",
        "X-Who: mia",
        f"X-Scopes: {PUBLISH}",
        "X-XSRFToken: xsrf",
    ]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + data)
    await writer.drain()
    return writer


async def answered(
    site: Site, method: str, path: str, wanted: Callable[[int, Any], Any], data: bytes | None = None
) -> bool:
    """Ask until the answer is as wanted."""
    async with asyncio.timeout(30):
        while True:
            if wanted(*await site.ask("mia", method, path, data=data)):
                return True
            await asyncio.sleep(0)


async def test_who_hangs_up_has_sent_one_archive_all_the_same(
    site: Site, monkeypatch: pytest.MonkeyPatch, hung_up: asyncio.Event
) -> None:
    """Until it is unpacked: else whoever hangs up again and again takes every thread."""
    slug = (await site.made())["slug"]
    path = f"api/dashboards/{slug}/versions?notebook=a.ipynb"
    data = packed(entry("a.ipynb"))
    at_it, goes_on = threading.Event(), threading.Event()
    threads: list[str] = []

    @contextmanager
    def slow(*given: Any) -> Iterator[Any]:
        threads.append(threading.current_thread().name)
        at_it.set()
        assert goes_on.wait(30)
        with received(*given) as incoming:
            yield incoming

    monkeypatch.setattr(upload, "received", slow)
    writer = await send_raw(site, slug, data, len(data))
    assert await asyncio.to_thread(at_it.wait, 30)
    writer.close()
    await asyncio.wait_for(hung_up.wait(), 30)
    assert (await site.ask("mia", "PUT", path, data=data))[0] == 429
    goes_on.set()
    assert await answered(site, "GET", f"api/dashboards/{slug}", lambda _, found: found["versions"])
    assert await answered(site, "PUT", path, lambda status, _: status != 429, data)
    assert len(threads) == 2
    # of their own: what waits here keeps no other request waiting
    assert all(name.startswith("unpacking") for name in threads)


async def test_an_archive_that_breaks_off_keeps_no_place(
    site: Site, hung_up: asyncio.Event
) -> None:
    slug = (await site.made())["slug"]
    path = f"api/dashboards/{slug}/versions?notebook=a.ipynb"
    data = packed(entry("a.ipynb"))
    before = asyncio.all_tasks()
    writer = await send_raw(site, slug, data[:10], len(data))
    assert await answered(site, "PUT", path, lambda status, _: status == 429, data)
    writer.close()
    await asyncio.wait_for(hung_up.wait(), 30)
    other = packed(entry("a.ipynb", b"other"))
    assert (await site.ask("mia", "PUT", path, data=other))[0] == 202
    # nor does anything wait for the rest of it
    handling = [t for t in asyncio.all_tasks() - before if "_execute" in repr(t.get_coro())]
    await asyncio.wait_for(asyncio.gather(*handling, return_exceptions=True), 30)


async def test_links_are_shown_once_and_can_be_taken_back(site: Site) -> None:
    slug = await site.published()
    made = await site.done("mia", "POST", f"api/dashboards/{slug}/links", {"days": 2})
    token = made["url"].partition("#")[2]
    assert made["url"].startswith(f"/services/dashboards/open/{slug}/#")
    found = await site.done("mia", "GET", f"api/dashboards/{slug}")
    assert found["audience"]["links"] == [{"id": made["id"], "until": made["until"]}]
    assert token not in str(found)
    assert token not in (await site.done("mia", "GET", f"d/{slug}/desk", X_Who="mia"))
    for days in (0, 91, -1, "7", None):
        status, _ = await site.ask("mia", "POST", f"api/dashboards/{slug}/links", {"days": days})
        assert status in (400, 409)
    after = await site.done("mia", "DELETE", f"api/dashboards/{slug}/links/{made['id']}")
    assert after["audience"]["links"] == []
    status, _ = await site.ask("mia", "DELETE", f"api/dashboards/{slug}/links/{'0' * 16}")
    assert status == 404


async def test_handing_over(site: Site) -> None:
    slug = await site.published(**FOR_CLASS)
    for to in ("tom", "max", "no-such"):  # may not publish; is not in its team; is not there
        status, answer = await site.ask(
            "mia", "POST", f"api/dashboards/{slug}/hand-over", {"to": to}
        )
        assert status in (400, 403), answer
    given = await site.done("mia", "POST", f"api/dashboards/{slug}/hand-over", {"to": "moe"})
    assert given["owner"] == "moe"
    assert (await site.ask("mia", "PATCH", f"api/dashboards/{slug}", {"title": "x"}))[0] == 403


async def test_what_is_shared_with_me(site: Site) -> None:
    slug = await site.published(title=HOSTILE, **FOR_CLASS)
    await site.published("max", title="Other")
    found = await site.done("tom", "GET", "api/shared")
    assert [d["title"] for d in found["dashboards"]] == [HOSTILE]
    assert found["dashboards"][0]["url"].endswith(f"/d/{slug}/")
    assert (await site.done("dan", "GET", "api/shared"))["dashboards"] == []
    assert (await site.done("mia", "GET", "api/shared"))["dashboards"] == []  # her own
    of_class = await site.done("mia", "GET", "api/shared?team=class:c")
    assert len(of_class["dashboards"]) == 1
    assert (await site.done("dan", "GET", "api/shared?team=class:c"))["dashboards"] == []


async def test_sentences_come_in_the_language_that_was_asked_for(site: Site) -> None:
    path = f"api/dashboards/{NOWHERE}"
    english = (await site.ask("mia", "GET", path))[1]["message"]
    korean = (await site.ask("mia", "GET", path, Accept_Language="ko"))[1]["message"]
    by_query = (await site.ask("mia", "GET", path + "?lang=ko"))[1]["message"]
    assert english == "There is nothing here, or it is not for you."
    assert korean == by_query != english


async def test_deleted_ones_go_for_good_and_their_files_with_them(site: Site) -> None:
    slug = await site.published()
    await site.done("mia", "DELETE", f"api/dashboards/{slug}")
    await site.rounds.tick()
    assert (await site.ask("mia", "GET", f"api/dashboards/{slug}"))[0] == 200
    site.clock[0] = NOW + site.parts.policy.grace + 1
    await site.rounds.tick()
    assert (await site.ask("mia", "GET", f"api/dashboards/{slug}"))[0] == 404
    await site.rounds.collect()
    assert (
        len(list(site.store.snapshots.iterdir())) == 1
    )  # a container may just be starting with it
    site.clock[0] += site.parts.policy.lingers + 1
    await site.rounds.collect()
    assert list(site.store.snapshots.iterdir()) == []
