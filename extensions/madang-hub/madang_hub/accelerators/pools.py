"""Pools: slots that are alike, and how many of them are free when. Rules only.

A pool's *room* is a step function of time: how many slots nothing is planned on. Leases are taken to last to
their latest end, and their containers to need all of their time to go; a class's reservation takes its slots
for its whole time; ill or drained slots and those whose container does not go away are not there at all.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2s

from madang_hub.accelerators.leases import HELD, Lease, Policy, Request, State
from madang_hub.accelerators.slots import Health, Slot
from madang_hub.people.timetable import Timetable

Want = tuple[str, str, int, bool, int]
"""What of a request decides which pools it can have: kind, model, memory, shared, count."""


@dataclass(frozen=True)
class Fleet:
    """The slots and what operators say about them.

    Attributes:
        drained: ids of slots that are not given out any more.
        occupied: ids of slots on which a container works that no lease knows.
        parts: slots that may be shared, and by how many leases of one team.
    """

    slots: tuple[Slot, ...]
    drained: Collection[str] = frozenset()
    occupied: Collection[str] = frozenset()
    parts: Mapping[str, int] = field(default_factory=dict)

    def usable(self, slot: Slot) -> bool:
        return (
            slot.health is Health.GOOD
            and slot.id not in self.drained
            and slot.id not in self.occupied
        )

    def anything_free(self, held: Iterable[Lease]) -> bool:
        """Whether there may be a slot, or a part of one, that no lease of ``held`` has."""
        whole = {slot for lease in held if not lease.seat for slot in lease.slots}
        return any(self.usable(slot) and slot.id not in whole for slot in self.slots)


@dataclass(frozen=True)
class Reservation:
    """``count`` slots are for ``team`` from ``begin`` to (not at) ``end``."""

    id: str
    team: str
    kind: str
    count: int
    begin: int
    end: int
    model: str = ""
    memory: int = 0


def reservations(
    team: str,
    timetable: Timetable,
    kind: str,
    count: int,
    begin: int,
    end: int,
    model: str = "",
) -> list[Reservation]:
    """One for each stretch of a class's timetable of which some part is in ``begin`` to ``end``."""
    stretches = timetable.spans(
        datetime.fromtimestamp(begin, UTC), datetime.fromtimestamp(end, UTC)
    )
    # short, whatever the names are: leases keep it
    what = blake2s("\n".join((team, kind, model)).encode(), digest_size=8).hexdigest()
    return [
        Reservation(
            f"{what}@{int(b.timestamp())}",
            team,
            kind,
            count,
            int(b.timestamp()),
            int(e.timestamp()),
            model,
        )
        for b, e in stretches
    ]


@dataclass
class Opened:
    """A slot that is shared: which of its seats are free, and until when it is taken at the latest."""

    slot: str
    seats: list[int]
    until: int


class Pool:
    """Slots of one kind, model, memory and number of parts, seen at one moment."""

    def __init__(self, kind: str, model: str, memory: int, parts: int, now: int) -> None:
        self.kind, self.model, self.memory, self.parts, self.now = kind, model, memory, parts, now
        self.total = 0
        self.free: list[str] = []
        self.opened: dict[str, list[Opened]] = {}
        # when each slot that is held comes back
        self.ends: list[int] = []
        self.reserved = False
        """Whether the first request that it cannot serve now has its place here."""
        self.classes: list[tuple[int, int, int]] = []
        self._times = [now]
        self._room = [0]
        self._reach: dict[int, float] = {}

    @property
    def open(self) -> bool:
        """Whether anything at all may be given from it now."""
        return bool(self.free) or any(self.opened.values())

    def fits(self, want: Want) -> bool:
        kind, model, memory, shared, count = want
        return (
            kind == self.kind
            and (not model or model == self.model)
            and memory <= self.memory
            and count <= self.total
            and (not shared or self.parts > 1)
        )

    def comes_back(self, ends: Iterable[int], free: int) -> None:
        """Set the room: ``free`` now, and one more at each of ``ends`` (all after now)."""
        self._times, self._room = [self.now], [free]
        for moment in sorted(ends):
            if moment == self._times[-1]:
                self._room[-1] += 1
            else:
                self._times.append(moment)
                self._room.append(self._room[-1] + 1)
        self._reach.clear()

    def take(self, begin: int, end: int, count: int) -> None:
        """``count`` slots are planned for from ``begin`` to ``end``; below 0 gives them back."""
        begin = max(begin, self.now)
        if begin >= end or not count:
            return
        first, last = self._cut(begin), self._cut(end)
        for i in range(first, last):
            self._room[i] -= count
        self._reach.clear()

    def _cut(self, moment: int) -> int:
        i = bisect_left(self._times, moment)
        if i == len(self._times) or self._times[i] != moment:
            self._times.insert(i, moment)
            self._room.insert(i, self._room[i - 1])
        return i

    def least(self, begin: int, end: int) -> int:
        """The least room at any moment from ``begin`` to (not at) ``end``."""
        return min(self._room[bisect_right(self._times, begin) - 1 : bisect_left(self._times, end)])

    def room_until(self, count: int) -> float:
        """Until when there is room for ``count`` from now on, without a break."""
        if count not in self._reach:
            for moment, room in zip(self._times, self._room, strict=True):
                if room < count:
                    self._reach[count] = moment
                    break
            else:
                self._reach[count] = float("inf")
        return self._reach[count]

    def room_after(self, moment: float, count: int) -> float:
        """Until when there is room for ``count`` from ``moment`` on."""
        for i in range(bisect_right(self._times, moment) - 1, len(self._times)):
            if self._room[i] < count:
                return max(moment, self._times[i])
        return float("inf")

    def first(self, count: int, seconds: int) -> int | None:
        """The first moment from which there is room for ``count`` for ``seconds``; None: never."""
        start: int | None = None
        for moment, room in zip(self._times, self._room, strict=True):
            if start is not None and moment - start >= seconds:
                return start
            if room < count:
                start = None
            elif start is None:
                start = moment
        return start


