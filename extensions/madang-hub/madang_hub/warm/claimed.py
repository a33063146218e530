"""A claim of a server from a warm parent, and the server that came of it.

What is said is in ``madang_lab/warm/claim.py``, at the other end.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

SOCKET = "socket"
GO = b"go"
PATIENCE = 2.0
"""Seconds that a claim may take before the server is started cold. It takes about 0.01."""


class NotWarmError(RuntimeError):
    """No warm server can be had; ``reason`` is one of :data:`madang_hub.warm.counts.REASONS`."""

    def __init__(self, reason: str, log: str = "") -> None:
        super().__init__(log or reason)
        self.reason = reason


@dataclass(frozen=True)
class Wish:
    """What the server is to be."""

    version: str
    start: str
    command: Sequence[str]
    environ: Mapping[str, str]
    cwd: str


class ClaimedServer:
    """The process of a claimed server, with what a spawner uses of :class:`subprocess.Popen`.

    It is the warm parent's child, which says how it ended. Where that parent is gone, the system is asked.
    """

    def __init__(self, pid: int, line: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        line.setblocking(False)
        self._line = line

    def poll(self) -> int | None:
        """None while it runs, else its exit status; 0 where nobody knows."""
        if self.returncode is None:
            try:
                told = self._told()
            except BlockingIOError:
                return None
            if told:
                self.returncode = int(json.loads(told)["status"])
            elif not alive(self.pid):
                self.returncode = 0
        return self.returncode

    def _told(self) -> bytes:
        """What the parent said; empty if it is gone.

        Raises:
            BlockingIOError: nothing yet.
        """
        try:
            return self._line.recv(4096)
        except ConnectionResetError:
            # the server ended before it read the word to go on; what the parent said lies behind this error
            return self._line.recv(4096)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._line.close()


def alive(pid: int) -> bool:
    """Whether this process runs; one that has ended and waits for its parent's notice does not."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] not in "ZX"


def connect(folder: Path) -> socket.socket:
    """A line to the warm parent of ``folder``.

    Raises:
        NotWarmError: none listens, or another account does.
    """
    line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    line.settimeout(PATIENCE)
    try:
        # by the folder's descriptor: an address holds 107 bytes, a path may be longer
        handle = os.open(folder, os.O_PATH | os.O_DIRECTORY)
        try:
            line.connect(f"/proc/self/fd/{handle}/{SOCKET}")
        finally:
            os.close(handle)
        if peer(line)[1] != os.geteuid():
            raise NotWarmError("failed", f"{folder / SOCKET} is another account's")
    except OSError as error:
        line.close()
        raise NotWarmError("none", str(error)) from error
    except NotWarmError:
        line.close()
        raise
    return line


def peer(line: socket.socket) -> tuple[int, int]:
    """Process and account at the other end; the process is the one that began to listen."""
    told = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _ = struct.unpack("3i", told)
    return pid, uid


def claim(folder: Path, wish: Wish, log: IO[bytes]) -> ClaimedServer:
    """Make a server of the warm parent of ``folder``; its output goes to ``log``.

    Raises:
        NotWarmError: it could not be had; then there is none, also not a moment later.
    """
    line = connect(folder)
    try:
        packet = json.dumps(asdict(wish)).encode()
        with Path(os.devnull).open("rb") as nothing:
            files = [nothing.fileno(), log.fileno(), log.fileno()]
            socket.send_fds(line, [packet], files)
        answer = json.loads(line.recv(4096) or b"{}")
        if "pid" not in answer:
            raise NotWarmError(str(answer.get("refused") or "failed"))
        line.send(GO)
    except (OSError, ValueError) as error:
        # the child ends by itself when the line is closed before the word to go on
        line.close()
        raise NotWarmError("failed", str(error)) from error
    except BaseException:
        line.close()
        raise
    return ClaimedServer(int(answer["pid"]), line)
