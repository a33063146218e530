"""Accelerators in JupyterLab, at a real Hub with the real broker and stand-in GPUs: in line, a turn that is
taken, the end that comes near, *extend*, *give back*, and a device that fails."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from browser.conftest import Visit
from browser.visitor import COMING_MS, START_MS, Language, Visitor
from conftest import missing
from playwright.sync_api import Locator, expect
from support.broker import Lending, running
from support.deployment import ROOT
from support.nvml import Device
from support.tracking import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

ONE = "GPU-11111111-aaaa"
GIB = 2**30
TORCH = {"environment": "torch-cuda", "size": "medium"}
LAB = ROOT / "build" / "env" / "lab" / "bin"

WORDS: dict[Language, dict[str, str]] = {
    "ko": {
        "in line": "가속기 대기 1번째",
        "tab": "가속기 차례",
        "turn": "가속기 차례가 됐습니다(H100).",
        "take": "받기",
        "restarts": "받으면 서버를 다시 시작합니다. 열린 문서는 먼저 저장하지만",
        "waits": "준비되면 이 페이지가 다시 열립니다",
        "device": r"가속기 H100 · 20\.0 / 80\.0 GiB · 사용률 37% · 남은 시간 \d분",
        "soon": "반납됩니다. 그때 서버가 멈춥니다.",
        "alarm": "가속기 곧 반납",
        "extend": "연장하기",
        "longer": "30분 더",
        "extended": "연장했습니다. 가속기를",
        "command": "내 가속기 보기",
    },
    "en": {
        "in line": "Accelerator: place 1 in line",
        "tab": "Your turn for an accelerator",
        "turn": "It is your turn for an accelerator (H100).",
        "take": "Take it",
        "restarts": "To take it, your server is started again. Open documents are saved before",
        "waits": "This page opens again when it is ready",
        "device": r"Accelerator H100 · 20\.0 / 80\.0 GiB · use 37% · \d+ min left",
        "failed": "For the time that was left you are in line again, first of your team.",
        "got it": "Got it",
        "give back": "Give back",
        "stops": "Your server stops then.",
        "give it back": "Give it back",
        "leads home": "Then the home page opens.",
    },
}

SERVER = """
import os, pathlib, sys

pathlib.Path(sys.argv[1], str(os.getpid())).touch()
home = os.environ["HOME"]
pathlib.Path(home, "notes.txt").touch()
os.environ.update(%(environment)r)
# Madang's own start; the folder tells the tests' own processes from others
words = [%(start)r, %(program)r, "--allow-root", "--ServerApp.root_dir=" + home]
os.environ["MADANG_LANG"] = "en" if os.environ["JUPYTERHUB_USER"] == "ben" else "ko"
os.execv(words[0], words)
"""


def server(url: str) -> str:
    """A user server as Madang's, at the proxy ``url``."""
    environment = {
        "PATH": f"{LAB}:/usr/bin:/bin",
        "JUPYTER_CONFIG_PATH": str(ROOT / "images" / "base" / "etc"),
        "MADANG_ACCELERATORS_URL": f"{url}/services/accelerators",
    }
    start, program = ROOT / "images" / "base" / "madang-start", LAB / "jupyterhub-singleuser"
    return SERVER % {"environment": environment, "start": str(start), "program": str(program)}


@pytest.fixture(scope="module")
def lending(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lending]:
    if shutil.which("cc") is None:
        missing("a C compiler (apt-get install gcc)")
    if not (LAB / "jupyterhub-singleuser").exists():
        missing("build/env/lab (run `scripts/madang environments`)")
    with running(tmp_path_factory.mktemp("lent"), (ONE,), server) as found:
        yield found


def gpu(**facts: Any) -> Device:
    return Device(ONE, used=20 * GIB, utilisation=37, facts=facts)


def come(visit: Visit, lending: Lending, name: str, language: Language) -> Visitor:
    """Somebody in the JupyterLab of their server, which runs."""
    person = visit(SimpleNamespace(url=f"http://127.0.0.1:{lending.ports['port']}"), name, language)
    person.password = "any"
    person.folder = f"{language}-lab-accelerators"
    person.sign_in()
    person.go(f"/user/{name}/lab")
    person.await_lab()
    return person


def item(person: Visitor) -> Locator:
    """Of the status bar."""
    return person.page.locator(".madang-Lease-status")


def word(person: Visitor, key: str) -> str:
    return WORDS[person.language][key]


def says(person: Visitor, key: str) -> None:
    """The status bar says it soon."""
    pattern = re.compile(
        word(person, key) if "\\" in word(person, key) else re.escape(word(person, key))
    )
    person.soon(lambda ms: expect(item(person)).to_contain_text(pattern, timeout=ms))


def press(person: Visitor, key: str) -> None:
    """A button of the dialog."""
    person.page.get_by_role("dialog").get_by_role("button", name=word(person, key)).click()


def look_away(person: Visitor) -> None:
    """Another tab of the browser is in front: this page asks for nothing by itself."""
    page = person.page
    page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    person.look()


