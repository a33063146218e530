"""Which checks a person has passed: ``.madang/lessons/progress.json`` in the home folder.

    {"format": 1, "passed": {"f0.1": {"at": "2026-11-28T10:29:26Z", "version": "2026.11.1"}}}

The time of the first pass stays. Kernels write it one after the other (a lock beside it), each time as a new
file that takes the old one's name: whoever reads it finds it whole.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FORMAT = 1


def folder_of(home: Path) -> Path:
    """Where what belongs to the lessons lies in ``home``."""
    return home / ".madang" / "lessons"


def passed(home: Path) -> dict[str, Any]:
    """The checks that were passed, by their names; none where nothing was written or it cannot be read."""
    try:
        return _read(folder_of(home) / "progress.json")
    except (OSError, ValueError):
        return {}


def note(home: Path, check: str, version: str, now: datetime) -> None:
    """Write down that ``check`` was passed at ``now``.

    Raises:
        OSError: it cannot be written (a full disk, a folder that is not the person's).
    """
    folder = folder_of(home)
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        path = folder / "progress.json"
        try:
            known = _read(path)
        except ValueError:
            # kept for whoever wants to look at it
            path.replace(folder / "progress.damaged.json")
            known = {}
        if check in known:
            return
        known[check] = {"at": f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}", "version": version}
        _write(path, {"format": FORMAT, "passed": dict(sorted(known.items()))})


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    if not isinstance(found, dict) or not isinstance(found.get("passed"), dict):
        raise ValueError(f"{path} does not hold progress")
    return dict(found["passed"])


def _write(path: Path, content: dict[str, Any]) -> None:
    handle, name = tempfile.mkstemp(prefix=".progress-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(content, file, ensure_ascii=False, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One kernel at a time; the lock goes with the process, whatever becomes of it."""
    with (folder / ".progress.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
