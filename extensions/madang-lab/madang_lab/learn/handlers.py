"""The routes of lessons: ``learn/<id>`` opens one, ``madang/learn`` is what the page in JupyterLab asks.

Whoever may look into a server sees what is there; copies are made and changed for its owner only.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from tornado import web

from madang_lab.handlers import Base, owns
from madang_lab.learn.manifest import LANGUAGES, Lesson
from madang_lab.learn.merge import Change, Choice
from madang_lab.learn.overview import overview
from madang_lab.learn.page import page
from madang_lab.learn.records import written
from madang_lab.learn.sentences import refusal
from madang_lab.learn.shelf import Done, Shelf, ShelfError

ID = "([a-z][a-z0-9-]{0,31})"
STATUS = {"unknown": 404, "absent": 404, "no-backup": 404, "visitor": 403, "bad": 400, "full": 507}
"""Of a refusal; 409 for all others, as they pass."""


def here(shelf: Shelf, root: str, path: str) -> str:
    """A path below the home as JupyterLab has it, below ``root``; empty where that is elsewhere."""
    try:
        return (shelf.home / path).relative_to(Path(root).resolve()).as_posix()
    except ValueError:
        return ""


class OpenHandler(JupyterHandler):
    """A link to a lesson: opens it, then JupyterLab with it."""

    auth_resource = "madang"

    @web.authenticated
    @authorized
    async def get(self, identity: str) -> None:
        """Into JupyterLab at the notebook; a page with a sentence where that cannot be."""
        shelf: Shelf = self.settings["madang_shelf"]
        try:
            lesson = shelf.lesson(identity)
            language = self._language(shelf, lesson)
            if owns(self):
                done = await asyncio.to_thread(shelf.open, lesson, language)
                trust(self.settings["contents_manager"].notary, done)
            elif not await asyncio.to_thread(shelf.opened, lesson, language):
                raise ShelfError("visitor")
        except ShelfError as error:
            self._say(shelf, error.reason)
            return
        path = here(shelf, self.settings["contents_manager"].root_dir, shelf.path(lesson, language))
        self.redirect(url_path_join(self.base_url, "lab", "tree", quote(path)))

    def _language(self, shelf: Shelf, lesson: Lesson | None = None) -> str:
        """As the link says; else the only one in which the lesson was opened; else the person's."""
        asked = self.get_query_argument("lang", "")
        if asked in LANGUAGES:
            return str(asked)
        if lesson is not None:
            opened = [one for one in LANGUAGES if shelf.opened(lesson, one)]
            if len(opened) == 1:
                return opened[0]
        return "en" if os.environ.get("MADANG_LANG") == "en" else "ko"

    def _say(self, shelf: Shelf, reason: str) -> None:
        language = self._language(shelf)
        self.set_status(STATUS.get(reason, 409))
        self.set_header("Content-Type", "text/html; charset=utf-8")
        lessons = shelf.reader.manifest().lessons
        self.finish(page(self.base_url, language, refusal(reason, language), lessons))


class Lessons(Base):
    """What the routes for the page share."""

    @property
    def words(self) -> str:
        """The language of sentences: the page's."""
        return "ko" if self.language.startswith("ko") else "en"

    def here(self, path: str) -> str:
        """A path below the home as JupyterLab has it."""
        return here(self.settings["madang_shelf"], self.settings["contents_manager"].root_dir, path)


class ListHandler(Lessons):
    """All lessons with what there is of them in the home."""

    # the page asks by itself when it comes into view
    _track_activity = False

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """The list; ``trouble`` of a copy is a sentence."""
        found = await asyncio.to_thread(overview, self.settings["madang_shelf"])
        for lesson in found["lessons"]:
            for copy in lesson["copies"].values():
                copy["path"] = self.here(copy["path"])
                if copy["trouble"]:
                    copy["trouble"] = refusal(copy["trouble"], self.words)
        self.answer(200, {**found, "owner": self.is_owner})


class StepHandler(Lessons):
    """What the owner does with a copy."""

    @web.authenticated
    @authorized
    async def post(self, identity: str, what: str) -> None:
        """Do it; where the copy is, what changed and what needs a choice."""
        shelf: Shelf = self.settings["madang_shelf"]
        self.must_be_the_owner(shelf)
        try:
            lesson = shelf.lesson(identity)
            step, words = self._step(shelf, what)
            done = await asyncio.to_thread(step, lesson, *words)
        except ShelfError as error:
            status = STATUS.get(error.reason, 409)
            message = refusal(error.reason, self.words)
            self.answer(status, {"status": status, "reason": error.reason, "message": message})
            return
        trust(self.settings["contents_manager"].notary, done)
        changes, choices = rows(done.changes), rows(done.choices)
        self.answer(200, {"path": self.here(done.path), "changes": changes, "choices": choices})

    def _step(self, shelf: Shelf, what: str) -> tuple[Any, tuple[str, ...]]:
        """The shelf's method and what it is told beside the lesson.

        Raises:
            ShelfError: ``bad``.
        """
        try:
            body = json.loads(self.request.body)
        except ValueError:
            body = None
        if not isinstance(body, dict) or not all(isinstance(v, str) for v in body.values()):
            raise ShelfError("bad")
        language = body.get("language", "")
        if language not in LANGUAGES:
            raise ShelfError("bad")
        seen = body.get("etag", "")
        if what == "choose":
            return shelf.choose, (language, body.get("cell", ""), body.get("how", ""), seen)
        if what == "restore":
            return shelf.restore, (language, body.get("backup", ""), seen)
        if what == "open":
            return shelf.open, (language,)
        return {"update": shelf.update, "reset": shelf.reset}[what], (language, seen)


def rows(found: tuple[Change, ...] | tuple[Choice, ...]) -> list[dict[str, str]]:
    """Changes or choices for the page."""
    return [{"kind": one.kind, "cell": one.cell, "title": one.title} for one in found]


def trust(notary: Any, done: Done) -> None:
    """What was trusted stays so, and what comes from the image is: else outputs are shown without colours.

    On the event loop: the notary's database belongs to it.
    """
    if done.after is None:
        return
    import nbformat

    reads: Any = nbformat.reads
    if done.before is not None:
        before = reads(written(done.before).decode(), as_version=4)
        if not notary.check_signature(before):
            return
    notary.sign(reads(written(done.after).decode(), as_version=4))


def routes(base_url: str) -> list[tuple[str, type[JupyterHandler]]]:
    """Tornado's routes below ``base_url``."""
    steps = "(open|update|reset|choose|restore)"
    return [
        (url_path_join(base_url, "learn", "([^/]+)"), OpenHandler),
        (url_path_join(base_url, "madang", "learn"), ListHandler),
        (url_path_join(base_url, "madang", "learn", ID, steps), StepHandler),
    ]
