"""A process's command line as others see it (``ps``, ``/proc/<pid>/cmdline``)."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path

ARG_START, ARG_END = 48, 49
"""Fields of ``/proc/<pid>/stat``, counted from 1 (proc(5))."""


def cut(arguments: Sequence[str], room: int) -> bytes:
    """``arguments`` as the kernel keeps them, filled up or cut to exactly ``room`` bytes."""
    text = b"".join(a.encode("utf-8", "surrogateescape") + b"\0" for a in arguments)
    # the last byte stays 0: otherwise the kernel would read on into the variables
    return text[: room - 1].ljust(room, b"\0")


def show(arguments: Sequence[str], name: str) -> None:
    """Show ``arguments``, as far as the room of this process's own goes, and ``name`` (15 bytes)."""
    own = Path("/proc/self")
    # the second field is in brackets and may hold anything
    after = (own / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    start, end = int(after[ARG_START - 3]), int(after[ARG_END - 3])
    room = end - start
    if start and room > 1:
        ctypes.memmove(start, cut(arguments, room), room)
    (own / "comm").write_text(name, encoding="utf-8")
