"""A learner's copies of lessons: open, update, reset, choose, restore.

Each step leaves the copy as it was or as it shall be, whenever it is ended: versions and a backup are written
first, then the copy changes in one step (``inside.py``). What comes after that step can be left out: doing the
same once more changes nothing.
"""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from madang_lab.learn import inside
from madang_lab.learn.cells import Notebook
from madang_lab.learn.inside import ChangedError, Found, LinkInTheWayError, Mark
from madang_lab.learn.manifest import MAX_SIZE, Lesson, Reader
from madang_lab.learn.merge import Change, Choice, How, decide, merge, standing
from madang_lab.learn.records import (
    NotANotebookError,
    Records,
    base_of,
    choices_of,
    digest,
    marked,
    notebook,
    unmarked,
    with_choices,
    written,
)

FOLDERS = {"ko": "배움", "en": "lessons"}
"""Where the copies lie in a home, by language."""
RECORDS = (".madang", "lessons")
SETTLED = 5.0
"""Seconds for which a notebook must not have changed before it is replaced: somebody may be at it."""
EMPTY: Notebook = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

log = logging.getLogger(__name__)


class ShelfError(Exception):
    """Something was not done; ``reason`` names the sentence (``sentences.py``)."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Done:
    """What came of it: where the copy is below the home, what changed, what needs a choice.

    ``before`` and ``after`` are the copy's content where it was replaced (``before`` None: there was none).
    """

    path: str
    changes: tuple[Change, ...] = ()
    choices: tuple[Choice, ...] = ()
    before: Notebook | None = None
    after: Notebook | None = None


@dataclass(frozen=True)
class _Desk:
    """Where one copy is worked on, with nobody else there."""

    records: Records
    shown: int
    lesson: Lesson
    language: str

    @property
    def name(self) -> str:
        return self.lesson.file[self.language]

    @property
    def path(self) -> str:
        return f"{FOLDERS[self.language]}/{self.name}"


class Shelf:
    """The lessons of ``reader`` and the copies of them in ``home``. All calls wait for disks."""

    def __init__(self, reader: Reader, home: Path, clock: Callable[[], float] = time.time) -> None:
        self.reader = reader
        self.home = home
        self.clock = clock
        # what this server wrote itself is not somebody at work
        self._own: dict[str, Mark] = {}
        self._digests: dict[Path, tuple[tuple[int, int], str]] = {}

    # ---- looking --------------------------------------------------------------------------

    def lesson(self, identity: str) -> Lesson:
        """The lesson of that id.

        Raises:
            ShelfError: ``unknown``.
        """
        found = self.reader.manifest().lesson(identity)
        if found is None:
            raise ShelfError("unknown")
        return found

    def path(self, lesson: Lesson, language: str) -> str:
        """Where the copy is or would be, below the home."""
        return f"{FOLDERS[language]}/{lesson.file[language]}"

    def opened(self, lesson: Lesson, language: str) -> bool:
        """Whether there is a copy."""
        return (self.home / self.path(lesson, language)).exists()

    # ---- doing ----------------------------------------------------------------------------

    def open(self, lesson: Lesson, language: str) -> Done:
        """Make the copy if there is none.

        Raises:
            ShelfError: it cannot be made.
        """
        if self.opened(lesson, language):
            return Done(self.path(lesson, language))
        with translated(), self._desk(lesson, language) as desk:
            if inside.look(desk.shown, desk.name) is not None:
                return Done(desk.path)  # in another tab, just now
            return self._pristine(desk, None)

    def update(self, lesson: Lesson, language: str, seen: str = "") -> Done:
        """Merge what is new into the copy; without anything new nothing is written.

        Args:
            seen: the copy's ``etag`` as the person saw it; empty: whatever it is.

        Raises:
            ShelfError: nothing was changed.
        """
        with translated(), self._desk(lesson, language) as desk:
            file = self._replaceable(desk, seen)
            mine = notebook(file.data)
            new, data = self._built(lesson, language)
            name, pending = digest(data), choices_of(mine)
            was, base = version_of(desk.records, mine)
            if was == name:
                return Done(desk.path, choices=tuple(standing(pending, mine, new)))
            merged = merge(*(unmarked(one) for one in (base or EMPTY, mine, new)))
            told = {one.cell for one in merged.choices}
            older = [one for one in standing(pending, merged.notebook, new) if one.cell not in told]
            choices = (*merged.choices, *older)
            desk.records.keep_base(data)
            after = with_choices(self._marked(desk, merged.notebook, new, name), choices)
            after = self._replace(desk, file, after)
            desk.records.remember(name)
            return Done(desk.path, merged.changes, choices, mine, after)

    def reset(self, lesson: Lesson, language: str, seen: str = "") -> Done:
        """The lesson as it is now in place of the copy, which is kept as a backup.

        Raises:
            ShelfError: nothing was changed.
        """
        with translated(), self._desk(lesson, language) as desk:
            if inside.look(desk.shown, desk.name) is None:
                return self._pristine(desk, None)
            return self._pristine(desk, self._replaceable(desk, seen))

    def choose(self, lesson: Lesson, language: str, cell: str, how: How, seen: str = "") -> Done:
        """Decide one choice.

        Raises:
            ShelfError: nothing was changed; ``settled`` if there is no such choice any more.
        """
        with translated(), self._desk(lesson, language) as desk:
            file = self._replaceable(desk, seen)
            mine = notebook(file.data)
            _, base = version_of(desk.records, mine)
            pending = [] if base is None else standing(choices_of(mine), mine, base)
            choice = next((one for one in pending if one.cell == cell and how in one.ways), None)
            if choice is None or base is None:
                raise ShelfError("settled")
            left = tuple(one for one in pending if one.cell != cell)
            after = with_choices(decide(choice, how, mine, base), left)
            return Done(desk.path, (), left, mine, self._replace(desk, file, after))

    def restore(self, lesson: Lesson, language: str, backup: str, seen: str = "") -> Done:
        """A backup in place of the copy, which becomes a backup itself.

        Raises:
            ShelfError: nothing was changed; ``no-backup`` if there is none of that name.
        """
        with translated(), self._desk(lesson, language) as desk:
            data = desk.records.read_backup(backup)
            if data is None:
                raise ShelfError("no-backup")
            is_there = inside.look(desk.shown, desk.name) is not None
            self._write(desk, self._replaceable(desk, seen) if is_there else None, data)
            return Done(desk.path)

    # ---- parts ----------------------------------------------------------------------------

    @contextmanager
    def _desk(self, lesson: Lesson, language: str) -> Iterator[_Desk]:
        own = (*RECORDS, f"{lesson.id}.{language}")
        with (
            inside.folder(self.home, own, make=True) as records,
            inside.alone(records),
            inside.folder(self.home, (FOLDERS[language],), make=True) as shown,
        ):
            desk = _Desk(Records(records), shown, lesson, language)
            desk.records.tidy(self.clock())
            yield desk

    def _replaceable(self, desk: _Desk, seen: str) -> Found:
        file = inside.read(desk.shown, desk.name)
        if file is None:
            raise ShelfError("absent")
        if seen and seen != etag(file.data):
            raise ShelfError("changed")
        if not file.writable:
            raise ShelfError("read-only")
        age = self.clock() - file.mark.changed / 1e9
        if abs(age) < SETTLED and self._own.get(desk.path) != file.mark:
            raise ShelfError("busy")
        return file

    def _pristine(self, desk: _Desk, old: Found | None) -> Done:
        new, data = self._built(desk.lesson, desk.language)
        name = desk.records.keep_base(data)
        after = self._replace(desk, old, self._marked(desk, new, new, name))
        desk.records.remember(name)
        return Done(desk.path, after=after)

    def _marked(self, desk: _Desk, found: Notebook, new: Notebook, name: str) -> Notebook:
        own = new["metadata"].get("madang")
        found = {**found, "metadata": {**found["metadata"], **({"madang": own} if own else {})}}
        return marked(found, desk.lesson.id, self.reader.manifest().version, name)

    def _replace(self, desk: _Desk, old: Found | None, found: Notebook) -> Notebook:
        import nbformat

        try:
            nbformat.validate(found, relax_add_props=True)
        except nbformat.ValidationError as error:
            raise NotANotebookError(str(error)) from error
        self._write(desk, old, written(found))
        return found

    def _write(self, desk: _Desk, old: Found | None, data: bytes) -> None:
        kept = "" if old is None else desk.records.backup(old.data, self.clock())
        mark = inside.place(desk.records.folder, desk.shown, desk.name, data, old, kept)
        self._own[desk.path] = mark

    def _built(self, lesson: Lesson, language: str) -> tuple[Notebook, bytes]:
        """The lesson as it is on the shelf; and what counts as its version, whatever the set is called."""
        path = self._source(lesson, language)
        if path.stat().st_size > MAX_SIZE:
            raise NotANotebookError(f"{path} is too large")
        found = notebook(path.read_bytes())
        return found, written(unmarked(found))

    def digest(self, lesson: Lesson, language: str) -> str:
        """The name of the version that is on the shelf now."""
        path = self._source(lesson, language)
        info = path.stat()
        mark = info.st_mtime_ns, info.st_size
        if self._digests.get(path, (None,))[0] != mark:
            self._digests[path] = mark, digest(self._built(lesson, language)[1])
        return self._digests[path][1]

    def _source(self, lesson: Lesson, language: str) -> Path:
        if self.reader.folder is None:
            raise ShelfError("unknown")
        return self.reader.folder / language / lesson.file[language]


def etag(data: bytes) -> str:
    """Tells two states of a copy apart."""
    return digest(data)[:32]


def version_of(records: Records, mine: Notebook) -> tuple[str, Notebook | None]:
    """The version that a copy is from, as it says itself, else as was remembered; None: not known."""
    name = base_of(mine) or records.last()
    found = records.base(name)
    return ("", None) if found is None else (name, found)


@contextmanager
def translated() -> Iterator[None]:
    """Whatever goes wrong with files and notebooks as a :class:`ShelfError`."""
    try:
        yield
    except ChangedError as error:
        raise ShelfError("changed") from error
    except LinkInTheWayError as error:
        log.info("Left alone: %s", error)
        raise ShelfError("link") from error
    except (NotANotebookError, UnicodeEncodeError) as error:  # JSON may hold half a character
        log.info("Left alone: %s", error)
        raise ShelfError("odd") from error
    except OSError as error:
        log.warning("A lesson's copy was left as it was: %s", error)
        raise ShelfError("full" if error.errno in _FULL else "cannot-write") from error
