"""Whether a server that was just started answers yet."""

from __future__ import annotations

import asyncio

import aiohttp


async def listens(host: str, port: int) -> bool:
    """Whether a connection to ``host`` and ``port`` is taken up within a second."""
    try:
        async with asyncio.timeout(1):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def responds(session: aiohttp.ClientSession, url: str) -> bool:
    """Whether anything but a server error comes back from ``url``."""
    try:
        async with session.get(url, allow_redirects=False) as reply:
            return reply.status < 500
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False
