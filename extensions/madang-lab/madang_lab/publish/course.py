"""One publishing, from the plan to the word of the check.

::

    looking -> packing -> sending -> checking -> done
        \\________\\__________\\__________\\______-> failed, stopped

The audience changes in two steps (:func:`.wish.meanwhile`): before the new version is sent nobody is let in who
was not, and after it is shown nobody is left out who was named.
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
    """It ends here; the sentence is for the author."""


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
        course.stage, course.message = "failed", str(ended)
    except RefusedError as refused:
        course.stage, course.message = "failed", refused.message
    except AwayError as away:
        log.warning("Not published: %s", away)
        course.stage, course.message = "failed", say(words, "away")
    except ChangedMeanwhileError as changed:
        course.stage, course.message = "failed", say(words, "changed", path=changed.path)
    except TooMuchError as much:
        course.stage = "failed"
        course.message = said_of(words, much.note, plan, Limits())
    except OSError as error:
        course.stage = "failed"
        if error.errno in _FULL:
            course.message = say(words, "full")
        else:
            course.message = say(words, "unreadable", why=error.strerror or type(error).__name__)
    except asyncio.CancelledError:
        # all of it was on its way: whether it was taken is not known
        late = course.stage == "checking" or 0 < course.total <= course.done
        course.stage, course.message = "stopped", say(words, "stopped late" if late else "stopped")
        raise
    except Exception:
        course.stage, course.message = "failed", say(words, "broken")
        raise
    finally:
        told()


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
    found = await _opened(service, wish, author)
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
    course.version = found["version"]["number"] if found["version"] else 0
    if not course.version:
        raise AwayError("the service has no version of what was sent")
    return found


async def _opened(service: Dashboards, wish: Wish, author: Author) -> dict[str, Any]:
    """The dashboard that gets the version: made, or with its new words and the narrower audience."""
    words: dict[str, object] = {"title": wish.title, "description": wish.description}
    if not wish.slug:
        body = {**words, "team": wish.team, "audience": wish.audience.as_json()}
        return await service.create(body, author.language)
    found = await service.find(wish.slug, author.language)
    now = audience_of(found)
    between = meanwhile(now, wish.audience)
    changes = {name: value for name, value in words.items() if found[name] != value}
    if not same(now, between):
        changes["audience"] = between.as_json()
    if not changes:
        # else it is asked with the change
        if wish.expect is not None and wish.expect != found["revision"]:
            raise _EndedError(say(author.words, "revision"))
        return found
    changes["expect"] = found["revision"] if wish.expect is None else wish.expect
    return await service.change(wish.slug, changes, author.language)


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
    waited, silent = 0.0, 0
    while (version := found["version"]) and version["number"] == course.version:
        if version["check"] != "checking":
            break
        if waited >= PATIENCE_S:
            raise _EndedError(say(author.words, "no word"))
        next_look = min(EVERY_S, max(FIRST_S, waited))
        await pause(next_look)
        waited += next_look
        try:
            found, silent = await service.find(course.slug, author.language), 0
        except AwayError as error:
            silent += 1
            if silent >= SILENT:
                raise _EndedError(say(author.words, "no word")) from error
    service.forget()
    if version is None or version["number"] != course.version or version["check"] == "replaced":
        raise _EndedError(say(author.words, "replaced"))
    if version["check"] != "passed":
        course.cell, course.traceback = version["cell"], version["said"]
        which = "failed cell" if course.cell else "failed"
        sentences = [say(author.words, which, cell=course.cell)]
        if found["current"]:
            sentences.append(say(author.words, "stays"))
        if not same(audience_of(found), wish.audience):
            sentences.append(say(author.words, "narrow"))
        raise _EndedError(" ".join(sentences))
    if not same(audience_of(found), wish.audience):
        changes = {"audience": wish.audience.as_json(), "expect": found["revision"]}
        found = await service.change(course.slug, changes, author.language)
    course.stage, course.shown = "done", found["current"] == course.version
    course.message = say(author.words, "done" if course.shown else "not shown", title=course.title)


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
