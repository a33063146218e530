"""What accelerators were used for in a month, as the ledger says it: by team, class, industry, kind and day.

Rules only. An *accelerator-hour* is an hour of one slot: a lease of two counts twice, a part of a shared one
its part. *Weighed* hours are what budgets count. A wait is from asking to the grant, of what was granted in the
period; what replaces a broken lease keeps its old place and is no wait.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Protocol
from zoneinfo import ZoneInfo

from madang_hub.accelerators.leases import Lease, Policy
from madang_hub.accelerators.ledger import Span, month, seconds

HOUR = 3600


class Told(Protocol):
    """What a line is chosen by."""

    @property
    def team(self) -> str: ...

    @property
    def kind(self) -> str: ...

    @property
    def model(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Wait:
    """That somebody of ``team`` waited so many seconds for a slot."""

    team: str
    kind: str
    model: str
    seconds: int


@dataclass(frozen=True, slots=True)
class Line:
    """What one team (class, industry, kind) used.

    Attributes:
        used: slot-seconds, exactly: a part of a shared slot is a fraction.
        weighed: slot-seconds by the weights of now.
        leases, people: so many different ones that used something.
        waits: seconds, rising.
    """

    name: str
    used: Fraction
    weighed: float
    leases: int
    people: int
    waits: tuple[int, ...] = ()

    @property
    def hours(self) -> float:
        return float(self.used / HOUR)

    @property
    def weighed_hours(self) -> float:
        return self.weighed / HOUR

    @property
    def median_wait(self) -> int | None:
        return rank(self.waits, 0.5)

    @property
    def p95_wait(self) -> int | None:
        return rank(self.waits, 0.95)


def rank(rising: tuple[int, ...], part: float) -> int | None:
    """The smallest of ``rising`` that ``part`` of them do not exceed (nearest rank); None of nothing."""
    return rising[max(0, math.ceil(part * len(rising)) - 1)] if rising else None


def slot_seconds(span: Span, within: int) -> Fraction:
    """What ``within`` seconds of a lease are in seconds of one slot."""
    return Fraction(within * span.count, span.parts)


def waits_of(leases: Iterable[Lease]) -> list[Wait]:
    """How long these waited for their grant."""
    return [
        Wait(
            x.request.team,
            x.request.kind,
            x.model or x.request.model,
            max(0, x.granted - x.asked),
        )
        for x in leases
        if x.granted and not x.returned
    ]


def lines(
    used: Mapping[Span, int],
    waits: Iterable[Wait],
    policy: Policy,
    key: Callable[[Told], str | None],
) -> list[Line]:
    """One line for each value of ``key`` (None: left out), the most used first.

    Args:
        used: seconds of each lease in the period (:func:`.ledger.seconds`).
    """
    spans: dict[str, list[tuple[Span, int]]] = {}
    for span, within in used.items():
        if (name := key(span)) is not None:
            spans.setdefault(name, []).append((span, within))
    waited: dict[str, list[int]] = {}
    for wait in waits:
        if (name := key(wait)) is not None:
            waited.setdefault(name, []).append(wait.seconds)
    found = [
        Line(
            name,
            sum((slot_seconds(s, n) for s, n in spans.get(name, ())), Fraction(0)),
            sum(n * s.weight(policy) for s, n in spans.get(name, ())),
            len({s.lease for s, _ in spans.get(name, ())}),
            len({s.person for s, _ in spans.get(name, ())}),
            tuple(sorted(waited.get(name, ()))),
        )
        for name in {*spans, *waited}
    ]
    return sorted(found, key=lambda line: (-line.used, line.name))


def total(used: Mapping[Span, int], waits: Iterable[Wait], policy: Policy) -> Line:
    """Everything in one line."""
    found = lines(used, waits, policy, lambda _: "")
    return found[0] if found else Line("", Fraction(0), 0.0, 0, 0)


def daily(
    spans: Iterable[Span], begin: int, end: int, zone: ZoneInfo
) -> list[tuple[date, Fraction]]:
    """Slot-seconds of each day of ``zone`` from ``begin`` to ``end``, both of which begin a day."""
    known = list(spans)
    found = []
    day = datetime.fromtimestamp(begin, zone).date()
    while (first := _midnight(day, zone)) < end:
        following = day + timedelta(days=1)
        within = seconds(known, first, _midnight(following, zone))
        found.append((day, sum((slot_seconds(s, n) for s, n in within.items()), Fraction(0))))
        day = following
    return found


def _midnight(day: date, zone: ZoneInfo) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())


@dataclass(frozen=True, slots=True)
class Month:
    """A calendar month of the operator's zone, from a moment to a moment."""

    year: int
    number: int
    begin: int
    end: int

    @property
    def name(self) -> str:
        """As addresses write it: ``2026-11``."""
        return f"{self.year:04d}-{self.number:02d}"


def month_at(moment: int, zone: ZoneInfo) -> Month:
    """The month that ``moment`` is in."""
    day = datetime.fromtimestamp(moment, zone)
    return Month(day.year, day.month, *month(moment, zone))


def month_named(text: str, zone: ZoneInfo) -> Month:
    """The month called ``2026-11``.

    Raises:
        ValueError: none is.
    """
    if not re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])", text):
        raise ValueError(text)
    return month_at(int(datetime(int(text[:4]), int(text[5:]), 1, tzinfo=zone).timestamp()), zone)
