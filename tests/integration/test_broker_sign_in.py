"""Sign-in with a browser at the broker of a real Hub: strangers, other sites, replays, rights."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from conftest import missing
from support.broker import GPU, PREFIX, Lending, running
from support.broker_browser import Browser

from madang_hub.accelerators.broker.scopes import ACCESS, ADMIN, METRICS
from madang_hub.people.directory import Directory

ONE = "GPU-11111111-aaaa"
WISH = {"kind": GPU, "minutes": 60, "team": "team:a"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lending]:
    if shutil.which("cc") is None:
        missing("a C compiler (apt-get install gcc)")
    with running(tmp_path_factory.mktemp("sign-in"), (ONE,)) as found:
        found.clear(ONE)
        yield found


@pytest.fixture
def ann(stack: Lending) -> Browser:
    return Browser(stack, "ann")


@pytest.fixture(scope="module")
def chief(stack: Lending) -> Browser:
    return Browser(stack, "chief")


def test_a_stranger_is_led_to_the_hub(stack: Lending) -> None:
    for path in ("", "admin", "report", "class/team:a", "session"):
        reply = requests.get(stack.url + path, timeout=30, allow_redirects=False)
        assert reply.status_code == 302
        goal = urlsplit(reply.headers["Location"])
        assert goal.path == "/hub/api/oauth2/authorize"
        back = parse_qs(goal.query)["redirect_uri"]
        assert back == [f"{PREFIX}oauth_callback"]


def test_who_is_signed_in_comes_in_without_a_question(stack: Lending, ann: Browser) -> None:
    reply = ann.page()
    assert (reply.status_code, reply.url) == (200, stack.url)
    assert "frame-ancestors 'none'" in reply.headers["Content-Security-Policy"]
    assert "frame-ancestors 'self'" in ann.page("session").headers["Content-Security-Policy"]
    for cookie in ann.cookies:
        if cookie.path == PREFIX and cookie.name != "_xsrf":
            assert cookie.has_nonstandard_attr("HttpOnly"), cookie.name
    for found in re.findall(r'(?:src|href)="(/hub/static/[^"]+)"', reply.text):
        assert requests.get(ann.hub + found, timeout=30).status_code == 200, found


def test_only_the_page_asks(stack: Lending, ann: Browser) -> None:
    """Another site can send a browser's cookies along, but never the page's token."""
    xsrf = ann.xsrf
    assert ann.api("GET", "").status_code == 403
    for headers in ({}, {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}):
        ann.headers.update(headers)
        bodies: tuple[dict[str, Any], ...] = (
            {"json": WISH},
            {"data": {"kind": GPU, "minutes": 60}},
        )
        for body in bodies:
            assert ann.api("POST", "requests", **body).status_code == 403
            assert ann.api("POST", "requests", "0" * 40, **body).status_code == 403
    assert (
        Browser(stack, "ben").api("GET", "", xsrf).status_code == 403
    )  # without a visit to a page
    assert stack.overview("ann")["requests"] == []
    asked = ann.api("POST", "requests", xsrf, json=WISH)
    assert asked.status_code == 201, asked.text
    assert asked.json()["state"] == "granted"
    left = ann.api("POST", f"requests/{asked.json()['id']}/leave", xsrf)
    assert left.json()["why"] == "left"


def test_a_sign_in_is_used_once_and_only_by_its_browser(stack: Lending, ann: Browser) -> None:
    url = ann.callback()
    # another browser that was given the address: it has no such state
    other = Browser(stack, "ben")
    assert other.get(url, timeout=30).status_code in (400, 403)
    assert requests.get(url, timeout=30).status_code in (400, 403)
    # somebody who has even the state, and comes later: the code is used up
    late = requests.Session()
    late.cookies.update(ann.cookies)
    reply = ann.get(url, timeout=30, allow_redirects=False)
    assert (reply.status_code, reply.headers["Location"]) == (302, PREFIX)
    refused = late.get(url, timeout=30, allow_redirects=False)
    assert refused.status_code >= 400, refused.headers
    assert "The sign-in to this page did not work." in refused.text
    assert not any(c.name == "service-accelerators" for c in late.cookies)
    assert 'data-user="ann"' in ann.page().text
    assert 'data-user="ben"' in other.page().text
    for query in ("?next=//evil.example", "?code=x&state=y&next=https://evil.example"):
        reply = requests.get(f"{stack.url}oauth_callback{query}", timeout=30, allow_redirects=False)
        assert reply.status_code in (400, 403)
        assert "evil.example" not in reply.headers.get("Location", "")


def test_an_admin_brings_the_right_along_and_nobody_else(
    stack: Lending, ann: Browser, chief: Browser
) -> None:
    assert chief.page("admin").status_code == 200
    refused = ann.page("admin")
    assert refused.status_code == 403
    assert ADMIN in refused.text
    drain = {"slot": ONE, "why": "<b>dust</b>"}
    assert ann.api("POST", "slots/drain", ann.xsrf, json=drain).status_code == 403
    assert stack.free() == [ONE]
    done = chief.api("POST", "slots/drain", chief.xsrf, json=drain)
    assert done.status_code == 204, done.text
    assert ("chief", ONE) in stack.audit("accelerator.drained")
    assert "“&lt;b&gt;dust&lt;/b&gt;”" in chief.page("admin").text
    assert chief.api("POST", "slots/undrain", chief.xsrf, json={"slot": ONE}).status_code == 204
    # what a sign-in here brings is not a token for anything else of theirs
    assert chief.page("api/devices/ann").status_code == 403


def test_who_reads_the_measurements(stack: Lending, chief: Browser) -> None:
    reader = stack.given["tokens"]["prometheus"]
    reply = stack.call("GET", "metrics", reader)
    assert reply.status_code == 200, reply.text
    assert 'madang_accelerator_leases{state="queued"} 0.0' in reply.text
    admins = stack.token("chief", ACCESS, METRICS)
    assert stack.call("GET", "metrics", admins).status_code == 200
    for token in (stack.token("ann"), stack.given["tokens"]["stranger"], stack.token("chief")):
        assert stack.call("GET", "metrics", token).status_code == 403
    assert stack.call("GET", "api/", reader).status_code == 403
    assert chief.page("metrics").status_code == 403


def test_whose_access_ended_sees_nothing(stack: Lending) -> None:
    ben = Browser(stack, "ben")
    assert ben.page().status_code == 200
    database = stack.database
    Directory(database).end("ben", "removed", datetime.now(UTC))
    reply = ben.page()
    assert reply.status_code == 403
    assert "Your access to this Madang has ended." in reply.text
    Directory(database).reopen("ben")
    database.close()