@dataclass
class Scene:
    """All pools at one moment.

    Attributes:
        pools: the smallest first, those that can be shared last, so that a modest request leaves the rest.
        reserved: what each class reservation has left to give: pool's index to slots.
        pool_of: of each usable slot's id.
        busy: until when held slots are, the time of their class included.
    """

    pools: list[Pool]
    reserved: dict[str, dict[int, int]]
    pool_of: dict[str, Pool]
    busy: dict[str, float]

    def free_until(self, lease: Lease) -> float:
        """Until when the slots of an active lease could go on to be its."""
        pools = [self.pool_of.get(slot) for slot in lease.slots]
        if None in pools or pools[0] is None:
            return lease.ends
        over = max(self.busy[slot] for slot in lease.slots)
        return pools[0].room_after(over, lease.request.count)

    def wanted(self, leases: Iterable[Lease], line: Iterable[Request]) -> frozenset[str]:
        """The ids of those of ``leases`` that hold a slot which one of ``line`` could use."""
        wants = {want_of(request) for request in line}
        sought = {id(pool) for pool in self.pools if any(pool.fits(want) for want in wants)}
        return frozenset(
            x.id for x in leases if any(id(self.pool_of.get(s)) in sought for s in x.slots)
        )


def want_of(request: Request) -> Want:
    return (request.kind, request.model, request.memory, request.shared, request.count)


def pools_at(
    now: int,
    fleet: Fleet,
    held: Iterable[Lease],
    classes: Iterable[Reservation],
    policy: Policy,
) -> Scene:
    """The pools at ``now``."""
    ends_of_class = {c.id: c.end for c in classes}
    busy: dict[str, float] = {}
    seats: dict[str, tuple[str, set[int], int]] = {}
    by_class: dict[str, set[str]] = {}
    for lease in held:
        if lease.state not in HELD:
            continue
        until: float = max(lease.ends + policy.settle, ends_of_class.get(lease.window, 0), now + 1)
        if lease.state is State.ENDING:
            settled = lease.changed + policy.settle
            # a class's slot is the class's until its reservation is over
            until = max(ends_of_class.get(lease.window, 0), settled)
            until = until if settled > now else float("inf")
        for slot in lease.slots:
            busy[slot] = max(busy.get(slot, 0), until)
            by_class.setdefault(lease.window, set()).add(slot)
            if lease.seat:
                taken = seats.setdefault(slot, (lease.request.team, set(), lease.parts))[1]
                taken.add(lease.seat)
    pools: dict[tuple[str, str, int, int], Pool] = {}
    ends: dict[tuple[str, str, int, int], list[int]] = {}
    pool_of: dict[str, Pool] = {}
    for one in fleet.slots:
        if not fleet.usable(one):
            continue
        key = (one.kind, one.model, one.memory, fleet.parts.get(one.id, 1))
        if key not in pools:
            pools[key], ends[key] = Pool(*key, now), []
        pool = pools[key]
        until = busy.get(one.id, 0)
        if until == float("inf"):
            continue
        pool_of[one.id] = pool
        pool.total += 1
        if not until:
            pool.free.append(one.id)
            continue
        ends[key].append(int(until))
        if one.id in seats:
            team, used, parts = seats[one.id]
            if left := [n for n in range(min(parts, key[3]), 0, -1) if n not in used]:
                pool.opened.setdefault(team, []).append(Opened(one.id, left, int(until)))
    for key, pool in pools.items():
        pool.ends = ends[key]
        pool.free.reverse()
        pool.comes_back(ends[key], len(pool.free))
    ordered = sorted(pools.values(), key=lambda p: (p.parts > 1, p.memory, p.kind, p.model))
    return Scene(ordered, _reserve(ordered, classes, by_class, pool_of), pool_of, busy)


def _reserve(
    pools: list[Pool],
    classes: Iterable[Reservation],
    by_class: Mapping[str, Collection[str]],
    pool_of: Mapping[str, Pool],
) -> dict[str, dict[int, int]]:
    """Take the classes' slots out of the pools' room, the ones that they hold already left aside.

    Who named a model comes first, because who takes any may have another. Classes that are over count too: so
    nobody who is on moves to other slots when they end.
    """
    left: dict[str, dict[int, int]] = {}
    known = sorted(classes, key=lambda c: c.id)
    for one in known:
        for slot in by_class.get(one.id, ()):
            if slot in pool_of:
                pool_of[slot].classes.append((one.begin, one.end, 1))
    for one in sorted(known, key=lambda c: (not c.model, c.begin, c.id)):
        missing = one.count - len(by_class.get(one.id, ()))
        left[one.id] = {}
        for index, pool in enumerate(pools):
            if missing <= 0:
                break
            if not pool.fits((one.kind, one.model, one.memory, False, 1)):
                continue
            others = _most(pool.classes, one.begin, one.end)
            if (n := min(missing, pool.total - others)) > 0:
                pool.take(one.begin, one.end, n)
                pool.classes.append((one.begin, one.end, n))
                left[one.id][index] = n
                missing -= n
    return left


def _most(classes: Iterable[tuple[int, int, int]], begin: int, end: int) -> int:
    """How many slots ``classes`` (begin, end, count) have at most at any one moment of ``begin`` to ``end``."""
    known = [c for c in classes if c[0] < end and begin < c[1]]
    moments = {begin, *(b for b, _, _ in known if b > begin)}
    return max(sum(n for b, e, n in known if b <= moment < e) for moment in moments)
