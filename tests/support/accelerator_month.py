"""A month of accelerators: teams of all sizes, a class, slots that fall ill, a Hub that crashes.

It runs the real rules on a made-up clock, checks after each step what must always hold, and keeps figures.
Who does what is drawn from a seed, for both orders the same way: fair, and first come, first served.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from statistics import quantiles
from zoneinfo import ZoneInfo

from madang_hub.accelerators import leases as rules
from madang_hub.accelerators.leases import Lease, Policy, State
from madang_hub.accelerators.ledger import Ledger, totals
from madang_hub.accelerators.pools import Fleet, reservations
from madang_hub.accelerators.reconcile import Container, Do, reconcile
from madang_hub.people.timetable import Timetable, parse_times
from support.accelerators import World, ill, slots, wish

HOUR, DAY = 3600, 86400
BEGIN = int(datetime(2026, 3, 1, 15, tzinfo=UTC).timestamp())
"""Monday 2 March in Seoul."""
BEAT = 60
"""Seconds between two beats."""

TEAMS: Mapping[str, tuple[int, float]] = {
    "team:solo": (6, 1.0),
    "team:small": (9, 1.0),
    "team:steady": (15, 1.0),
    "team:pair": (20, 2.0),
    "team:mid": (30, 1.0),
    "team:large": (50, 1.0),
    "team:huge": (90, 1.0),
}
"""Team to people and weight."""
CLASS, PUPILS = "class:ai", 12
POLICY = Policy(patience=4 * DAY, half_life=3 * DAY)


@dataclass
class Month:
    """What came of it.

    Attributes:
        service: weighed slot-seconds of each team without the class, divided by its weight.
        waits: seconds until granted, of each team.
        late: seconds that pupils waited during class.
    """

    service: dict[str, float]
    waits: dict[str, list[int]]
    late: list[int]
    leases: int
    crashes: int
    ill: int
    lost: int
    """Seconds used but not charged: a container was removed by another hand while the Hub was away."""

    @property
    def jain(self) -> float:
        """Jain's index of service by weight: 1 is even, 1/n is all for one."""
        return jain(list(self.service.values()))

    def p95(self, team: str) -> float:
        return quantiles(self.waits[team], n=20)[-1]


def jain(found: Sequence[float]) -> float:
    """(Σx)² / (n Σx²), of R. Jain, D. Chiu, W. Hawe, DEC TR-301, 1984."""
    return sum(found) ** 2 / (len(found) * sum(x * x for x in found))


@dataclass
class _Use:
    """What really happened with a lease."""

    slots: tuple[str, ...]
    begin: int
    end: int | None = None
    removed: bool = False
    """By another hand while the Hub was away, so that nobody knows when."""


