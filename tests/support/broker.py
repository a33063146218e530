"""The broker of accelerators as a service of a real JupyterHub, on stand-in GPUs.

The Hub starts the broker, people's servers are processes that answer over HTTP, and nothing else: that is all
that a Hub asks of one. The proxy is found as in :mod:`support.tracking`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import requests

from madang_hub.accelerators.broker.scopes import ACCESS, ADMIN
from madang_hub.people.audit import Audit
from madang_hub.people.classes import Classes
from madang_hub.people.database import Database
from madang_hub.people.directory import Directory, Team
from madang_hub.people.directory import Person as Record
from madang_hub.people.timetable import Timetable, parse_times
from madang_hub.places import ensure_secrets
from support import nvml
from support.deployment import ROOT, free_ports
from support.nvml import Device, Machine
from support.tracking import proxy_command, stop, wait_until

PREFIX = "/services/accelerators/"
GPU = "nvidia.com/gpu"
TEAMS = {"team:a": ("ann", "ben"), "team:b": ("dan",), "class:c": ("ann",)}
"""Who is in which team; carl is in none."""
PEOPLE = ("ann", "ben", "carl", "dan", "mia", "chief", "gone")
"""mia is the mentor of class:c."""
NOON = f"Etc/GMT{datetime.now(UTC).hour - 12:+d}"
"""A zone in which it is about noon, so that no day ends during the tests."""
LIMIT = 4.0
"""Hours that ``class:c`` has in a month."""

SERVER = """
import http.server, os, pathlib, sys
from urllib.parse import urlsplit

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *words):
        pass

pathlib.Path(sys.argv[1], str(os.getpid())).touch()
url = urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
http.server.HTTPServer((url.hostname, url.port), Answer).serve_forever()
"""
CONFIG = """
import json, os, sys
from pathlib import Path
from jupyterhub.spawner import SpawnException
from madang_hub.accelerators.broker import scopes
from madang_hub.people.database import Database
from madang_hub.places import Places
from madang_hub.settings import Settings
from madang_hub.shelf.offered import offered
from madang_hub.shelf.offering import shelf_of
from madang_hub.web import pages

given = json.loads(os.environ["BROKER_TEST"])
c.JupyterHub.bind_url = "http://127.0.0.1:%d" % given["port"]
c.JupyterHub.hub_bind_url = "http://127.0.0.1:%d" % given["hub"]
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:%d" % given["api"]
c.ConfigurableHTTPProxy.command = given["chp"]
c.JupyterHub.db_url = given["database"]
c.JupyterHub.cleanup_servers = False  # as Madang's: servers outlive the Hub
c.JupyterHub.authenticator_class = "dummy"
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = given["folder"] + "/homes/{username}"
c.Spawner.cmd = [sys.executable, given["folder"] + "/server.py", given["folder"] + "/servers"]
c.Spawner.poll_interval = 1
# as Madang's: JupyterLab asks the broker with its server's token
c.Spawner.server_token_scopes = ["users:activity!user", "access:servers!user", scopes.ACCESS]
c.Authenticator.allow_all = True
c.JupyterHub.services = [
    {"name": "accelerators", "url": "http://127.0.0.1:%d" % given["broker"],
     "command": [sys.executable, "-m", "madang_hub.accelerators.broker"],
     "oauth_no_confirm": True, "oauth_client_allowed_scopes": [scopes.ADMIN],
     "cwd": given["folder"], "environment": given["environment"]},
    *({"name": name, "api_token": token} for name, token in given["tokens"].items()),
]
# the Hub's pages are Madang's, as far as they need no people service
root = Path(given["environment"]["MADANG_ROOT"])
settings = Settings.load(root, given["environment"])
shelf = shelf_of(Places(settings, "embedded"), offered(root, settings), Database(given["database"]))
pages.install(c, settings, shelf)
c.Spawner.options_form = pages.options_form(shelf)
c.JupyterHub.custom_scopes = scopes.CUSTOM_SCOPES
c.JupyterHub.load_roles = [
    {"name": "user", "scopes": ["self"]},
    {"name": "broker", "scopes": list(scopes.BROKER_SCOPES), "services": ["accelerators"]},
    {"name": "lending", "scopes": [scopes.ACCESS], "users": given["people"],
     "services": ["spawner", "stranger"]},
    {"name": "lending-admin", "scopes": [scopes.ADMIN], "users": ["chief"]},
    {"name": "spawner", "scopes": [scopes.DEVICES], "services": ["spawner"], "users": ["chief"]},
    {"name": "prometheus", "scopes": [scopes.ACCESS, scopes.METRICS], "services": ["prometheus"],
     "users": ["chief"]},
    {"name": "keeper", "scopes": ["admin:users", "admin:servers", "tokens", "read:services"],
     "services": ["keeper"]},
]

