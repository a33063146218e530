"""The process: ``python -m madang_hub.accelerators.broker``.

In embedded mode the Hub starts it and tells it where; in server mode it is a part of the stack.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path
from urllib.parse import urlsplit

from tornado.httpserver import HTTPServer

from madang_hub.accelerators.broker.app import application
from madang_hub.accelerators.broker.parts import assemble
from madang_hub.accelerators.broker.rounds import Rounds
from madang_hub.people.database import Database
from madang_hub.people.service.base import sign_in
from madang_hub.people.service.hub import Hub
from madang_hub.people.service.process import listen, orphaned, say
from madang_hub.places import ACCELERATOR_PREFIX, ACCELERATOR_SERVICE, Mode, Places, read_secret
from madang_hub.settings import Settings
from madang_hub.shelf.offered import offered

log = logging.getLogger("madang.accelerators")
BODY_BYTES = 64 * 2**10


def of_the_hub(places: Places) -> dict[str, str]:
    """What the Hub tells a service that it starts, and a part of the stack must find out by itself.

    The rest is in ``docker-compose.yml``: JupyterHub reads some of its variables as soon as it is imported.
    """
    public = places.settings.public_url
    return {
        "JUPYTERHUB_SERVICE_NAME": ACCELERATOR_SERVICE,
        "JUPYTERHUB_SERVICE_URL": places.accelerators_url,
        "JUPYTERHUB_API_TOKEN": read_secret(places.secrets, "accelerators_token"),
        "JUPYTERHUB_PUBLIC_URL": f"{public}{ACCELERATOR_PREFIX}" if public else "",
    }


async def serve() -> None:
    """Run until a signal, or in embedded mode until the Hub that started this process is gone."""
    environ = os.environ
    root = Path(environ["MADANG_ROOT"])
    settings = Settings.load(root)
    mode: Mode = "embedded" if environ.get("MADANG_RUNS_AS") == "embedded" else "server"
    places = Places(settings, mode)
    if mode == "server":
        environ.update(of_the_hub(places))
    auth = sign_in()
    hub = Hub(auth.api_url, auth.api_token, settings.language)
    database = Database(places.database_url("hub"))
    parts = assemble(places, root, offered(root, settings), database, hub)
    rounds = Rounds(parts)
    # the first inventory before the first request
    await rounds.look(parts.now())
    secret = bytes.fromhex(read_secret(places.secrets, "accelerators_cookies"))
    server = HTTPServer(
        application(parts, rounds, auth.base_url, auth.hub_prefix, secret),
        xheaders=True,
        max_body_size=BODY_BYTES,
    )
    address = urlsplit(environ["JUPYTERHUB_SERVICE_URL"])
    port = address.port or settings.accelerators_port
    await listen(server, port, address.hostname or "127.0.0.1")
    log.info("serving %s", auth.base_url)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    tasks = [asyncio.create_task(rounds.run())]
    if mode == "embedded":
        tasks.append(asyncio.create_task(orphaned(stop)))
    await stop.wait()
    for task in tasks:
        task.cancel()
    server.stop()
    await server.close_all_connections()
    await hub.close()
    await parts.engine.close()
    parts.worker.shutdown()
    database.close()


def main() -> int:
    """Serve."""
    say("accelerators")
    asyncio.run(serve())
    return 0


if __name__ == "__main__":
    sys.exit(main())
