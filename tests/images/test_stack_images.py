"""The images of the stack's parts, each started as docker-compose.yml starts it."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest
from conftest import missing
from docker.models.containers import Container
from support.deployment import wait_for

from images.containers import CATALOG, ROOT, Ended, complaints, log_of
from madang_hub.mounter.client import NotMountedError, mount
from madang_hub.settings import Settings
from madang_hub.warm.names import slot_name

pytestmark = [pytest.mark.images, pytest.mark.engine]
SERVICE_UID = 990
PART: dict[str, Any] = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
    "tmpfs": {"/tmp": "mode=1777"},
    "network_mode": "none",
}
"""What every part of the stack has; the network of the host is left out here."""


@contextmanager
def part(engine: docker.DockerClient, image: str, **settings: Any) -> Iterator[Container]:
    """A started container of a stack image, removed at the end."""
    name = f"madang-test-{secrets.token_hex(4)}"
    made = engine.containers.create(CATALOG.reference(image), name=name, **{**PART, **settings})
    try:
        made.start()
        yield made
    finally:
        made.remove(force=True, v=True)


def healthy(container: Container) -> bool:
    container.reload()
    assert container.status == "running", log_of(container)
    return bool(container.attrs["State"]["Health"]["Status"] == "healthy")


def ask(container: Container, line: str, **environment: str) -> tuple[int, str]:
    """Exit code and output of a shell line in the container, by its own user."""
    code, output = container.exec_run(["sh", "-c", line], environment=environment)
    assert isinstance(output, bytes)
    return int(code or 0), output.decode()


def listens(container: Container) -> set[str]:
    """The TCP ports that programs of the container listen on."""
    _, table = ask(container, "cat /proc/net/tcp /proc/net/tcp6")
    rows = [line.split() for line in table.splitlines() if " 0A " in line]
    return {str(int(row[1].rsplit(":", 1)[1], 16)) for row in rows}


# ---- database -----------------------------------------------------------------------------


@dataclass
class Data:
    """The folders and secrets of a database."""

    folder: Path

    def __post_init__(self) -> None:
        for name in ("postgres", "run", "secrets"):
            (self.folder / name).mkdir(exist_ok=True)
            os.chown(self.folder / name, SERVICE_UID, SERVICE_UID)
        for name in ("hub", "mlflow"):
            self.password(name, f"{name}-{secrets.token_hex(8)}")

    def password(self, name: str, new: str) -> None:
        file = self.folder / "secrets" / f"database_{name}"
        file.write_text(new)
        file.chmod(0o600)
        os.chown(file, SERVICE_UID, SERVICE_UID)

    @property
    def volumes(self) -> dict[str, dict[str, str]]:
        return {
            str(self.folder / "postgres"): {"bind": "/var/lib/postgresql/data", "mode": "rw"},
            str(self.folder / "run"): {"bind": "/run/postgres", "mode": "rw"},
            **{
                str(self.folder / "secrets" / f"database_{n}"): {
                    "bind": f"/run/secrets/database_{n}",
                    "mode": "ro",
                }
                for n in ("hub", "mlflow")
            },
        }


@pytest.fixture
def data(tmp_path: Path) -> Data:
    if os.geteuid() != 0:
        pytest.skip("folders of another account are needed, which only root can make")
    return Data(tmp_path)


@contextmanager
def database(engine: docker.DockerClient, data: Data) -> Iterator[Container]:
    with part(engine, "database", volumes=data.volumes) as container:
        wait_for(lambda: healthy(container), "the database", 120)
        yield container


def sql(
    container: Container, statement: str, name: str = "hub", password: str = ""
) -> tuple[int, str]:
    """Run ``statement`` over the shared socket with the role's own password, or another."""
    line = f'psql -h /run/postgres -U {name} -d {name} -tAw -c "{statement}"'
    mounts = {mount["Destination"]: Path(mount["Source"]) for mount in container.attrs["Mounts"]}
    own = mounts[f"/run/secrets/database_{name}"].read_text()
    return ask(container, line, PGPASSWORD=password or own)


