"""The client by which a page's cells are run, without a wait that never ends.

nbclient sends an ``Output`` widget's state by the same ZeroMQ socket on which it waits for a cell's end. The
reply can arrive while it sends; then nothing wakes the wait, and the page would stay half made for ever
(https://github.com/jupyter/nbclient/issues/312). Looking again now and then is enough.
"""

from __future__ import annotations

from queue import Empty
from typing import Any

from jupyter_client.asynchronous import AsyncKernelClient
from jupyter_client.channels import AsyncZMQSocketChannel
from traitlets import Type

AGAIN_S = 0.25


class Channel(AsyncZMQSocketChannel):
    """Looks again every :data:`AGAIN_S` seconds."""

    async def get_msg(self, timeout: float | None = None) -> Any:  # noqa: ASYNC109  # as upstream has it
        """As upstream.

        Raises:
            Empty: nothing came within ``timeout`` seconds.
        """
        if timeout is not None:
            return await super().get_msg(timeout)
        while True:
            try:
                return await super().get_msg(AGAIN_S)
            except Empty:
                continue


class Client(AsyncKernelClient):
    """Upstream's, with that channel for replies."""

    shell_channel_class = Type(Channel)
