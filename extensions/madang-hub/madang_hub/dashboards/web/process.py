"""The process of the dashboards service.

In embedded mode the Hub starts it and tells it where; in server mode it is a part of the stack.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from pathlib import Path
from urllib.parse import urlsplit

from tornado.httpserver import HTTPServer

from madang_hub.dashboards.gateway.here import HubGateway
from madang_hub.dashboards.web.app import application
from madang_hub.dashboards.web.parts import assemble
from madang_hub.dashboards.web.rounds import Rounds
from madang_hub.people.database import Database
from madang_hub.people.service.base import sign_in
from madang_hub.people.service.process import listen, orphaned, say
from madang_hub.places import DASHBOARD_PREFIX, DASHBOARD_SERVICE, Mode, Places, read_secret
from madang_hub.settings import Settings
from madang_hub.shelf.offered import offered

log = logging.getLogger("madang.dashboards")
BODY_BYTES = 256 * 2**10
"""The largest body that is read of what is no archive."""


def of_the_hub(places: Places) -> dict[str, str]:
    """What the Hub tells a service that it starts, and a part of the stack must find out by itself.

    The rest is in ``docker-compose.yml``: JupyterHub reads some of its variables as soon as it is imported.
    """
    public = places.settings.public_url
    return {
        "JUPYTERHUB_SERVICE_NAME": DASHBOARD_SERVICE,
        "JUPYTERHUB_SERVICE_URL": places.dashboards_url,
        "JUPYTERHUB_API_TOKEN": read_secret(places.secrets, "dashboards_token"),
        "JUPYTERHUB_PUBLIC_URL": f"{public}{DASHBOARD_PREFIX}" if public else "",
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
    database = Database(places.database_url("hub"))
    catalog = offered(root, settings)
    gateway = HubGateway(
        auth.api_url, auth.api_token, read_secret(places.secrets, "dashboards_apps")
    )
    parts = assemble(places, catalog, database, gateway, auth.base_url)
    rounds = Rounds(parts)
    secret = bytes.fromhex(read_secret(places.secrets, "dashboards_cookies"))
    server = HTTPServer(
        application(parts, rounds, auth.hub_prefix, secret),
        xheaders=True,
        max_body_size=BODY_BYTES,
    )
    address = urlsplit(environ["JUPYTERHUB_SERVICE_URL"])
    await listen(server, address.port or settings.dashboards_port, address.hostname or "127.0.0.1")
    log.info("serving %s", auth.base_url)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    tasks = [asyncio.create_task(gateway.run()), asyncio.create_task(rounds.run())]
    if mode == "embedded":
        tasks.append(asyncio.create_task(orphaned(stop)))
    await stop.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    server.stop()
    await server.close_all_connections()
    await gateway.close()
    parts.unpackers.shutdown()
    parts.worker.shutdown()
    database.close()


def main() -> int:
    """Serve."""
    say("dashboards")
    asyncio.run(serve())
    return 0
