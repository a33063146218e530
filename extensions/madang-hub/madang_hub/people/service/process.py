"""What the processes of services have in common: their address, their end, their log."""

from __future__ import annotations

import asyncio
import logging
import os

from tornado.httpserver import HTTPServer

log = logging.getLogger("madang.people")
PORT_WAIT = 15.0
"""Seconds for which the address may still belong to a predecessor that is ending."""


async def listen(server: HTTPServer, port: int, host: str) -> None:
    """Listen there; a predecessor whose Hub was killed needs a moment to notice.

    Raises:
        OSError: the port stays taken by something else.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PORT_WAIT
    while True:
        try:
            server.listen(port, host)
        except OSError:
            if loop.time() > deadline:
                raise
            await asyncio.sleep(0.3)
        else:
            return


async def orphaned(stop: asyncio.Event) -> None:
    """End when the Hub is gone: the next Hub starts a service of its own on this address."""
    parent = os.getppid()
    while os.getppid() == parent:  # noqa: ASYNC110 (the system tells nobody)
        await asyncio.sleep(1)
    log.warning("the Hub that started this service is gone")
    stop.set()


def say(name: str) -> None:
    """Log to stderr, which is the Hub's; ``name`` is the service's in each line."""
    logging.basicConfig(
        level=logging.INFO,
        format=f"[%(levelname).1s %(asctime)s {name} %(name)s] %(message)s",
        datefmt="%Y-%m-%d %H:%M:%S",
    )
    # it logs identities of XSRF tokens and each GET of another kind at this level
    for noisy in ("tornado.application", "tornado.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
