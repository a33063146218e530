"""Dashboards in server mode: a real Hub, the engine behind its filter, the guard; and a notebook that tries to
get out of its container."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import docker
import pytest
import requests
from conftest import missing
from support.apps import AppsHub, Gate, gate
from support.dashboard import ROOT, named
from support.deployment import new_prefix, wait_for

from madang_hub.dashboards.gateway import sealed
from madang_hub.dashboards.gateway.gateway import Doing
from madang_hub.dashboards.model import Dashboard

from .conftest import BASE, Guard, Outside, listener

pytestmark = pytest.mark.engine

TRIES = """
import os, socket, json, pathlib
def reaches(host, port):
    try:
        socket.create_connection((host, port), 1.5).close()
    except OSError as error:
        return type(error).__name__
    return 'open'
def gateway():
    # where a container's machine is: the first address of its network
    import ipaddress, fcntl, struct
    own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    packed = fcntl.ioctl(own.fileno(), 0x8915, struct.pack('256s', b'eth0'))[20:24]
    return str(ipaddress.IPv4Network((packed, 29), strict=False)[1])
def looked_up(name):
    try:
        return socket.gethostbyname(name)
    except OSError:
        return 'unknown'
def written(path):
    try:
        pathlib.Path(path).write_text('x')
    except OSError as error:
        return type(error).__name__
    return 'written'
