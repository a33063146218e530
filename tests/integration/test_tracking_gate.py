"""The tracking gate against a real JupyterHub, proxy and ``mlflow server``.

MLflow has an environment of its own: its interpreter is ``$MADANG_MLFLOW_PYTHON`` or
``build/env/mlflow/bin/python``. The proxy is ``$MADANG_CHP``, ``build/env/proxy`` or on PATH.
"""

import json
import re
import secrets
import socket
import subprocess
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
import requests
from support.tracking import (
    FRESH,
    HEARD,
    HTML,
    PREFIX,
    STALE,
    Stack,
    mlflow_python,
    running,
    wait_until,
)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("gate")) as made:
        yield made


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
    # the gate's own answer: what this person may enter (test_tracking_workspaces.py)
    ("GET", "/api/3.0/mlflow/workspaces"),
    ("GET", "/ajax-api/3.0/mlflow/workspaces"),
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
        if method == "GET" and re.search("/workspaces/[^/]+$", path):
            continue  # the gate's own answer about a workspace that is not this person's
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
    # both workers must have heard it: many in a row, on connections of their own
    wait_until(
        lambda: all(stack.call("version", token).status_code == 401 for _ in range(12)),
        "refusal",
        HEARD,
    )
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
        past_fresh = started + FRESH + 0.3
        wait_until(lambda: time.monotonic() > past_fresh, "the end of the fresh time")
        assert stack.call("version", known).ok
        # nobody can be signed in: a page in the person's language
        other = {**HTML, "Accept-Language": "en", "Cookie": f"service-mlflow={'x' * 40}"}
        assert stack.call("", headers=other).status_code == 302
        wait_until(
            lambda: stack.call("version", known).status_code == 429,
            "the end of the stale time",
            STALE + HEARD,
        )
        page = browser.get(stack.url, timeout=30)
        assert page.status_code == 503
        assert "허브가 응답하지 않아" in page.text
    wait_until(lambda: stack.call("version", unknown).ok, "recovery", HEARD)


def test_a_program_that_begins_while_the_hub_is_away_goes_on_when_it_is_back(stack: Stack) -> None:
    """MLflow's client asks what the server can do, once, before all else; everything after it is repeated."""
    token, _ = stack.new_token("ann", ["access:services!service=mlflow"])
    said = "The Hub could not be asked about a token"
    before = (stack.folder / "log").read_text().count(said)
    with ThreadPoolExecutor() as pool:
        with stack.hub_frozen():
            assert stack.call("api/3.0/mlflow/server-info").status_code == 401
            script = "import mlflow; mlflow.log_metric('loss', 1)"
            work = pool.submit(stack.client, token, script, experiment="ann")
            wait_until(lambda: (stack.folder / "log").read_text().count(said) > before, "its call")
            info = stack.call("api/3.0/mlflow/server-info", token)
            assert info.json()["workspaces_enabled"] is True
            # this says nothing of anybody; what does is refused
            search = "api/2.0/mlflow/experiments/search?max_results=5"
            assert stack.call(search, token).status_code == 429
            wait_until(
                lambda: (stack.folder / "log").read_text().count(said) > before + 2, "more tries"
            )
            assert not work.done(), work.result().stderr
        done = work.result(timeout=180)
    assert done.returncode == 0, done.stderr[-3000:]


def test_a_browser_signs_in_through_the_hub(stack: Stack) -> None:
    browser = stack.sign_in("ann")
    page = browser.last
    assert page.url == stack.url
    assert "<title>MLflow</title>" in page.text
    cookie = next(c for c in browser.cookies if c.name == "service-mlflow")
    assert cookie.path == PREFIX
    assert "HttpOnly" in cookie._rest  # type: ignore[attr-defined]  # no public way to it
    assert not [c.name for c in browser.cookies if "-state-" in c.name]
    # a second browser's page asked for by path comes back to that path, query and all
    deep = browser.get(stack.url + "get-artifact?path=x&run_uuid=none", timeout=30)
    assert deep.status_code == 404
    assert deep.headers.get("content-security-policy", "").startswith("sandbox")
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
        HEARD,
    )


def test_a_person_without_the_right_stays_out(stack: Stack) -> None:
    browser = stack.sign_in("carl")
    assert browser.last.status_code == 403
    assert not [c.name for c in browser.cookies if c.name == "service-mlflow"]


def test_changes_by_cookie_need_this_sites_page(stack: Stack) -> None:
    browser = stack.sign_in("ann")
    browser.headers.clear()
    url = stack.url + "api/2.0/mlflow/experiments/create"

    def create(**headers: str) -> int:
        body = {"name": f"csrf-{secrets.token_hex(8)}"}
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
    name = secrets.token_hex(8)
    doubled = f'{{"name": "d-{name}", "artifact_location": "/etc", "artifact_location": ""}}'
    last = post(create, doubled.encode())
    made = post("2.0/mlflow/experiments/create", {"name": f"fine-{name}"})
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
