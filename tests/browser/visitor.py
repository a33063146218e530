"""A person with a real browser: what they read, press and type, and pictures of what they saw."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import BrowserContext, Locator, Page, ViewportSize, expect
from support.deployment import ROOT, Deployment

Language = Literal["ko", "en"]
LOCALES = {"ko": "ko-KR", "en": "en-US"}
PICTURES = ROOT / "build" / "screenshots"
PHONE: ViewportSize = {"width": 390, "height": 844}
PASSWORD = "세 낱말로 된 비밀번호"
START_MS = 120_000
COMING_MS = 60_000
"""JupyterLab asks every half minute, and its server part keeps an answer for some seconds."""

# what people read on the pages; written down here once more, so that a wrong catalogue is noticed
WORDS: dict[Language, dict[str, str]] = {
    "ko": {
        "sign in": "로그인",
        "sign out": "로그아웃",
        "one-time": "일회용 비밀번호를 받았습니다",
        "home": "처음",
        "experiments": "실험 기록",
        "start": "시작",
        "off": "서버가 꺼져 있습니다",
        "running": "서버가 실행 중입니다",
        "question": "어떤 환경에서 실습할까요?",
        "environment": "데이터 과학",
        "size": "보통",
        "preparing": "서버를 준비하고 있습니다",
        "lab stage": "주피터랩을 시작하는 중",
        "not open": "쓸 수 없습니다",
        "killed": "서버가 예기치 않게 종료되었습니다",
        "not mine": "다른 사람의 것입니다",
        "run menu": "실행",
        "run all": "모든 셀 실행",
        "file menu": "파일",
    },
    "en": {
        "sign in": "Sign in",
        "sign out": "Sign out",
        "one-time": "I have a one-time password",
        "home": "Home",
        "experiments": "Experiments",
        "start": "Start",
        "off": "Your server is off",
        "running": "Your server is running",
        "question": "What would you like to work with?",
        "environment": "Data science",
        "size": "Medium",
        "preparing": "Preparing your server",
        "lab stage": "Starting JupyterLab",
        "not open": "is not open to you",
        "killed": "Your server ended unexpectedly",
        "not mine": "belongs to somebody else",
        "run menu": "Run",
        "run all": "Run All Cells",
        "file menu": "File",
    },
}

# notes what the progress page says, also what stands there only for a moment
WATCH_PROGRESS = """
document.addEventListener("DOMContentLoaded", () => {
  const message = document.getElementById("progress-message");
  if (!message) return;
  const note = () => {
    const seen = JSON.parse(sessionStorage.getItem("seen") || "[]");
    if (message.textContent && !seen.includes(message.textContent)) seen.push(message.textContent);
    sessionStorage.setItem("seen", JSON.stringify(seen));
  };
  new MutationObserver(note).observe(message, { childList: true, characterData: true, subtree: true });
  note();
});
"""


@dataclass
class Visitor:
    """Somebody called ``name`` at ``deployment``, reading ``language``."""

    deployment: Deployment
    context: BrowserContext
    name: str
    language: Language
    folder: str = ""
    password: str = ""
    taken: int = 0
    page: Page = field(init=False)

    def __post_init__(self) -> None:
        self.context.add_init_script(WATCH_PROGRESS)
        self.page = self.context.new_page()
        self.page.set_default_timeout(60_000)

    def word(self, key: str) -> str:
        return WORDS[self.language][key]

    @property
    def url(self) -> str:
        return self.deployment.url

    def go(self, path: str) -> None:
        self.page.goto(self.url + path)

    def button(self, key: str) -> Locator:
        """A link or button of the page's main part by its words."""
        main = self.page.locator("main")
        name = re.compile(f"^{re.escape(self.word(key))}$")
        return main.get_by_role("link", name=name).or_(main.get_by_role("button", name=name)).first

    def reads(self, key: str) -> None:
        """Wait until the page says it."""
        expect(self.page.locator("main").get_by_text(self.word(key)).first).to_be_visible()

    def picture(self, name: str, full_page: bool = True) -> Path:
        """Keep what the person sees now below ``build/screenshots``."""
        self.taken += 1
        folder = PICTURES / (self.folder or self.language)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.taken:02d}-{name}.png"
        self.page.screenshot(path=path, full_page=full_page, animations="disabled")
        return path

    def fits(self) -> None:
        """Nothing of the page is wider than a phone."""
        width = self.page.evaluate("document.documentElement.scrollWidth")
        assert width <= PHONE["width"], f"{self.page.url} is {width} pixels wide"

    # ---- signing in -----------------------------------------------------------------------

    def get_account(self) -> str:
        """The operator makes an account; returns its one-time password."""
        output = self.deployment.madang("user", "add", self.name)
        return self.deployment.one_time_password(output)

    def join(self, pictures: bool = False) -> None:
        """First sign-in: a one-time password and an own one."""
        once = self.get_account()
        self.go("/")
        expect(self.page.get_by_role("heading", level=1)).to_have_text(self.word("sign in"))
        if pictures:
            self.picture("sign-in")
        self.page.locator("#username_input").fill(self.name)
        self.page.locator("#password_input").fill(once)
        self.page.get_by_text(self.word("one-time")).click()
        self.page.locator("#new_password").fill(PASSWORD)
        self.page.locator("#new_password_again").fill(PASSWORD)
        if pictures:
            self.picture("first-sign-in")
        self.page.locator("#login_submit").click()
        self.page.wait_for_url(re.compile(r"/hub/(home|spawn)"))
        self.password = PASSWORD

    def sign_in(self) -> None:
        self.go("/hub/login")
        self.page.locator("#username_input").fill(self.name)
        self.page.locator("#password_input").fill(self.password)
        self.page.locator("#login_submit").click()
        self.page.wait_for_url(re.compile(r"/hub/(home|spawn)|/user/"))

    def back(self) -> Visitor:
        """Sign in as somebody who chose the tests' password before (``support.classroom``)."""
        self.password = PASSWORD
        self.sign_in()
        return self

    def sign_out(self) -> None:
        """Sign out; the sign-in page comes and the session is over."""
        self.page.locator("#logout").click()
        expect(self.page.locator("#username_input")).to_be_visible()
        expect(self.page.locator("#logout")).to_have_count(0)

    # ---- servers --------------------------------------------------------------------------

    def go_home(self) -> None:
        self.go("/hub/home")

    def pick(self, size: str = "") -> None:
        """From the home page to the picker, and choose there."""
        self.go_home()
        self.button("start").click()
        self.reads("question")
        self.page.get_by_role("radio", name=self.word("environment")).check()
        self.page.get_by_role("radio", name=size or self.word("size")).check()

    def start(self, size: str = "") -> list[str]:
        """Pick and start; returns what the progress page said until JupyterLab was there."""
        self.pick(size)
        self.button("start").click()
        return self.await_lab()

    def await_lab(self) -> list[str]:
        """Wait until JupyterLab is drawn; returns what the progress page said on the way."""
        self.page.wait_for_url(re.compile(r"/user/[^/]+/lab"), timeout=START_MS)
        expect(self.page.locator("#jp-main-dock-panel")).to_be_visible(timeout=START_MS)
        expect(self.page.locator("#jupyterlab-splash")).to_have_count(0, timeout=START_MS)
        expect(self.page.locator(".jp-DirListing-item").first).to_be_visible()
        expect(self.page.locator("#jp-main-dock-panel .lm-TabBar-tab").first).to_be_visible()
        seen: list[str] = json.loads(self.page.evaluate("sessionStorage.getItem('seen') || '[]'"))
        return seen

    def stop(self) -> None:
        """Press stop on the home page and say yes."""
        self.go_home()
        self.page.locator("#stop").click()
        self.page.locator("#stop-dialog button[value=yes]").click()
        self.is_off()

    def is_off(self) -> None:
        """Wait until the home page says that the server is off; a container may take its time to end."""
        card = self.page.locator("#my-server")
        expect(card).to_have_attribute("data-state", "off", timeout=60_000)

    def contents(self, path: str) -> dict[str, Any]:
        """A file of the own server, as JupyterLab's file browser gets it."""
        address = f"{self.url}/user/{self.name}/api/contents/{path}"
        reply = self.page.request.get(address)
        assert reply.ok, f"{reply.status} {path}"
        found: dict[str, Any] = reply.json()
        return found

    # ---- JupyterLab -----------------------------------------------------------------------

    def look(self) -> None:
        """What the page does when its person comes back to it: ask at once, not at the next half minute."""
        self.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

    def soon(self, check: Callable[[float], None]) -> None:
        """``check(timeout in ms)`` holds within a minute, while the person keeps coming back to the page."""
        until = time.monotonic() + COMING_MS / 1000
        while True:
            self.look()
            try:
                return check(2000)
            except AssertionError:
                if time.monotonic() > until:
                    raise

    def notice(self, words: str) -> Locator:
        """JupyterLab's notice with these words."""
        return self.page.locator(".Toastify__toast").filter(has_text=words)

    def open_folder(self, *names: str) -> None:
        """Open folders one after another in the file list."""
        self.page.locator(".jp-FileBrowser .jp-BreadCrumbs-home").first.click()
        for name in names:
            self.file(name).dblclick()
            expect(self.page.locator(".jp-FileBrowser .jp-BreadCrumbs-item").last).to_have_text(
                name
            )

    def file(self, name: str) -> Locator:
        exact = re.compile(f"^{re.escape(name)}$")
        items = self.page.locator(".jp-FileBrowser .jp-DirListing-item")
        return items.filter(has=self.page.locator(".jp-DirListing-itemText", has_text=exact))

    def menu(self, *words: str) -> None:
        """Choose from the menu bar."""
        first, *rest = words
        self.page.locator(".lm-MenuBar-itemLabel").get_by_text(first, exact=True).click()
        for word in rest:
            self.page.locator(".lm-Menu-itemLabel").get_by_text(word, exact=True).first.click()
