"""Reads the CDI specifications of this machine; what they mean is in ``cdi.py``."""

from __future__ import annotations

import stat
from collections.abc import Iterable
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
LARGEST = 16 * 2**20
"""Bytes; a specification is some kilobytes."""


def read(folders: Iterable[Path] = FOLDERS) -> tuple[list[Part], list[str]]:
    """What the specifications in ``folders`` (rising priority) offer, and a sentence for each bad file.

    A bad file hides no other. A folder that does not exist holds nothing.
    """
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
    return parts(resolve(found), trouble), faults


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


def trouble(node: str) -> str:
    """Why the device node cannot be used; empty when it can."""
    try:
        mode = Path(node).stat().st_mode
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be looked at ({error.strerror})"
    return "" if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) else "is no device"
