"""What is remembered of a learner's copy of a lesson, in ``.madang/lessons/<id>.<language>/``.

- ``<hash>.base.ipynb``: each version that the copy was made from or brought up to, untouched.
- ``<time>-<hash>.ipynb``: backups, in the order of their names.
- ``state.json``: the last version, and the choices that came with each version.

The copy itself says which version it is from (``madang`` in its metadata): file and version change in one step,
and an older file, put back by whatever program, is merged from the version that it really is from.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from madang_lab.learn import inside
from madang_lab.learn.cells import Notebook
from madang_lab.learn.merge import Choice

STATE = "state.json"
KINDS = ("changed", "removed", "deleted")
_HASH = re.compile(r"[0-9a-f]{64}")
_BACKUP = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{12}\.ipynb")


class NotANotebookError(Exception):
    """A file is no notebook of nbformat 4."""


def notebook(data: bytes) -> Notebook:
    """The notebook in a file.

    Raises:
        NotANotebookError: there is none.
    """
    try:
        found = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise NotANotebookError(str(error)) from error
    cells = found.get("cells") if isinstance(found, dict) else None
    if not isinstance(cells, list) or found.get("nbformat") != 4:
        raise NotANotebookError("it has no cells")
    if not all(isinstance(cell, dict) and "cell_type" in cell for cell in cells):
        raise NotANotebookError("a cell is none")
    if not isinstance(found.setdefault("metadata", {}), dict):
        raise NotANotebookError("its metadata are none")
    return dict(found)


def written(found: Notebook) -> bytes:
    """A notebook as a file holds it, as Jupyter writes it."""
    return (json.dumps(found, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()


def digest(data: bytes) -> str:
    """The name of a version, or what tells two states of a file apart."""
    return hashlib.sha256(data).hexdigest()


def base_of(found: Notebook) -> str:
    """The version that a copy says it is from; empty if it says none."""
    own = found["metadata"].get("madang")
    base = own.get("base") if isinstance(own, dict) else None
    return base if isinstance(base, str) and _HASH.fullmatch(base) else ""


def marked(found: Notebook, lesson: str, version: str, base: str) -> Notebook:
    """The notebook saying which version it is from."""
    metadata = dict(found["metadata"])
    own = metadata.get("madang")
    more = {"lesson": lesson, "version": version, "base": base}
    metadata["madang"] = {**(own if isinstance(own, dict) else {}), **more}
    return {**found, "metadata": metadata}


def unmarked(found: Notebook) -> Notebook:
    """The notebook without that, to compare and to merge."""
    return {**found, "metadata": {k: v for k, v in found["metadata"].items() if k != "madang"}}


@dataclass
class State:
    """The last version, and by version what needs a choice."""

    base: str = ""
    choices: dict[str, list[Choice]] = field(default_factory=dict)

    @classmethod
    def parse(cls, data: bytes) -> State:
        """Read with patience: a damaged file is as none."""
        try:
            raw = json.loads(data)
        except ValueError:
            return cls()
        rows = raw.get("choices") if isinstance(raw, dict) else None
        if not isinstance(rows, dict) or not isinstance(raw.get("base"), str):
            return cls()
        return cls(raw["base"], {base: _choices(found) for base, found in rows.items()})

    def write(self) -> bytes:
        rows = {
            base: [{"kind": one.kind, "cell": one.cell, "title": one.title} for one in found]
            for base, found in self.choices.items()
        }
        return json.dumps({"format": 1, "base": self.base, "choices": rows}).encode()


def _choices(rows: object) -> list[Choice]:
    found = [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
    return [
        Choice(row["kind"], str(row["cell"]), str(row.get("title", "")))
        for row in found
        if row.get("kind") in KINDS and row.get("cell")
    ]


class Records:
    """The folder of one copy, open as ``folder``."""

    def __init__(self, folder: int) -> None:
        self.folder = folder

    def state(self) -> State:
        """What was remembered last."""
        found = inside.read(self.folder, STATE)
        return State() if found is None else State.parse(found.data)

    def remember(self, state: State) -> None:
        """Write it, if it is not what is there."""
        found, data = inside.read(self.folder, STATE), state.write()
        if found is None or found.data != data:
            inside.put(self.folder, STATE, data)

    def base(self, name: str) -> Notebook | None:
        """The version of that name; None if it was not kept, or is damaged."""
        if not _HASH.fullmatch(name):
            return None
        found = inside.read(self.folder, f"{name}.base.ipynb")
        if found is None or digest(found.data) != name:
            return None
        return notebook(found.data)

    def keep_base(self, data: bytes) -> str:
        """Keep a version; its name."""
        name = digest(data)
        if self.base(name) is None:
            inside.put(self.folder, f"{name}.base.ipynb", data)
        return name

    def backups(self) -> list[str]:
        """The names of the backups, the newest first."""
        with os.scandir(self.folder) as entries:
            names = [entry.name for entry in entries if _BACKUP.fullmatch(entry.name)]
        return sorted(names, reverse=True)

    def backup(self, data: bytes, now: float) -> str:
        """Keep a state of the learner's file; its name. What is there already is not kept twice."""
        tail = f"-{digest(data)[:12]}.ipynb"
        known = next((name for name in self.backups() if name.endswith(tail)), None)
        if known is not None and self.read_backup(known) == data:
            return known
        name = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now)) + tail
        inside.put(self.folder, name, data)
        return name

    def read_backup(self, name: str) -> bytes | None:
        """A backup; None if there is none of that name."""
        found = inside.read(self.folder, name) if _BACKUP.fullmatch(name) else None
        return None if found is None else found.data

    def tidy(self, now: float) -> None:
        """After a crash: what was not finished goes, what may be the learner's is kept as a backup."""
        inside.forget(self.folder, inside.DRAFT)
        found = inside.read(self.folder, inside.WHOLE)
        if found is not None:
            self.backup(found.data, now)
            inside.forget(self.folder, inside.WHOLE)
