"""The socket: one request after the other, each in a process of its own that has two seconds.

Whoever connects must be of the mounter's own account. What is refused is answered and logged in one sentence.
"""

from __future__ import annotations

import array
import os
import select
import signal
import socket
import struct
from pathlib import Path
from typing import NoReturn

from madang_hub.mounter.rules import LIMIT, MAX_PACKET, RefusedError, Request, answer, read
from madang_hub.mounter.work import Where, put

WAITING = 128
"""Connections that may wait for their turn: a class that begins."""
DESCRIPTORS = 4
"""Descriptors that are taken at most, so that more than the one that is right are seen."""
TOO_SLOW = f"it took longer than {LIMIT:.0f} seconds"


def say(text: str) -> None:
    """One line for the log; ``text`` is ASCII and has no line breaks."""
    os.write(2, f"{text}\n".encode("ascii", "backslashreplace"))


def bound(path: Path) -> socket.socket:
    """A socket at ``path`` with mode 0600, in place of what an earlier run left."""
    if path.is_socket():
        path.unlink()
    endpoint = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    before = os.umask(0o177)
    try:
        endpoint.bind(str(path))
    finally:
        os.umask(before)
    endpoint.listen(WAITING)
    return endpoint


def peer(connection: socket.socket) -> int:
    """The account that connected (unix(7))."""
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("=iII"))
    return int(struct.unpack("=iII", found)[1])


def receive(connection: socket.socket) -> tuple[Request, int]:
    """The request and its descriptor.

    Raises:
        RefusedError: it is not one packet with one request and one descriptor.
    """
    if peer(connection) != os.geteuid():
        raise RefusedError("only the Hub may ask")
    room = socket.CMSG_SPACE(DESCRIPTORS * array.array("i").itemsize)
    text, more, flags, _ = connection.recvmsg(MAX_PACKET, room, socket.MSG_CMSG_CLOEXEC)
    if flags & socket.MSG_TRUNC:
        raise RefusedError(f"the request is longer than {MAX_PACKET} bytes")
    found = array.array("i")
    for level, kind, data in more:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    if len(found) != 1:
        raise RefusedError("exactly one descriptor belongs to a request")
    return read(text), found[0]


def tell(connection: socket.socket, refused: str) -> None:
    """Answer, to who still listens."""
    try:
        connection.send(answer(refused), socket.MSG_DONTWAIT)
    except OSError:
        pass


def serve(connection: socket.socket, where: Where) -> NoReturn:
    """Do what ``connection`` asks, answer, and end this process; its status is 0."""
    refused = ""
    try:
        request, namespace = receive(connection)
        put(request, namespace, where)
        say(f"mounted {request.home} in {request.slot}")
    except RefusedError as refusal:
        refused = str(refusal)
    except OSError as error:
        refused = f"the request cannot be served ({error.strerror})"
    if refused:
        say(f"refused: {refused}")
    tell(connection, refused)
    os._exit(0)


class Service:
    """Serves ``path`` for the folders of ``where``."""

    def __init__(self, path: Path, where: Where) -> None:
        self._path, self._where = path, where

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT; a request under way is finished.

        Raises:
            OSError: the socket cannot be made.
        """
        told, telling = socket.socketpair()
        telling.setblocking(False)
        signal.set_wakeup_fd(telling.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        with bound(self._path) as endpoint:
            say("listening")
            events = select.poll()
            events.register(told, select.POLLIN)
            events.register(endpoint, select.POLLIN)
            while told.fileno() not in (ready := dict(events.poll())):
                if endpoint.fileno() in ready:
                    with endpoint.accept()[0] as connection:
                        self._in_a_process(connection)
        self._path.unlink()

    def _in_a_process(self, connection: socket.socket) -> None:
        if not (child := os.fork()):
            self._begin(connection)
        _, status = os.waitpid(child, 0)
        if status:
            slow = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM
            refused = TOO_SLOW if slow else "the mounter failed"
            say(f"refused: {refused}")
            tell(connection, refused)

    def _begin(self, connection: socket.socket) -> NoReturn:
        try:
            signal.set_wakeup_fd(-1)
            # the kernel itself keeps the time, whatever this process waits for
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, LIMIT)
            serve(connection, self._where)
        finally:
            os._exit(
                1
            )  # nothing of the parent's is done twice, and no traceback reads files of a container
