"""Who may do what at the Hub: every scope that Madang hands out, each with its reason.

Rules only. ``docs/reference/permissions.md`` is made from these tables, and a test holds them against the
roles of a running Hub.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from madang_hub.accelerators.broker import scopes as broker
from madang_hub.dashboards.web import scopes as dashboards
from madang_hub.people.accounts import DASHBOARD_ACCOUNT
from madang_hub.people.roles import Rights, role_name
from madang_hub.places import (
    ACCELERATOR_SERVICE,
    DASHBOARD_SERVICE,
    IDLE_SERVICE,
    PEOPLE_SERVICE,
    SPAWNER_SERVICE,
    TRACKING_SERVICE,
)

# ---- people ---------------------------------------------------------------------------------

USER_SCOPES: dict[str, str] = {
    "self": "a person works with the own account: start and stop the own server, own tokens",
    f"access:services!service={TRACKING_SERVICE}": "open the tracking server in the browser",
    f"access:services!service={PEOPLE_SERVICE}": "open the own page: who looks in, announcements, "
    "what the audit log says about oneself, what is in an environment; mentors and admins their pages",
    broker.ACCESS: "see which accelerators are free, come into line for one, give it back",
    dashboards.ACCESS: "see the dashboards that are meant for the person, and use them",
}
"""Scopes of every signed-in person; trainees and members have no others."""

MENTOR_SCOPES: dict[str, str] = {
    "list:users": "list the class by name",
    "read:groups": "tell which of the own classes somebody is in",
    "read:users:activity": "see who is online",
    "read:servers": "see who is running what",
    "start:servers": "start somebody's server (what that person may start, nothing else)",
    "delete:servers": "stop somebody's server",
}
"""Scopes of the mentors of a team, each with ``!group=<team>``: nobody else is reached.

There is no ``access:servers``: entering needs a share, which the people service gives for a stated time and
announces. No tokens, no groups, no rights over fellow mentors (they are in another group).
"""

ADMIN_SCOPES: dict[str, str] = {
    "admin-ui": "open the Hub's admin page",
    "admin:users": "look after every account, as the operator of the machine could",
    "admin:servers": "look after every server",
    "admin:services": "see the services and their state",
    "tokens": "end somebody's tokens",
    "admin:groups": "see the groups (who is in them is decided by the directory, and set again from it)",
    "list:services": "see the services",
    "read:services": "see the services",
    "read:hub": "see versions and settings of the Hub",
    "proxy": "compare the proxy's routes",
    "shutdown": "stop the Hub",
    "access:services": "open every service",
    "access:servers": "enter a server to help",
    "read:roles": "see who has which role",
    "read:metrics": "read the Hub's measurements",
    "shares": "see and end shares",
}
"""JupyterHub's own ``admin`` role, in its order. JupyterHub lets nobody change it; a test says when it does."""

TRACKING_ADMIN = "custom:mlflow:admin"
"""A scope of Madang's own. The tracking server's gate knows it (``madang_mlflow.identity.READS_ALL``)."""

TRACKING_ADMIN_ROLE = "tracking-admin"

CUSTOM_SCOPES: dict[str, dict[str, str]] = {
    # JupyterHub shows the description when a program asks for it (Korean: `web/foreign_texts.py`)
    TRACKING_ADMIN: {"description": "Read everybody's experiments on the tracking server."},
    **broker.CUSTOM_SCOPES,
    **dashboards.CUSTOM_SCOPES,
}
"""The value of JupyterHub's ``custom_scopes``."""

TRACKING_ADMIN_SCOPES: dict[str, str] = {
    TRACKING_ADMIN: "read everybody's workspace on the tracking server, in the browser; a token that a program "
    "shows there opens no more than its owner's own",
}
"""Scopes of the role ``tracking-admin``, which every admin has: JupyterHub's own role lets nobody change it."""

ACCELERATOR_ADMIN_ROLE = "accelerator-admin"

ACCELERATOR_ADMIN_SCOPES: dict[str, str] = {
    broker.ADMIN: "see every accelerator and who has it, take one out of lending, give a team more hours",
}
"""Scopes of the role ``accelerator-admin``, which every admin has as well."""

