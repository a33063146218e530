"""Containers of the built images: user images as the spawner runs them, stack images as compose does."""

from __future__ import annotations

import json
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Network
from pathlib import Path

import docker
import requests
from docker.errors import APIError
from docker.models.containers import Container
from support.deployment import wait_for

from madang_hub.catalog import Catalog, Choice
from madang_hub.homes import ensure_home
from madang_hub.isolation import networks
from madang_hub.user_container import HUB_HOST, SERVER_PORT, host_config

ROOT = Path(__file__).resolve().parents[2]
CATALOG = Catalog.load(ROOT / "images" / "images.toml")
UNITS = Path(__file__).parent / "units"
POOL = IPv4Network("10.217.0.0/24")


def _chosen(wish: str) -> tuple[str, ...]:
    """The images that are checked: what every installation has and PyTorch; with MADANG_TEST_IMAGES
    those that it names, or (``built``) every one that this engine has."""
    borrowed = {image.tool for image in CATALOG.images.values()}
    images = {name: image for name, image in CATALOG.images.items() if name not in borrowed}
    if not wish:
        return tuple(n for n, image in images.items() if image.install == "always" or n == "torch")
    if wish != "built":
        return tuple(wish.split())
    client = docker.DockerClient.from_env()
    here = {tag for image in client.images.list() for tag in image.tags}
    client.close()
    return tuple(name for name in images if CATALOG.reference(name) in here)


IMAGES = _chosen(os.environ.get("MADANG_TEST_IMAGES", ""))
USER_IMAGES = tuple(name for name in IMAGES if "base" in CATALOG.lineage(name))
PYTHON_IMAGES = tuple(n for n in IMAGES if n in (*USER_IMAGES, "hub", "mlflow", "dashboard"))
TOKEN = "t" * 32

TOLERATED = {
    "'extra_template_paths' was found in both NotebookApp and ServerApp": "JupyterLab's shim for "
    "settings of the classic notebook; says nothing about ours",
    "websocket_ping_timeout (90000) cannot be longer": "Jupyter Server's own defaults, which Tornado "
    "corrects to the interval",
    "received signal 15, stopping": "we stop it",
    "is not trusted": "Voila's word for a notebook without stored outputs' signature; it runs all anew",
}
"""Words of log lines at WARNING or above that may appear, and why."""


def complaints(log: str) -> list[str]:
    """Lines of ``log`` that a person who reads logs would stop at."""
    marks = ("[W ", "[E ", "[C ", "WARNING", "ERROR", "FATAL", "Traceback", "Warning:")
    return [
        line
        for line in log.splitlines()
        if any(mark in line for mark in marks) and not any(words in line for words in TOLERATED)
    ]


class Hub(BaseHTTPRequestHandler):
    """As much of the Hub as a single-user server asks for: version, whose token this is, activity."""

    def do_GET(self) -> None:
        self._send(
            {
                "version": "6.1.1",
                "name": "kim",
                "kind": "user",
                "admin": False,
                "groups": [],
                "scopes": ["access:servers!user=kim/"],
            }
        )

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._send({})

    def _send(self, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("X-JupyterHub-Version", "6.1.1")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *words: object) -> None:
        """Nothing: a test's output is the containers'."""


def log_of(container: Container) -> str:
    """All that ``container`` has said."""
    log = container.logs()
    assert isinstance(log, bytes)
    return log.decode()


@dataclass
class Ended:
    """A container that has run: how it ended, and all that it said."""

    code: int
    log: str


@dataclass
class Running:
    """A user server of ``image``; ``url`` ends without a slash."""

    container: Container
    url: str
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.session.headers["Authorization"] = f"token {TOKEN}"

    @property
    def log(self) -> str:
        return log_of(self.container)

    def run(self, *command: str) -> str:
        """Run a command in the container; its output."""
        code, output = self.container.exec_run(list(command))
        assert isinstance(output, bytes)
        assert code == 0, output.decode()
        return output.decode()

    def answers(self) -> bool:
        self.container.reload()
        assert self.container.status == "running", self.log
        try:
            return bool(self.session.get(f"{self.url}/api/status", timeout=5).ok)
        except requests.RequestException:
            return False

    @property
    def health(self) -> str:
        self.container.reload()
        return str(self.container.attrs["State"]["Health"]["Status"])