@dataclass
class Simulation:
    """One run; ``days`` long."""

    fair: bool
    days: int = 30
    seed: int = 1
    count: int = 24
    longest_outage: int = 3 * HOUR
    world: World = field(init=False)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)  # noqa: S311  # the same draws in every run
        table = Timetable(ZoneInfo("Asia/Seoul"), tuple(parse_times("mon-fri 09:00-12:00 lab s")))
        self.classes = reservations(
            CLASS, table, "nvidia.com/gpu", PUPILS, BEGIN, BEGIN + (self.days + 3) * DAY
        )
        weights = {team: weight for team, (_, weight) in TEAMS.items()}
        self.fleet = Fleet(slots(self.count))
        self.world = World(self.fleet, POLICY, self.classes, weights, fair=self.fair, ahead=3 * DAY)
        self.todo: list[tuple[int, int, Callable[[], None]]] = []
        self.number = 0
        self.now = BEGIN
        self.down_until = 0
        self.used: dict[str, _Use] = {}
        self.on: dict[str, str] = {}
        self.waits: dict[str, list[int]] = {team: [] for team in TEAMS}
        self.late: list[int] = []
        self.crashes = self.sick = 0
        self.changed = False

    # ---- the clock -----------------------------------------------------------------------------

    def at(self, moment: float, what: Callable[[], None]) -> None:
        self.number += 1
        heapq.heappush(self.todo, (int(moment), self.number, what))

    def run(self) -> Month:
        for team, (people, _) in TEAMS.items():
            for n in range(people):
                self.think(f"{team}-{n}", team)
        for one in self.classes:
            self.at(one.end, self.look)
            for n in range(PUPILS):
                self.at(one.begin + self.random.randrange(300), self.pupil(f"pupil{n}", one.end))
        for _ in range(self.days // 3):
            self.at(BEGIN + self.random.randrange(self.days * DAY), self.crash)
            self.at(BEGIN + self.random.randrange(self.days * DAY), self.a_slot_falls_ill)
        until = BEGIN + self.days * DAY
        while self.todo and self.todo[0][0] <= until:
            moment, _, what = heapq.heappop(self.todo)
            if moment > self.now and self.now >= self.down_until:
                self.beat(moment)
            self.now = moment
            what()
            if not self.todo or self.todo[0][0] > self.now:
                self.hub()
        return self.figures(until)

    def beat(self, until: int) -> None:
        """The last of the beats until then; the ones before it say nothing more."""
        last = until - 1 - (until - 1) % BEAT
        if last >= self.now:
            self.world.beat(last)

    def hub(self) -> None:
        """What the Hub does when something has happened, while it is there."""
        if self.now < self.down_until:
            return
        for lease in self.world.tick(self.now):
            self.after(lease.id, lease.request.person, lease.request.team)
        if self.changed:
            self.changed = False
            for lease in self.world.decide(self.now):
                self.granted(lease.id)
                self.wake(lease)

    def wake(self, lease: Lease) -> None:
        """Look again when the clock alone changes it."""
        if (moment := rules.next_due(lease, POLICY)) is not None:
            self.at(moment, self.look)

    def look(self) -> None:
        self.changed = True

    # ---- people --------------------------------------------------------------------------------

    def think(self, person: str, team: str) -> None:
        self.at(self.now + self.random.expovariate(1 / (2 * HOUR)), lambda: self.ask(person, team))

    def ask(self, person: str, team: str) -> None:
        if self.now < self.down_until:
            self.at(self.down_until, lambda: self.ask(person, team))
            return
        seconds = self.random.choice([HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR])
        count = 2 if self.random.random() < 0.05 else 1
        self.world.ask(wish(person, team, seconds, count=count), self.now)
        self.changed = True

    def pupil(self, person: str, until: int) -> Callable[[], None]:
        def comes() -> None:
            if self.now < self.down_until:
                self.at(self.down_until, comes)
            elif until - self.now > 600:
                self.world.ask(wish(person, CLASS, until - self.now), self.now)
                self.changed = True

        return comes

    def granted(self, identity: str) -> None:
        lease = self.world.open[identity]
        wait = self.now - lease.asked
        (self.waits.get(lease.request.team, self.late)).append(wait)
        # now and then nobody comes
        if self.random.random() > 0.02:
            self.at(self.now + self.random.randrange(5, 60), lambda: self.claim(identity))

    def claim(self, identity: str) -> None:
        lease = self.world.open.get(identity)
        if self.now < self.down_until:
            self.at(self.down_until, lambda: self.claim(identity))
        elif lease is not None and lease.state is State.GRANTED:
            lease = self.world.claim(identity, self.now)
            for slot in lease.slots:
                # nobody's container works on it
                assert self.on.setdefault(slot, identity) == identity
            self.used[identity] = _Use(lease.slots, self.now)
            self.world.put(rules.saw(lease, identity))
            self.wake(lease)
            part = self.random.choice([0.2, 0.5, 0.9, 1.5])
            self.at(self.now + part * lease.request.seconds, lambda: self.stop(identity))

    def stop(self, identity: str) -> None:
        """The server stops, whether the Hub is there or not."""
        use = self.used[identity]
        lease = self.world.open.get(identity)
        if lease is None or lease.state is not State.ACTIVE or use.end is not None:
            return
        self.ends(identity)
        use.removed = self.now < self.down_until and self.random.random() < 0.5
        if self.now >= self.down_until:
            self.world.release(identity, self.now)
            self.after(identity, lease.request.person, lease.request.team)

    def ends(self, identity: str) -> None:
        use = self.used[identity]
        use.end = self.now
        for slot in use.slots:
            del self.on[slot]

    def after(self, identity: str, person: str, team: str) -> None:
        """A lease is over: its container goes away, its person thinks about the next."""
        lease = self.world.open.get(identity)
        if lease is not None and lease.state is State.ENDING:
            if self.used[identity].end is None:
                self.ends(identity)
            self.at(self.now + self.random.randrange(2, 30), partial(self.gone, identity))
        if team in TEAMS:
            self.think(person, team)

    def gone(self, identity: str) -> None:
        """The engine says that the container is gone, if the Hub can ask it."""
        if self.now < self.down_until:
            self.at(self.down_until, partial(self.gone, identity))
        elif identity in self.world.open:
            self.world.gone(identity, self.now)
            self.changed = True

    # ---- what goes wrong -----------------------------------------------------------------------

    def crash(self) -> None:
        """The Hub dies; servers live on, or end without it. Then the engine says what is left."""
        self.crashes += 1
        self.down_until = self.now + self.random.randrange(60, self.longest_outage)
        self.at(self.down_until, self.recover)

    def recover(self) -> None:
        self.changed = True
        listing = [
            Container(k, k, u.slots, u.end or 0)
            for k in self.world.open
            if (u := self.used.get(k)) is not None and not u.removed
        ]
        # what a process knows of the ledger is read anew
        again = Ledger()
        again.add(self.world.events)
        assert again.last_beat == self.world.ledger.last_beat
        assert sorted(again.spans(), key=str) == sorted(self.world.ledger.spans(), key=str)
        found = reconcile(self.world.open.values(), listing, self.now, self.now, POLICY)
        for action in found.actions:
            lease = self.world.open[action.lease]
            if action.do is Do.VANISHED:
                until = action.moment or again.last_beat
                lease = self.world.put(rules.vanished(lease, until, self.now))
                self.after(lease.id, lease.request.person, lease.request.team)
            else:
                assert action.do in (Do.GONE, Do.STOP), action

    def a_slot_falls_ill(self) -> None:
        if self.now < self.down_until:
            self.at(self.down_until, self.a_slot_falls_ill)
            return
        self.sick += 1
        slot = self.random.choice(self.fleet.slots).id
        self.world.fleet = ill(self.world.fleet, slot)
        for lease in list(self.world.open.values()):
            if slot in lease.slots and lease.state in (State.GRANTED, State.ACTIVE):
                over, again = rules.fell_ill(lease, f"{lease.id}+", self.now)
                over = self.world.put(over)
                if over.state is State.ENDING:
                    if self.used[lease.id].end is None:
                        self.ends(lease.id)
                    identity = lease.id
                    self.at(self.now + 10, partial(self.gone, identity))
                if again is not None:
                    self.world.open[again.id] = again
                else:
                    self.think(lease.request.person, lease.request.team)
        self.at(self.now + 6 * HOUR, self.mended)

    def mended(self) -> None:
        self.world.fleet = self.fleet
        self.changed = True

    # ---- figures -------------------------------------------------------------------------------

    def figures(self, until: int) -> Month:
        if up := self.now >= self.down_until:
            self.beat(until)
        ledger = Ledger()
        ledger.add(self.world.events)
        found = list(ledger.spans())
        lost = 0
        for span in found:
            use = self.used[span.lease]
            really = (use.end if use.end is not None else until) - use.begin
            charged = span.end - span.begin
            assert span.begin == use.begin
            if use.end is None:
                assert 0 <= really - charged <= (BEAT if up else self.longest_outage + BEAT)
            elif not use.removed:
                assert charged == really, span
            else:
                assert charged <= really, span
                lost += really - charged
        service = dict.fromkeys(TEAMS, 0.0)
        for (team, _), amount in totals(found, BEGIN, until, POLICY).items():
            if team in TEAMS:
                service[team] += amount / TEAMS[team][1]
        return Month(
            service,
            self.waits,
            self.late,
            len(found),
            self.crashes,
            self.sick,
            lost,
        )


def report(fair: Month, plain: Month) -> str:
    """Both beside each other."""
    lines = [
        f"{fair.leases} leases (plain {plain.leases}), {fair.crashes} crashes, {fair.ill} ill slots",
        f"Jain's index of service by weight: fair {fair.jain:.3f}, first come {plain.jain:.3f}",
        "team           people weight   hours/weight fair  plain    p95 wait h fair  plain",
    ]
    for team, (people, weight) in TEAMS.items():
        lines.append(
            f"{team:14} {people:6} {weight:6.0f} {fair.service[team] / HOUR:19.0f} "
            f"{plain.service[team] / HOUR:6.0f} {fair.p95(team) / HOUR:18.1f} "
            f"{plain.p95(team) / HOUR:6.1f}"
        )
    for name, month in (("fair", fair), ("plain", plain)):
        late = sorted(month.late)
        lines.append(
            f"class, {name}: {len(late)} starts, p95 wait {late[len(late) * 95 // 100] / 60:.0f} min"
        )
    return "\n".join(lines)
