"""What the broker may do at the Hub, and what others must hold to ask it; each with its reason. Rules only."""

from __future__ import annotations

from madang_hub.places import ACCELERATOR_SERVICE

ACCESS = f"access:services!service={ACCELERATOR_SERVICE}"
"""Without it the Hub lets nobody ask the broker at all."""

ADMIN = "custom:accelerators:admin"
DEVICES = "custom:accelerators:devices"
"""Scopes of the broker's own. A token in a user server has neither, so no notebook of an admin has them."""

METRICS = "read:metrics"
"""JupyterHub's own, for its measurements; whoever may read those may read the broker's."""

CUSTOM_SCOPES: dict[str, dict[str, str]] = {
    ADMIN: {"description": "See every accelerator and who has it, and take it out of lending."},
    DEVICES: {"description": "Ask which accelerators a server is to get."},
}
"""For JupyterHub's ``custom_scopes``."""

BROKER_SCOPES: dict[str, str] = {
    "read:users:name": "ask for one person",
    "read:servers": "see whether that person's server is there: as long as it is, its accelerator is held",
    "start:servers": "start the server of somebody whose turn it is, if that person asked so",
    "delete:servers": "stop the server of a lease that is over",
}
"""Scopes of the broker's own token."""
