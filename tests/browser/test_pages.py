"""The pages in a browser: by keyboard, on a telephone, in the other language, in the dark, and when
something goes wrong."""

from __future__ import annotations

import re

import docker
import pytest
from browser.conftest import Visit
from browser.visitor import LOCALES, PHONE, Language, Visitor
from playwright.sync_api import expect
from support.deployment import Deployment

pytestmark = [pytest.mark.browser, pytest.mark.engine]
LANGUAGES: list[Language] = ["ko", "en"]
PLACES = {
    "home": "/hub/home",
    "picker": "/hub/spawn",
    "tokens": "/hub/token",
    "off": "/user/{name}/lab",
    "nothing": "/hub/nowhere",
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_hand_made_request_is_refused_on_the_page(
    server_mode: Deployment, visit: Visit, language: Language
) -> None:
    person = visit(server_mode, f"forger-{language}", language)
    person.join()
    person.pick()
    person.page.locator("input[name=size]:checked").evaluate("field => field.value = 'large'")
    person.button("start").click()
    alert = person.page.get_by_role("alert").filter(visible=True)
    expect(alert).to_contain_text(person.word("not open"))
    expect(person.page.get_by_role("radio", name=person.word("size"))).to_be_visible()
    person.folder = f"{language}-refused"
    person.picture("refused")


def test_the_language_is_switched_and_remembered(server_mode: Deployment, visit: Visit) -> None:
    person = visit(server_mode, "switcher", "ko")
    page = person.page
    person.go("/hub/login")
    person.reads("sign in")
    page.locator("header").get_by_role("link", name="English").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    person.language = "en"
    person.join()
    person.go_home()
    person.reads("off")
    assert "lang=" not in page.url
    person.start()
    menu = page.locator(".lm-MenuBar-itemLabel").first
    expect(menu).to_have_text(person.word("file menu"))
    person.stop()
    person.sign_out()
    page.locator("header").get_by_role("link", name="한국어").click()
    person.language = "ko"
    person.reads("sign in")
    other = page.context.new_page()
    other.goto(person.url + "/hub/login")
    expect(other.locator("html")).to_have_attribute("lang", "ko")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_keyboard_is_enough(server_mode: Deployment, visit: Visit, language: Language) -> None:
    """Sign in, pick and start with Tab, arrows, Space and Enter only."""
    person = visit(server_mode, f"keys-{language}", language)
    keys = person.page.keyboard
    once = person.get_account()
    person.go("/hub/login")
    expect(person.page.locator("#username_input")).to_be_focused()
    keys.type(person.name)
    keys.press("Tab")
    keys.type(once)
    tab_to(person, "#first-time summary")
    keys.press("Enter")
    for field in ("#new_password", "#new_password_again"):
        tab_to(person, field)
        keys.type("three words together")
    keys.press("Enter")
    person.page.wait_for_url(re.compile(r"/hub/(home|spawn)"))
    person.go_home()
    keys.press("Tab")
    expect(person.page.locator(".skip")).to_be_focused()
    keys.press("Enter")
    tab_to(person, "#start")
    keys.press("Enter")
    person.reads("question")
    tab_to(person, "input[name=environment]")
    tab_to(person, "input[name=size]")
    keys.press("ArrowRight")
    expect(person.page.get_by_role("radio", name=person.word("size"))).to_be_checked()
    person.folder = f"{language}-keyboard"
    person.picture("picker")
    tab_to(person, "#spawn_form button[type=submit]")
    keys.press("Enter")
    person.await_lab()
    person.go_home()
    tab_to(person, "#stop")
    keys.press("Enter")
    dialog = person.page.locator("#stop-dialog")
    expect(dialog).to_be_visible()
    person.picture("stop-question")
    tab_to(person, "#stop-dialog button[value=yes]")
    keys.press("Enter")
    person.is_off()


def tab_to(person: Visitor, selector: str, most: int = 25) -> None:
    """Press Tab until the focus is there, and see that it is shown."""
    for _ in range(most):
        person.page.keyboard.press("Tab")
        if person.page.evaluate("s => document.activeElement.matches(s)", selector):
            shown = person.page.evaluate(
                "() => { const e = document.activeElement, l = e.closest('label') || e;"
                " return [e, l].some((x) => getComputedStyle(x).outlineStyle !== 'none'); }"
            )
            assert shown, f"the focus on {selector} cannot be seen"
            return
    raise AssertionError(f"{selector} is not reached by Tab")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("colours", ["light", "dark"])
def test_pages_fit_a_telephone(
    server_mode: Deployment, visit: Visit, language: Language, colours: str
) -> None:
    """No page is wider than 390 pixels, with a name of the longest kind."""
    name = f"phone-{colours}-{language}-with-a-long-name-of-a-person"
    person = visit(
        server_mode, name, language, viewport=PHONE, color_scheme=colours, has_touch=True
    )
    person.folder = f"{language}-phone-{colours}"
    person.go("/hub/login?first=1")
    narrow(person, "sign-in")
    person.join()
    for place, path in PLACES.items():
        person.go(path.format(name=person.name))
        narrow(person, place)
    person.pick()
    person.button("start").click()
    person.page.wait_for_url(re.compile(r"/hub/spawn-pending/"))
    narrow(person, "progress")
    person.await_lab()
    person.go_home()
    narrow(person, "running")
    person.page.locator("#stop").click()
    narrow(person, "stop-question")
    person.page.locator("#stop-dialog button[value=yes]").click()
    person.is_off()


def narrow(person: Visitor, picture: str) -> None:
    expect(person.page.locator("main")).to_be_visible()
    person.picture(picture)
    person.fits()


@pytest.mark.parametrize("language", LANGUAGES)
def test_pages_in_the_dark(server_mode: Deployment, visit: Visit, language: Language) -> None:
    """Pictures of every page in dark colours; the switch beats the system's and is remembered."""
    person = visit(server_mode, f"night-{language}", language, color_scheme="dark")
    person.folder = f"{language}-dark"
    html = person.page.locator("html")
    person.go("/hub/login")
    expect(html).to_have_attribute("data-theme", "dark")
    person.picture("sign-in")
    person.join()
    for place, path in PLACES.items():
        person.go(path.format(name=person.name))
        expect(html).to_have_attribute("data-theme", "dark")
        person.picture(place)
    person.go_home()
    person.page.locator("#dark-theme-toggle").click()
    expect(html).to_have_attribute("data-theme", "light")
    person.page.reload()
    expect(html).to_have_attribute("data-theme", "light")


def test_a_killed_server_is_said_in_both_languages(
    server_mode: Deployment, visit: Visit, engine: docker.DockerClient
) -> None:
    person = visit(server_mode, "unlucky", "ko")
    person.join()
    person.start()
    [container] = engine.containers.list(
        filters={
            "label": [
                f"madang.instance={server_mode.instance}",
                f"madang.user={person.name}",
            ]
        }
    )
    container.kill()
    person.go_home()
    for language in LANGUAGES:
        person.language = language
        set_language(person)
        person.go_home()
        person.reads("off")
        person.reads("killed")
        person.folder = f"{language}-killed"
        person.picture("home")
        person.go(f"/user/{person.name}/lab")
        person.reads("killed")
        person.picture("off")
    person.start()
    person.stop()
    person.reads("off")
    expect(person.page.locator("[data-end]")).to_have_count(0)


def set_language(person: Visitor) -> None:
    """By the address, as the link in the header does; the cookie keeps it."""
    assert person.language in LOCALES
    person.go(f"/hub/home?lang={person.language}")
    expect(person.page.locator("html")).to_have_attribute("lang", person.language)


def test_the_admin_page_and_tokens_stay_reachable(server_mode: Deployment, visit: Visit) -> None:
    person = visit(server_mode, "watcher", "ko")
    person.folder = "ko-more"
    person.join()
    person.go("/hub/token")
    person.picture("tokens")
    person.page.locator("#token-note").fill("내 것")
    person.page.locator("#request-token-form button[type=submit]").click()
    expect(person.page.locator("#token-result")).not_to_be_empty()
    person.picture("token-made")
    person.go("/hub/admin")
    expect(person.page.locator("[data-status]")).to_have_attribute(
        "data-status", re.compile("40[34]")
    )
    person.picture("no-admin")
