"""Accelerators without a database or an engine: slots, people who ask, and the rules between them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from madang_hub.accelerators import leases as rules
from madang_hub.accelerators.fairshare import Usage
from madang_hub.accelerators.leases import Grant, Lease, Policy, Request, State, Why
from madang_hub.accelerators.ledger import Event, Ledger, What, booked, remember, shares_at
from madang_hub.accelerators.pools import Fleet, Pool, Reservation, pools_at, want_of
from madang_hub.accelerators.queue import Decision, decide
from madang_hub.accelerators.slots import Health, Slot

GPU, NPU = "nvidia.com/gpu", "rebellions.ai/npu"
GIB = 2**30


def slots(
    count: int, kind: str = GPU, model: str = "H100", memory: int = 80 * GIB
) -> tuple[Slot, ...]:
    """``count`` slots that are alike."""
    return tuple(
        Slot(f"{model}-{n:04}", kind, model, memory, f"{kind}={model}-{n}") for n in range(count)
    )


def wish(person: str = "minji", team: str = "team:a", seconds: int = 3600, **more: Any) -> Request:
    """What somebody asks for."""
    return replace(Request(person, team, GPU, seconds), **more)


def ill(fleet: Fleet, *ids: str) -> Fleet:
    """The same slots with these ill."""
    changed = (
        replace(s, health=Health.ILL, why="It is broken.") if s.id in ids else s
        for s in fleet.slots
    )
    return replace(fleet, slots=tuple(changed))


def first_come(now: int, fleet: Fleet, leases: Iterable[Lease], policy: Policy) -> Decision:
    """Plain first-come-first-served, to compare with: one line for each pool, and no plans."""
    waiting = sorted((x for x in leases if x.state is State.QUEUED), key=lambda x: (x.asked, x.id))
    held = [x for x in leases if x.state is not State.QUEUED]
    closed: set[int] = set()
    found = Decision()
    pools = pools_at(now, fleet, held, (), policy).pools
    for lease in waiting:
        if len(closed) == len(pools):
            break
        fitting = [(i, p) for i, p in enumerate(pools) if p.fits(want_of(lease.request))]
        count = lease.request.count
        for index, pool in fitting:
            if index not in closed and len(pool.free) >= count:
                ids = tuple(pool.free.pop() for _ in range(count))
                ends = now + policy.claim + lease.request.seconds
                found.grants.append(Grant(lease.id, ids, ends, pool.model))
                break
        else:
            closed |= {i for i, _ in fitting}
    return found


@dataclass
class World:
    """Open leases and the ledger, moved on by whoever holds it. ``fair`` False: first come, first served."""

    fleet: Fleet
    policy: Policy
    classes: Collection[Reservation] = ()
    weights: Mapping[str, float] = field(default_factory=dict)
    fair: bool = True
    barred: Collection[str] = ()
    ahead: int = 10**9
    """Reservations that begin within so many seconds are looked at."""

    def __post_init__(self) -> None:
        self.open: dict[str, Lease] = {}
        self.ended: list[Lease] = []
        self.events: list[Event] = []
        self.ledger, self.usage, self.turns = Ledger(), Usage(self.policy.half_life), 0
        self.holder: dict[tuple[str, int], str] = {}
        self.number = 0

    def ask(self, request: Request, now: int) -> Lease:
        self.number += 1
        lease = rules.ask(f"r{self.number:06}", request, now, self.policy)
        self.open[lease.id] = lease
        return lease

    def put(self, after: Lease) -> Lease:
        """A lease made a step: keep it, book it, and see that no slot has two holders."""
        before = self.open[after.id]
        if (event := booked(before, after)) is not None:
            self.book(event)
        if before.state is State.QUEUED and after.state is State.GRANTED:
            for slot in after.slots:
                for seat in [after.seat] if after.seat else range(after.parts + 1):
                    assert self.holder.setdefault((slot, seat), after.id) == after.id, after
        if after.state is State.ENDED:
            self.holder = {k: v for k, v in self.holder.items() if v != after.id}
            del self.open[after.id]
            self.ended.append(after)
        else:
            self.open[after.id] = after
        return after

    def book(self, event: Event) -> None:
        self.events.append(event)
        remember(self.usage, self.ledger.add([event]), self.policy)

    def beat(self, now: int) -> None:
        self.book(Event(now, What.BEAT))

    def decide(self, now: int) -> list[Lease]:
        granted: list[Lease] = []
        while found := self.one_pass(now):
            granted += found
        return granted

    def one_pass(self, now: int) -> list[Lease]:
        leases = list(self.open.values())
        if not any(x.state is State.QUEUED for x in leases):
            return []
        if not self.fleet.parts and len(self.holder) == 2 * len(self.fleet.slots):
            # a whole slot has two seats here
            return []
        if not self.fair:
            found = first_come(now, self.fleet, leases, self.policy)
        else:
            found = decide(
                now,
                self.fleet,
                leases,
                lambda: shares_at(now, self.usage, self.holding(), self.policy, self.weights),
                self.policy,
                classes=self.classes_at(now),
                turns=self.turns,
                barred=self.barred,
            )
        self.turns = found.turns
        return [self.put(rules.grant(self.open[g.lease], g, now)) for g in found.grants]

    def classes_at(self, now: int) -> list[Reservation]:
        return [c for c in self.classes if c.end > now and c.begin < now + self.ahead]

    def holding(self) -> list[Lease]:
        """The leases that hold slots."""
        return [self.open[name] for name in dict.fromkeys(self.holder.values())]

    def tick(self, now: int) -> list[Lease]:
        changed = []
        for lease in self.holding():
            after = rules.due(lease, now, self.policy)
            if after is not lease:
                changed.append(self.put(after))
        return changed

    def claim(self, identity: str, now: int) -> Lease:
        lease = self.open[identity]
        return self.put(rules.claim(lease, lease.request.person, now, self.policy))

    def release(self, identity: str, now: int, why: Why = Why.RELEASED) -> Lease:
        return self.put(rules.release(self.open[identity], now, why))

    def gone(self, identity: str, now: int) -> Lease:
        return self.put(rules.gone(self.open[identity], now))


def run_out(
    world: World,
    arrivals: Iterable[tuple[int, Request]],
    until: int,
    watch: Callable[[int, World], None] = lambda now, world: None,
    now: int = 0,
) -> dict[str, tuple[int, int]]:
    """Everybody takes what is granted at the last moment, keeps it to the end, and the container needs all of
    its time to go: the worst that may happen. ``watch`` is called before and after each pass.

    Returns when each request was asked and granted.
    """
    todo = sorted(arrivals, key=lambda a: a[0], reverse=True)
    times: dict[str, tuple[int, int]] = {}
    while now <= until:
        while todo and todo[-1][0] <= now:
            world.ask(todo.pop()[1], now)
        for lease in list(world.open.values()):
            if lease.state is State.GRANTED and now >= lease.granted + world.policy.claim:
                world.claim(lease.id, now)
            elif lease.state is State.ENDING and now >= lease.changed + world.policy.settle:
                world.gone(lease.id, now)
        world.tick(now)
        watch(now, world)
        while found := world.one_pass(now):
            times |= {lease.id: (lease.asked, now) for lease in found}
            watch(now, world)
        if not todo and not world.open:
            break
        moments = [todo[-1][0]] if todo else []
        for lease in world.open.values():
            if lease.state is State.GRANTED:
                moments.append(lease.granted + world.policy.claim)
            elif lease.state is State.ACTIVE:
                moments.append(lease.ends)
            elif lease.state is State.ENDING:
                moments.append(lease.changed + world.policy.settle)
        moments += [m for c in world.classes_at(now) for m in (c.begin, c.end) if m > now]
        now = max(now + 1, min(moments, default=until + 1))
    return times


def pool_of(count: int, now: int = 0, ends: Iterable[int] = ()) -> Pool:
    """A pool of one model with ``count`` slots, some of which come back at ``ends``."""
    pool = Pool(GPU, "H100", 80 * GIB, 1, now)
    pool.ends = list(ends)
    pool.total = count
    pool.free = [f"s{n}" for n in range(count - len(pool.ends))]
    pool.comes_back(pool.ends, len(pool.free))
    return pool
