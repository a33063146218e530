"""How much a visitor may send, and how much may wait to be sent to a visitor."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024

MESSAGE = 16 * MIB
"""Largest message from a visitor, in bytes: what an upload of a file may take at once."""
HEADER, METADATA, CONTENT = 4096, 64 * 1024, MIB
"""Largest parts of it that are read as JSON, in bytes: read, they take many times as much memory. What is
uploaded travels beside them, in buffers."""
ANSWER = 64 * MIB
"""Largest message to a visitor, in bytes. A larger one is left out, and the author reads of it."""
WAITING = 96 * MIB
"""Bytes that may wait for a visitor who reads slowly; beyond them the socket is closed."""
SOCKETS = 2
"""Sockets of one visit at the same time: one, and the next while the former is noticed to be gone."""


@dataclass
class Bucket:
    """Lets ``rate`` units pass each second on average, ``burst`` at once.

    Times are seconds of one clock that only goes forward.
    """

    rate: float
    burst: float
    level: float = 0.0
    """What passed and has not drained yet."""
    at: float = 0.0

    def take(self, amount: float, now: float) -> bool:
        """Whether ``amount`` may pass at ``now``; if so it is counted."""
        self.level = max(0.0, self.level - (now - self.at) * self.rate)
        self.at = now
        if self.level + amount > self.burst:
            return False
        self.level += amount
        return True


@dataclass
class Flow:
    """What one visit may send: messages and bytes, over all of its sockets."""

    messages: Bucket
    octets: Bucket

    @classmethod
    def of_a_visit(cls, now: float) -> Flow:
        """Enough for dragging a slider or drawing in a plot (about 60 messages a second), not for a flood."""
        return cls(Bucket(150, 600, at=now), Bucket(4 * MIB, 2 * MESSAGE, at=now))

    def take(self, size: int, now: float) -> bool:
        """Whether a message of ``size`` bytes may pass at ``now``."""
        return self.messages.take(1, now) and self.octets.take(size, now)
