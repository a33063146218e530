"""Madang's part of JupyterLab in a browser, against the real people service: the status bar, announcements,
the warning after class with *extend*, and a mentor who looks in."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from browser.conftest import Visit
from browser.visitor import COMING_MS, Language, Visitor
from playwright.sync_api import Locator, Route, expect
from support.deployment import Deployment
from support.wheels import make_wheel

from madang_hub.homes import home_of
from madang_hub.people.announcements import EVERYBODY, Announcements, announcement
from madang_hub.people.classes import Classes
from madang_hub.people.database import Database
from madang_hub.people.directory import Directory, Team, TeamRole
from madang_hub.people.directory import Person as Known
from madang_hub.people.timetable import Timetable, WeeklyTime
from madang_hub.places import Places
from madang_hub.settings import Settings

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

STATUS = re.compile(r"/madang/status($|\?)")

LAB_WORDS: dict[Language, dict[str, str]] = {
    "ko": {
        "memory": r"메모리 \d+\.\d / 4\.0 GiB \(강제하지 않음\)",
        "not enforced": "이 한도를 강제하지 않습니다",
        "left": r"남은 시간 (\d+시간 )?\d+분",
        "announcement": "공지: 내일은 10시에 시작합니다.",
        "got it": "확인",
        "ending": "곧 종료",
        "class ends": "수업이 끝나므로",
        "extend": "연장하기",
        "extended": "연장했습니다",
        "close": "닫기",
        "unknown": "남은 시간 알 수 없음",
        "looks in": "김선생 님이",
        "end it": "끝내기",
        "ended": "들여다보기가 끝났습니다.",
        "command": "내 서버 사용 시간 연장하기",
        "replaced": "대신 직접 설치한 99.0 버전을 씁니다",
        "what": "해결 방법",
        "keep": "그대로 쓰기",
    },
    "en": {
        "memory": r"Memory \d+\.\d / 4\.0 GiB \(not enforced\)",
        "not enforced": "The limit is not enforced here",
        "left": r"(\d+ h )?\d+ min left",
        "announcement": "Announcement: 내일은 10시에 시작합니다.",
        "got it": "Got it",
        "ending": "Ending soon",
        "class ends": "because the class ends",
        "extend": "Extend",
        "extended": "Extended.",
        "close": "Close",
        "unknown": "time left unknown",
        "looks in": "김선생 is looking in",
        "end it": "End it",
        "ended": "The look-in has ended.",
        "command": "Extend the time of my server",
        "replaced": "Your own six 99.0 is used instead of",
        "what": "What can I do?",
        "keep": "Keep it so",
    },
}


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """In a zone where it is about noon, so that no class of this test crosses midnight."""
    deployment = Deployment(
        "embedded",
        tmp_path_factory.mktemp("lab") / "data",
        extra={"MADANG_TIMEZONE": f"Etc/GMT{now().hour - 12:+d}"},
    )
    with deployment.running():
        yield deployment


@pytest.fixture
def database(deployment: Deployment) -> Iterator[Database]:
    made = Database(Places(Settings(data=deployment.data), "embedded").database_url("hub"))
    yield made
    made.close()


SERVER_ITEM = ".madang-Status:not(.madang-Lease-status)"
"""The status bar's item of the server; accelerators have one of their own."""


def word(person: Visitor, key: str) -> str:
    return LAB_WORDS[person.language][key]


def bar(person: Visitor) -> Locator:
    return person.page.locator(f"{SERVER_ITEM} .madang-Status-button")


def notice(person: Visitor, key: str) -> Locator:
    return person.notice(word(person, key))


@pytest.mark.parametrize("language", ["ko", pytest.param("en", marks=pytest.mark.long)])
def test_status_and_announcements(
    request: pytest.FixtureRequest,
    deployment: Deployment,
    database: Database,
    visit: Visit,
    language: Language,
) -> None:
    person = visit(deployment, f"reader-{language}", language)
    page = person.page
    person.join()
    person.start()
    person.folder = f"{language}-lab"
    expect(bar(person)).to_have_text(re.compile(word(person, "memory")), timeout=COMING_MS)
    expect(notice(person, "announcement")).to_have_count(0)

    # more is said when it is pressed, by keyboard too
    bar(person).focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(word(person, "not enforced"))
    person.picture("my-server", full_page=False)
    dialog.get_by_role("button", name=word(person, "close")).click()

    board = Announcements(database)
    news = announcement(EVERYBODY, "operator", "내일은 10시에 시작합니다.", 1, now())
    first = board.add(news)
    request.addfinalizer(lambda: board.remove(first))
    news_there = expect(notice(person, "announcement"))
    person.soon(lambda ms: news_there.to_be_visible(timeout=ms))
    person.picture("announcement", full_page=False)
    page.reload()
    person.await_lab()
    # not read yet: it comes again, and only once
    expect(notice(person, "announcement")).to_have_count(1, timeout=COMING_MS)
    with page.expect_response(
        lambda r: "settings/madang-lab" in r.url and r.request.method == "PUT"
    ):
        notice(person, "announcement").get_by_role("button", name=word(person, "got it")).click()
    expect(notice(person, "announcement")).to_have_count(0)
    page.reload()
    person.await_lab()
    with page.expect_response(STATUS):
        person.look()
    expect(bar(person)).to_be_visible()
    expect(notice(person, "announcement")).to_have_count(0)
    # one that is taken back goes by itself
    second = board.add(news)
    request.addfinalizer(lambda: board.remove(second))
    person.soon(lambda ms: news_there.to_be_visible(timeout=ms))
    board.remove(second)
    person.soon(lambda ms: news_there.to_have_count(0, timeout=ms))
    person.stop()


