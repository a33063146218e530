"""``madang-dashboard``: show the published notebook on port 8888 until SIGTERM.

Everything is said by variables:

``MADANG_DASHBOARD_KEY``
    What every request must carry in the header ``X-Madang-Key``; at least 32 characters.
``MADANG_DASHBOARD_NOTEBOOK``
    The notebook, relative to the snapshot.
``MADANG_DASHBOARD_ROOT``
    The snapshot's folder; ``/srv/dashboard`` unless set.
``MADANG_DASHBOARD_BIND``
    Address and port; ``0.0.0.0:8888`` unless set.
``MADANG_DASHBOARD_PREPARE``
    ``1`` keeps one page with its kernel ready, where the notebook does not ask about its visit.
``MADANG_DASHBOARD_SEATS``
    Never more visits than this; 64 unless set.
``MADANG_DASHBOARD_LEFT_S``, ``MADANG_DASHBOARD_IDLE_S``
    Seconds until a visit ends after its socket is gone (15), and after the visitor last did something (1800).

``madang-dashboard routes`` prints every address that is answered, and starts nothing.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from madang_dashboard import environment, process
from madang_dashboard.desk import Desk
from madang_dashboard.gate import Door, application, own_routes
from madang_dashboard.lines import Lines
from madang_dashboard.prepared import may_prepare
from madang_dashboard.visits import Patience
from madang_dashboard.voila_app import VoilaFramework
from madang_dashboard.voila_handlers import Tasks

SHORTEST_KEY = 32
ROUND_S = 1.0
"""Seconds between two looks at visits and kernels."""
BODY = 64 * 1024
"""Largest body of a request, in bytes: none needs one."""

log = logging.getLogger("madang_dashboard")


class StartError(Exception):
    """The runner cannot start; the sentence says what to do."""


@dataclass(frozen=True)
class Settings:
    """What the variables say."""

    root: Path
    notebook: Path
    address: str
    port: int
    prepare: bool
    seats: int
    patience: Patience

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Settings:
        """Read them.

        Raises:
            StartError: one is missing or wrong.
        """
        root = Path(environ.get("MADANG_DASHBOARD_ROOT", "/srv/dashboard")).resolve()
        named = environ.get("MADANG_DASHBOARD_NOTEBOOK", "")
        notebook = (root / named).resolve()
        if not named or not notebook.is_relative_to(root) or not notebook.is_file():
            raise StartError(
                f"MADANG_DASHBOARD_NOTEBOOK is {named!r}, which is no file below {root}. "
                "Name the notebook as it lies in the snapshot."
            )
        address, _, port = environ.get("MADANG_DASHBOARD_BIND", "0.0.0.0:8888").rpartition(":")
        usual = Patience()
        try:
            return cls(
                root,
                notebook,
                address,
                int(port),
                environ.get("MADANG_DASHBOARD_PREPARE") == "1",
                int(environ.get("MADANG_DASHBOARD_SEATS", "64")),
                Patience(
                    left=float(environ.get("MADANG_DASHBOARD_LEFT_S", usual.left)),
                    idle=float(environ.get("MADANG_DASHBOARD_IDLE_S", usual.idle)),
                ),
            )
        except ValueError as error:
            raise StartError(f"A variable MADANG_DASHBOARD_… is no number: {error}.") from None


def _again(key: str) -> None:
    """Start this program again with the key in a pipe: what Linux shows of a process's environment is that of
    its start, however it changes later."""
    if len(key) < SHORTEST_KEY:
        raise StartError(
            f"{environment.KEY} is missing or shorter than {SHORTEST_KEY} characters. "
            "Whoever starts the container makes one, and sends it with every request."
        )
    reading, writing = os.pipe()
    os.write(writing, key.encode())
    os.close(writing)
    os.set_inheritable(reading, True)
    shared = Path(sys.prefix)
    environ = {
        **environment.of_runner(os.environ),
        # kernels and templates of the image alone: what a kernel writes into its home is not read
        "JUPYTER_DATA_DIR": str(shared / "share" / "jupyter"),
        "JUPYTER_CONFIG_DIR": str(shared / "etc" / "jupyter"),
    }
    command = [sys.executable, "-I", "-u", "-m", "madang_dashboard", "--key", str(reading)]
    os.execve(sys.executable, command, environ)  # noqa: S606  # no shell is wanted


def _read_key(descriptor: int) -> str:
    with os.fdopen(descriptor, encoding="utf-8") as pipe:
        key = pipe.read()
    process.close_to_others()
    shower = process.shown_by(key)
    if shower is not None:
        raise StartError(
            f"The key can be read in the environment of process {shower}. Start madang-dashboard as the "
            "container's first process, without an init before it."
        )
    return key


async def serve(key: str, settings: Settings) -> None:
    """Answer until SIGTERM."""
    notebook = json.loads(settings.notebook.read_text(encoding="utf-8"))
    prepare = settings.prepare and may_prepare(notebook)
    framework = VoilaFramework(settings.root, settings.notebook, prepare)
    lines = Lines()
    logging.getLogger().addHandler(lines)
    desk = Desk(framework, settings.patience, settings.seats, lines.kept)
    tornado = {**await framework.start(desk), "tasks": Tasks()}
    inside = application(desk, [*own_routes(), *framework.routes()], tornado)
    server = HTTPServer(Door(key, inside), max_body_size=BODY, idle_connection_timeout=120)
    sockets = bind_sockets(settings.port, settings.address)
    server.add_sockets(sockets)
    host, port = sockets[0].getsockname()[:2]
    log.info("listening on http://%s:%s", host, port)
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    try:
        while not over.is_set():
            await desk.look()
            try:
                await asyncio.wait_for(over.wait(), ROUND_S)
            except TimeoutError:
                pass
    finally:
        server.stop()
        await framework.stop()


def _print_routes(settings: Settings) -> None:
    async def found() -> list[tuple[str, str]]:
        framework = VoilaFramework(settings.root, settings.notebook, False)
        desk = Desk(framework, settings.patience, settings.seats)
        await framework.start(desk)
        try:
            return [(r[0], r[1].__name__) for r in [*own_routes(), *framework.routes()]]
        finally:
            await framework.stop()

    for pattern, handler in asyncio.run(found()):
        print(f"{handler} {pattern}")


def main() -> None:
    """The program; ends with 2 and a sentence where it cannot start."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    # one line a request, with the visit's name in it, is not wanted
    logging.getLogger("tornado.access").setLevel(logging.ERROR)
    try:
        match sys.argv[1:]:
            case ["routes"]:
                _print_routes(Settings.of(os.environ))
            case ["--key", descriptor]:
                key = _read_key(int(descriptor))
                asyncio.run(serve(key, Settings.of(os.environ)))
            case []:
                _again(os.environ.get(environment.KEY, ""))
            case _:
                raise StartError("madang-dashboard takes no argument, or the word routes.")
    except StartError as error:
        print(f"madang-dashboard: {error}", file=sys.stderr)
        raise SystemExit(2) from None
