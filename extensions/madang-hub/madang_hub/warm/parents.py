"""The warm parents of embedded mode: one process per environment, started when it is first needed.

They are the Hub's to start and to replace, but live on when it is restarted, as users' servers do. `madang
down` ends them with those.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from subprocess import DEVNULL, STDOUT
from typing import IO, Any

from madang_hub.warm import claimed, counts
from madang_hub.warm.claimed import ClaimedServer, NotWarmError, Wish

PROGRAM = "madang-warm"
KEPT = (
    "CONDA_DEFAULT_ENV",
    "CONDA_ROOT",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "PATH",
    "PYTHONPATH",
)
"""What a parent gets of the Hub's own variables: what JupyterHub's spawners pass on to a server."""
MARKS = (".madang-lock", ".madang-lab")
LATER = 3.0
"""Seconds until a missing parent is started: the Hub itself, or a server that starts cold, comes first."""
AGAIN_AFTER = 30.0
"""Seconds until a parent that did not come to wait is tried again."""

log = logging.getLogger(__name__)


def version_of(environment: Path, environ: Mapping[str, str]) -> str:
    """A word that changes when the environment is built anew or changed, or a parent would start otherwise."""
    facts: list[Any] = [sorted(environ.items())]
    for name in MARKS:
        mark = environment / name
        facts.append(mark.read_text(encoding="ascii") if mark.is_file() else "")
    for folder in sorted(environment.glob("lib/python3*/site-packages")):
        found = folder.stat()
        facts.append([str(folder), found.st_ino, found.st_mtime_ns])
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


class WarmParents:
    """The parents of one installation.

    Args:
        environments: folder with one Python environment per image.
        folder: for their sockets; made with mode 0700, a folder per image in it.
        log: folder for their logs, ``warm-<image>.log``.
        given: variables that they get beside :data:`KEPT`; no secrets.
    """

    def __init__(
        self, environments: Path, folder: Path, log: Path, given: Mapping[str, str]
    ) -> None:
        self._environments, self._folder, self._log = environments, folder, log
        self._given = dict(given)
        self.later = LATER
        self._started: dict[str, tuple[subprocess.Popen[bytes], float]] = {}
        self._former: list[subprocess.Popen[bytes]] = []
        self._planned: set[str] = set()
        # a class claims from several threads
        self._lock = threading.RLock()

    def __deepcopy__(self, memo: dict[int, Any]) -> WarmParents:
        """Itself: traitlets copies every configured value."""
        return self

    def environ(self) -> dict[str, str]:
        """The variables of a parent."""
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        return {**kept, **self._given, "HOME": str(self._folder)}

    def folder_of(self, image: str) -> Path:
        """Where the socket of this image's parent is."""
        return self._folder / image

    def claim(self, image: str, wish: Wish, output: IO[bytes]) -> ClaimedServer:
        """A server of ``image`` as in ``wish``, whose version is filled in here; it is counted.

        Raises:
            NotWarmError: start it cold, and then call :meth:`soon`.
        """
        began = time.monotonic()
        version = version_of(self._environments / image, self.environ())
        wish = Wish(version, wish.start, wish.command, wish.environ, wish.cwd)
        try:
            server = claimed.claim(self.folder_of(image), wish, output)
        except NotWarmError as error:
            with self._lock:
                if error.reason == "version":
                    self._retire(image)
                elif error.reason == "none" and (
                    image in self._planned or self._is_starting(image)
                ):
                    error = NotWarmError("starting")
            counts.cold(error.reason)
            raise error from None
        counts.warm(time.monotonic() - began)
        return server

    def soon(self, image: str) -> None:
        """See in a while (``later``) that the parent of ``image`` waits; called in the Hub's loop."""
        if image not in self._planned:
            self._planned.add(image)
            loop = asyncio.get_running_loop()
            loop.call_later(self.later, lambda: loop.run_in_executor(None, self.ensure, image))

    def ensure(self, image: str) -> None:
        """Start the parent of ``image`` unless one waits."""
        self._planned.discard(image)
        try:
            claimed.connect(self.folder_of(image)).close()
        except NotWarmError:
            with self._lock:
                self._start(image)

    def _start(self, image: str) -> None:
        """Start the parent of ``image``; it waits about two seconds later. A failure is logged only."""
        program = self._environments / image / "bin" / PROGRAM
        if self._is_starting(image) or not program.exists():
            return
        folder, environ = self.folder_of(image), self.environ()
        version = version_of(self._environments / image, environ)
        try:
            for made in (self._folder, folder):
                made.mkdir(mode=0o700, parents=True, exist_ok=True)
                made.chmod(0o700)
            # of one that was killed; the new one's appears when it waits
            (folder / claimed.SOCKET).unlink(missing_ok=True)
            with (self._log / f"warm-{image}.log").open("ab") as output:
                process = subprocess.Popen(
                    [str(program), str(folder), version],
                    stdin=DEVNULL,
                    stdout=output,
                    stderr=STDOUT,
                    cwd="/",
                    env=environ,
                    start_new_session=True,
                )
        except OSError as error:
            log.warning("The warm parent of %s cannot be started: %s", image, error)
            return
        self._forget(image)
        self._started[image] = process, time.monotonic()
        # those that ended are not to stay as zombies
        self._former = [one for one in self._former if one.poll() is None]

    def _is_starting(self, image: str) -> bool:
        """Whether one was started a moment ago."""
        if image not in self._started:
            return False
        process, since = self._started[image]
        process.poll()
        return (
            time.monotonic() - since < AGAIN_AFTER
            and not (self.folder_of(image) / claimed.SOCKET).exists()
        )

    def _retire(self, image: str) -> None:
        """Tell the parent to take no more claims; it stays until its last server has ended."""
        try:
            with claimed.connect(self.folder_of(image)) as line:
                os.kill(claimed.peer(line)[0], signal.SIGTERM)
        except (NotWarmError, ProcessLookupError):
            pass
        self._forget(image)

    def _forget(self, image: str) -> None:
        if image in self._started:
            self._former.append(self._started.pop(image)[0])