@pytest.mark.parametrize("language", ["ko", pytest.param("en", marks=pytest.mark.long)])
def test_own_packages_are_pointed_out_once(
    root: Path, tmp_path: Path, deployment: Deployment, visit: Visit, language: Language
) -> None:
    person = visit(deployment, f"adder-{language}", language)
    page = person.page
    person.join()
    person.start()
    person.folder = f"{language}-lab"
    expect(bar(person)).to_be_visible(timeout=COMING_MS)
    home = home_of(Places(Settings(data=deployment.data), "embedded").homes, person.name)
    make_wheel(tmp_path, "six", "99.0")
    program = str(root / "build" / "env" / "lab" / "bin" / "madang-layer")

    def in_terminal(line: str) -> None:
        environ = {
            "HOME": str(home),
            "PATH": f"{root / 'build' / 'env' / 'lab' / 'bin'}:{os.defpath}",
            "MADANG_ENVIRONMENT": "lab",
        }
        subprocess.run([program, *line.split()], env=environ, check=True, capture_output=True)

    in_terminal(f"pip install --no-index --find-links {tmp_path} six==99.0")
    notice_there = expect(notice(person, "replaced"))
    person.soon(lambda ms: notice_there.to_be_visible(timeout=ms))
    person.picture("own-packages", full_page=False)
    # not closed yet: it comes again
    page.reload()
    person.await_lab()
    notice_there.to_have_count(1, timeout=COMING_MS)
    with page.expect_response(
        lambda r: "settings/madang-lab" in r.url and r.request.method == "PUT"
    ):
        notice(person, "replaced").get_by_role("button", name=word(person, "what")).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("pip uninstall six")
    expect(dialog).to_contain_text("madang env reset")
    person.picture("own-packages-advice", full_page=False)
    dialog.get_by_role("button", name=word(person, "close")).click()
    # said once, until it changes
    page.reload()
    person.await_lab()
    with page.expect_response(STATUS):
        person.look()
    expect(bar(person)).to_be_visible()
    notice_there.to_have_count(0)
    # taken back and done again, it is news
    in_terminal("madang env reset")
    with page.expect_response(
        lambda r: "settings/madang-lab" in r.url and r.request.method == "PUT",
        timeout=COMING_MS,
    ):
        person.look()
    in_terminal(f"pip install --no-index --find-links {tmp_path} six==99.0")
    person.soon(lambda ms: notice_there.to_be_visible(timeout=ms))
    notice(person, "replaced").get_by_role("button", name=word(person, "keep")).click()
    person.stop()


@pytest.mark.long
def test_the_end_of_class_with_extend(
    deployment: Deployment, database: Database, visit: Visit
) -> None:
    """One presses *extend* in JupyterLab, another on the home page."""
    person, neighbour = visit(deployment, "haeun", "ko"), visit(deployment, "jiwoo", "en")
    page, home = person.page, neighbour.page
    roles: dict[str, TeamRole] = {"haeun": "trainee", "jiwoo": "trainee"}
    person.join()
    neighbour.join()
    Directory(database).import_team(Team("class:a"), [Known(name) for name in roles], roles)
    neighbour.start()
    neighbour.go_home()
    person.start()
    person.folder, neighbour.folder = "ko-lab", "en-home"
    zone = ZoneInfo(deployment.extra["MADANG_TIMEZONE"])
    end = (now() + timedelta(seconds=75)).astimezone(zone).replace(second=0, microsecond=0)
    begin = end - timedelta(minutes=30)
    weekly = WeeklyTime(end.weekday(), begin.time(), end.time(), "lab", "small")
    Classes(database, zone).save("class:a", Timetable(zone, (weekly,)))

    warning = notice(person, "class ends")
    expect(warning).to_be_visible(timeout=200_000)
    assert now() >= end
    expect(bar(person)).to_have_text(re.compile(word(person, "left")))
    expect(page.locator(f"{SERVER_ITEM} .madang-Status-alarm")).to_have_text(word(person, "ending"))
    person.picture("warning", full_page=False)
    # the command palette has it too
    page.keyboard.press("Control+Shift+c")
    page.locator(".lm-CommandPalette-input").fill(word(person, "command"))
    command = page.locator(".lm-CommandPalette-item").filter(has_text=word(person, "command"))
    expect(command).not_to_have_class(re.compile("lm-mod-disabled"))
    page.keyboard.press("Escape")
    warning.get_by_role("button", name=word(person, "extend")).click()
    expect(notice(person, "extended")).to_be_visible(timeout=COMING_MS)
    person.picture("extended", full_page=False)
    expect(warning).to_have_count(0)
    expect(page.locator(f"{SERVER_ITEM} .madang-Status-alarm")).to_have_text("")

    over = home.locator('#now-server [data-warning="class"]')
    neighbour.look()
    expect(over).to_contain_text("Class is over: your server will stop at", timeout=COMING_MS)
    neighbour.picture("warning")
    over.get_by_role("button", name="Extend").click()
    expect(home.locator("#now")).to_contain_text("Extended.")
    expect(over).to_have_count(0)
    neighbour.picture("extended")
    for one in (person, neighbour):
        one.stop()


