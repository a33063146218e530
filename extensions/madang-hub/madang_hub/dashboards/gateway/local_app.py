"""Apps in embedded mode: a process of the operator's own account, as everybody's servers are there.

It has an environment of its own and only the variables that a runner needs. What keeps it from the rest of the
machine in a container, does not here: it can read what the account can read, and reach the network.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from pathlib import Path
from subprocess import DEVNULL, STDOUT
from typing import Any

from jupyterhub.spawner import SimpleLocalProcessSpawner
from jupyterhub.utils import random_port

from madang_hub.dashboards.gateway.spawning import AppServer
from madang_hub.first_answer import listens
from madang_hub.local import MadangLocalSpawner
from madang_hub.places import APP_IMAGE, APP_MARK

LOOK = 0.05
"""Seconds between two looks whether the runner listens."""
TAIL = 4000
"""Characters of the log that are told of a start that failed."""
KEPT = ("PATH", "LD_LIBRARY_PATH", "TZ", "SSL_CERT_FILE")
"""Variables of the Hub that a runner gets."""


class DashboardLocalSpawner(AppServer, MadangLocalSpawner):
    """:class:`MadangLocalSpawner` that starts apps as well."""

    async def start(self) -> Any:
        """Start the person's server, or the app."""
        return await (self._start_app() if self.is_app else super().start())

    async def poll(self) -> int | None:
        """As of every server; what is refused never runs."""
        return 0 if self.is_refused else await super().poll()

    async def stop(self, now: bool = False) -> None:
        """As of every server; of what is refused there is nothing to stop."""
        if not self.is_refused:
            await super().stop(now)

    async def _start_app(self) -> Any:
        """Returns as soon as the runner listens.

        Raises:
            StartRefused: (503) what is needed is missing, or the runner ended; with its last lines.
        """
        self.begin()
        program = Path(self.environments) / APP_IMAGE / "bin" / "python"
        if not program.exists():
            raise self.not_started(
                "What dashboards run in is not installed on this machine yet; 'make up' builds it. Tell the "
                "operator."
            )
        snapshot = self.snapshot
        self.set_trait("port", random_port())
        self.home_dir = str(snapshot)
        self.cmd = [*_without_rights(), str(program), "-P", "-m", "madang_dashboard"]
        self.args = []
        log = self._log_file()
        with log.open("wb") as output:
            self.popen_kwargs = {"stdin": DEVNULL, "stdout": output, "stderr": STDOUT}
            self._began = time.monotonic()
            where = await SimpleLocalProcessSpawner.start(self)
        await self._answers(log)
        self.app_url = f"http://127.0.0.1:{self.port}"
        return where

    async def _answers(self, log: Path) -> None:
        deadline = time.monotonic() + self.start_timeout
        while not await listens("127.0.0.1", self.port):
            if await self.poll() is not None:
                tail = await asyncio.to_thread(log.read_text, "utf-8", "replace")
                raise self.not_started(f"The runner ended; its last lines: {tail[-TAIL:].strip()}")
            if time.monotonic() > deadline:
                raise TimeoutError("the runner does not listen")
            await asyncio.sleep(LOOK)

    def get_args(self) -> list[str]:
        return [] if self.is_app else super().get_args()

    def get_env(self) -> dict[str, str]:
        """An app gets what is listed; nothing of the Hub is left to be taken away."""
        if not self.is_app:
            return super().get_env()
        home = self._home
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        return {
            **{name: os.environ[name] for name in KEPT if name in os.environ},
            **self.app_environment(),
            APP_MARK: self.homes,
            "HOME": str(home),
            "TMPDIR": str(home),
            "MADANG_DASHBOARD_ROOT": str(self.snapshot),
            "MADANG_DASHBOARD_BIND": f"127.0.0.1:{self.port}",
        }

    @property
    def _home(self) -> Path:
        """An empty folder, removed when the app has ended. Its path is short: kernels' sockets lie in it, whose
        paths may have 107 characters."""
        return Path(tempfile.gettempdir()) / f"md-{self.name.removeprefix('app-')[:10]}"

    def _log_file(self) -> Path:
        if not self.is_app:
            return super()._log_file()
        folder = Path(self.logs)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder / f"{self.name}.log"

    async def note_early_end(self) -> None:
        """JupyterHub's ``post_stop_hook``: nothing of an app is left."""
        if not self.is_app:
            await super().note_early_end()
            return
        await asyncio.to_thread(shutil.rmtree, self._home, ignore_errors=True)
        await asyncio.to_thread(self._log_file().unlink, missing_ok=True)


def _without_rights() -> list[str]:
    """Where the account is root, what keeps an app from reading other processes' memory: no capability."""
    setpriv = shutil.which("setpriv") if os.geteuid() == 0 else None
    return [setpriv, "--bounding-set=-all", "--inh-caps=-all"] if setpriv else []
