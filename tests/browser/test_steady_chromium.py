"""The browser of these tests keeps its requests when network interfaces come and go."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser

pytestmark = pytest.mark.engine  # it makes bridges, as the engine does

BRIDGE = "mdsteady"
ASK = """async () => {
    const one = (n) => fetch(`/?${n}`, {cache: "no-store"}).then(() => 0, () => 1);
    const failed = await Promise.all([...Array(8).keys()].map(one));
    return failed.reduce((sum, n) => sum + n);
}"""


class Quiet(SimpleHTTPRequestHandler):
    """Serve files and say nothing."""

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""


@contextmanager
def site(folder: Path) -> Iterator[str]:
    (folder / "index.html").write_text("<title>steady</title>")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://localhost:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@contextmanager
def bridges_that_come_and_go() -> Iterator[None]:
    over = threading.Event()

    def churn() -> None:
        while not over.is_set():
            ip("link", "add", BRIDGE, "type", "bridge")
            ip("address", "add", "198.51.100.1/24", "dev", BRIDGE)
            ip("link", "set", BRIDGE, "up")
            ip("link", "delete", BRIDGE)

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_no_request_breaks_off_when_a_bridge_comes_or_goes(
    chromium: Browser, tmp_path: Path
) -> None:
    page = chromium.new_page()
    with site(tmp_path) as url:
        page.goto(url)
        with bridges_that_come_and_go():
            assert sum(page.evaluate(ASK) for _ in range(60)) == 0
        page.close()