def test_database(engine: docker.DockerClient, data: Data) -> None:
    with database(engine, data) as container:
        assert sql(container, "SELECT 1") == (0, "1\n")
        assert sql(container, "SELECT 1", "mlflow") == (0, "1\n")
        assert sql(container, "SELECT 1", password="wrong")[0] != 0
        assert ask(container, "psql -h /run/postgres -U hub -d hub -w -c 'SELECT 1'")[0] != 0
        assert ask(container, "psql -h /run/postgres -U hub -d mlflow -w -c 'SELECT 1'")[0] != 0
        assert listens(container) == set(), "the database has a TCP port"
        # Korean in and out, the encoding and checksums that were asked for, no compiler to load
        assert sql(container, "SELECT upper('가나다 abc')") == (0, "가나다 ABC\n")
        assert sql(container, "SHOW server_encoding") == (0, "UTF8\n")
        assert sql(container, "SHOW data_checksums") == (0, "on\n")
        heavy = "SET jit_above_cost = 0; SELECT sum(x) FROM generate_series(1, 100000) AS x"
        assert sql(container, heavy) == (0, "SET\n5000050000\n")
        assert sql(container, "CREATE TABLE kept (word text)")[0] == 0
        assert sql(container, "INSERT INTO kept VALUES ('있다')")[0] == 0
        assert data.folder.joinpath("postgres", "15").stat().st_mode & 0o077 == 0
        container.stop(timeout=60)
        log = log_of(container)
        assert "database system is shut down" in log
        for role in ("hub", "mlflow"):
            assert (data.folder / "secrets" / f"database_{role}").read_text() not in log

    data.password("hub", "another password")
    with database(engine, data) as container:
        assert sql(container, "SELECT word FROM kept") == (0, "있다\n")
        assert "was not properly shut down" not in log_of(container)


def test_a_first_start_that_broke_off_begins_again(engine: docker.DockerClient, data: Data) -> None:
    half = data.folder / "postgres" / "15.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("15\n")
    for made in (half, half / "PG_VERSION"):
        os.chown(made, SERVICE_UID, SERVICE_UID)
    with database(engine, data) as container:
        assert sql(container, "SELECT 1") == (0, "1\n")
        assert not half.exists()


# ---- the other parts ----------------------------------------------------------------------


def test_tracking_server(engine: docker.DockerClient, data: Data) -> None:
    data.password("mlflow", secrets.token_hex(16))
    for name in ("tracking_token", "tracking_cookies"):
        file = data.folder / "secrets" / name
        file.write_text(secrets.token_hex(32))
        file.chmod(0o600)
        os.chown(file, SERVICE_UID, SERVICE_UID)
    artifacts = data.folder / "mlflow"
    artifacts.mkdir()
    os.chown(artifacts, SERVICE_UID, SERVICE_UID)
    volumes = {
        str(artifacts): {"bind": "/var/lib/mlflow", "mode": "rw"},
        str(data.folder / "run"): {"bind": "/run/postgres", "mode": "rw"},
        **{
            str(data.folder / "secrets" / n): {"bind": f"/run/secrets/{n}", "mode": "ro"}
            for n in ("tracking_token", "tracking_cookies", "database_mlflow")
        },
    }
    environment = {
        "MADANG_DATA": "/var/lib/madang",
        "MADANG_TRACKING_PORT": "5000",
        "MADANG_PORT": "8000",
        "MADANG_PUBLIC_URL": "",
        "JUPYTERHUB_API_URL": "http://127.0.0.1:8081/hub/api",
        "JUPYTERHUB_BASE_URL": "/",
        "JUPYTERHUB_SERVICE_PREFIX": "/services/mlflow/",
        "JUPYTERHUB_CLIENT_ID": "service-mlflow",
    }
    with (
        database(engine, data),
        part(engine, "mlflow", volumes=volumes, environment=environment) as container,
    ):
        wait_for(lambda: healthy(container), "the tracking server", 180)
        # nobody vouches for anybody here: everything but the health page is closed
        _, answer = ask(
            container,
            'python -c "import urllib.request as u; u.urlopen('
            "'http://127.0.0.1:5000/services/mlflow/api/2.0/mlflow/experiments/search?max_results=1')\"",
        )
        assert "HTTP Error 4" in answer
        assert "5000" in listens(container)
        assert container.attrs["Config"]["User"] == "990:990"


