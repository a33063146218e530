"""The process: ``python -m madang_hub.people.service``, started by the Hub, which gives address and token."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path
from urllib.parse import urlsplit

from tornado.httpserver import HTTPServer

from madang_hub.people.database import Database
from madang_hub.people.service.app import application
from madang_hub.people.service.base import BODY_BYTES, sign_in
from madang_hub.people.service.hub import Hub
from madang_hub.people.service.parts import Parts, assemble
from madang_hub.people.service.process import listen, orphaned, say
from madang_hub.people.service.tasks import tasks_of
from madang_hub.places import Places, read_secret
from madang_hub.settings import Settings
from madang_hub.shelf.offered import offered

log = logging.getLogger("madang.people")
EVERY = 20.0
"""Seconds between two rounds of what is due: look-ins that end, classes, accounts."""


async def serve() -> None:
    """Run until a signal, or until the Hub that started this process is gone."""
    environ = os.environ
    root = Path(environ["MADANG_ROOT"])
    settings = Settings.load(root)
    mode = "embedded" if environ.get("MADANG_RUNS_AS") == "embedded" else "server"
    places = Places(settings, "embedded" if mode == "embedded" else "server")
    auth = sign_in()
    hub = Hub(auth.api_url, auth.api_token, settings.language)
    database = Database(places.database_url("hub"))
    catalog = offered(root, settings)
    parts = assemble(places, catalog, database, hub)
    secret = bytes.fromhex(read_secret(places.secrets, "people_cookies"))
    server = HTTPServer(
        application(parts, auth.base_url, auth.hub_prefix, secret),
        xheaders=True,
        max_body_size=BODY_BYTES,
    )
    address = urlsplit(environ["JUPYTERHUB_SERVICE_URL"])
    await listen(server, address.port or settings.people_port, address.hostname or "127.0.0.1")
    log.info("serving %s", auth.base_url)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    rounds = asyncio.create_task(every(EVERY, parts, places))
    parent = asyncio.create_task(orphaned(stop))
    await stop.wait()
    rounds.cancel()
    parent.cancel()
    server.stop()
    await server.close_all_connections()
    await hub.close()
    await parts.tracking.close()
    database.close()


async def every(seconds: float, parts: Parts, places: Places) -> None:
    """Do now, and again every ``seconds``, what is due."""
    tasks = tasks_of(parts, places)
    while True:
        await tasks.run_once(parts.now())
        await asyncio.sleep(seconds)


def main() -> int:
    """Serve."""
    say("people")
    asyncio.run(serve())
    return 0


if __name__ == "__main__":
    sys.exit(main())
