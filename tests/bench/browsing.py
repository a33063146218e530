"""How long somebody looks at pages before a notebook can be used, in a real browser."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from browser import steady_chromium
from browser.conftest import FLAGS
from browser.visitor import START_MS, WORDS
from playwright.sync_api import Browser, Page, expect, sync_playwright
from support.people import Person


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser for one measure."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=steady_chromium.__file__, args=list(FLAGS)
        )
        yield browser
        browser.close()


def at_picker(page: Page, person: Person) -> None:
    """Madang's picker, with a choice of the small size."""
    page.goto(f"{person.url}/hub/spawn")
    page.get_by_role("radio", name=WORDS["en"]["environment"]).check()
    page.get_by_role("radio", name="Small").check()


def at_home(page: Page, person: Person) -> None:
    """A plain Hub's home page."""
    page.goto(f"{person.url}/hub/home")


def press_start(page: Page) -> None:
    """The button that begins the start, on either page."""
    start = re.compile("^(Start|Start My Server)$")
    page.get_by_role("button", name=start).or_(page.get_by_role("link", name=start)).first.click()


def usable(browser: Browser, person: Person, before: Callable[[Page, Person], None]) -> float:
    """Seconds from the click on *Start* to an idle kernel of a new notebook; then the server is stopped.

    What is done in JupyterLab is the same everywhere: open the launcher by its keys, press the first card.
    """
    context = browser.new_context(locale="en-US", viewport={"width": 1280, "height": 800})
    try:
        for cookie in person.session.cookies:
            context.add_cookies(
                [
                    {
                        "name": cookie.name,
                        "value": cookie.value or "",
                        "domain": "127.0.0.1",
                        "path": cookie.path,
                    }
                ]
            )
        page = context.new_page()
        page.set_default_timeout(START_MS)
        before(page, person)
        begin = time.perf_counter()
        press_start(page)
        page.wait_for_url(re.compile(r"/user/[^/]+/lab"), timeout=START_MS)
        expect(page.locator("#jp-main-dock-panel .lm-TabBar-tab").first).to_be_visible()
        expect(page.locator("#jupyterlab-splash")).to_have_count(0)
        page.keyboard.press("Control+Shift+L")
        page.locator(".jp-LauncherCard[data-category=Notebook]:visible").first.click()
        expect(page.locator(".jp-Notebook-ExecutionIndicator").last).to_have_attribute(
            "data-status", "idle", timeout=START_MS
        )
        return time.perf_counter() - begin
    finally:
        context.close()
        person.api("DELETE", f"/users/{person.name}/server")
