"""Removing earlier versions of environments: those that nobody may start and no container is made from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Any, Protocol

from madang_hub.people.database import Database
from madang_hub.people.directory import Directory
from madang_hub.shelf.starts import Starts
from madang_hub.shelf.versions import Version, open_earlier, removable


class Runner(Protocol):
    """As much of the stack as this needs (``deploy/server.py``)."""

    def compose(self, *words: str) -> str: ...
    def docker(self, *words: str) -> str: ...
    def prepare(self, words: Sequence[str], stdin: bytes = b"") -> None: ...


def standings(
    versions: Sequence[Version], database: Database, now: datetime, today: date, days: int
) -> list[dict[str, Any]]:
    """Each version with how many people may still start it, and whether it can go."""
    starts = Starts(database).all()
    gone = {p.name for p in Directory(database).people() if not p.active(today)}
    # somebody whom the directory does not know is no reason to remove anything
    people = {s.person for s in starts} - gone
    can_go = {v.name for v in removable(versions, starts, people, now, days)}
    rows = []
    for version in versions:
        users = sum(
            version in open_earlier([version], {s.environment: s}, now, days)
            for s in starts
            if s.person in people
        )
        until = version.open_until(days)
        rows.append(
            {
                "name": version.name,
                "reference": version.reference,
                "release": version.release,
                "present": version.superseded is None,
                "people": users,
                "until": until.isoformat() if until else None,
                "removable": version.name in can_go,
            }
        )
    return rows


def in_words(row: dict[str, Any]) -> str:
    """One line of `madang versions list`."""
    if row["present"]:
        return f"{row['name']}\tpresent"
    if row["removable"]:
        return f"{row['name']}\tearlier, open to nobody: 'madang images prune' removes it"
    return f"{row['name']}\tearlier, open to {row['people']} who used it until {row['until'][:10]}"


def prune(stack: Runner) -> Iterator[str]:
    """Remove what can go; a line for each earlier version, what was done or why not.

    It is taken off the list before its image is removed: nobody can begin a start in between.
    """
    inside = ("python", "-m", "madang_hub", "versions")
    rows = json.loads(stack.compose("exec", "-T", "hub", *inside, "list", "--json"))
    earlier = [row for row in rows if not row["present"]]
    if not earlier:
        yield "No earlier versions are kept."
    for row in earlier:
        if not row["removable"]:
            yield f"{row['reference']}: kept, {row['people']} may start it until {row['until'][:10]}"
            continue
        # another installation on this engine may have this release as its present one
        for image in (row["reference"], f"madang/hub:{row['release']}"):
            if users := stack.docker(
                "ps", "--all", "--quiet", "--filter", f"ancestor={image}"
            ).split():
                yield f"{row['reference']}: kept, {len(users)} container(s) of {image} are there"
                break
        else:
            stack.prepare(["versions", "forget", row["name"]])
            if stack.docker("images", "--quiet", row["reference"]).strip():
                stack.docker("rmi", row["reference"])
            yield f"{row['reference']}: removed"
