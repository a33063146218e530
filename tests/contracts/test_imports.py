"""What the command loads: an operator waits for it, and so does every part that calls it."""

from __future__ import annotations

import json
import subprocess
import sys

HEAVY = ("jupyterhub", "aiohttp", "alembic", "prometheus_client")
LOADED = "import json, sys, madang_hub.cli; print(json.dumps([*sys.modules]))"


def test_the_command_loads_no_server() -> None:
    """They take longer than most commands do; what needs them imports them where it needs them."""
    said = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, check=True
    )
    loaded = {name.partition(".")[0] for name in json.loads(said.stdout)}
    assert loaded.isdisjoint(HEAVY), sorted(loaded & {*HEAVY})
