"""The people service's pages as people use them, in both languages, with pictures."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser.conftest import Visit
from browser.visitor import PHONE, Language
from playwright.sync_api import expect
from support.classroom import Classroom, classroom, imported, join
from support.deployment import Deployment

from madang_hub.people.directory import Person as Record

pytestmark = pytest.mark.browser

WORDS: dict[Language, dict[str, str]] = {
    "ko": {
        "my classes": "내 반",
        "running": "실행 중",
        "online": "접속 중",
        "never": "로그인한 적 없음",
        "environment": "데이터 과학",
        "inside": "님이 내 서버에 들어와 있습니다",
        "ended": "끝냈습니다",
        "overview": "사람, 팀, 서버",
        "nothing": "없는 주소이거나 볼 수 없는 곳입니다.",
        "looked": "들여다본 기록",
        "looking in": "님의 서버를 들여다보고",
        "looks in": "김멘토 님이",
        "end it": "끝내기",
        "over": "들여다보기가 끝났습니다.",
    },
    "en": {
        "my classes": "My classes",
        "running": "running",
        "online": "online",
        "never": "never signed in",
        "environment": "Data science",
        "inside": "is in your server",
        "ended": "Ended.",
        "overview": "People, teams and servers",
        "nothing": "There is nothing here, or it is not for you.",
        "looked": "Who looked in",
        "looking in": "You are looking in at",
        "looks in": "김멘토 is looking in",
        "end it": "End it",
        "over": "The look-in has ended.",
    },
}


@pytest.fixture(scope="module")
def room(embedded_mode: Deployment, language: Language) -> Classroom:
    """A class with Korean names; one of it has never signed in, and its name is an awkward one."""
    found = classroom(
        embedded_mode,
        f"class:pages-{language}",
        "인공지능 기초반",
        {
            f"pp-teacher-{language}": ("mentor", "김멘토"),
            f"pp-minji-{language}": ("trainee", "김민지"),
            f"pp-admin-{language}": ("member", "관리자"),
        },
    )
    join(
        embedded_mode,
        found.team,
        f"pp-later-{language}",
        "trainee",
        "<b>아주 긴 이름을 가진 사람</b>",
    )
    found.directory.save_people([Record(f"pp-admin-{language}", "관리자", admin=True)])
    return found


def test_a_lesson(visit: Visit, room: Classroom, language: Language) -> None:
    """The mentor starts the class, tells it something and looks in; the trainee sees it and ends it."""
    words = WORDS[language]
    mentor = visit(room.deployment, f"pp-teacher-{language}", language).back()
    trainee = visit(room.deployment, f"pp-minji-{language}", language).back()
    mentor.taken = trainee.taken = 30
    page = mentor.page
    mentor.go("/services/people/")
    expect(page.get_by_role("heading", name=words["my classes"])).to_be_visible()
    mentor.picture("my-classes")
    page.get_by_role("link", name="인공지능 기초반").click()
    minji = page.locator(f'tr[data-person="pp-minji-{language}"]')
    later = page.locator(f'tr[data-person="pp-later-{language}"]')
    expect(later.locator(".called")).to_have_text("<b>아주 긴 이름을 가진 사람</b>")
    expect(minji.locator(".called")).to_have_text("김민지")
    expect(minji.locator(".seen")).to_have_text(words["online"])
    expect(later.locator(".seen")).to_have_text(words["never"])
    expect(minji.locator(".steps .done")).to_have_count(1)  # has signed in
    expect(later.locator(".steps .done")).to_have_count(0)
    mentor.picture("class")

    # start one: chosen by the keyboard, and the choice outlives the table's renewal
    minji.get_by_role("checkbox").focus()
    page.keyboard.press("Space")
    expect(page.locator("#start-chosen")).to_contain_text("1")
    page.locator("#start-chosen").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#result")).to_be_visible()
    expect(minji).to_have_attribute("data-state", "running", timeout=60_000)
    expect(minji.get_by_role("checkbox")).to_be_checked()
    expect(minji.locator(".server-words")).to_have_text(words["running"])
    expect(minji.locator(".choice-words")).to_contain_text(words["environment"])
    expect(minji.locator(".steps .done")).to_have_count(2)
    mentor.picture("class-running")

    page.locator("#news-text").fill("2시부터 3번 실습을 시작합니다.\n교재 41쪽을 펴 주세요.")
    page.locator("#announce button[type=submit]").click()
    expect(page.locator("#news [data-announcement]")).to_have_count(1)

    minji.locator(".ask").click()
    expect(page.locator("#look-dialog")).to_be_visible()
    mentor.picture("look-in-question", full_page=False)
    page.keyboard.press("Enter")  # without a reason nothing is sent
    expect(page.locator("#look-dialog")).to_be_visible()
    page.locator("#look-reason").fill("3번 셀의 오류를 함께 봅니다")
    page.locator("#look-go").click()
    expect(minji.locator(".enter")).to_be_visible()
    mentor.picture("looking-in")

    trainee.go("/hub/home")
    notice = trainee.page.locator("[data-look-in]")
    expect(notice).to_contain_text(words["inside"])
    expect(notice).to_contain_text("김멘토")
    expect(notice).to_contain_text("3번 셀의 오류를 함께 봅니다")
    expect(trainee.page.locator("[data-announcement]")).to_contain_text("교재 41쪽")
    trainee.picture("somebody-is-in")
    with mentor.context.expect_page() as opened:
        minji.locator(".enter").click()
    inside = opened.value
    inside.wait_for_load_state()
    if "oauth2/authorize" in inside.url:
        inside.locator("button[type=submit], input[type=submit]").first.click()
    expect(inside.locator("#jp-main-dock-panel")).to_be_visible(timeout=60_000)

    notice.get_by_role("button").click()
    expect(trainee.page.locator("#now")).to_contain_text(words["ended"])
    expect(notice).to_have_count(0)
    trainee.picture("ended")
    inside.goto(f"{mentor.url}/user/pp-minji-{language}/lab")
    expect(inside.locator("#jp-main-dock-panel")).to_have_count(0)
    expect(minji.locator(".ask")).to_be_visible(timeout=30_000)

    trainee.go("/services/people/")
    expect(trainee.page.get_by_role("heading", name=words["looked"])).to_be_visible()
    expect(trainee.page.locator('[data-action="look-in.ended"]')).to_have_count(1)
    trainee.picture("own-page")
    trainee.go(f"/services/people/class/{room.team}")
    expect(trainee.page.get_by_text(words["nothing"])).to_be_visible()

    page.locator("#stop-chosen").click()
    page.locator("#stop-dialog button[value=yes]").click()
    expect(minji).to_have_attribute("data-state", "off", timeout=60_000)


@pytest.mark.engine
@pytest.mark.long
@pytest.mark.parametrize("language", ["ko", "en"], indirect=True)
def test_a_look_in_into_a_container(
    visit: Visit, server_mode: Deployment, language: Language, tmp_path: Path
) -> None:
    """From the mentor's page into the trainee's JupyterLab, which says so and ends it."""
    words, name = WORDS[language], f"pp-jihun-{language}"
    room = imported(
        server_mode,
        f"class:container-{language}",
        "인공지능 기초반",
        {f"pp-mentor-{language}": ("mentor", "김멘토"), name: ("trainee", "박지훈")},
        tmp_path,
    )
    mentor = visit(room.deployment, f"pp-mentor-{language}", language).back()
    trainee = visit(room.deployment, f"pp-jihun-{language}", language).back()
    for one in (mentor, trainee):
        one.folder, one.taken = f"{language}-container", 0 if one is mentor else 50
    trainee.start()
    mentor.go(f"/services/people/class/{room.team}")
    row = mentor.page.locator(f'tr[data-person="{name}"]')
    expect(row).to_have_attribute("data-state", "running", timeout=60_000)
    row.locator(".ask").click()
    mentor.page.locator("#look-reason").fill("3번 셀의 오류를 함께 봅니다")
    mentor.page.locator("#look-go").click()
    expect(row.locator(".enter")).to_be_visible()
    mentor.picture("mentors-page")

    banner = trainee.page.locator("#madang-look-in")
    expect(banner).to_contain_text(words["looks in"], timeout=60_000)
    expect(banner).to_contain_text("3번 셀의 오류를 함께 봅니다")
    trainee.picture("somebody-looks-in", full_page=False)
    with mentor.context.expect_page() as opened:
        row.locator(".enter").click()
    mentor.page = opened.value
    allow = mentor.page.locator("form[data-once] button[type=submit]")
    dock = mentor.page.locator("#jp-main-dock-panel")
    expect(dock.or_(allow)).to_be_visible(timeout=60_000)
    if allow.count():
        allow.click()
    expect(mentor.page.locator("#madang-look-in")).to_contain_text(
        words["looking in"], timeout=60_000
    )
    expect(mentor.page.locator("#madang-look-in button")).to_have_count(0)
    expect(mentor.page.locator(".jp-DirListing-item").first).to_be_visible(timeout=60_000)
    mentor.picture("looking-in", full_page=False)

    banner.get_by_role("button", name=words["end it"]).click()
    expect(trainee.page.get_by_text(words["over"])).to_be_visible(timeout=60_000)
    expect(banner).to_be_hidden()
    trainee.picture("ended", full_page=False)
    mentor.page.goto(f"{mentor.url}/user/{name}/lab")
    expect(mentor.page.locator("#jp-main-dock-panel")).to_have_count(0)
    mentor.picture("out", full_page=False)
    trainee.stop()


def test_the_admin_looks_and_imports(
    visit: Visit, room: Classroom, language: Language, tmp_path: Path
) -> None:
    admin = visit(room.deployment, f"pp-admin-{language}", language).back()
    admin.taken = 50
    page = admin.page
    admin.go("/services/people/admin")
    expect(page.get_by_role("heading", name=WORDS[language]["overview"], level=1)).to_be_visible()
    admin.picture("overview")
    page.locator("#q").fill("김민지")
    page.keyboard.press("Enter")
    # others of that name came in other tests
    expect(page.locator('[data-person^="pp-minji-"]').first).to_be_visible()
    expect(page.locator('[data-person^="pp-later-"]')).to_have_count(0)
    roster = tmp_path / "명단.csv"
    roster.write_bytes("이름,이메일\n홍길동,가@나\n".encode("cp949"))
    admin.go("/services/people/import")
    page.locator("#team").fill(f"class:imported-{language}")
    page.locator("#roster").set_input_files(roster)
    page.locator("#check").click()
    expect(page.locator("#fault-list li")).not_to_have_count(0)
    admin.picture("import-faults")
    roster.write_bytes(f"이름,이메일\n홍길동,hong-{language}@example.org\n".encode("cp949"))
    page.locator("#roster").set_input_files(roster)
    expect(page.locator("#faults")).to_be_hidden()
    page.locator("#check").click()
    expect(page.locator("#plan-list li")).not_to_have_count(0)
    admin.picture("import-plan")
    page.locator("#confirm").click()
    expect(page.locator("#passwords tbody tr")).to_have_count(1)
    password = page.locator("#passwords .password").inner_text()
    assert len(password) > 8
    admin.picture("import-done")
    page.reload()
    expect(page.locator("body")).not_to_contain_text(password)


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_they_fit_a_telephone(
    visit: Visit, room: Classroom, language: Language, colours: str
) -> None:
    for who, paths in {
        "teacher": ["/services/people/", f"/services/people/class/{room.team}", "/hub/home"],
        "admin": ["/services/people/admin", "/services/people/import"],
    }.items():
        person = visit(
            room.deployment, f"pp-{who}-{language}", language, viewport=PHONE, color_scheme=colours
        ).back()
        person.folder = f"{language}-phone-{colours}"
        person.taken = 60 if who == "teacher" else 70
        for path in paths:
            person.go(path)
            expect(person.page.locator("h1")).to_be_visible()
            if "/class/" in path:
                expect(person.page.locator("#people tbody tr").first).to_be_visible()
            person.picture(path.strip("/").split("/")[-1].replace(":", "-"))
            person.fits()
