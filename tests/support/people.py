"""People in tests: they sign in through the pages, start servers and run cells, over real HTTP."""

from __future__ import annotations

import asyncio
import html
import json
import re
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import requests

from support.deployment import Deployment, wait_for
from support.messages import execute_request


@dataclass
class Person:
    """Somebody with a browser-like session at ``deployment``."""

    deployment: Deployment
    name: str
    password: str = ""
    language: str = "ko"
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.session.headers["Accept-Language"] = self.language
        self.session.headers["Accept"] = "text/html"
        self.session.hooks["response"] = [_read_as_utf8]

    @property
    def url(self) -> str:
        return self.deployment.url

    @property
    def xsrf(self) -> str:
        for cookie in self.session.cookies:
            if cookie.name == "_xsrf" and cookie.path.rstrip("/") in ("", "/hub"):
                return str(cookie.value)
        return ""

    def sign_in(
        self, password: str | None = None, *, follow: bool = True, **fields: str
    ) -> requests.Response:
        """Fill in the sign-in form; the page that comes of it (or, not to ``follow``, the redirect)."""
        self.session.get(f"{self.url}/hub/login", timeout=30).raise_for_status()
        return self.session.post(
            f"{self.url}/hub/login",
            params={"_xsrf": self.xsrf},
            data={"username": self.name, "password": password or self.password, **fields},
            headers={"Sec-Fetch-Mode": "navigate"},
            timeout=60,
            allow_redirects=follow,
        )

    def join(self, one_time: str, password: str = "세 낱말로 된 비밀번호") -> None:  # noqa: S107  # a test's own
        """First sign-in with a one-time password."""
        reply = self.sign_in(one_time, new_password=password, new_password_again=password)
        assert reply.status_code == 200, visible(reply.text)
        assert self.signed_in, visible(reply.text)
        self.password = password

    @property
    def signed_in(self) -> bool:
        return any(c.name.startswith("jupyterhub-hub-login") for c in self.session.cookies)

    def sign_out(self) -> None:
        self.session.get(f"{self.url}/hub/logout", timeout=30)

    # ---- servers --------------------------------------------------------------------------

    def api(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        """The Hub's REST API with the browser's cookies (as the pages' own scripts do)."""
        return self.session.request(
            method,
            f"{self.url}/hub/api{path}",
            params={"_xsrf": self.xsrf},
            headers={"Sec-Fetch-Mode": "cors", "Referer": f"{self.url}/hub/home"},
            timeout=60,
            **kwargs,
        )

    def choose(self, **options: str) -> requests.Response:
        """Send the picker's form."""
        self.session.get(f"{self.url}/hub/spawn", timeout=30)
        return self.session.post(
            f"{self.url}/hub/spawn",
            params={"_xsrf": self.xsrf},
            data=options,
            headers={"Sec-Fetch-Mode": "navigate", "Referer": f"{self.url}/hub/spawn"},
            timeout=60,
        )

    def model(self) -> dict[str, Any]:
        found: dict[str, Any] = self.api("GET", f"/users/{self.name}").json()
        return found

    @property
    def server_ready(self) -> bool:
        return bool(self.model().get("servers", {}).get("", {}).get("ready"))

    def start(self, **options: Any) -> None:
        """Start a server with these options and wait (``seconds``: 120) until it is ready."""
        seconds: float = options.pop("seconds", 120)
        reply = self.api("POST", f"/users/{self.name}/server", json=options)
        assert reply.status_code in (201, 202), reply.text
        self.arrive(seconds)

    def arrive(self, seconds: float = 120) -> None:
        """Wait until a server is ready that is started, and open it."""
        wait_for(lambda: self.server_ready, f"{self.name}'s server\n", seconds)
        # the first visit makes the server's own session cookie by OAuth
        page = self.session.get(f"{self.url}/user/{self.name}/lab", timeout=60)
        page.raise_for_status()

    def stop(self) -> None:
        reply = self.api("DELETE", f"/users/{self.name}/server")
        assert reply.status_code in (202, 204), reply.text
        wait_for(lambda: not self.model().get("servers"), f"{self.name}'s server to stop")

    def server(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        """The API of the own server (or of ``path`` beginning with /user/…)."""
        base = path if path.startswith("/user/") else f"/user/{self.name}/api{path}"
        xsrf = next(
            (
                c.value
                for c in self.session.cookies
                if c.name == "_xsrf" and c.path.startswith(f"/user/{self.name}")
            ),
            "",
        )
        return self.session.request(
            method,
            f"{self.url}{base}",
            headers={"X-XSRFToken": xsrf or "", "Sec-Fetch-Mode": "cors"},
            timeout=60,
            **kwargs,
        )

    def run(self, code: str, seconds: float = 120) -> str:
        """Run ``code`` in a new kernel of the own server; what it printed.

        Raises:
            AssertionError: the code raised; the message holds the traceback.
        """
        return asyncio.run(self._run(code, seconds))

    async def _run(self, code: str, seconds: float) -> str:
        kernel = self.server("POST", "/kernels", json={"name": "python3"})
        assert kernel.status_code == 201, kernel.text
        identity = kernel.json()["id"]
        cookies = "; ".join(
            f"{c.name}={c.value}"
            for c in self.session.cookies
            if f"/user/{self.name}/".startswith(c.path)
        )
        url = f"{self.url}/user/{self.name}/api/kernels/{identity}/channels"
        message = execute_request(code, self.name)
        printed: list[str] = []
        try:
            async with (
                asyncio.timeout(seconds),
                aiohttp.ClientSession(headers={"Cookie": cookies}) as http,
                http.ws_connect(url, origin=self.url) as socket,
            ):
                await socket.send_str(json.dumps(message))
                async for raw in socket:
                    got = json.loads(raw.data)
                    if got["parent_header"].get("msg_id") != message["header"]["msg_id"]:
                        continue
                    content = got["content"]
                    if got["msg_type"] == "stream":
                        printed.append(content["text"])
                    if got["msg_type"] == "error":
                        raise AssertionError("\n".join(content["traceback"]))
                    if got["msg_type"] == "status" and content["execution_state"] == "idle":
                        return "".join(printed)
        finally:
            self.server("DELETE", f"/kernels/{identity}")
        raise AssertionError("the kernel's channel closed")


def _read_as_utf8(reply: requests.Response, *args: object, **kwargs: object) -> None:
    """As a browser does by the pages' own ``<meta charset>``."""
    reply.encoding = "utf-8"


def visible(page: str) -> str:
    """The text of an HTML page, for messages and for looking for sentences."""
    page = re.sub(r"(?s)<(script|style)\b.*?</\1>", " ", page)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def newcomer(deployment: Deployment, name: str, language: str = "ko") -> Person:
    """A new account that has signed in once."""
    output = deployment.madang("user", "add", name)
    person = Person(deployment, name, language=language)
    person.join(deployment.one_time_password(output))
    return person
