"""A link to a lesson, for somebody who is not signed in and whose server is off: real Hub, embedded mode."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import pytest
import requests
from conftest import missing
from support.deployment import Deployment, wait_for
from support.people import Person, newcomer, visible


@pytest.fixture(scope="module")
def first(embedded_mode: Deployment, root: Path) -> dict[str, Any]:
    """The first lesson that people of this Madang have."""
    manifest = root / "build" / "lessons" / "manifest.json"
    if not manifest.exists():
        missing("build/lessons (the lessons of this checkout)")
    lesson: dict[str, Any] = json.loads(manifest.read_text("utf-8"))["lessons"][0]
    return lesson


def way_in(person: Person, address: str) -> requests.Response:
    """Follow a link as a browser does: sign in where asked, start where asked; where it ends."""
    page = person.session.get(f"{person.url}{address}", timeout=30)
    assert urlsplit(page.url).path == "/hub/login", page.url
    form = form_of(page, "login")
    page = person.session.post(
        form,
        data={"_xsrf": person.xsrf, "username": person.name, "password": person.password},
        headers={"Sec-Fetch-Mode": "navigate"},
        timeout=60,
    )
    assert urlsplit(page.url).path == f"/hub/spawn/{person.name}", visible(page.text)
    page = person.session.post(
        form_of(page, "spawn_form"),
        data={"environment": "lab", "size": "small"},
        headers={"Sec-Fetch-Mode": "navigate", "Referer": page.url},
        timeout=60,
    )

    def arrived() -> bool:
        # the progress page loads itself again until its server is there
        nonlocal page
        if "/hub/spawn-pending/" in page.url:
            page = person.session.get(page.url, timeout=60)
        return "/hub/spawn-pending/" not in page.url

    wait_for(arrived, "the server", 120)
    return page


def form_of(page: requests.Response, name: str) -> str:
    """Where the page's form is sent, as it says itself."""
    forms = re.findall(r"<form[^>]*>", page.text)
    [action] = [
        found[1]
        for form in forms
        if (found := re.search(r'action="([^"]*)"', form))
        and (f'id="{name}"' in form or name in found[1])
    ][:1]
    return urljoin(page.url, html.unescape(action))


@pytest.mark.parametrize("language", ["ko", pytest.param("en", marks=pytest.mark.long)])
def test_from_a_link_over_sign_in_and_start_to_the_open_lesson(
    embedded_mode: Deployment, first: dict[str, Any], language: str
) -> None:
    person = newcomer(embedded_mode, f"link-{language}", language)
    person.sign_out()
    other = {"ko": "en", "en": "ko"}[language]
    # in the person's language unless the link says which
    for asked, shown in ({"": language, f"?lang={other}": other}).items():
        person.session.cookies.clear()
        page = way_in(person, f"/hub/user-redirect/learn/{first['id']}{asked}")
        folder = {"ko": "배움", "en": "lessons"}[shown]
        tree = quote(f"{folder}/{first['file'][shown]}")
        assert urlsplit(page.url).path == f"/user/{person.name}/lab/tree/{tree}"
        assert page.status_code == 200
        assert '"treePath"' in page.text
        model = person.server("GET", f"/contents/{tree}").json()
        assert {cell["id"] for cell in model["content"]["cells"]} == {*first["cells"][shown]}
        assert model["content"]["metadata"]["madang"]["lesson"] == first["id"]
        unknown = person.session.get(f"{person.url}/hub/user-redirect/learn/nothing", timeout=60)
        assert unknown.status_code == 404
        assert {"ko": "그런 실습이 없습니다", "en": "There is no such lesson"}[language] in visible(
            unknown.text
        )
        person.stop()
