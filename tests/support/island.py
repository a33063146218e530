"""An island: a network namespace without a way out, with a container engine of its own."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.deployment import ROOT

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
