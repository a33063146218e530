"""Names that a warm container has in common for the Hub, the gateway and the mounter (no I/O)."""

from __future__ import annotations

import re
import secrets

WARM_LABEL = "madang.warm"
"""Label of a container that was made ahead: its slot. It stays when the container is claimed."""
LINE_PLACE = "/run/madang"
"""Where the slot's folder is in a container that waits."""
LINE = "line"
"""The socket in a slot's folder; the Hub listens, the waiting server connects."""
PROGRAM = "madang-wait"
SLOT = re.compile(r"[0-9a-f]{16}", re.ASCII)


def slot_name() -> str:
    """A new slot."""
    return secrets.token_hex(8)


def prefix(instance: str) -> str:
    """How the names of this installation's waiting containers begin."""
    return f"{instance}-warm-"


def container_name(instance: str, slot: str) -> str:
    """The container of this slot, while it waits."""
    return f"{prefix(instance)}{slot}"
