"""Who may be in this server: whom the Hub lets in, asked again and again for everybody but the owner.

JupyterHub lets a visitor in by a share, and takes the share back when the look-in ends. Jupyter's server
would notice late: it keeps the Hub's answer for minutes and never asks again for an open websocket. So
here the Hub is asked anew for each visitor, every few seconds while one is there, and whom it no longer
lets in loses the open connections (kernels, terminals, events) at once.

While the Hub does not answer, a visitor stays for :data:`madang_lab.visitors.GRACE` seconds; the owner is
never touched.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable
from typing import Any

from jupyter_server.auth import Authorizer
from tornado.ioloop import IOLoop, PeriodicCallback
from tornado.web import HTTPError
from tornado.websocket import WebSocketHandler

from madang_lab.visitors import EVERY, Visitor

CLOSED = 4403
"""Close code of a visitor's websocket (4000 and above are an application's own)."""


class VisitorAuthorizer(Authorizer):
    """Whom the Hub lets in may do everything, and everybody but the owner is asked about again."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.visitors: dict[str, Visitor] = {}
        self._tick: PeriodicCallback | None = None

    @property
    def hub_auth(self) -> Any:
        """JupyterHub's client; None in a plain JupyterLab."""
        return getattr(self.identity_provider, "hub_auth", None)

    def is_owner(self, user: Any) -> bool:
        """Whether ``user`` is the person to whom this server belongs."""
        if self.hub_auth is None:
            return True
        found = getattr(user, "hub_user", {})
        return bool(found.get("kind") == "user" and found.get("name") == self.owner)

    @property
    def owner(self) -> str:
        """The name of the person to whom this server belongs."""
        return os.environ.get("JUPYTERHUB_USER", "")

    def is_authorized(
        self, handler: Any, user: Any, action: str, resource: str
    ) -> bool | Awaitable[bool]:
        """Asked by Jupyter Server before every action, and before every websocket."""
        return True if self.is_owner(user) else self.admit(handler, user)

    async def admit(self, handler: Any, user: Any) -> bool:
        """Whether the visitor behind ``handler`` may go on."""
        token = self.hub_auth.get_token(handler)
        if not token:
            return False
        now = time.monotonic()
        visitor = self.visitors.setdefault(token, Visitor(user.username, now))
        visitor.seen = now
        if isinstance(handler, WebSocketHandler):
            visitor.sockets.add(handler)
        if self._tick is None:
            self._tick = PeriodicCallback(self.look, EVERY * 1000)
            self._tick.start()
        await self._ask(token, visitor)
        return visitor.may_stay(time.monotonic())

    async def look(self, at_once: bool = False) -> None:
        """Ask about every visitor, and close what those have open who may not stay."""
        for token, visitor in list(self.visitors.items()):
            await self._ask(token, visitor, at_once)
            now = time.monotonic()
            if not visitor.may_stay(now):
                self._show_out(visitor)
            open_sockets = any(socket.ws_connection for socket in visitor.sockets)
            if visitor.forgotten(now) and not open_sockets:
                del self.visitors[token]
        if not self.visitors and self._tick is not None:
            self._tick.stop()
            self._tick = None

    async def _ask(self, token: str, visitor: Visitor, at_once: bool = False) -> None:
        async with visitor.asking:
            now = time.monotonic()
            if not at_once and not visitor.due(now):
                return
            visitor.asked = now
            try:
                model = await self.hub_auth.user_for_token(token, use_cache=False, sync=False)
            except HTTPError as error:
                self.log.warning("The Hub cannot be asked about %s: %s", visitor.name, error)
                return
            visitor.answered = time.monotonic()
            visitor.allowed = bool(
                model and self.hub_auth.check_scopes(self.hub_auth.access_scopes, model)
            )
            # what the server remembers of the Hub's earlier answer would let pages through, or keep a
            # mentor out who looks in again; only while visitors are there, so it costs little
            self.hub_auth.cache.clear()

    def _show_out(self, visitor: Visitor) -> None:
        for socket in list(visitor.sockets):
            visitor.sockets.discard(socket)
            if not socket.ws_connection:
                continue
            self.log.info("Visitor %s may no longer be here: a connection is closed", visitor.name)
            stream = socket.ws_connection.stream
            socket.close(CLOSED, "The visit has ended")
            # a client that ignores the close is cut off
            IOLoop.current().call_later(0.5, stream.close)
