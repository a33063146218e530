"""A browser without a screen at the broker's Hub (:mod:`support.broker`): cookies, redirects, XSRF tokens."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests

from support.broker import PREFIX, Lending


class Browser(requests.Session):
    """Somebody's browser, signed in at the Hub; ``at`` is the stack."""

    def __init__(self, at: Lending, name: str) -> None:
        super().__init__()
        self.at, self.hub = at, at.url.partition(PREFIX)[0]
        self.headers["Accept-Language"] = "en"
        self.get(f"{self.hub}/hub/login", timeout=30)
        xsrf = next(c.value for c in self.cookies if c.name == "_xsrf" and c.path == "/hub/")
        form = {"username": name, "password": "any", "_xsrf": xsrf}
        reply = self.post(
            f"{self.hub}/hub/login?next=/hub/home", data=form, timeout=30, allow_redirects=False
        )
        assert reply.status_code == 302, reply.text

    def page(self, path: str = "") -> requests.Response:
        return self.get(self.at.url + path, timeout=30)

    @property
    def xsrf(self) -> str:
        """The token that a visit to the page brings."""
        found = re.search(r'data-xsrf="([^"]+)"', self.page().text)
        assert found
        return found[1]

    def api(self, method: str, path: str, xsrf: str = "", **more: Any) -> requests.Response:
        headers = {"X-XSRFToken": xsrf} if xsrf else {}
        url = f"{self.at.url}api/{path}"
        return self.request(method, url, headers=headers, timeout=30, **more)

    def callback(self) -> str:
        """The address at which a sign-in ends, with its code, before it is used."""
        url = self.at.url
        while urlsplit(url).path != f"{PREFIX}oauth_callback":
            reply = self.get(url, timeout=30, allow_redirects=False)
            assert reply.status_code == 302, reply.text
            url = urljoin(url, reply.headers["Location"])
        return url
