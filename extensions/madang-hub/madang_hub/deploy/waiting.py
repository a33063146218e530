"""Waiting for a condition, for the command line."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_for(condition: Callable[[], bool], seconds: float, pause: float = 0.2) -> bool:
    """Whether ``condition`` became true within ``seconds``; it is looked at every ``pause`` seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True
