"""What a process that waits looks up about itself, and how it works until it waits."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

POLICY = os.sched_getscheduler(0)
"""The scheduler's policy that this process was started with."""


def started_with() -> dict[str, str]:
    """The variables that this process was started with, before Python added any."""
    pairs = os.fsdecode(Path("/proc/self/environ").read_bytes()).split("\0")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


@contextmanager
def behind_others() -> Iterator[None]:
    """People's work comes first meanwhile; ``nice`` could not be taken back by an ordinary account."""
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    try:
        yield
    finally:
        os.sched_setscheduler(0, POLICY, os.sched_param(0))
