"""What takes room in a home, and what of it can go without loss. Pure.

Paths are those below the home, with ``/``. A folder is *emptiable* when programs make or fetch its content
again by themselves, or when it was thrown away already; nothing else is ever offered for removal.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice

from madang_lab.layer import LAYERS

KNOWN = {
    ".cache/fontconfig": "cache",
    ".cache/jedi": "cache",
    ".cache/matplotlib": "cache",
    ".cache/pip": "cache",
    ".cache/uv": "cache",
    ".npm/_cacache": "cache",
    # not the whole of huggingface: the person's sign-in there lies beside these
    ".cache/huggingface/datasets": "downloads",
    ".cache/huggingface/hub": "downloads",
    ".cache/huggingface/xet": "downloads",
    ".cache/torch/hub": "downloads",
    ".cache/torch/kernels": "cache",
    ".local/share/Trash": "trash",
}
"""Folders that are emptiable, and their kind."""
CHECKPOINTS = ".ipynb_checkpoints"
WHOLE = frozenset({".git", ".venv", "node_modules"})
"""Names of folders that only make sense as a whole: what is in them is not listed by itself."""
LAYER = re.compile(r"(?P<environment>.+)-py\d+\.\d+")
GONE = ".gone-"
"""Begins the name of a layer that is being removed (:mod:`madang_lab.env_command`)."""


def kind_of(folder: str, environments: Collection[str]) -> str:
    """Why ``folder`` is emptiable; empty if it is not.

    One of cache, downloads, checkpoints, trash, packages, leftover.

    Args:
        folder: its path in the home.
        environments: all that can be started; empty where that is not known, and then no layer is emptiable.
    """
    parent, _, name = folder.rpartition("/")
    if name == CHECKPOINTS:
        return "checkpoints"
    if parent == LAYERS:
        if name.startswith(GONE):
            return "leftover"
        layer = LAYER.fullmatch(name)
        return "packages" if layer and environments and layer[1] not in environments else ""
    return KNOWN.get(folder, "")


def is_whole(folder: str) -> bool:
    """Whether ``folder`` is listed, but nothing in it."""
    parent, _, name = folder.rpartition("/")
    return name in WHOLE or parent == LAYERS


@dataclass
class Emptiable:
    """A folder that can go: ``alone`` is the size of what lies in it and nowhere else, in bytes.

    ``linked`` has the files with several names (hard links) by their number: size, names, names in here. uv
    links its cache with what it installs, so that emptying one of both makes no room.
    """

    path: str
    kind: str
    alone: int = 0
    linked: dict[int, tuple[int, int, int]] = field(default_factory=dict)

    def add(self, size: int, number: int = 0, names: int = 1) -> None:
        """Count a file or folder in it."""
        if names == 1:
            self.alone += size
        else:
            here = self.linked.get(number, (size, names, 0))[2]
            self.linked[number] = (size, names, here + 1)


def freed(chosen: Iterable[Emptiable]) -> int:
    """The room that removing all of ``chosen`` makes, in bytes."""
    total = 0
    linked: dict[int, int] = {}
    for one in chosen:
        total += one.alone
        for number, (size, names, here) in one.linked.items():
            linked[number] = linked.get(number, 0) + here
            if linked[number] == names:
                total += size
    return total


def largest_folders(folders: Mapping[str, int], most: int, least: int) -> list[tuple[str, int]]:
    """The largest of ``folders``, at most ``most``, of ``least`` bytes or more.

    Args:
        folders: path to bytes with everything inside; every folder's parent is in it (the home is "").

    A folder is left out when one folder in it holds four fifths of it: that one says where the room is.
    """
    heaviest: dict[str, int] = {}
    for folder, size in folders.items():
        parent = parent_of(folder)
        if folder:
            heaviest[parent] = max(heaviest.get(parent, 0), size)
    telling = (
        (folder, size)
        for folder, size in folders.items()
        if folder and size >= least and heaviest.get(folder, 0) < 0.8 * size
    )
    return list(islice(sorted(telling, key=lambda one: (-one[1], one[0])), most))


def parent_of(folder: str) -> str:
    """The folder that ``folder`` is in; the home's own is itself."""
    return folder.rpartition("/")[0]


@dataclass(frozen=True)
class Space:
    """What was found in a home; sizes in bytes on the disk, a file with several names counted once."""

    folders: Mapping[str, int]
    files: tuple[tuple[str, int], ...]
    emptiable: tuple[Emptiable, ...]
    unread: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """All of it."""
        return self.folders[""]
