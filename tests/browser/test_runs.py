"""Runs as people see them: the panel in JupyterLab, and the mentor's page, in both languages with pictures."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator

import pytest
from browser.conftest import Visit
from browser.visitor import PASSWORD, Language, Visitor
from playwright.sync_api import Locator, Request, Route, ViewportSize, expect
from support.academy import Academy, academy
from support.deployment import Deployment
from support.people import Person
from support.runs import Notebook, notebook

from madang_hub.people.directory import Person as Record
from madang_hub.people.directory import Team

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

RUNS = re.compile(r"/madang/runs($|\?)")
STATUS = re.compile(r"/madang/status($|\?)")
PHONE: ViewportSize = {"width": 390, "height": 844}
LESSON: dict[Language, str] = {"ko": "1과 전력 수요 예측", "en": "Lesson 1 power demand"}
WORDS: dict[Language, dict[str, str]] = {
    "ko": {
        "panel": "내 실험",
        "none yet": "아직 실험 기록이 없습니다",
        "better": "▼ 기준 실험(4.2)보다 0.7 낮음: 더 좋음",
        "worse": "▲ 기준 실험(4.2)보다 0.3 높음: 더 나쁨",
        "curve": "val_mae 값이 9에서 3.5(으)로 바뀜",
        "running": "실행 중",
        "baseline": "기준 실험",
        "away": "지금은 실험 기록 서버가 응답하지 않아",
        "command": "내 실험 보기",
        "class runs": "수업 실험",
        "started": "4명 중 2명이 시작했습니다",
        "not started": "시작하지 않음",
        "never": "로그인한 적 없음",
        "best": "최고 기록",
        "show": "보기",
    },
    "en": {
        "panel": "My runs",
        "none yet": "No runs yet",
        "better": "▼ 0.7 lower than the baseline (4.2): better",
        "worse": "▲ 0.3 higher than the baseline (4.2): worse",
        "curve": "val_mae went from 9 to 3.5",
        "running": "running",
        "baseline": "baseline",
        "away": "The tracking server does not answer just now",
        "command": "Show my runs",
        "class runs": "Class runs",
        "started": "2 of 4 have started",
        "not started": "not started",
        "never": "never signed in",
        "best": "Best",
        "show": "Show",
    },
}


def notebook_of(visitor: Visitor) -> Notebook:
    """The same person's notebook, by a sign-in of its own."""
    person = Person(visitor.deployment, visitor.name, PASSWORD)
    person.sign_in(follow=False)
    return notebook(person)


def look(person: Visitor) -> None:
    """What the page does when its person comes back to it: ask at once."""
    person.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def soon(person: Visitor, check: Callable[[float], None]) -> None:
    """``check(timeout in ms)`` holds within a minute, while the person keeps coming back to the page."""
    until = time.monotonic() + 60
    while True:
        look(person)
        try:
            return check(2000)
        except AssertionError:
            if time.monotonic() > until:
                raise


def tab(person: Visitor) -> Locator:
    return person.page.locator('.jp-SideBar .lm-TabBar-tab[data-id="madang-runs"]')


def panel(person: Visitor) -> Locator:
    return person.page.locator("#madang-runs")


def show(person: Visitor) -> None:
    """By keyboard, from the command palette."""
    person.page.keyboard.press("Control+Shift+c")
    person.page.locator(".lm-CommandPalette-input").fill(WORDS[person.language]["command"])
    person.page.keyboard.press("Enter")
    expect(panel(person)).to_be_visible()


def row(person: Visitor, name: str) -> Locator:
    link = person.page.get_by_role("link", name=name, exact=True)
    return panel(person).locator("li.madang-Run").filter(has=link)


def log_lesson(hand: Notebook, language: Language) -> str:
    """A lesson's runs; the id of the better one."""
    tags = {"madang.role": "baseline", "madang.main_metric": "val_mae"}
    lesson, now = LESSON[language], time.time()
    curve = [9.0, 7.1, 6.2, 5.1, 4.6, 4.1, 3.9, 3.6, 3.7, 3.5]
    hand.log(lesson, "linear", {"val_mae": [4.2], "val_loss": [1]}, started=now - 600, tags=tags)
    hand.log(lesson, "mlp-small", {"val_mae": [8.0, 5.0, 4.5]}, "FAILED", now - 500)
    better = hand.log(lesson, "mlp-wide-dropout", {"val_mae": curve}, started=now - 400)
    hand.log(hand.name, "likeable-squid-12", {"accuracy": [0.81234]}, "KILLED", now - 300)
    hand.log(lesson, "transformer", {"val_mae": [6.0, 4.2]}, "RUNNING", now - 200)
    return better


