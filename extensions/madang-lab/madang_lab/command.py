"""``madang`` inside a user server.

madang env list|reset [NAME]      what a person added to the environment, and back to how it was
madang space [clean [--yes]]      what takes room in the home, and room without loss
madang publish NOTEBOOK           makes it a dashboard, or a new version of one
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping

from madang_lab import env_command, publish_command, space_command


def parser_for(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    """The words that the command takes."""
    parser = argparse.ArgumentParser(prog="madang")
    commands = parser.add_subparsers(required=True, metavar="env|space|publish")
    for part in (env_command, space_command, publish_command):
        part.add_to(commands, environ)
    return parser


def main() -> int:
    """The command; its exit status."""
    # a name that the terminal's encoding lacks is no reason to fail
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # text, of the standard library
    chosen = parser_for(os.environ).parse_args()
    status: int = chosen.run(os.environ, chosen)
    return status


if __name__ == "__main__":
    sys.exit(main())
