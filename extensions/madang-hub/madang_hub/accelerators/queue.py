"""The queue: which waiting requests get which slots now. Rules only.

The order, from first to last:

1. Who asks for a class while it has reserved slots left, from those slots and until the class is over.
2. Now and then, one turn for who waits longest. A request that has waited for more than ``patience`` is
   *overdue*. After ``every - 1`` grants to others, the oldest overdue request is first until it is served.
3. Fair shares (:mod:`.fairshare`); inside one person's, and between equals, the earlier request.

Slots that the first in order cannot use yet are lent to later ones that do not delay it: EASY backfill
(D. A. Lifka, "The ANL/IBM SP Scheduling System", JSSPP 1995; studied by D. G. Feitelson and A. Mu'alem Weil,
"Utilization and Predictability in Scheduling the IBM SP2 with Backfilling", IPPS/SPDP 1998).
Every lease has an end, so it is known when the first can have its slots at the latest; those are planned for
it, and a later request is only served where that plan still holds. Each pool of slots has one such plan.

**No starvation.** Let a request be *possible* (enough usable slots of one pool fit it, and its team has
budget), and let nothing be changed by hand meanwhile (no slot lost, drained or newly reserved), containers
go away within ``settle``, and :func:`decide` be called whenever a slot frees or somebody asks. Let

    T = longest + claim + settle + C

where C, at most ``gap``, is the longest time from any moment until classes leave room for any request that
waits (0 without classes; a request that would need longer is not possible), and let K be the number of
possible requests asked before it that still wait when it becomes overdue. Then it is granted at most
``patience + (K + 1) * every * T`` after it was asked (:func:`bound`). Proof:

(a) While a possible request waits, at least one request of order 2 or 3 is granted in any time of T. For if
    none is, all leases that did not come from a class end within longest + claim, and their slots are free
    within settle; a class's leases end with its reservation; so within C more all of a pool that fits the
    first in order is free for long enough, and it is granted.
(b) Once ``every - 1`` such grants have gone by without a turn, the oldest overdue request R is first in the
    next call and stays it, because requests asked later are not older. Leases held now end within longest +
    claim + settle, extensions are refused while somebody waits who could use the slot, and a later request is
    granted only where the plan for R holds, which is made before any other; so the plan never moves to a
    later moment, and R is granted within T of the last of those grants. (A grant in the same call as
    the last one has the same moment, so it ends in time for this too.)
(c) So each turn takes at most (every - 1) * T + T, and a request that is overdue has at most K turns before
    its own, because no request joins those that were asked before it (the ones that replace a broken
    lease do, but a lost slot is excluded above).

The bound is a promise for the worst day, not an estimate: :mod:`.estimate` has that.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from madang_hub.accelerators.fairshare import Person, Shares
from madang_hub.accelerators.leases import Grant, Lease, Policy, State
from madang_hub.accelerators.pools import (
    Fleet,
    Opened,
    Pool,
    Reservation,
    Scene,
    Want,
    pools_at,
    want_of,
)


@dataclass
class Decision:
    """What :func:`decide` found.

    Attributes:
        grants: in the order in which they were decided.
        turns: grants since the last turn of who waited longest; to be passed in again.
        impossible: ids of requests that no pool could serve even if all of it were free.
    """

    grants: list[Grant] = field(default_factory=list)
    turns: int = 0
    impossible: list[str] = field(default_factory=list)


def bound(policy: Policy, before: int, class_gap: int = 0) -> int:
    """Seconds that nobody waits for longer than; ``before`` is K, ``class_gap`` is C of the proof above."""
    longest = policy.longest + policy.claim + policy.settle + class_gap
    return policy.patience + (before + 1) * policy.every * longest


class Line:
    """Waiting requests in order; :meth:`granted` makes a grant count for the ones that come after it."""

    def __init__(
        self, waiting: Sequence[Lease], shares: Shares, policy: Policy, now: int, turns: int
    ) -> None:
        self.turns = turns
        self._shares, self._policy = shares, policy
        self._of: dict[Person, list[Lease]] = {}
        for lease in waiting:
            who = (lease.request.team, lease.request.person)
            self._of.setdefault(who, []).append(lease)
        shares.know(self._of)
        for theirs in self._of.values():
            if len(theirs) > 1:
                theirs.sort(key=_own_place, reverse=True)
        since = now - policy.patience
        self._overdue = sorted(
            (x for x in waiting if x.asked < since), key=lambda x: (x.asked, x.id), reverse=True
        )
        self._done: set[str] = set()
        self._turn: str | None = None
        self._changes: dict[str, int] = {}
        self._heap = [self._entry(who) for who in self._of]
        heapq.heapify(self._heap)

    def _entry(self, who: Person) -> tuple[float, bool, float, int, str, int, Person]:
        lease = self._of[who][-1]
        team = who[0]
        return (
            self._shares.team_cost(team),
            not lease.returned,
            self._shares.person_cost(who),
            lease.asked,
            lease.id,
            self._changes.get(team, 0),
            who,
        )

    def __iter__(self) -> Iterator[Lease]:
        while True:
            lease = self._longest_waiting() or self._fairest()
            if lease is None:
                return
            self._done.add(lease.id)
            yield lease

    def _longest_waiting(self) -> Lease | None:
        """Who waits longest, when it is their turn; one that cannot be served yet keeps the turn."""
        while self._overdue and self._overdue[-1].id in self._done and self._turn is None:
            self._overdue.pop()
        if self._turn is not None or self.turns < self._policy.every - 1 or not self._overdue:
            return None
        lease = self._overdue.pop()
        self._turn = lease.id
        return lease

    def _fairest(self) -> Lease | None:
        while self._heap:
            *_, identity, change, who = heapq.heappop(self._heap)
            if identity in self._done or change != self._changes.get(who[0], 0):
                # costs only grow, so what was popped too early goes back to its place
                self._push(who)
                continue
            lease = self._of[who].pop()
            self._push(who)
            return lease
        return None

    def _push(self, who: Person) -> None:
        theirs = self._of[who]
        while theirs and theirs[-1].id in self._done:
            theirs.pop()
        if theirs:
            heapq.heappush(self._heap, self._entry(who))

    def skip(self, lease: Lease) -> None:
        """It is served outside of this order."""
        self._done.add(lease.id)

    def no_turn(self, lease: Lease) -> None:
        """There will be no room for it soon: the turn goes to the next."""
        if lease.id == self._turn:
            self._turn = None

    def granted(self, lease: Lease, cost: float, *, in_order: bool = True) -> None:
        """It was served, and counts ``cost`` weighed slot-seconds for its person."""
        team = lease.request.team
        self._shares.charge((team, lease.request.person), cost)
        self._changes[team] = self._changes.get(team, 0) + 1
        if not in_order:
            return
        if lease.id == self._turn:
            self._turn, self.turns = None, 0
        else:
            self.turns = min(self.turns + 1, self._policy.every - 1)


def _own_place(lease: Lease) -> tuple[bool, int, str]:
    return (not lease.returned, lease.asked, lease.id)


def decide(
    now: int,
    fleet: Fleet,
    leases: Iterable[Lease],
    shares: Callable[[], Shares],
    policy: Policy,
    *,
    classes: Collection[Reservation] = (),
    turns: int = 0,
    barred: Collection[str] = (),
) -> Decision:
    """Grant what can be granted at ``now``, in one pass.

    To be called again at the same moment while it grants: a grant may change who is first, and so whose plan
    is kept.

    Args:
        leases: all that are not ended.
        shares: gives the use at ``now``, with what held leases may still use; called once, and only when
            something is free.
        turns: of the decision before.
        barred: teams without budget; their requests wait.
    """
    waiting: list[Lease] = []
    held: list[Lease] = []
    for lease in leases:
        (waiting if lease.state is State.QUEUED else held).append(lease)
    scene = pools_at(now, fleet, held, classes, policy)
    pools = scene.pools
    found = Decision(turns=turns)
    if not waiting or not any(p.open for p in pools):
        return found
    matching: dict[Want, list[Pool]] = {}
    possible = []
    for lease in waiting:
        want = want_of(lease.request)
        if want not in matching:
            matching[want] = [p for p in pools if p.fits(want)]
        if not matching[want]:
            found.impossible.append(lease.id)
        elif lease.request.team not in barred:
            possible.append(lease)
    line = Line(possible, shares(), policy, now, turns)
    _serve_classes(now, scene, possible, line, found, policy, classes)
    for lease in line:
        theirs = matching[want_of(lease.request)]
        if not any(p.open for p in theirs):
            if not any(p.open for p in pools):
                break
            continue
        ends = now + policy.claim + lease.request.seconds
        until = ends + policy.settle
        for pool in theirs:
            if grant := _give(pool, lease, now, ends, until):
                found.grants.append(grant)
                line.granted(lease, _cost(lease, pool, policy))
                break
        else:
            if not _plan(theirs, lease, now, until, policy):
                line.no_turn(lease)
    found.turns = line.turns
    return found


def _cost(lease: Lease, pool: Pool, policy: Policy) -> float:
    """Weighed slot-seconds that the whole of a request takes, if it is served from ``pool``."""
    request = lease.request
    parts = pool.parts if request.shared else 1
    return request.seconds * policy.rate(pool.kind, pool.model, request.count, parts)


def _give(
    pool: Pool,
    lease: Lease,
    now: int,
    ends: int,
    until: int,
    *,
    window: str = "",
    only_joining: bool = False,
) -> Grant | None:
    """Slots of ``pool`` for ``lease``, if nothing planned is delayed by that.

    ``until``: when they are free again. ``only_joining``: no more slots than those that its team shares.
    """
    request = lease.request
    if request.shared:
        for opened in pool.opened.get(request.team, ()):
            if until <= opened.until or pool.least(opened.until, until) >= 1:
                return _seat(pool, lease, opened, ends, until, window)
    if only_joining or len(pool.free) < request.count or pool.room_until(request.count) < until:
        return None
    pool.take(now, until, request.count)
    slots = tuple(pool.free.pop() for _ in range(request.count))
    if not request.shared:
        return Grant(lease.id, slots, ends, pool.model, window=window)
    opened = Opened(slots[0], list(range(pool.parts, 0, -1)), until)
    pool.opened.setdefault(request.team, []).append(opened)
    return _seat(pool, lease, opened, ends, until, window)


def _seat(pool: Pool, lease: Lease, opened: Opened, ends: int, until: int, window: str) -> Grant:
    if until > opened.until:
        pool.take(opened.until, until, 1)
        opened.until = until
    seat = opened.seats.pop()
    if not opened.seats:
        pool.opened[lease.request.team].remove(opened)
    return Grant(lease.id, (opened.slot,), ends, pool.model, seat, pool.parts, window)


def _plan(pools: Iterable[Pool], lease: Lease, now: int, until: int, policy: Policy) -> bool:
    """Keep the earliest time in one of ``pools`` that has no plan yet for ``lease``.

    False: classes leave it no room within the policy's ``gap`` in any of them.
    """
    without = [pool for pool in pools if not pool.reserved]
    if not without:
        return True
    seconds, count = until - now, lease.request.count
    latest = now + policy.longest + policy.claim + policy.settle + policy.gap
    starts = [
        (start, index, pool)
        for index, pool in enumerate(without)
        if (start := pool.first(count, seconds)) is not None and start <= latest
    ]
    if starts:
        start, _, pool = min(starts, key=lambda s: s[:2])
        pool.take(start, start + seconds, count)
        pool.reserved = True
    return bool(starts)


def _serve_classes(
    now: int,
    scene: Scene,
    waiting: Iterable[Lease],
    line: Line,
    found: Decision,
    policy: Policy,
    classes: Iterable[Reservation],
) -> None:
    """Requests for a class that is on, from what it has reserved; the earlier first."""
    on: dict[str, list[Reservation]] = {}
    for one in classes:
        if one.begin <= now < one.end:
            on.setdefault(one.team, []).append(one)
    theirs = [x for x in waiting if x.request.team in on]
    for lease in sorted(theirs, key=_own_place):
        for one in on[lease.request.team]:
            if given := _from_class(now, scene, lease, one, policy):
                pool, grant = given
                line.skip(lease)
                line.granted(lease, _cost(lease, pool, policy), in_order=False)
                found.grants.append(grant)
                break


def _from_class(
    now: int, scene: Scene, lease: Lease, one: Reservation, policy: Policy
) -> tuple[Pool, Grant] | None:
    """Slots for ``lease`` from what ``one`` has left, and where they are; None: it has none for it."""
    ends = min(now + policy.claim + lease.request.seconds, one.end)
    for index, left in scene.reserved.get(one.id, {}).items():
        pool, count = scene.pools[index], lease.request.count
        if not pool.fits(want_of(lease.request)):
            continue
        enough = left >= count
        if not enough and not lease.request.shared:
            continue
        # its own slots are not in its way; they stay taken until the class is over
        pool.take(now, one.end, -left)
        before = len(pool.free)
        grant = _give(pool, lease, now, ends, one.end, window=one.id, only_joining=not enough)
        left -= before - len(pool.free)
        pool.take(now, one.end, left)
        if grant:
            scene.reserved[one.id][index] = left
            return pool, grant
    return None
