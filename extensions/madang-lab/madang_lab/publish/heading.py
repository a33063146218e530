"""What a notebook calls itself: the title that is suggested for its dashboard."""

from __future__ import annotations

import json
import re
from pathlib import Path

from madang_lab.publish.reading import cells
from madang_lab.publish.wish import TITLE

_HEADING = re.compile(r"^#\s+(.+?)\s*#*\s*$", re.MULTILINE)
_MARKS = re.compile(r"[*_`]+|!?\[([^\]]*)\]\([^)]*\)")


def heading(notebook: Path) -> str:
    """The first heading of the first degree, without Markdown's marks; else the file's name. Blocks."""
    try:
        found = cells(json.loads(notebook.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError):
        found = []
    for cell in found:
        match = _HEADING.search(cell.source) if cell.kind == "markdown" else None
        if match:
            title = " ".join(_MARKS.sub(lambda m: m[1] or "", match[1]).split())
            if title:
                return title[:TITLE]
    return notebook.stem[:TITLE]
