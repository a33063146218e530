"""``madang-warm FOLDER VERSION``: import everything, then fork a server for each claim at ``FOLDER/socket``.

No thread and no event loop runs in it, and it reads no claim itself: the child does, so that no token is ever
in the parent. It ends when it is told to (SIGTERM) or when its socket is no longer the one in the folder, but
not before its last server has: it is what notices how they end.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

from madang_lab.warm import becoming, imports, process
from madang_lab.warm.claim import GO, LIMIT, Claim, ClaimError, read

SOCKET = "socket"
LOOK_EVERY = 30.0
"""Seconds after which a waiting parent looks whether it is still the one that is wanted."""
PATIENCE = 5.0
"""Seconds that a child waits for the claim, and for the word to go on."""


class Waiting:
    """The parent: a socket, and the connection of each server that it forked, by pid."""

    def __init__(self, folder: Path, version: str) -> None:
        self.folder, self.version = folder, version
        self.started = process.started_with()
        self.added = becoming.coerced(self.started, os.environ)
        self._running: dict[int, socket.socket] = {}
        self._policy = os.sched_getscheduler(0)
        self._wake, self._woken = socket.socketpair()
        for end in (self._wake, self._woken):
            end.setblocking(False)
        self._told = self._retired = False
        self._listener = self._listen()
        self._own = (folder / SOCKET).stat().st_ino

    def _listen(self) -> socket.socket:
        begun = self.folder / f"{SOCKET}.new"
        begun.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # by the folder's descriptor: an address holds 107 bytes, a path may be longer
        handle = os.open(self.folder, os.O_PATH | os.O_DIRECTORY)
        mask = os.umask(0o177)
        try:
            listener.bind(f"/proc/self/fd/{handle}/{begun.name}")
        finally:
            os.umask(mask)
            os.close(handle)
        listener.listen(128)
        # who finds it is answered
        begun.replace(self.folder / SOCKET)
        return listener

    def wait(self) -> Claim | None:
        """In each child: what it is to become. In the parent: None, when it has nothing more to do."""
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._tell)
        while not self._retired or self._running:
            listening = [] if self._retired else [self._listener]
            ready, _, _ = select.select([self._woken, *listening], [], [], LOOK_EVERY)
            if self._woken in ready:
                with contextlib.suppress(BlockingIOError):
                    self._woken.recv(4096)
            self._reap()
            if self._retired:
                continue
            if self._told or not self._wanted():
                self._retire()
            elif self._listener in ready:
                claim = self._fork()
                if claim is not None:
                    return claim
        return None

    def _wanted(self) -> bool:
        """Whether the socket in the folder is still this one."""
        try:
            return (self.folder / SOCKET).stat().st_ino == self._own
        except OSError:
            return False

    def _tell(self, *_: object) -> None:
        # select is woken by the same signal
        self._told = True

    def _retire(self) -> None:
        self._retired = True
        if self._wanted():
            (self.folder / SOCKET).unlink(missing_ok=True)
        self._listener.close()

    def _reap(self) -> None:
        """Tell the Hub how servers ended."""
        while self._running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            line = self._running.pop(pid)
            with contextlib.suppress(OSError), line:  # a Hub that was restarted asks the system
                line.send(json.dumps({"status": os.waitstatus_to_exitcode(status)}).encode())

    def _fork(self) -> Claim | None:
        line, _ = self._listener.accept()
        if _account_of(line) not in (os.geteuid(), 0):
            line.close()
            return None
        pid = os.fork()
        if pid:
            self._running[pid] = line
            return None
        self._be_a_child()
        return self._claim(line)

    def _be_a_child(self) -> None:
        """What is the parent's is closed and put back."""
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        for one in (self._listener, self._wake, self._woken, *self._running.values()):
            one.close()
        self._running.clear()
        os.sched_setscheduler(0, self._policy, os.sched_param(0))

    def _claim(self, line: socket.socket) -> Claim:
        """The claim that came by ``line``; a child without one ends here, and never was a server."""
        with line:
            line.settimeout(PATIENCE)
            try:
                packet, files, flags, _ = socket.recv_fds(line, LIMIT, 3, socket.MSG_CMSG_CLOEXEC)
                if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC) or len(files) != 3:
                    raise ClaimError("malformed")
                claim = read(packet, self.version, self.started)
            except ClaimError as error:
                with contextlib.suppress(OSError):
                    line.send(json.dumps({"refused": str(error)}).encode())
                os._exit(0)
            except OSError:
                os._exit(0)
            try:
                line.send(json.dumps({"pid": os.getpid()}).encode())
                if line.recv(len(GO)) != GO:
                    os._exit(0)
            except OSError:
                os._exit(0)
        for number, file in enumerate(files):
            os.dup2(file, number)
        for file in files:
            os.close(file)
        return claim


def _account_of(line: socket.socket) -> int:
    """Who is at the other end (the kernel says so)."""
    told = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", told)[1])


def run(folder: Path, version: str, prepare: Callable[[], None]) -> None:
    """``prepare``, then wait. Returns in the parent; a child ends with the server that it became."""
    began = time.monotonic()
    with process.behind_others():
        prepare()
    waiting = Waiting(folder, version)
    print(f"warm after {time.monotonic() - began:.1f} s", flush=True)
    claim = waiting.wait()
    if claim is not None:
        becoming.run(becoming.ready(claim, waiting.added))


def main() -> None:
    """The program: its folder and version are given by the Hub."""
    folder, version = sys.argv[1:]
    run(Path(folder), version, imports.everything)
