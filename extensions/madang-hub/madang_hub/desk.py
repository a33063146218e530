"""What the operator's commands about classes and homes share.

In server mode each command runs again inside the Hub's container, where the database is (:func:`again`); files
of this machine go in by stdin, and one-time passwords come out by stdout.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO
from zoneinfo import ZoneInfo

from madang_hub.installation import Installation
from madang_hub.people.archive import Archive
from madang_hub.people.audit import Audit
from madang_hub.people.classes import Classes
from madang_hub.people.database import Database
from madang_hub.people.directory import Directory
from madang_hub.places import Places


class CommandError(ValueError):
    """A command cannot be done; the message says why and what to do."""


class Desk:
    """What the commands work with: the database and what is kept in it, the archive, the time."""

    def __init__(self, places: Places, root: Path) -> None:
        self.places = places
        self.settings = places.settings
        self.root = root
        self.now = datetime.now(UTC)
        self.zone = ZoneInfo(places.settings.timezone)
        self.today = self.now.astimezone(self.zone).date()
        self.database = Database(places.database_url("hub"))
        self.directory = Directory(self.database)
        self.classes = Classes(self.database, self.zone)
        self.audit = Audit(self.database)
        self.archive = Archive(places.archive, places.homes)

    def moment(self, moment: datetime) -> str:
        return f"{moment.astimezone(self.zone):%Y-%m-%d %H:%M}"


@contextmanager
def open_desk(installation: Installation) -> Iterator[Desk]:
    places, _ = installation.places()
    desk = Desk(places, installation.root)
    try:
        yield desk
    finally:
        desk.database.close()


def outside(installation: Installation) -> bool:
    """Whether the command must run again inside the Hub's container."""
    return installation.places()[0].mode == "server" and not installation.inside


def again(
    installation: Installation,
    words: Sequence[str],
    stdin: bytes = b"",
    out: TextIO | None = None,
) -> int:
    """Run ``madang WORDS`` in the Hub's container and print what it says; its exit status.

    With ``out``, what comes on stdout goes there, and the report, which then comes on stderr, to stdout.
    """
    done = installation.stack(installation.places()[0]).inside(words, stdin)
    said, told = (s.decode("utf-8", "replace") for s in (done.stdout, done.stderr))
    if out is None:
        print(said, end="")
        print(told, end="", file=sys.stderr)
    else:
        out.write(said)
        print(told, end="", file=sys.stderr if done.returncode else sys.stdout)
    return done.returncode
