"""``madang home …``: homes in the archive."""

from __future__ import annotations

import argparse
import os
from urllib.parse import quote

import requests

from madang_hub.desk import CommandError, again, open_desk, outside
from madang_hub.homes import USER_GID, USER_UID
from madang_hub.installation import Add, Installation
from madang_hub.people.enrolment import STACK
from madang_hub.places import Places, read_secret


def home(args: argparse.Namespace, installation: Installation) -> int:
    """Archived homes: list, archive, restore."""
    if args.action != "list" and not args.name:
        raise CommandError(f"Say whose home: madang home {args.action} NAME")
    if outside(installation):
        return again(installation, ["home", args.action, *([args.name] if args.name else [])])
    with open_desk(installation) as here:
        if args.action == "list":
            for kept in here.archive.kept():
                print(f"{kept.person}\t{kept.file}\t{here.moment(kept.made)}\t{kept.why}")
            return 0
        _require_no_server(here.places, args.name)
        if args.action == "archive":
            kept = here.archive.store(args.name, "operator", here.now)
            here.audit.write(here.now, STACK, "home.archived", args.name, file=kept.file)
            print(
                f"The home of {args.name} is in {here.places.archive / kept.file}; its folder is removed."
            )
            return 0
        embedded = here.places.mode == "embedded"
        uid, gid = (os.geteuid(), os.getegid()) if embedded else (USER_UID, USER_GID)
        kept = here.archive.restore(args.name, uid, gid)
        here.audit.write(here.now, STACK, "home.restored", args.name, file=kept.file)
        print(
            f"The home of {args.name} is as it was on {here.moment(kept.made)}; the archive stays."
        )
    return 0


def _require_no_server(places: Places, name: str) -> None:
    """Raises:
    CommandError: ``name`` has a server, or the Hub does not say.
    """
    token = read_secret(places.secrets, "operator_token")
    try:
        reply = requests.get(
            f"{places.hub_api}/users/{quote(name, safe='')}",
            headers={"Authorization": f"token {token}"},
            timeout=30,
        )
    except requests.RequestException as error:
        raise CommandError(
            f"The Hub does not answer ({error.__class__.__name__}), so nobody knows whether a server of {name} "
            "runs. Start Madang (make up) and try again."
        ) from error
    if reply.status_code == 404:
        return
    if not reply.ok:
        raise CommandError(
            f"The Hub did not say whether a server of {name} runs ({reply.status_code})."
        )
    if reply.json()["servers"]:
        raise CommandError(
            f"A server of {name} runs. Stop it first (on the Hub's admin page), then try again."
        )


def register(add: Add) -> None:
    """Add the command; ``add`` makes its parser."""
    homes = add("home", home)
    homes.add_argument("action", choices=["list", "archive", "restore"])
    homes.add_argument("name", nargs="?", default="")
