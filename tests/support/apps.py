"""A Hub that is there for dashboards alone, in embedded mode, and the gateway before it.

The real Hub, proxy, spawner and runner; no people service, no sign-in pages. So a test has them in seconds.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import requests
from tornado.httpserver import HTTPServer
from tornado.web import Application

from madang_hub.dashboards.gateway.here import HubGateway
from madang_hub.dashboards.gateway.life import Patience
from madang_hub.dashboards.gateway.visits import Limits
from madang_hub.dashboards.model import Check, Dashboard, State, Version
from madang_hub.dashboards.web.scopes import SERVICE_SCOPES
from madang_hub.deploy import envs
from madang_hub.deploy.embedded import ensure_dashboard
from madang_hub.places import DASHBOARD_ACCOUNT, Places, ensure_secrets, read_secret
from madang_hub.settings import Settings
from support.dashboard import ROOT, Runner, Visit, notebook, wait_until_gone
from support.deployment import Mode, free_ports, wait_for
from support.snapshots import sent

T = TypeVar("T")
PREFIX = "/services/dashboards/"
TOKENS = {"dashboards": "d" * 32, "admins": "a" * 32}

_CONFIG = """
from pathlib import Path
from madang_hub.install import servers
from madang_hub.people.database import Database
from madang_hub.permissions import CUSTOM_SCOPES
from madang_hub.places import Places
from madang_hub.settings import Settings
from madang_hub.shelf.offered import offered
from madang_hub.shelf.offering import shelf_of

root, tokens, account = Path({root!r}), {tokens!r}, {account!r}
settings = Settings.load(root)
places, url = Places(settings, {mode!r}), Places(settings, "embedded").database_url("hub")
c.JupyterHub.bind_url = "http://127.0.0.1:{port}/"
c.JupyterHub.hub_port = {hub_port}
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{api_port}"
c.ConfigurableHTTPProxy.auth_token = "p" * 32
c.ConfigurableHTTPProxy.command = {proxy!r}
c.JupyterHub.db_url = url
c.JupyterHub.cookie_secret = b"c" * 32
c.JupyterHub.cleanup_servers = False
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = "x" * 16
c.Authenticator.allow_all = True
c.Authenticator.admin_users = {{"operator"}}
c.JupyterHub.custom_scopes = CUSTOM_SCOPES
c.JupyterHub.services = [{{"name": name, "api_token": token}} for name, token in tokens.items()]
c.JupyterHub.load_roles = [
    {{"name": "dashboards", "scopes": {scopes!r}, "services": ["dashboards"]}},
    {{"name": "admins", "scopes": ["admin:users", "admin:servers", "tokens"], "services": ["admins"]}},
    {{"name": "apps", "scopes": [], "users": [account]}},
]
database = Database(url)
servers(c, places, shelf_of(places, offered(root, settings), database), database, root)
"""


@dataclass
class AppsHub:
    """The Hub, its proxy and its data."""

    data: Path
    mode: Mode = "embedded"
    more: dict[str, str] = field(default_factory=dict)
    """Variables of the Hub, beside what every one has."""
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.port, self.hub_port, self.api_port = free_ports(3)
        self.environ = {
            **{k: v for k, v in os.environ.items() if not k.startswith("MADANG_")},
            "MADANG_DATA": str(self.data),
            "MADANG_ADMIN": "operator",
            "MADANG_PORT": str(self.port),
            "MADANG_HUB_PORT": str(self.hub_port),
            "MADANG_WARM": "0",
            "PYTHONSAFEPATH": "1",
            # what must reach no notebook
            "SOMEBODYS_SECRET": "machine-secret",
            **self.more,
        }
        self.places = Places(Settings.load(ROOT, self.environ), self.mode)

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.hub_port}/hub/api"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.data / "hub.log"

    @property
    def secret(self) -> str:
        return read_secret(self.places.secrets, "dashboards_apps")

    def prepare(self) -> None:
        """Folders, secrets, environments and the configuration."""
        for folder in self.places.folders():
            folder.mkdir(parents=True, exist_ok=True)
        ensure_secrets(self.places.secrets)
        if self.mode == "embedded":
            ensure_dashboard(ROOT)
        proxy = [str(envs.node()), str(envs.ensure_proxy(ROOT))]
        text = _CONFIG.format(
            root=str(ROOT),
            mode=self.mode,
            tokens=TOKENS,
            account=DASHBOARD_ACCOUNT,
            port=self.port,
            hub_port=self.hub_port,
            api_port=self.api_port,
            proxy=proxy,
            scopes=list(SERVICE_SCOPES),
        )
        (self.data / "config.py").write_text(text, encoding="utf-8")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [sys.executable, "-m", "jupyterhub", "--config", str(self.data / "config.py")]
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                command, env=self.environ, cwd=self.data, stdout=output, stderr=output
            )

        def answers() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()
            try:
                return requests.get(f"{self.url}/hub/health", timeout=5).ok
            except requests.RequestException:
                return False

        wait_for(answers, "the Hub to answer", 60)

    def stop(self) -> None:
        """End the Hub; apps run on."""
        if self.process is not None:
            self.process.terminate()
            assert self.process.wait(30) is not None
            self.process = None

    def ask(self, method: str, path: str, token: str = TOKENS["admins"], **more: Any) -> Any:
        """A request to the Hub's API."""
        headers = {"Authorization": f"token {token}"}
        return requests.request(method, self.api + path, headers=headers, timeout=60, **more)

    def browser(self, person: str) -> requests.Session:
        """A browser in which this person has signed in."""
        session, login = requests.Session(), f"{self.url}/hub/login"
        session.headers["Sec-Fetch-Mode"] = "navigate"
        session.get(login, timeout=30)
        form = {"username": person, "password": "x" * 16, "_xsrf": session.cookies["_xsrf"]}
        answer = session.post(login, data=form, timeout=30, allow_redirects=False)
        assert answer.status_code == 302, answer.text
        return session

    def servers(self) -> dict[str, dict[str, Any]]:
        """The account's servers, as somebody who may see everything sees them."""
        found = self.ask("GET", f"/users/{DASHBOARD_ACCOUNT}").json()["servers"]
        return dict(found)

    def publish(self, slug: str, cells: list[str], **changes: Any) -> Dashboard:
        """A published dashboard of these cells, whose snapshot is in the store."""
        with sent(self.places.snapshots, notebook(cells)) as incoming:
            incoming.keep()
            content = incoming.content
        return published(slug, content, **changes)


