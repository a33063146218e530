"""Rules: which of MLflow's workspaces somebody may use, and which one a request means.

Words: a *workspace* is MLflow's; every experiment, run, model, prompt, trace, data set and artifact
lies in exactly one, and MLflow reads and writes in the one of the request alone. A person's own is
the *home*, ``u-<slug>``; a team that shares has ``g-<slug>``. A *slug* is a name as MLflow allows it.

``default``, MLflow's own workspace, belongs to nobody: what was logged before there were
workspaces lies there.
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

#: MLflow's rule for names of workspaces (2 to 63 characters).
NAME = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?", re.ASCII)

#: Groups whose people share a workspace. A class (``class:…``) is no such group.
TEAMS = "team:"
#: Groups of the mentors of a class; the class's group follows (`madang_hub.people.roles`).
MENTORS = "mentor:"
_MENTORS_OF_CLASSES = f"{MENTORS}class:"
_MENTORS_OF_TEAMS = f"{MENTORS}{TEAMS}"

_LONGEST = 61
_HEX = 20


class Right(Enum):
    """What may be done in a workspace."""

    READ = "read"
    WRITE = "write"


class OddWorkspaceError(Exception):
    """The header that names a workspace is given twice or is no name of a workspace."""


class ForeignWorkspaceError(Exception):
    """The workspace is not one that the caller may use (or there is none of this name)."""


@dataclass(frozen=True, slots=True)
class Access:
    """What somebody may use.

    Attributes:
        home: the own workspace.
        rights: every workspace that may be entered, the home among them.
        titles: of each workspace, whose it is.
        seen: those that are open only to an admin's eyes; they are there.
    """

    home: str
    rights: Mapping[str, Right]
    titles: Mapping[str, str]
    seen: frozenset[str] = frozenset()


def slug(name: str) -> str:
    """A name as part of a workspace's: itself if that is allowed, else a stem and a hash.

    Two names never have the same slug: only hashed ones hold ``--``.
    """
    if len(name) <= _LONGEST and "--" not in name and NAME.fullmatch(name):
        return name
    stem = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:30].strip("-") or "x"
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_HEX]
    return f"{stem}--{digest}"


def home_of(name: str) -> str:
    """The workspace of a person."""
    return f"u-{slug(name)}"


def shared_by(group: str) -> str | None:
    """The workspace that a group shares; None for groups that share none."""
    team = group.removeprefix(TEAMS)
    return f"g-{slug(team)}" if team != group and team else None


def mentored(groups: Iterable[str]) -> list[str]:
    """The classes of which somebody with these groups is a mentor."""
    return sorted(
        group.removeprefix(MENTORS) for group in groups if group.startswith(_MENTORS_OF_CLASSES)
    )


def access(
    name: str,
    groups: Iterable[str],
    people: Mapping[str, Collection[str]] | None = None,
    handed: Mapping[str, str] | None = None,
) -> Access:
    """What a person may use.

    Args:
        name: the Hub's user name.
        groups: the person's groups at the Hub.
        people: who is in each class that the person is a mentor of (`mentored`); others are not
            looked at.
        handed: the workspaces that were handed to the person, each with whose it was
            (`madang_mlflow.handed`).
    """
    groups = frozenset(groups)
    home = home_of(name)
    rights: dict[str, Right] = {home: Right.WRITE}
    titles = {home: name}

    def may(workspace: str, right: Right, title: str) -> None:
        if rights.get(workspace) is not Right.WRITE:
            rights[workspace] = right
            titles[workspace] = title

    for group in sorted(groups):
        if workspace := shared_by(group):
            may(workspace, Right.WRITE, group)
        elif group.startswith(_MENTORS_OF_TEAMS):
            team = group.removeprefix(MENTORS)
            if shared := shared_by(team):
                may(shared, Right.READ, team)
    for class_ in mentored(groups):
        for person in sorted((people or {}).get(class_, ())):
            may(home_of(person), Right.READ, f"{person} ({class_})")
    for workspace, owner in sorted((handed or {}).items()):
        may(workspace, Right.READ, owner)
    return Access(home, rights, titles)


def asked_for(headers: Sequence[bytes]) -> str | None:
    """The workspace that a request names; None if it names none.

    Args:
        headers: all values of ``X-MLFLOW-WORKSPACE``. An empty one names none: MLflow's pages send
            it where no workspace is meant.

    Raises:
        OddWorkspaceError: more than one, or no name of a workspace.
    """
    if len(headers) > 1:
        raise OddWorkspaceError
    text = headers[0].decode("latin-1") if headers else ""
    if not text:
        return None
    if not 2 <= len(text) <= 63 or not NAME.fullmatch(text):
        raise OddWorkspaceError
    return text


def chosen(wanted: str | None, given: Access) -> tuple[str, Right]:
    """The workspace of a request, and what may be done there.

    Raises:
        ForeignWorkspaceError: it is not the caller's to use.
    """
    workspace = given.home if wanted is None else wanted
    right = given.rights.get(workspace)
    if right is None:
        raise ForeignWorkspaceError
    return workspace, right


def listing(given: Access) -> list[dict[str, str]]:
    """What MLflow's pages ask for: the workspaces that may be entered, the own one first."""
    names = sorted(given.rights, key=lambda name: (name != given.home, name[:2] == "u-", name))
    return [{"name": name, "description": given.titles[name]} for name in names]
