"""The gateway of dashboards before a real Hub and real runners, in embedded mode; and visitors who try more
than they may."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from support.apps import TOKENS, AppsHub, Gate, apps_hub, gate
from support.dashboard import Visit, named, wait_until_gone
from support.deployment import wait_for

from madang_hub.dashboards.gateway import proxied, sealed
from madang_hub.dashboards.gateway.gateway import Doing, FailedError, FullError
from madang_hub.dashboards.gateway.here import order_of
from madang_hub.dashboards.gateway.visits import Limits
from madang_hub.dashboards.model import Dashboard
from madang_hub.places import DASHBOARD_ACCOUNT

CELLS = [
    "import os, ipywidgets as w",
    "slider = w.IntSlider(description='slider'); answer = w.Text(description='answer')\n"
    "display(slider, answer)",
    "def act(change):\n"
    "    if change['new'] == 13:\n"
    "        raise ValueError('callback-secret-line')\n"
    "    answer.value = f\"got {change['new']}\"\n"
    "slider.observe(act, 'value')",
    "print('variables', sorted(os.environ), os.environ['QUERY_STRING'], os.environ['VOILA_BASE_URL'])",
    "print('home', os.path.expanduser('~') == os.environ.get('MADANG_HOMES'), os.access('.', os.W_OK))",
]
ACCOUNT = f"/users/{DASHBOARD_ACCOUNT}"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppsHub]:
    with apps_hub(tmp_path_factory.mktemp("apps") / "data") as made:
        yield made


@pytest.fixture(scope="module")
def doors(hub: AppsHub) -> Iterator[Gate]:
    """A gateway, and an app that everybody's visits share."""
    with gate(hub, limits=Limits(minute=1000, open=1000)) as made:
        yield made


@pytest.fixture(scope="module")
def dashboard(hub: AppsHub) -> Dashboard:
    return hub.publish("shared", CELLS)


@pytest.fixture
def visit(doors: Gate, dashboard: Dashboard) -> Iterator[Visit]:
    """A visit with its page; ended afterwards."""
    made = doors.visit(dashboard, query="class=1")
    yield made
    doors.do(doors.gateway.end(dashboard.slug, ["minji", "james"]))


