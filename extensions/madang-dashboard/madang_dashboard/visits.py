"""The life of a visit, from the page to its end. Pure: times are passed in, as seconds of a clock that only
goes forward.

A visit is *preparing* while its page is made, *awaited* until the page's socket comes, *open* while a socket is
there, *away* when none is, and *ended*. A page is made once: a name that was used is never used again.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from enum import StrEnum

ENDED_CODE = 4001
"""Close code of a socket whose visit is over; the page says so and does not try again."""
REMEMBERED = 100_000
"""Names of ended visits that are kept, so that a copied address gets no new page."""


class State(StrEnum):
    """Where a visit is in its life."""

    PREPARING = "preparing"
    AWAITED = "awaited"
    OPEN = "open"
    AWAY = "away"
    ENDED = "ended"


class Why(StrEnum):
    """Why a visit ended."""

    LEFT = "left"
    IDLE = "idle"
    DIED = "died"
    CLOSED = "closed"
    """The gateway ended it."""
    FAILED = "failed"
    """The page could not be made."""
    FLOOD = "flood"


class VisitError(Exception):
    """A visit cannot begin or go on."""


class GoneError(VisitError):
    """Its page was served already."""


class FullError(VisitError):
    """No seat is free."""


@dataclass(frozen=True)
class Patience:
    """How long a visit is kept, in seconds."""

    left: float = 15.0
    """after its last socket is gone"""
    idle: float = 1800.0
    """after the visitor last did something"""
    awaited: float = 60.0
    """from the whole page to the page's first socket"""


@dataclass
class Visit:
    """One visit that has not ended."""

    name: str
    opened: float
    touched: float
    since: float
    """When it came into its present state."""
    state: State = State.PREPARING
    kernel: str | None = None
    sockets: int = 0


@dataclass
class Visits:
    """The visits of this container."""

    patience: Patience = field(default_factory=Patience)
    here: dict[str, Visit] = field(default_factory=dict)
    """Those that have not ended, by name."""
    gone: OrderedDict[str, Why] = field(default_factory=OrderedDict)
    """Those that have, oldest first."""

    def open(self, name: str, now: float, seats: int) -> Visit:
        """A new visit.

        Raises:
            GoneError: the name was used before.
            FullError: all ``seats`` are taken; the name stays unused.
        """
        if name in self.here or name in self.gone:
            raise GoneError(name)
        if len(self.here) >= seats:
            raise FullError(name)
        visit = Visit(name, opened=now, touched=now, since=now)
        self.here[name] = visit
        return visit

    def get(self, name: str, kernel: str | None = None) -> Visit | None:
        """The visit ``name`` if it has not ended and, where ``kernel`` is given, if that is its kernel."""
        visit = self.here.get(name)
        if visit is None or (kernel is not None and visit.kernel != kernel):
            return None
        return visit

    def rendered(self, visit: Visit, now: float) -> None:
        """The whole page was sent."""
        if visit.state is State.PREPARING:
            visit.state, visit.since, visit.touched = State.AWAITED, now, now

    def connected(self, visit: Visit, now: float) -> None:
        """A socket of its page came."""
        visit.sockets += 1
        visit.touched = now
        if visit.state is not State.OPEN:
            visit.state, visit.since = State.OPEN, now

    def disconnected(self, visit: Visit, now: float) -> None:
        """One of its sockets is gone."""
        visit.sockets -= 1
        if visit.sockets <= 0 and visit.state is State.OPEN:
            visit.state, visit.since = State.AWAY, now

    def end(self, visit: Visit, why: Why) -> None:
        """It is over; its name stays used."""
        visit.state = State.ENDED
        self.here.pop(visit.name, None)
        self.gone[visit.name] = why
        while len(self.gone) > REMEMBERED:
            self.gone.popitem(last=False)

    def due(self, now: float) -> list[tuple[Visit, Why]]:
        """Visits whose time is over, and why."""
        found = []
        waits = {State.AWAY: self.patience.left, State.AWAITED: self.patience.awaited}
        for visit in self.here.values():
            if now - visit.since >= waits.get(visit.state, float("inf")):
                found.append((visit, Why.LEFT))
            elif now - visit.touched >= self.patience.idle:
                found.append((visit, Why.IDLE))
        return found
