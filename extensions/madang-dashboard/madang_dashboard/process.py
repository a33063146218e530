"""What the runner asks of Linux: sizes, limits, and to keep its key to itself."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_PROC = Path("/proc")
_CGROUP = Path("/sys/fs/cgroup")
_PR_SET_DUMPABLE = 4

FIRST_TO_GO = 500
"""``oom_score_adj`` of a kernel: where memory runs out its kernel ends, not the runner."""


def _limit(*names: str) -> int | None:
    for name in names:
        try:
            text = (_CGROUP / name).read_text(encoding="ascii").strip()
        except OSError:
            continue
        # version 1 says "no limit" by a number near 2^63
        return int(text) if text.isdecimal() and int(text) < 1 << 60 else None
    return None


def memory_limit() -> int | None:
    """The container's memory in bytes; None where nothing limits it."""
    return _limit("memory.max", "memory/memory.limit_in_bytes")


def pids_limit() -> int | None:
    """The container's processes and threads; None where nothing limits them."""
    return _limit("pids.max", "pids/pids.max")


def own_memory(pid: int) -> int:
    """Bytes that process ``pid`` holds and shares with no file or other process; 0 where it is gone."""
    try:
        words = (_PROC / str(pid) / "statm").read_text(encoding="ascii").split()
    except OSError:
        return 0
    return (int(words[1]) - int(words[2])) * os.sysconf("SC_PAGE_SIZE")


def give_way(pid: int) -> None:
    """Let process ``pid``, and what it starts from now on, be the first to end when memory runs out."""
    try:
        (_PROC / str(pid) / "oom_score_adj").write_text(str(FIRST_TO_GO), encoding="ascii")
    except FileNotFoundError:
        # it is gone
        pass


def close_to_others() -> None:
    """Let no process of the same user read this one's memory, environment or open files (a kernel is one).

    Raises:
        OSError: Linux refused.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE)")


def shown_by(secret: str) -> int | None:
    """The id of a process whose environment holds ``secret`` for this user to read; None for none."""
    wanted = secret.encode()
    for folder in _PROC.iterdir():
        if folder.name.isdecimal() and int(folder.name) != os.getpid():
            try:
                if wanted in (folder / "environ").read_bytes():
                    return int(folder.name)
            except OSError:
                continue
    return None
