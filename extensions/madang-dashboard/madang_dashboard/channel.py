"""The websocket between a visit's page and its kernel: Voila's handler, with a check each way."""

from __future__ import annotations

import re
from collections.abc import Awaitable
from typing import Any

from tornado import web
from voila.tornado.kernel_websocket_handler import VoilaKernelWebsocketHandler

from madang_dashboard.frames import PROTOCOL
from madang_dashboard.gate import OfAVisit
from madang_dashboard.limits import ANSWER, SOCKETS, WAITING
from madang_dashboard.messages import RefusedError
from madang_dashboard.visits import ENDED_CODE, State, Why

_UNOPENED = re.compile(r"(?:No such comm: [0-9a-f-]{32,36}\s*)+")
"""What a kernel writes at each visit: ipywidgets asks by a comm that it opens itself, which a visitor may not,
and then another way. It is no error of the author's."""


class SocketHandler(OfAVisit, VoilaKernelWebsocketHandler):
    """Lets pass what :class:`madang_dashboard.messages.Conversation` allows, as much as a visit may send."""

    _counted = False
    _waiting = 0

    def check_origin(self, origin: str | None = None) -> bool:
        """Asked by Tornado for other origins than the server's own only; :meth:`get` has looked at all."""
        return True

    async def get(self, *args: Any, **kwargs: Any) -> None:
        """Only from the sandbox, whose origin is "null", and only with the subprotocol, whose messages can be
        read without being copied many times over."""
        if self.get_origin() != "null":
            raise web.HTTPError(403)
        offered = self.request.headers.get("Sec-WebSocket-Protocol", "")
        if PROTOCOL not in [word.strip() for word in offered.split(",")]:
            raise web.HTTPError(400)
        line = self.desk.line(self.visit)
        if line.taken >= SOCKETS:
            raise web.HTTPError(429)
        # counted before anything is waited for; what follows lasts as long as the socket does
        line.taken += 1
        try:
            held = super().get(*args, **kwargs)
            if isinstance(held, Awaitable):
                await held
        finally:
            line.taken -= 1

    async def open(self, *args: Any, **kwargs: Any) -> None:
        """The visit has a socket."""
        if self.visit.state is State.ENDED:
            self.close(ENDED_CODE, "ended")
            return
        self._counted = True
        self.line = self.desk.line(self.visit)
        self.line.closers[id(self)] = lambda why: self.close(ENDED_CODE, why)
        self.desk.visits.connected(self.visit, self.desk.clock())
        await super().open(*args, **kwargs)

    def on_message(self, ws_message: str | bytes) -> None:
        """From the visitor."""
        if self.visit.state is State.ENDED or self.connection is None:
            return
        if not self.line.flow.take(len(ws_message), self.desk.clock()):
            self._flooded()
            return
        try:
            if isinstance(ws_message, str):
                raise RefusedError("text, not a message")
            allowed = self.line.talk.asked(ws_message)
        except RefusedError as refused:
            self.log.warning("message refused: %s", refused)
            return
        self.desk.touch(self.visit)
        super().on_message(allowed)

    def write_message(self, message: Any, binary: bool = False) -> Any:
        """To the visitor."""
        if not isinstance(message, bytes):
            return None
        if len(message) > ANSWER:
            size, most = len(message) >> 20, ANSWER >> 20
            text = f"A message of {size} MiB to the visitor was left out; the most is {most}."
            self.desk.trouble("output", text, self.visit)
            return None
        shown = self.line.talk.shown(message)
        if shown.trouble and not _UNOPENED.fullmatch(shown.trouble):
            self.desk.trouble("callback" if shown.error else "output", shown.trouble, self.visit)
        if shown.message is None:
            return None
        self._waiting += len(shown.message)
        if self._waiting > WAITING:
            self._flooded()
            return None
        sent = super().write_message(shown.message, binary=True)
        if isinstance(sent, Awaitable):
            self.settings["tasks"].add(self._sent(sent, len(shown.message)))
        return sent

    async def _sent(self, sent: Awaitable[None], size: int) -> None:
        try:
            await sent
        except web.HTTPError:
            raise
        except Exception:
            self.log.debug("a message did not reach the visitor", exc_info=True)
        finally:
            self._waiting -= size

    def _flooded(self) -> None:
        self.settings["tasks"].add(self.desk.end(self.visit, Why.FLOOD))

    def on_close(self) -> None:
        """The socket is gone."""
        if self._counted:
            self._counted = False
            self.line.closers.pop(id(self), None)
            self.desk.visits.disconnected(self.visit, self.desk.clock())
        if self.connection is not None:
            super().on_close()
