"""The addresses of a visit that Voila answers: page, files of templates and extensions, kernel."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from jupyter_server.base.handlers import FileFindHandler, JupyterHandler
from jupyterlab_server.themes_handler import ThemesHandler
from tornado import web
from tornado.iostream import StreamClosedError
from voila.handler import VoilaHandler
from voila.static_file_handler import MultiStaticFileHandler, TemplateStaticFileHandler
from voila.utils import get_voila_labextensions_path

from madang_dashboard.channel import SocketHandler
from madang_dashboard.framework import VISIT, Route
from madang_dashboard.gate import OfAVisit, Sealed, base_of
from madang_dashboard.visits import FullError, GoneError, State, Visit, VisitError, Why
from madang_dashboard.voila_app import PLACEHOLDER, VISIT_NOW

if TYPE_CHECKING:
    from madang_dashboard.desk import Desk
    from madang_dashboard.voila_app import RunnerVoila

KERNEL = r"(?P<kernel_id>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"

ENDED_IN_THE_PAGE = "<script>window.madangEnded()</script>"
"""Lets a page of which half stands there say that the connection has ended (templates/index.html.j2)."""


class Bound:
    """The kernel manager as one visit's page sees it: the kernel that the page gets is the visit's."""

    def __init__(self, manager: Any, desk: Desk, visit: Visit, tasks: Tasks) -> None:
        self._manager, self._desk, self._visit, self._tasks = manager, desk, visit, tasks

    def __getattr__(self, name: str) -> Any:
        return getattr(self._manager, name)

    async def start_kernel(self, **options: Any) -> str:
        """A new kernel."""
        kernel: str = await self._manager.start_kernel(**options)
        return await self._bind(kernel)

    async def get_kernel(self, kernel: str) -> Any:
        """The kernel's manager. Waited for in the task that makes the page, of whose failure Voila tells
        nobody: it would go on saying that it computes."""
        task = asyncio.current_task()
        if task is not None:
            task.add_done_callback(self._made)
        return self._manager.get_kernel(kernel)

    def _made(self, task: asyncio.Task[Any]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and self._visit.state is not State.ENDED:
            self._desk.trouble("page", repr(error), self._visit)
            self._tasks.add(self._desk.end(self._visit, Why.FAILED))

    async def get_rendered_notebook(self, **options: Any) -> tuple[Any, Any, str]:
        """The one that was prepared."""
        task, rendered, kernel = await self._manager.get_rendered_notebook(**options)
        return task, rendered, await self._bind(kernel)

    async def _bind(self, kernel: str) -> str:
        if self._visit.state is State.ENDED:
            # the visitor left in the meantime
            await self._desk.framework.end(kernel)
            raise VisitError("ended")
        self._visit.kernel = kernel
        return kernel


class PageHandler(Sealed, VoilaHandler):
    """``GET /visit/<visit>/``: begins the visit and makes its page, once."""

    visit: Visit | None = None
    _base = PLACEHOLDER

    @property
    def base_url(self) -> str:
        """Where the visitor's browser sees the visit."""
        return self._base

    @property
    def kernel_manager(self) -> Any:
        """Voila's, bound to this visit."""
        if self.visit is None:
            raise web.HTTPError(404)
        tasks = self.application.settings["tasks"]
        return Bound(super().kernel_manager, self.desk, self.visit, tasks)

    async def get(self, visit: str) -> None:
        """The page; 410 for a visit that had one, 503 where no seat is free."""
        self._base = base_of(self.request, visit)
        try:
            self.visit = self.desk.open(visit)
        except GoneError:
            self.say(410, "gone")
            return
        except FullError:
            self.set_header("Retry-After", "30")
            self.say(503, "full")
            return
        VISIT_NOW.set(self.visit)
        try:
            async for snippet in self.get_generator(path=None):
                self.write(snippet.replace(PLACEHOLDER, self._base))
                self.flush()
                if self.visit.state is State.ENDED:
                    # its kernel is gone: Voila would go on saying that it computes
                    self.write(ENDED_IN_THE_PAGE)
                    return
        except (VisitError, StreamClosedError):
            await self.desk.end(self.visit, Why.LEFT)
        except Exception as error:
            self.log.exception("The page could not be made")
            self.desk.trouble("page", repr(error), self.visit)
            await self.desk.end(self.visit, Why.FAILED)
            if self._headers_written:
                self.write(ENDED_IN_THE_PAGE)
                return
            self.say(500, "failed")
        else:
            self.desk.visits.rendered(self.visit, self.desk.clock())

    def on_connection_close(self) -> None:
        """The visitor did not wait for the page."""
        super().on_connection_close()
        if self.visit is not None:
            self.application.settings["tasks"].add(self.desk.end(self.visit, Why.LEFT))


