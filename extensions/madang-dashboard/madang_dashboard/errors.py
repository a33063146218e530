"""What went wrong in the notebook, kept for its author. A visitor reads none of it."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any, Literal

KEPT = 50
"""Errors that are kept, the newest."""
LONGEST = 8192
"""Characters of one text that are kept, the last ones: a traceback ends with the error."""

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")

Where = Literal["cell", "callback", "output", "kernel", "page"]
"""``cell``: while the page was made; ``callback``: when a visitor did something; ``output``: written to the
error stream or left out because of its size; ``kernel``: it died; ``page``: the page, or a picture in it, could
not be made."""


@dataclass(frozen=True)
class Trouble:
    """One error."""

    at: float
    """Seconds since 1970."""
    where: Where
    text: str
    visit: str | None = None
    cell: int | None = None
    """The cell's place in the notebook, from 0."""
    source: str | None = None
    """The cell's lines."""


class Troubles:
    """The newest errors."""

    def __init__(self) -> None:
        self._kept: deque[Trouble] = deque(maxlen=KEPT)

    def add(
        self,
        at: float,
        where: Where,
        text: str,
        visit: str | None = None,
        cell: int | None = None,
        source: str | None = None,
    ) -> None:
        """Keep one; colours of terminals are taken out."""
        text = _COLOURS.sub("", text)[-LONGEST:]
        short = None if source is None else source[:LONGEST]
        self._kept.append(Trouble(at, where, text, visit, cell, short))

    def as_json(self) -> list[dict[str, Any]]:
        """All that are kept, oldest first."""
        return [asdict(trouble) for trouble in self._kept]
