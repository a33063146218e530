"""All lessons with what the learner has of them, for the page. Reads only."""

from __future__ import annotations

import json
from typing import Any

from madang_lab.learn import inside, progress
from madang_lab.learn.cells import Notebook, by_id, identified, source
from madang_lab.learn.manifest import LANGUAGES, Lesson
from madang_lab.learn.merge import Choice, standing
from madang_lab.learn.records import Records, choices_of, notebook
from madang_lab.learn.shelf import (
    FOLDERS,
    RECORDS,
    Shelf,
    ShelfError,
    etag,
    translated,
    version_of,
)

SHOWN = 4000
"""Characters of a cell that are shown beside a choice."""


def overview(shelf: Shelf) -> dict[str, Any]:
    """The lessons in their order; ``copies`` by language, for those that were opened."""
    manifest, passed = shelf.reader.manifest(), _progress(shelf)
    return {
        "version": manifest.version,
        "paths": [{"id": one.id, "title": dict(one.title)} for one in manifest.paths],
        "lessons": [
            {
                "id": one.id,
                "path": one.path,
                "minutes": one.minutes,
                "title": dict(one.title),
                "summary": dict(one.summary),
                "accelerator": one.accelerator,
                "memory_mb": one.memory_mb,
                "tracking": one.tracking,
                "checks": len(one.checks),
                "passed": len(progress.passed(passed, one.checks)),
                "copies": {
                    language: _copy(shelf, one, language)
                    for language in LANGUAGES
                    if shelf.opened(one, language)
                },
            }
            for one in manifest.lessons
        ],
    }


def _copy(shelf: Shelf, lesson: Lesson, language: str) -> dict[str, Any]:
    """What there is to say about a copy; ``trouble`` names why it cannot be worked on."""
    found: dict[str, Any] = {
        "path": shelf.path(lesson, language),
        "etag": "",
        "update": False,
        "choices": [],
        "backups": [],
        "trouble": "",
    }
    try:
        with translated(), inside.folder(shelf.home, (FOLDERS[language],)) as shown:
            file = inside.read(shown, lesson.file[language])
            if file is None:
                return found
            found["etag"] = etag(file.data)
            # without records everything in which the copy differs will need a choice
            found["update"] = True
            way = (*RECORDS, f"{lesson.id}.{language}")
            try:
                with inside.folder(shelf.home, way) as folder:
                    _look(shelf, lesson, language, file.data, Records(folder), found)
            except FileNotFoundError:
                pass
    except ShelfError as error:
        found["trouble"] = error.reason
    return found


def _look(
    shelf: Shelf,
    lesson: Lesson,
    language: str,
    data: bytes,
    records: Records,
    found: dict[str, Any],
) -> None:
    found["backups"] = records.backups()
    mine = notebook(data)
    name, base = version_of(records, mine)
    found["update"] = name != shelf.digest(lesson, language)
    if base is not None:
        found["choices"] = _shown(choices_of(mine), mine, base)


def _shown(choices: list[Choice], mine: Notebook, base: Notebook) -> list[dict[str, Any]]:
    """The open choices with both texts."""
    now = by_id(identified(base["cells"]))
    have = by_id(identified(mine["cells"], list(now.values())))
    return [
        {
            "kind": one.kind,
            "cell": one.cell,
            "title": one.title,
            "ways": list(one.ways),
            "mine": source(have[one.cell])[:SHOWN] if one.cell in have else "",
            "new": source(now[one.cell])[:SHOWN] if one.cell in now else "",
        }
        for one in standing(choices, mine, base)
    ]


def _progress(shelf: Shelf) -> object:
    try:
        with inside.folder(shelf.home, RECORDS) as folder:
            found = inside.read(folder, "progress.json")
        return None if found is None else json.loads(found.data)
    except (OSError, ValueError, RecursionError, inside.LinkInTheWayError, inside.ChangedError):
        return None
