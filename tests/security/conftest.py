"""A machine with user servers on it, made by the same rules, gateway and guard as in server mode.

The user servers here run a small image, so that these tests need no build. What is started and how
comes from ``madang_hub.user_container.host_config`` and ``madang_hub.isolation.networks``, through a real
gateway, and the guard is the real script.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import APIError, DockerException, ImageNotFound
from docker.utils import kwargs_from_env
from support.deployment import wait_for
from support.tables import environment, size, table

from madang_hub.catalog import Catalog, Choice
from madang_hub.isolation import networks
from madang_hub.user_container import SERVER_PORT, host_config
from madang_hub.warm.names import PROGRAM

ROOT = Path(__file__).resolve().parents[2]
BASE = "debian:bookworm-slim"
"""What every image of ours stands on; it has bash and perl."""

TABLE = table(
    size(cpu=0.5, memory="256M", pids=64),
    environment("security-test", ("시험", "Test"), ("시험", "Test"), folder="."),
    release="0",
    environment="security-test",
)

SERVE = """
use IO::Socket::INET;
my $listener = IO::Socket::INET->new(LocalPort => shift, Listen => 16, ReuseAddr => 1) or die $!;
while (my $client = $listener->accept) { print $client "hello\\n"; close $client }
"""
"""A server that greets whoever connects (perl, because the small image has it)."""


def _run(*words: str, check: bool = True, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(words, capture_output=True, text=True, check=False, **kwargs)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(words)}: {done.stdout}{done.stderr}")
    return done


# ---- the guard -----------------------------------------------------------------------------------


@dataclass
class Guard:
    """The guard's script as a process, for the bridges ``prefix``."""

    folder: Path
    prefix: str
    port: int
    allow: str = ""
    process: subprocess.Popen[str] | None = None

    @property
    def file(self) -> Path:
        return self.folder / "guard.json"

    @property
    def log(self) -> str:
        return (self.folder / "guard.log").read_text()

    @property
    def environ(self) -> dict[str, str]:
        return {
            **os.environ,
            "MADANG_BRIDGE_PREFIX": self.prefix,
            "MADANG_PORT": str(self.port),
            "MADANG_ALLOW_NETWORKS": self.allow,
            "MADANG_GUARD_FILE": str(self.file),
            "MADANG_GUARD_INTERVAL": "1",
            "XTABLES_LOCKFILE": str(self.folder / "lock"),
        }

    def call(
        self, *words: str, check: bool = True, timeout: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        script = str(ROOT / "images" / "guard" / "guard")
        return _run("sh", script, *words, check=check, timeout=timeout, env=self.environ)

    @property
    def time(self) -> float:
        try:
            return float(json.loads(self.file.read_text())["time"])
        except (OSError, ValueError):
            return 0.0

    def start(self) -> None:
        with (self.folder / "guard.log").open("a") as log:
            self.process = subprocess.Popen(
                ["sh", str(ROOT / "images" / "guard" / "guard")],
                env=self.environ,
                stderr=log,
                stdout=log,
                text=True,
            )
        wait_for(lambda: self.time > 0, "the guard's first heartbeat", 20)

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(20)
            self.process = None

    def remove(self) -> None:
        self.stop()
        self.call("remove")

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Without the guard's rules, and with them again."""
        self.remove()
        try:
            yield
        finally:
            self.start()


# ---- machine and servers -------------------------------------------------------------------------


@dataclass
class Server:
    """A user server; ``inside`` runs a shell command in it, as its user."""

    client: docker.APIClient
    identity: str
    plan: networks.NetworkPlan
    user: str

    def inside(self, script: str, seconds: int = 60) -> str:
        """What ``script`` (bash) prints, errors included. It is run by the engine, not through the
        gateway: that lets nobody run anything in a container."""
        command = ["timeout", str(seconds), "bash", "-c", script]
        made = self.client.exec_create(self.identity, command)
        output: bytes = self.client.exec_start(made["Id"])
        return output.decode(errors="replace")

    def reaches(self, host: str, port: int) -> bool:
        """Whether a TCP connection to ``host`` ``port`` opens (2 seconds)."""
        said = self.inside(f"timeout 2 bash -c '</dev/tcp/{host}/{port}' 2>&1 && echo open; true")
        return said.strip().endswith("open")

    @property
    def running(self) -> bool:
        return bool(self.client.inspect_container(self.identity)["State"]["Running"])


@dataclass
class Machine:
    """The engine beside (``direct``) and through (``gate``) the gateway, and what was started."""

    folder: Path
    instance: str
    pool: IPv4Network
    prefix: str
    catalog: Catalog
    direct: docker.APIClient
    gate: docker.APIClient
    port: int
    servers: list[Server] = field(default_factory=list)

    @property
    def homes(self) -> Path:
        return self.folder / "homes"

    @property
    def choice(self) -> Choice:
        environment = self.catalog.environments["security-test"]
        return Choice(environment, self.catalog.sizes["small"])

    def plan(self, index: int) -> networks.NetworkPlan:
        return networks.plan(self.pool, index, instance=self.instance, prefix=self.prefix)

    def wanted(self, user: str, plan: networks.NetworkPlan, choice: Choice) -> dict[str, Any]:
        """Arguments of docker-py's ``create_container``, as MadangSpawner and DockerSpawner give."""
        settings = host_config(plan, choice, self.homes / user)
        host = self.gate.create_host_config(
            mem_limit=choice.size.memory,
            cpu_period=100_000,
            cpu_quota=int(choice.size.cpu * 100_000),
            links={},
            mounts=[],
            **settings,
        )
        endpoint = self.gate.create_endpoint_config(ipv4_address=str(plan.address))
        ends: Any = {plan.name: endpoint}
        return {
            "image": self.catalog.reference("security-test"),
            "command": ["perl", "-e", SERVE, str(SERVER_PORT)],
            "name": f"{self.instance}-user-{user}",
            "user": "1000:1000",
            "hostname": user,
            "volumes": [],
            "ports": {f"{SERVER_PORT}/tcp": None},
            "labels": {"madang.instance": self.instance, "madang.user": user, "madang.server": ""},
            "host_config": host,
            "networking_config": self.gate.create_networking_config(ends),
        }

    def start(self, user: str, **limits: Any) -> Server:
        """A user server, made through the gateway."""
        home = self.homes / user
        home.mkdir(mode=0o700)
        os.chown(home, 1000, 1000)
        plan = self.plan(len(self.servers))
        choice = self.choice
        choice = replace(choice, size=replace(choice.size, **limits))
        self.gate.create_network(**networks.create_kwargs(plan))
        made = self.gate.create_container(**self.wanted(user, plan, choice))
        server = Server(self.direct, made["Id"], plan, user)
        self.servers.append(server)
        self.gate.start(server.identity)
        wait_for(lambda: greeted(str(plan.address), SERVER_PORT), f"{user}'s server", 30)
        return server

    def start_unprotected(self) -> Server:
        """The same server without its protections, which the gateway would refuse.

        What the hostile tests look for must be found here, or they prove nothing.
        """
        plan = self.plan(len(self.servers))
        body = self.wanted("nobody", plan, self.choice)
        (self.homes / "nobody").mkdir()
        host = body["host_config"]
        for key in (
            "CapDrop",
            "SecurityOpt",
            "PidsLimit",
            "Memory",
            "MemorySwap",
            "ReadonlyRootfs",
        ):
            del host[key]
        self.direct.create_network(**networks.create_kwargs(plan))
        made = self.direct.create_container(**{**body, "user": "0:0"})
        server = Server(self.direct, made["Id"], plan, "nobody")
        self.servers.append(server)
        self.direct.start(server.identity)
        wait_for(lambda: greeted(str(plan.address), SERVER_PORT), "the unprotected server", 30)
        return server

    def remove(self) -> None:
        """Everything of this instance, whatever happened to it."""
        label = {"label": f"madang.instance={self.instance}"}
        for container in self.direct.containers(all=True, filters=label):
            self.direct.remove_container(container["Id"], force=True, v=True)
        for network in self.direct.networks(filters=label):
            self.direct.remove_network(network["Id"])


def greeted(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), 2) as connection:
            return connection.recv(5) == b"hello"
    except OSError:
        return False


