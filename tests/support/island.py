"""An island: a network namespace without a way out, with a container engine of its own."""

from __future__ import annotations

import ctypes
import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.deployment import ROOT, wait_for

_ENGINE = ROOT / "scripts" / "engine"


@dataclass
class Island:
    """``folder`` is of its own and short enough for sockets; ``environ`` names its engine."""

    name: str
    folder: Path
    environ: dict[str, str]

    def run(
        self,
        words: Sequence[str],
        cwd: Path | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program there; what it printed (stdout and stderr) is in ``stdout``."""
        return subprocess.run(
            # not `ip netns exec`, which hides /sys/fs/cgroup
            ["nsenter", f"--net=/run/netns/{self.name}", *words],
            env={**self.environ, **(environ or {})},
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            check=False,
        )

    def must(
        self, *words: str, cwd: Path | None = None, environ: Mapping[str, str] | None = None
    ) -> str:
        """The same, and it succeeds."""
        done = self.run(words, cwd, environ)
        assert done.returncode == 0, f"{' '.join(words)}:\n{done.stdout}"
        return done.stdout

    @contextmanager
    def inside(self) -> Iterator[None]:
        """This thread, what it starts meanwhile, and its settings of the engine are on the island."""
        names = ("DOCKER_HOST", "DOCKER_CONFIG", "PATH", "MADANG_ENGINE_DIR")
        before = {name: os.environ.get(name) for name in names}
        with Path("/proc/thread-self/ns/net").open("rb") as outside:
            try:
                os.environ.update({name: self.environ[name] for name in names})
                _enter(Path("/run/netns") / self.name)
                yield
            finally:
                _enter(Path(f"/proc/self/fd/{outside.fileno()}"))
                for name, value in before.items():
                    if value is None:
                        del os.environ[name]
                    else:
                        os.environ[name] = value

    def take(self, images: Sequence[str]) -> None:
        """Bring these images of the engine outside to the one here."""
        with subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE) as saving:
            subprocess.run(["docker", "load"], env=self.environ, stdin=saving.stdout, check=True)
        assert saving.returncode == 0

    def restart_engine(self, how: signal.Signals) -> None:
        """End the engine's daemon by this signal and start the same again; wait until it answers."""
        run = self.folder / "engine" / "run"
        pid, containerd = (
            int((run / name).read_text())
            for name in ("dockerd.pid", "exec/containerd/containerd.pid")
        )
        command, environ = (
            Path(f"/proc/{pid}/{name}").read_bytes().rstrip(b"\0").split(b"\0")
            for name in ("cmdline", "environ")
        )
        os.kill(pid, how)
        # one that has ended and waits for its parent's notice still counts for the next
        processes = [Path(f"/proc/{number}") for number in (pid, containerd)]
        wait_for(lambda: not any(p.exists() for p in processes), "the daemon to end", 90)
        with (self.folder / "engine" / "log" / "dockerd.log").open("ab") as log:
            subprocess.run(
                [*("nsenter", f"--net=/run/netns/{self.name}", "setsid", "--fork"), *command],
                env={k.decode(): v.decode() for k, v in (line.split(b"=", 1) for line in environ)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=True,
            )
        wait_for(lambda: not self.run(["docker", "version"]).returncode, "the new daemon", 90)


_libc = ctypes.CDLL(None, use_errno=True)
_NEW_NETWORK = 0x40000000
"""``CLONE_NEWNET`` of setns(2)."""


def _enter(namespace: Path) -> None:
    """This thread goes into a network namespace."""
    with namespace.open("rb") as file:
        if _libc.setns(file.fileno(), _NEW_NETWORK):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@contextmanager
def island() -> Iterator[Island]:
    """One island; whatever happens nothing of it stays."""
    name = f"mdb{secrets.token_hex(3)}"
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir="/tmp"))
    engine = folder / "engine"
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("MADANG_", "DOCKER_"))}
    environ |= {
        "MADANG_ENGINE_DIR": str(engine),
        "MADANG_DATA": str(folder / "data"),
        "MADANG_MODE": "server",
        # nothing that this machine fetched earlier
        "UV_CACHE_DIR": str(folder / "uv"),
    }
    here = Island(name, folder, environ)
    try:
        # those of the tests' own engine; what is missing is fetched while there is a way
        cache = Path(os.environ.get("MADANG_ENGINE_DIR", "/var/lib/madang-engine")) / "cache"
        if cache.is_dir():
            shutil.copytree(cache, engine / "cache")
        subprocess.run([str(_ENGINE), "fetch"], env=environ, check=True, capture_output=True)
        subprocess.run(["ip", "netns", "add", name], check=True)
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        here.must(str(_ENGINE), "up")
        told = here.must("bash", "-c", f'eval "$({_ENGINE} env)"; env -0').split("\0")
        settings = dict(line.split("=", 1) for line in told if "=" in line)
        here.environ |= {k: settings[k] for k in ("DOCKER_HOST", "DOCKER_CONFIG", "PATH")}
        yield here
    finally:
        here.run([str(_ENGINE), "down"])
        subprocess.run(["ip", "netns", "delete", name], check=False)
        shutil.rmtree(folder, ignore_errors=True)


def routes(here: Island) -> list[str]:
    """Destinations that the island has a route to."""
    return [route["dst"] for route in json.loads(here.must("ip", "-json", "route") or "[]")]