DASHBOARD_ADMIN_ROLE = "dashboard-admin"

DASHBOARD_ADMIN_SCOPES: dict[str, str] = {
    dashboards.ADMIN: "see every published dashboard in the browser, take one off, hand it to somebody "
    "else; not publish in another's name",
}
"""Scopes of the role ``dashboard-admin``, which every admin has as well."""

DASHBOARD_AUTHOR_ROLE = "dashboard-author"

DASHBOARD_AUTHOR_SCOPES: dict[str, str] = {
    dashboards.PUBLISH: "publish a notebook as a dashboard, and look after the own ones",
}
"""Scopes of the role ``dashboard-author``, which mentors and admins have."""

DASHBOARD_ACCOUNT_ROLE = "dashboard-apps"
"""Role without a scope, of the account that apps belong to alone: JupyterHub makes the account for it."""

# ---- programs -------------------------------------------------------------------------------

SERVER_TOKEN_SCOPES: dict[str, str] = {
    "users:activity!user": "the server reports when it was last used",
    "access:servers!server": "the server recognises visitors that may enter it",
    f"access:services!service={TRACKING_SERVICE}": "notebooks log to the tracking server",
    f"access:services!service={PEOPLE_SERVICE}": "JupyterLab shows announcements, who looks in and the "
    "time left, and asks for more time",
    broker.ACCESS: "JupyterLab shows the accelerator, when its time ends and whose turn it is, extends it and "
    "gives it back",
    dashboards.ACCESS: "JupyterLab shows the own dashboards",
    dashboards.PUBLISH: "JupyterLab publishes; only in servers of people who may publish",
}
"""Scopes of the token inside a user server."""

OPERATOR_SCOPES: dict[str, str] = {
    "list:users": "'madang down' finds running servers, 'madang user list' shows people",
    "servers": "'madang down' stops servers in embedded mode",
    "delete:users": "'madang user remove' ends the person's sessions, tokens and server as well",
}
"""Scopes of the `madang` command's own service token."""

PEOPLE_SCOPES: dict[str, str] = {
    "list:users": "name the people of a class and of the admin's page",
    "read:users:activity": "say who is online and who has never signed in",
    "read:servers": "say who is running what; only a running server can be looked in at",
    "start:servers": "start a class for its mentor",
    "delete:servers": "stop a class for its mentor, and what ran on after its time",
    "list:groups": "find people who are still in the Hub group of a class that they have left",
    "groups": "take them out of it: the Hub itself does so only when they come by the next time",
    "shares": "let a mentor enter a trainee's server for a stated time, and end it (JupyterHub ties "
    "'access:servers' to this: who gives a share must hold what it gives)",
}
"""Scopes of the people service; whom it does these things for is decided by the directory."""

PEOPLE_ON_BEHALF: dict[str, str] = {
    f"access:services!service={TRACKING_SERVICE}": "show a class's runs to its mentor: the tracking server is "
    "asked with the mentor's own token and decides by the mentor's own rights",
}
"""What the people service may do in the name of who visits it in a browser, with the token of that sign-in."""

IDLE_SCOPES: dict[str, str] = {
    "list:users": "find the running servers",
    "read:servers": "see since when each runs and when it was last used",
    "delete:servers": "stop a server whose warning has stood long enough",
}
"""Scopes of the idle culler. Neither who people are nor their activity elsewhere is asked for."""

TRACKING_SCOPES: dict[str, str] = {
    "read:groups": "tell who is in a class, so that its mentors may read those people's runs",
}
"""Scopes of the tracking server's gate. Who somebody is, it learns from that person's own token."""

SPAWNER_SCOPES: dict[str, str] = {
    broker.ACCESS: "reach the broker of accelerators",
    broker.DEVICES: "ask which accelerators the server that is being started is to get, and with which "
    "one may wait; no person has this",
}
"""Scopes of what starts servers, when it asks the broker."""

