"""Makes the plan of a notebook's folder. Writes nothing, and follows no link."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Literal

from madang_lab.publish import plan as rules
from madang_lab.publish.bounds import Limits
from madang_lab.publish.plan import File, Left, Note, Plan
from madang_lab.publish.reading import Read, cells, reads
from madang_lab.publish.scanner import scan

Kind = Literal["file", "folder", "link", "other"]


def plan(notebook: Path, home: Path, limits: Limits | None = None) -> Plan:
    """What will be packed if ``notebook`` is published: its folder. Blocks, for as long as the files are many.

    Args:
        home: the person's: it is never published as a whole.

    Raises:
        OSError: the notebook or its folder is not there.
    """
    limits = limits or Limits()
    notebook = notebook.absolute()
    folder, name = notebook.parent.resolve(strict=True), notebook.name
    if not stat.S_ISREG((folder / name).lstat().st_mode):
        raise FileNotFoundError(f"{notebook} is no file")
    if home.resolve().is_relative_to(folder):
        made = Plan(str(folder), name, ())
        return replace(made, stops=(Note("home"),))
    files, left, stops = _walk(folder, limits)
    files.sort(key=lambda f: f.path.encode("utf-8", "surrogateescape"))
    stops += rules.stops(files, limits)
    named, fault = _reads(folder / name)
    if fault is not None:
        stops.append(replace(fault, path=name))
    cut = any(note.kind == "entries" for note in stops)
    if name not in {f.path for f in files} and not cut:
        stops.append(Note("notebook", name))
    made = Plan(str(folder), name, tuple(files), tuple(left), tuple(stops))
    if stops:
        return made
    warned = rules.warnings(named, {f.path for f in files}, str(folder), _exists)
    secrets, unseen = scan(folder, files)
    return replace(made, warnings=(*warned, *secrets), unseen=unseen)


def _walk(folder: Path, limits: Limits) -> tuple[list[File], list[tuple[str, Left]], list[Note]]:
    files: list[File] = []
    left: list[tuple[str, Left]] = []
    stops: list[Note] = []
    waiting = [""]
    entered = 0
    while waiting:
        inside = waiting.pop()
        try:
            with os.scandir(folder / inside) as entries:
                found = sorted(entries, key=lambda e: e.name)
        except OSError:
            stops.append(Note("unreadable", inside))
            continue
        for entry in found:
            path = f"{inside}/{entry.name}" if inside else entry.name
            try:
                state = entry.stat(follow_symlinks=False)
            except OSError:
                continue  # removed meanwhile
            kind = _kind(state.st_mode)
            reason = rules.leaves(entry.name, kind)
            if reason is None and kind == "folder" and (folder / path / "pyvenv.cfg").is_file():
                reason = "environment"
            if reason is not None:
                left.append((path, reason))
                continue
            entered += 1
            if entered > limits.entries:
                # a home with a million files is not looked through to the end
                return files, left, [*stops, Note("entries")]
            if kind == "folder":
                waiting.append(path)
                continue
            files.append(File(path, state.st_size))
            if not os.access(folder / path, os.R_OK):
                stops.append(Note("unreadable", path))
    return files, left, stops


def _kind(mode: int) -> Kind:
    if stat.S_ISDIR(mode):
        return "folder"
    if stat.S_ISREG(mode):
        return "file"
    return "link" if stat.S_ISLNK(mode) else "other"


def _reads(notebook: Path) -> tuple[list[Read], Note | None]:
    try:
        return reads(cells(json.loads(notebook.read_text(encoding="utf-8")))), None
    except (OSError, ValueError, RecursionError):
        return [], Note("notebook")


def _exists(path: str) -> bool:
    try:
        return os.path.lexists(os.path.expanduser(path))  # noqa: PTH111  # a text of a program, maybe no path
    except ValueError:
        return False
