"""The embedded spawner: no container engine, so a server is a process of the operator's own account.

Same table, same options and same environment variables as the containers; no isolation between people,
which ``make up`` and the home page say plainly.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from subprocess import DEVNULL, STDOUT
from typing import IO, Any

from jupyterhub.spawner import SimpleLocalProcessSpawner
from jupyterhub.utils import random_port
from traitlets import Any as AnyTrait
from traitlets import Instance, Unicode

from madang_hub.homes import home_of, slug
from madang_hub.lending import cuda_visible
from madang_hub.lessons import are_in
from madang_hub.options import StartRefused
from madang_hub.people.failures import ENDED, note, noting
from madang_hub.places import SERVER_MARK
from madang_hub.user_server import UserServer
from madang_hub.warm.claimed import NotWarmError, Wish
from madang_hub.warm.parents import WarmParents
from madang_hub.web.i18n import gettext_for


def jupyter_config(samples: Path) -> Path:
    """The folder with the settings of every user server, in the folder ``samples`` with one per image."""
    return samples / "base" / "etc"


class MadangLocalSpawner(UserServer, SimpleLocalProcessSpawner):
    """One process per user server, from the environment that `make up` built for it.

    Limits of sizes are noted, not enforced, without an engine.
    """

    environments = Unicode(
        help="Folder with one Python environment per environment of the table (`<folder>/lab`). Required."
    ).tag(config=True)
    samples = Unicode(
        help="Folder with a folder per image: sample notebooks for a new home (`<folder>/<image>/samples`), "
        "start script, plot settings. Required, for example `images`."
    ).tag(config=True)
    lessons = Unicode(
        help="Folder with the lessons, as `madang lessons` builds it. Default: none, people get no lessons."
    ).tag(config=True)
    logs = Unicode(
        help="Folder with one log per person's server, begun anew at each start. Required."
    ).tag(config=True)
    warm = Instance(
        WarmParents,
        allow_none=True,
        help="The warm parents that servers are claimed from. Default: none, every server starts cold.",
    ).tag(config=True)

    # what JupyterHub keeps here is a Popen; a claimed server's process has what it uses of that
    proc = AnyTrait(allow_none=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._stopping = False
        self._began = -self.http_timeout  # when the process was started, in seconds of the clock

    @noting
    async def start(self) -> Any:
        """Start the process in the person's home.

        Raises:
            StartRefused: (503) the home or the environment cannot be used.
        """
        choice = self.begin()
        home = await self.ready_home(os.geteuid(), os.getegid())
        await self.borrow()
        bin_folder = Path(self.environments) / choice.environment.image / "bin"
        if not (bin_folder / "jupyterhub-singleuser").exists():
            raise self._refusal(
                "This environment is not installed on this machine yet. Tell the operator.",
                "image-missing",
                f"{bin_folder} has no jupyterhub-singleuser; 'make up' builds it",
            )
        self.home_dir = str(home)
        start = self._nearest(choice.environment.image, "madang-start")
        self.cmd = [str(start), str(bin_folder / "jupyterhub-singleuser")]
        self.args = ["--allow-root"] if os.geteuid() == 0 else []
        with self._log_file().open("wb") as log:
            # not the Hub's own output: that pipe breaks when the Hub ends, and with it the server
            self.popen_kwargs = {"stdin": DEVNULL, "stdout": log, "stderr": STDOUT}
            self._began = time.monotonic()
            return await self._claimed(choice.environment.image, log) or await super().start()

    async def _claimed(self, image: str, log: IO[bytes]) -> tuple[str, int] | None:
        """Where a server claimed from a warm parent will answer; None if there is none to be had."""
        if self.warm is None:
            return None
        self.set_trait("port", self.port or random_port())
        command = [*self.cmd[1:], *self.get_args()]
        wish = Wish("", self.cmd[0], command, self.get_env(), self.home_dir)
        try:
            self.proc = await asyncio.to_thread(self.warm.claim, image, wish, log)
        except NotWarmError as error:
            self.log.info("%s: no warm server (%s), starting a cold one", self.user.name, error)
            self.warm.soon(image)
            return None
        self.pid = self.proc.pid
        self.log.info("%s: claimed a warm server, process %i", self.user.name, self.pid)
        where = self.ip or "127.0.0.1", self.port
        await self._listening(*where)
        return where

    async def _listening(self, host: str, port: int) -> None:
        """Return when the claimed server listens, at most a second later.

        It does after a tenth of one. JupyterHub would look at once, and then again after a pause.
        """
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline and self.proc.poll() is None:
            try:
                _, line = await asyncio.open_connection(host, port)
            except OSError:
                await asyncio.sleep(0.01)
            else:
                line.close()
                return

    def _nearest(self, image: str, name: str) -> Path:
        """``name`` of the folder of ``image``, or of its nearest ancestor that has one."""
        names = self.catalog.lineage(image)
        folders = [Path(self.samples) / Path(self.catalog.images[n].folder).name for n in names]
        found = next((f / name for f in folders if (f / name).exists()), None)
        return found or folders[-1] / name

    def _log_file(self) -> Path:
        folder = Path(self.logs)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder / f"{slug(self.user.name)}.log"

    def get_env(self) -> dict[str, str]:
        env: dict[str, str] = super().get_env()
        env.update(self.environment_at(f"http://127.0.0.1:{self.public_port}"))
        image = self._choice.environment.image if self._choice else "lab"
        bin_folder = Path(self.environments) / image / "bin"
        env["PATH"] = f"{bin_folder}:{env.get('PATH', os.defpath)}"
        env["MADANG_SAMPLES"] = str(self._nearest(image, "samples"))
        if self.lessons and are_in(self.catalog, image):
            env["MADANG_LESSONS"] = self.lessons
        env[SERVER_MARK] = self.homes
        env["JUPYTER_CONFIG_PATH"] = str(jupyter_config(Path(self.samples)))
        if (visible := cuda_visible(self._lent)) is not None:
            env["CUDA_VISIBLE_DEVICES"] = visible
        env["MATPLOTLIBRC"] = str(self._nearest(image, "matplotlibrc"))
        # as in the images (images/os): no library reports to its makers what people do
        env.update(DO_NOT_TRACK="1", MLFLOW_DISABLE_TELEMETRY="true", ORT_DISABLE_TELEMETRY="1")
        # a process of this account must not see the operator's own Jupyter settings
        env["JUPYTER_CONFIG_DIR"] = str(home_of(Path(self.homes), self.user.name) / ".jupyter")
        return env

    async def poll(self) -> int | None:
        """None while the process runs; remembers when it ended by itself."""
        was_there = self.pid > 0
        status: int | None = await super().poll()
        if status is not None and was_there and not self._stopping:
            self.last_end = "killed"
        return status

    async def note_early_end(self) -> None:
        """JupyterHub's ``post_stop_hook``: a process that ended by itself right after its start never served.

        A start is over for the Hub as soon as the process is there; whether it comes to answer, only the Hub
        knows, and it has no hook for that.
        """
        lived = time.monotonic() - self._began
        if self.last_end and lived < self.http_timeout:
            ended = StartRefused(
                gettext_for(self.language)(ENDED),
                reason="died",
                log=f"the process ended {lived:.0f} s after its start",
            )
            note(self, ended)

    async def stop(self, now: bool = False) -> None:
        """Stop the process."""
        self._stopping = True
        try:
            await super().stop(now)
        finally:
            self._stopping = False

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        yield {"progress": 30, "message": self._sentence("Starting JupyterLab")}
