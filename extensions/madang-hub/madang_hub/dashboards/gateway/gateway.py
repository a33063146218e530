"""What the pages of dashboards ask of the gateway.

An *app* is what runs one version of one dashboard, in a container (or process) of its own. A *visit* is one
look at a dashboard by one visitor. A *visitor* is the name of a person, or ``link:<id>`` for whoever came by
that link. Moments are seconds since 1970, sizes bytes.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from madang_hub.dashboards.model import Dashboard, Version
from madang_hub.dashboards.refusals import DashboardError
from madang_hub.people.sentences import Sentence


class Doing(Enum):
    """Where the app of a dashboard is."""

    ASLEEP = "asleep"
    STARTING = "starting"
    READY = "ready"
    FULL = "full"
    """It runs, and every seat is taken."""
    FAILED = "failed"
    """It did not start; after a while the next visitor tries again, three times."""


@dataclass(frozen=True, slots=True)
class AppState:
    """What a visitor may know of an app: no cause of a failure.

    Attributes:
        percent: how far a start has come; 100 for one that runs, 0 for one that sleeps.
        sentence: for a visitor, with the way out where there is one.
    """

    doing: Doing
    percent: int
    sentence: Sentence


class VisitRefusedError(DashboardError):
    """No visit begins now; ``sentence`` is for the visitor and says no cause."""


class FullError(VisitRefusedError):
    """Every seat is taken."""


class FailedError(VisitRefusedError):
    """The app does not start."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One error in an app, for its author alone.

    Attributes:
        where: ``cell``, ``callback``, ``output``, ``kernel`` or ``page``, as the runner calls them.
        text: with the traceback; lines of the author's code stand in it.
        cell: the cell's place in the notebook, from 0.
        source: the cell's code.
    """

    at: float
    where: str
    text: str
    cell: int | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What the check run of a version said.

    Attributes:
        trouble: what went wrong, for the author; None where it passed.
        ran: False: the installation could not run it, which says nothing of the notebook.
    """

    passed: bool
    trouble: Trouble | None = None
    ran: bool = True

    @property
    def why(self) -> str:
        """What went wrong as the store keeps it (:func:`madang_hub.dashboards.versions.failed`)."""
        return "" if self.trouble is None else self.trouble.text


@dataclass(frozen=True, slots=True)
class OpenVisit:
    """One visit that has not ended.

    Attributes:
        visit: its random name, which is also its path; for the service alone.
    """

    visit: str
    visitor: str
    since: float


@dataclass(frozen=True, slots=True)
class DeskVisit:
    """One visit as the author sees it: nobody's name, as the author need not know who looks.

    Attributes:
        memory: of its kernel.
    """

    since: float
    last_activity: float
    memory: int


@dataclass(frozen=True, slots=True)
class Desk:
    """What the author reads of an app.

    Attributes:
        seats: visits that may be open at the same time; 0 where it does not run.
        memory_limit: 0 where there is none, or the app does not run.
        errors: the newest last. Those of an app that has ended are kept until it starts again.
        log: the last lines of its log.
        said: why it does not start; "" where it does.
    """

    state: AppState
    since: float = 0.0
    seats: int = 0
    memory_limit: int = 0
    visits: tuple[DeskVisit, ...] = ()
    errors: tuple[Trouble, ...] = ()
    log: tuple[str, ...] = field(default=())
    said: str = ""


class Gateway(Protocol):
    """Starts apps and lets visitors in; who may come in is decided before it is asked."""

    def start(self, dashboard: Dashboard) -> None:
        """Wake the app of the current version; nothing is waited for."""

    def state(self, slug: str) -> AppState:
        """Where the app is, for a page that waits."""

    async def open(self, dashboard: Dashboard, visitor: str, language: str, query: str) -> str:
        """Begin a visit, as soon as the app is ready.

        Args:
            visitor: the name of a person, or ``link:<id>``.
            language: ``ko`` or ``en``; what the runner's own pages speak.
            query: of the page's address, without ``?``; the notebook may read it.

        Returns:
            ``visit/<random>/`` or with ``?query``, to be put into the frame, below the service's prefix. Its
            page is served once.

        Raises:
            FullError, FailedError: with a neutral sentence.
        """

    async def end(self, slug: str, visitors: Collection[str]) -> None:
        """End the visits of these visitors at once: they may not come in any more."""

    async def stop(self, slug: str) -> None:
        """End all visits at once, and the app as soon as the Hub does; that is not waited for.

        The next :meth:`start` or :meth:`open` starts what is current then.
        """

    async def check(self, dashboard: Dashboard, version: Version) -> CheckResult:
        """Run a version as for a visitor, in the real environment.

        An installation that cannot run it (no room, no engine) is a check that failed as well, with a sentence
        in place of a traceback.
        """

    async def desk(self, slug: str) -> Desk:
        """What the author reads."""

    def visits(self, slug: str) -> list[OpenVisit]:
        """Who is there."""

    def in_use(self) -> frozenset[str]:
        """The snapshots that running apps show; they must not be removed."""

    def handlers(self, prefix: str) -> list[Any]:
        """Rules of tornado for everything below ``<prefix>visit/``; ``prefix`` ends with a slash.

        They ask for no cookie: whoever has the random path is that visit's frame.
        """

    async def run(self) -> None:
        """Adopt what runs, then look after it until cancelled."""