@contextlib.contextmanager
def listener(host: str = "0.0.0.0", port: int = 0) -> Iterator[int]:
    """A port of the machine that takes connections (the kernel does, nobody needs to accept)."""
    with socket.socket() as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(64)
        yield int(made.getsockname()[1])


@pytest.fixture(scope="session")
def public_port() -> Iterator[int]:
    """The port that stands for the proxy's."""
    with listener() as port:
        yield port


@pytest.fixture(scope="session")
def guard(engine: docker.DockerClient, public_port: int) -> Iterator[Guard]:
    """The guard, running."""
    if os.geteuid() != 0:
        pytest.skip("firewall rules need root")
    made = Guard(Path(tempfile.mkdtemp(prefix="madang-guard-")), "mds", public_port)
    made.start()
    yield made
    made.remove()
    shutil.rmtree(made.folder)


def small_image(api: docker.APIClient) -> None:
    """The image of these tests: with a program of the name that waits in ours, and it does wait."""
    program = b"#!/bin/sh\nexec sleep infinity\n"
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as made:
        entry = tarfile.TarInfo(PROGRAM)
        entry.size, entry.mode = len(program), 0o755
        made.addfile(entry, io.BytesIO(program))
    container = api.create_container(BASE, ["true"])["Id"]
    try:
        api.put_archive(container, "/usr/local/bin", archive.getvalue())
        api.commit(container, "madang/security-test", "0")
    finally:
        api.remove_container(container)


