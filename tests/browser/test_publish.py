"""*Publish* in JupyterLab: from the toolbar and the file browser to the link, or to the cell that failed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from browser.conftest import Visit
from browser.visitor import Language, Visitor
from playwright.sync_api import Locator, expect
from support.dashboards_api import BUSY, Verdict
from support.publishing import AUTHOR, KEY, Author, author, book, sales
from support.user_server import OWNER

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

WORDS: dict[Language, dict[str, str]] = {
    "ko": {
        "idle": "| 대기",
        "publish…": "게시…",
        "publish": "게시",
        "heading": "판매.ipynb 게시",
        "look first": "비밀 정보로 보이는 것을 먼저 확인하고 표시해 주세요.",
        "looked": "확인했습니다. 비밀 정보가 아닙니다.",
        "files": "파일 3개",
        "absolute": "1번째 줄에서 쓰는 ../밖.csv은(는) 노트북 폴더 밖에 있어",
        "hidden": "게시하지 않음: 숨김 파일",
        "some": "사람과 팀",
        "nobody": "볼 사람의 이름을 쓰거나 팀을 골라 주세요.",
        "people": "사람",
        "class": "인공지능 1반",
        "checking": "버전 1을(를) 점검하는 중입니다.",
        "published": "‘판매 현황’을(를) 게시했습니다.",
        "close": "닫기",
        "new version": "‘판매 현황’의 새 버전",
        "new": "새 대시보드",
        "failed": "점검에서 3번 셀이 실패해",
        "show": "셀 보기",
        "aside": "계속 작업하기",
        "not published": "게시하지 못했습니다",
        "again": "다시 시도",
        "cannot": "아직 게시할 수 없습니다",
        "home": "홈 전체를 게시하게 됩니다",
    },
    "en": {
        "idle": "| Idle",
        "publish…": "Publish…",
        "publish": "Publish",
        "heading": "Publish 판매.ipynb",
        "look first": "Look at what may be a secret first, and say that you have.",
        "looked": "I have looked at them: they are no secrets.",
        "files": "3 files",
        "absolute": "line 1, uses ../밖.csv, which lies outside of the notebook's folder",
        "hidden": "not published: hidden",
        "some": "People and teams",
        "nobody": "Name somebody, or choose a team.",
        "people": "People",
        "class": "인공지능 1반",
        "checking": "Version 1 is being checked",
        "published": "“판매 현황” is published.",
        "close": "Close",
        "new version": "A new version of “판매 현황”",
        "new": "A new dashboard",
        "failed": "Cell 3 failed in the check",
        "show": "Show the cell",
        "aside": "Go on working",
        "not published": "Not published",
        "again": "Try again",
        "cannot": "This cannot be published yet",
        "home": "all of that would be published",
    },
}


@pytest.fixture
def minji(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Author]:
    with author(root, tmp_path_factory.mktemp("author")) as found:
        yield found


def speaks(home: Path, language: Language) -> None:
    """What ``madang-start`` does."""
    folder = home / ".jupyter/lab/user-settings/@jupyterlab/translation-extension"
    folder.mkdir(parents=True, exist_ok=True)
    locale = {"ko": "ko_KR", "en": "en"}[language]
    (folder / "plugin.jupyterlab-settings").write_text(json.dumps({"locale": locale}))


def dialog(person: Visitor) -> Locator:
    return person.page.get_by_role("dialog")


def press(person: Visitor, key: str) -> None:
    """A button of the dialog, by keyboard."""
    name = WORDS[person.language][key]
    button = dialog(person).get_by_role("button", name=name, exact=True)
    expect(button).to_be_enabled()
    button.focus()
    person.page.keyboard.press("Enter")


@pytest.mark.parametrize("language", ["ko", pytest.param("en", marks=pytest.mark.long)])
def test_from_jupyterlab_to_the_link(minji: Author, visit: Visit, language: Language) -> None:
    words, api, home = WORDS[language], minji.api, minji.home
    sales(home, ("code", "price = open('../밖.csv').read()"))
    (home / "밖.csv").write_text("1\n")
    (home / "판매" / "key.py").write_text(f"x = '{KEY}'\n")
    (home / "홈.ipynb").write_text(book(("code", "1")), "utf-8")
    speaks(home, language)
    api.actors[OWNER] = replace(AUTHOR, publishes=False)
    api.verdict = None
    # what the page is told is not from before
    minji.server.ask("GET", "madang/publish/mine?new=1")
    place = SimpleNamespace(url=minji.server.url.removesuffix("/user/minji/"))
    person = visit(place, "minji", language, extra_http_headers={"Authorization": f"token {OWNER}"})
    person.folder = f"{language}-publish"
    page = person.page
    button = page.locator(".jp-NotebookPanel-toolbar").get_by_role("button", name=words["publish"])

    # who may not publish sees nothing of it
    with page.expect_response(re.compile("/madang/publish/mine")):
        person.go("/user/minji/lab/tree/%ED%8C%90%EB%A7%A4/%ED%8C%90%EB%A7%A4.ipynb?reset")
    expect(page.locator(".jp-Notebook .jp-Cell").first).to_be_visible()
    expect(page.locator(".jp-NotebookPanel-toolbar .jp-ToolbarButton").first).to_be_visible()
    expect(button).to_be_hidden()
    api.actors[OWNER] = AUTHOR
    minji.server.ask("GET", "madang/publish/mine?new=1")
    page.reload()

    # from the toolbar, by keyboard; what is not saved is saved
    expect(button).to_be_visible()
    expect(page.locator("#jp-main-statusbar")).to_contain_text(words["idle"])
    cell = page.locator(".jp-Notebook .jp-Cell").nth(1).locator(".cm-content")
    cell.click()
    page.keyboard.press("Control+End")
    page.keyboard.type("\n# typed")
    person.picture("toolbar", full_page=False)
    # at once: JupyterLab gives a notebook the keys when all of it has come
    button.press("Enter")
    form = dialog(person)
    expect(form).to_contain_text(words["heading"])
    assert "# typed" in (home / "판매" / "판매.ipynb").read_text("utf-8")
    title = form.locator(".madang-Publish-title")
    expect(title).to_be_focused()
    expect(title).to_have_value("판매 현황")
    expect(form).to_contain_text(words["files"])
    expect(form).to_contain_text(words["absolute"])
    assert KEY not in form.inner_text()
    send = form.get_by_role("button", name=words["publish"], exact=True)
    expect(send).to_be_disabled()
    expect(form.get_by_role("status")).to_have_text(words["look first"])
    person.picture("asks", full_page=False)
    form.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(form.locator(".madang-Publish-left").first).to_contain_text(words["hidden"])
    form.get_by_label(words["looked"]).focus()
    page.keyboard.press("Space")
    expect(send).to_be_enabled()
    form.get_by_label(words["some"]).focus()
    page.keyboard.press("Space")
    expect(form.get_by_role("status")).to_have_text(words["nobody"])
    form.get_by_label(words["people"], exact=True).fill("hana, kim")
    form.get_by_role("checkbox", name=words["class"]).check()
    expect(form.get_by_role("status")).to_have_text("")
    person.picture("ready", full_page=False)
    # refused: the next try goes on with the same words, as the dashboard that the first one began
    api.fails["PUT"] = "refused"
    press(person, "publish")
    expect(dialog(person)).to_contain_text(words["not published"])
    expect(dialog(person)).to_contain_text(BUSY)
    api.fails.clear()
    press(person, "again")
    target = dialog(person).locator("select").first
    expect(target.locator("option:checked")).to_have_text(words["new version"])
    expect(dialog(person).get_by_label(words["people"], exact=True)).to_have_value("hana, kim")
    dialog(person).get_by_label(words["looked"]).check()
    person.picture("again", full_page=False)
    press(person, "publish")
    expect(dialog(person).get_by_role("status")).to_contain_text(words["checking"])
    person.picture("checking", full_page=False)
    api.verdict = Verdict()
    expect(dialog(person)).to_contain_text(words["published"])
    [made] = api.store.of("minji")
    link = dialog(person).get_by_role("link")
    expect(link).to_have_attribute("href", re.compile(f"/services/dashboards/d/{made.slug}/$"))
    assert made.published
    assert made.audience.people == {"hana", "kim"}
    assert made.audience.teams == {"class:2026-a"}
    person.picture("published", full_page=False)
    press(person, "close")

    # from the file browser: a new version of the same, which fails
    api.verdict = Verdict(passed=False, why="Traceback\nFileNotFoundError: '../밖.csv'", cell=3)
    person.file("판매.ipynb").click(button="right")
    entry = page.locator(".lm-Menu-itemLabel").get_by_text(words["publish…"], exact=True)
    expect(entry).to_be_visible()
    person.picture("menu", full_page=False)
    entry.click()
    target = dialog(person).locator("select").first
    expect(target.locator("option:checked")).to_have_text(words["new version"])
    expect(dialog(person).get_by_label(words["people"], exact=True)).to_have_value("hana, kim")
    target.select_option(label=words["new"])
    expect(dialog(person).get_by_label(words["some"])).not_to_be_checked()
    target.select_option(label=words["new version"])
    expect(dialog(person).get_by_label(words["some"])).to_be_checked()
    dialog(person).get_by_label(words["looked"]).check()
    person.picture("new-version", full_page=False)
    press(person, "publish")
    expect(dialog(person)).to_contain_text(words["failed"])
    expect(dialog(person).locator("pre")).to_contain_text("FileNotFoundError")
    person.picture("failed", full_page=False)
    press(person, "show")
    expect(dialog(person)).to_have_count(0)
    expect(page.locator(".jp-Notebook .jp-Cell").nth(2)).to_have_class(re.compile("jp-mod-active"))
    found = api.store.find(made.slug)
    assert found is not None
    assert (found.current, found.last) == (1, 2)

    # going on with other things, the end comes as a notice
    api.verdict = None
    page.keyboard.press("Control+Shift+c")
    page.locator(".lm-CommandPalette-input").fill(words["publish…"])
    page.locator(".lm-CommandPalette-item").filter(has_text=words["publish…"]).first.click()
    dialog(person).get_by_label(words["looked"]).check()
    press(person, "publish")
    press(person, "aside")
    expect(dialog(person)).to_have_count(0)
    api.verdict = Verdict()
    expect(person.notice(words["published"])).to_be_visible()
    person.picture("notice", full_page=False)

    # what cannot be published says why
    person.open_folder()
    person.file("홈.ipynb").click(button="right")
    page.locator(".lm-Menu-itemLabel").get_by_text(words["publish…"], exact=True).click()
    expect(dialog(person)).to_contain_text(words["cannot"])
    expect(dialog(person)).to_contain_text(words["home"])
    person.picture("cannot", full_page=False)
    page.keyboard.press("Escape")
    expect(dialog(person)).to_have_count(0)