@pytest.fixture
def alone(doors: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a test with a gateway of its own: each stops what it did not start, and there is one in real life."""

    async def nothing() -> list[Any]:
        return []

    monkeypatch.setattr(doors.gateway.apps, "compare", nothing)


def key_of(hub: AppsHub, doors: Gate, slug: str) -> str:
    """The key of the runner of an app."""
    return sealed.key(hub.secret, doors.gateway.apps.current[slug].name)


# ---- a visit --------------------------------------------------------------------------------


async def test_a_visitor_moves_the_slider(visit: Visit, doors: Gate, dashboard: Dashboard) -> None:
    desk = await asyncio.to_thread(doors.do, doors.gateway.desk(dashboard.slug))
    assert visit.page.status_code == 200, "\n".join(desk.log) + str(desk.errors)
    async with visit.socket() as page:
        widgets = await page.widgets()
        await page.update(named(widgets, "slider"), value=7)
        assert await page.answered(named(widgets, "answer"), "value") == "got 7"
        # a callback's error reaches the author alone
        await page.update(named(widgets, "slider"), value=13)
        await page.update(named(widgets, "slider"), value=8)
        assert await page.answered(named(widgets, "answer"), "value") == "got 8"
        assert not any(b"callback-secret-line" in message for message in page.seen)
        desk = await asyncio.to_thread(doors.do, doors.gateway.desk(dashboard.slug))
    assert any("callback-secret-line" in t.text for t in desk.errors if t.where == "callback")
    assert len(desk.visits) == 1
    assert desk.seats >= 1
    assert desk.state.doing is Doing.READY
    assert any("listening on" in line for line in desk.log)
    assert [v.visitor for v in doors.gateway.visits(dashboard.slug)] == ["minji"]
    assert dashboard.shown is not None
    assert doors.gateway.in_use() >= {dashboard.shown.content}


def test_the_page_is_sealed_and_knows_its_place(visit: Visit) -> None:
    headers, text = visit.page.headers, visit.page.text
    assert headers["Content-Security-Policy"] == proxied.POLICY
    assert "allow-same-origin" not in headers["Content-Security-Policy"]
    assert "Set-Cookie" not in headers
    assert f"/services/dashboards/visit/{visit.name}/voila/static/" in text
    assert "class=1" in text
    # its files come
    found = re.search(r'"(/services/dashboards/visit/[^"]+/voila/static/[^"]+\.js)"', text)
    assert found
    base = visit.runner.url.removesuffix("/services/dashboards")
    file = requests.get(base + found[1], timeout=30)
    assert file.status_code == 200
    assert file.headers["Content-Security-Policy"] == proxied.POLICY


def test_the_notebook_has_no_key_no_token_and_no_home(
    visit: Visit, hub: AppsHub, doors: Gate, dashboard: Dashboard
) -> None:
    text = visit.page.text
    found = re.search(r"variables (\[.*?\])", text.replace("&#39;", "'"))
    assert found
    assert not re.search("JUPYTERHUB|TOKEN|KEY|SECRET|MLFLOW|MADANG", found[1])
    assert key_of(hub, doors, dashboard.slug) not in text


# ---- what is not there ----------------------------------------------------------------------


def shape(answer: requests.Response) -> tuple[Any, ...]:
    """All that an answer shows but the time."""
    headers = {k: v for k, v in answer.headers.items() if k != "Date"}
    return answer.status_code, sorted(headers.items()), answer.content


def test_what_is_not_there_looks_the_same_everywhere(visit: Visit, doors: Gate) -> None:
    nobody = "visit/" + "a" * 32 + "/"
    wanted = shape(doors.get(nobody))
    assert wanted[0] == 404
    assert wanted[2] == b""
    here = visit.path[1:] + "/"
    for method, path in [
        ("GET", "visit/"),
        ("GET", "visit/short/"),
        ("GET", nobody + "voila/static/voila.js"),
        ("GET", nobody + f"api/kernels/{visit.kernel}/channels"),
        ("GET", here + "state"),
        ("GET", here + "../../state"),
        ("GET", here + "voila/static/..%2f..%2f..%2fstate"),
        ("GET", here + "voila/static/%2e%2e/%2e%2e/state"),
        ("GET", here + "voila/files/a.ipynb"),
        ("GET", here + "voila/static/no-such-file.js"),
        ("GET", here + "api/contents"),
        ("GET", here + "api/kernels"),
        ("POST", here + "api/kernels"),
        ("DELETE", here),
        ("DELETE", here[:-1]),
        ("PUT", here),
        ("OPTIONS", here),
    ]:
        # as it is written: nothing is made of ".." before it is sent
        request = requests.Request(method, doors.url + path).prepare()
        request.url = doors.url + path
        with requests.Session() as session:
            assert shape(session.send(request, timeout=30)) == wanted, (method, path)


def test_a_page_is_served_once_and_only_then_its_files(doors: Gate, dashboard: Dashboard) -> None:
    path = doors.open(dashboard, "james")
    assert doors.get(path + "voila/static/voila.js").status_code == 404
    assert doors.get(path).status_code == 200
    assert doors.get(path).status_code == 410
    doors.do(doors.gateway.end(dashboard.slug, ["james"]))
    assert doors.get(path).status_code == 410
    assert doors.get(path + "voila/static/voila.js").status_code == 410


async def test_a_visit_reaches_its_own_kernel_alone(
    visit: Visit, doors: Gate, dashboard: Dashboard
) -> None:
    other = await asyncio.to_thread(doors.visit, dashboard, "james")
    assert other.kernel != visit.kernel
    crossed = f"{visit.path}/api/kernels/{other.kernel}"
    assert (await asyncio.to_thread(doors.get, crossed[1:])).status_code == 404
    assert (await asyncio.to_thread(doors.get, f"{visit.path[1:]}/api/kernels/{visit.kernel}")).ok
    assert await visit.refused(crossed + "/channels") == 404
    left = f"{visit.path[1:]}/voila/api/shutdown/{other.kernel}"
    assert (await asyncio.to_thread(doors.get, left, "POST")).status_code == 404
    async with other.socket() as page:
        assert await page.widgets()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://elsewhere.example"}, 403),
        ({"Origin": ""}, 403),
        ({"protocols": ()}, 400),
    ],
)
async def test_sockets_only_from_the_sandbox(
    visit: Visit, headers: dict[str, Any], status: int
) -> None:
    assert await visit.refused(**headers) == status


async def test_sockets_of_a_visit_are_counted(visit: Visit) -> None:
    async with visit.socket(), visit.socket():
        assert await visit.refused() == 429


# ---- the key --------------------------------------------------------------------------------


def test_headers_of_a_visitor_count_nothing(
    hub: AppsHub, doors: Gate, visit: Visit, dashboard: Dashboard
) -> None:
    key = key_of(hub, doors, dashboard.slug)
    # even with the right key, nothing but the own visit is reached
    spoofed = {"X-Madang-Key": key, "X-Madang-Base": "/evil/"}
    assert doors.get(visit.path[1:] + "/../../state", headers=spoofed).status_code == 404
    path = doors.open(dashboard, "james")
    page = doors.get(path, headers=spoofed)
    assert page.status_code == 200
    assert "/evil/" not in page.text


def test_the_public_port_leads_to_a_closed_door(
    hub: AppsHub, doors: Gate, visit: Visit, dashboard: Dashboard
) -> None:
    name = doors.gateway.apps.current[dashboard.slug].name
    other = sealed.key(hub.secret, sealed.new_name())
    for path in ("state", visit.path[1:] + "/", ""):
        for headers in ({}, {"X-Madang-Key": other}, {"X-Madang-Key": ""}):
            url = f"{hub.url}/user/{DASHBOARD_ACCOUNT}/{name}/{path}"
            answer = requests.get(url, headers=headers, timeout=30, allow_redirects=False)
            assert (answer.status_code, answer.content) == (404, b"")
    # the port itself
    port = hub.servers()[name]["state"]["app_url"]
    for headers in ({}, {"X-Madang-Key": other}):
        assert requests.get(f"{port}/state", headers=headers, timeout=30).status_code == 404


def test_nobody_reads_the_key(
    hub: AppsHub, doors: Gate, visit: Visit, dashboard: Dashboard
) -> None:
    key = key_of(hub, doors, dashboard.slug)
    assert key not in hub.ask("GET", ACCOUNT + "?include_stopped_servers=1").text
    assert key not in hub.log.read_text()
    database = hub.data / "hub" / "hub.sqlite"
    assert key.encode() not in database.read_bytes()
    # nor in what Linux shows of processes
    for folder in Path("/proc").glob("[0-9]*"):
        for name in ("environ", "cmdline"):
            try:
                shown = (folder / name).read_bytes()
            except OSError:
                continue
            assert key.encode() not in shown, folder


# ---- starting -------------------------------------------------------------------------------


def test_nobody_else_starts_an_app(hub: AppsHub, dashboard: Dashboard) -> None:
    assert dashboard.shown is not None
    order = order_of(dashboard, dashboard.shown)
    name, other = sealed.new_name(), sealed.new_name()
    right = sealed.options(hub.secret, name, order)
    forged = sealed.options("f" * 64, name, order)
    hub.ask("POST", "/users/minji")
    for user, server, options in [
        (DASHBOARD_ACCOUNT, name, forged),
        (DASHBOARD_ACCOUNT, other, right),
        (DASHBOARD_ACCOUNT, name, {**right, "order": {**right["order"], "size": "large"}}),
        (DASHBOARD_ACCOUNT, name, {"environment": "dashboard", "size": "small"}),
        (DASHBOARD_ACCOUNT, name, {}),
        ("minji", name, right),
        ("minji", "mine", {}),
        ("minji", "mine", {"environment": "lab", "size": "small"}),
    ]:
        answer = hub.ask("POST", f"/users/{user}/servers/{server}", json={"user_options": options})
        assert answer.status_code == 403, (user, options, answer.text)
    assert hub.ask("POST", "/users/minji/server", json=right).status_code == 400
    assert hub.ask("POST", f"{ACCOUNT}/server", json=right).status_code == 403


def test_nothing_is_left_of_a_refused_server(hub: AppsHub) -> None:
    """Neither a row nor a spawner: a loop of a trainee's would fill the Hub with them."""
    hub.ask("POST", "/users/minji")
    own = hub.ask("POST", "/users/minji/tokens", json={"note": "own"}).json()["token"]
    for method, token in [("POST", own), ("PUT", own), ("POST", TOKENS["admins"])]:
        answer = hub.ask(method, "/users/minji/servers/mine", token)
        assert answer.status_code == 403, (method, answer.text)
        assert "노트북을 게시" in answer.json()["message"]
    renamed = hub.ask("PATCH", "/users/minji/servers/", own, json={"name": "mine"})
    assert renamed.status_code == 403
    # a link is enough to make a browser ask
    with hub.browser("minji") as browser:
        for query in ("", "?opt-x=1"):
            link = f"{hub.url}/hub/spawn/minji/mine{query}"
            answer = browser.get(link, timeout=30, allow_redirects=False)
            assert answer.status_code == 403
            assert "노트북을 게시" in answer.content.decode()
        assert browser.get(f"{hub.url}/hub/home", timeout=30).status_code == 200
    found = hub.ask("GET", "/users/minji?include_stopped_servers=1").json()
    assert set(found["servers"]) <= {""}


def test_what_somebody_else_started_is_stopped(
    hub: AppsHub, doors: Gate, dashboard: Dashboard
) -> None:
    """An admin sends an order again, say of a dashboard that was deleted since."""
    assert dashboard.shown is not None
    doors.visit(dashboard)
    mine = doors.gateway.apps.current[dashboard.slug].name
    name = sealed.new_name()
    order = dataclasses.replace(order_of(dashboard, dashboard.shown), slug="deleted")
    body = {"display_name": name, "user_options": sealed.options(hub.secret, name, order)}
    answer = hub.ask("POST", f"{ACCOUNT}/servers/{name}", json=body)
    assert answer.status_code in (201, 202), answer.text
    wait_for(lambda: name not in hub.servers(), "what nobody here started to be stopped", 40)
    assert mine in hub.servers()
    doors.do(doors.gateway.end(dashboard.slug, ["minji"]))


async def test_many_at_once_wake_one_app(hub: AppsHub, doors: Gate) -> None:
    made = hub.publish("crowd", ["1 + 1"])
    opened = [asyncio.to_thread(doors.open, made, f"v{n}") for n in range(4)]
    paths = await asyncio.gather(*opened)
    assert len(set(paths)) == 4
    app = doors.gateway.apps.current["crowd"]
    mine = [s for s in hub.servers().values() if s["user_options"]["order"]["slug"] == "crowd"]
    assert [s["name"] for s in mine] == [app.name]
    await asyncio.to_thread(doors.do, doors.gateway.stop("crowd"))
    wait_for(lambda: app.name not in hub.servers(), "the app to end")
    assert doors.gateway.state("crowd").doing is Doing.ASLEEP
    for path in paths:
        assert (await asyncio.to_thread(doors.get, path)).status_code == 410


def test_what_does_not_start_backs_off(hub: AppsHub, doors: Gate) -> None:
    missing = hub.publish("missing", ["1"])
    assert missing.shown is not None
    version = dataclasses.replace(missing.shown, notebook="other.ipynb")
    missing = dataclasses.replace(missing, versions=(version,))
    with pytest.raises(FailedError) as told:
        doors.open(missing)
    assert "files" not in str(told.value)
    state = doors.gateway.state("missing")
    assert state.doing is Doing.FAILED
    desk = doors.do(doors.gateway.desk("missing"))
    assert "Its files are not there any more" in desk.said
    # the next visitor does not start it again at once
    before = doors.gateway.apps.current["missing"].life
    with pytest.raises(FailedError):
        doors.open(missing)
    assert doors.gateway.apps.current["missing"].life == before
    # unless its author says so
    doors.do(doors.gateway.stop("missing"))
    assert doors.gateway.state("missing").doing is Doing.ASLEEP


# ---- the check run --------------------------------------------------------------------------


def test_a_check_passes_or_says_which_cell(hub: AppsHub, doors: Gate) -> None:
    good, bad = hub.publish("good", CELLS), hub.publish("bad", ["1", "kaputt = 1 / 0"])
    assert good.shown is not None
    assert bad.shown is not None
    assert doors.do(doors.gateway.check(good, good.shown)).passed
    found = doors.do(doors.gateway.check(bad, bad.shown))
    assert not found.passed
    assert found.trouble is not None
    assert (found.trouble.cell, found.trouble.source) == (1, "kaputt = 1 / 0")
    assert "ZeroDivisionError" in found.why
    # nobody can visit what is only checked, and nothing of it is left
    assert doors.gateway.state("good").doing is Doing.ASLEEP
    slugs = {"good", "bad"}

    def gone() -> bool:
        return not any(s["user_options"]["order"]["slug"] in slugs for s in hub.servers().values())

    wait_for(gone, "the servers of the checks to end")


# ---- the end --------------------------------------------------------------------------------


async def test_who_may_not_stay_is_out_at_once(
    visit: Visit, doors: Gate, dashboard: Dashboard
) -> None:
    other = await asyncio.to_thread(doors.visit, dashboard, "james")
    async with visit.socket() as page, other.socket() as stays:
        await page.widgets()
        async with asyncio.timeout(10):
            await asyncio.to_thread(doors.do, doors.gateway.end(dashboard.slug, ["minji"]))
            assert await page.closed() == proxied.ENDED_CODE
        assert await visit.refused() == 410
        assert await stays.widgets()
        assert [v.visitor for v in doors.gateway.visits(dashboard.slug)] == ["james"]


async def test_an_app_that_hangs_keeps_nobody_in(hub: AppsHub, doors: Gate) -> None:
    made = hub.publish("hanging", CELLS)
    visit = await asyncio.to_thread(doors.visit, made)
    name = doors.gateway.apps.current["hanging"].name
    pid = hub.servers()[name]["state"]["pid"]
    async with visit.socket() as page:
        await page.widgets()
        os.kill(pid, signal.SIGSTOP)
        try:
            async with asyncio.timeout(5):
                await asyncio.to_thread(doors.do, doors.gateway.end("hanging", ["minji"]))
                assert await page.closed() == proxied.ENDED_CODE
        finally:
            os.kill(pid, signal.SIGCONT)
    await asyncio.to_thread(doors.do, doors.gateway.stop("hanging"))


@pytest.mark.usefixtures("alone")
def test_floods_are_refused(hub: AppsHub, dashboard: Dashboard) -> None:
    few = Limits(minute=2, burst=5, rate=0.001)
    with gate(hub, limits=few) as doors:
        path = doors.open(dashboard)
        assert doors.get(path).status_code == 200
        found = [doors.get(path + "voila/static/x.js").status_code for _ in range(6)]
        assert found == [404] * 4 + [429] * 2
        doors.open(dashboard)
        with pytest.raises(FullError):
            doors.open(dashboard)


@pytest.mark.usefixtures("alone")
def test_it_stops_when_nobody_came_for_ten_minutes(hub: AppsHub) -> None:
    made = hub.publish("quiet", ["1"])
    with gate(hub) as doors:
        doors.visit(made)
        name = doors.gateway.apps.current["quiet"].name
        pid = hub.servers()[name]["state"]["pid"]
        doors.do(doors.gateway.end("quiet", ["minji"]))
        doors.do(doors.gateway.look())
        doors.ahead = 599
        doors.do(doors.gateway.look())
        assert doors.gateway.state("quiet").doing is Doing.READY
        doors.ahead = 601
        wait_for(lambda: name not in hub.servers(), "the app to be stopped")
        wait_until_gone([pid])
        assert not list(Path("/tmp").glob(f"md-{name[4:14]}"))
        # and the next visitor wakes it
        assert doors.visit(made).page.status_code == 200


@pytest.mark.long
@pytest.mark.usefixtures("alone")
def test_what_dies_is_noticed_and_its_visits_end(hub: AppsHub) -> None:
    made = hub.publish("mortal", ["1"])
    with gate(hub) as doors:
        visit = doors.visit(made)
        app = doors.gateway.apps.current["mortal"]
        name, pid = app.name, hub.servers()[app.name]["state"]["pid"]
        doors.ahead = 100  # it is not young any more
        os.kill(pid, signal.SIGKILL)
        wait_until_gone([pid])
        doors.ahead += doors.patience.silent
        wait_for(lambda: doors.gateway.state("mortal").doing is Doing.ASLEEP, "the end to be seen")
        assert doors.get(visit.path[1:] + "/").status_code == 410
        assert doors.visit(made).page.status_code == 200
        assert doors.gateway.apps.current["mortal"].name != name


@pytest.mark.usefixtures("alone")
def test_what_runs_is_adopted(hub: AppsHub) -> None:
    """After a restart of the Hub and of the gateway."""
    made = hub.publish("lasting", ["1"])
    with gate(hub) as doors:
        visit = doors.visit(made)
        name = doors.gateway.apps.current["lasting"].name
        pid = hub.servers()[name]["state"]["pid"]
        # the Hub alone: the gateway goes on
        hub.stop()
        assert doors.visit(made).page.status_code == 200
    hub.start()
    # what somebody stopped by hand
    assert hub.ask("PUT", f"{ACCOUNT}/servers/app-left").status_code == 201
    with gate(hub) as doors:
        doors.visit(made)
        known = f"{ACCOUNT}?include_stopped_servers=1"
        wait_for(lambda: "app-left" not in hub.ask("GET", known).text, "what is left to go")
        assert doors.gateway.apps.current["lasting"].name == name
        assert hub.servers()[name]["state"]["pid"] == pid
        # whose visits those were is not known any more: they are over
        assert doors.get(visit.path[1:] + "/").status_code == 404
        desk = doors.do(doors.gateway.desk("lasting"))
        assert len(desk.visits) == 1
        # when it was used is reported
        doors.do(doors.gateway.apps.report())
        assert hub.servers()[name]["last_activity"]
    assert hub.ask("GET", ACCOUNT, TOKENS["dashboards"]).status_code == 200
