"""Sentences in the person's language: Korean, or English where ``MADANG_LANG`` says ``en``."""

from __future__ import annotations

import os
from typing import NamedTuple


class Text(NamedTuple):
    """One sentence in both languages."""

    ko: str
    en: str

    def __str__(self) -> str:
        return self.en if language() == "en" else self.ko


def language() -> str:
    """``ko`` or ``en``: the language of the person's server."""
    return "en" if os.environ.get("MADANG_LANG") == "en" else "ko"


def say(ko: str, en: str) -> str:
    """The one of both that is in the person's language; for labels of figures, as code is the same in both."""
    return str(Text(ko, en))


def short(value: object, most: int = 60) -> str:
    """``value`` as a learner would write it, on one line of at most ``most`` characters."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # a learner's own __repr__
        text = type(value).__name__
    return text if len(text) <= most else text[: most - 1] + "…"