@pytest.fixture(scope="session")
def machine(engine: docker.DockerClient, guard: Guard, public_port: int) -> Iterator[Machine]:
    """A gateway in front of the engine, ready to start user servers."""
    try:
        engine.images.get(BASE)
    except ImageNotFound:
        engine.images.pull(BASE)
    small_image(engine.api)
    folder = Path(tempfile.mkdtemp(prefix="madang-"))
    (folder / "homes").mkdir(mode=0o755)
    folder.chmod(0o755)
    (folder / "images.toml").write_text(TABLE)
    instance = f"s{secrets.token_hex(3)}"
    pool = IPv4Network("10.215.0.0/24")
    process = subprocess.Popen(
        [
            sys.executable, "-m", "madang_hub.engine.gateway",
            "--engine", os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"),
            "--catalog", str(folder / "images.toml"), "--listen", str(folder / "gate.sock"),
            "--check-homes",
        ],
        env={
            **os.environ, "MADANG_INSTANCE": instance, "MADANG_NETWORK": str(pool),
            "MADANG_BRIDGE_PREFIX": guard.prefix, "MADANG_DATA": str(folder),
        },
        stderr=(log := (folder / "gate.log").open("w")),
    )  # fmt: skip
    wait_for(lambda: (folder / "gate.sock").is_socket(), "the gateway's socket", 30)
    direct = docker.APIClient(version="auto", **kwargs_from_env())
    gate = docker.APIClient(f"unix://{folder}/gate.sock", version="auto")
    made = Machine(
        folder, instance, pool, guard.prefix, Catalog.load(folder / "images.toml"), direct, gate,
        public_port,
    )  # fmt: skip
    yield made
    made.remove()
    for client in (gate, direct):
        client.close()
    process.terminate()
    process.wait(20)
    log.close()
    with contextlib.suppress(APIError, DockerException):
        engine.images.remove("madang/security-test:0")
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def alice(machine: Machine) -> Server:
    """The server that attacks."""
    return machine.start("alice")


@pytest.fixture(scope="session")
def bob(machine: Machine) -> Server:
    """The server of somebody else."""
    return machine.start("bob")


@pytest.fixture(scope="session")
def unprotected(machine: Machine) -> Server:
    """A server to try the detectors on."""
    return machine.start_unprotected()


# ---- the network around the machine --------------------------------------------------------------


@dataclass
class Outside:
    """Another machine beside this one: a network name space with addresses of each kind."""

    name: str
    private: str = "10.99.99.2"
    metadata: str = "169.254.169.254"
    public: str = "198.51.100.2"
    port: int = 8080

    def run(self, *words: str, check: bool = True) -> str:
        return _run("ip", "netns", "exec", self.name, *words, check=check).stdout


@pytest.fixture(scope="session")
def outside(guard: Guard) -> Iterator[Outside]:
    """A neighbour that listens at a private, a metadata and a public address."""
    other = Outside(f"mdsec{secrets.token_hex(2)}")
    link = f"mv{secrets.token_hex(3)}"
    _run("ip", "netns", "add", other.name)
    process = None
    try:
        _run("ip", "link", "add", link, "type", "veth", "peer", "name", "out", "netns", other.name)
        for mine, theirs in [
            ("10.99.99.1/30", other.private),
            ("169.254.169.253/30", other.metadata),
            ("198.51.100.1/30", other.public),
        ]:
            _run("ip", "addr", "add", mine, "dev", link)
            other.run("ip", "addr", "add", f"{theirs}/{mine.split('/')[1]}", "dev", "out")
        _run("ip", "link", "set", link, "up")
        other.run("ip", "link", "set", "out", "up")
        other.run("ip", "route", "add", "default", "via", "10.99.99.1")
        process = subprocess.Popen(
            ["ip", "netns", "exec", other.name, "perl", "-e", SERVE, str(other.port)]
        )
        wait_for(lambda: greeted(other.private, other.port), "the neighbour", 20)
        yield other
    finally:
        if process is not None:
            process.terminate()
            process.wait(20)
        _run("ip", "link", "del", link, check=False)
        _run("ip", "netns", "del", other.name)


def now() -> float:
    return time.time()
