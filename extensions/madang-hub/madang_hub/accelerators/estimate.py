"""When a waiting request will be served: an estimate, with what it rests on. Rules only."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from madang_hub.accelerators.fairshare import Shares
from madang_hub.accelerators.leases import Lease, Policy, State
from madang_hub.accelerators.pools import Fleet, Pool, Reservation, pools_at, want_of
from madang_hub.accelerators.queue import Line
from madang_hub.accelerators.slots import Health


class NoEstimate(Enum):
    """Why nobody can say when a request is served."""

    BUDGET = "budget"
    """Its team has used its budget of the month: it waits until more is granted or the next month."""
    RESERVED = "reserved"
    """Classes leave no room for it soon."""
    DRAINED = "drained"
    """Too few that fit are left: an operator has taken some out of lending."""
    ILL = "ill"
    """Too few that fit are left: some are ill, or what holds them does not go away."""
    NONE = "none"
    """There are not so many that fit (any more)."""


@dataclass(frozen=True)
class Estimate:
    """Where a request stands and when it may be served.

    Attributes:
        place: in line, from 1, among those that wait for slots that it could have.
        soonest: if leases give back as early as they usually do.
        latest: if every lease, also of those before it, lasts to its end. Who stays the first in line is
            served by then; otherwise it is no promise: who asks later and used less may still come before
            it, and short requests may. Who gives back early makes it sooner. None for both: nobody can say,
            and ``why`` has the reason.
    """

    place: int
    soonest: int | None
    latest: int | None
    why: NoEstimate | None = None


def estimate(
    identity: str,
    now: int,
    fleet: Fleet,
    leases: Iterable[Lease],
    shares: Shares,
    policy: Policy,
    *,
    classes: Collection[Reservation] = (),
    turns: int = 0,
    barred: Collection[str] = (),
    usual: float = 0.5,
) -> Estimate:
    """Place and time of the waiting request ``identity``.

    Args:
        usual: which part of their time leases usually use, from 0 to 1. The others are as for
            :func:`.queue.decide`.

    Raises:
        KeyError: it does not wait.
    """
    waiting: list[Lease] = []
    held: list[Lease] = []
    mine = None
    for lease in leases:
        if lease.state is not State.QUEUED:
            held.append(lease)
        elif lease.id == identity:
            mine = lease
        elif lease.request.team not in barred:
            waiting.append(lease)
    if mine is None:
        raise KeyError(identity)
    waiting.append(mine)
    pools = pools_at(now, fleet, held, classes, policy).pools
    fitting = {
        want: [i for i, p in enumerate(pools) if p.fits(want)]
        for want in {want_of(x.request) for x in waiting}
    }
    wanted = set(fitting[want_of(mine.request)])
    line = []
    for lease in Line(waiting, shares, policy, now, turns):
        theirs = fitting[want_of(lease.request)]
        if lease is mine or wanted.intersection(theirs):
            line.append((lease, theirs))
        if lease is mine:
            break
    if not wanted:
        return Estimate(len(line), None, None, _why_none(mine, now, fleet, policy))
    if mine.request.team in barred:
        return Estimate(len(line), None, None, NoEstimate.BUDGET)
    soonest, latest = (_served(now, pools, line, classes, policy, part) for part in (usual, 1.0))
    if len(line) == 1:
        need = policy.claim + mine.request.seconds + policy.settle
        plans = (pools[i].first(mine.request.count, need) for i in wanted)
        latest = min((plan for plan in plans if plan is not None), default=latest)
        if classes and latest > now + policy.longest + policy.claim + policy.settle + policy.gap:
            # as the queue has it: it gets no turn
            return Estimate(1, None, None, NoEstimate.RESERVED)
    return Estimate(len(line), min(soonest, latest), latest)


def _why_none(mine: Lease, now: int, fleet: Fleet, policy: Policy) -> NoEstimate:
    """Why no pool could serve ``mine``, even if all of it were free."""

    def enough(slots: Fleet) -> bool:
        want = want_of(mine.request)
        return any(p.fits(want) for p in pools_at(now, slots, (), (), policy).pools)

    undrained = replace(fleet, drained=frozenset())
    if enough(undrained):
        return NoEstimate.DRAINED if not enough(fleet) else NoEstimate.ILL
    well = tuple(replace(s, health=Health.GOOD) for s in fleet.slots)
    if enough(replace(fleet, slots=well, drained=frozenset(), occupied=frozenset())):
        return NoEstimate.ILL
    return NoEstimate.NONE


def _served(
    now: int,
    pools: Sequence[Pool],
    line: Iterable[tuple[Lease, list[int]]],
    classes: Iterable[Reservation],
    policy: Policy,
    part: float,
) -> int:
    """When the last of ``line`` is served, if it goes in order and leases use ``part`` of their time."""
    frees = []
    for pool in pools:
        frees.append([float(now)] * len(pool.free) + [now + (e - now) * part for e in pool.ends])
        heapq.heapify(frees[-1])
    ahead = sorted(classes, key=lambda c: c.begin)
    start = float(now)
    opened: dict[tuple[str, int], _Opened] = {}
    for lease, theirs in line:
        count = lease.request.count
        seconds = (lease.request.seconds + policy.claim) * part + policy.settle
        if lease.request.shared and (one := _joined(opened, lease, theirs, seconds)):
            start = one.start
            continue
        if count == 1:
            index = min(theirs, key=lambda i: frees[i][0])
        else:
            index = min(theirs, key=lambda i: heapq.nsmallest(count, frees[i])[-1])
        got = [heapq.heappop(frees[index]) for _ in range(count)]
        start = _past_classes(got[-1], seconds, pools[index], lease, ahead)
        for _ in got:
            heapq.heappush(frees[index], start + seconds)
        if lease.request.shared:
            left = pools[index].parts - 1
            opened[lease.request.team, index] = _Opened(start, start + seconds, left)
    return int(-(-start // 1))


@dataclass
class _Opened:
    """A slot that a team of the line will share: from when to when, and how many parts are left."""

    start: float
    end: float
    left: int


def _joined(
    opened: Mapping[tuple[str, int], _Opened],
    lease: Lease,
    pools: Iterable[int],
    seconds: float,
) -> _Opened | None:
    """The slot of its team that ``lease`` may have a part of without holding it for longer; one part less."""
    for index in pools:
        one = opened.get((lease.request.team, index))
        if one is not None and one.left and one.start + seconds <= one.end:
            one.left -= 1
            return one
    return None


def _past_classes(
    start: float, seconds: float, pool: Pool, lease: Lease, classes: Iterable[Reservation]
) -> float:
    """The first moment from ``start`` on at which no class needs the slots."""
    for one in classes:
        if (
            one.begin < start + seconds
            and start < one.end
            and one.team != lease.request.team
            and pool.total - one.count < lease.request.count
            and pool.fits((one.kind, one.model, one.memory, False, 1))
        ):
            start = float(one.end)
    return start
