"""A process's command line and variables as others see them (``ps``, ``/proc/<pid>/cmdline``, ``environ``)."""

from __future__ import annotations

import ctypes
import mmap
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

START_CODE, END_CODE, START_STACK = 26, 27, 28
START_DATA, END_DATA, START_BRK = 45, 46, 47
ARG_START, ARG_END = 48, 49
"""Fields of ``/proc/<pid>/stat``, counted from 1 (proc(5))."""
PR_SET_MM, PR_SET_MM_MAP = 35, 14
"""prctl(2), ``linux/prctl.h``. The map needs no privilege, but a kernel with CONFIG_CHECKPOINT_RESTORE."""

_shown: list[mmap.mmap] = []
"""The kernel reads it whenever somebody asks, so it stays."""


def joined(texts: Sequence[str]) -> bytes:
    """``texts`` as the kernel keeps them."""
    return b"".join(a.encode("utf-8", "surrogateescape") + b"\0" for a in texts)


def cut(arguments: Sequence[str], room: int) -> bytes:
    """``arguments`` filled up or cut to exactly ``room`` bytes."""
    # the last byte stays 0: otherwise the kernel would read on into the variables
    return joined(arguments)[: room - 1].ljust(room, b"\0")


def show(arguments: Sequence[str], environ: Mapping[str, str], name: str) -> None:
    """Show ``arguments``, the variables ``environ`` and ``name`` (15 bytes).

    Where the kernel does not allow that: of the arguments as much as this process's own had room for.
    """
    own = Path("/proc/self")
    # the second field is in brackets and may hold anything
    after = (own / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    fields = {number: int(value) for number, value in enumerate(after[1:], 4)}
    if not _moved(fields, joined(arguments), joined([f"{n}={v}" for n, v in environ.items()])):
        start, room = fields[ARG_START], fields[ARG_END] - fields[ARG_START]
        if start and room > 1:
            ctypes.memmove(start, cut(arguments, room), room)
    (own / "comm").write_text(name, encoding="utf-8")


def _moved(fields: Mapping[int, int], arguments: bytes, environ: bytes) -> bool:
    """Tell the kernel that this process's arguments and variables are these; False where it refuses."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.sbrk.restype = ctypes.c_void_p
    place = mmap.mmap(-1, len(arguments) + len(environ), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    place.write(arguments + environ)
    start = ctypes.addressof(ctypes.c_char.from_buffer(place))
    end = start + len(arguments)
    # struct prctl_mm_map; the auxiliary vector (0, 0) and the program's file (-1) stay
    new = struct.pack(
        "=11QQII",
        *(fields[n] for n in (START_CODE, END_CODE, START_DATA, END_DATA, START_BRK)),
        libc.sbrk(0),
        fields[START_STACK],
        *(start, end, end, end + len(environ)),
        *(0, 0, 2**32 - 1),
    )
    size = ctypes.c_ulong(len(new))
    if libc.prctl(PR_SET_MM, PR_SET_MM_MAP, ctypes.c_char_p(new), size, ctypes.c_ulong(0)):
        return False
    _shown.append(place)
    return True