machine = gateway()
found = {
    'machine': reaches(machine, PUBLIC), 'other port': reaches(machine, OTHER),
    'outside': [reaches(host, PORT) for host in HOSTS],
    'names': [looked_up(n) for n in ('hub.madang', 'example.org')],
    'snapshot': written('a.ipynb'), 'beside': written('new'), 'root': written('/srv/x'),
    'home': written(os.path.expanduser('~/x')), 'variables': sorted(os.environ),
    'homes': os.path.isdir('/home/madang') and os.listdir('/home/madang'),
    'files': os.listdir('.'), 'user': os.getuid(), 'address': machine,
}
print('what-was-found' + json.dumps(found) + 'that-is-all')
"""
CELLS = [
    "import ipywidgets as w",
    "slider = w.IntSlider(description='slider'); answer = w.Text(description='answer')\n"
    "display(slider, answer)",
    "slider.observe(lambda c: setattr(answer, 'value', f\"got {c['new']}\"), 'value')",
]


@pytest.fixture(scope="module")
def hub(
    engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[AppsHub, Guard]]:
    """The Hub in server mode; its engine is the filtered one."""
    if os.geteuid() != 0:
        missing("the account root, for firewall rules,")
    data = tmp_path_factory.mktemp("apps") / "data"
    data.mkdir()
    prefix, socket = new_prefix(), data / "run" / "engine" / "engine.sock"
    made = AppsHub(
        data,
        "server",
        {
            "MADANG_INSTANCE": f"t{os.urandom(3).hex()}",
            "MADANG_NETWORK": "10.216.0.0/24",
            "MADANG_BRIDGE_PREFIX": prefix,
            "MADANG_BIND": "127.0.0.1",
            "DOCKER_HOST": f"unix://{socket}",
        },
    )
    made.prepare()
    guard = Guard(made.places.guard_heartbeat.parent, prefix, made.port)
    guard.start()
    command = [sys.executable, "-m", "madang_hub.engine.gateway", "--check-homes"]
    command += ["--engine", os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")]
    with (data / "filter.log").open("w") as log:
        filtered = subprocess.Popen(command, env=made.environ, stderr=log, cwd=ROOT)
    try:
        wait_for(socket.is_socket, "the filter's socket", 30)
        made.start()
        yield made, guard
    finally:
        made.stop()
        filtered.terminate()
        filtered.wait(20)
        label: Any = {"label": f"madang.instance={made.places.settings.instance}"}
        for container in engine.containers.list(all=True, filters=label):
            container.remove(force=True, v=True)
        for network in engine.networks.list(filters=label):
            network.remove()
        guard.remove()


@pytest.fixture(scope="module")
def doors(hub: tuple[AppsHub, Guard]) -> Iterator[Gate]:
    with gate(hub[0]) as made:
        yield made


def container_of(engine: docker.DockerClient, hub: AppsHub, doors: Gate, slug: str) -> Any:
    """What the engine says of the container of an app."""
    name = doors.gateway.apps.current[slug].name
    state = hub.servers()[name]["state"]
    return engine.api.inspect_container(state["object_id"])


def tried(text: str) -> dict[str, Any]:
    """What the notebook found."""
    _, _, after = text.replace("&quot;", '"').replace("&#34;", '"').partition("what-was-found")
    found: dict[str, Any] = json.loads(after.partition("that-is-all")[0])
    return found


async def test_a_visitor_moves_the_slider(hub: tuple[AppsHub, Guard], doors: Gate) -> None:
    made = hub[0].publish("slider", CELLS)
    visit = doors.visit(made)
    assert visit.page.status_code == 200
    async with visit.socket() as page:
        widgets = await page.widgets()
        await page.update(named(widgets, "slider"), value=7)
        assert await page.answered(named(widgets, "answer"), "value") == "got 7"


def test_a_notebook_does_not_get_out(
    engine: docker.DockerClient, hub: tuple[AppsHub, Guard], doors: Gate, outside: Outside
) -> None:
    stack, guard = hub
    with listener() as other:
        variables = {
            "PUBLIC": stack.port,
            "OTHER": other,
            "PORT": outside.port,
            "HOSTS": [outside.private, outside.metadata, outside.public],
        }
        cell = "\n".join(f"{n} = {v!r}" for n, v in variables.items()) + TRIES
        made = stack.publish("out", [cell])
        found = tried(doors.visit(made).page.text)
        assert found["machine"] != "open"
        assert found["other port"] != "open"
        assert "open" not in found["outside"]
        assert found["names"] == ["unknown", "unknown"]
        assert found["snapshot"] == found["beside"] == found["root"] == "OSError"
        assert not [v for v in found["variables"] if "HUB" in v or "TOKEN" in v or "MADANG" in v]
        # what the image has; nobody's files
        assert set(found["homes"] or []) <= {".bashrc", ".bash_logout", ".profile"}
        assert found["files"] == ["a.ipynb"]
        assert found["user"] == 1000
        # without the guard the machine's ports are open to it: the look is worth something
        with guard.away():
            doors.do(doors.gateway.end("out", ["minji"]))
            open_to_it = tried(doors.visit(made, "james").page.text)
        assert open_to_it["other port"] == "open"
    inspected = container_of(engine, stack, doors, "out")
    host = inspected["HostConfig"]
    assert host["CapDrop"] == ["ALL"]
    assert host["ReadonlyRootfs"] is True
    assert [m["Destination"] for m in inspected["Mounts"]] == ["/srv/dashboard"]
    assert inspected["Mounts"][0]["RW"] is False
    names = [word.partition("=")[0] for word in inspected["Config"]["Env"]]
    assert not [n for n in names if "HUB" in n or "TOKEN" in n or n.startswith("MLFLOW_T")]
    (network,) = inspected["NetworkSettings"]["Networks"]
    assert engine.api.inspect_network(network)["Internal"] is True
    assert str(IPv4Address(found["address"]))


def test_the_container_opens_to_the_key_alone(hub: tuple[AppsHub, Guard], doors: Gate) -> None:
    made = hub[0].publish("slider", CELLS)
    doors.visit(made, "james")
    app = doors.gateway.apps.current["slider"]
    port = hub[0].servers()[app.name]["state"]["app_url"]
    key = sealed.key(hub[0].secret, app.name)
    assert requests.get(f"{port}/state", timeout=30).status_code == 404
    wrong = {"X-Madang-Key": sealed.key(hub[0].secret, sealed.new_name())}
    assert requests.get(f"{port}/state", headers=wrong, timeout=30).status_code == 404
    assert requests.get(f"{port}/state", headers={"X-Madang-Key": key}, timeout=30).ok


def test_a_refused_server_leaves_the_own_one_alone(
    engine: docker.DockerClient, hub: tuple[AppsHub, Guard]
) -> None:
    """Servers with names are the apps' alone; that one was wished for by a link costs nobody a kernel."""
    stack, person = hub[0], "/users/kim"
    assert stack.ask("POST", person).status_code == 201
    instance = stack.places.settings.instance
    # what the engine knows of a person's server: its name, and whose it is
    labels = {"madang.instance": instance, "madang.user": "kim", "madang.server": ""}
    own = engine.containers.run(
        BASE,
        ["sleep", "600"],
        name=f"{instance}-user-kim",
        labels=labels,
        network_mode="none",
        init=True,
        detach=True,
    )
    link = f"{stack.url}/hub/spawn/kim/foo?opt-x=1"
    with stack.browser("kim") as browser:
        assert browser.get(link, timeout=60, allow_redirects=False).status_code == 403
    for method in ("POST", "PUT"):
        assert stack.ask(method, f"{person}/servers/foo", json={}).status_code == 403
    own.reload()
    assert own.status == "running"
    found = stack.ask("GET", f"{person}?include_stopped_servers=1").json()
    assert set(found["servers"]) <= {""}


def test_nothing_is_left_of_a_stopped_app(
    engine: docker.DockerClient, hub: tuple[AppsHub, Guard], doors: Gate
) -> None:
    made: Dashboard = hub[0].publish("short", ["1"])
    doors.visit(made)
    inspected = container_of(engine, hub[0], doors, "short")
    (network,) = inspected["NetworkSettings"]["Networks"]
    doors.do(doors.gateway.stop("short"))
    assert doors.gateway.state("short").doing is Doing.ASLEEP

    def left() -> bool:
        there = [c.id for c in engine.containers.list(all=True)]
        return inspected["Id"] in there or network in [n.name for n in engine.networks.list()]

    wait_for(lambda: not left(), "container and network to go", 30)


def test_an_app_that_does_not_start_tells_its_author_why(
    hub: tuple[AppsHub, Guard], doors: Gate
) -> None:
    made = hub[0].publish("broken", ["1"])
    assert made.shown is not None
    folder = hub[0].places.snapshots / made.shown.content / "files"
    notebook = Path(folder) / "a.ipynb"
    folder.chmod(0o755)
    notebook.chmod(0o644)
    notebook.write_text("this is no notebook")
    found = doors.do(doors.gateway.check(made, made.shown))
    assert not found.passed
    assert "JSONDecodeError" in found.why
