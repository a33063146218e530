"""Voila as a framework of the runner: upstream's class and handlers, below a visit's path, with the doors that
it leaves open closed. Nothing of Voila is copied; what is used are its traits, its templates and its handlers.
"""

from __future__ import annotations

import asyncio
import html
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from jupyter_server.auth.identity import IdentityProvider, User
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from traitlets.config import Config
from voila.app import Voila
from voila.exporter import VoilaMarkdownRenderer

from madang_dashboard import environment, process, words
from madang_dashboard.client import Client
from madang_dashboard.desk import Desk
from madang_dashboard.framework import Route
from madang_dashboard.limits import MESSAGE
from madang_dashboard.messages import ERROR_TEXT, without_repr
from madang_dashboard.visits import Visit

PLACEHOLDER = "/madang-base-of-the-visit/"
"""Stands in pages for the path of their visit, which is not known while a page is prepared."""

TEMPLATES = Path(__file__).parent / "templates"

VISIT_NOW: ContextVar[Visit | None] = ContextVar("visit", default=None)
"""Whose page is being made, for what Voila calls back."""


class Visitor(IdentityProvider):
    """Everyone is the same visitor: who came through the door holds the key. No cookie is set."""

    def get_user(self, handler: Any) -> User:
        """A user without a name of the own."""
        return User("visitor")


class Kernels(AsyncMappingKernelManager):
    """Starts kernels with an environment of their own."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.folders: dict[str, str] = {}
        """IPython's folder of each kernel."""

    async def start_kernel(self, **options: Any) -> str:
        """As upstream; the variables are those of :func:`madang_dashboard.environment.of_kernel` only."""
        folder = tempfile.mkdtemp(prefix="ipython-", dir=self.parent.connection_dir)
        options["env"] = environment.of_kernel(options.get("env") or {}, folder)
        kernel: str = await super().start_kernel(**options)
        self.folders[kernel] = folder
        process.give_way(self.get_kernel(kernel).provisioner.pid)
        return kernel


class RunnerVoila(Voila):
    """Voila without configuration files: one in the snapshot would run in the runner's process."""

    template_paths: Any

    def _config_file_paths_default(self) -> list[str]:
        return []

    def setup_template_dirs(self) -> None:
        """Upstream's folders, with the runner's template before them."""
        super().setup_template_dirs()
        found: list[str] = self.template_paths
        self.template_paths = [str(TEMPLATES), *found]


def markdown(trouble: Callable[[str], None]) -> type:
    """Voila's way of writing Markdown; without a picture that cannot be had, which is told to ``trouble``."""

    class Markdown(VoilaMarkdownRenderer):
        def image(self, text: str, url: str, title: str | None = None) -> str:
            try:
                made: str = super().image(text, url, title)
            except Exception as error:
                trouble(f"The picture {url} is not shown: {error}")
                return html.escape(text)
            return made

    return Markdown


def configuration(
    prepare: bool,
    on_cell_error: Callable[..., None],
    on_cell_executed: Callable[..., None],
    on_picture_error: Callable[[str], None],
) -> Config:
    """All that differs from Voila's defaults."""
    config = Config()
    voila = config.VoilaConfiguration
    voila.template = "lab"
    voila.allow_template_override = "NO"
    voila.allow_theme_override = "NOTEBOOK"
    voila.show_tracebacks = False
    voila.file_allowlist = []
    voila.http_header_envs = []
    # what the template says where the connection has ended
    voila.resources = {"madang_texts": words.both("ended")}
    # how soon a page that is being made notices that its visit ended
    voila.http_keep_alive_timeout = 2
    voila.multi_kernel_manager_class = Kernels
    voila.preheat_kernel = prepare
    voila.default_pool_size = 1
    config.VoilaExecutor.cell_error_instruction = ERROR_TEXT
    config.VoilaExecutor.on_cell_error = on_cell_error
    config.VoilaExecutor.on_cell_executed = on_cell_executed
    config.VoilaExporter.markdown_renderer_class = markdown(on_picture_error)
    # sockets in the file system, no ports
    config.KernelManager.transport = "ipc"
    config.KernelManager.client_factory = Client
    # a dead kernel stays dead and is said to be: its widgets would not come back
    config.KernelManager.autorestart = False
    config.AsyncMappingKernelManager.buffer_offline_messages = False
    # Voila reads notebooks by Jupyter Server, which wants to sign them: nothing is kept
    config.NotebookNotary.db_file = ":memory:"
    config.NotebookNotary.secret = os.urandom(32)
    return config


class VoilaFramework:
    """:class:`madang_dashboard.framework.Framework` by Voila.

    Args:
        root: the snapshot's folder.
        notebook: the notebook in it.
        prepare: whether a page and its kernel are kept ready.
    """

    name = "voila"

    def __init__(self, root: Path, notebook: Path, prepare: bool) -> None:
        self._root, self._notebook, self._prepare = root, notebook, prepare
        self.voila: RunnerVoila

    async def start(self, desk: Desk) -> Mapping[str, Any]:
        """As :meth:`Framework.start`."""

        def on_cell_error(cell: Any, cell_index: int, execute_reply: Any) -> None:
            content = execute_reply["content"]
            text = "\n".join(content.get("traceback") or []) or str(content.get("evalue"))
            desk.trouble("cell", text, VISIT_NOW.get(), cell_index, cell.source)

        def on_cell_executed(cell: Any, **_: Any) -> None:
            for output in cell.outputs:
                without_repr(output.get("data"))

        def on_picture_error(text: str) -> None:
            desk.trouble("page", text, VISIT_NOW.get())

        self.voila = voila = RunnerVoila(
            config=configuration(self._prepare, on_cell_error, on_cell_executed, on_picture_error),
            root_dir=str(self._root),
            notebook_path=str(self._notebook),
            base_url=PLACEHOLDER,
            server_url="/",
            identity_provider_class=Visitor,
        )
        voila.initialize([])
        voila.connection_dir = tempfile.mkdtemp(prefix="madang-dashboard-")
        desk.prepared = int(self._prepare)

        class Application:
            """What Voila's preparing looks for, before there is an application."""

            settings: Mapping[str, Any] = {}

        voila.app = Application
        settings = {
            **voila.init_settings(),
            "framework": self,
            "websocket_max_message_size": MESSAGE,
        }
        Application.settings = settings
        return settings

    def routes(self) -> Sequence[Route]:
        """As :meth:`Framework.routes`."""
        from madang_dashboard.voila_handlers import routes

        return routes(self.voila)

    def process(self, kernel: str) -> int | None:
        """As :meth:`Framework.process`."""
        manager = self.voila.kernel_manager
        if kernel not in manager:
            return None
        found: int | None = manager.get_kernel(kernel).provisioner.pid
        return found

    async def alive(self, kernel: str) -> bool:
        """As :meth:`Framework.alive`."""
        manager = self.voila.kernel_manager
        return kernel in manager and bool(await manager.is_alive(kernel))

    async def end(self, kernel: str) -> None:
        """As :meth:`Framework.end`."""
        manager = self.voila.kernel_manager
        if kernel in manager:
            # its whole process group, with what the notebook started
            await manager.shutdown_kernel(kernel, now=True)
        folder = manager.folders.pop(kernel, None)
        if folder is not None:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def stop(self) -> None:
        """As :meth:`Framework.stop`."""
        await self.voila.kernel_manager.shutdown_all(now=True)
        shutil.rmtree(self.voila.connection_dir, ignore_errors=True)
