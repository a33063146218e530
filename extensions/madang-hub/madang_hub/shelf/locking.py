"""Locks what a repository asks for, with hashes, on top of an environment's own lock: uv does it.

Nothing of a package is run: only wheels are taken (uv's ``--no-build``), so whatever has to be compiled or
set up by its own code first is refused with its name.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from madang_hub.people.sentences import Sentence
from madang_hub.places import tool_of
from madang_hub.shelf.repository import PYTHON, Fault, RepositoryError
from madang_hub.web.i18n import N_

SECONDS = 180
_PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)", re.ASCII)


class LockingError(RuntimeError):
    """It could not be tried (no uv, no package index); ``sentence`` says so to the person."""

    def __init__(self, sentence: Sentence, log: str) -> None:
        super().__init__(log)
        self.sentence = sentence


@dataclass(frozen=True)
class Lock:
    """``text`` is the lock with hashes; ``added`` are the packages (name, version) that the parent lacks."""

    text: str
    added: tuple[tuple[str, str], ...]


def pins(lock: str) -> dict[str, str]:
    """Name and version of every package of a lock."""
    found: dict[str, str] = {}
    for line in lock.splitlines():
        if match := _PIN.match(line):
            found[canonicalize_name(match[1])] = match[2]
    return found


class Locker:
    """Locks against the locks in ``root`` (the checkout, or its copy in the Hub's image).

    Args:
        environ: variables for uv beside its own: the site's mirror and certificates.
    """

    def __init__(self, root: Path, environ: Callable[[], Mapping[str, str]]) -> None:
        self._root = root
        self.environ = environ

    def lock(self, requirements: Sequence[str], parent: str) -> Lock:
        """The lock for ``requirements`` on top of the environment ``parent``; it takes seconds.

        Raises:
            RepositoryError: they do not fit together, or a package is not there (as a wheel).
            LockingError: uv or the package index cannot be used.
        """
        if not requirements:
            return Lock("", ())
        below = self._root / "locks" / f"{parent}.txt"
        done = self._run(requirements, below)
        if done.returncode:
            raise _explained(done.stderr)
        present = pins(below.read_text(encoding="utf-8"))
        added = {n: v for n, v in pins(done.stdout).items() if n not in present}
        return Lock(done.stdout, tuple(sorted(added.items())))

    def _run(self, requirements: Sequence[str], below: Path) -> subprocess.CompletedProcess[str]:
        uv = next(
            (
                str(p)
                for p in (self._root / "libexec" / "uv", tool_of(self._root, "uv"))
                if p.is_file()
            ),
            shutil.which("uv"),
        )
        if uv is None or not below.is_file():
            raise LockingError(
                Sentence(
                    N_("Packages cannot be locked on this Madang. Tell the operator the time.")
                ),
                f"uv or {below} is missing",
            )
        with tempfile.TemporaryDirectory(prefix="madang-lock-") as folder:
            wanted = Path(folder) / "requirements.in"
            wanted.write_text("".join(f"{line}\n" for line in requirements), encoding="utf-8")
            command = [
                *(uv, "pip", "compile", "--quiet", "--no-build", "--generate-hashes"),
                *("--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"),
                *("--no-config", "--no-python-downloads", "--python", sys.executable),
                *("--python-version", PYTHON, "--constraints", str(below), str(wanted)),
            ]
            try:
                return subprocess.run(
                    command,
                    env={
                        "PATH": os.environ.get("PATH", os.defpath),
                        "HOME": folder,
                        "UV_CACHE_DIR": f"{folder}/cache",
                        "LANG": "C.UTF-8",
                        **self.environ(),
                    },
                    cwd=folder,
                    capture_output=True,
                    text=True,
                    check=False,
                    timeout=SECONDS,
                    stdin=subprocess.DEVNULL,
                )
            except subprocess.TimeoutExpired as error:
                raise LockingError(
                    Sentence(N_("The packages could not be looked up in time. Try again later.")),
                    f"uv took more than {SECONDS} s",
                ) from error


def _explained(said: str) -> RepositoryError | LockingError:
    """What uv's message means to the person."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", said)
    text = " ".join(re.sub(r"[×╰─▶│├·]", " ", plain).split())
    text = text.partition("resolving dependencies cause: ")[2] or text
    if re.search(
        r"(?i)failed to fetch|request failed|dns error|error sending request|peer certif", text
    ):
        return LockingError(
            Sentence(
                N_(
                    "The Python package index cannot be reached from this machine, so nothing can be proposed "
                    "now. Tell the operator: a mirror can be set."
                )
            ),
            text[:500],
        )
    if found := re.search(r"Because ([A-Za-z0-9._-]+) was not found in the package registry", text):
        message = N_(
            "There is no package “{name}” in the Python package index. Look at its spelling."
        )
        return RepositoryError([Fault("", 0, Sentence(message, {"name": found[1]}))])
    if found := re.search(r"([A-Za-z0-9._-]+)(?:==\S+)? ha(?:s|ve) no usable wheels", text):
        message = N_(
            "“{name}” is published as source only for this Python; its own code would run while it is built. "
            "Choose a version with a wheel, or another package."
        )
        return RepositoryError([Fault("", 0, Sentence(message, {"name": found[1]}))])
    message = N_(
        "These packages do not fit together, or not to those of the environment they build on. uv says: {said}"
    )
    return RepositoryError([Fault("", 0, Sentence(message, {"said": text[:900]}))])
