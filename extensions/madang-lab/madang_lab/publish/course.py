"""One publishing, from the plan to the word of the check.

::

    looking -> packing -> sending -> checking -> done
        \\________\\__________\\__________\\______-> failed, stopped

The audience changes in two steps (:func:`.wish.meanwhile`): before the new version is sent nobody is let in who
was not, and after it is shown nobody is left out who was named. Every end between the two says so.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, cast

from madang_lab.publish import remembered
from madang_lab.publish.bounds import Limits
from madang_lab.publish.course_sentences import say
from madang_lab.publish.folder import plan as plan_of
from madang_lab.publish.packing import ChangedMeanwhileError, TooMuchError, pack
from madang_lab.publish.plan import Plan
from madang_lab.publish.progress import Author, Course
from madang_lab.publish.sentences import said as said_of
from madang_lab.publish.sentences import summary
from madang_lab.publish.service import Dashboards, audience_of
from madang_lab.publish.wish import Wish, digest, meanwhile, same, secrets_in
from madang_lab.service import AwayError, RefusedError

FIRST_S, EVERY_S, PATIENCE_S = 0.2, 1.0, 660.0
"""Seconds until the first look at a check, between two later ones, and for all; the service waits for 600."""
SILENT = 60
"""So many looks in a row may stay without an answer."""
_FULL = (errno.ENOSPC, errno.EDQUOT)

log = logging.getLogger("madang.publish")

Pause = Callable[[float], Awaitable[None]]


class _EndedError(Exception):
    """It ends here; the sentence is for the author, ``known`` as in :class:`.progress.Course`."""

    def __init__(self, message: str, *, known: bool = True) -> None:
        super().__init__(message)
        self.known = known


async def run(
    course: Course,
    service: Dashboards,
    notebook: Path,
    wish: Wish,
    author: Author,
    told: Callable[[], None] = lambda: None,
    pause: Pause = asyncio.sleep,
) -> None:
    """Publish ``notebook``; ``course`` says at every moment how far it is, also how it ended.

    Args:
        told: called after every change of ``course``.
        pause: waits for so many seconds.

    Raises:
        CancelledError: it was stopped; ``course`` says so.
        Exception: what nobody foresaw; ``course`` says that it failed.
    """
    words = author.words
    try:
        plan = await asyncio.to_thread(_plan, notebook, wish, author)
        with _archive(author.home) as archive:
            await _packed(course, plan, archive, told)
            sent = await _sent(course, service, notebook, plan, wish, author, archive, told)
        await _checked(course, service, sent, wish, author, told, pause)
    except _EndedError as ended:
        _failed(course, str(ended), known=ended.known)
    except RefusedError as refused:
        # a version that was taken is checked all the same
        _failed(course, refused.message, known=not course.version)
    except AwayError as away:
        log.warning("Not published, or not known: %s", away)
        _failed(course, say(words, _silent(course) or "away"), known=not course.late)
    except ChangedMeanwhileError as changed:
        _failed(course, say(words, "changed", path=changed.path))
    except TooMuchError as much:
        _failed(course, said_of(words, much.note, plan, Limits()))
    except OSError as error:
        if error.errno in _FULL:
            _failed(course, say(words, "full"))
        else:
            why = error.strerror or type(error).__name__
            _failed(course, say(words, "unreadable", why=why))
    except asyncio.CancelledError:
        course.known = not course.late
        course.message = say(words, "stopped late" if course.late else "stopped")
        course.stage = "stopped"
        raise
    except Exception:
        _failed(course, say(words, _silent(course) or "broken"), known=not course.late)
        raise
    finally:
        halfway = {"asked": "perhaps narrow", "between": "narrow"}.get(course.audience)
        if halfway and not (course.stage == "done" and course.shown):
            course.message = f"{course.message} {say(words, halfway)}"
        told()


def _failed(course: Course, message: str, *, known: bool = True) -> None:
    course.stage, course.message, course.known = "failed", message, known


def _silent(course: Course) -> str:
    """The sentence where all was sent and then nobody answered; "": there is still something to send."""
    if course.version:
        return "no word"
    return "no answer" if course.late else ""


def _plan(notebook: Path, wish: Wish, author: Author) -> Plan:
    try:
        plan = plan_of(notebook, author.home)
    except OSError as error:
        raise _EndedError(say(author.words, "gone")) from error
    if not plan.ready:
        raise _EndedError(said_of(author.words, plan.stops[0], plan, Limits()))
    if wish.seen and digest(plan) != wish.seen:
        raise _EndedError(say(author.words, "seen"))
    if secrets_in(plan) and not wish.despite:
        raise _EndedError(say(author.words, "secrets", count=secrets_in(plan)))
    return plan


def _archive(home: Path) -> Any:
    """A file without a name: in the home, as ``/tmp`` of a container is memory; there, if the home is full."""
    folder = home / ".madang"
    with suppress(OSError):
        folder.mkdir(exist_ok=True)
        return tempfile.TemporaryFile(dir=folder)
    return tempfile.TemporaryFile()


class _Target:
    """The archive while it is packed in a thread, which ends when nobody waits for it any more."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.given_up = False

    def write(self, part: bytes) -> int:
        if self.given_up:
            raise InterruptedError
        return self._file.write(part)

    def flush(self) -> None:
        self._file.flush()


async def _packed(course: Course, plan: Plan, archive: BinaryIO, told: Callable[[], None]) -> None:
    course.stage = "packing"
    told()
    target = _Target(archive)
    packing = asyncio.ensure_future(asyncio.to_thread(pack, plan, cast("BinaryIO", target)))
    try:
        await asyncio.shield(packing)
    except asyncio.CancelledError:
        target.given_up = True
        # the file must not be closed under the thread
        with suppress(Exception):
            await packing
        raise
    course.total = archive.seek(0, os.SEEK_END)
    archive.seek(0)


