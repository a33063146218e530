"""What the stack gets of this machine's accelerators: a second file for `docker compose`, made by `make up`.

Only what is there is in it, so that the stack comes up on a machine without accelerators as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from madang_hub.accelerators import table
from madang_hub.accelerators.cdi import Device
from madang_hub.accelerators.cdi_files import UNDER, devices_of, trouble
from madang_hub.accelerators.inventory import NVIDIA_GPU

HOST = "/host"
"""Where the broker sees the machine's ``/dev``."""
SETTINGS = "MADANG_ACCELERATOR"
MOUNTS = Path("/proc/self/mountinfo")
INSIDE = "/opt/madang"
"""``MADANG_ROOT`` of the stack's parts."""


@dataclass(frozen=True)
class Machine:
    """What this machine has.

    Attributes:
        folders: of CDI specifications that are there, in rising priority.
        table: the operator's ``accelerators.toml``; None where there is none.
        nvidia: full CDI names that give NVIDIA's driver and all of its GPUs to a container; empty where they
            would keep it from starting.
        mounts: mount points below ``/dev``, such as ``/dev/shm``.
    """

    folders: tuple[Path, ...] = ()
    table: Path | None = None
    nvidia: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()


def compose_file(machine: Machine, environ: Mapping[str, str]) -> dict[str, Any]:
    """The second file's content; ``environ`` are all settings as variables."""
    settings = {k: v for k, v in sorted(environ.items()) if k.startswith(SETTINGS)}
    settings["MADANG_ACCELERATOR_CDI"] = " ".join(map(str, machine.folders))
    settings = {name: value.replace("$", "$$") for name, value in settings.items()}
    given: list[Any] = [f"{folder}:{folder}:ro" for folder in machine.folders]
    if machine.table is not None:
        given.append(f"{machine.table}:{INSIDE}/{table.FILE}:ro")
    broker: dict[str, Any] = {"environment": dict(settings), "volumes": list(given)}
    if machine.folders:
        # names only: without a rule of its control group the kernel lets it open none of them
        broker["volumes"].append(f"/dev:{HOST}/dev:ro")
        broker["environment"][UNDER] = HOST
        # other mounts come along with the folder; none of them is a device
        broker["tmpfs"] = [f"{HOST}{mount}:size=4k,mode=000" for mount in machine.mounts]
    if machine.nvidia:
        device = {
            "driver": "cdi",
            "device_ids": list(machine.nvidia),
            "capabilities": ["gpu"],
        }
        broker["deploy"] = {"resources": {"reservations": {"devices": [device]}}}
    return {
        "services": {
            "engine": {"environment": dict(settings), "volumes": list(given)},
            "hub": {"environment": dict(settings)},
            "accelerators": broker,
        }
    }


def nvidia_names(devices: Iterable[Device], broken: Iterable[str]) -> tuple[str, ...]:
    """The CDI names for all of NVIDIA's GPUs: ``all`` where it is named, else each.

    ``broken``: device nodes that cannot be used. A name that needs one is left out, because an engine makes no
    container with it.
    """
    bad = set(broken)
    usable = [d for d in devices if d.kind == NVIDIA_GPU and not d.why and not d.needed & bad]
    every = next((d.full for d in usable if d.name == "all"), "")
    return (every,) if every else tuple(d.full for d in usable)


def mounts_below_dev(mountinfo: str) -> tuple[str, ...]:
    """Mount points below ``/dev`` in ``/proc/self/mountinfo``, the outermost of each."""
    points = sorted({line.split()[4] for line in mountinfo.splitlines() if len(line.split()) > 4})
    below = [PurePosixPath(p) for p in points if p.startswith("/dev/") and "\\" not in p]
    return tuple(str(p) for p in below if not set(p.parents) & set(below))


def look(folders: Iterable[Path] | None, root: Path) -> Machine:
    """What this machine has; ``folders`` are those of the engine, None where it cannot say."""
    there = tuple(folder for folder in folders or () if folder.is_dir())
    devices = devices_of(there)
    nodes = {node for device in devices for node in device.needed}
    written = root / table.FILE
    points = mounts_below_dev(MOUNTS.read_text(encoding="utf-8"))
    return Machine(
        folders=there,
        table=written if written.is_file() else None,
        nvidia=nvidia_names(devices, [node for node in nodes if trouble(node)]),
        mounts=tuple(point for point in points if Path(point).is_dir()),
    )


def write(file: Path, content: Mapping[str, Any]) -> None:
    """Write the second file (JSON is YAML)."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
