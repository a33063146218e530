"""Which CDI devices the gateway hands out, and to how many containers. Rules, and what reads the files.

The gateway knows no leases. It knows what the specifications name, never hands out a name for several devices
(``all``), and lets no device into two containers (one that the operator divides: into no more than so many).
That is a second lock beside the broker's.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from madang_hub.accelerators import cdi_files, table
from madang_hub.accelerators.cdi import Part
from madang_hub.accelerators.table import Row
from madang_hub.engine.checks import Refused, need
from madang_hub.user_container import DEVICES_LABEL
from madang_hub.warm.names import WARM_LABEL


def to_give(parts: Iterable[Part], rows: Mapping[str, Row]) -> dict[str, int]:
    """Full CDI names that may be handed out, and to how many containers at a time.

    One name a device, without those that the operator keeps.
    """
    found: dict[str, int] = {}
    for part in parts:
        names = part.cdi.split()
        if len(names) == 1:
            every = (f"{part.kind}={name}" for name in part.names)
            said = [rows[name] for name in every if name in rows][:1]
        else:
            said = [rows[name] for name in names if name in rows]
        if all(row.offered for row in said):
            found.update(dict.fromkeys(names, min((row.shares for row in said), default=1)))
    return found


def said(labels: Mapping[str, str], requests: Sequence[Mapping[str, Any]]) -> None:
    """Whether the devices of checked requests are each asked for once, and in the labels.

    Raises:
        Refused: they are not.
    """
    ids = [name for request in requests for name in request["DeviceIDs"]]
    need(len(set(ids)) == len(ids), "HostConfig.DeviceRequests names a device twice")
    need(
        labels.get(DEVICES_LABEL) == " ".join(ids),
        f"Labels must hold {DEVICES_LABEL} with the devices that are asked for",
    )


def devices_in(body: bytes) -> list[str]:
    """The devices that a checked body of ``containers/create`` asks for."""
    requests = json.loads(body)["HostConfig"].get("DeviceRequests", [])
    return [name for request in requests for name in request["DeviceIDs"]]


def check_whole(body: bytes, given: Mapping[str, int]) -> None:
    """Whether a checked body that asks for devices may have them: only a person's, where they are divided.

    Args:
        given: from :func:`to_give`.

    Raises:
        Refused: it is of a container that waits, and one of its devices is divided.
    """
    if WARM_LABEL in json.loads(body)["Labels"]:
        for name in devices_in(body):
            need(
                given.get(name, 1) == 1,
                f"the device {name} is divided, and no container waits with it",
            )


def check_free(wanted: Iterable[str], listing: Any, given: Mapping[str, int]) -> None:
    """Whether the ``wanted`` devices are in fewer containers than may have them.

    Args:
        given: from :func:`to_give`.
        listing: the engine's, of all containers with the label of devices, whether they run or not: one that
            has ended can be started again.

    Raises:
        Refused: one has, or the listing cannot be read.
    """
    need(isinstance(listing, list), "the engine's listing of containers cannot be read")
    taken: Counter[str] = Counter()
    for row in listing:
        labels = row.get("Labels") if isinstance(row, Mapping) else None
        if not isinstance(labels, Mapping):
            raise Refused("the engine's listing of containers cannot be read")
        taken.update(str(labels.get(DEVICES_LABEL, "")).split())
    for name in wanted:
        if taken[name] >= given.get(name, 1):
            raise Refused(f"the device {name} is in another container")


def devices_to_give(folders: Sequence[Path], root: Path) -> Callable[[], dict[str, int]]:
    """What the specifications in ``folders`` name now, without what ``accelerators.toml`` in ``root`` keeps."""

    def devices() -> dict[str, int]:
        parts, _ = cdi_files.read(folders)
        return to_give(parts, table.read(root))

    return devices
