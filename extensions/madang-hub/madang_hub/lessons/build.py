"""All lessons in one folder: notebooks, solutions, ``manifest.json``. The same source, the same bytes."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from madang_hub.lessons import SOURCE, notebooks, source, translation
from madang_hub.lessons.about import About, Set, read_about, read_set
from madang_hub.lessons.source import Cell, LessonError

FORMAT = 1
LANGUAGES = ("ko", "en")
HEADING = "# English of this lesson, by cell; see docs/howto/write-a-lesson.md"


@dataclass(frozen=True)
class Written:
    """One lesson as its author wrote it."""

    about: About
    cells: list[Cell]
    folder: Path

    @property
    def checks(self) -> list[str]:
        """The names of its checks."""
        return [f"{self.about.id}.{number}" for number in source.exercises(self.cells)]


def lessons(root: Path) -> tuple[Set, list[Written]]:
    """Every lesson of the checkout ``root``, in order.

    Raises:
        LessonError: one cannot be read; the message says where.
    """
    all_of_them = read_set(root / SOURCE / "lessons.toml")
    found = [_read(folder) for folder in sorted((root / SOURCE).iterdir()) if folder.is_dir()]
    paths = [path.id for path in all_of_them.path]
    names: set[str] = set()
    for lesson in found:
        about = lesson.about
        if about.id != lesson.folder.name:
            raise LessonError(f"{lesson.folder.name}/lesson.toml: the id is the folder's name.")
        if about.path not in paths:
            raise LessonError(
                f"{about.id}/lesson.toml: no path {about.path}; there are {', '.join(paths)}."
            )
        for name in {about.file.ko, about.file.en}:
            if name in names:
                raise LessonError(f"{about.id}/lesson.toml: another lesson has the file {name}.")
            names.add(name)
    return all_of_them, sorted(found, key=lambda o: (paths.index(o.about.path), o.about.order))


def _read(folder: Path) -> Written:
    about = read_about(folder / "lesson.toml")
    name = f"{folder.name}/lesson.py"
    try:
        text = (folder / "lesson.py").read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise LessonError(f"{name} is missing.") from error
    return Written(about, source.read(text, name), folder)


def texts_of(lesson: Written) -> dict[str, dict[str, str]]:
    """The texts of a lesson's text cells, by language and id.

    Raises:
        LessonError: an English text is missing or stale.
    """
    name = f"{lesson.folder.name}/en.toml"
    tables = translation.read(_text(lesson.folder / "en.toml"), name)
    return {
        "ko": {cell.id: cell.source for cell in lesson.cells if cell.kind == "markdown"},
        "en": translation.english(lesson.cells, tables, name),
    }


def files(root: Path) -> dict[str, bytes]:
    """Every file of the built folder, by its path below it.

    Raises:
        LessonError: a lesson cannot be built; the message says which and why.
    """
    all_of_them, found = lessons(root)
    made: dict[str, bytes] = {}
    entries = []
    for lesson in found:
        texts = texts_of(lesson)
        cells: dict[str, dict[str, str]] = {}
        for lang in LANGUAGES:
            about = {"lesson": lesson.about.id, "version": all_of_them.version, "lang": lang}
            name = getattr(lesson.about.file, lang)
            learner = notebooks.notebook(lesson.cells, "learner", texts[lang], about)
            solved = notebooks.notebook(lesson.cells, "solution", texts[lang], about)
            made[f"{lang}/{name}"] = notebooks.written(learner)
            made[f"solutions/{lang}/{name}"] = notebooks.written(solved)
            cells[lang] = notebooks.hashes(learner)
        entries.append(_entry(lesson, cells))
    manifest = {
        "format": FORMAT,
        "version": all_of_them.version,
        "paths": [path.model_dump() for path in all_of_them.path],
        "lessons": entries,
    }
    made["manifest.json"] = notebooks.written(manifest)
    return made


def _entry(lesson: Written, cells: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    said = lesson.about.model_dump(exclude={"numbers"})
    return {**said, "checks": lesson.checks, "cells": cells}


def build(root: Path, target: Path) -> bool:
    """Bring the folder ``target`` in line with the lessons of ``root``; False if it was already.

    Raises:
        LessonError: a lesson cannot be built; ``target`` is as it was.
    """
    made = files(root)
    if dict(_present(target)) == made:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=".lessons-", dir=target.parent))
    try:
        for name, content in made.items():
            path = fresh / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        fresh.chmod(0o755)
        old = Path(f"{fresh}.old")
        if target.exists():
            target.rename(old)
        fresh.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return True


def translate(root: Path) -> list[str]:
    """Write what is new or stale into every ``en.toml``; the lessons that now wait for their author.

    Raises:
        LessonError: a lesson cannot be read.
    """
    waiting = []
    for lesson in lessons(root)[1]:
        path = lesson.folder / "en.toml"
        before = _text(path)
        tables = translation.read(before, f"{lesson.folder.name}/en.toml")
        after = translation.updated(lesson.cells, tables, HEADING)
        if after != before:
            path.write_text(after, encoding="utf-8")
        try:
            texts_of(lesson)
        except LessonError:
            waiting.append(lesson.about.id)
    return waiting


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def _present(target: Path) -> Iterator[tuple[str, bytes]]:
    for folder, _, names in os.walk(target):
        for name in names:
            path = Path(folder) / name
            yield path.relative_to(target).as_posix(), path.read_bytes()
