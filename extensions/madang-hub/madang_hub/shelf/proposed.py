"""Building what was proposed and approved: an image on top of its parent, and a try of it.

Done by the operator's command on the machine itself; the Hub has no way to build. Every step can be done
again after a crash: the engine's cache makes it short.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from madang_hub.catalog import Catalog
from madang_hub.places import tool_of
from madang_hub.shelf import site
from madang_hub.shelf.explain import explain
from madang_hub.shelf.labels import INPUTS
from madang_hub.shelf.locking import pins
from madang_hub.shelf.proposals import PARENT
from madang_hub.shelf.repository import APT, names_of

SMOKE_SECONDS = 300


class ProposedError(RuntimeError):
    """It cannot be built, or does not work; the message goes to the mentor and the admin."""


@dataclass(frozen=True)
class Wanted:
    """What is built for one approved proposal."""

    name: str
    requirements: tuple[str, ...]
    apt: tuple[str, ...]
    lock: str


def outdated(lock: str, parent: str) -> list[str]:
    """Packages that the lock has in another version than its parent's lock has now."""
    below = pins(parent)
    return sorted(n for n, v in pins(lock).items() if below.get(n, v) != v)


def context(wanted: Wanted) -> dict[str, str]:
    """The two files that the build reads.

    Raises:
        ProposedError: a name is none (it was checked when it was proposed, and is again).
    """
    if wrong := [name for name in wanted.apt if not APT.fullmatch(name)]:
        raise ProposedError(f"{wrong[0]!r} is no name of a Debian package.")
    # no code of a package runs while it is built: uv takes wheels or nothing
    lock = f"--only-binary :all:\n{wanted.lock}" if wanted.lock.strip() else ""
    return {"lock.txt": lock, "apt.txt": "".join(f"{name}\n" for name in wanted.apt)}


def build(wanted: Wanted, catalog: Catalog, root: Path, environ: Mapping[str, str]) -> str:
    """Build the image; its reference.

    Raises:
        ProposedError: it cannot be built; the message says why as far as it can be told.
    """
    parent_lock = (root / "locks" / f"{PARENT}.txt").read_text(encoding="utf-8")
    if old := outdated(wanted.lock, parent_lock):
        raise ProposedError(
            f"It was locked for an earlier version of {PARENT} ({', '.join(old[:5])} differ). Propose it again."
        )
    reference = f"madang/{wanted.name}:{catalog.release}"
    with tempfile.TemporaryDirectory(prefix="madang-proposed-") as folder:
        files = Path(folder) / "wanted"
        files.mkdir()
        for name, text in context(wanted).items():
            (files / name).write_text(text, encoding="utf-8")
        python = str(tool_of(root, "python"))
        secrets = site.secrets(Path(folder), environ, python)
        done = _run(
            [
                *("docker", "build", "--progress", "plain", "--pull=false"),
                *("--file", str(root / "images" / "proposed" / "Dockerfile"), "--tag", reference),
                *("--build-context", f"wanted={files}"),
                *("--build-arg", f"PARENT={catalog.reference(PARENT)}"),
                *("--build-arg", f"TOOL={catalog.reference(catalog.images[PARENT].tool)}"),
                *(
                    "--build-arg",
                    f"NAME={wanted.name}",
                    "--build-arg",
                    f"RELEASE={catalog.release}",
                ),
                # `images` compares it with what a table says; no table has this one
                *("--label", f"{INPUTS}=proposed"),
                *("--label", f"org.opencontainers.image.title=madang/{wanted.name}"),
                *("--label", f"org.opencontainers.image.version={catalog.release}"),
                *secrets,
                str(root),
            ],
            {**environ, "DOCKER_BUILDKIT": "1"},
        )
    log = root / "build" / "log" / f"image-{wanted.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(done.stdout + done.stderr, encoding="utf-8")
    if done.returncode:
        raise ProposedError(explain(wanted.name, done.stdout + done.stderr, log.relative_to(root)))
    return reference


def smoke(wanted: Wanted, reference: str, root: Path, environ: Mapping[str, str]) -> None:
    """Import what was asked for, in a container of the image without a network, as a user server has it.

    Raises:
        ProposedError: something cannot be imported; its name and why.
    """
    locked = pins(wanted.lock)
    names = [name for name in names_of(wanted.requirements) if name in locked]
    command = [
        *("docker", "run", "--rm", "--interactive", "--network", "none", "--read-only"),
        *("--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", "1000:1000"),
        *("--memory", "4g", "--pids-limit", "1024", "--tmpfs", "/tmp:mode=1777,exec"),  # noqa: S108  # inside
        *("--tmpfs", "/home/madang:mode=1777", "--entrypoint", "/opt/madang/bin/python"),
        *(reference, "-", *names),
    ]
    try:
        done = _run(
            command, environ, (root / "images" / "proposed" / "smoke.py").read_text("utf-8")
        )
    except subprocess.TimeoutExpired as error:
        raise ProposedError(f"Importing its packages takes more than {SMOKE_SECONDS} s.") from error
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-12:])
        raise ProposedError(f"It was built, but its packages cannot be imported:\n{tail}")


def _run(
    command: Sequence[str], environ: Mapping[str, str], stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env={**os.environ, **environ},
        input=stdin if stdin is not None else "",
        capture_output=True,
        text=True,
        check=False,
        timeout=SMOKE_SECONDS if stdin is not None else None,
    )
