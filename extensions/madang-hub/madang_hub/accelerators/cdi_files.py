"""Reads the CDI specifications of this machine; what they mean is in ``cdi.py``."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from madang_hub.accelerators.cdi import (
    ENDINGS,
    Device,
    Part,
    SpecificationError,
    parse,
    parts,
    resolve,
)

FOLDERS = (Path("/etc/cdi"), Path("/var/run/cdi"))
"""Where engines look unless told otherwise, in rising priority."""
UNDER = "MADANG_DEVICES_UNDER"
"""Variable: where the machine's ``/dev`` is seen, if it is not this process's own."""
LARGEST = 16 * 2**20
"""Bytes; a specification is some kilobytes."""


def chosen(named: Iterable[str]) -> tuple[Path, ...]:
    """The folders that a setting names, or else :data:`FOLDERS`."""
    return tuple(map(Path, named)) or FOLDERS


def read(
    folders: Iterable[Path] = FOLDERS, under: Path = Path("/")
) -> tuple[list[Part], list[str]]:
    """What the specifications in ``folders`` (rising priority) offer, and a sentence for each bad file.

    A bad file hides no other. A folder that does not exist holds nothing. Device nodes are looked for below
    ``under``.
    """
    devices, faults = _resolved(folders)
    return parts(devices, partial(trouble, under=under)), faults


def devices_of(folders: Iterable[Path]) -> list[Device]:
    """Every name of the specifications in ``folders``, those for several devices among them."""
    return _resolved(folders)[0]


def _resolved(folders: Iterable[Path]) -> tuple[list[Device], list[str]]:
    found: list[list[Device]] = []
    faults: list[str] = []
    for folder in folders:
        devices: list[Device] = []
        try:
            files = sorted(entry for entry in folder.iterdir() if entry.suffix in ENDINGS)
        except FileNotFoundError:
            continue
        except OSError as error:
            faults.append(f"{folder}: it cannot be read ({error.strerror}).")
            continue
        for file in files:
            try:
                devices += parse(_text(file), str(file))
            except SpecificationError as error:
                faults.append(str(error))
        found.append(devices)
    return resolve(found), faults


def _text(file: Path) -> str:
    try:
        if not file.is_file():
            raise SpecificationError(f"{file}: it is no file.")
        if file.stat().st_size > LARGEST:
            raise SpecificationError(f"{file}: it is larger than {LARGEST >> 20} MiB.")
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise SpecificationError(f"{file}: it cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise SpecificationError(f"{file}: it is not UTF-8 text.") from None


def trouble(node: str, under: Path = Path("/")) -> str:
    """Why the device node cannot be used; empty when it can."""
    try:
        mode = (under / node.lstrip("/")).stat().st_mode
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be looked at ({error.strerror})"
    return "" if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) else "is no device"
