"""Chromium for these tests, and people who use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import steady_chromium
from browser.steady_chromium import CHROMIUM
from browser.visitor import LOCALES, Language, Visitor
from conftest import missing
from playwright.sync_api import Browser, expect, sync_playwright
from support.deployment import Deployment

FLAGS = (
    "--no-sandbox",  # Chromium's own sandbox does not work as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

Visit = Callable[..., Visitor]

# tests share a machine of two cores; the 5 s that Playwright waits by itself are for a free one
expect.set_options(timeout=30_000)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser per file: Playwright holds an event loop that other kinds of tests must not meet."""
    if not Path(CHROMIUM).exists():
        missing(f"a browser at {CHROMIUM} (apt-get install chromium, or set CHROMIUM)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=steady_chromium.__file__, args=list(FLAGS)
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module", params=["ko", "en"])
def language(request: pytest.FixtureRequest) -> Language:
    found: Language = request.param
    return found


@pytest.fixture
def visit(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Visit]:
    """A function that brings a new person to a Madang; a failed test leaves a picture of each."""
    visitors: list[Visitor] = []

    def come(
        deployment: Deployment, name: str, language: Language = "ko", **options: Any
    ) -> Visitor:
        context = chromium.new_context(
            locale=LOCALES[language], **{"viewport": {"width": 1280, "height": 800}, **options}
        )
        visitors.append(Visitor(deployment, context, name, language))
        return visitors[-1]

    failed_before = request.session.testsfailed
    yield come
    for visitor in visitors:
        if request.session.testsfailed > failed_before:
            visitor.folder = "failed"
            visitor.picture(f"{request.node.name}-{visitor.name}")
        visitor.context.close()
