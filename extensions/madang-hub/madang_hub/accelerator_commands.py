"""``madang accelerators``: what this machine has, whether it works, what it does now."""

from __future__ import annotations

import argparse
import sys

from madang_hub.accelerators.cdi_files import FOLDERS
from madang_hub.accelerators.report import summary, table
from madang_hub.accelerators.sources import Sources
from madang_hub.deploy.engine import cdi_folders
from madang_hub.desk import CommandError
from madang_hub.installation import Add, Installation


def accelerators(args: argparse.Namespace, installation: Installation) -> int:
    """Accelerators of this machine: health, memory, use, and the name that containers get them by."""
    if installation.inside:
        raise CommandError(
            "The Hub's container sees no accelerators: run scripts/madang accelerators on the machine."
        )
    folders = cdi_folders(installation.facts) or FOLDERS
    inventory = Sources(installation.root, folders).take()
    print("\n".join(table(inventory) if inventory.slots else summary(inventory)[:1]))
    for note in (*inventory.faults, *inventory.notes):
        print(note, file=sys.stderr)
    return 0


def register(add: Add) -> None:
    """Add the command; ``add`` makes its parser."""
    add("accelerators", accelerators)
