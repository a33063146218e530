"""What the spawner's part needs in a JupyterHub configuration."""

from __future__ import annotations

from typing import Any

from tornado.web import HTTPError

from madang_hub.dashboards.gateway.spawning import NOT_BY_HAND
from madang_hub.places import DASHBOARD_ACCOUNT, Places, read_secret
from madang_hub.web.i18n import gettext_for, language_of_handler


def named_servers(handler: Any) -> int:
    """JupyterHub's ``named_server_limit_per_user``: no limit for the service account; nobody else gets one.

    The Hub asks this before it makes anything of a server with a name: no row, no spawner.

    Args:
        handler: of the Hub's; where it is about a server, its address names the account and the server.

    Raises:
        HTTPError: (403) a server with a name is wished for another account.
    """
    address = handler.path_args
    if len(address) > 1 and address[0] != DASHBOARD_ACCOUNT:
        raise HTTPError(403, gettext_for(language_of_handler(handler))(NOT_BY_HAND))
    # below zero the Hub's pages show nobody a form for them
    return -1


def spawner_part(c: Any, places: Places) -> None:
    """Let the spawner start apps (``c``: traitlets' config object)."""
    c.JupyterHub.allow_named_servers = True
    c.JupyterHub.named_server_limit_per_user = named_servers
    c.AppServer.snapshots = str(places.snapshots)
    c.AppServer.apps_secret = read_secret(places.secrets, "dashboards_apps")
