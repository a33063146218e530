"""The engine's gateway at its socket, and a stand-in engine behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from madang_hub.engine.gateway import Gateway
from madang_hub.engine.serving import serve


@asynccontextmanager
async def standing_in(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]], socket: Path
) -> AsyncIterator[None]:
    """At ``socket`` somebody gives every request to ``answer``."""
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.UnixSite(runner, str(socket)).start()
        yield
    finally:
        await runner.cleanup()


@asynccontextmanager
async def gateway_at(gateway: Gateway, socket: Path) -> AsyncIterator[None]:
    """The gateway listens at ``socket``, and not any more afterwards."""
    stop, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(serve(gateway.app(), socket, None, stop, ready))
    try:
        async with asyncio.timeout(10):
            await ready.wait()
        yield
    finally:
        stop.set()
        await task
    assert not await asyncio.to_thread(socket.exists)
