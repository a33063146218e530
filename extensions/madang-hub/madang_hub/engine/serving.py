"""A web application on a UNIX socket that only a group may use."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from pathlib import Path

from aiohttp import web

log = logging.getLogger("madang.engine")

FAREWELL = 2.0
"""Seconds that answers under way (logs that are followed) get when the application is stopped."""


def bound(listen: Path, group: int | None) -> socket.socket:
    """A socket at ``listen``, mode 0660, of ``group`` if given; nobody can connect before that holds.

    A socket that an earlier run left behind is replaced.

    Raises:
        FileExistsError: something that is not a socket is in its place.
    """
    if listen.is_socket():
        listen.unlink()
    elif listen.exists():
        raise FileExistsError(f"{listen} exists and is not a socket; move it away")
    endpoint = socket.socket(socket.AF_UNIX)
    before = os.umask(0o777)
    try:
        endpoint.bind(str(listen))
    finally:
        os.umask(before)
    if group is not None:
        os.chown(listen, -1, group)
    listen.chmod(0o660)
    endpoint.setblocking(False)
    return endpoint


async def serve(
    app: web.Application,
    listen: Path,
    group: int | None,
    stop: asyncio.Event,
    ready: asyncio.Event | None = None,
) -> None:
    """Serve ``app`` on ``listen`` (see :func:`bound`) until ``stop``; set ``ready`` when it does."""
    runner = web.AppRunner(
        app, access_log=None, handler_cancellation=True, shutdown_timeout=FAREWELL
    )
    await runner.setup()
    endpoint = bound(listen, group)
    try:
        await web.SockSite(runner, endpoint).start()
        log.info("listening on %s", listen)
        if ready is not None:
            ready.set()
        await stop.wait()
    finally:
        await runner.cleanup()
        await asyncio.to_thread(listen.unlink, missing_ok=True)
