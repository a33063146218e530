"""Chromium: sign in with an institution, look around, sign out at both ends; and the pages for faults."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from browser.conftest import Visit
from browser.visitor import PASSWORD, Language, Visitor
from conftest import STARTED
from playwright.sync_api import expect
from support.deployment import Deployment
from support.provider import Provider

pytestmark = pytest.mark.browser

INSTITUTION = "한빛 아카데미"
WORDS: dict[Language, dict[str, str]] = {
    "ko": {
        "button": f"{INSTITUTION} 계정으로 로그인",
        "out": "로그아웃했습니다",
        "away": "로그인 서비스가 응답하지 않아",
        "other browser": "다른 브라우저에서 시작했거나",
        "no place": "마당에 들어올 자격이 없습니다",
        "operator": "운영자 로그인",
    },
    "en": {
        "button": f"Sign in with {INSTITUTION}",
        "out": "You are signed out",
        "away": "does not answer now",
        "other browser": "begun in another browser",
        "no place": "has no place for you",
        "operator": "Sign-in of the operator",
    },
}
LANGUAGES: tuple[Language, ...] = ("ko", "en")


@dataclass
class House:
    hub: Deployment
    provider: Provider


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    provider = Provider(tmp_path_factory.mktemp("provider"))
    hub = Deployment(
        "embedded",
        tmp_path_factory.mktemp("institution") / "data",
        extra=provider.settings(
            MADANG_OIDC_TEAMS="academy/2026-a=class:2026-a trainee",
            MADANG_SIGN_IN_NAME=INSTITUTION,
            MADANG_REFRESH_AGE="1",
        ),
    )
    try:
        for language in LANGUAGES:
            provider.people[f"sub-{language}"] = {
                "name": "김민지",
                "preferred_username": f"minji-{language}",
                "groups": ["academy/2026-a"],
            }
        provider.people["sub-stranger"] = {"name": "나그네", "preferred_username": "nagne"}
        provider.start(hub)
        STARTED.append(hub)
        hub.up()
        yield House(hub, provider)
    finally:
        hub.remove()
        provider.stop()


def press_sign_in(person: Visitor) -> None:
    person.go("/")
    expect(person.page.locator("#provider")).to_be_visible()
    person.page.locator("#provider").click()


def at_institution(person: Visitor, subject: str) -> None:
    expect(person.page.locator("#login")).to_be_visible()
    person.page.locator("#login").fill(subject)
    person.page.locator("#enter").click()


@pytest.mark.parametrize("language", LANGUAGES)
def test_in_and_out_at_both_ends(house: House, visit: Visit, language: Language) -> None:
    words = WORDS[language]
    person = visit(house.hub, f"minji-{language}", language)
    person.folder = f"{language}-provider"
    person.go("/")
    button = person.page.locator("#provider")
    expect(button).to_have_text(words["button"])
    # the operator's form is there, and out of everybody else's way
    expect(person.page.locator("#username_input")).to_be_hidden()
    person.picture("sign-in")
    button.click()
    at_institution(person, f"sub-{language}")
    person.page.wait_for_url(re.compile(r"/hub/(home|spawn)"))
    expect(person.page.locator("body")).to_contain_text("김민지")
    person.picture("signed-in")
    person.go_home()
    person.page.locator("#logout").click()
    # the provider asks once whether that is meant
    person.page.locator("#yes").click()
    person.page.wait_for_url(re.compile(r"/hub/logout"))
    expect(person.page.get_by_role("heading", level=1)).to_have_text(words["out"])
    person.picture("signed-out")
    press_sign_in(person)
    expect(person.page.locator("#login")).to_be_visible()  # signed out there as well


def test_a_link_opens_where_it_leads_after_the_sign_in(house: House, visit: Visit) -> None:
    """The institution's page loses what stands behind the ``#``; once, and no longer, it is found again."""
    person = visit(house.hub, "minji-ko", "ko")
    page = person.page
    person.go("/services/mlflow/#/models?workspace=u-minji-ko")
    page.locator("#provider").click()
    at_institution(person, "sub-ko")
    page.wait_for_url(f"{person.url}/services/mlflow/#/models?workspace=u-minji-ko")
    person.go("/hub/home")
    person.go("/services/mlflow/")
    page.wait_for_url(f"{person.url}/services/mlflow/#/experiments?workspace=u-minji-ko")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_provider_is_down(house: House, visit: Visit, language: Language) -> None:
    person = visit(house.hub, "stranger", language)
    person.folder = f"{language}-provider-down"
    house.provider.away()
    try:
        press_sign_in(person)
        expect(person.page.locator("[data-status='503']")).to_contain_text(WORDS[language]["away"])
        person.picture("away")
    finally:
        house.provider.back()
    press_sign_in(person)
    expect(person.page.locator("#login")).to_be_visible()


@pytest.mark.parametrize("language", LANGUAGES)
def test_who_has_no_place(house: House, visit: Visit, language: Language) -> None:
    person = visit(house.hub, "nagne", language)
    person.folder = f"{language}-provider-faults"
    press_sign_in(person)
    at_institution(person, "sub-stranger")
    expect(person.page.locator("[data-status='403']")).to_contain_text(WORDS[language]["no place"])
    person.picture("no-place")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_link_from_another_browser(house: House, visit: Visit, language: Language) -> None:
    """Somebody is sent the address with a code: it signs nobody in."""
    person = visit(house.hub, "victim", language)
    person.folder = f"{language}-provider-faults"
    person.go("/hub/oauth_callback?code=stolen&state=eyJzdGF0ZV9pZCI6ICJ4In0%3D")
    expect(person.page.locator("[data-status='400']")).to_contain_text(
        WORDS[language]["other browser"]
    )
    person.picture("other-browser")
    person.go("/hub/home")
    expect(person.page.locator("#provider")).to_be_visible()


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_operators_way_in(house: House, visit: Visit, language: Language) -> None:
    person = visit(house.hub, house.hub.admin, language)
    person.folder = f"{language}-provider-operator"
    once = house.hub.one_time_password(house.hub.madang("user", "password", house.hub.admin))
    person.go("/")
    person.page.get_by_text(WORDS[language]["operator"]).click()
    person.page.locator("#username_input").fill(person.name)
    person.page.locator("#password_input").fill("wrong")
    person.page.locator("#login_submit").click()
    expect(person.page.locator("#login-error")).to_be_visible()  # the form is still open
    person.picture("wrong")
    person.page.locator("#password_input").fill(once)
    person.page.locator("#first-time summary").click()
    person.page.locator("#new_password").fill(PASSWORD)
    person.page.locator("#new_password_again").fill(PASSWORD)
    person.page.locator("#login_submit").click()
    person.page.wait_for_url(re.compile(r"/hub/(home|spawn)"))
    expect(person.page.locator("body")).to_contain_text(person.name)
