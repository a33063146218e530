"""What differs between two states of the locks, in plain words. Rules only.

A lock is read as *name → versions*: one for most packages, several where platforms or (npm) dependents get
different ones. The same change in several locks is one line: ``numpy 2.3.1 → 2.4.0 (lab, torch)``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from packaging.version import InvalidVersion, Version

Kind = Literal["up", "down", "added", "removed"]
Lock = Mapping[str, tuple[str, ...]]

TITLES: Mapping[Kind, str] = {
    "up": "Newer",
    "down": "Older",
    "added": "Added",
    "removed": "Removed",
}
MAJOR = "new major version"


def python_lock(text: str) -> dict[str, tuple[str, ...]]:
    """The packages of a lock in pip's form."""
    found: dict[str, set[str]] = {}
    for line in text.splitlines():
        if head := re.match(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^]]*\])?==([^\s;\\]+)", line):
            found.setdefault(head[1], set()).add(head[2])
    return {name: _sorted(versions) for name, versions in found.items()}


def npm_lock(text: str) -> dict[str, tuple[str, ...]]:
    """The packages of a ``package-lock.json`` (version 2 or 3)."""
    found: dict[str, set[str]] = {}
    for place, row in (json.loads(text).get("packages", {}) if text.strip() else {}).items():
        name = row.get("name") or place.rpartition("node_modules/")[2]
        if "node_modules/" in place and "version" in row:
            found.setdefault(name, set()).add(str(row["version"]))
    return {name: _sorted(versions) for name, versions in found.items()}


@dataclass(frozen=True)
class Change:
    """``name`` has gone from the versions ``before`` to ``after``."""

    name: str
    before: tuple[str, ...]
    after: tuple[str, ...]

    @property
    def kind(self) -> Kind:
        if not self.before:
            return "added"
        if not self.after:
            return "removed"
        return "up" if _key(self.after[-1]) >= _key(self.before[-1]) else "down"

    @property
    def major(self) -> bool:
        """Whether the newest version has another major number than before."""
        return bool(self.before and self.after) and (
            _major(self.before[-1]) != _major(self.after[-1])
        )

    def __str__(self) -> str:
        versions = [" and ".join(v) for v in (self.before, self.after) if v]
        return f"{self.name} {' → '.join(versions)}"


def changes(before: Lock, after: Lock) -> list[Change]:
    """What differs from ``before`` to ``after``, by name."""
    return [
        Change(name, before.get(name, ()), after.get(name, ()))
        for name in sorted({*before, *after}, key=str.lower)
        if before.get(name, ()) != after.get(name, ())
    ]


@dataclass(frozen=True)
class Report:
    """The changes of all locks: each change with the locks that have it."""

    changes: Mapping[Change, tuple[str, ...]]
    unchanged: tuple[str, ...]

    @classmethod
    def of(cls, locks: Mapping[str, tuple[Lock, Lock]]) -> Report:
        """Of the locks by their name, each before and after."""
        found: dict[Change, list[str]] = {}
        for lock, (before, after) in locks.items():
            for change in changes(before, after):
                found.setdefault(change, []).append(lock)
        return cls(
            {change: tuple(names) for change, names in found.items()},
            tuple(lock for lock, (before, after) in locks.items() if not changes(before, after)),
        )

    def _lines(self, kind: Kind) -> list[str]:
        rows = sorted(
            (change for change in self.changes if change.kind == kind),
            key=lambda change: (not change.major, change.name.lower(), change.before, change.after),
        )
        return [
            f"{row} ({', '.join(self.changes[row])})" + (f": {MAJOR}" if row.major else "")
            for row in rows
        ]

    def text(self, rebuilt: Sequence[str] = (), markdown: bool = False) -> str:
        """In plain words.

        Args:
            rebuilt: the images that the next build makes anew because of it.
            markdown: as a list for a changelog.
        """
        parts = []
        for kind, title in TITLES.items():
            if lines := self._lines(kind):
                parts.append(_list(f"{title} ({len(lines)})", lines, markdown))
        if not parts:
            return "Nothing changed: every lock is as it is committed.\n"
        if self.unchanged:
            parts.append(f"Nothing changed in: {', '.join(self.unchanged)}\n")
        if rebuilt:
            parts.append(f"The next build makes these images anew: {', '.join(rebuilt)}\n")
        return "\n".join(parts)


def _list(title: str, lines: Sequence[str], markdown: bool) -> str:
    if markdown:
        return "\n".join([f"**{title}**", "", *(f"- {line}" for line in lines), ""])
    return "\n".join([title, *(f"  {line}" for line in lines), ""])


def _key(version: str) -> tuple[bool, Version | tuple[int, ...]]:
    """For comparing; what is no version as Python writes it comes before all that are."""
    try:
        return True, Version(version)
    except InvalidVersion:
        return False, tuple(map(int, re.findall(r"\d+", version)))


def _major(version: str) -> tuple[int, int]:
    """Epoch and first number."""
    try:
        read = Version(version)
    except InvalidVersion:
        first = re.search(r"\d+", version)
        return 0, int(first[0]) if first else 0
    return read.epoch, read.major


def _sorted(versions: set[str]) -> tuple[str, ...]:
    return tuple(sorted(versions, key=lambda v: (_key(v), v)))
