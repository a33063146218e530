"""What accelerators were used: events that are only added to, and what follows from them. Rules only.

Three events. *began*: a lease is active from this moment. *ended*: it is charged until this moment. *beat*:
at this moment everything that had begun and not ended was known to be there. A lease is charged from its
*began* to its *ended*, and while there is none, to the last *beat* after its *began*. So after a crash

* no second is charged twice: a lease has one beginning and one end, and a repeated event changes nothing;
* what is still there is charged through, at the next beat; what stopped meanwhile is charged until the
  moment that the engine remembers. Only where it remembers none, because the container was removed by another
  hand, is the time from the last beat on lost: with a Hub that is up, at most that between two beats.

The figures are whole seconds of whole leases. Weights come last, and only there are fractions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from zoneinfo import ZoneInfo

from madang_hub.accelerators.fairshare import Person, Shares, Usage
from madang_hub.accelerators.leases import HELD, Lease, Policy, State
from madang_hub.people.sentences import Sentence
from madang_hub.web.i18n import N_


class What(Enum):
    """The kinds of events."""

    BEGAN = "began"
    ENDED = "ended"
    BEAT = "beat"


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the ledger. A beat has a moment only; ``parts``: how many share the slot."""

    moment: int
    what: What
    lease: str = ""
    person: str = ""
    team: str = ""
    kind: str = ""
    model: str = ""
    count: int = 1
    parts: int = 1


@dataclass(frozen=True, slots=True)
class Span:
    """A lease's time from ``begin`` to ``end``."""

    lease: str
    person: str
    team: str
    kind: str
    model: str
    count: int
    parts: int
    begin: int
    end: int

    def weight(self, policy: Policy) -> float:
        """What one second of it counts."""
        return policy.rate(self.kind, self.model, self.count, self.parts)


def booked(before: Lease, after: Lease) -> Event | None:
    """What the ledger says about a lease's step."""
    if before.state is not State.ACTIVE and after.state is State.ACTIVE:
        what, moment = What.BEGAN, after.began
    elif before.state is State.ACTIVE and after.state is not State.ACTIVE:
        what, moment = What.ENDED, after.stopped
    else:
        return None
    request = after.request
    return Event(
        moment,
        what,
        after.id,
        request.person,
        request.team,
        request.kind,
        after.model,
        request.count,
        after.parts,
    )


class Ledger:
    """What follows from events, added in their order; the same whether all at once or one by one."""

    def __init__(self) -> None:
        self._open: dict[str, Span] = {}
        self._closed: dict[str, Span] = {}
        self.last_beat = 0

    def add(self, events: Iterable[Event]) -> list[Span]:
        """Take in ``events``; returns the spans that were closed by them."""
        closed = []
        for event in events:
            if event.what is What.BEAT:
                self.last_beat = max(self.last_beat, event.moment)
            elif event.what is What.BEGAN:
                if event.lease not in self._open and event.lease not in self._closed:
                    self._open[event.lease] = Span(
                        event.lease,
                        event.person,
                        event.team,
                        event.kind,
                        event.model,
                        event.count,
                        event.parts,
                        event.moment,
                        event.moment,
                    )
            elif span := self._open.pop(event.lease, None):
                done = replace(span, end=max(span.begin, event.moment))
                self._closed[event.lease] = done
                closed.append(done)
        return closed

    def spans(self) -> Iterator[Span]:
        """Every lease's charged time so far."""
        yield from self._closed.values()
        for span in self._open.values():
            yield replace(span, end=max(span.begin, self.last_beat))

    def forget(self, before: int) -> None:
        """Leave out what ended before, where only later periods are asked for."""
        self._closed = {k: s for k, s in self._closed.items() if s.end >= before}


def seconds(spans: Iterable[Span], begin: int, end: int) -> dict[Span, int]:
    """Whole seconds in ``begin`` to ``end``, of each lease that has any."""
    found = {}
    for span in spans:
        within = min(span.end, end) - max(span.begin, begin)
        if within > 0:
            found[span] = within
    return found


def totals(spans: Iterable[Span], begin: int, end: int, policy: Policy) -> dict[Person, float]:
    """Weighed slot-seconds of each (team, person) in ``begin`` to ``end``."""
    found: dict[Person, float] = {}
    for span, within in seconds(spans, begin, end).items():
        who = (span.team, span.person)
        found[who] = found.get(who, 0.0) + within * span.weight(policy)
    return found


