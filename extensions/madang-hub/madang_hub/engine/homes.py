"""Whether the folder that a container is to mount is really one: a home, a waiting one's slot, a snapshot."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from madang_hub.engine.checks import Refused
from madang_hub.engine.rules import Rules


def real_folders(body: Mapping[str, Any], rules: Rules) -> None:
    """Look that every home and every slot that ``body`` mounts is a folder, not a link to another place.

    Raises:
        Refused: it is a link, no folder, or not there.
    """
    whats = {rules.homes: "home", rules.warm: "slot"}
    for bind in body["HostConfig"]["Binds"]:
        source = Path(bind.split(":")[0])
        if PurePosixPath(source).parent.parent == rules.snapshots:
            _real(source.parent, "snapshot")
            _real(source, "snapshot")
        elif what := whats.get(PurePosixPath(source).parent):
            _real(source, what)


def _real(source: Path, what: str) -> None:
    try:
        mode = source.lstat().st_mode
    except OSError as error:
        raise Refused(f"the {what} cannot be looked at ({error.strerror})") from error
    if not stat.S_ISDIR(mode):
        raise Refused(f"the {what} is not a folder")