@pytest.mark.parametrize("language", ["ko", pytest.param("en", marks=pytest.mark.long)])
def test_a_mentor_looks_in(
    deployment: Deployment, database: Database, visit: Visit, language: Language
) -> None:
    trainee = visit(deployment, f"trainee-{language}", language)
    mentor = visit(deployment, f"mentor-{language}", language)
    for one in (mentor, trainee):
        one.join()
        one.folder = f"{language}-lab-{one.name}"
    team = f"class:{language}"
    people = [Known(mentor.name, display_name="김선생"), Known(trainee.name)]
    roles: dict[str, TeamRole] = {mentor.name: "mentor", trainee.name: "trainee"}
    Directory(database).import_team(Team(team), people, roles)
    trainee.start()
    assert ask(mentor, team, trainee.name) == 201

    banner = trainee.page.locator("#madang-look-in")
    expect(banner).to_contain_text(word(trainee, "looks in"), timeout=COMING_MS)
    expect(banner).to_contain_text("질문에 답하러")
    trainee.picture("look-in", full_page=False)
    mentor.go(f"/user/{trainee.name}/lab")
    allow = mentor.page.locator("form[data-once] button[type=submit]")
    menu = mentor.page.locator(".lm-MenuBar-itemLabel").first
    expect(menu.or_(allow)).to_be_visible(timeout=COMING_MS)
    if allow.count():
        allow.click()
    expect(mentor.page.locator("#madang-look-in")).to_contain_text(trainee.name, timeout=COMING_MS)
    expect(mentor.page.locator("#madang-look-in button")).to_have_count(0)
    mentor.picture("looking-in", full_page=False)

    # a status that comes again and again must not take the focus away: the button stays the same one
    # (whether it has the focus cannot be asked: JupyterLab gives it to what it opens last)
    end = banner.get_by_role("button", name=word(trainee, "end it"))
    end.evaluate("button => button.setAttribute('data-same', '')")
    for _ in range(2):  # when the second is there, the first has been shown
        with trainee.page.expect_response(STATUS):
            trainee.look()
    expect(banner.locator("button[data-same]")).to_have_count(1)
    end.press("Enter")
    expect(notice(trainee, "ended")).to_be_visible(timeout=COMING_MS)
    expect(banner).to_be_hidden()
    # and the mentor is out, whatever is tried
    reply = mentor.page.request.get(f"{mentor.url}/user/{trainee.name}/api/contents")
    assert reply.status in (403, 404), reply.status
    trainee.stop()


def ask(mentor: Visitor, team: str, trainee: str) -> int:
    """The mentor's page asks to look in; the status of the answer."""
    mentor.go(f"/services/people/class/{team}")
    status: int = mentor.page.evaluate(
        """async ([trainee, reason]) => {
          const reply = await fetch("/services/people/api/look-ins", {
            method: "POST",
            headers: {"Content-Type": "application/json",
                      "X-XSRFToken": document.documentElement.dataset.xsrf},
            body: JSON.stringify({trainee, reason, minutes: 15}),
          });
          return reply.status;
        }""",
        [trainee, "질문에 답하러"],
    )
    return status


def test_the_people_service_away_is_said_quietly(deployment: Deployment, visit: Visit) -> None:
    person = visit(deployment, "quiet", "ko")
    person.join()
    person.page.route(STATUS, away)
    person.start()
    person.folder = "ko-lab"
    expect(bar(person)).to_have_text(re.compile(word(person, "unknown")), timeout=COMING_MS)
    expect(person.page.locator(".Toastify__toast")).to_have_count(0)
    person.picture("away", full_page=False)
    person.page.unroute(STATUS)
    person.stop()


def away(route: Route) -> None:
    """The server's own answer, as it is while the people service does not answer."""
    reply = route.fetch()
    route.fulfill(response=reply, json={**reply.json(), "me": None})


def test_what_was_made_is_small(root: Path) -> None:
    """Nothing but our own code is packed: JupyterLab's parts are shared with it."""
    folder = root / "build" / "env" / "lab" / "share" / "jupyter" / "labextensions" / "madang-lab"
    size = sum(file.stat().st_size for file in folder.rglob("*.js"))
    assert 10_000 < size < 120_000
    assert (folder / "static" / "third-party-licenses.json").is_file()
