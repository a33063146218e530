"""How many warm servers of each kind wait in server mode: the rule alone; ``servers.py`` keeps to it.

*Kind*: environment, size and perhaps the slot of an accelerator, as one word (``kinds.py``). Everything is told
from outside, the time as well.

1. **Wanted** of a kind is the largest of its *base*, of what meetings that begin soon or began just now need
   (one for each person of the class that has no server yet), and of the *recent demand*: the most starts in any
   stretch of time that is as long as one server takes to be made ready, times a margin.
2. **Room** is the memory that people do not need: what the machine has, less what is taken by others than warm
   servers, less a reserve for what people's programs grow by. Warm servers must fit into it. Where they do not,
   meetings come first, the nearest begin before the later ones, then recent demand, then bases. None is made
   while people need all cores; those that wait take none.
3. A server that is too old, or of another version of its image than the present one, is *outdated*: it is
   removed, never claimed, and counts for nothing.
4. Surplus is removed at once where room is short, else only after *patience*, so that a pool does not swing.
5. No more are made at the same time than *pace* allows: people's own starts come first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Kind:
    """What one warm server of this kind takes: memory in bytes while it waits, cores while it is made.

    ``more``: whether any may be made; where not, those that wait may stay.
    """

    base: int
    memory: int
    version: str
    most: int = 1_000
    """More never wait: of a kind with the slot of an accelerator, one."""
    more: bool = True


@dataclass(frozen=True)
class Meeting:
    """A class of ``people`` that meets from ``begin``; ``started`` of them have a server."""

    kind: str
    begin: datetime
    people: int
    started: int = 0


@dataclass(frozen=True)
class Waiting:
    """A warm server that nobody has yet; ``ready`` is False while it is made."""

    identity: str
    kind: str
    version: str
    made: datetime
    ready: bool = True


@dataclass(frozen=True)
class Machine:
    """Memory in bytes and CPU in cores: what there is, what others than warm servers take, what stays free."""

    memory: int
    cpu: float
    memory_of_people: int
    cpu_of_people: float
    memory_reserve: int
    cpu_reserve: float = 0.0

    @property
    def room(self) -> int:
        """Bytes for warm servers."""
        return max(0, self.memory - self.memory_reserve - self.memory_of_people)

    @property
    def has_cores(self) -> bool:
        """Whether people do not need all cores."""
        return self.cpu - self.cpu_reserve - self.cpu_of_people > 0


@dataclass(frozen=True)
class Rule:
    """The numbers of the rule."""

    ahead: timedelta = timedelta(minutes=5)
    """So long before a meeting begins its servers are made ready."""
    late: timedelta = timedelta(minutes=15)
    """So long after the beginning those who come late find one."""
    memory_of_demand: timedelta = timedelta(minutes=30)
    stretch: timedelta = timedelta(seconds=30)
    """The time in which a server that was claimed is replaced."""
    margin: float = 1.5
    max_age: timedelta = timedelta(hours=12)
    patience: timedelta = timedelta(minutes=10)
    pace: int = 2
    """How many are made at the same time."""


@dataclass(frozen=True)
class Plan:
    """What is to be done now: kinds to make one of, the most urgent first, and servers to remove."""

    make: tuple[str, ...]
    remove: frozenset[str]
    wanted: Mapping[str, int] = field(default_factory=dict)
    """How many of each kind are to wait, after the machine's room was looked at."""


def busiest(starts: Iterable[datetime], now: datetime, rule: Rule) -> int:
    """The most ``starts`` in one stretch of time, of those that are not forgotten."""
    known = sorted(t for t in starts if now - rule.memory_of_demand <= t <= now)
    most = first = 0
    for last, moment in enumerate(known):
        while moment - known[first] > rule.stretch:
            first += 1
        most = max(most, last - first + 1)
    return most


