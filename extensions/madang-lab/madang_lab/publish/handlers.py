"""The routes of *Publish*, for JupyterLab in the browser: what would be packed, what there is, and publishing.

All are for the server's owner: with this server's token a visitor would publish as its owner.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
from collections import OrderedDict
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.utils import url_path_join
from tornado import web

from madang_lab.handlers import Base
from madang_lab.layer import home_of
from madang_lab.publish import remembered
from madang_lab.publish.course_sentences import say
from madang_lab.publish.progress import Author, Course
from madang_lab.publish.wish import digest, secrets_in, wish_of

log = logging.getLogger("madang.publish")

KEPT = 20
"""Courses that have ended and can still be asked for."""
MAX_WISH = 64 * 1024
"""Bytes of a wish: a description, and an audience of many names."""


class Publishing:
    """What is being published in this server: one at a time."""

    def __init__(self) -> None:
        self._courses: OrderedDict[str, Course] = OrderedDict()
        self._task: asyncio.Task[None] | None = None
        self._running = ""

    @property
    def busy(self) -> bool:
        return self._task is not None and not self._task.done()

    def find(self, identity: str) -> Course | None:
        return self._courses.get(identity)

    def begin(self, course: Course, work: Any) -> str:
        """Run the coroutine ``work``, which says in ``course`` how far it is; its id."""
        identity = secrets.token_hex(16)
        self._courses[identity] = course
        while len(self._courses) > KEPT:
            self._courses.popitem(last=False)
        self._task, self._running = asyncio.create_task(work), identity
        self._task.add_done_callback(_noted)
        return identity

    async def stop(self, identity: str) -> None:
        """Stop it, if it is the one that runs; returns when it has ended."""
        if self._task is not None and identity == self._running:
            self._task.cancel()
            await asyncio.wait({self._task})


def _noted(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("Not published", exc_info=error)


class Publish(Base):
    """What the routes share."""

    @property
    def author(self) -> Author:
        """The owner, in the language of JupyterLab's page."""
        language = "ko" if self.language.startswith("ko") else "en"
        return Author(home_of(os.environ).resolve(), language)

    @property
    def service(self) -> Any:
        """The service as ``Dashboards``; None where there is none."""
        return self.settings["madang_dashboards"]

    @property
    def publishing(self) -> Publishing:
        found: Publishing = self.settings["madang_publishing"]
        return found

    def refuse(self, status: int, sentence: str) -> None:
        """Answer with a sentence of ours."""
        message = say(self.author.words, sentence)
        self.answer(status, {"status": status, "message": message})

    def notebook(self, path: object) -> Path:
        """The file at JupyterLab's ``path``.

        Raises:
            HTTPError: (404) there is none below JupyterLab's folder.
        """
        root = Path(self.settings["contents_manager"].root_dir).resolve()
        message = say(self.author.words, "gone")
        if not isinstance(path, str) or not path.endswith(".ipynb"):
            raise web.HTTPError(404, message)
        try:
            found = root / path.strip("/")
            folder = found.parent.resolve(strict=True)
        except (OSError, ValueError) as error:
            raise web.HTTPError(404, message) from error
        if not folder.is_relative_to(root) or not (folder / found.name).is_file():
            raise web.HTTPError(404, message)
        return folder / found.name


class MineHandler(Publish):
    """Whether this person may publish, and what they have published."""

    # the page asks by itself when it comes
    _track_activity = False

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """``state`` is ``on``; ``away``: no answer just now; ``none``: not here, or not for this person."""
        nothing = {"publishes": False, "teams": [], "sizes": [], "size": "", "dashboards": []}
        if self.service is None or not self.is_owner:
            self.answer(200, {"state": "none", **nothing, "last": ""})
            return
        if self.get_query_argument("new", ""):
            self.service.forget()
        state, found = await self.service.state(self.author.language)
        path = self.get_query_argument("path", "")
        last = ""
        if path and found is not None:
            last = await asyncio.to_thread(remembered.last, self.author.home, self.notebook(path))
        self.answer(200, {"state": state, **(found or nothing), "last": last})


class PlanHandler(Publish):
    """What would be packed of a notebook's folder."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Files, what stays behind, and what to know before; ``seen`` names this state."""
        self.must_be_the_owner(self.service)
        notebook = self.notebook(self.get_query_argument("path", ""))
        # only whoever publishes waits for what packs and looks through
        from madang_lab.publish.course import lines
        from madang_lab.publish.folder import plan
        from madang_lab.publish.heading import heading

        author = self.author
        try:
            made = await asyncio.to_thread(plan, notebook, author.home)
        except OSError:
            self.refuse(404, "gone")
            return
        title = await asyncio.to_thread(heading, notebook)
        self.answer(
            200,
            {
                **lines(made, author),
                "seen": digest(made),
                "title": title,
                "notebook": made.notebook,
                "size": made.size,
                "secrets": secrets_in(made),
                "files": [{"path": shown(f.path), "size": f.size} for f in made.files],
                "left": [{"path": shown(path), "why": why} for path, why in made.left],
            },
        )


class SendHandler(Publish):
    """Publishing."""

    @web.authenticated
    @authorized
    async def post(self) -> None:
        """Begin; 202 with the id of the course."""
        self.must_be_the_owner(self.service, MAX_WISH)
        try:
            body = json.loads(self.request.body)
            wish = wish_of(body)
        except ValueError:
            self.refuse(400, "bad")
            return
        notebook = self.notebook(body.get("path"))
        if self.publishing.busy:
            self.refuse(409, "busy")
            return
        from madang_lab.publish.course import run

        course = Course()
        work = run(course, self.service, notebook, wish, self.author)
        self.answer(202, {"id": self.publishing.begin(course, work)})


class CourseHandler(Publish):
    """How far it is."""

    # the page asks every second: the file that is sent is the work, and it keeps no server alive
    _track_activity = False

    @web.authenticated
    @authorized
    async def get(self, identity: str) -> None:
        """The course."""
        self.must_be_the_owner(self.service)
        course = self.publishing.find(identity)
        if course is None:
            raise web.HTTPError(404, say(self.author.words, "no word"))
        self.answer(200, {**asdict(course), "stoppable": course.stoppable})


class StopHandler(Publish):
    """The end before the end."""

    @web.authenticated
    @authorized
    async def post(self, identity: str) -> None:
        """Stop it, unless everything was sent; the course after it."""
        self.must_be_the_owner(self.service)
        course = self.publishing.find(identity)
        if course is None:
            raise web.HTTPError(404, say(self.author.words, "no word"))
        if course.stoppable:
            await self.publishing.stop(identity)
        elif not course.ended:
            self.refuse(409, "too late")
            return
        self.answer(200, {**asdict(course), "stoppable": False})


def shown(path: str) -> str:
    """A path as JSON can hold it; what is no text in it stops the plan anyway."""
    return path.encode("utf-8", "backslashreplace").decode("utf-8")


def routes(base_url: str) -> list[tuple[str, type[Base]]]:
    """Tornado's routes below ``base_url``."""
    course = "([0-9a-f]{32})"
    return [
        (url_path_join(base_url, "madang", "publish", "mine"), MineHandler),
        (url_path_join(base_url, "madang", "publish", "plan"), PlanHandler),
        (url_path_join(base_url, "madang", "publish", "send"), SendHandler),
        (url_path_join(base_url, "madang", "publish", "courses", course), CourseHandler),
        (url_path_join(base_url, "madang", "publish", "courses", course, "stop"), StopHandler),
    ]
