"""The whole way: a mentor publishes from JupyterLab, a trainee of the class moves the slider, a stranger reads
that there is nothing, and the mentor's next version fails without harm."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

import pytest
from browser.conftest import Visit
from browser.visitor import Language, Visitor
from playwright.sync_api import expect
from support.classroom import classroom
from support.dashboard import notebook
from support.deployment import Deployment
from support.people import newcomer

from madang_hub.homes import home_of
from madang_hub.places import Places
from madang_hub.settings import Settings

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

CHECK_MS = 120_000
TEAM = "class:to-visit"
WORDS: dict[Language, dict[str, str]] = {
    "ko": {
        "publish": "게시",
        "some": "사람과 팀",
        "published": "‘쌀값’을(를) 게시했습니다.",
        "close": "닫기",
        "failed": "점검에서 2번 셀이 실패해",
        "stays": "전에 게시한 버전은 그대로 보입니다.",
        "nothing": "없는 주소이거나 볼 수 없는 곳입니다.",
    },
    "en": {
        "publish": "Publish",
        "some": "People and teams",
        "published": "“쌀값” is published.",
        "close": "Close",
        "failed": "Cell 2 failed in the check",
        "stays": "What was published before stays.",
        "nothing": "There is nothing here, or it is not for you.",
    },
}
PRICES = """import ipywidgets
from IPython.display import display
from pathlib import Path

each = int(Path("값.txt").read_text())
slider = ipywidgets.IntSlider(value=3, min=0, max=10)
said = ipywidgets.HTML()

def moved(change):
    said.value = f"<p id='said'>{change['new'] * each}원</p>"

slider.observe(moved, "value")
moved({"new": slider.value})
display(slider, said)"""


def begin(person: Visitor) -> None:
    """The dialog, from the notebook's toolbar."""
    name = WORDS[person.language]["publish"]
    person.page.locator(".jp-NotebookPanel-toolbar").get_by_role("button", name=name).click()
    expect(person.page.get_by_role("dialog")).to_be_visible()


def send(person: Visitor) -> None:
    name = WORDS[person.language]["publish"]
    person.page.get_by_role("dialog").get_by_role("button", name=name, exact=True).click()


@pytest.mark.parametrize("language", ["ko", pytest.param("en", marks=pytest.mark.long)])
def test_from_a_notebook_to_the_class(
    embedded_mode: Deployment, visit: Visit, language: Language
) -> None:
    words, names = (
        WORDS[language],
        [f"tv-{language}-{who}" for who in ("mentor", "trainee", "other")],
    )
    team = f"{TEAM}-{language}"
    classroom(
        embedded_mode, team, "쌀 반", {names[0]: ("mentor", "한멘토"), names[1]: ("trainee", "")}
    )
    newcomer(embedded_mode, names[2])
    mentor = visit(embedded_mode, names[0], language).back()
    mentor.folder = f"{language}-publish-to-visit"
    mentor.start()
    home = home_of(Places(Settings(data=embedded_mode.data), "embedded").homes, mentor.name)
    work = home / "쌀"
    work.mkdir()
    (work / "값.txt").write_text("100")
    cells = json.loads(notebook([PRICES]))
    (work / "쌀값.ipynb").write_text(json.dumps(cells), "utf-8")
    mentor.go(f"/user/{mentor.name}/lab/tree/{quote('쌀/쌀값.ipynb')}")
    expect(mentor.page.locator(".jp-Notebook .jp-Cell").first).to_be_visible()
    begin(mentor)
    dialog = mentor.page.get_by_role("dialog")
    dialog.get_by_label(words["some"]).check()
    dialog.get_by_role("checkbox", name="쌀 반").check()
    mentor.picture("asks", full_page=False)
    send(mentor)
    expect(dialog).to_contain_text(words["published"], timeout=CHECK_MS)
    mentor.picture("published", full_page=False)
    address = dialog.get_by_role("link").get_attribute("href")
    assert address
    dialog.get_by_role("button", name=words["close"], exact=True).click()

    trainee = visit(embedded_mode, names[1], language).back()
    trainee.folder = mentor.folder
    trainee.taken = 20
    trainee.page.goto(address)
    app = trainee.page.frame_locator("#frame")
    expect(app.locator("#said")).to_have_text("300원", timeout=CHECK_MS)
    handle = app.locator("[role=slider], .noUi-handle").first
    handle.focus()
    handle.press("ArrowRight")
    expect(app.locator("#said")).to_have_text("400원")
    trainee.picture("visit", full_page=False)
    other = visit(embedded_mode, names[2], language).back()
    other.page.goto(address)
    expect(other.page.get_by_text(words["nothing"])).to_be_visible()

    failing = json.loads(notebook([PRICES, "1 / 0"]))
    write(work / "쌀값.ipynb", failing)
    mentor.page.reload()
    expect(mentor.page.locator(".jp-Notebook .jp-Cell").nth(1)).to_be_visible()
    begin(mentor)
    expect(dialog.get_by_label(words["some"])).to_be_checked()
    send(mentor)
    expect(dialog).to_contain_text(words["failed"], timeout=CHECK_MS)
    expect(dialog).to_contain_text(words["stays"])
    expect(dialog.locator("pre")).to_contain_text("ZeroDivisionError")
    mentor.picture("failed", full_page=False)
    trainee.page.reload()
    expect(app.locator("#said")).to_have_text("300원", timeout=CHECK_MS)


def write(path: Path, cells: object) -> None:
    path.write_text(json.dumps(cells), "utf-8")
