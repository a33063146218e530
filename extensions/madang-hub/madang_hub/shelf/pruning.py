"""Removing images that nobody needs: earlier versions of environments, the stack's own of past releases, and
those that a newer build took the name of."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from typing import Any, Protocol

from madang_hub.catalog import Catalog
from madang_hub.people.database import Database
from madang_hub.people.directory import Directory
from madang_hub.shelf.labels import INPUTS
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
        if why := _in_use(stack, row["reference"], row["release"]):
            yield f"{row['reference']}: kept, {why}"
            continue
        stack.prepare(["versions", "forget", row["name"]])
        if stack.docker("images", "--quiet", row["reference"]).strip():
            stack.docker("rmi", row["reference"])
        yield f"{row['reference']}: removed"


def _in_use(stack: Runner, reference: str, release: str) -> str:
    """Why the image ``reference`` of ``release`` stays, "" if it need not: containers are made from it, or
    another installation on this engine has the release as its present one."""
    for image in (reference, f"madang/hub:{release}"):
        users = stack.docker("ps", "--all", "--quiet", "--filter", f"ancestor={image}").split()
        if users:
            return f"{len(users)} container(s) of {image} are there"
    return ""


def past(references: Iterable[str], catalog: Catalog) -> list[tuple[str, str]]:
    """Which of the engine's ``references`` are the stack's own images of another release, and which.

    Environments are none: who may still start an earlier one is asked elsewhere (:func:`prune`).
    """
    own = {f"madang/{n}" for n in catalog.images if n not in catalog.every}
    found = [(r, r.rpartition(":")[2]) for r in references if r.rpartition(":")[0] in own]
    return sorted(pair for pair in found if pair[1] not in ("<none>", catalog.release))


def prune_past(stack: Runner, catalog: Catalog) -> Iterator[str]:
    """Remove the stack's own images of other releases, and images that a newer build took the name of; a line
    for each of the first, what was done or why not, and one for the others if there were any."""
    ours = ("--filter", f"label={INPUTS}")
    listed = stack.docker("images", *ours, "--format", "{{.Repository}}:{{.Tag}}").split()
    for reference, release in past(listed, catalog):
        if why := _in_use(stack, reference, release):
            yield f"{reference}: kept, {why}"
            continue
        stack.docker("rmi", reference)
        yield f"{reference}: removed"
    said = stack.docker("image", "prune", "--force", *ours).strip().splitlines()
    if len(said) > 1:
        freed = said[-1].rpartition(": ")[2]
        yield f"images that a newer build took the name of: removed, {freed} freed"
