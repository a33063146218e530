"""A mentor proposes an environment and an admin decides, as they see it, with pictures."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser.conftest import Visit
from browser.visitor import PHONE, Language
from playwright.sync_api import expect
from support.classroom import Classroom, classroom
from support.deployment import Deployment
from support.proposals import TEXTS, zipped

from madang_hub.people.directory import Person as Record

pytestmark = pytest.mark.browser
WORDS: dict[Language, dict[str, str]] = {
    "ko": {
        "wrong": "저장소의 폴더",
        "approved": "승인됨",
        "reason": "이유를",
        "title": TEXTS["title_ko"],
    },
    "en": {
        "wrong": "folder of the repository",
        "approved": "approved",
        "reason": "Write a reason",
        "title": TEXTS["title_en"],
    },
}


@pytest.fixture(scope="module")
def room(embedded_mode: Deployment, language: Language) -> Classroom:
    found = classroom(
        embedded_mode,
        f"class:shelf-{language}",
        "인공지능 기초반",
        {
            f"ps-teacher-{language}": ("mentor", "김멘토"),
            f"ps-admin-{language}": ("member", "박관리"),
        },
    )
    found.directory.save_people([Record(f"ps-admin-{language}", "박관리", admin=True)])
    return found


def test_from_the_form_to_the_decision(
    visit: Visit, room: Classroom, language: Language, tmp_path: Path
) -> None:
    words = WORDS[language]
    (tmp_path / "bad.zip").write_bytes(zipped({"requirements.txt": "-e .", "postBuild": "x"}))
    (tmp_path / "good.zip").write_bytes(
        zipped({"requirements.txt": "python-docx", "apt.txt": "tree"})
    )
    mentor = visit(room.deployment, f"ps-teacher-{language}", language).back()
    mentor.taken = 60
    page = mentor.page
    mentor.go("/services/people/proposals")
    expect(page.locator("[data-embedded]")).to_be_visible()
    mentor.picture("proposals")
    for name, value in TEXTS.items():
        page.locator(f"#{name}").fill(value)
    page.locator("#archive").set_input_files(tmp_path / "bad.zip")
    page.locator("#propose").click()
    expect(page.locator("#fault-list li")).to_have_count(2)
    expect(page.locator("#fault-list")).to_contain_text(words["wrong"])
    mentor.picture("proposal-faults")
    page.locator("#archive").set_input_files(tmp_path / "good.zip")
    page.locator("#propose").click()
    expect(page.locator("#proposal[data-state=proposed]")).to_be_visible()
    expect(page.locator("[data-step=approve]")).to_have_count(0)

    admin = visit(room.deployment, f"ps-admin-{language}", language).back()
    admin.taken = 70
    admin.go("/services/people/proposals")
    # the other language's proposal stands there as well
    row = admin.page.locator(f'tr[data-proposal="{page.url.rsplit("/", 1)[1]}"]')
    row.get_by_role("link", name=words["title"]).click()
    expect(admin.page.locator("#packages")).to_contain_text("python-docx")
    admin.picture("proposal-review")
    admin.page.locator("[data-step=reject]").click()
    expect(admin.page.locator("#problem")).to_contain_text(words["reason"])
    admin.page.locator("[data-step=approve]").click()
    expect(admin.page.locator("#proposal[data-state=approved]")).to_contain_text(words["approved"])
    admin.picture("proposal-approved")

    phone = visit(room.deployment, f"ps-teacher-{language}", language, viewport=PHONE).back()
    phone.taken = 80
    for path, name in (("proposals", "list"), (page.url.split("/people/")[1], "one")):
        phone.go(f"/services/people/{path}")
        phone.picture(f"proposals-phone-{name}")
        phone.fits()