def published(slug: str, content: str, number: int = 1, size: str = "small") -> Dashboard:
    """A dashboard that shows ``content``."""
    version = Version(
        number, content, "a.ipynb", "dashboard", size, "mentor", 1, check=Check.PASSED
    )
    return Dashboard(
        slug, "mentor", "Title", 1, state=State.PUBLISHED, current=number, versions=(version,)
    )


@dataclass
class Gate:
    """A gateway that runs in a thread of its own, with a clock that tests can put forward."""

    hub: AppsHub
    patience: Patience = field(default_factory=Patience)
    limits: Limits = field(default_factory=Limits)
    ahead: float = 0.0
    """Seconds that the clock is put forward."""

    def __post_init__(self) -> None:
        (self.port,) = free_ports(1)
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.gateway: HubGateway

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{PREFIX}"

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self.gateway = HubGateway(
            self.hub.api,
            TOKENS["dashboards"],
            self.hub.secret,
            patience=self.patience,
            limits=self.limits,
            clock=lambda: time.monotonic() + self.ahead,
        )
        server = HTTPServer(Application(self.gateway.handlers(PREFIX)))
        server.listen(self.port, "127.0.0.1")
        running = asyncio.ensure_future(self.gateway.run())
        self._over = asyncio.Event()
        self._ready.set()
        await self._over.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        server.stop()
        await server.close_all_connections()
        await self.gateway.close()

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(30)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(30)
        assert not self._thread.is_alive()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of one of the gateway's coroutines."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(120)

    def call(self, work: Callable[[], T]) -> T:
        """The result of one of its functions."""

        async def done() -> T:
            return work()

        return self.do(done())

    def open(self, dashboard: Dashboard, visitor: str = "minji", query: str = "") -> str:
        """The path of a new visit."""
        return self.do(self.gateway.open(dashboard, visitor, "ko", query))

    def visit(self, dashboard: Dashboard, visitor: str = "minji", query: str = "") -> Visit:
        """A visitor with the page, who claims to have the runner's key."""
        path = self.open(dashboard, visitor, query)
        page = self.get(path)
        page.encoding = "utf-8"
        claimed = Runner(self.url.rstrip("/"), "k" * 64, 0, self.hub.log)
        return Visit(claimed, path.split("/")[1], page)

    def get(self, path: str, method: str = "GET", **more: Any) -> requests.Response:
        """What a visitor's browser gets below the service's prefix."""
        return requests.request(method, self.url + path, timeout=60, allow_redirects=False, **more)


@contextmanager
def gate(hub: AppsHub, **settings: Any) -> Iterator[Gate]:
    """A gateway as long as it is needed."""
    made = Gate(hub, **settings)
    made.start()
    try:
        yield made
    finally:
        made.stop()


@contextmanager
def apps_hub(data: Path) -> Iterator[AppsHub]:
    """The Hub of embedded mode as long as it is needed; no process of it is left."""
    hub = AppsHub(data)
    data.mkdir(parents=True, exist_ok=True)
    hub.prepare()
    hub.start()
    try:
        yield hub
    finally:
        # in order, each takes a second
        pids = [server["state"]["pid"] for server in hub.servers().values()]
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
        hub.stop()
        wait_until_gone(pids)
