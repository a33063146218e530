"""As which dashboard a notebook was published last: a small file in the home, beside Madang's other records.

It is kept there and not in the notebook: a notebook that is open would have changed on the disk, and a copy
that is given away would carry the address of a dashboard along.
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path

FILE = ".madang/published.json"
MOST = 500
"""Notebooks that are remembered; the one that was published longest ago is forgotten first."""


def last(home: Path, notebook: Path) -> str:
    """The slug of the dashboard that ``notebook`` became last; "" if it is not known."""
    return _read(home).get(_name(home, notebook), "")


def remember(home: Path, notebook: Path, slug: str) -> None:
    """``notebook`` is this dashboard from now on. A home that cannot be written is no reason to fail."""
    known = _read(home)
    name = _name(home, notebook)
    known.pop(name, None)
    known[name] = slug
    kept = dict(list(known.items())[-MOST:])
    file = home / FILE
    with suppress(OSError):
        file.parent.mkdir(exist_ok=True)
        handle, beside = tempfile.mkstemp(prefix=".published-", dir=file.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as target:
                json.dump(kept, target, ensure_ascii=False, indent=1)
            Path(beside).replace(file)
        except OSError:
            Path(beside).unlink(missing_ok=True)


def _name(home: Path, notebook: Path) -> str:
    full = notebook.parent.resolve() / notebook.name
    root = home.resolve()
    return full.relative_to(root).as_posix() if full.is_relative_to(root) else full.as_posix()


def _read(home: Path) -> dict[str, str]:
    try:
        found = json.loads((home / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    rows = found.items() if isinstance(found, dict) else ()
    return {name: slug for name, slug in rows if isinstance(slug, str)}
