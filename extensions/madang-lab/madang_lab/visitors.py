"""Visitors: people in this server who are not its owner. A mentor who looks in, for example.

The rules; who asks the Hub and closes connections is ``authorizer.py``.
"""

from __future__ import annotations

import asyncio
import weakref
from dataclasses import dataclass, field
from typing import Any

EVERY = 3.0
"""Seconds between two questions about the same visitor."""
GRACE = 30.0
"""Seconds for which a visitor may stay while the Hub does not answer."""
FORGET = 600.0
"""Seconds after which a visitor who was not seen again is no longer asked about. More than the five minutes
for which the server remembers the Hub's answers: who looks in again must not meet an old "no"."""


@dataclass
class Visitor:
    """What is known of the holder of one token; times in seconds of the monotonic clock."""

    name: str
    seen: float
    asked: float = float("-inf")
    answered: float = float("-inf")
    allowed: bool = False
    sockets: weakref.WeakSet[Any] = field(default_factory=weakref.WeakSet)
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    def due(self, now: float) -> bool:
        """Whether the Hub is to be asked again."""
        # a little less than the interval, so that no tick falls just before the time
        return now - self.asked >= EVERY * 0.9

    def may_stay(self, now: float) -> bool:
        """Whether the Hub said yes, and not too long ago."""
        return self.allowed and now - self.answered <= GRACE

    def forgotten(self, now: float) -> bool:
        """Whether this visitor came last so long ago that nobody asks any more."""
        return now - self.seen > FORGET
