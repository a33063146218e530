"""What the spawner's part needs in a JupyterHub configuration."""

from __future__ import annotations

from typing import Any

from madang_hub.places import Places, read_secret


def spawner_part(c: Any, places: Places) -> None:
    """Let the spawner start apps (``c``: traitlets' config object)."""
    c.JupyterHub.allow_named_servers = True
    # shows nobody a form for them; that nobody but the service starts one is AppServer.choose's to say
    c.JupyterHub.named_server_limit_per_user = -1
    c.AppServer.snapshots = str(places.snapshots)
    c.AppServer.apps_secret = read_secret(places.secrets, "dashboards_apps")
