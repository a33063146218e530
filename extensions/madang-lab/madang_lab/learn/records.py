"""What is remembered of a learner's copy of a lesson, in ``.madang/lessons/<id>.<language>/``.

- ``<hash>.base.ipynb``: each version that the copy was made from or brought up to, untouched.
- ``<time>-<hash>.ipynb``: backups, in the order of their names.
- ``state.json``: the last version.

The copy itself says which version it is from and what needs a choice (``madang`` in its metadata): file,
version and choices change in one step, and an older file, put back by whatever program, is merged from the
version that it really is from, and has its own choices.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Iterable
from dataclasses import asdict

from madang_lab.learn import inside
from madang_lab.learn.cells import Cell, Notebook
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
    if not all(isinstance(cell, dict) and _is_cell(cell) for cell in cells):
        raise NotANotebookError("a cell is none")
    if not isinstance(found.setdefault("metadata", {}), dict):
        raise NotANotebookError("its metadata are none")
    if not isinstance(found.get("nbformat_minor", 0), int):
        raise NotANotebookError("its format is none")
    return dict(found)


def _is_cell(cell: Cell) -> bool:
    """Whether its parts are of the kinds that the rest relies on."""
    text = cell.get("source", "")
    is_text = isinstance(text, str) or (
        isinstance(text, list) and all(isinstance(line, str) for line in text)
    )
    outputs, metadata = cell.get("outputs", []), cell.get("metadata", {})
    is_whole = is_text and isinstance(outputs, list) and isinstance(metadata, dict)
    return is_whole and "cell_type" in cell


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


def choices_of(found: Notebook) -> list[Choice]:
    """What needs a choice, as a copy says itself."""
    own = found["metadata"].get("madang")
    rows = own.get("choices") if isinstance(own, dict) else None
    return [
        Choice(row["kind"], str(row["cell"]), str(row.get("title", "")))
        for row in (rows if isinstance(rows, list) else [])
        if isinstance(row, dict) and row.get("kind") in KINDS and row.get("cell")
    ]


def with_choices(found: Notebook, choices: Iterable[Choice]) -> Notebook:
    """The notebook, which says from which version it is, saying also what needs a choice."""
    own = {k: v for k, v in found["metadata"]["madang"].items() if k != "choices"}
    rows = [asdict(one) for one in choices]
    if rows:
        own["choices"] = rows
    return {**found, "metadata": {**found["metadata"], "madang": own}}


class Records:
    """The folder of one copy, open as ``folder``."""

    def __init__(self, folder: int) -> None:
        self.folder = folder

    def last(self) -> str:
        """The version that was remembered last; empty if none was, or it cannot be read."""
        found = inside.read(self.folder, STATE)
        try:
            raw = None if found is None else json.loads(found.data)
        except ValueError:
            return ""
        base = raw.get("base") if isinstance(raw, dict) else None
        return base if isinstance(base, str) else ""

    def remember(self, base: str) -> None:
        """Write the last version, if it is not what is there."""
        found, data = inside.read(self.folder, STATE), json.dumps({"format": 1, "base": base})
        if found is None or found.data != data.encode():
            inside.put(self.folder, STATE, data.encode())

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
        """Keep a state of the learner's file; its name. What is there already gets a new one instead."""
        tail = f"-{digest(data)[:12]}.ipynb"
        name = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now)) + tail
        known = next((name for name in self.backups() if name.endswith(tail)), None)
        if known is not None and self.read_backup(known) == data:
            os.rename(known, name, src_dir_fd=self.folder, dst_dir_fd=self.folder)
        else:
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