def test_proxy(engine: docker.DockerClient, tmp_path: Path) -> None:
    token = tmp_path / "proxy_token"
    token.write_text(secrets.token_hex(32))
    token.chmod(0o644)
    with part(
        engine,
        "proxy",
        command=["--ip=0.0.0.0", "--port=8000", "--api-ip=127.0.0.1", "--api-port=8001"],
        environment={"MADANG_PORT": "8000"},
        volumes={str(token): {"bind": "/run/secrets/proxy_token", "mode": "ro"}},
    ) as container:
        wait_for(lambda: healthy(container), "the proxy", 60)
        assert listens(container) == {"8000", "8001"}
        ask_api = (
            "exec 3<>/dev/tcp/127.0.0.1/8001; printf 'GET /api/routes HTTP/1.0\\r\\n%s\\r\\n' \"$HEAD\" >&3;"
            " cat <&3"
        )
        for head, status in (("", "403"), (f"Authorization: token {token.read_text()}\r\n", "200")):
            code, output = container.exec_run(["bash", "-c", ask_api], environment={"HEAD": head})
            assert isinstance(output, bytes)
            assert (code, output.decode().split()[1]) == (0, status)
        arguments = ask(container, "cat /proc/1/cmdline")[1]
        assert token.read_text() not in arguments + log_of(container)
        assert complaints(log_of(container)) == []


def test_guard_says_what_it_lacks(engine: docker.DockerClient) -> None:
    # without CAP_NET_ADMIN and its settings it must not look alive
    with part(engine, "guard", tmpfs={"/tmp": "mode=1777", "/run": "mode=0755"}) as container:
        assert container.wait(timeout=60)["StatusCode"] != 0
        assert log_of(container).strip()


WAITS = """
import json, os, socket
line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
line.connect("/run/madang/line")
socket.send_fds(line, [b"waiting"], [os.open("/proc/self/ns/mnt", os.O_RDONLY)])
while line.recv(9):
    places = ("/home/madang", "/run/madang")
    seen = {place: sorted(os.listdir(place)) for place in places if os.path.exists(place)}
    line.send(json.dumps(seen).encode())
"""


def test_mounter(engine: docker.DockerClient, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        missing("root, who alone can make a home of another account,")
    homes, slots, sockets = (tmp_path / name for name in ("homes", "warm", "mounter"))
    slot = slots / slot_name()
    home = homes / "kim"
    for folder in (home, slot, sockets):
        folder.mkdir(parents=True)
    (home / "of-kim").touch()
    os.chown(home, 1000, 1000)
    how: dict[str, Any] = {
        "cap_add": ["SYS_ADMIN", "SYS_CHROOT"],
        "security_opt": ["no-new-privileges:true", "apparmor:unconfined"],
        "command": [
            *("python", "-m", "madang_hub.mounter", f"--homes={homes}", f"--slots={slots}"),
            f"--socket={sockets / 'mounter.sock'}",
        ],
        "volumes": {
            str(folder): {"bind": str(folder), "mode": mode}
            for folder, mode in ((homes, "rw"), (slots, "ro"), (sockets, "rw"))
        },
    }
    # as a warm server's: the engine's own seccomp and AppArmor, and a person's limits
    waits: dict[str, Any] = {
        "entrypoint": ["python", "-c", WAITS],
        "user": "1000:1000",
        "tmpfs": {"/run": "rw,nosuid,nodev,noexec,mode=0755"},
        "volumes": {str(slot): {"bind": "/run/madang", "mode": "ro"}},
        "init": True,
    }
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening,
        part(engine, "hub", **how) as mounter,
    ):
        listening.bind(str(slot / "line"))
        (slot / "line").chmod(0o666)
        listening.listen()
        listening.settimeout(60)
        wait_for(lambda: "listening" in log_of(mounter), "the mounter", 60)
        with part(engine, "lab", **waits), listening.accept()[0] as line:
            _, (namespace, *_), _, _ = socket.recv_fds(line, 99, 1)

            def seen() -> Any:
                line.send(b"look")
                return json.loads(line.recv(9999))

            before = seen()
            assert before["/run/madang"] == ["line"]
            with pytest.raises(NotMountedError, match="the name of the home is not one"):
                mount(sockets / "mounter.sock", "../kim", slot.name, namespace)
            assert seen() == before
            mount(sockets / "mounter.sock", "kim", slot.name, namespace)
            assert seen() == {"/home/madang": ["of-kim"]}
            assert str(home) not in Path("/proc/self/mountinfo").read_text()
            with pytest.raises(NotMountedError, match="no place for a home and a line"):
                mount(sockets / "mounter.sock", "kim", slot.name, namespace)
            os.close(namespace)
        mounter.stop(timeout=20)
        mounter.reload()
        assert mounter.attrs["State"]["ExitCode"] == 0
        assert complaints(log_of(mounter)) == []
    assert list(home.iterdir()) == [home / "of-kim"]


