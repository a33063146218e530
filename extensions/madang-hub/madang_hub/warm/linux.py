"""What servers that wait in containers need of the operating system."""

from __future__ import annotations

import re

OLDEST = (5, 12)
"""The first Linux that lets a mount be made for another mount namespace (mount_setattr(2), open_tree(2))."""


def can_wait(release: str) -> bool:
    """Whether a home can be mounted in a container that waits, on Linux ``release`` (``uname -r``)."""
    found = re.match(r"(\d+)\.(\d+)", release)
    return found is not None and (int(found[1]), int(found[2])) >= OLDEST
