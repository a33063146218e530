"""The process: ``python -m madang_hub.mounter``, a part of the stack (``docker-compose.yml``)."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from madang_hub.mounter.service import Service
from madang_hub.mounter.work import Where


def main() -> int:
    """Serve until told to end; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m madang_hub.mounter",
        description="Mounts a person's home in the container of a warm server that waits for one.",
    )
    parser.add_argument("--homes", type=Path, required=True, help="folder of the homes")
    parser.add_argument("--slots", type=Path, required=True, help="folder of the warm servers")
    parser.add_argument("--socket", type=Path, required=True, help="socket to make")
    given = parser.parse_args()
    try:
        Service(given.socket, Where(given.homes, given.slots)).run()
    except OSError as error:
        print(f"The mounter cannot listen at {given.socket}: {error.strerror}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
