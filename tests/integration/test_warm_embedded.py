"""Instant start in embedded mode: a server from a warm parent is what a cold one is, and never worse."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from support.deployment import Deployment, kill, processes, wait_for
from support.notebook import notebook
from support.people import Person, newcomer

CHOICE = {"environment": "lab", "size": "small"}

FACTS = """
import json, os, resource, signal, sys, locale, tempfile
server = f"/proc/{os.getppid()}"
def lines(name, *starts):
    return [l for l in open(f"{server}/{name}").read().splitlines() if l.startswith(starts)]
files = sorted((os.readlink(f"{server}/fd/{n}") for n in os.listdir(f"{server}/fd")))
print(json.dumps({
    "environ": dict(os.environ),
    "cwd": os.getcwd(),
    "path": sys.path,
    "prefix": sys.prefix,
    "locale": [locale.setlocale(locale.LC_ALL), sys.getfilesystemencoding(), tempfile.gettempdir()],
    "server cwd": os.readlink(f"{server}/cwd"),
    "server program": os.readlink(f"{server}/exe"),
    "server limits": open(f"{server}/limits").read(),
    "server status": lines(
        # not SigQ, which counts signals of all processes of the account
        "status", "Name", "Umask", "Uid", "Gid", "Groups", "SigB", "SigI", "SigC", "Cap", "NoNew", "Seccomp"
    ),
    "server priority": open(f"{server}/stat").read().rpartition(")")[2].split()[15:17],
    "server scheduling": os.sched_getscheduler(os.getppid()),
    "server session": os.getsid(os.getppid()) == os.getppid(),
    "server command": open(f"{server}/cmdline").read().rstrip("\\0").split("\\0"),
    "server files": files,
    "oom": open(f"{server}/oom_score_adj").read(),
}))
"""

CONFIG = """
import atexit, json, sys, threading
begun = sorted(sys.modules)
running = threading.active_count()
def tell():
    with open("modules.json", "w") as file:
        trash = sys.modules["send2trash.plat_other"].HOMETRASH
        found = {"begun": begun, "running": running, "ended": sorted(sys.modules), "trash": trash}
        json.dump(found, file)
atexit.register(tell)
"""


@pytest.fixture(scope="module")
def admin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    """The admin of an installation of this module's own: its processes are killed here."""
    data = tmp_path_factory.mktemp("warm") / "data"
    deployment = Deployment("embedded", data, extra={"MADANG_WARM": "1"})
    try:
        person = Person(deployment, deployment.admin, language="en")
        person.join(deployment.one_time_password(deployment.up()))
        yield person
    finally:
        deployment.remove()


@pytest.fixture(scope="module")
def hana(admin: Person) -> Person:
    """Somebody whose server writes down which modules it had when it was configured, and when it ended."""
    person = newcomer(admin.deployment, "hana", language="en")
    settings = person.deployment.data / "homes" / "hana" / ".jupyter"
    settings.mkdir(parents=True)
    (settings / "jupyter_server_config.py").write_text(CONFIG)
    return person


def waits(deployment: Deployment) -> bool:
    """Whether the parent of the environment `lab` waits; the socket of one that was killed stays a while."""
    socket = deployment.data / "run" / "warm" / "lab" / "socket"
    return bool(processes(deployment, "madang-warm")) and socket.exists()


def counted(admin: Person, how: str) -> float:
    """How many servers were started so, as the Hub's metrics say."""
    page = admin.session.get(f"{admin.url}/hub/metrics", timeout=20)
    found = re.search(rf'^madang_server_starts_total{{how="{how}"}} (\S+)$', page.text, re.M)
    assert found, page.text
    return float(found[1])


def start(person: Person, admin: Person, how: str) -> None:
    """Start the server, and see that it came about like this."""
    deployment = person.deployment
    wait_for(lambda: waits(deployment), "a warm parent")
    if how == "cold":
        kill(deployment, "madang-warm")
    before = counted(admin, how)
    if person.model().get("servers"):
        person.stop()  # of a test that failed
    person.start(**CHOICE)
    assert counted(admin, how) == before + 1


def process_of(person: Person) -> int:
    """The process of the person's server."""
    return int(person.run("import os; print(os.getppid())"))


def page_config(person: Person) -> dict[str, Any]:
    """What JupyterLab's page is told, less what differs from page to page."""
    page = person.session.get(f"{person.url}/user/{person.name}/lab", timeout=60).text
    found = re.search(r'id="jupyter-config-data"[^>]*>(.*?)</script>', page, re.DOTALL)
    assert found
    config: dict[str, Any] = json.loads(found[1])
    assert config.pop("token") is not None
    return config


