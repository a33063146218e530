"""What an operator does: up, again up, down, reset, doctor, config; and where secrets are seen."""

from __future__ import annotations

import contextlib
import http.server
import json
import shutil
import socket
import socketserver
import stat
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
import requests
from support.deployment import ROOT, Deployment, wait_for
from support.people import Person, newcomer

pytestmark = pytest.mark.timeout(900)


@dataclass
class Operator:
    """Somebody at the command line of one installation."""

    deployment: Deployment

    def types(self, *words: str, answer: str = "", **environ: str) -> tuple[int, str]:
        """``madang WORDS``; exit status and everything it printed."""
        done = subprocess.run(
            [str(ROOT / "scripts" / "madang"), *words],
            env={**self.deployment.environ, **environ},
            input=answer,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    @property
    def secrets(self) -> dict[str, str]:
        folder = self.deployment.data / "secrets"
        files = (p for p in folder.iterdir() if p.is_file())
        return {p.name: p.read_text(encoding="ascii").strip() for p in files}

    def processes(self) -> dict[int, int]:
        """Processes of this installation (their environment names its data): pid and start time."""
        mark = str(self.deployment.data).encode()
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if mark in (folder / "environ").read_bytes():
                    fields = (folder / "stat").read_text().rpartition(")")[2].split()
                    found[int(folder.name)] = int(fields[19])
        return found

    def containers(self) -> dict[str, str]:
        """Ids and start times of the stack's and users' containers."""
        if self.deployment.mode == "embedded":
            return {}
        with contextlib.closing(docker.DockerClient.from_env()) as engine:
            every = [
                *engine.containers.list(all=True, filters={"label": [self._stack]}),
                *engine.containers.list(all=True, filters={"label": [self._users]}),
            ]
            return {str(c.id): str(c.attrs["State"]["StartedAt"]) for c in every}

    def networks(self) -> list[str]:
        if self.deployment.mode == "embedded":
            return []
        with contextlib.closing(docker.DockerClient.from_env()) as engine:
            return [str(n.name) for n in engine.networks.list(filters={"label": self._users})]

    @property
    def _stack(self) -> str:
        return f"madang.stack={self.deployment.instance}"

    @property
    def _users(self) -> str:
        return f"madang.instance={self.deployment.instance}"

    def everything(self) -> str:
        """What anybody with an account on the machine or with its logs could read about the stack."""
        deployment = self.deployment
        seen = _commands()
        seen += [
            p.read_text(encoding="utf-8", errors="replace")
            for p in (deployment.data / "log").rglob("*")
            if p.is_file()
        ]
        conf = deployment.data / "run" / "supervisord.conf"
        if conf.exists():
            seen.append(conf.read_text(encoding="utf-8"))
        for identity in self.containers():
            seen.append(_output("docker", "inspect", identity))
            seen.append(_output("docker", "logs", identity))
        return "\n".join(seen)


def _commands() -> list[str]:
    """The command lines of all processes of the machine."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # ended meanwhile
            found.append(path.read_bytes().decode("utf-8", "replace"))
    return found


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True, errors="replace")
    return done.stdout + done.stderr


@pytest.fixture(
    params=[pytest.param("server", marks=pytest.mark.engine), "embedded"], scope="module"
)
def operator(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operator]:
    """An installation of this module's own, up."""
    if request.param == "server":
        request.getfixturevalue("engine")
    deployment = Deployment(
        request.param,
        tmp_path_factory.mktemp("operation") / "data",
        network="10.232.0.0/24",
    )
    try:
        deployment.up()
        yield Operator(deployment)
    finally:
        deployment.remove()


@pytest.fixture(scope="module")
def minji(operator: Operator) -> Person:
    """Somebody with a running server and a file."""
    person = newcomer(operator.deployment, "minji")
    person.start(environment="lab", size="small")
    person.run("open('kept.txt', 'w').write('kept')")
    return person


def test_up_again_changes_nothing(operator: Operator, minji: Person) -> None:
    containers, processes, secrets = operator.containers(), operator.processes(), operator.secrets
    assert operator.types("up")[0] == 0
    assert operator.containers() == containers
    assert operator.secrets == secrets
    after = operator.processes()
    if operator.deployment.mode == "embedded":
        assert containers == {}
        assert processes
        assert after == processes
    assert minji.server_ready


def test_secret_files_are_their_owners_alone(operator: Operator) -> None:
    folder = operator.deployment.data / "secrets"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = [p for p in folder.rglob("*") if not p.is_dir()]
    assert len(files) >= 8
    assert {stat.S_IMODE(p.stat().st_mode) for p in folder.rglob("*") if p.is_dir()} <= {0o700}
    assert {stat.S_IMODE(p.stat().st_mode) for p in files} == {0o600}
    assert all(len(value) >= 48 for value in operator.secrets.values())


def test_no_secret_is_seen(operator: Operator, minji: Person) -> None:
    everything = operator.everything()
    assert "jupyterhub" in everything.lower()
    assert [name for name, value in operator.secrets.items() if value in everything] == []
    assert minji.password not in everything
    # the detector: a secret on a command line is found
    secret = operator.secrets["proxy_token"]
    with subprocess.Popen(["sh", "-c", "read line", secret], stdin=subprocess.PIPE) as process:
        # a program that has just begun has no arguments yet
        wait_for(lambda: secret in operator.everything(), "the secret on the command line")
        process.communicate(b"\n")


def test_config_shows_settings_and_no_secret(operator: Operator) -> None:
    status, output = operator.types("config", "show")
    assert status == 0
    lines = dict(line.split("=", 1) for line in output.splitlines())
    assert lines["MADANG_DATA"] == str(operator.deployment.data)
    assert lines["MADANG_PORT"] == str(operator.deployment.port)
    assert lines["MADANG_INSTANCE"] == operator.deployment.instance
    assert not [value for value in operator.secrets.values() if value in output]


def test_doctor_finds_nothing_on_a_healthy_machine(operator: Operator) -> None:
    status, output = operator.types("doctor")
    assert "BAD" not in output
    assert status == 0
    assert "Madang is running on them" in output
    assert f"{operator.deployment.mode} mode" in output


def test_down_stops_everything_and_up_brings_it_back(operator: Operator, minji: Person) -> None:
    status, output = operator.types("down")
    assert status == 0
    assert str(operator.deployment.data) in output
    assert operator.containers() == {}
    assert operator.networks() == []
    wait_for(lambda: not operator.processes(), "the last process to end", 10)
    with pytest.raises(requests.ConnectionError):
        requests.get(operator.deployment.url, timeout=5)
    home = operator.deployment.data / "homes" / "minji"
    assert (home / "kept.txt").read_text() == "kept"
    secrets = operator.secrets
    status, output = operator.types("down")
    assert status == 0
    assert "Nothing was running" in output

    status, output = operator.types("up")
    assert status == 0
    assert "one-time password  " not in output, "nobody is given a new password"
    assert operator.secrets == secrets
    # the sign-in of before is still good, the server is off and starts again
    assert not minji.model().get("servers")
    minji.start(environment="lab", size="small")
    assert minji.run("print(open('kept.txt').read())").strip() == "kept"


@contextlib.contextmanager
def listening(port: int) -> Iterator[None]:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        yield


def test_doctor_names_a_port_that_is_taken(operator: Operator) -> None:
    assert operator.types("down")[0] == 0
    try:
        with listening(operator.deployment.tracking_port):
            status, output = operator.types("doctor")
        assert status == 1, output
        taken = f"MADANG_TRACKING_PORT={operator.deployment.tracking_port}: another program"
        assert taken in output
        assert "set another number in madang.env" in output
        status, output = operator.types("doctor")
        assert status == 0, output
        assert "are free" in output
    finally:
        status, output = operator.types("up")
    assert status == 0, output


@pytest.mark.parametrize("answer", ["", "yes\n", "madang\n", "y\n"])
def test_reset_asks_and_a_wrong_answer_deletes_nothing(operator: Operator, answer: str) -> None:
    containers = operator.containers()
    status, output = operator.types("reset", answer=answer)
    assert status == 1
    assert "cannot be undone" in output
    assert "Nothing was deleted." in output
    assert operator.containers() == containers
    assert (operator.deployment.data / "homes" / "minji" / "kept.txt").read_text() == "kept"
    assert requests.get(f"{operator.deployment.url}/hub/health", timeout=10).ok


def test_reset_with_the_right_answer_deletes_all(operator: Operator) -> None:
    status, output = operator.types("reset", answer=f"{operator.deployment.instance}\n")
    assert status == 0, output
    assert not operator.deployment.data.exists()
    assert operator.containers() == {}
    assert operator.networks() == []
    wait_for(lambda: not operator.processes(), "the last process to end", 10)


# ---- machines that are not as they should be -------------------------------------------------------


@pytest.fixture
def visitor(tmp_path: Path) -> Operator:
    """An installation that was never started."""
    return Operator(Deployment("embedded", tmp_path / "data"))


def test_doctor_names_the_line_of_a_wrong_table(visitor: Operator, tmp_path: Path) -> None:
    root = tmp_path / "checkout"
    (root / "images").mkdir(parents=True)
    (root / "build").mkdir()
    (root / "build" / "env").symlink_to(ROOT / "build" / "env")
    (root / "locks").symlink_to(ROOT / "locks")
    table = (ROOT / "images" / "images.toml").read_text(encoding="utf-8")
    wrong = table.replace('memory = "2G"', 'memory = "2 pigs"')
    assert wrong != table
    (root / "images" / "images.toml").write_text(wrong, encoding="utf-8")
    line = wrong[: wrong.index("2 pigs")].count("\n") + 1
    status, output = visitor.types("doctor", MADANG_ROOT=str(root))
    assert status == 1
    assert "the table of environments is wrong" in output
    assert f"images.toml:{line}" in output
    assert "memory" in output


def test_doctor_says_that_no_engine_answers(visitor: Operator, tmp_path: Path) -> None:
    nowhere = f"unix://{tmp_path}/nobody.sock"
    status, output = visitor.types("doctor", MADANG_MODE="server", DOCKER_HOST=nowhere)
    assert status == 1
    assert f"no container engine answers at {tmp_path}/nobody.sock" in output
    assert "MADANG_MODE=embedded" in output
    # up says the same and starts nothing
    status, output = visitor.types("up", MADANG_MODE="server", DOCKER_HOST=nowhere)
    assert status == 1
    assert "no container engine answers" in output
    assert "Traceback" not in output
    # left to choose, it is embedded mode and says why
    status, output = visitor.types("doctor", MADANG_MODE="auto", DOCKER_HOST=nowhere)
    assert status == 0, output
    assert "embedded mode: no container engine answers" in output


class OldEngine(http.server.BaseHTTPRequestHandler):
    """A container engine of 2021."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = json.dumps({"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12"})
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:
        return None

    def address_string(self) -> str:
        return "unix"


@pytest.fixture
def old_engine(tmp_path: Path) -> Iterator[str]:
    path = tmp_path / "old.sock"
    with socketserver.ThreadingUnixStreamServer(str(path), OldEngine) as engine:
        engine.daemon_threads = True
        thread = threading.Thread(target=engine.serve_forever)
        thread.start()
        try:
            yield f"unix://{path}"
        finally:
            engine.shutdown()
            thread.join()


@pytest.mark.parametrize("mode", ["auto", "server"])
def test_an_engine_that_is_too_old_is_named(visitor: Operator, old_engine: str, mode: str) -> None:
    status, output = visitor.types("doctor", MADANG_MODE=mode, DOCKER_HOST=old_engine)
    assert status == 1
    assert "it is 20.10.24 and Madang needs 24.0 or newer" in output
    assert "MADANG_MODE=embedded" in output
    status, output = visitor.types("up", MADANG_MODE=mode, DOCKER_HOST=old_engine)
    assert status == 1
    assert "20.10.24" in output
    assert not visitor.deployment.data.exists()


def test_doctor_names_a_folder_that_cannot_be_written(visitor: Operator) -> None:
    status, output = visitor.types("doctor", MADANG_DATA="/proc/madang")
    assert status == 1
    assert "MADANG_DATA" in output


def test_a_wrong_setting_is_named(visitor: Operator) -> None:
    status, output = visitor.types("config", "show", MADANG_PORT="eighty")
    assert status == 1
    assert "MADANG_PORT" in output
    assert "eighty" in output
    assert "Traceback" not in output


def test_embedded_mode_does_not_listen_for_others_unasked(visitor: Operator) -> None:
    status, output = visitor.types("up", MADANG_BIND="0.0.0.0")
    assert status == 1
    assert "MADANG_ALLOW_SHARED_ACCOUNT=1" in output
    shutil.rmtree(visitor.deployment.data, ignore_errors=True)
