"""Lessons in JupyterLab: what a newcomer sees, opening one, a newer version with something to choose."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
from pathlib import Path

import pytest
from browser.conftest import Visit
from browser.visitor import Language, Visitor
from conftest import missing
from playwright.sync_api import Locator, expect
from support.deployment import Deployment

from madang_hub.homes import home_of
from madang_hub.places import Places
from madang_hub.settings import Settings
from madang_lab.learn.manifest import Reader
from madang_lab.learn.records import notebook, written
from madang_lab.learn.shelf import Shelf

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

LONG_AGO = 1_700_000_000
LIST = re.compile(r"/madang/learn($|\?)")
WORDS: dict[Language, dict[str, str]] = {
    "ko": {
        "learn": "배우기",
        "open": "열기",
        "go on": "이어 하기",
        "update": "새 버전 받기",
        "updated": "새 버전을 받았습니다",
        "choose": "선택이 필요합니다",
        "newer": "새 버전이 있습니다",
        "both": "둘 다 두기",
        "decided": "모두 골랐습니다",
        "reset": "처음부터 다시…",
        "yes": "처음부터 다시",
        "was reset": "처음 상태로 되돌렸습니다",
        "unsaved": "먼저 저장해 주세요",
        "earlier": "이전 상태…",
        "bring back": "되돌리기",
        "back": "이전 상태로 되돌렸습니다",
    },
    "en": {
        "learn": "Learn",
        "open": "Open",
        "go on": "Go on",
        "update": "Update",
        "updated": "Updated. The earlier state is kept",
        "choose": "Needs your choice",
        "newer": "There is a newer version",
        "both": "Keep both",
        "decided": "Everything is decided",
        "reset": "Start over…",
        "yes": "Start over",
        "was reset": "Started over",
        "unsaved": "Save it first",
        "earlier": "Earlier states…",
        "bring back": "Bring it back",
        "back": "The earlier state is back",
    },
}


@pytest.fixture(scope="module")
def lessons(embedded_mode: Deployment, root: Path) -> Path:
    folder = root / "build" / "lessons"
    if not (folder / "manifest.json").exists():
        missing("build/lessons (the lessons of this checkout)")
    return folder


def opened_long_ago(lessons: Path, home: Path, language: Language, work: Path) -> str:
    """The second lesson as somebody has it who opened an earlier version and changed it; its id."""
    older = work / "older"
    shutil.copytree(lessons, older)
    manifest = json.loads((older / "manifest.json").read_text("utf-8"))
    row = manifest["lessons"][1]
    path = older / language / row["file"][language]
    book = notebook(path.read_bytes())
    title, *rest, last = book["cells"]
    title["source"] = "# An older title"
    code = next(cell for cell in rest if cell["cell_type"] == "code")
    code["source"] = "print('older')"
    book["cells"] = [title, *rest]
    del last
    path.write_bytes(written(book))
    shelf = Shelf(Reader(older, logging.getLogger("test")), home)
    copy = home / shelf.open(shelf.lesson(row["id"]), language).path
    mine = notebook(copy.read_bytes())
    for cell in mine["cells"]:
        if cell["id"] == code["id"]:
            cell["source"] = "my_own = 'line'"
    own = {"cell_type": "code", "id": "own", "metadata": {}, "source": "on_top = 1"}
    mine["cells"].insert(0, {**own, "execution_count": None, "outputs": []})
    copy.write_bytes(written(mine))
    os.utime(copy, (LONG_AGO, LONG_AGO))
    return str(row["id"])


def card(person: Visitor, identity: str) -> Locator:
    return person.page.locator(f'.madang-Lesson[data-lesson="{identity}"]')


def press(person: Visitor, lesson: Locator, word: str) -> None:
    """By keyboard."""
    button = lesson.get_by_role("button", name=WORDS[person.language][word], exact=True)
    button.focus()
    person.page.keyboard.press("Enter")


def show(person: Visitor) -> None:
    """Come back to the page, which asks anew then."""
    tab = person.page.locator(".lm-TabBar-tabLabel")
    with person.page.expect_response(LIST):
        tab.get_by_text(WORDS[person.language]["learn"], exact=True).click()


@pytest.mark.parametrize("language", ["ko", pytest.param("en", marks=pytest.mark.long)])
def test_from_the_first_page_to_a_newer_version(
    embedded_mode: Deployment, lessons: Path, visit: Visit, language: Language, tmp_path: Path
) -> None:
    words = WORDS[language]
    person = visit(embedded_mode, f"learn-{language}", language)
    page = person.page
    person.folder = f"{language}-learn"
    person.join()
    person.start()
    manifest = json.loads((lessons / "manifest.json").read_text("utf-8"))
    first = manifest["lessons"][0]

    # the first thing that a new person sees
    expect(page.locator(".madang-Learn h1")).to_have_text(words["learn"])
    expect(card(person, first["id"])).to_contain_text(first["title"][language])
    expect(page.locator(".madang-Lesson")).to_have_count(len(manifest["lessons"]))
    person.picture("newcomer", full_page=False)
    press(person, card(person, first["id"]), "open")
    tab = page.locator("#jp-main-dock-panel .lm-TabBar-tab.lm-mod-current")
    expect(tab).to_contain_text(first["file"][language])
    expect(page.locator(".jp-Notebook .jp-Cell").first).to_be_visible()
    person.picture("open-lesson", full_page=False)

    home = home_of(Places(Settings(data=embedded_mode.data), "embedded").homes, person.name)
    second = opened_long_ago(lessons, home, language, tmp_path)
    show(person)
    lesson = card(person, second)
    expect(lesson).to_contain_text(words["newer"])
    press(person, lesson, "update")
    expect(lesson).to_contain_text(words["updated"])
    expect(lesson).to_contain_text(words["choose"])
    expect(lesson.locator(".madang-Choice")).to_contain_text("my_own = 'line'")
    lesson.scroll_into_view_if_needed()
    person.picture("updated-with-a-choice", full_page=False)
    press(person, lesson.locator(".madang-Choice"), "both")
    expect(lesson).to_contain_text(words["decided"])
    expect(lesson.locator(".madang-Choice")).to_have_count(0)
    copy = home / {"ko": "배움", "en": "lessons"}[language]
    copy /= manifest["lessons"][1]["file"][language]
    assert "my_own = 'line'" in copy.read_text("utf-8")

    # not over what is not saved; and what is open shows what was done
    press(person, lesson, "go on")
    cells = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Cell")
    expect(cells.first).to_contain_text("on_top = 1")
    cells.first.locator(".cm-content").click()
    page.keyboard.press("End")
    page.keyboard.type("2")
    show(person)
    press(person, lesson, "reset")
    page.get_by_role("button", name=words["yes"], exact=True).last.click()
    expect(lesson).to_contain_text(words["unsaved"])
    page.locator(".lm-TabBar-tabLabel").get_by_text(copy.name, exact=True).click()
    # the notebook has the keys: a tab that was clicked passes them on later
    cells.first.locator(".cm-content").click()
    expect(cells.first.locator(".cm-focused")).to_be_visible()
    # a kernel that starts says its version, which the notebook keeps: that counts as not saved as well
    started = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Notebook-ExecutionIndicator")
    expect(started).to_have_attribute("data-status", "idle")
    page.keyboard.press("Control+s")
    expect(page.locator(".lm-TabBar-tab.lm-mod-current.jp-mod-dirty")).to_have_count(0)
    os.utime(copy, (LONG_AGO, LONG_AGO))
    show(person)
    press(person, lesson, "reset")
    page.get_by_role("button", name=words["yes"], exact=True).last.click()
    expect(lesson).to_contain_text(words["was reset"])
    assert "my_own" not in copy.read_text("utf-8")
    press(person, lesson, "go on")
    expect(cells.first).to_be_visible()
    expect(cells.filter(has_text="on_top")).to_have_count(0)

    # and back: the newest backup is what it was before
    show(person)
    press(person, lesson, "earlier")
    page.get_by_role("button", name=words["bring back"], exact=True).click()
    expect(lesson).to_contain_text(words["back"])
    assert "my_own" in copy.read_text("utf-8")

    # the launcher goes on with what was begun
    page.keyboard.press("Control+Shift+l")
    launcher = page.locator(".jp-Launcher")
    cards = launcher.locator(".jp-Launcher-section").filter(
        has=page.get_by_role("heading", name=re.compile(f"^{words['learn']}$"))
    )
    expect(cards.locator(".jp-LauncherCard").first).to_contain_text(words["learn"])
    expect(cards.locator(".jp-LauncherCard").nth(1)).to_contain_text(first["title"][language])
    cards.scroll_into_view_if_needed()
    person.picture("launcher", full_page=False)

    show(person)
    page.set_viewport_size({"width": 700, "height": 900})
    person.picture("narrow", full_page=False)
    wide, there = page.locator(".madang-Learn").evaluate(
        "node => [node.scrollWidth, node.clientWidth]"
    )
    assert wide <= there
    # once is enough
    page.goto(f"{person.url}/user/{person.name}/lab?reset")
    expect(page.locator(".jp-Launcher")).to_be_visible()
    expect(page.locator(".madang-Learn")).to_have_count(0)
    person.stop()
