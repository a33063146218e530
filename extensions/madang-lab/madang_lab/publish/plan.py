"""What will be packed of a notebook's folder, and what its author should know before. Rules only.

Everything beside the notebook goes along, but what programs make again by themselves, what is hidden, links
and what is no file. What cannot be published *stops*; what only looks wrong *warns*, and the author decides.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from madang_lab.publish.bounds import Fault, Limits, Names
from madang_lab.publish.reading import Read

Stop = (
    Fault | Literal["entries", "total", "file", "unreadable", "home", "notebook", "packed", "ratio"]
)
Warn = Literal["absolute path", "outside", "left out", "missing", "secret"]
Left = Literal["hidden", "made again", "environment", "link", "special"]
"""Why something stays behind.

hidden       its name begins with a dot: .git, .madang, checkpoints, settings
made again   Python's own cache
environment  a folder with a Python environment: the dashboard brings its own
link, special  no plain file or folder
"""

AGAIN = frozenset({"__pycache__", "node_modules"})
_EVERYWHERE = ("/usr/", "/etc/", "/proc/", "/sys/", "/dev/", "/opt/")


@dataclass(frozen=True, slots=True)
class File:
    """A file that is packed; ``size`` in bytes."""

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Note:
    """Something to know; ``cell`` counts all cells of the notebook from 1, ``line`` the lines of a cell or
    file."""

    kind: Stop | Warn
    path: str = ""
    cell: int = 0
    line: int = 0
    what: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be packed.

    Attributes:
        folder: whose content it is.
        notebook: its path in the folder.
        files: in the order of the archive.
        left: paths that stay behind and why; of a folder only the folder.
        unseen: files that were not looked through for secrets, or not to the end (data, pictures,
            large ones).
    """

    folder: str
    notebook: str
    files: tuple[File, ...]
    left: tuple[tuple[str, Left], ...] = ()
    stops: tuple[Note, ...] = ()
    warnings: tuple[Note, ...] = ()
    unseen: int = 0

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)

    @property
    def ready(self) -> bool:
        """Whether it can be published."""
        return not self.stops


def leaves(name: str, kind: Literal["file", "folder", "link", "other"]) -> Left | None:
    """Why an entry of a folder stays behind, by its name and kind; None: it goes along."""
    if name.startswith("."):
        return "hidden"
    if kind == "link":
        return "link"
    if kind == "other":
        return "special"
    cached = kind == "file" and name.endswith((".pyc", ".pyo"))
    return "made again" if cached or (kind == "folder" and name in AGAIN) else None


def stops(files: Iterable[File], limits: Limits) -> list[Note]:
    """What keeps these files from being published."""
    names, found, total = Names(limits), list[Note](), 0
    for file in files:
        total += file.size
        if fault := names.fault(file.path, folder=False):
            found.append(Note(fault, file.path))
        elif file.size > limits.file:
            found.append(Note("file", file.path))
    if len(names) > limits.entries:
        found.append(Note("entries"))
    if total > limits.total:
        found.append(Note("total"))
    return found


def warnings(
    reads: Iterable[Read],
    packed: Collection[str],
    folder: str,
    exists: Callable[[str], bool],
) -> list[Note]:
    """What the notebook reads that will not be there.

    Args:
        reads: paths in its code.
        packed: paths in the folder that go along.
        folder: the notebook's own, absolute: its code runs there.
        exists: whether there is something at an absolute path here.
    """
    inner = set(packed)
    for path in packed:
        while path := posixpath.dirname(path):
            inner.add(path)
    found = []
    for read in reads:
        said = read.path.removeprefix("file://")
        absolute = said.startswith(("/", "~"))
        full = posixpath.normpath(posixpath.join(folder, said))
        there = exists(said if absolute else full)
        if not (there or read.surely):
            continue
        kind: Warn | None = None
        if absolute:
            # the machine's own files are in every container
            kind = None if _everywhere(said) else "absolute path"
        elif full != folder and not full.startswith(f"{folder.rstrip('/')}/"):
            kind = "outside"
        elif (inside := posixpath.relpath(full, folder)) != "." and inside not in inner:
            kind = "left out" if there else "missing"
        note = Note(kind, read.path, read.cell, read.line) if kind else None
        if note is not None and note not in found:
            found.append(note)
    return found


def _everywhere(path: str) -> bool:
    return path.startswith(_EVERYWHERE) or path == "/"
