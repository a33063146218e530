"""``madang lessons``: the bundled lessons, from their sources to notebooks."""

from __future__ import annotations

import argparse

from madang_hub.deploy import lessons
from madang_hub.installation import Add, Installation
from madang_hub.lessons import build


def run(args: argparse.Namespace, here: Installation) -> int:
    """Build the lessons of this checkout, or write what is to be translated."""
    if args.action == "translate":
        waiting = build.translate(here.root)
        if waiting:
            print(f"To translate (empty texts, and those with `look = true`): {', '.join(waiting)}")
        else:
            print("Every text is translated.")
        return 0
    print(lessons.ensure(here.root))
    return 0


def register(add: Add) -> None:
    """Add the command to ``madang``."""
    add("lessons", run).add_argument(
        "action", choices=["build", "translate"], nargs="?", default="build"
    )
