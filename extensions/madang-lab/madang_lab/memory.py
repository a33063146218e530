"""How much memory this server uses, and of how much.

In a container the control group says both; its limit is enforced by the kernel. In embedded mode there
is no control group of our own: then the server's process and all below it are counted, and the limit is
the size that the person picked, which nobody enforces.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
PROC = Path("/proc")
UNLIMITED = 2**60
"""Version 1 writes "no limit" as a number near 2**63."""
PAGE = 2**16
"""A control group rounds its limit down to whole pages, of at most this many bytes."""


@dataclass(frozen=True)
class Memory:
    """Bytes in use and the limit, each None where nobody can say. ``enforced``: the kernel holds it."""

    used: int | None
    limit: int | None
    enforced: bool


def memory(
    environ: Mapping[str, str], pid: int, cgroup: Path = CGROUP, proc: Path = PROC
) -> Memory:
    """What the server with process id ``pid`` uses now.

    Args:
        environ: its environment; JupyterHub writes the size's memory in bytes to ``MEM_LIMIT``.
    """
    size = size_of(environ)
    group = of_cgroup(cgroup)
    # a limit that is not the size's is the machine's or the operator's, not this server's
    if group and group.limit and (size is None or 0 <= size - group.limit < PAGE):
        return group
    return Memory(of_processes(pid, proc), size, enforced=False)


def size_of(environ: Mapping[str, str]) -> int | None:
    """The memory of the size that the server was started with, in bytes."""
    found = environ.get("MEM_LIMIT", "")
    return int(found) if found.isdecimal() and int(found) > 0 else None


def of_cgroup(root: Path) -> Memory | None:
    """What the control group at ``root`` says (version 1 or 2); None without one.

    Pages of files that the kernel can drop at once are not counted, as ``docker stats`` does.
    """
    if (root / "memory.current").is_file():
        names = ("memory.current", "memory.max", "memory.stat", "inactive_file")
    elif (root / "memory" / "memory.usage_in_bytes").is_file():
        root = root / "memory"
        names = (
            "memory.usage_in_bytes",
            "memory.limit_in_bytes",
            "memory.stat",
            "total_inactive_file",
        )
    else:
        return None
    try:
        used, limit, statistics = ((root / name).read_text(encoding="ascii") for name in names[:3])
        droppable = next(
            (int(line.split()[1]) for line in statistics.splitlines() if line.startswith(names[3])),
            0,
        )
        return Memory(max(0, int(used) - droppable), limit_of(limit), enforced=True)
    except (OSError, ValueError, IndexError):
        return None


def limit_of(text: str) -> int | None:
    """The limit that a control group's file holds, in bytes; None for "no limit"."""
    text = text.strip()
    if text == "max":
        return None
    found = int(text)
    return found if 0 < found < UNLIMITED else None


def of_processes(pid: int, proc: Path) -> int | None:
    """Bytes that ``pid`` and its descendants use, each shared page counted once; None without /proc."""
    children: dict[int, list[int]] = {}
    for entry in proc.iterdir() if proc.is_dir() else ():
        if entry.name.isdecimal() and (parent := _parent(entry)) is not None:
            children.setdefault(parent, []).append(int(entry.name))
    total, seen = 0, False
    waiting = [pid]
    while waiting:
        current = waiting.pop()
        waiting += children.get(current, [])
        if (used := _used(proc / str(current))) is not None:
            total, seen = total + used, True
    return total if seen else None


def _parent(process: Path) -> int | None:
    try:
        # the second field is the program's name, which may hold spaces and brackets
        return int((process / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return None  # it has ended meanwhile


def _used(process: Path) -> int | None:
    try:
        for line in (process / "smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass  # not ours to read, or an old kernel
    try:
        pages = int((process / "statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None