class ModelHandler(OfAVisit, JupyterHandler):
    """``GET …/api/kernels/<kernel>``: what the page asks before it connects."""

    def get(self, kernel_id: str) -> None:
        """The model of the visit's own kernel."""
        self.finish(self.kernel_manager.kernel_model(kernel_id))


class LeaveHandler(OfAVisit):
    """``POST …/voila/api/shutdown/<kernel>``: what Voila's page sends when it is closed."""

    async def post(self, kernel_id: str) -> None:
        """204."""
        await self.desk.end(self.visit, Why.LEFT)
        self.set_status(204)


class TemplateFileHandler(OfAVisit, TemplateStaticFileHandler):
    """``…/voila/templates/…``"""

    async def prepare(self) -> None:
        """404 where upstream asserts."""
        await super().prepare()
        words = self.path_kwargs["path"].split("/")
        if len(words) < 3 or words[1] != "static" or ".." in words:
            raise web.HTTPError(404)


class StaticFileHandler(OfAVisit, MultiStaticFileHandler):
    """``…/voila/static/…``"""


class ExtensionFileHandler(OfAVisit, FileFindHandler):
    """``…/voila/labextensions/…``"""


class ThemeFileHandler(OfAVisit, ThemesHandler):
    """``…/voila/api/themes/…``"""


class Tasks:
    """Work that is begun where nobody can wait for it."""

    def __init__(self) -> None:
        self._all: set[asyncio.Task[None]] = set()

    def add(self, work: Any) -> None:
        """Begin ``work``."""
        task = asyncio.ensure_future(work)
        self._all.add(task)
        task.add_done_callback(self._all.discard)


def routes(voila: RunnerVoila) -> list[Route]:
    """Every address of a visit; no contents, files, sessions, terminals, sign-in, execution."""
    extensions = get_voila_labextensions_path()
    page = {
        "notebook_path": str(voila.notebook_path).removeprefix(f"{voila.root_dir}/"),
        "template_paths": voila.template_paths,
        "config": voila.config,
        "voila_configuration": voila.voila_configuration,
    }
    found = {"path": extensions, "no_cache_paths": ["/"]}
    themes = {
        "themes_url": "/voila/api/themes",
        "path": voila.themes_dir,
        "labextensions_path": extensions,
        "no_cache_paths": ["/"],
    }
    return [
        (VISIT + "/", PageHandler, page),
        (f"{VISIT}/api/kernels/{KERNEL}", ModelHandler, {}),
        (f"{VISIT}/api/kernels/{KERNEL}/channels", SocketHandler, {}),
        (f"{VISIT}/voila/api/shutdown/{KERNEL}", LeaveHandler, {}),
        (VISIT + r"/voila/templates/(?P<path>.*)", TemplateFileHandler, {}),
        (VISIT + r"/voila/static/(?P<path>.*)", StaticFileHandler, {"paths": voila.static_paths}),
        (VISIT + r"/voila/labextensions/(?P<path>.*)", ExtensionFileHandler, found),
        (VISIT + r"/voila/api/themes/(?P<path>.*)", ThemeFileHandler, themes),
    ]
