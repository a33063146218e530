"""Containers without an engine, for tests of what happens to their mounts (as root).

:class:`Maker` runs this file as a program, which makes one *container* after the other: a process with mounts
and process numbers of its own, a small read-only root and nothing of the machine in it, which then becomes user
1000. As a warm server's it has its slot's folder at `/run/madang` and gives its mount namespace away. It needs
nothing but Python's own modules, and goes on without its files.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

USER = 1000
SIZE = 2**20
"""Bytes that a packet on a line may have."""
NEW_MOUNTS, NEW_PROCESSES = 0x20000, 0x20000000
READ_ONLY, REMOUNT, BIND, RECURSIVE = 1, 32, 4096, 16384
PRIVATE, SHARED = 1 << 18, 1 << 20
DETACH = 2
NO_NEW_PRIVILEGES = 38


@dataclass
class Waiting:
    """A container of :class:`Maker`: its mount namespace, and the line on which it tells what it sees."""

    namespace: int
    line: socket.socket

    def look(self) -> dict[str, Any]:
        """What it sees now (``home``, ``slot``: names of files; ``mounts``), and ``seen``: all mounts ever.

        A mount is its folder in its file system and its place.
        """
        self.line.send(b"look")
        found: dict[str, Any] = json.loads(self.line.recv(SIZE))
        return found

    def homes(self) -> set[str]:
        """Every folder that it ever saw mounted, of those that are people's homes."""
        return {folder for folder, _ in self.look()["seen"] if "/homes/" in folder}


class Maker:
    """Makes containers; ``folder`` is empty and theirs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with there:
            self.process = subprocess.Popen(
                [sys.executable, "-IS", __file__, str(there.fileno())], pass_fds=[there.fileno()]
            )
        self._line = here

    def close(self) -> None:
        self._line.close()
        self.process.wait(timeout=30)

    @contextmanager
    def container(self, slot: Path | None, **how: str) -> Iterator[Waiting]:
        """A container that waits with the folder ``slot`` at /run/madang (None: with an ordinary folder there).

        ``how``: ``shared=/``, ``shared=/run``: what is mounted there is seen elsewhere; ``place=link``: the
        home's place leads to another, ``place=above``: the folder above does, ``place=mount``: something is
        mounted there; ``watch=yes``: it looks at its mounts all the time.
        """
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with here:
            order = {"folder": str(self._folder), "slot": str(slot or ""), **how}
            with there:
                socket.send_fds(self._line, [json.dumps(order).encode()], [there.fileno()])
            here.settimeout(30)
            text, found, _, _ = socket.recv_fds(here, SIZE, 1)
            assert text == b"waiting", "the container could not be made"
            try:
                yield Waiting(found[0], here)
            finally:
                os.close(found[0])


# ---- the program ----------------------------------------------------------------------------------

_libc = ctypes.CDLL(None, use_errno=True)


def _done(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _mount(source: str, place: str, kind: str, flags: int) -> None:
    texts = (os.fsencode(text) for text in (source, place, kind))
    _done(_libc.mount(*texts, ctypes.c_ulong(flags), None))


def _root(order: dict[str, str]) -> None:
    """A root of its own, of which nothing leads back."""
    _done(_libc.unshare(NEW_MOUNTS))
    _mount("none", "/", "", PRIVATE | RECURSIVE)
    root = order["folder"]
    _mount("tmpfs", root, "tmpfs", 0)
    os.chdir(root)
    for name in ("proc", "run", "other/madang"):
        Path(name).mkdir(parents=True)
    if order.get("place") == "above":
        Path("home").symlink_to("/other")
    else:
        Path("home").mkdir()
    if order.get("place") == "link":
        Path("home/madang").symlink_to("/other/madang")
    elif order.get("place") != "above":
        Path("home/madang").mkdir()
        Path("home/madang/of-the-image").touch()
    _mount("tmpfs", "run", "tmpfs", 0)
    Path("run/madang").mkdir()
    _mount("proc", "proc", "proc", 0)
    if order["slot"]:
        _mount(order["slot"], "run/madang", "", BIND)
        _mount("", "run/madang", "", BIND | REMOUNT | READ_ONLY)
    if order.get("place") == "mount":
        _mount("other/madang", "home/madang", "", BIND)
    _done(_libc.pivot_root(b".", b"."))
    _done(_libc.umount2(b".", DETACH))
    os.chdir("/")
    if "shared" in order:
        _mount("", order["shared"], "", SHARED)
    _mount("", "/", "", BIND | REMOUNT | READ_ONLY)


def _mounts() -> list[tuple[str, str]]:
    rows = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [(row[3], row[4]) for row in rows]


def _names(folder: str) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


def _wait(line: socket.socket, watch: bool) -> None:
    seen = set(_mounts())
    events = select.poll()
    events.register(line, select.POLLIN)
    while True:
        if events.poll(0 if watch else None):
            if not line.recv(16):
                return
            now = _mounts()
            seen.update(now)
            found = {
                "home": _names("/home/madang"),
                "slot": _names("/run/madang") if Path("/run/madang").exists() else None,
                "mounts": now,
                "seen": sorted(seen),
            }
            line.send(json.dumps(found).encode())
        seen.update(_mounts())


def _container(order: dict[str, str], line: socket.socket) -> None:
    _done(_libc.unshare(NEW_PROCESSES))
    if os.fork():
        return
    _root(order)
    _done(_libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0))
    os.setgroups([])
    os.setgid(USER)
    os.setuid(USER)
    own = os.open("/proc/self/ns/mnt", os.O_RDONLY)
    socket.send_fds(line, [b"waiting"], [own])
    os.close(own)
    _wait(line, watch=bool(order.get("watch")))


def _program(orders: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        text, found, _, _ = socket.recv_fds(orders, SIZE, 1)
        if not text:
            return
        with socket.socket(fileno=found[0]) as line:
            if not os.fork():
                try:
                    orders.close()
                    _container(json.loads(text), line)
                except OSError as error:
                    print(f"container: {error}", file=sys.stderr)
                finally:
                    os._exit(0)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as given:
        _program(given)