def wishes(
    kinds: Mapping[str, Kind],
    meetings: Iterable[Meeting],
    starts: Mapping[str, Sequence[datetime]],
    now: datetime,
    rule: Rule,
) -> list[str]:
    """One entry per warm server that is wanted, the most urgent first; unknown kinds are left out."""
    coming = sorted(
        (m for m in meetings if m.begin - rule.ahead <= now < m.begin + rule.late),
        key=lambda m: (m.begin, m.kind),
    )
    urgent: list[str] = []
    have = dict.fromkeys(kinds, 0)

    def add(kind: str, upto: int) -> None:
        count = min(upto, kinds[kind].most) - have[kind]
        if count > 0:
            urgent.extend([kind] * count)
            have[kind] += count

    needed = dict.fromkeys(kinds, 0)
    for meeting in coming:
        if meeting.kind in kinds:
            # classes that meet at once need the sum, not the larger
            needed[meeting.kind] += max(0, meeting.people - meeting.started)
            add(meeting.kind, needed[meeting.kind])
    for kind in sorted(kinds):
        most = busiest(starts.get(kind, ()), now, rule)
        add(kind, -int(-most * rule.margin // 1))
    for kind in sorted(kinds):
        add(kind, kinds[kind].base)
    return urgent


def fitting(urgent: Sequence[str], kinds: Mapping[str, Kind], room: int) -> list[str]:
    """As many of ``urgent`` as ``room`` holds, in their order; one that is too large lets smaller ones pass."""
    kept = []
    for kind in urgent:
        if kinds[kind].memory <= room:
            room -= kinds[kind].memory
            kept.append(kind)
    return kept


def outdated(server: Waiting, kinds: Mapping[str, Kind], now: datetime, rule: Rule) -> bool:
    """Whether nobody may get this one any more."""
    kind = kinds.get(server.kind)
    return kind is None or server.version != kind.version or now - server.made > rule.max_age


def plan(
    kinds: Mapping[str, Kind],
    waiting: Iterable[Waiting],
    meetings: Iterable[Meeting],
    starts: Mapping[str, Sequence[datetime]],
    machine: Machine,
    now: datetime,
    rule: Rule | None = None,
) -> Plan:
    """What to do now, so that ``waiting`` comes nearer to what is wanted.

    ``starts`` holds, for each kind, the moments at which people started one, warm or cold.
    """
    rule = rule or Rule()
    waiting = list(waiting)
    old = {s.identity for s in waiting if outdated(s, kinds, now, rule)}
    fresh = [s for s in waiting if s.identity not in old]
    urgent = fitting(wishes(kinds, meetings, starts, now, rule), kinds, machine.room)
    wanted = {kind: urgent.count(kind) for kind in kinds}
    held = sum(kinds[s.kind].memory for s in fresh)
    surplus = _surplus(fresh, wanted)
    removed = []
    for server in surplus:
        short = held > machine.room
        if short or now - server.made > rule.patience:
            removed.append(server.identity)
            held -= kinds[server.kind].memory
    remove = frozenset(old.union(removed))
    left = [s for s in fresh if s.identity not in remove]
    make = _to_make(urgent, left, kinds, machine.room - held, rule) if machine.has_cores else ()
    return Plan(make, remove, wanted)


def _surplus(fresh: Sequence[Waiting], wanted: Mapping[str, int]) -> list[Waiting]:
    """What waits beyond what is wanted: the oldest of each kind, those that are still made first of all."""
    over = []
    for kind, number in wanted.items():
        own = sorted((s for s in fresh if s.kind == kind), key=lambda s: (s.ready, s.made))
        over += own[: max(0, len(own) - number)]
    return over


def _to_make(
    urgent: Sequence[str],
    left: Sequence[Waiting],
    kinds: Mapping[str, Kind],
    room: int,
    rule: Rule,
) -> tuple[str, ...]:
    """The most urgent that are missing, as far as pace and what room is left allow."""
    have = {kind: sum(s.kind == kind for s in left) for kind in kinds}
    free = rule.pace - sum(not s.ready for s in left)
    made: list[str] = []
    for kind in urgent:
        if have[kind]:
            have[kind] -= 1
        elif kinds[kind].more and len(made) < free and kinds[kind].memory <= room:
            room -= kinds[kind].memory
            made.append(kind)
    return tuple(made)
