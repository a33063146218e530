"""The Hub's end of the line to a server that waits in its container.

The waiting server connects, says that it is ready and shows its mount namespace; a claim goes back by the
same line, once. Nothing listens in a container, so nobody else can claim it, and whoever has the line is the
Hub that made it. What is said is in ``madang_lab/warm/waiting.py``, at the other end.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from madang_hub.homes import USER_UID
from madang_hub.warm.claimed import GO, NotWarmError
from madang_hub.warm.names import LINE, SLOT

LIMIT = 4096
"""Bytes of the longest answer."""


class Line:
    """One slot's folder below ``slots``, its socket, and the waiting server at the other end."""

    def __init__(self, slots: Path, slot: str) -> None:
        self.folder = slots / slot
        self._listener: socket.socket | None = None
        self._peer: socket.socket | None = None
        self._namespace = -1

    @property
    def namespace(self) -> int:
        """A descriptor of the mount namespace of the container; -1 before it came."""
        return self._namespace

    def listen(self) -> None:
        """Make the folder and listen in it.

        Raises:
            OSError: it cannot be made.
        """
        self.folder.mkdir(mode=0o755)
        self.folder.chmod(0o755)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.setblocking(False)
        self._listener = listener
        # by the folder's descriptor: an address holds 107 bytes, a path may be longer
        handle = os.open(self.folder, os.O_PATH | os.O_DIRECTORY)
        try:
            listener.bind(f"/proc/self/fd/{handle}/{LINE}")
        finally:
            os.close(handle)
        (self.folder / LINE).chmod(0o666)
        listener.listen(1)

    async def arrival(self) -> None:
        """Return when the server waits.

        Raises:
            NotWarmError: what came is no waiting server.
        """
        assert self._listener is not None  # noqa: S101  # `listen` was called
        self._peer, _ = await asyncio.get_running_loop().sock_accept(self._listener)
        self._peer.setblocking(False)
        told = self._peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        if struct.unpack("3i", told)[1] != USER_UID:
            raise NotWarmError("failed", f"{self.folder.name}: another account is at the line")
        await _readable(self._peer)
        said, files, _, _ = socket.recv_fds(self._peer, LIMIT, 1, socket.MSG_CMSG_CLOEXEC)
        if not files or _understood(said).get("waiting") != 1:
            for file in files:
                os.close(file)
            raise NotWarmError("failed", f"{self.folder.name}: {said[:200]!r} came by the line")
        self._namespace = files[0]
        # one is all that ever comes
        self._listener.close()

    @property
    def open(self) -> bool:
        """Whether the server still waits; it says nothing more, so whatever can be read is its end."""
        if self._peer is None or self._namespace < 0:
            return False
        try:
            self._peer.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    async def claim(self, command: Sequence[str], environ: Mapping[str, str]) -> None:
        """Tell the server what it is to be.

        Raises:
            NotWarmError: it does not become that.
        """
        if self._peer is None:
            raise NotWarmError("failed", "nobody is at the line")
        packet = json.dumps({"command": list(command), "environ": dict(environ)}).encode()
        try:
            self._peer.send(packet)
            await _readable(self._peer)
            answer = _understood(self._peer.recv(LIMIT))
        except OSError as error:
            raise NotWarmError("failed", str(error)) from error
        if answer.get("taken") != 1:
            raise NotWarmError(str(answer.get("refused") or "failed"), f"it answered {answer}")

    def go(self) -> None:
        """Let the server that took a claim begin.

        One that has ended by now is found out as any server that ends while it starts: its exit status
        says why (a home that is full, for one).
        """
        if self._peer is not None:
            with suppress(OSError):
                self._peer.send(GO)

    def close(self) -> None:
        """Close the line and take away the folder, which nobody else writes."""
        for end in (self._listener, self._peer):
            if end is not None:
                end.close()
        if self._namespace >= 0:
            os.close(self._namespace)
            self._namespace = -1
        with suppress(OSError):
            (self.folder / LINE).unlink(missing_ok=True)
            self.folder.rmdir()


def sweep(slots: Path, known: Collection[str]) -> None:
    """Remove what a Hub that ended left of slots that nobody knows: a socket and an empty folder, no more."""
    for folder in slots.iterdir():
        if SLOT.fullmatch(folder.name) and folder.name not in known:
            with suppress(OSError):
                (folder / LINE).unlink(missing_ok=True)
                folder.rmdir()


def _understood(packet: bytes) -> dict[str, object]:
    try:
        found = json.loads(packet)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


async def _readable(end: socket.socket) -> None:
    """Return when something can be read."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(end.fileno(), ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(end.fileno())
