"""Visits as the gateway knows them: whose each is, in which app, and whether its page was served. Rules only;
times are seconds of one clock that only goes forward.

A name is drawn once and never used again. Its page is served once; whoever asks again finds it gone.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Collection
from dataclasses import dataclass, field

REMEMBERED = 100_000
"""Names of ended visits that are kept, so that a copied address is told to be gone."""
SETTLING = 5.0
"""Seconds from a page's request until the app must know the visit."""


class UnknownError(Exception):
    """There is no such visit."""


class GoneError(Exception):
    """It has ended, or its page was served already."""


@dataclass(slots=True)
class Visit:
    """One that has not ended.

    Attributes:
        app: the Hub's name of the server that shows it.
        visitor: whose it is: a person's name or ``link:<id>``.
        wall: when it began, in seconds since 1970.
        shown: when its page was asked for; None: it was not yet.
        sockets: how many are open through the gateway.
        requests: what else was asked below its path.
    """

    name: str
    slug: str
    app: str
    visitor: str
    language: str
    began: float
    wall: float
    requests: Bucket
    shown: float | None = None
    sockets: int = 0


@dataclass(slots=True)
class Bucket:
    """Lets ``rate`` pass each second on average, ``burst`` at once."""

    rate: float
    burst: float
    level: float = 0.0
    at: float = 0.0

    def take(self, now: float) -> bool:
        """Whether one more may pass at ``now``; if so it is counted."""
        self.level = max(0.0, self.level - (now - self.at) * self.rate)
        self.at = now
        if self.level + 1 > self.burst:
            return False
        self.level += 1
        return True


@dataclass(frozen=True, slots=True)
class Limits:
    """What one visitor may do.

    Attributes:
        minute: visits that a person may begin in a minute; ``linked``: all together who came by one link.
        open: visits that a person may have open at the same time; nothing for links.
        share: one person may have this part of an app's seats, and two in any case. Of whoever came by one link
            as many may be waited for, whose pages nobody asked for yet.
        held: seconds that a visit takes a seat whose page nobody asks for.
        rate, burst: requests of a visit in a second on average, and at once: a page loads some hundred files.
        sockets: of one visit at the same time.
        waits: people who may wait for one app to start.
    """

    minute: int = 20
    linked: int = 120
    open: int = 10
    share: float = 0.25
    held: float = 10.0
    rate: float = 20.0
    burst: float = 600.0
    sockets: int = 2
    waits: int = 200


def by_link(visitor: str) -> bool:
    """Whether this is whoever came by a link, not one person."""
    return visitor.startswith("link:")


@dataclass
class Visits:
    """The visits of all apps."""

    limits: Limits = field(default_factory=Limits)
    here: dict[str, Visit] = field(default_factory=dict)
    gone: OrderedDict[str, None] = field(default_factory=OrderedDict)
    """Names of those that have ended, oldest first."""
    lately: dict[str, deque[float]] = field(default_factory=dict)
    """When each visitor began visits in the last minute."""

    def may_begin(self, visitor: str, now: float) -> bool:
        """Whether the visitor may begin one more; only those that began count."""
        self._forget(now)
        linked = by_link(visitor)
        most = self.limits.linked if linked else self.limits.minute
        if len(self.lately.get(visitor, ())) >= most:
            return False
        return linked or sum(v.visitor == visitor for v in self.here.values()) < self.limits.open

    def _forget(self, now: float) -> None:
        for visitor, times in list(self.lately.items()):
            while times and now - times[0] >= 60:
                times.popleft()
            if not times:
                del self.lately[visitor]

    def begin(
        self,
        name: str,
        slug: str,
        app: str,
        visitor: str,
        language: str,
        now: float,
        wall: float,
    ) -> Visit:
        """A new one; its page may be asked for, once."""
        bucket = Bucket(self.limits.rate, self.limits.burst, at=now)
        visit = Visit(name, slug, app, visitor, language, now, wall, bucket)
        self.here[name] = visit
        self.lately.setdefault(visitor, deque()).append(now)
        return visit

    def get(self, name: str) -> Visit:
        """The visit of this name.

        Raises:
            GoneError: it has ended.
            UnknownError: there never was one.
        """
        if name in self.gone:
            raise GoneError(name)
        try:
            return self.here[name]
        except KeyError:
            raise UnknownError(name) from None

    def page(self, name: str, now: float) -> Visit:
        """Its page is asked for.

        Raises:
            GoneError, UnknownError: as :meth:`get`; or the page was asked for before.
        """
        visit = self.get(name)
        if visit.shown is not None:
            raise GoneError(name)
        visit.shown = now
        return visit

    def end(self, visit: Visit) -> None:
        """It is over; its name stays used."""
        self.here.pop(visit.name, None)
        self.gone[visit.name] = None
        while len(self.gone) > REMEMBERED:
            self.gone.popitem(last=False)

    def of(self, slug: str) -> list[Visit]:
        """Those of one dashboard."""
        return [v for v in self.here.values() if v.slug == slug]

    def of_app(self, app: str) -> list[Visit]:
        """Those in one app."""
        return [v for v in self.here.values() if v.app == app]

    def _seated(self, app: str, now: float) -> list[Visit]:
        held = self.limits.held
        return [v for v in self.of_app(app) if v.shown is not None or now - v.began < held]

    def taken(self, app: str, now: float) -> int:
        """Seats of ``app`` that are taken at ``now``."""
        return len(self._seated(app, now))

    def shares(self, app: str, visitor: str, seats: int, now: float) -> bool:
        """Whether the visitor leaves the others enough of the ``seats`` of ``app`` with one visit more."""
        own = [v for v in self._seated(app, now) if v.visitor == visitor]
        if by_link(visitor):
            # they are many; but one of them alone can begin what nobody looks at
            own = [v for v in own if v.shown is None]
        return len(own) < max(2, int(seats * self.limits.share))

    def unasked(self, now: float, patience: float) -> list[Visit]:
        """Those whose page nobody asked for in ``patience`` seconds."""
        return [v for v in self.here.values() if v.shown is None and now - v.began >= patience]

    def missing(self, app: str, known: Collection[str], now: float) -> list[Visit]:
        """Those which the app, asked at ``now`` or later, does not know (any more)."""
        return [
            v
            for v in self.of_app(app)
            if v.shown is not None and now - v.shown >= SETTLING and v.name not in known
        ]