def test_mounter_is_there_only_where_warm_servers_are_on(
    engine: docker.DockerClient, tmp_path: Path
) -> None:
    instance = f"t{secrets.token_hex(3)}"
    for folder in ("homes", "run/warm", "run/mounter"):
        (tmp_path / "data" / folder).mkdir(parents=True)

    def there() -> list[Container]:
        label = f"madang.stack={instance}"
        found: list[Container] = engine.containers.list(all=True, filters={"label": label})
        return found

    def up(warm: str) -> list[Container]:
        data = {"MADANG_DATA": str(tmp_path / "data"), "MADANG_INSTANCE": instance}
        environ = {
            **os.environ,
            **Settings.load(tmp_path, {**data, "MADANG_WARM": warm}).environ(),
            "MADANG_RELEASE": CATALOG.release,
            "MADANG_ENGINE_SOCKET": os.devnull,
            "COMPOSE_PROJECT_NAME": instance,
        }
        files = ["--file", str(ROOT / "docker-compose.yml"), "--env-file", os.devnull]
        command = ["docker", "compose", *files, "up", "--detach", "--pull", "never", "mounter"]
        subprocess.run(command, env=environ, capture_output=True, check=True)
        return there()

    try:
        assert up("0") == []
        (made,) = up("1")
        wait_for(lambda: "listening" in log_of(made), "the mounter", 60)
        added = made.attrs["HostConfig"]["CapAdd"]
        assert {name.removeprefix("CAP_") for name in added} == {"SYS_ADMIN", "SYS_CHROOT"}
        assert up("0") == [], "switched off, it must go"
    finally:
        for left in there():
            left.remove(force=True)


@pytest.mark.parametrize(
    "command",
    [
        "python -m madang_hub --help",
        "python -m madang_hub.engine.gateway --help",
        "python -m madang_hub.mounter --help",
        "jupyterhub --version",
    ],
)
def test_hub_has_its_programs(in_image: Callable[..., Ended], command: str) -> None:
    done = in_image("hub", command)
    assert done.code == 0, done.log
    assert done.log.strip()


def test_hub_has_its_pages_and_every_file_they_load(in_image: Callable[..., Ended]) -> None:
    done = in_image(
        "hub",
        "cd /opt/madang/share/jupyterhub/static/css && "
        "grep -o 'url([^)]*\\|@import *[^;]*' style.min.css | "
        "sed -E 's/^(url\\(|@import *(url\\()?)//; s/[\"()]//g; s/[?#].*//' | grep -v '^data:' | sort -u | "
        'while read -r file; do [ -e "$file" ] || echo "missing: $file"; done',
    )
    assert "missing" not in done.log, done.log


def test_mlflow_works_without_what_is_left_out(in_image: Callable[..., Ended]) -> None:
    done = in_image("mlflow", "/opt/madang/bin/python /units/mlflow/server.py")
    assert done.code == 0, done.log
