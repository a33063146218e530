"""The names of workspaces on the tracking server.

The gate before MLflow decides it (``madang_mlflow/workspaces.py``); that package lives in another
environment, so these few lines are repeated here. A unit test holds the two together.
"""

from __future__ import annotations

import hashlib
import re

_PLAIN = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?", re.ASCII)


def workspace_of(name: str) -> str:
    """The workspace of the person of this name."""
    return f"u-{_slug(name)}"


def workspace_of_team(team: str) -> str:
    """The workspace of the team of this name (``team:…``); "" for a class, which shares none."""
    name = team.removeprefix("team:")
    return f"g-{_slug(name)}" if name != team and name else ""


def _slug(name: str) -> str:
    if len(name) <= 61 and "--" not in name and _PLAIN.fullmatch(name):
        return name
    stem = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:30].strip("-") or "x"
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:20]
    return f"{stem}--{digest}"
