"""What a user server is told about the tracking server, and the names of workspaces there.

The workspace's name is decided by the gate before MLflow (``madang_mlflow/workspaces.py``); that package
lives in another environment, so these few lines are repeated here. A unit test holds the two together.
"""

from __future__ import annotations

import hashlib
import re

_PLAIN = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?", re.ASCII)

PATIENCE = {
    # Tries after the first, the most that MLflow's client takes: with its own pauses (none, 4, 8, 16,
    # 32, 64 s, then 120 s) ten minutes, as long as the gate believes the Hub's last word. Its default of
    # 7 ends after four.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "10",
    # The gate's Retry-After is short, for who is refused because the Hub is away; ten of it would be over
    # in less than two minutes.
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
}
"""Makes MLflow's client wait for a tracking server or a Hub that is away, so that no metric is lost."""


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
