"""The lessons that came with the image: the folder that ``MADANG_LESSONS`` names. Without it all else works."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

UNKNOWN = "0"


def manifest() -> dict[str, Any]:
    """``manifest.json``; empty where there are no lessons."""
    try:
        found = json.loads((_folder() / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def version() -> str:
    """The version of the lessons; ``0`` where there are none."""
    return str(manifest().get("version", UNKNOWN))


def solution(lesson: str, exercise: int, language: str) -> list[str]:
    """The cells that solve an exercise, in order; empty where no solutions are at hand."""
    for entry in manifest().get("lessons", []):
        if entry.get("id") == lesson:
            path = _folder() / "solutions" / language / entry["file"][language]
            try:
                cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
            except (OSError, ValueError, KeyError):
                return []
            return [
                "".join(cell["source"])
                for cell in cells
                if cell["metadata"].get("madang", {}).get("exercise") == exercise
            ]
    return []


def _folder() -> Path:
    return Path(os.environ.get("MADANG_LESSONS") or "/nonexistent")
