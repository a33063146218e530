"""Whether the guard, which keeps users' servers apart, gives signs of life."""

from __future__ import annotations

import json
from pathlib import Path

MAX_AGE = 60.0
"""Seconds after which a silent guard counts as gone."""


def silence(heartbeat: Path, now: float) -> str:
    """Why the guard counts as gone at the time ``now`` (in seconds, as it writes it); empty: it is there."""
    try:
        beat = json.loads(heartbeat.read_text(encoding="utf-8"))
        age = now - float(beat["time"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        return str(error)
    return f"last sign of life {age:.0f} s ago" if age > MAX_AGE else ""
