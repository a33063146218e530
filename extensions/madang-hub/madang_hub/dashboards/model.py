"""A dashboard, its versions, who acts on it, and what is written down about it.

Moments are whole seconds since 1970 (UTC); 0 is "not". How they change: :mod:`.versions`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from madang_hub.dashboards.audience import Audience

DAY = 86400


class Check(Enum):
    """What the check run of a version said."""

    CHECKING = "checking"
    PASSED = "passed"
    FAILED = "failed"
    REPLACED = "replaced"
    """A newer version came before the check had ended."""


class State(Enum):
    """Where a dashboard is; see :mod:`.versions`."""

    UNPUBLISHED = "unpublished"
    PUBLISHED = "published"
    STOPPED = "stopped"
    DELETED = "deleted"
    GONE = "gone"


class What(Enum):
    """What an event says happened."""

    MADE = "made"
    UPLOADED = "uploaded"
    PASSED = "passed"
    FAILED = "failed"
    SHOWN = "shown"
    """Published again after it was not, or a newer version than the one that was."""
    ROLLED_BACK = "rolled-back"
    UNPUBLISHED = "unpublished"
    EDITED = "edited"
    AUDIENCE = "audience"
    HANDED_OVER = "handed-over"
    STOPPED = "stopped"
    BACK = "back"
    """The author of a stopped one has access again."""
    DELETED = "deleted"
    UNDELETED = "undeleted"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Policy:
    """What an operator decides. Lengths in seconds.

    Attributes:
        grace: how long a deleted dashboard can be brought back.
        checking: after how long a check that gave no answer has failed.
        each: dashboards of one author at most; those that are inherited come on top.
        kept: versions of one dashboard; beyond that the oldest that is not shown goes.
        lingers: how long a snapshot that nothing names stays: a container may just be starting with it.
        passes_on: whether a dashboard whose author has no access any more passes to a mentor of its team, or
            else stops.
    """

    grace: int = 7 * DAY
    checking: int = 600
    each: int = 50
    kept: int = 20
    lingers: int = 3600
    passes_on: bool = True


@dataclass(frozen=True, slots=True)
class Version:
    """One immutable snapshot of a dashboard, and with what it is shown.

    Attributes:
        content: the snapshot's name (:mod:`.archive`).
        notebook: path in it.
        environment, size: of the container that shows it, as the catalogue names them.
        why: what went wrong, for the author; "" where nothing did.
        word: the dashboard's :attr:`Dashboard.word` when it came.
    """

    number: int
    content: str
    notebook: str
    environment: str
    size: str
    by: str
    made: int
    check: Check = Check.CHECKING
    why: str = ""
    word: int = 0


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A published app; ``slug`` is its address and its id.

    Attributes:
        team: ``team:…`` or ``class:…`` whose mentors look after it; "": it is its author's alone.
        current: the number of the version that visitors get; 0: they get none.
        last: the highest number that a version had.
        word: how often somebody said what is to be shown. A version whose check ends later than the next word
            is not shown by itself.
        revision: rises with every change.
        ends: when a deleted one is gone for good.
    """

    slug: str
    owner: str
    title: str
    made: int
    team: str = ""
    description: str = ""
    audience: Audience = field(default_factory=Audience)
    state: State = State.UNPUBLISHED
    current: int = 0
    versions: tuple[Version, ...] = ()
    last: int = 0
    word: int = 0
    revision: int = 0
    changed: int = 0
    ends: int = 0

    @property
    def published(self) -> bool:
        """Whether visitors get anything."""
        return self.state is State.PUBLISHED

    def version(self, number: int) -> Version | None:
        return next((v for v in self.versions if v.number == number), None)

    @property
    def shown(self) -> Version | None:
        """The version that visitors get."""
        return self.version(self.current) if self.current else None

    @property
    def names(self) -> frozenset[str]:
        """The snapshots that it needs."""
        return (
            frozenset(v.content for v in self.versions)
            if self.state is not State.GONE
            else frozenset()
        )


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something.

    Attributes:
        teams: in which the person is; ``mentor_of``: those which the person mentors.
        publishes: whether there is the scope ``custom:dashboards:publish``.
        admin: whether there is the scope ``custom:dashboards:admin``.
    """

    name: str
    teams: frozenset[str] = frozenset()
    mentor_of: frozenset[str] = frozenset()
    publishes: bool = False
    admin: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened; ``by``: who did it, "" for the service itself; ``version``: 0 for none."""

    moment: int
    slug: str
    what: What
    by: str = ""
    version: int = 0
    detail: str = ""