SERVICE_SCOPES: dict[str, Mapping[str, str]] = {
    "operator": OPERATOR_SCOPES,
    PEOPLE_SERVICE: PEOPLE_SCOPES,
    IDLE_SERVICE: IDLE_SCOPES,
    TRACKING_SERVICE: TRACKING_SCOPES,
    ACCELERATOR_SERVICE: broker.BROKER_SCOPES,
    DASHBOARD_SERVICE: dashboards.SERVICE_SCOPES,
    SPAWNER_SERVICE: SPAWNER_SCOPES,
}
"""Every service with a token of its own that may do something: its name and its scopes."""

TRACKING_ON_BEHALF: dict[str, str] = {
    TRACKING_ADMIN: "tell an admin who signs in with a browser; nobody else has it to bring along",
}
"""What a sign-in at the tracking server brings along, for those who have it."""

ACCELERATORS_ON_BEHALF: dict[str, str] = {
    broker.ADMIN: "tell an admin who signs in with a browser; nobody else has it to bring along",
}
"""What a sign-in at the broker of accelerators brings along, for those who have it."""

DASHBOARDS_ON_BEHALF: dict[str, str] = {
    dashboards.PUBLISH: "tell an author who signs in with a browser",
    dashboards.ADMIN: "tell an admin who signs in with a browser; nobody else has it to bring along",
}
"""What a sign-in at the dashboards service brings along, for those who have it."""

ON_BEHALF_SCOPES: dict[str, Mapping[str, str]] = {
    PEOPLE_SERVICE: PEOPLE_ON_BEHALF,
    TRACKING_SERVICE: TRACKING_ON_BEHALF,
    ACCELERATOR_SERVICE: ACCELERATORS_ON_BEHALF,
    DASHBOARD_SERVICE: DASHBOARDS_ON_BEHALF,
}
"""Every service that acts for its visitors; the others only learn who comes."""

HUB_ROLES: dict[str, str] = {
    "server": "JupyterHub makes it for servers' tokens; ours get the scopes above instead",
    "token": "JupyterHub makes it: a token that a person made can do what the person can",
    DASHBOARD_ACCOUNT_ROLE: "of the account that running dashboards belong to, without a right: the Hub makes "
    "the account for it",
}
"""Roles that JupyterHub has and that no person is given here."""


def roles() -> list[dict[str, Any]]:
    """The value of JupyterHub's ``load_roles``: definitions, and roles of services, not of people."""
    return [
        {"name": "user", "scopes": list(USER_SCOPES)},
        *(
            {"name": service, "scopes": list(scopes), "services": [service]}
            for service, scopes in SERVICE_SCOPES.items()
        ),
    ]


def account_role() -> dict[str, Any]:
    """The role :data:`DASHBOARD_ACCOUNT_ROLE`, with who has it."""
    return {"name": DASHBOARD_ACCOUNT_ROLE, "scopes": [], "users": [DASHBOARD_ACCOUNT]}


def mentor_role(team: str) -> dict[str, Any]:
    """The role of the mentors of ``team``."""
    return {
        "name": role_name(team),
        "description": f"Mentors of {team}",
        "scopes": [f"{scope}!group={team}" for scope in MENTOR_SCOPES],
    }


def roles_of(rights: Rights) -> list[dict[str, Any]]:
    """All roles of a person with ``rights``: JupyterHub takes away every one that is not listed."""
    found = [{"name": "user", "scopes": list(USER_SCOPES)}]
    if rights.admin:
        found.append({"name": "admin", "scopes": list(ADMIN_SCOPES)})
        found.append({"name": TRACKING_ADMIN_ROLE, "scopes": list(TRACKING_ADMIN_SCOPES)})
        found.append({"name": ACCELERATOR_ADMIN_ROLE, "scopes": list(ACCELERATOR_ADMIN_SCOPES)})
        found.append({"name": DASHBOARD_ADMIN_ROLE, "scopes": list(DASHBOARD_ADMIN_SCOPES)})
    if dashboards.publishes(rights.admin, rights.mentor_of):
        found.append({"name": DASHBOARD_AUTHOR_ROLE, "scopes": list(DASHBOARD_AUTHOR_SCOPES)})
    return found + [mentor_role(team) for team in rights.mentor_of]
