"""The last lines of the runner's log, kept for the author: nobody else reads the container's output."""

from __future__ import annotations

import logging
import re
from collections import deque

KEPT = 200
"""Lines that are kept, the newest."""
LONGEST = 500
"""Characters of one line."""
_VISIT = re.compile(r"(?<=/visit/)[A-Za-z0-9_-]+")


class Lines(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        self.kept: deque[str] = deque(maxlen=KEPT)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep its lines."""
        try:
            text = self.format(record)
        except Exception:
            self.handleError(record)
            return
        # a visit's name is the way to it
        self.kept.extend(_VISIT.sub("…", line)[:LONGEST] for line in text.splitlines())
