"""How large each image was when that was last noted, for the reference page.

``images/sizes.json`` is kept with the source, because a page cannot ask an engine. Whole megabytes
(millions of bytes), so that a rebuild of the same content changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from madang_hub.shelf.contents import read
from madang_hub.shelf.publish import MANIFEST

FILE = "images/sizes.json"


def noted(root: Path) -> dict[str, dict[str, int]]:
    """Per image: ``megabytes`` of the whole, ``python`` and ``debian`` packages in it."""
    path = root / FILE
    if not path.is_file():
        return {}
    found: dict[str, dict[str, int]] = json.loads(path.read_text(encoding="utf-8"))
    return found


def note(root: Path, published: Path, release: str, names: Iterable[str]) -> Path:
    """Write down the sizes of the images that are described below ``published``; others stay as noted."""
    found = noted(root)
    wanted = list(names)
    for name in wanted:
        manifest = published / name / release / MANIFEST
        if manifest.is_file():
            contents = read(manifest.read_text(encoding="utf-8"))
            found[name] = {
                "megabytes": round(contents.bytes / 10**6),
                "python": len(contents.of("python")),
                "debian": len(contents.of("debian")),
            }
    path = root / FILE
    ordered = {name: found[name] for name in wanted if name in found}
    path.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")
    return path
