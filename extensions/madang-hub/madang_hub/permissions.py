"""Who may do what at the Hub: every scope that Madang hands out, each with its reason.

Rules only. ``docs/reference/permissions.md`` is made from these tables (a test holds them together).
"""

from __future__ import annotations

from typing import Any

from madang_hub.places import TRACKING_SERVICE

SERVER_TOKEN_SCOPES: dict[str, str] = {
    "users:activity!user": "the server reports when it was last used",
    "access:servers!server": "the server recognises visitors that may enter it",
    f"access:services!service={TRACKING_SERVICE}": "notebooks log to the tracking server",
}
"""Scopes of the token inside a user server."""

USER_SCOPES: dict[str, str] = {
    "self": "a person works with the own account: start and stop the own server, own tokens",
    f"access:services!service={TRACKING_SERVICE}": "open the tracking server in the browser",
}
"""Scopes of every signed-in person."""

OPERATOR_SCOPES: dict[str, str] = {
    "list:users": "'madang down' finds running servers, 'madang user list' shows people",
    "servers": "'madang down' stops servers in embedded mode",
    "delete:users": "'madang user remove' ends the person's sessions, tokens and server as well",
}
"""Scopes of the `madang` command's own service token."""


def roles() -> list[dict[str, Any]]:
    """The value of JupyterHub's ``load_roles``."""
    return [
        {"name": "user", "scopes": list(USER_SCOPES)},
        {"name": "operator", "scopes": list(OPERATOR_SCOPES), "services": ["operator"]},
    ]
