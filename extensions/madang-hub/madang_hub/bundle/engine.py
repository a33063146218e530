"""What bundles need of a container engine, by the ``docker`` command (the loader has nothing else)."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from madang_hub.bundle.manifest import BundledImage, BundleError

LABEL = "madang.inputs"
_INSTALL = "Install Docker Engine 24 or newer with its Compose plug-in (docs/howto/offline.md)"


@dataclass(frozen=True)
class Present:
    """An image that the engine has; see :class:`BundledImage`. ``size``: with all its parents."""

    id: str
    content: str
    inputs: str
    size: int


class Engine:
    """The engine that the ``docker`` command reaches with these variables."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = dict(environ)

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                ["docker", *words],
                env=self._environ,
                capture_output=True,
                text=True,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except OSError as error:
            raise BundleError(f"The docker command is missing. {_INSTALL}.") from error

    def require(self) -> None:
        """Raises:
        BundleError: no engine answers, or it lacks Compose.
        """
        done = self._run("version", "--format", "{{.Server.Version}}")
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["?"])[-1]
            raise BundleError(f"No container engine answers ({reason}). {_INSTALL}.")
        if self._run("compose", "version").returncode:
            raise BundleError(
                f"The engine is there, but 'docker compose' does not work. {_INSTALL}."
            )

    def root(self) -> Path | None:
        """The folder in which the engine keeps images; None where it is not of this machine."""
        done = self._run("info", "--format", "{{.DockerRootDir}}")
        folder = Path(done.stdout.strip() or "/nonexistent")
        return folder if folder.is_dir() else None

    def look(self, reference: str) -> Present | None:
        """The image ``reference``; None when it is not there."""
        done = self._run("image", "inspect", reference)
        if done.returncode:
            if "no such image" in done.stderr.lower():
                return None
            raise BundleError(f"The engine cannot be asked for images: {done.stderr.strip()}")
        found = json.loads(done.stdout)[0]
        labels = (found.get("Config") or {}).get("Labels") or {}
        layers = " ".join(found["RootFS"].get("Layers") or [])
        return Present(found["Id"], layers, labels.get(LABEL, ""), found["Size"])

    def lacks(self, image: BundledImage) -> bool:
        """Whether ``image`` is not there as the bundle has it."""
        found = self.look(image.reference)
        return found is None or (found.content, found.inputs) != (image.content, image.inputs)

    def save(self, references: Sequence[str], take: Callable[[IO[bytes]], None]) -> None:
        """Let ``take`` read the images as one archive, shared layers once.

        Raises:
            BundleError: the engine cannot give one.
        """
        with subprocess.Popen(
            ["docker", "image", "save", *references],
            env=self._environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
        ) as process:
            try:
                assert process.stdout is not None  # noqa: S101  # for the type: it is a pipe
                take(process.stdout)
            except BaseException:
                process.kill()
                raise
            assert process.stderr is not None  # noqa: S101  # for the type: it is a pipe
            trouble = process.stderr.read().decode(errors="replace").strip()
        if process.returncode:
            raise BundleError(f"The engine could not save the images: {trouble}")

    def load(self, give: Callable[[IO[bytes]], None]) -> None:
        """Load the images of the archive (compressed or not) that ``give`` writes.

        Raises:
            BundleError: the engine refuses it; the message holds its words.
        """
        with subprocess.Popen(
            ["docker", "image", "load", "--quiet"],
            env=self._environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as process:
            assert process.stdin is not None  # noqa: S101  # for the type: both are pipes
            assert process.stderr is not None  # noqa: S101  # as above
            try:
                give(process.stdin)
                process.stdin.close()
            except BrokenPipeError:
                pass  # it ended early and says why
            except BaseException:
                process.kill()
                raise
            trouble = process.stderr.read().decode(errors="replace").strip()
        if process.returncode:
            raise BundleError(f"The engine could not load the images: {trouble}")


def machine() -> str:
    """This machine's processor as ``uname -m`` names it."""
    return platform.machine()
