"""The life of an app. Rules only; times are seconds of one clock that only goes forward.

::

    asleep --start--> starting --answers--> ready --nobody for 10 min, or stopped--> asleep
      ^                  |                    |
      |                  +----> failed <------+   it ended by itself soon after it was ready
      +--- a while later ---------+

A failed one is tried again by the next visitor after a while, three times in a row; then it rests for longer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from madang_hub.dashboards.gateway.gateway import Doing


@dataclass(frozen=True, slots=True)
class Patience:
    """Lengths in seconds.

    Attributes:
        empty: an app is stopped so long after its last visitor.
        waits: after each failed start in a row until the next may be tried.
        rests: after the last of those.
        start: a start that takes longer has failed.
        young: an app that ends by itself so soon after it was ready has failed.
        silent: an app that has not answered for so long is taken for dead.
        page: a visit whose page nobody asks for is forgotten after this.
    """

    empty: float = 600.0
    waits: tuple[float, ...] = (5.0, 30.0)
    rests: float = 600.0
    start: float = 120.0
    young: float = 60.0
    silent: float = 30.0
    page: float = 60.0

    @property
    def tries(self) -> int:
        """Starts in a row before it rests."""
        return len(self.waits) + 1


@dataclass(frozen=True, slots=True)
class Life:
    """Where an app is.

    Attributes:
        since: when it came there.
        tries: starts that failed since the last one that went well.
        until: no start before this.
        empty: since when nobody visits; None: somebody does, or it does not run.
    """

    doing: Doing = Doing.ASLEEP
    since: float = 0.0
    tries: int = 0
    until: float = 0.0
    empty: float | None = None

    @property
    def runs(self) -> bool:
        """Whether it answers."""
        return self.doing is Doing.READY


def may_start(life: Life, now: float) -> bool:
    """Whether a visitor's coming starts it."""
    if life.doing is Doing.FAILED:
        return now >= life.until
    return life.doing is Doing.ASLEEP


def started(life: Life, now: float) -> Life:
    """A start has begun."""
    return replace(life, doing=Doing.STARTING, since=now, empty=None)


def answered(life: Life, now: float) -> Life:
    """It is ready; nobody is there yet."""
    return Life(Doing.READY, now, life.tries, 0.0, now)


def failed(life: Life, now: float, patience: Patience) -> Life:
    """A start went wrong."""
    tries = life.tries + 1
    if tries >= patience.tries:
        # what follows the rest begins anew
        return Life(Doing.FAILED, now, 0, now + patience.rests)
    return Life(Doing.FAILED, now, tries, now + patience.waits[tries - 1])


def ended(life: Life, now: float, patience: Patience) -> Life:
    """It ended by itself."""
    if life.doing is not Doing.READY:
        return life
    if now - life.since < patience.young:
        return failed(life, now, patience)
    return Life(Doing.ASLEEP, now)


def visited(life: Life, visits: int, now: float, patience: Patience) -> Life:
    """So many are there now."""
    if not life.runs:
        return life
    settled = now - life.since >= patience.young
    tries = 0 if settled else life.tries
    empty = None if visits else (now if life.empty is None else life.empty)
    return replace(life, empty=empty, tries=tries)


def over(life: Life, now: float, patience: Patience) -> bool:
    """Whether it is to be stopped: nobody has been there for a while."""
    return life.runs and life.empty is not None and now - life.empty >= patience.empty


def percent(life: Life, now: float, usual: float) -> int:
    """How far it is, from 0 to 100; a start never says more than 95.

    Args:
        usual: how long the last start took, in seconds.
    """
    if life.runs:
        return 100
    if life.doing is not Doing.STARTING:
        return 0
    return min(95, int(100 * (now - life.since) / max(usual, 0.1)))