@dataclass
class Place:
    """Where a person's containers run: a network and a home, as the spawner makes them."""

    engine: docker.DockerClient
    network: networks.NetworkPlan
    hub_port: int
    home: Path
    choice: Choice

    @contextmanager
    def container(self, image: str, command: list[str], **environment: str) -> Iterator[Container]:
        """A started container of ``image``, removed at the end."""
        api = self.engine.api
        settings = host_config(self.network, self.choice, self.home)
        settings["binds"] = {
            **settings["binds"],
            str(UNITS): {"bind": "/units", "mode": "ro"},
            str(ROOT / "locks"): {"bind": "/locks", "mode": "ro"},
        }
        size = self.choice.size
        endpoint = api.create_endpoint_config(ipv4_address=str(self.network.address))
        prefix = "/user/kim/"
        hub = f"http://{HUB_HOST}:{self.hub_port}/hub/api"
        made = api.create_container(
            CATALOG.reference(image),
            command,
            user="1000:1000",
            name=f"madang-test-{secrets.token_hex(4)}",
            environment={
                "JUPYTERHUB_API_TOKEN": TOKEN,
                "JUPYTERHUB_API_URL": hub,
                "JUPYTERHUB_ACTIVITY_URL": f"{hub}/users/kim/activity",
                "JUPYTERHUB_BASE_URL": "/",
                "JUPYTERHUB_CLIENT_ID": "jupyterhub-user-kim",
                "JUPYTERHUB_DEFAULT_URL": "/lab",
                "JUPYTERHUB_HOST": "",
                "JUPYTERHUB_OAUTH_ACCESS_SCOPES": '["access:servers!user=kim/"]',
                "JUPYTERHUB_SERVER_NAME": "",
                "JUPYTERHUB_SERVICE_PREFIX": prefix,
                "JUPYTERHUB_SERVICE_URL": f"http://0.0.0.0:{SERVER_PORT}{prefix}",
                "JUPYTERHUB_USER": "kim",
                "MADANG_LANG": "ko",
                **environment,
            },
            # the image's own check, without the minute between two looks
            healthcheck={"Interval": 2 * 10**9, "StartPeriod": 10**6},
            host_config=api.create_host_config(
                **settings,
                mem_limit=size.memory,
                cpu_period=100_000,
                cpu_quota=int(size.cpu * 100_000),
            ),
            networking_config=api.create_networking_config({self.network.name: endpoint}),  # type: ignore[arg-type]  # a mapping, say docker's documents
        )
        container = self.engine.containers.get(made["Id"])
        try:
            container.start()
            yield container
        finally:
            container.remove(force=True, v=True)

    def run(self, image: str, *command: str, **environment: str) -> Ended:
        """Run ``command`` in ``image`` to its end."""
        with self.container(image, list(command), **environment) as container:
            code = container.wait(timeout=300)["StatusCode"]
            return Ended(int(code), log_of(container))

    @contextmanager
    def server(self, image: str, **environment: str) -> Iterator[Running]:
        """A user server that answers."""
        with self.container(image, ["jupyterhub-singleuser"], **environment) as container:
            url = f"http://{self.network.address}:{SERVER_PORT}/user/kim"
            running = Running(container, url)
            wait_for(running.answers, "the user server's answer", 180)
            yield running


@contextmanager
def network_of(engine: docker.DockerClient, bridge: str = "mdi") -> Iterator[networks.NetworkPlan]:
    """A network like a user server's, with the first index that nobody has."""
    instance = f"images{secrets.token_hex(2)}"
    for index in range(networks.capacity(POOL)):
        plan = networks.plan(POOL, index, instance=instance, prefix=bridge)
        try:
            engine.api.create_network(**networks.create_kwargs(plan))
        except APIError as error:
            if error.status_code in (400, 403, 409, 500):
                continue
            raise
        break
    else:
        raise AssertionError(f"no network of {POOL} can be made")
    try:
        yield plan
    finally:
        engine.api.remove_network(plan.name)


@contextmanager
def place_on(engine: docker.DockerClient, homes: Path) -> Iterator[Place]:
    """A person's place, with a Hub on the host that the containers find under its usual name."""
    homes.chmod(0o755)
    with network_of(engine) as plan:
        server = ThreadingHTTPServer((str(plan.gateway), 0), Hub)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            environment = CATALOG.environments[CATALOG.default[0]]
            choice = Choice(environment, CATALOG.sizes["medium"])
            yield Place(
                engine, plan, int(server.server_address[1]), ensure_home(homes, "kim"), choice
            )
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
