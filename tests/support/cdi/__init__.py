"""CDI specifications in the shape that makers' tools write them (2 to 4 devices each)."""

from __future__ import annotations

from pathlib import Path

FILES = {
    file.name: file.read_text(encoding="utf-8")
    for file in sorted(Path(__file__).parent.glob("*.*"))
    if file.suffix in (".json", ".yaml")
}
