"""What a snapshot may hold: how much, and under which names. Rules only.

Who packs and who unpacks go by them, in two environments that share no package:
``madang_lab/publish/bounds.py`` and ``madang_hub/dashboards/bounds.py`` are the same file, letter for letter,
and a unit test holds them together.

A path is a ``str`` with ``/`` between its parts. Names are kept as they are, so one that would be another
file on another machine (other Unicode form, capitals) is refused and never changed.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

MIB = 2**20

Fault = Literal[
    "absolute",
    "odd",
    "long",
    "deep",
    "characters",
    "form",
    "hidden",
    "reserved",
    "twice",
    "alike",
    "both",
]
"""What is wrong with a path.

absolute    begins with ``/``
odd         an empty part, ``.`` or ``..``
long        the path or a part of it has too many bytes
deep        too many folders in each other
characters  control characters, a backslash, line separators, marks that turn the direction of writing, no UTF-8
form        not Unicode's composed form (NFC)
hidden      a part begins with a dot
reserved    a name that the service or the program that shows the dashboard reads for itself
twice       it was there before
alike       another path differs in capitals only
both        it is a file, and a folder as well
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a snapshot may be. Sizes in bytes.

    Attributes:
        entries: files and folders together.
        total: of all files together, unpacked.
        file: of one file.
        packed: of the archive as it is sent.
        path, name: of a whole path and of one part of it, as UTF-8.
        depth: parts of a path.
        ratio: how many times as much as was sent may come out of it, once :attr:`spared` has.
        spared: so much may always come out: a small file of nothing but zeros is no attack.
    """

    entries: int = 2000
    total: int = 512 * MIB
    file: int = 256 * MIB
    packed: int = 256 * MIB
    path: int = 400
    name: int = 200
    depth: int = 12
    ratio: int = 200
    spared: int = 16 * MIB


RESERVED = ("manifest.json", "voila.json", "voila.py")
"""In the topmost folder: the first is the service's own, the others would be read as settings."""
_RESERVED_STARTS = ("jupyter_",)
_RESERVED_ENDS = ("config.json", "config.py")
TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Marks that turn the direction of writing: with them a name can be shown as another."""
_UNFIT = frozenset({"Cc", "Cs", "Zl", "Zp"})


def path_fault(path: str, limits: Limits) -> Fault | None:
    """What is wrong with ``path`` by itself; None if nothing is."""
    if path.startswith("/"):
        return "absolute"
    if any(c in TURNING or c == "\\" or unicodedata.category(c) in _UNFIT for c in path):
        return "characters"
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts):
        return "odd"
    if len(path.encode()) > limits.path or any(len(p.encode()) > limits.name for p in parts):
        return "long"
    if len(parts) > limits.depth:
        return "deep"
    if not unicodedata.is_normalized("NFC", path):
        return "form"
    if any(part.startswith(".") for part in parts):
        return "hidden"
    return "reserved" if is_reserved(parts[0]) else None


def is_reserved(name: str) -> bool:
    """Whether a name in the topmost folder is one that others read for themselves."""
    small = name.casefold()
    own = small.startswith(_RESERVED_STARTS) and small.endswith(_RESERVED_ENDS)
    return own or small in RESERVED


@dataclass(slots=True)
class Names:
    """The paths of one snapshot, one after the other; folders need not be named before what is in them."""

    limits: Limits
    _known: dict[str, tuple[str, bool]] = field(default_factory=dict)  # by what is alike
    _named: set[str] = field(default_factory=set)

    def fault(self, path: str, *, folder: bool) -> Fault | None:
        """Take ``path`` in; what is wrong with it, in which case the rest of the snapshot does not matter."""
        if found := path_fault(path, self.limits):
            return found
        if path in self._named:
            return "twice"
        self._named.add(path)
        for part, is_folder in _parts(path, folder):
            known = self._known.setdefault(_alike(part), (part, is_folder))
            if known[0] != part:
                return "alike"
            if known[1] != is_folder:
                return "both"
        return None

    @property
    def folders(self) -> list[str]:
        """All folders, also those that only their content names."""
        return [path for path, is_folder in self._known.values() if is_folder]

    def __len__(self) -> int:
        return len(self._known)


def _parts(path: str, folder: bool) -> Iterator[tuple[str, bool]]:
    at = path.find("/")
    while at >= 0:
        yield path[:at], True
        at = path.find("/", at + 1)
    yield path, folder


def _alike(path: str) -> str:
    """Equal for paths that are one file where capitals or Unicode forms do not count."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKC", path).casefold())