async def _sent(
    course: Course,
    service: Dashboards,
    notebook: Path,
    plan: Plan,
    wish: Wish,
    author: Author,
    archive: BinaryIO,
    told: Callable[[], None],
) -> dict[str, Any]:
    """The dashboard with its new version."""
    course.stage = "sending"
    told()
    found = await _opened(course, service, wish, author)
    course.slug, course.url, course.title = found["slug"], found["url"], found["title"]
    # at once: what was begun and not ended goes on as this dashboard
    await asyncio.to_thread(remembered.remember, author.home, notebook, course.slug)

    def on_its_way(sent: int) -> None:
        course.done = sent
        told()

    query = {"notebook": plan.notebook, "expect": str(found["revision"])}
    if wish.size:
        query["size"] = wish.size
    found = await service.send(
        course.slug, archive, course.total, query, author.language, on_its_way
    )
    course.revision = found["revision"]
    course.version = found["version"]["number"] if found["version"] else 0
    if not course.version:
        raise AwayError("the service has no version of what was sent")
    return found


async def _opened(
    course: Course, service: Dashboards, wish: Wish, author: Author
) -> dict[str, Any]:
    """The dashboard that gets the version: made, or with its new words and the narrower audience."""
    words: dict[str, object] = {"title": wish.title, "description": wish.description}
    if not wish.slug:
        body = {**words, "team": wish.team, "audience": wish.audience.as_json()}
        found = await service.create(body, author.language)
        course.revision, course.audience = found["revision"], "whole"
        return found
    found = await service.find(wish.slug, author.language)
    now = audience_of(found)
    between = meanwhile(now, wish.audience)
    changes = {name: value for name, value in words.items() if found[name] != value}
    if not same(now, between):
        changes["audience"] = between.as_json()
    if changes:
        changes["expect"] = found["revision"] if wish.expect is None else wish.expect
        course.audience = "asked" if "audience" in changes else "as it was"
        try:
            found = await service.change(wish.slug, changes, author.language)
        except RefusedError:
            course.audience = "as it was"
            raise
        course.revision = found["revision"]
    # else it is asked with the change
    elif wish.expect is not None and wish.expect != found["revision"]:
        raise _EndedError(say(author.words, "revision"))
    course.audience = "whole" if same(audience_of(found), wish.audience) else "between"
    return found


async def _checked(
    course: Course,
    service: Dashboards,
    found: dict[str, Any],
    wish: Wish,
    author: Author,
    told: Callable[[], None],
    pause: Pause,
) -> None:
    """Wait for the check's word, then let in who was to be let in anew."""
    course.stage = "checking"
    told()
    waited, silent, no_word = 0.0, 0, say(author.words, "no word")
    while (version := found["version"]) and version["number"] == course.version:
        if version["check"] != "checking":
            break
        if waited >= PATIENCE_S:
            raise _EndedError(no_word, known=False)
        next_look = min(EVERY_S, max(FIRST_S, waited))
        await pause(next_look)
        waited += next_look
        try:
            found, silent = await service.find(course.slug, author.language), 0
        except (AwayError, RefusedError) as error:
            # what stands before the service says in its own words that it is away
            if isinstance(error, RefusedError) and error.status < 500:
                raise
            silent += 1
            if silent >= SILENT:
                raise _EndedError(no_word, known=False) from error
    service.forget()
    if found["revision"] == course.revision + 1:
        # the check's own word; more than that is somebody else's
        course.revision = found["revision"]
    if same(audience_of(found), wish.audience):
        course.audience = "whole"
    if version is None or version["number"] != course.version or version["check"] == "replaced":
        raise _EndedError(say(author.words, "replaced"))
    if version["check"] != "passed":
        course.cell, course.traceback = version["cell"], version["said"]
        which = "failed cell" if course.cell else "failed" if version["ran"] else "not run"
        sentences = [say(author.words, which, cell=course.cell)]
        if found["current"]:
            sentences.append(say(author.words, "stays"))
        raise _EndedError(" ".join(sentences))
    course.shown = found["current"] == course.version
    if not course.shown:
        course.message = say(author.words, "not shown", title=course.title)
    elif same(audience_of(found), wish.audience):
        course.message = say(author.words, "done", title=course.title)
    else:
        course.message = await _let_in(course, service, found, wish, author)
    course.stage = "done"


async def _let_in(
    course: Course, service: Dashboards, found: dict[str, Any], wish: Wish, author: Author
) -> str:
    """Let in those who were to be let in anew, as the new version is shown; the sentence how that ended."""
    course.audience, course.let_in = "asked", False
    changes = {"audience": wish.audience.as_json(), "expect": found["revision"]}
    try:
        await service.change(course.slug, changes, author.language)
    except RefusedError as refused:
        course.audience = "between"
        return say(author.words, "not let in", title=course.title, why=refused.message)
    except AwayError as away:
        log.warning("Published, but perhaps not for all: %s", away)
        return say(author.words, "perhaps not let in", title=course.title)
    course.audience, course.let_in = "whole", True
    return say(author.words, "done", title=course.title)


def lines(plan: Plan, author: Author) -> dict[str, list[str]]:
    """A plan in sentences: ``summary``, ``stops``, ``warnings``."""
    words, folder = author.words, Path(plan.folder)
    if folder.is_relative_to(author.home):
        folder = "~" / folder.relative_to(author.home)
    return {
        "summary": summary(words, replace(plan, folder=str(folder))),
        "stops": [said_of(words, note, plan, Limits()) for note in plan.stops],
        "warnings": [said_of(words, note, plan, Limits()) for note in plan.warnings],
    }
