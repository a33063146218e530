"""Three tracking servers that are compared: Madang's, plain ``mlflow server``, MLflow's own basic-auth.

All run the same MLflow from the same environment, on uvicorn, with the same number of workers and the
same kind of database, and are spoken to at their own port: Madang's with its gate and a real Hub behind
it, but without the Hub's proxy, which the others have not.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import secrets
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from support.deployment import ROOT, free_ports
from support.postgres import postgres, programs
from support.tracking import PREFIX, Stack, mlflow_python, running, stop, wait_until

from madang_hub.places import bin_of

NAMES = ("Madang", "plain", "basic-auth")


@dataclass(frozen=True)
class Notebook:
    """A client with a run of its own, which it logs to: one kept-open connection, the plainest there is.

    Not MLflow's client: what that costs itself would hide what the servers cost.
    """

    port: int
    prefix: str
    headers: Mapping[str, str]
    run: str = ""
    artifacts: str = ""
    connection: http.client.HTTPConnection = field(init=False)

    def __post_init__(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        object.__setattr__(self, "connection", connection)

    def send(self, method: str, path: str, body: bytes = b"", kind: str = "json") -> bytes:
        """The answer's body.

        Raises:
            AssertionError: the answer is not 200.
        """
        headers = {**self.headers, "Content-Type": f"application/{kind}"}
        self.connection.request(method, self.prefix + path, body, headers)
        reply = self.connection.getresponse()
        content = reply.read()
        assert reply.status == 200, f"{method} {path}: {reply.status} {content[:500]!r}"
        return content

    def post(self, path: str, content: Mapping[str, Any]) -> Any:
        return json.loads(self.send("POST", path, json.dumps(content).encode()))


class Side(Protocol):
    """One of the servers."""

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The one that was started; others are below it."""

    def start(self, workers: int) -> None:
        """Start it; returns when it answers."""

    def stop(self) -> None:
        """Stop it."""

    def client(self) -> Notebook:
        """Somebody who may log; without a run yet."""


def notebook(side: Side) -> Notebook:
    """A client of a side with a new run in a new experiment."""
    plain = side.client()
    name = {"name": f"bench-{secrets.token_hex(6)}"}
    experiment = plain.post("/api/2.0/mlflow/experiments/create", name)["experiment_id"]
    given = {"experiment_id": experiment, "start_time": int(time.time() * 1000)}
    info = plain.post("/api/2.0/mlflow/runs/create", given)["run"]["info"]
    folder = urlsplit(info["artifact_uri"]).path
    plain.connection.close()
    return Notebook(plain.port, plain.prefix, plain.headers, info["run_id"], folder)


@dataclass
class Madang:
    stack: Stack
    token: str

    @property
    def process(self) -> subprocess.Popen[bytes]:
        return self.stack.tracking

    def start(self, workers: int) -> None:
        self.stack.tracking_env["MADANG_TRACKING_WORKERS"] = str(workers)
        self.stack.start_tracking()
        wait_until(self.stack.tracking_answers, "Madang's tracking server")

    def stop(self) -> None:
        stop(self.stack.tracking)

    def client(self) -> Notebook:
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Host": f"127.0.0.1:{self.stack.ports['port']}",
            "X-MLFLOW-WORKSPACE": "u-ann",
        }
        return Notebook(self.stack.ports["tracking"], PREFIX.rstrip("/"), headers)


