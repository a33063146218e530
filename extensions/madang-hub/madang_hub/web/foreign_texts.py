"""Sentences that reach our pages from code that knows nothing of translations.

That is JupyterHub itself, and our own rules (``people/passwords.py``), which import no pages. Plain
sentences are msgids as they are; JupyterHub's with names in them are recognised by a pattern, whose
named groups fill the places of the msgid. A contract test compares with the installed JupyterHub and
with the rules, so that neither brings new English unnoticed.
"""

from __future__ import annotations

import re


def _m(message: str) -> str:
    """Mark ``message`` for the catalogues (the catalogues' reader imports this module)."""
    return message


SENTENCES = (
    _m("Invalid username or password"),
    _m("Login form invalid or expired. Try again."),
    _m("Active user limit exceeded. Try again in a few minutes."),
    _m("No access to resources or resources not found"),
    _m("Named servers are not enabled."),
    _m("Share not found or expired"),
    _m("You can't share with yourself!"),
    _m("Failed to reach your server. Please try again later. Contact admin if the issue persists."),
    _m(
        "Failed to start your server on the last attempt. "
        "Please contact admin if the issue persists."
    ),
    _m("Cannot stop a server while it is being renamed"),
    _m("Action is not authorized with current scopes; requires any of [admin-ui]"),
    _m("Server requested"),
    _m("Spawning server..."),
    _m("Spawn failed"),
    _m("Spawn cancelled"),
    _m("only you"),
)
"""JupyterHub's sentences without places."""

RULES = (
    _m("The new password is too short: use at least 10 characters, for example three words."),
    _m("The new password is too long: use at most 200 characters."),
    _m("The new password must not contain your user name."),
)
"""What ``people/passwords.py`` says."""

PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), message)
    for pattern, message in (
        (
            r"Too many users trying to log in right now\. Try again in (?P<time>.{1,60})\.",
            _m("Too many people are starting servers right now. Try again in {time}."),
        ),
        (r"No such user:? (?P<name>.{1,300})", _m("There is no user {name}.")),
        (
            r"(?P<name>.{1,300}) is already running",
            _m("The server {name} is already running."),
        ),
        (
            r"(?P<name>.{1,300}) is pending (?:spawn|start|check|\w+)",
            _m("The server {name} is just being started or stopped. Wait a moment."),
        ),
        (
            r"(?P<name>.{1,300}) has no such server (?P<server>.{1,300})",
            _m("{name} has no server named {server}."),
        ),
        (
            r"User (?P<name>.{1,300}) already has the maximum of (?P<limit>\d+) named servers\. "
            r"One must be deleted before a new server can be created",
            _m("You already have {limit} named servers, the most allowed. Delete one first."),
        ),
        (
            r"(?:Invalid|Starting invalid) (?:server_name|display_name)\b.*",
            _m("This server name can't be used. Use lower-case letters, digits and hyphens."),
        ),
        (r"Invalid share code: .*", _m("This invitation is not valid.")),
        (
            r"(?:'_xsrf' argument (?:missing|invalid).*|XSRF cookie does not match .*)",
            _m("This page was open for too long. Load it again and repeat what you did."),
        ),
        (
            r"Spawner failed to start \[status=(?P<status>.{1,60})\]\. The logs for .{1,300} may "
            r"contain details\.",
            _m("The server stopped while it was starting (status {status})."),
        ),
        (
            r"Unhandled error starting server .{1,300}",
            _m("The server could not be started because of an unexpected error."),
        ),
        (
            r"auth has expired for .{1,300}, login again",
            _m("Your sign-in has expired. Sign in again."),
        ),
        (r"Timeout", _m("The server took too long to start.")),
        (
            r"You do not have permission to access Server at (?P<name>\S{1,300})",
            _m("The server at {name} belongs to somebody else."),
        ),
        (
            r"You do not have permission to access (?P<name>.{1,300})",
            _m("You may not open {name}."),
        ),
        # what asks for consent
        (r"Server at (?P<name>\S{1,300})", _m("the server at {name}")),
        # what a permission is limited to
        (r"users in group (?P<name>.{1,300})", _m("people in the group {name}")),
        (r"user (?P<name>\S{1,300})", _m("the person {name}")),
        (r"server (?P<name>\S{1,300})", _m("the server {name}")),
        (r"service (?P<name>\S{1,300})", _m("the service {name}")),
    )
)
"""What is recognised, and the msgid that is shown instead."""

SCOPES = (
    # Madang's own (`permissions.CUSTOM_SCOPES`), shown on JupyterHub's page
    _m("Read everybody's experiments on the tracking server."),
    _m("See every accelerator and who has it, and take it out of lending."),
    _m("Ask which accelerators a server is to get."),
    _m("Publish dashboards, and change or take back the own ones."),
    _m("See every published dashboard, and take it off."),
    _m("Identify the owner of the requesting entity."),
    _m("Your own resources"),
    _m("Anything you have access to"),
    _m("Access the admin page."),
    _m(
        "Read, modify, create, and delete users and their authentication state, not including"
        " their servers or tokens. This is an extremely privileged scope and should be "
        "considered tantamount to superuser."
    ),
    _m("Read a user’s authentication state."),
    _m(
        "Read and write permissions to user models (excluding servers, tokens and "
        "authentication state)."
    ),
    _m("Delete users."),
    _m("List users, including at least their names."),
    _m("Read user models (including the URL of the default server if it is running)."),
    _m("Read names of users."),
    _m("Read users’ group membership."),
    _m("Read time of last user activity."),
    _m("Read role assignments."),
    _m("Read user role assignments."),
    _m("Read service role assignments."),
    _m("Read group role assignments."),
    _m("Update time of last user activity."),
    _m("Read, start, stop, create and delete user servers and their state."),
    _m("Read and write users’ server state."),
    _m("Start and stop user servers."),
    _m("Read users’ names and their server models (excluding the server state)."),
    _m("Start and edit users' servers. (added in JupyterHub 6)"),
    _m("Stop and delete users' servers."),
    _m("Read, write, create and delete user tokens."),
    _m("Read user tokens."),
    _m("Read and write group information, create and delete groups."),
    _m(
        "Read and write group information, including adding/removing any users to/from "
        "groups. Note: adding users to groups may affect permissions."
    ),
    _m("List groups, including at least their names."),
    _m("Read group models."),
    _m("Read group names."),
    _m("Delete groups."),
    _m("Create, read, update, delete services, not including services defined from config files."),
    _m("List services, including at least their names."),
    _m("Read service models."),
    _m("Read service names."),
    _m("Read detailed information about the Hub."),
    _m("Access user servers via API or browser."),
    _m("Access services via API or browser."),
    _m("Read and revoke a user's access to shared servers."),
    _m("Read servers shared with a user."),
    _m("Read and revoke a group's access to shared servers."),
    _m("Read servers shared with a group."),
    _m("Read information about shared access to servers."),
    _m("Manage access to shared servers."),
    _m(
        "Read information about the proxy’s routing table, sync the Hub with the proxy and "
        "notify the Hub about a new proxy."
    ),
    _m("Shutdown the hub."),
    _m("Read prometheus metrics."),
)
"""What each permission allows, as the pages for consent and tokens show it."""