def refused(spawner):
    if spawner.user.name == "gone":
        raise SpawnException("No server for you.", reason="test", status_code=403)

c.Spawner.pre_spawn_hook = refused
"""


@dataclass
class Lending:
    """The stack; ``machine`` says which GPUs there are."""

    folder: Path
    ports: Mapping[str, int]
    given: dict[str, Any]
    machine: Machine
    hub: subprocess.Popen[bytes] = field(init=False)
    _tokens: dict[tuple[str, tuple[str, ...]], str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['port']}{PREFIX}"

    @property
    def database(self) -> Database:
        return Database(self.given["database"])

    def keeper(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        headers = {"Authorization": f"token {self.given['tokens']['keeper']}"}
        api = f"http://127.0.0.1:{self.ports['hub']}/hub/api{path}"
        return requests.request(method, api, headers=headers, timeout=30, **kwargs)

    def token(self, user: str, *scopes: str, fresh: bool = False) -> str:
        """A token of ``user``; without ``scopes`` one that only opens the broker, as a user server's."""
        key = (user, scopes)
        if fresh or key not in self._tokens:
            reply = self.keeper(
                "POST", f"/users/{user}/tokens", json={"scopes": list(scopes) or [ACCESS]}
            )
            assert reply.status_code == 201, reply.text
            self._tokens[key] = reply.json()["token"]
        return self._tokens[key]

    def call(
        self, method: str, path: str, token: str, body: Any = None, **headers: str
    ) -> requests.Response:
        headers = {"Authorization": f"token {token}", "Accept-Language": "en", **headers}
        return requests.request(
            method, self.url + path, headers=headers, json=body, timeout=60, allow_redirects=False
        )

    def api(self, user: str, method: str, path: str, body: Any = None) -> requests.Response:
        return self.call(method, f"api/{path}", self.token(user), body)

    def admin(self, method: str, path: str, body: Any = None) -> requests.Response:
        return self.call(method, f"api/{path}", self.token("chief", ACCESS, ADMIN), body)

    def devices(self, user: str) -> requests.Response:
        """As what starts servers asks."""
        return self.call("GET", f"api/devices/{user}", self.given["tokens"]["spawner"])

    # ---- people -----------------------------------------------------------------------------

    def vacant(self) -> dict[str, bool]:
        """The slots for which a server may wait, and whether each is kept for somebody."""
        reply = self.call("GET", "api/vacant", self.given["tokens"]["spawner"])
        assert reply.status_code == 200, reply.text
        return {slot["slot"]: slot["kept"] for slot in reply.json()["slots"]}

    def ask(self, user: str, **wish: Any) -> requests.Response:
        return self.api(user, "POST", "requests", {"kind": GPU, "minutes": 60, **wish})

    def asked(self, user: str, **wish: Any) -> dict[str, Any]:
        """A request that is taken in."""
        reply = self.ask(user, **wish)
        assert reply.status_code == 201, reply.text
        found: dict[str, Any] = reply.json()
        return found

    def step(self, user: str, identity: str, what: str, **body: Any) -> requests.Response:
        return self.api(user, "POST", f"requests/{identity}/{what}", body)

    def request(self, user: str, identity: str) -> dict[str, Any]:
        reply = self.api(user, "GET", f"requests/{identity}")
        assert reply.status_code == 200, reply.text
        found: dict[str, Any] = reply.json()
        return found

    def becomes(self, user: str, identity: str, state: str, seconds: float = 60) -> dict[str, Any]:
        """The request, as soon as it is in ``state``."""
        found: dict[str, Any] = {}

        def there() -> bool:
            nonlocal found
            found = self.request(user, identity)
            return bool(found["state"] == state)

        wait_until(there, f"{user}'s request to be {state}, not {found}", seconds)
        return found

    def overview(self, user: str) -> dict[str, Any]:
        reply = self.api(user, "GET", "")
        assert reply.status_code == 200, reply.text
        found: dict[str, Any] = reply.json()
        return found

    def server(self, user: str) -> dict[str, Any] | None:
        """The Hub's word for the server of ``user``."""
        found: dict[str, Any] = self.keeper("GET", f"/users/{user}").json()["servers"]
        return found.get("")

    def start(self, user: str, **options: str) -> None:
        """A server that nobody lent anything for."""
        assert self.keeper("POST", f"/users/{user}/server", json=options).ok
        wait_until(lambda: (self.server(user) or {}).get("ready"), f"{user}'s server")

    def meets_today(self, team: str, meets: bool = True) -> None:
        """A class that is on the whole day, or has no timetable."""
        weekly = parse_times("mon-sun 00:01-23:59 lab small") if meets else ()
        database, zone = self.database, ZoneInfo(NOON)
        try:
            Classes(database, zone).save(team, Timetable(zone, tuple(weekly)))
        finally:
            database.close()

    def stop(self, user: str) -> None:
        self.keeper("DELETE", f"/users/{user}/server")
        wait_until(lambda: self.server(user) is None, f"the end of {user}'s server")

    def clear(self, *gpus: str) -> None:
        """Nobody has or wants anything, nothing is drained, and the machine has these GPUs."""
        self.machine.has(*(Device(name) for name in gpus))
        for user in PEOPLE:
            for one in self.overview(user)["requests"]:
                if one["state"] in ("queued", "granted"):
                    self.step(user, one["id"], "leave")
                elif one["state"] == "active":
                    self.step(user, one["id"], "give-back")
            self.stop(user)
        for slot in self.admin("GET", "slots").json()["slots"]:
            if slot["drained"]:
                self.admin("POST", "slots/undrain", {"slot": slot["id"]})
        wait_until(lambda: self.free() == list(gpus), f"{gpus} to be free", 30)

    def free(self) -> list[str]:
        """The ids of the slots that could be given out now."""
        slots = self.admin("GET", "slots").json()["slots"]
        return [
            s["id"] for s in slots if s["health"] == "good" and not s["leases"] and not s["drained"]
        ]

    # ---- processes --------------------------------------------------------------------------

    @property
    def broker_pid(self) -> int:
        """Of the process that the Hub runs now; 0 while there is none."""
        return int(self.keeper("GET", "/services/accelerators").json().get("pid") or 0)

    def answers(self) -> bool:
        assert self.hub.poll() is None, (self.folder / "log").read_text()[-4000:]
        # a proxy and a broker may outlive a killed Hub by a second
        served = self.keeper("GET", "/services/accelerators").ok
        return served and requests.get(self.url + "health", timeout=5).text == "ok"

    def start_hub(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.hub = subprocess.Popen(
                [sys.executable, "-m", "jupyterhub"],
                cwd=self.folder,
                env={**os.environ, "BROKER_TEST": json.dumps(self.given)},
                stdout=log,
                stderr=log,
            )
        wait_until(self.answers, "Hub, proxy and broker")

    @contextmanager
    def hub_frozen(self) -> Iterator[None]:
        self.hub.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.hub.send_signal(signal.SIGCONT)
            wait_until(lambda: self.keeper("GET", "/users/ann").ok, "the Hub's return")

    def audit(self, action: str) -> list[tuple[str, str]]:
        """Actor and subject of the lines about ``action``, the newest first."""
        database = self.database
        try:
            return [(e.actor, e.subject) for e in Audit(database).read(action=action)]
        finally:
            database.close()


def cdi(folder: Path, uuids: Collection[str]) -> None:
    """A specification that names these GPUs; their device nodes are there on every machine."""
    node = {"path": "/dev/nvidia0", "hostPath": "/dev/null"}
    # several names for one node would be one device
    nodes = ("/dev/null", "/dev/zero", "/dev/full")
    devices = [
        {"name": uuid, "containerEdits": {"deviceNodes": [{**node, "hostPath": path}]}}
        for uuid, path in zip(uuids, nodes, strict=False)
    ]
    folder.mkdir()
    text = json.dumps({"cdiVersion": "0.5.0", "kind": GPU, "devices": devices})
    (folder / "nvidia.json").write_text(text)


def directory(database: Database) -> None:
    """People and teams, as an operator makes them."""
    found = Directory(database)
    found.save_people([Record(name) for name in PEOPLE])
    for team, people in TEAMS.items():
        found.save_team(Team(team))
        for name in people:
            roles = {m.team: m.role for m in found.memberships(person=name)}
            found.set_memberships(name, {**roles, team: "member"}, "operator")
    found.set_memberships("mia", {"class:c": "mentor"}, "operator")
    found.set_memberships("gone", {"team:a": "member"}, "operator")
    database.close()


@contextmanager
def running(
    folder: Path,
    gpus: Collection[str],
    server: Callable[[str], str] = lambda url: SERVER,
) -> Iterator[Lending]:
    """A Hub, its proxy, the broker and stand-in GPUs that can all be lent, with all they keep in ``folder``.

    ``server`` is the program of people's servers, given the proxy's address: it notes its process as
    :data:`SERVER` does.
    """
    ports = dict(zip(("port", "hub", "api", "broker"), free_ports(4), strict=True))
    data, servers = folder / "data", folder / "servers"
    for made in (data / "hub", servers, folder / "homes"):
        made.mkdir(parents=True)
    (folder / "jupyterhub_config.py").write_text(CONFIG)
    (folder / "server.py").write_text(server(f"http://127.0.0.1:{ports['port']}"))
    cdi(folder / "cdi", gpus)
    nvml.build(folder)
    machine = Machine(folder / "gpus")
    given = {
        **ports,
        "folder": str(folder),
        "people": list(PEOPLE),
        "chp": proxy_command(),
        "database": f"sqlite:///{data}/hub/hub.sqlite",
        "tokens": {
            name: os.urandom(16).hex() for name in ("keeper", "spawner", "stranger", "prometheus")
        },
        "environment": {
            "MADANG_ROOT": str(ROOT),
            "MADANG_RUNS_AS": "embedded",
            "MADANG_DATA": str(data),
            "MADANG_ADMIN": "chief",
            "MADANG_LANGUAGE": "en",
            "MADANG_TIMEZONE": NOON,
            "MADANG_ENVIRONMENTS": "lab torch-cuda",
            "MADANG_ACCELERATOR_CDI": str(folder / "cdi"),
            "MADANG_ACCELERATOR_ILL_SECONDS": "1",
            "MADANG_ACCELERATOR_BUDGETS": f"class:c={LIMIT}",
            nvml.FILE: str(machine.path),
            "LD_LIBRARY_PATH": str(folder),
            "PYTHONSAFEPATH": "1",
        },
    }
    ensure_secrets(data / "secrets")
    directory(Database(str(given["database"])))
    lending = Lending(folder, ports, given, machine)
    try:
        lending.start_hub()
        for user in PEOPLE:
            assert lending.keeper("POST", f"/users/{user}").status_code in (201, 409)
        yield lending
    finally:
        if "hub" in vars(lending):  # else it was never started
            stop(lending.hub)
        for one in servers.iterdir():
            _end(int(one.name), str(folder))


def _end(pid: int, folder: str) -> None:
    """End a server that the Hub left running, if the number is still its."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text()
        if folder in words:
            os.kill(pid, signal.SIGKILL)
    except (FileNotFoundError, ProcessLookupError):
        pass
