"""The tracking server's own program, asked to do a task of the operator (``madang_mlflow/tasks.py``).

It runs where the server does, with the server's settings: in its environment in embedded mode, in its
container in server mode.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from madang_hub.deploy.embedded import tracking_environment
from madang_hub.deploy.findings import Finding
from madang_hub.deploy.server import Stack
from madang_hub.places import Places, bin_of, storage_keys
from madang_hub.settings import SettingsError

Ask = Callable[[Sequence[str]], subprocess.CompletedProcess[str]]
"""Does a task; what came of it."""


class TrackingError(RuntimeError):
    """The tracking server's program cannot be run; the message says why and what to do."""


def in_environment(places: Places, root: Path) -> Ask:
    """Tasks in embedded mode.

    Raises:
        TrackingError: its environment was not made yet.
    """
    python = bin_of(root, "mlflow") / "python"
    if not python.exists() or not places.tracking.is_dir():
        raise TrackingError("The tracking server was not started here yet: run make up first.")

    def ask(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(python), "-m", "madang_mlflow", *words],
            env=tracking_environment(places, root),
            cwd=places.tracking,
            capture_output=True,
            text=True,
            check=False,
        )

    return ask


def in_container(stack: Stack) -> Ask:
    """Tasks in server mode, in the container that runs."""

    def ask(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return stack.inside_tracking(words)

    return ask


def check(places: Places, ask: Ask | None) -> Finding:
    """The finding about the storage of runs' files.

    Args:
        places: of the installation.
        ask: does tasks; None where the tracking server does not run.
    """
    address = places.settings.tracking_artifacts
    try:
        keys = storage_keys(places)
    except SettingsError as error:
        return Finding("bad", "the keys of the storage of tracking are missing", str(error))
    except PermissionError:
        return Finding(
            "note",
            f"the storage of tracking ({address}) was not looked at: this account may not read "
            f"{places.secrets}; run it as the account that runs Madang",
        )
    if keys is None:
        return Finding("good", "runs' files lie in the data folder")
    if ask is None:
        return Finding("note", f"runs' files lie in {address}, which is asked when Madang runs")
    done = ask(["storage"])
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).strip().splitlines()[-6:])
        return Finding(
            "bad",
            f"runs' files cannot be stored in {address}: {said}",
            "Mend the settings MADANG_TRACKING_… or the keys (docs/howto/tracking-storage.md), then make up",
        )
    return Finding("good", f"runs' files lie in {address}, which can be written and read")
