"""Dashboards in Chromium: gallery, visit, the author's desk, a link for strangers; with pictures."""

from __future__ import annotations

import pytest
from browser.conftest import Visit
from browser.visitor import PHONE, Language, Visitor
from playwright.sync_api import Browser, FrameLocator, expect
from support.deployment import Deployment
from support.published import Stage, checked, send, stage_at

pytestmark = pytest.mark.browser

WORDS: dict[Language, dict[str, str]] = {
    "ko": {
        "find": "대시보드 찾기",
        "shared": "나에게 공유됨",
        "none": "찾는 내용이 없습니다.",
        "nothing": "없는 주소이거나 볼 수 없는 곳입니다.",
        "save": "볼 수 있는 사람 저장",
        "saved": "저장했습니다. 지금 보고 있는 사람에게도 바로 적용됩니다.",
        "make": "링크 만들기",
        "back": "거두기",
        "link gone": "이 링크로는 (더는) 아무것도 열 수 없습니다.",
        "roll back": "이 버전으로 되돌리기",
        "ended": "화면이 닫혔습니다.",
        "shared with me": "나에게 공유된 대시보드",
    },
    "en": {
        "find": "Find a dashboard",
        "shared": "Shared with me",
        "none": "Nothing here fits.",
        "nothing": "There is nothing here, or it is not for you.",
        "save": "Save who sees it",
        "saved": "Saved. It counts at once, also for who is there now.",
        "make": "Make a link",
        "back": "Take back",
        "link gone": "This link leads nowhere (any more).",
        "roll back": "Roll back to it",
        "ended": "This visit has ended.",
        "shared with me": "Dashboards shared with me",
    },
}
PRICES = """import ipywidgets
from IPython.display import HTML, display

slider = ipywidgets.IntSlider(value=3, min=0, max=10, description="배")
said = ipywidgets.HTML()

def moved(change):
    said.value = f"<p id='said'>쌀값은 {change['new'] * 100}원</p>"

slider.observe(moved, "value")
moved({"new": slider.value})
display(slider, said)"""
HOSTILE = "<img src=x onerror=window.taken=1>"


@pytest.fixture(
    scope="module", params=["ko", pytest.param("en", marks=pytest.mark.long)], autouse=True
)
def language(request: pytest.FixtureRequest) -> Language:
    found: Language = request.param
    return found


@pytest.fixture(scope="module")
def stage(embedded_mode: Deployment, language: Language) -> Stage:
    found = stage_at(embedded_mode, f"dp-{language}", f"쌀값 {HOSTILE}")
    about = {"description": "얼마나 오를지 밀어 보세요. " * 6}
    found.mentor.done("PATCH", f"dashboards/{found.slug}", json=about)
    send(embedded_mode.url, found.token, found.slug, PRICES)
    checked(found, 1)
    return found


def frame(visitor: Visitor) -> FrameLocator:
    """What runs, in its frame."""
    return visitor.page.frame_locator("#frame")


def moves(visitor: Visitor) -> None:
    """The slider is moved and the words follow."""
    app = frame(visitor)
    expect(app.locator("#said")).to_have_text("쌀값은 300원", timeout=90_000)
    handle = app.locator(".noUi-handle").first
    handle.focus()
    handle.press("ArrowRight")
    expect(app.locator("#said")).to_have_text("쌀값은 400원")
    # the theme is there: without it a handle that has the focus is not seen
    expect(handle).not_to_have_css("background-color", "rgba(0, 0, 0, 0)")