@pytest.mark.parametrize("language", ["ko", pytest.param("en", marks=pytest.mark.long)])
def test_my_runs_in_jupyterlab(embedded_mode: Deployment, visit: Visit, language: Language) -> None:
    words = WORDS[language]
    person = visit(embedded_mode, f"panel-{language}", language)
    page = person.page
    person.join()
    asked: list[str] = []

    def note(request: Request) -> None:
        if RUNS.search(request.url):
            asked.append(request.url)

    page.on("request", note)
    person.start()
    person.folder = f"{language}-runs"
    look(person)
    with page.expect_response(STATUS):
        look(person)
    assert not asked, "a panel that nobody opened asks for nothing"

    show(person)
    expect(panel(person)).to_contain_text(words["none yet"])
    expect(panel(person).locator("pre")).to_contain_text("mlflow.log_metric")
    person.picture("no-runs", full_page=False)

    hand = notebook_of(person)
    better = log_lesson(hand, language)
    rows = panel(person).locator("li.madang-Run")
    soon(person, lambda ms: expect(rows).to_have_count(5, timeout=ms))
    expect(panel(person).locator("pre")).to_be_hidden()
    assert rows.locator(".madang-Run-name a").all_text_contents() == [
        "transformer",
        "likeable-squid-12",
        "mlp-wide-dropout",
        "mlp-small",
        "linear",
    ]
    expect(row(person, "transformer")).to_contain_text(words["running"])
    expect(row(person, "mlp-wide-dropout")).to_contain_text(words["better"])
    expect(row(person, "mlp-small")).to_contain_text(words["worse"])
    expect(row(person, "linear").locator(".madang-Run-mark")).to_have_text(words["baseline"])
    picture = row(person, "mlp-wide-dropout").get_by_role("img", name=words["curve"])
    expect(picture).to_be_visible()
    person.picture("my-runs", full_page=False)

    # what is drawn anew does not take the focus away
    page.get_by_role("link", name="mlp-small").focus()
    hand.log(LESSON[language], "newest", {"val_mae": [1.0]})
    soon(person, lambda ms: expect(rows).to_have_count(6, timeout=ms))
    assert page.evaluate("document.activeElement.textContent") == "mlp-small"

    # the link leads to that run, without another sign-in
    with person.context.expect_page() as opened:
        page.get_by_role("link", name="mlp-wide-dropout").click()
    mlflow = opened.value
    mlflow.wait_for_url(re.compile(f"/runs/{better}.*workspace=u-panel-{language}"))
    expect(mlflow.get_by_text("mlp-wide-dropout").first).to_be_visible(timeout=60_000)
    mlflow.close()

    page.route(RUNS, away)
    soon(
        person,
        lambda ms: expect(panel(person).get_by_role("status")).to_contain_text(
            words["away"], timeout=ms
        ),
    )
    expect(rows).to_have_count(6)
    person.picture("tracking-away", full_page=False)
    page.unroute(RUNS)

    # closed, it asks for nothing any more
    tab(person).click()
    expect(panel(person)).to_be_hidden()
    asked.clear()
    with page.expect_response(STATUS):
        look(person)
    assert not asked

    in_the_dark(person)
    show(person)
    soon(person, lambda ms: expect(rows).to_have_count(6, timeout=ms))
    expect(page.locator("body")).to_have_attribute("data-jp-theme-light", "false")
    person.picture("my-runs-dark", full_page=False)
    page.set_viewport_size({"width": 640, "height": 900})
    nothing_sticks_out(person)
    person.picture("my-runs-narrow", full_page=False)
    person.stop()


def away(route: Route) -> None:
    """The server's own answer, as it is while the tracking server does not answer."""
    route.fulfill(json={"state": "away", "pages": "", "experiment": "", "runs": []})


