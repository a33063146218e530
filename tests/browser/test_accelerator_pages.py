"""The pages about accelerators as people use them, at a real Hub with the real broker and stand-in GPUs."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from browser.conftest import Visit
from browser.visitor import PHONE, Language, Visitor
from conftest import missing
from playwright.sync_api import expect
from support.broker import PREFIX, Lending, running

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

ONE, TWO = "GPU-11111111-aaaa", "GPU-22222222-bbbb"
HOSTILE = "<img src=x onerror=\"document.title='owned'\">"

WORDS: dict[Language, dict[str, str]] = {
    "ko": {
        "free": "1개 중 1개 비어 있음",
        "ask": "가속기 신청",
        "turn": "차례가 되었습니다",
        "title": "차례가 되었습니다! · 가속기 · 마당",
        "active": "가속기를 받았습니다",
        "start": "내 서버 시작",
        "ended": "반납했습니다.",
        "cpu": "가속기를 쓸 수 없습니다",
    },
    "en": {
        "title": "Your turn! · Accelerators · Madang",
        "first": "You are first in line.",
        "between": "Your turn will come between",
        "left": "You left the line.",
        "reserved": "The timetable has no coming time",
    },
}

Come = Callable[..., Visitor]


@pytest.fixture(scope="module")
def lending(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lending]:
    if shutil.which("cc") is None:
        missing("a C compiler (apt-get install gcc)")
    with running(tmp_path_factory.mktemp("pages"), (ONE, TWO)) as found:
        yield found


@pytest.fixture
def come(visit: Visit, lending: Lending) -> Come:
    """Brings somebody, signed in at the Hub."""

    def bring(name: str, language: Language, **options: Any) -> Visitor:
        there = SimpleNamespace(url=f"http://127.0.0.1:{lending.ports['port']}")
        person = visit(there, name, language, **options)
        person.folder = f"{language}-accelerators"
        person.page.goto(f"{person.url}/hub/login?next=/hub/home")
        person.page.locator("#username_input").fill(name)
        person.page.locator("#password_input").fill("any")
        person.page.locator("#login_submit").click()
        person.page.wait_for_url(re.compile("/hub/home"))
        return person

    return bring


def test_from_the_picker_to_giving_back(come: Come, lending: Lending) -> None:
    words = WORDS["ko"]
    lending.clear(ONE)
    ann = come("ann", "ko")
    page = ann.page
    ann.taken = 1
    # the frame's link comes with the broker's answer
    expect(page.locator("#accelerators")).to_contain_text(words["free"])
    expect(page.locator("[data-accelerators-link]")).to_be_visible()
    ann.go("/hub/spawn")
    expect(page.locator("#accelerators")).to_contain_text("H100")
    page.locator("#environments input[value=lab]").check()
    expect(page.locator("#accelerators-hint")).to_contain_text(words["cpu"])
    page.locator("#environments input[value=torch-cuda]").check()
    ann.picture("picker")
    page.get_by_role("link", name=words["ask"]).click()
    expect(page.locator("#environment")).to_have_value("torch-cuda")
    expect(page.locator("#size")).to_have_value("medium")
    page.locator("#environment").select_option("")
    page.locator("#team").select_option("team:a")
    ann.picture("ask")
    page.locator("#ask button[type=submit]").focus()
    page.keyboard.press("Enter")

    turn = page.locator(".lease[data-state=granted]")
    expect(turn).to_contain_text(words["turn"])
    expect(page.locator("#spoken")).to_contain_text(words["turn"])
    expect(page).to_have_title(words["title"])
    ann.picture("turn")
    ann.go("/hub/home")
    expect(page.locator("[data-lease=granted]")).to_contain_text(words["turn"])
    ann.picture("turn-at-home")
    page.locator("[data-lease=granted] a").click()
    page.locator("[data-step=take]").click()
    active = page.locator(".lease[data-state=active]")
    expect(active).to_contain_text(words["active"])
    expect(page.get_by_role("link", name=words["start"])).to_be_visible()
    ann.picture("active")

    # who waits sees why and until when, on a phone
    dan = come("dan", "en", viewport=PHONE, color_scheme="dark")
    theirs = WORDS["en"]
    dan.go(PREFIX)
    dan.page.locator("#ask button[type=submit]").click()
    waiting = dan.page.locator(".lease[data-state=queued]")
    expect(waiting).to_contain_text(theirs["first"])
    expect(waiting).to_contain_text(theirs["between"])
    dan.fits()
    dan.picture("waiting-phone")

    page.locator("[data-step=give-back]").click()
    expect(page.locator("#sure")).to_be_visible()
    page.keyboard.press("Escape")
    expect(active).to_be_visible()
    page.locator("[data-step=give-back]").click()
    page.locator("#sure-yes").click()
    expect(page.locator("#ended [data-why=released]")).to_contain_text(words["ended"])
    # the other's page says it by itself
    expect(dan.page).to_have_title(theirs["title"])
    dan.page.locator("[data-step=leave]").click()
    expect(dan.page.locator("#ended [data-why=left]")).to_contain_text(theirs["left"])


def test_several_at_once_and_tables_that_stay_up_to_date(come: Come, lending: Lending) -> None:
    lending.clear(ONE, TWO)
    chief, ann = come("chief", "en"), come("ann", "en")
    chief.go(f"{PREFIX}admin")
    page, slot = chief.page, chief.page.locator(f'tr[data-slot="{ONE}"]')
    page.evaluate("window.same = true")
    ann.go(PREFIX)
    count = ann.page.locator("#count")
    expect(count).to_have_attribute("max", "2")
    count.fill("2")
    ann.page.locator("#ask button[type=submit]").click()
    expect(ann.page.locator(".lease[data-state=granted]")).to_contain_text("2 × NVIDIA H100")
    for gpu in (ONE, TWO):
        expect(page.locator(f'tr[data-slot="{gpu}"]')).to_contain_text("ann")
    # what somebody writes in stays, while the rest goes on
    slot.locator("summary").click()
    slot.locator("input[name=why]").fill("a new fan")
    lending.asked("dan")
    expect(page.locator("#line [data-request]")).to_contain_text("dan")
    expect(slot.locator("input[name=why]")).to_have_value("a new fan")
    # so does what was opened, where the keyboard is and how far a wide table was moved
    slot.locator("summary").focus()
    page.set_viewport_size(PHONE)
    page.locator("#slots .scroll").evaluate("table => (table.scrollLeft = 60)")
    ann.page.locator("[data-step=leave]").click()
    expect(slot).not_to_contain_text("ann")
    expect(slot.locator("input[name=why]")).to_have_value("a new fan")
    expect(slot.locator("summary")).to_be_focused()
    assert page.locator("#slots .scroll").evaluate("table => table.scrollLeft") == 60
    slot.locator("button").click()
    expect(slot.locator(".drained")).to_contain_text("a new fan")
    expect(slot.locator(".drained + form button")).to_be_focused()
    assert page.evaluate("window.same")


def test_a_page_says_that_it_is_not_up_to_date(come: Come, lending: Lending) -> None:
    lending.clear(ONE, TWO)
    chief = come("chief", "en")
    page = chief.page
    chief.taken = 40
    for path in ("admin", "class/class:c", ""):
        chief.go(PREFIX + path)
        expect(page.locator("#away")).to_be_hidden()
        page.route(f"**{PREFIX}api/**", lambda route: route.abort())
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        expect(page.locator("#away")).to_be_visible()
        page.unroute_all()
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        expect(page.locator("#away")).to_be_hidden()


def test_those_who_look_after_them(come: Come, lending: Lending) -> None:
    words = WORDS["en"]
    lending.clear(ONE)
    lending.asked("ann", team="class:c")
    lending.asked("dan")
    chief = come("chief", "en")
    page = chief.page
    chief.taken = 20
    expect(page.locator("[data-accelerators-link]")).to_be_visible()
    chief.go(f"{PREFIX}admin")
    slot = page.locator(f'tr[data-slot="{ONE}"]')
    expect(slot).to_contain_text("ann")
    expect(page.locator(".line [data-request]")).to_contain_text("dan")
    slot.locator("summary").click()
    slot.locator("button").click()  # without a reason nothing is sent
    expect(slot.locator(".drained")).to_have_count(0)
    slot.locator("input[name=why]").fill(HOSTILE)
    page.keyboard.press("Enter")
    expect(slot.locator(".drained")).to_contain_text(HOSTILE)
    chief.picture("all-slots")
    slot.locator(".drained + form button").click()
    expect(slot.locator(".drained")).to_have_count(0)
    team = page.locator('tr[data-team="class:c"]')
    team.locator("summary").click()
    team.locator("input[name=hours]").fill("2.5")
    team.locator("input[name=why]").fill("경진대회")
    team.locator("button").click()
    expect(team).to_contain_text("6.5")
    assert ("chief", "class:c") in lending.audit("accelerator.allowed")

    chief.go(f"{PREFIX}class/class:c")
    expect(page.locator('[data-person="ann"]')).to_be_visible()
    reserve = page.locator("#reserve")
    expect(reserve.locator("option").first).to_contain_text("H100")
    reserve.locator("button").click()
    row = page.locator("#reserved li:has(button)")
    expect(row).to_contain_text(words["reserved"])
    chief.picture("class")
    row.locator("button").click()
    expect(row).to_have_count(0)

    chief.go(f"{PREFIX}report")
    expect(page.locator("svg.plot").first).to_be_visible()
    with page.expect_download() as download:
        page.locator('a[href*="report.csv"]').click()
    assert download.value.suggested_filename.endswith(".csv")
    chief.picture("report")
    page.set_viewport_size(PHONE)
    for path in ("admin", "class/class:c", "report", ""):
        chief.go(PREFIX + path)
        chief.fits()
    assert page.title() != "owned"
