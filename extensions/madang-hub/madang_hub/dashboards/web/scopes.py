"""What the dashboards service may do at the Hub, and what others must hold to ask it; each with its reason.
Rules only."""

from __future__ import annotations

from collections.abc import Collection

from madang_hub.people.accounts import DASHBOARD_ACCOUNT
from madang_hub.places import DASHBOARD_SERVICE

ACCESS = f"access:services!service={DASHBOARD_SERVICE}"
"""Without it the Hub lets nobody ask the service at all."""

PUBLISH = "custom:dashboards:publish"
"""Publish and speak for the own dashboards. A user server's token has it where its person has: JupyterLab
publishes."""
ADMIN = "custom:dashboards:admin"
"""See what is published, take it off. A token in a user server never has it."""

CUSTOM_SCOPES: dict[str, dict[str, str]] = {
    PUBLISH: {"description": "Publish dashboards, and change or take back the own ones."},
    ADMIN: {"description": "See every published dashboard, and take it off."},
}
"""For JupyterHub's ``custom_scopes``."""

_OWN = f"!user={DASHBOARD_ACCOUNT}"

SERVICE_SCOPES: dict[str, str] = {
    f"servers{_OWN}": "start and stop apps, which are servers of this account and of nobody else",
    f"admin:server_state{_OWN}": "find the apps that ran before the service was restarted",
    f"read:users{_OWN}": "see which of the account's servers are there",
    f"users:activity{_OWN}": "report when an app was last used",
}
"""Scopes of the service's own token. No tokens, no shares, nobody's account but its own: who people are and in
which teams stands in the directory."""


def publishes(admin: bool, mentor_of: Collection[str]) -> bool:
    """Who has :data:`PUBLISH`: mentors and admins."""
    return admin or bool(mentor_of)
