"""What lessons there are: ``manifest.json`` of the shelf, a read-only folder of the image.

The folder holds ``ko/<file>`` and ``en/<file>``; the variable ``MADANG_LESSONS`` names it. Without it, or with
a manifest that cannot be used, there are no lessons and everything else works.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LANGUAGES = ("ko", "en")
FORMAT = 1
MAX_SIZE = 8 * 2**20
"""Bytes of a manifest or a lesson at most."""
_ID = re.compile(r"[a-z][a-z0-9-]{0,31}")


class ManifestError(ValueError):
    """The manifest cannot be used; the message says what is wrong with it."""


@dataclass(frozen=True)
class Lesson:
    """One lesson; texts and file names by language. ``minutes`` and ``memory_mb`` are what it needs."""

    id: str
    path: str
    order: int
    minutes: int
    title: Mapping[str, str]
    summary: Mapping[str, str]
    file: Mapping[str, str]
    accelerator: bool
    memory_mb: int
    tracking: bool
    checks: tuple[str, ...]


@dataclass(frozen=True)
class LessonPath:
    """Lessons that belong together; the title by language."""

    id: str
    title: Mapping[str, str]


@dataclass(frozen=True)
class Manifest:
    """All lessons in their order, the paths in theirs, and the version of the set."""

    version: str = ""
    lessons: tuple[Lesson, ...] = ()
    paths: tuple[LessonPath, ...] = ()

    def lesson(self, identity: str) -> Lesson | None:
        """The lesson of that id."""
        return next((one for one in self.lessons if one.id == identity), None)


def parse(raw: object) -> Manifest:
    """The lessons of a manifest.

    Raises:
        ManifestError: it is of another format, or a lesson in it is not whole.
    """
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        raise ManifestError(f"it is not of format {FORMAT}")
    rows = raw.get("lessons")
    if not isinstance(rows, list):
        raise ManifestError("it lists no lessons")
    lessons = sorted((_lesson(row) for row in rows), key=lambda one: one.order)
    for name, kind in ((lambda one: one.id, "id"), *((_name_in(of), of) for of in LANGUAGES)):
        names = [name(one) for one in lessons]
        if len({*names}) < len(names):
            raise ManifestError(f"two lessons have the same name ({kind})")
    return Manifest(_text(raw, "version"), tuple(lessons), _paths(raw, lessons))


def _paths(raw: Mapping[str, Any], lessons: list[Lesson]) -> tuple[LessonPath, ...]:
    """The paths as the manifest names them; one that it does not name is called by its id."""
    named = raw.get("paths") or []
    if not isinstance(named, list) or not all(isinstance(row, dict) for row in named):
        raise ManifestError("its paths are none")
    found = {_text(row, "id"): _by_language(row, "title") for row in named}
    for one in lessons:
        found.setdefault(one.path, dict.fromkeys(LANGUAGES, one.path))
    return tuple(LessonPath(identity, title) for identity, title in found.items())


def _name_in(language: str) -> Any:
    return lambda one: one.file[language]


def _lesson(row: object) -> Lesson:
    if not isinstance(row, dict):
        raise ManifestError("a lesson is no object")
    identity = _text(row, "id")
    if not _ID.fullmatch(identity):
        raise ManifestError(f"{identity!r} is no id")
    try:
        needs = row.get("needs") or {}
        found = Lesson(
            id=identity,
            path=_text(row, "path"),
            order=int(row["order"]),
            minutes=int(row["minutes"]),
            title=_by_language(row, "title"),
            summary=_by_language(row, "summary"),
            file=_by_language(row, "file"),
            accelerator=bool(needs.get("accelerator")),
            memory_mb=int(needs.get("memory_mb") or 0),
            tracking=bool(needs.get("tracking")),
            checks=tuple(str(check) for check in row.get("checks") or ()),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ManifestError(f"lesson {identity}: {error!r}") from error
    for name in found.file.values():
        if not name.endswith(".ipynb") or name.startswith(".") or re.search(r"[/\\\0]", name):
            raise ManifestError(f"lesson {identity}: {name!r} is no name of a notebook")
    return found


def _text(row: Mapping[str, Any], key: str) -> str:
    found = row.get(key)
    if not isinstance(found, str) or not found:
        raise ManifestError(f"{key!r} is missing")
    return found


def _by_language(row: Mapping[str, Any], key: str) -> dict[str, str]:
    found = row.get(key)
    if not isinstance(found, dict):
        raise ManifestError(f"{key!r} is missing")
    return {language: _text(found, language) for language in LANGUAGES}


class Reader:
    """The manifest of a folder, read again when it was replaced."""

    def __init__(self, folder: Path | None, log: logging.Logger) -> None:
        self.folder = folder
        self._log = log
        self._read: tuple[int, int, int] | None = None
        self._manifest = Manifest()
        self._said = ""

    def manifest(self) -> Manifest:
        """What is there now; no lessons where there is nothing that can be used."""
        if self.folder is None:
            return Manifest()
        path = self.folder / "manifest.json"
        try:
            info = path.stat()
            mark = info.st_ino, info.st_mtime_ns, info.st_size
            if mark != self._read:
                if info.st_size > MAX_SIZE:
                    raise ManifestError("it is too large")
                self._manifest = parse(json.loads(path.read_text("utf-8")))
                self._read, self._said = mark, ""
        except (OSError, ValueError) as error:
            self._manifest, self._read = Manifest(), None
            self._say(f"There are no lessons: {path} cannot be used: {error}")
        return self._manifest

    def _say(self, sentence: str) -> None:
        if sentence != self._said:
            self._said = sentence
            self._log.warning("%s", sentence)