@dataclass
class Upstream:
    """``mlflow server`` as its documentation has it, with or without basic-auth."""

    folder: Path
    database: str
    auth: bool
    port: int
    process: subprocess.Popen[bytes] = field(init=False)
    password: str = field(default_factory=lambda: secrets.token_hex(16))
    key: str = field(default_factory=lambda: secrets.token_hex(16))

    def start(self, workers: int) -> None:
        command = [mlflow_python(), "-m", "mlflow", "server", "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--workers", str(workers), "--serve-artifacts"]
        command += ["--artifacts-destination", str(self.folder / "artifacts")]
        command += ["--backend-store-uri", self.database]
        # as Madang has it: no access log, and no process that runs jobs
        command += ["--uvicorn-opts", "--no-access-log"]
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }
        if self.auth:
            command += ["--app-name", "basic-auth"]
            settings = self.folder / "basic_auth.ini"
            # its cache of checked passwords is off unless it is asked for
            settings.write_text(
                "[mlflow]\ndefault_permission = NO_PERMISSIONS\nadmin_username = admin\n"
                f"database_uri = sqlite:///{self.folder}/auth.db\nauth_cache_ttl_seconds = 600\n"
            )
            environ |= {
                "MLFLOW_AUTH_CONFIG_PATH": str(settings),
                "MLFLOW_AUTH_ADMIN_PASSWORD": self.password,
                "MLFLOW_FLASK_SERVER_SECRET_KEY": self.key,
                "PYTHONPATH": str(_basic_auth_packages()),
            }
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=environ, stdout=log, stderr=log
            )
        wait_until(self._answers, " ".join(command[2:4]))
        if self.auth and not (self.folder / "somebody").exists():
            person = {"username": "somebody", "password": self.password}
            self._as("admin").post("/api/2.0/mlflow/users/create", person)
            (self.folder / "somebody").touch()

    def _answers(self) -> bool:
        assert self.process.poll() is None, (self.folder / "log").read_text()[-4000:]
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except ConnectionError:
            return False
        finally:
            connection.close()

    def stop(self) -> None:
        stop(self.process)

    def _as(self, name: str) -> Notebook:
        word = base64.b64encode(f"{name}:{self.password}".encode()).decode()
        return Notebook(self.port, "", {"Authorization": f"Basic {word}"})

    def client(self) -> Notebook:
        # not the admin, for whom it looks nothing up
        return self._as("somebody") if self.auth else Notebook(self.port, "", {})


def _basic_auth_packages() -> Path:
    folder = ROOT / "build" / "env" / "basic-auth"
    if not folder.is_dir():
        uv = str(bin_of(ROOT, "tool") / "uv")
        lock = str(ROOT / "tests" / "bench" / "basic-auth.txt")
        words = ["--quiet", "--no-deps", "--require-hashes", "--target", str(folder)]
        command = [uv, "pip", "install", *words, "--python", mlflow_python(), "-r", lock]
        subprocess.run(command, check=True)
    return folder


@contextmanager
def sides(backend: str, workers: int) -> Iterator[dict[str, Side]]:
    """The three, stopped, in the order of `NAMES`. ``backend`` is ``sqlite`` or ``postgresql``."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="madang-bench-")))
        folders = [folder / name for name in ("ours", "plain", "auth")]
        for one in folders:
            one.mkdir()
        if backend == "postgresql":
            where = programs()
            assert where, "PostgreSQL's programs are missing"
            databases = stack.enter_context(
                postgres(where, ("ours", "plain", "auth"), durable=True)
            )
        else:
            databases = [f"sqlite:///{one}/mlflow.db" for one in folders]
        hub = stack.enter_context(
            running(
                folders[0],
                {
                    "MADANG_TRACKING_BACKEND": databases[0],
                    "MADANG_TRACKING_WORKERS": str(workers),
                    # the usual ones, not those of a test
                    "MADANG_TRACKING_FRESH_SECONDS": "",
                    "MADANG_TRACKING_NEGATIVE_SECONDS": "",
                    "MADANG_TRACKING_STALE_SECONDS": "",
                    "MADANG_TRACKING_HUB_TIMEOUT_SECONDS": "",
                    "MADANG_TRACKING_BREAKER_SECONDS": "",
                },
            )
        )
        token, _ = hub.new_token("ann", ["access:services!service=mlflow"])
        ours = Madang(hub, token)
        ours.stop()
        ports = free_ports(2)
        yield {
            "Madang": ours,
            "plain": Upstream(folders[1], databases[1], False, ports[0]),
            "basic-auth": Upstream(folders[2], databases[2], True, ports[1]),
        }