def take(person: Visitor) -> None:
    """By the notice, for which the page of somebody who looks elsewhere is called; JupyterLab comes back by
    itself, with the accelerator."""
    page, turn = person.page, person.notice(word(person, "turn"))
    expect(page).to_have_title(word(person, "tab"), timeout=COMING_MS)
    page.evaluate("delete document.hidden")
    person.look()
    expect(page).not_to_have_title(word(person, "tab"))
    expect(turn).to_be_visible()
    person.picture("turn", full_page=False)
    turn.get_by_role("button", name=word(person, "take")).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(word(person, "restarts"))
    person.picture("take", full_page=False)
    before = page.evaluate("performance.timeOrigin")
    press(person, "take")
    expect(dialog).to_contain_text(word(person, "waits"))
    person.picture("starts-again", full_page=False)
    page.wait_for_function(f"performance.timeOrigin !== {before}", timeout=START_MS)
    person.await_lab()
    expect(item(person)).to_contain_text(re.compile(word(person, "device")), timeout=COMING_MS)


def test_a_turn_is_taken_and_extended(lending: Lending, visit: Visit) -> None:
    lending.clear(ONE)
    lending.machine.has(gpu())
    others = lending.asked("dan")["id"]
    lending.becomes("dan", others, "granted")
    assert lending.step("dan", others, "take").ok
    lending.start("ann", **TORCH)
    person = come(visit, lending, "ann", "ko")
    page = person.page
    # who asked for nothing sees nothing
    with page.expect_response(re.compile(r"/madang/status($|\?)")):
        person.look()
    expect(item(person)).to_be_hidden()

    mine = lending.asked("ann", team="team:a", minutes=9)["id"]
    says(person, "in line")
    item(person).get_by_role("button").press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("team:a")
    person.picture("in-line", full_page=False)
    page.keyboard.press("Escape")

    # what is written and not saved is there after the new start
    person.file("notes.txt").dblclick()
    page.locator(".cm-content").click()
    page.keyboard.type("not saved by hand")
    look_away(person)
    assert lending.step("dan", others, "give-back").ok
    take(person)
    assert lending.request("ann", mine)["state"] == "active"
    notes = Path(lending.folder, "homes", "ann", "notes.txt")
    assert notes.read_text() == "not saved by hand"

    near = person.notice(word(person, "soon"))
    expect(near).to_be_visible()
    expect(item(person).locator(".madang-Lease-alarm")).to_have_text(word(person, "alarm"))
    person.picture("ends-soon", full_page=False)
    ends = lending.request("ann", mine)["ends"]
    item(person).get_by_role("button").click()
    page.get_by_role("dialog").locator("select").select_option(index=0)
    expect(page.get_by_role("dialog").locator("option").first).to_contain_text(
        word(person, "longer")
    )
    person.picture("my-accelerator", full_page=False)
    press(person, "extend")
    expect(person.notice(word(person, "extended"))).to_be_visible()
    assert lending.request("ann", mine)["ends"] > ends
    expect(near).to_have_count(0)
    person.picture("extended", full_page=False)
    page.keyboard.press("Control+Shift+c")
    page.locator(".lm-CommandPalette-input").fill(word(person, "command"))
    command = page.locator(".lm-CommandPalette-item").filter(has_text=word(person, "command"))
    expect(command).to_be_visible()
    lending.step("ann", mine, "give-back")
    lending.stop("ann")


@pytest.mark.long
def test_a_device_fails_and_what_replaces_it_is_given_back(lending: Lending, visit: Visit) -> None:
    lending.clear(ONE)
    lending.machine.has(gpu())
    broken = lending.asked("ben")["id"]
    lending.becomes("ben", broken, "granted")
    assert lending.step("ben", broken, "take").ok
    lending.machine.has(gpu(lost=1))
    assert lending.becomes("ben", broken, "ended")["why"] == "ill"
    lending.start("ben", **TORCH)
    person = come(visit, lending, "ben", "en")
    page = person.page
    failed = person.notice(word(person, "failed"))
    expect(failed).to_be_visible(timeout=COMING_MS)
    says(person, "in line")
    person.picture("failed", full_page=False)
    with page.expect_response(
        lambda r: "settings/madang-lab" in r.url and r.request.method == "PUT"
    ):
        failed.get_by_role("button", name=word(person, "got it")).click()

    look_away(person)
    lending.machine.has(gpu())
    take(person)
    # said once, also after the page came anew
    expect(failed).to_have_count(0)
    [mine] = [r["id"] for r in lending.overview("ben")["requests"] if r["state"] == "active"]
    item(person).get_by_role("button").click()
    person.picture("my-accelerator", full_page=False)
    press(person, "give back")
    expect(page.get_by_role("dialog")).to_contain_text(word(person, "stops"))
    person.picture("give-back", full_page=False)
    press(person, "give it back")
    expect(page.get_by_role("dialog")).to_contain_text(word(person, "leads home"))
    page.wait_for_url(re.compile(r"/hub/home"), timeout=START_MS)
    assert lending.becomes("ben", mine, "ended")["why"] == "released"
    wait_until(lambda: lending.server("ben") is None, "the end of the server")