def month(now: int, zone: ZoneInfo) -> tuple[int, int]:
    """Begin and end of the calendar month of ``zone`` that ``now`` is in."""
    day = datetime.fromtimestamp(now, zone)
    first = day.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    return int(first.timestamp()), int(following.timestamp())


# ---- shares -----------------------------------------------------------------------------------


def remember(usage: Usage, closed: Iterable[Span], policy: Policy) -> None:
    """Let leases that are over count in ``usage``."""
    for span in closed:
        usage.add((span.team, span.person), span.begin, span.end, span.weight(policy))


def shares_at(
    now: int,
    usage: Usage,
    held: Iterable[Lease],
    policy: Policy,
    weights: Mapping[str, float] | None = None,
) -> Shares:
    """Who has used how much at ``now``, with what ``held`` leases used and may still use."""
    used = usage.at(now)
    for lease in held:
        if lease.state not in HELD or lease.state is State.ENDING:
            continue
        who = (lease.request.team, lease.request.person)
        request = lease.request
        rate = policy.rate(request.kind, lease.model, request.count, lease.parts)
        began = lease.began if lease.state is State.ACTIVE else now
        still = min(max(0, lease.ends - now), lease.request.seconds)
        used[who] = used.get(who, 0.0) + rate * (usage.of(began, now) + still)
    return Shares(used, weights or {})


# ---- budgets ----------------------------------------------------------------------------------

WARN = 0.8
"""The part of a budget from which on it is said that it runs out."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What an admin gave a team beside its budget, in weighed slot-seconds of the period with ``moment``."""

    team: str
    amount: int
    moment: int
    by: str
    why: str


class BudgetSpentError(ValueError):
    """A request is more than its team has left; ``sentence`` says so and who can help."""

    def __init__(self, sentence: Sentence) -> None:
        self.sentence = sentence
        super().__init__(str(sentence))


@dataclass(frozen=True, slots=True)
class Budget:
    """A team's budget at one moment, in weighed slot-seconds; None: no limit.

    Attributes:
        limit: of the period, with what was given beside it.
        used: of the period, so far.
        promised: what requests in line and held leases may still use.
    """

    team: str
    limit: float | None
    used: float
    promised: float = 0.0

    @property
    def spent(self) -> bool:
        """Whether nothing is left: its requests wait until more is granted or the next period."""
        return self.limit is not None and self.used >= self.limit

    @property
    def warns(self) -> bool:
        return self.limit is not None and self.used + self.promised >= WARN * self.limit

    @property
    def warning(self) -> Sentence | None:
        """What its people should know; None while there is enough."""
        if not self.warns or self.limit is None:
            return None
        percent = round(100 * (self.used + self.promised) / self.limit) if self.limit else 100
        return Sentence(
            N_("{team} has used or asked for {percent}% of its accelerator time of this month."),
            {"team": self.team, "percent": percent},
        )

    def check(self, amount: float, helpers: Sequence[str]) -> None:
        """Whether ``amount`` more may be asked for.

        Raises:
            BudgetSpentError: it is more than is left; ``helpers`` are the people who can grant more.
        """
        if self.limit is None or self.used + self.promised + amount <= self.limit:
            return
        left = max(0.0, self.limit - self.used - self.promised)
        raise BudgetSpentError(
            Sentence(
                N_(
                    "{team} has {minutes} minutes of accelerator time left this month, which is less "
                    "than you ask for; {helpers} can grant more."
                ),
                {
                    "team": self.team,
                    "minutes": int(left // 60),
                    "helpers": ", ".join(helpers) or "admin",
                },
            )
        )


def budget_of(
    team: str,
    limit: float | None,
    allowances: Iterable[Allowance],
    spans: Iterable[Span],
    leases: Iterable[Lease],
    now: int,
    zone: ZoneInfo,
    policy: Policy,
) -> Budget:
    """A team's budget of this month.

    Args:
        limit: of every month; None: no limit.
        leases: open ones, of any team. One waiting counts with its whole time, by the model that it names and
            the largest part that it may get.
    """
    begin, end = month(now, zone)
    used = sum(n for (t, _), n in totals(spans, begin, end, policy).items() if t == team)
    given = sum(a.amount for a in allowances if a.team == team and begin <= a.moment < end)
    promised = 0.0
    for lease in leases:
        request = lease.request
        if request.team != team or lease.state in (State.ENDING, State.ENDED):
            continue
        model = lease.model or request.model
        rate = policy.rate(request.kind, model, request.count, lease.parts)
        still = lease.ends - now if lease.state is State.ACTIVE else request.seconds
        promised += rate * max(0, still)
    return Budget(team, None if limit is None else limit + given, used, promised)