def test_a_class_uses_a_dashboard(visit: Visit, stage: Stage, language: Language) -> None:
    words, deployment = WORDS[language], stage.room.deployment
    trainee = visit(deployment, stage.trainee.name, language).back()
    trainee.taken = 60
    page = trainee.page
    trainee.go_home()
    shared = page.locator("#dashboards")
    expect(shared.get_by_role("heading", name=words["shared with me"])).to_be_visible()
    trainee.picture("home-shared-dashboards")
    shared.get_by_role("link", name="쌀값").click()
    moves(trainee)
    assert page.evaluate("window.taken") is None
    trainee.picture("dashboard-visit")

    trainee.go("/services/dashboards/")
    card = page.locator(f'[data-slug="{stage.slug}"]')
    expect(card).to_be_visible()
    trainee.picture("dashboard-gallery")
    page.get_by_label(words["find"]).fill("콩")
    expect(page.get_by_text(words["none"])).to_be_visible()
    expect(card).to_be_hidden()
    page.get_by_label(words["find"]).fill("쌀")
    page.get_by_label(words["shared"]).check()
    expect(card).to_be_visible()
    page.set_viewport_size(PHONE)
    trainee.picture("dashboard-gallery-phone")
    trainee.fits()
    card.get_by_role("link").first.focus()
    page.keyboard.press("Enter")
    expect(frame(trainee).locator("#said")).to_be_visible(timeout=90_000)
    trainee.fits()
    trainee.picture("dashboard-visit-phone", full_page=False)

    # a stranger reads that there is nothing
    stranger = visit(deployment, stage.stranger.name, language).back()
    stranger.go(f"/services/dashboards/d/{stage.slug}/")
    expect(stranger.page.get_by_text(words["nothing"])).to_be_visible()

    # the author narrows who sees it while the trainee is there
    mentor = visit(deployment, stage.mentor.name, language).back()
    mentor.taken = 70
    mentor.go(f"/services/dashboards/d/{stage.slug}/desk")
    expect(mentor.page.locator("#visitors-now")).to_contain_text("1")
    # nobody did anything wrong
    expect(mentor.page.locator("#running")).not_to_contain_text("No such comm")
    mentor.picture("dashboard-desk")
    box = mentor.page.locator("input[name=team]")
    box.uncheck()
    mentor.page.get_by_role("button", name=words["save"]).click()
    expect(mentor.page.get_by_text(words["saved"])).to_be_visible()
    expect(page.locator("#waiting-title")).to_have_text(words["nothing"], timeout=10_000)
    expect(page.locator("#frame")).to_be_hidden()
    trainee.picture("dashboard-gone-phone", full_page=False)
    box.check()
    mentor.page.get_by_role("button", name=words["save"]).click()
    expect(mentor.page.get_by_text(words["saved"])).to_be_visible()
    page.reload()
    expect(frame(trainee).locator("#said")).to_be_visible(timeout=90_000)

    # a version that fails, one that does not, and back: who is there reads that the visit has ended
    send(deployment.url, stage.token, stage.slug, PRICES, "쌀 = 1 / 0")
    checked(stage, 2)
    send(deployment.url, stage.token, stage.slug, PRICES.replace("100", "200"))
    checked(stage, 3)
    mentor.page.reload()
    mentor.picture("dashboard-desk-versions")
    mentor.page.set_viewport_size(PHONE)
    mentor.fits()
    mentor.picture("dashboard-desk-phone")
    mentor.page.get_by_role("button", name=words["roll back"]).click()
    expect(page.locator("#waiting-title")).to_have_text(words["ended"], timeout=10_000)
    page.locator("#again").click()
    expect(frame(trainee).locator("#said")).to_have_text("쌀값은 300원", timeout=90_000)


def test_a_link_for_somebody_without_an_account(
    visit: Visit, stage: Stage, language: Language, chromium: Browser
) -> None:
    words = WORDS[language]
    mentor = visit(stage.room.deployment, stage.mentor.name, language).back()
    mentor.taken = 80
    page = mentor.page
    mentor.go(f"/services/dashboards/d/{stage.slug}/desk")
    page.get_by_role("button", name=words["make"]).click()
    link = page.locator("#link-text")
    expect(link).to_be_visible()
    address = link.input_value()
    mentor.picture("dashboard-link")
    guest = visit(stage.room.deployment, "guest", language)
    guest.taken = 80
    guest.page.goto(address)
    moves(guest)
    expect(guest.page.locator("#visit-title")).to_contain_text("쌀값")
    assert guest.page.evaluate("window.taken") is None
    # what runs learns neither the address, nor who is there, nor anything of the page around it
    referrer = frame(guest).locator("body").evaluate("() => document.referrer")
    assert referrer == ""
    guest.picture("dashboard-by-link")
    page.reload()
    page.get_by_role("button", name=words["back"]).click()
    expect(guest.page.locator("#waiting-title")).to_have_text(words["link gone"], timeout=10_000)
    guest.picture("dashboard-link-gone")
