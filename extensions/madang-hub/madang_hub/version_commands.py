"""``madang versions``: environments' versions that are installed, and who may still start the earlier ones."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from madang_hub.deploy import server
from madang_hub.installation import Add, Installation
from madang_hub.people.database import Database
from madang_hub.shelf.installed import Installed
from madang_hub.shelf.pruning import in_words, standings


def versions(args: argparse.Namespace, here: Installation) -> int:
    """Environments' versions that are installed, and who may still start the earlier ones."""
    places, _ = here.places()
    if places.mode != "server":
        raise server.ServerError(
            "Embedded mode has one version of each environment: this folder's."
        )
    if not here.inside:
        if args.action == "forget":
            raise server.ServerError("'madang images prune' removes earlier versions.")
        words = ["versions", "list", *(["--json"] if args.json else [])]
        print(
            here.stack(places).compose("exec", "-T", "hub", "python", "-m", "madang_hub", *words),
            end="",
        )
        return 0
    installed = Installed(places.environments)
    if args.action == "forget":
        installed.save(v for v in installed.load() if v.name not in args.names or not v.superseded)
        return 0
    now = datetime.now(UTC)
    today = now.astimezone(ZoneInfo(places.settings.timezone)).date()
    database = Database(places.database_url("hub"))
    try:
        rows = standings(installed.load(), database, now, today, places.settings.version_days)
    finally:
        database.close()
    print(json.dumps(rows) if args.json else "\n".join(in_words(row) for row in rows))
    return 0


def register(add: Add) -> None:
    """Add the command; ``add`` makes its parser."""
    parser = add("versions", versions)
    parser.add_argument("action", choices=["list", "forget"])
    parser.add_argument("names", nargs="*", metavar="NAME@RELEASE", help="forget: which")
    parser.add_argument("--json", action="store_true", help="list: for programs")
