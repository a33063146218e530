"""Texts of people and programs as they can be kept and shown. Rules only."""

from __future__ import annotations

import unicodedata

from madang_hub.dashboards.bounds import TURNING


def plain(text: str, kept: str = "\n") -> str:
    """``text`` without characters that do not show or that no database takes, but for those in ``kept``."""
    return "".join(
        c
        for c in text
        if c in kept or (unicodedata.category(c) not in ("Cc", "Cs") and c not in TURNING)
    )
