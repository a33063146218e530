"""Workspaces of people whose access has ended, handed to somebody else: who may read them.

The operator's command (`madang_mlflow.tasks`) writes a small file, and every worker of the gate reads it anew
when it changes. What is in it is judged here; a file that cannot be read hands nothing to anybody.
"""

import json
import logging
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

log = logging.getLogger("madang.tracking")

#: The file's name.
NAME = "handed-over.json"

#: Only what was one person's can be handed over: a team's stays the team's.
_HOME = re.compile(r"u-[a-z0-9](?:[-a-z0-9]{0,59}[a-z0-9])?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Grant:
    """One workspace handed to one person.

    Attributes:
        workspace: whose runs.
        to: the Hub's name of the person who may read them.
        title: whose it was, for the list of workspaces.
        until: the moment at which it ends by itself, in ISO 8601 with a time zone: whoever comes back does not
            find a reader from long ago.
    """

    workspace: str
    to: str
    title: str
    until: str


class HandedError(Exception):
    """The file or a grant in it makes no sense."""


def parse(text: str) -> list[Grant]:
    """The grants in a file's text.

    Raises:
        HandedError: it is no list of grants.
    """
    try:
        found = [Grant(**item) for item in json.loads(text or "[]")]
    except (ValueError, TypeError) as error:
        raise HandedError("The list of workspaces that were handed over is damaged.") from error
    for grant in found:
        if not all(isinstance(value, str) for value in asdict(grant).values()):
            raise HandedError("The list of workspaces that were handed over is damaged.")
        if not _HOME.fullmatch(grant.workspace) or not grant.to:
            raise HandedError(f"{grant.workspace!r} is no person's workspace.")
        _moment(grant.until)
    return found


def _moment(text: str) -> float:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise HandedError(f"{text!r} is no moment at which something ends.")
    return found.timestamp()


def write(grants: Iterable[Grant]) -> str:
    """The text of a file."""
    return json.dumps([asdict(grant) for grant in grants], ensure_ascii=False, indent=1) + "\n"


def with_one(grants: Iterable[Grant], one: Grant) -> list[Grant]:
    """The grants with one more; an earlier one for the same two is replaced."""
    return [*without(grants, one.workspace, one.to), one]


def without(grants: Iterable[Grant], workspace: str, to: str) -> list[Grant]:
    """The grants without those of a workspace to a person."""
    return [grant for grant in grants if (grant.workspace, grant.to) != (workspace, to)]


def load(path: Path) -> list[Grant]:
    """The grants of a file; none where there is none.

    Raises:
        HandedError: it cannot be read.
    """
    try:
        return parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise HandedError(f"{path} cannot be read ({error}).") from error


def save(path: Path, grants: Iterable[Grant]) -> None:
    """Write a file, whole or not at all."""
    partial = path.with_name(f".{path.name}.new")
    partial.write_text(write(grants), encoding="utf-8")
    partial.chmod(0o600)
    partial.replace(path)


class Handed:
    """What the gate asks: the workspaces that were handed to somebody.

    Args:
        path: of the file; None: nothing was ever handed over here.
        clock: seconds since 1970.
    """

    def __init__(self, path: Path | None, *, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._seen: tuple[int, int, int] | None = None
        self._to: dict[str, list[tuple[Grant, float]]] = {}

    def of(self, name: str) -> Mapping[str, str]:
        """Workspaces, each with whose it was. Never raises."""
        if self._path is not None:
            self._look(self._path)
        if name not in self._to:
            return {}
        now = self._clock()
        return {grant.workspace: grant.title for grant, until in self._to[name] if now < until}

    def _look(self, path: Path) -> None:
        try:
            found = path.stat()
        except OSError:
            self._seen, self._to = None, {}
            return
        mark = (found.st_mtime_ns, found.st_size, found.st_ino)
        if mark == self._seen:
            return
        self._seen, self._to = mark, {}
        try:
            grants = load(path)
        except HandedError as error:
            log.error("%s Nobody may read what was handed over until it is mended.", error)
            return
        for grant in grants:
            self._to.setdefault(grant.to, []).append((grant, _moment(grant.until)))