def facts(person: Person) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(person.run(FACTS))
    found["cookies"] = sorted((c.path, c.name) for c in person.session.cookies)
    found["page"] = page_config(person)
    text = json.dumps(found)
    # what differs from start to start: numbers of processes, kernels and connections, ports, tokens
    for pattern, word in (
        (r"socket:\[\d+\]", "socket"),
        (r"pipe:\[\d+\]", "pipe"),
        (r"kernel-[0-9a-f-]+\.json", "kernel"),
        (r"127\.0\.0\.1:\d+/user", "address"),
    ):
        text = re.sub(pattern, word, text)
    found = json.loads(text)
    for name in ("JUPYTERHUB_API_TOKEN", "JPY_API_TOKEN", "MLFLOW_TRACKING_TOKEN"):
        assert len(found["environ"].pop(name)) > 20
    assert int(found["environ"].pop("JPY_PARENT_PID")) > 1
    # as many connections as the kernel and the Hub have just now
    found["server files"] = sorted(set(found["server files"]))
    return found


def test_a_warm_server_is_what_a_cold_one_is(hana: Person, admin: Person) -> None:
    home = hana.deployment.data / "homes" / "hana"
    found, modules = {}, {}
    for how in ("cold", "warm"):
        start(hana, admin, how)
        for path in ("/contents", "/kernelspecs"):
            assert hana.server("GET", path).ok
        found[how] = facts(hana)
        hana.stop()
        modules[how] = json.loads((home / "modules.json").read_text())
    assert found["warm"] == found["cold"]
    assert "jupyterhub-singleuser" in found["warm"]["server command"][1]
    assert modules["warm"]["trash"] == modules["cold"]["trash"]
    # nothing runs in a parent, and it holds nothing that a cold server would not have imported
    assert modules["warm"]["running"] == modules["cold"]["running"] == 1
    ours = {m for m in modules["warm"]["begun"] if m.startswith("madang_lab.warm")}
    more = {*modules["warm"]["begun"]} - {*modules["cold"]["ended"]} - ours
    assert not {m for m in more if m.partition(".")[0] not in ("runpy", "importlib")}, more
    # and most of what one needs until its first cell
    late = {*modules["warm"]["ended"]} - {*modules["warm"]["begun"]}
    assert len(late) < 30, late


def test_the_parent_holds_nothing_of_anybody(hana: Person, admin: Person) -> None:
    start(hana, admin, "warm")
    deployment = hana.deployment
    (parent,) = processes(deployment, "madang-warm")
    folder = deployment.data / "run" / "warm"
    assert [
        f.stat().st_mode & 0o777 for f in (folder, folder / "lab", folder / "lab" / "socket")
    ] == [
        0o700,
        0o700,
        0o600,
    ]
    process = Path(f"/proc/{parent}")
    assert b"TOKEN" not in (process / "environ").read_bytes()
    assert len(list((process / "task").iterdir())) == 1
    opened = [str(file.readlink()) for file in (process / "fd").iterdir()]
    assert not [f for f in opened if "/homes/" in f or "/servers/" in f]
    hana.stop()


def test_a_server_that_is_killed_is_noticed_and_leaves_no_zombie(
    hana: Person, admin: Person
) -> None:
    start(hana, admin, "warm")
    server = process_of(hana)
    os.kill(server, signal.SIGKILL)
    wait_for(lambda: not hana.model().get("servers"), "the Hub to notice the end", 25)
    assert not Path(f"/proc/{server}").exists()


def test_a_server_outlives_its_parent_and_the_hub(hana: Person, admin: Person) -> None:
    start(hana, admin, "warm")
    deployment = hana.deployment
    server = process_of(hana)
    with notebook(hana) as opened:
        opened.ask("kept = 41")
        kill(deployment, "madang-warm")
        kill(deployment, "-m jupyterhub ")
        assert opened.ask("print(kept + 1)") == "42"
        health = f"{deployment.url}/hub/health"
        wait_for(lambda: requests.get(health, timeout=5).ok, "the Hub to be back")
        wait_for(lambda: hana.server_ready, "the Hub to know the server")
        assert server in processes(deployment, "jupyterhub-singleuser")
    hana.stop()
    assert not Path(f"/proc/{server}").exists()


def test_an_environment_that_was_changed_is_not_claimed(
    hana: Person, admin: Person, root: Path
) -> None:
    """Its parent has the old modules: the next server is cold, and a new parent follows."""
    deployment = hana.deployment
    wait_for(lambda: waits(deployment), "a warm parent")
    (before,) = processes(deployment, "madang-warm")
    site = next((root / "build" / "env" / "lab").glob("lib/python3*/site-packages"))
    os.utime(site)
    cold = counted(admin, "cold")
    hana.start(**CHOICE)
    assert counted(admin, "cold") == cold + 1
    wait_for(lambda: waits(deployment) and before not in processes(deployment), "a new parent")
    assert len(processes(deployment, "madang-warm")) == 1
    hana.stop()
    start(hana, admin, "warm")
    hana.stop()
