"""Whether the home that a container is to mount is really one."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from madang_hub.engine.checks import Refused
from madang_hub.engine.rules import Rules


def real_homes(body: Mapping[str, Any], rules: Rules) -> None:
    """Look that every home that ``body`` mounts is a folder, not a link to another place.

    Raises:
        Refused: it is a link, no folder, or not there.
    """
    for bind in body["HostConfig"]["Binds"]:
        source = Path(bind.split(":")[0])
        if PurePosixPath(source).parent != rules.homes:
            continue
        try:
            mode = source.lstat().st_mode
        except OSError as error:
            raise Refused(f"the home cannot be looked at ({error.strerror})") from error
        if not stat.S_ISDIR(mode):
            raise Refused("the home is not a folder")
