"""Which revision of the source an image is made from."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from madang_hub.catalog import Catalog
from madang_hub.shelf.contents import CHANGED
from madang_hub.shelf.plan import inputs_of

UNKNOWN = "unknown"
"""The revision of a folder that is no checkout."""


def revision_of(root: Path, catalog: Catalog, name: str) -> str:
    """The commit that is checked out; with ``+changes`` if anything that the build of ``name`` reads differs.

    What its ancestors read counts as well.
    """
    head = _git(root, "rev-parse", "HEAD")
    if not head:
        return UNKNOWN
    read = {path for image in catalog.lineage(name) for path in inputs_of(catalog, image)}
    differing = _git(root, "status", "--porcelain", "--", *sorted(read))
    return head + CHANGED if differing else head


def _git(root: Path, *words: str) -> str:
    """What git says, "" if it is not there or refuses."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *words],
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