def in_the_dark(person: Visitor) -> None:
    """JupyterLab in its dark theme."""
    status = person.page.evaluate(
        """async name => {
          const xsrf = document.cookie.match(/_xsrf=([^;]*)/)[1];
          const theme = "@jupyterlab/apputils-extension:themes";
          const reply = await fetch(`/user/${name}/lab/api/settings/${theme}`, {
            method: "PUT",
            headers: {"Content-Type": "application/json", "X-XSRFToken": xsrf},
            body: JSON.stringify({raw: JSON.stringify({theme: "JupyterLab Dark"})}),
          });
          return reply.status;
        }""",
        person.name,
    )
    assert status == 204
    person.page.reload()
    expect(person.page.locator("#jp-main-dock-panel")).to_be_visible()
    expect(person.page.locator("#jupyterlab-splash")).to_have_count(0)


def nothing_sticks_out(person: Visitor) -> None:
    """The panel is as wide as JupyterLab lets a side bar be at least, and holds all that is in it."""
    wide, there = panel(person).evaluate("node => [node.scrollWidth, node.clientWidth]")
    assert wide <= there, f"{wide} pixels in {there}"


# ---- a mentor's class -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def here(embedded_mode: Deployment) -> Iterator[Academy]:
    with academy(embedded_mode) as made:
        yield made


@pytest.mark.parametrize("language", ["ko", pytest.param("en", marks=pytest.mark.long)])
def test_a_classs_runs(
    embedded_mode: Deployment, here: Academy, visit: Visit, language: Language
) -> None:
    words, team, lesson = WORDS[language], f"class:runs-{language}", LESSON[language]
    here.directory.save_team(Team(team, "에너지 1반"))
    called = {"minji": "김민지", "jihun": "박지훈", "seoyeon": "이서연", "later": "최나중"}
    names = {who: f"cl-{who}-{language}" for who in [*called, "mentor"]}
    hands = {
        who: notebook(here.comes(names[who], {team: "trainee"})) for who in called if who != "later"
    }
    here.directory.save_people([Record(names[who], name) for who, name in called.items()])
    here.place(names["later"], {team: "trainee"})
    log_lesson(hands["minji"], language)
    hands["jihun"].log(lesson, "first", {"val_mae": [5.0, 3.1]}, "FAILED", time.time() - 4000)
    here.newcomer(names["mentor"], {team: "mentor"})

    mentor = visit(embedded_mode, names["mentor"], language)
    page = mentor.page
    mentor.password = PASSWORD
    mentor.folder = f"{language}-class-runs"
    mentor.sign_in()
    mentor.go(f"/services/people/class/{team}")
    page.get_by_role("link", name=words["class runs"]).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(words["class runs"])
    expect(page.locator("[data-started]")).to_have_text(words["started"])
    rows = page.locator("tr[data-person]")
    expect(rows).to_have_count(4)
    minji, later = (page.locator(f'tr[data-person="{names[who]}"]') for who in ("minji", "later"))
    expect(minji).to_contain_text(words["running"])
    expect(minji).to_contain_text("3.5")
    expect(later).to_contain_text(words["never"])
    seoyeon = page.locator(f'tr[data-person="{names["seoyeon"]}"]')
    expect(seoyeon).to_contain_text(words["not started"])
    mentor.picture("side-by-side")

    # by keyboard: the best first, then the other way
    heading = page.get_by_role("link", name=words["best"])
    heading.focus()
    page.keyboard.press("Enter")
    expect(page.locator('th[aria-sort="ascending"]')).to_contain_text(words["best"])
    expect(rows.first).to_have_attribute("data-person", names["jihun"])
    mentor.picture("by-best")
    heading.click()
    expect(rows.first).to_have_attribute("data-person", names["minji"])

    page.locator("select[name=experiment]").select_option("")
    page.get_by_role("button", name=words["show"]).click()
    expect(minji).to_contain_text("0.8123")

    # a run opens with the mentor's own sign-in, to read
    with mentor.context.expect_page() as opened:
        minji.get_by_role("link").click()
    mlflow = opened.value
    expect(mlflow.get_by_text("likeable-squid-12").first).to_be_visible(timeout=60_000)
    mlflow.close()

    page.set_viewport_size(PHONE)
    for colours in ("light", "dark"):
        page.emulate_media(color_scheme=colours)
        mentor.go(f"/services/people/class/{team}/runs")
        expect(rows).to_have_count(4)
        mentor.picture(f"phone-{colours}")
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= PHONE["width"]
