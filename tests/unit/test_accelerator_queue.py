"""The queue: fair shares as Slurm's Fair Tree, classes first, backfill that delays nobody, no starvation."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.accelerators import (
    GIB,
    NPU,
    World,
    ill,
    pool_of,
    run_out,
    slots,
    wish,
)

from madang_hub.accelerators.estimate import Estimate, NoEstimate, estimate
from madang_hub.accelerators.fairshare import Shares, Usage
from madang_hub.accelerators.leases import Policy, Request, State, fell_ill
from madang_hub.accelerators.ledger import shares_at
from madang_hub.accelerators.pools import Fleet, Reservation, reservations
from madang_hub.accelerators.queue import bound
from madang_hub.people.timetable import Timetable, parse_times

HOUR = 3600
POLICY = Policy()
EVEN = Policy(claim=0, settle=0)
"""Without the small times, so that figures are easy to read."""


def held(world: World, seconds: int, now: int = 0, **more: Any) -> str:
    """Somebody has slots from ``now`` on."""
    lease = world.ask(wish("holder", "team:holder", seconds, **more), now)
    assert [x.id for x in world.decide(now)] == [lease.id]
    return world.claim(lease.id, now).id


def granted(world: World, now: int) -> list[str]:
    return [x.request.person for x in world.decide(now)]


# ---- fair shares ------------------------------------------------------------------------------


def test_the_tree_is_slurms() -> None:
    """Level fairshare is S / U among siblings, whole teams before others, ties merged."""
    used = {
        ("team:a", "a1"): 10.0,
        ("team:a", "a2"): 30.0,
        ("team:b", "b1"): 60.0,
        ("team:c", "c1"): 30.0,
        ("team:c", "c2"): 10.0,
        ("team:new", "n1"): 0.0,
    }
    weights = {"team:b": 3.0, "team:c": 1.0}
    # U/S by team: new 0, b 60/3 = 20, a 40, c 40: a and c are merged
    assert Shares(used, weights).ranking() == [
        [("team:new", "n1")],
        [("team:b", "b1")],
        [("team:a", "a1"), ("team:c", "c2")],
        [("team:a", "a2"), ("team:c", "c1")],
    ]


@given(
    st.dictionaries(
        st.tuples(st.sampled_from(["t1", "t2", "t3"]), st.sampled_from(["p1", "p2", "p3", "p4"])),
        st.integers(0, 50).map(float),
        min_size=1,
    ),
    st.dictionaries(st.sampled_from(["t1", "t2", "t3"]), st.sampled_from([1.0, 2.0, 5.0])),
)
def test_the_order_is_the_one_of_the_definition(
    used: dict[tuple[str, str], float], weights: dict[str, float]
) -> None:
    """Beside LF = S / U computed as the documentation of Fair Tree writes it."""
    infinite = float("inf")
    teams = {t for t, _ in used}
    shares, total = sum(weights.get(t, 1.0) for t in teams), sum(used.values())

    def level(team: str) -> float:
        mine = sum(u for (t, _), u in used.items() if t == team)
        return (weights.get(team, 1.0) / shares) / (mine / total) if mine else infinite

    def person_level(who: tuple[str, str]) -> float:
        siblings = [u for (t, _), u in used.items() if t == who[0]]
        if not used[who]:
            return infinite
        return (1 / len(siblings)) / (used[who] / sum(siblings))

    found = [who for rank in Shares(dict(used), weights).ranking() for who in rank]
    for one, other in pairwise(found):
        mine, theirs = level(one[0]), level(other[0])
        assert mine > theirs or mine == pytest.approx(theirs)
        if mine == pytest.approx(theirs):
            first, second = person_level(one), person_level(other)
            assert first > second or first == pytest.approx(second) or mine != theirs


@given(
    st.lists(
        st.tuples(st.integers(0, 1000), st.integers(0, 500), st.sampled_from([0.5, 1.0])),
        max_size=8,
    ),
    st.randoms(use_true_random=False),
)
def test_use_fades_and_the_order_of_adding_does_not_matter(
    spans: list[tuple[int, int, float]], random: object
) -> None:
    usage, other = Usage(600), Usage(600)
    who = ("t", "p")
    for begin, length, weight in spans:
        usage.add(who, begin, begin + length, weight)
    for begin, length, weight in reversed(spans):
        other.add(who, begin, begin + length, weight)
    # second by second, from the definition
    exact = sum(
        w * 2 ** (-(2000 - second - 0.5) / 600)
        for begin, length, w in spans
        for second in range(begin, begin + length)
    )
    assert usage.at(2000).get(who, 0.0) == pytest.approx(exact, rel=1e-5, abs=1e-9)
    assert other.at(2000).get(who, 0.0) == pytest.approx(exact, rel=1e-5, abs=1e-9)
    assert usage.at(2600).get(who, 0.0) == pytest.approx(exact / 2, rel=1e-5, abs=1e-9)


def test_what_frees_in_one_moment_is_not_one_teams() -> None:
    world = World(Fleet(slots(4)), POLICY)
    for n in range(4):
        world.ask(wish(f"a{n}", "team:a"), n)
    for n in range(4):
        world.ask(wish(f"b{n}", "team:b"), 10 + n)
    assert sorted(granted(world, 20)) == ["a0", "a1", "b0", "b1"]


def test_weights_and_a_persons_own_order() -> None:
    world = World(Fleet(slots(4)), POLICY, weights={"team:b": 3.0})
    for n in range(4):
        world.ask(wish("a", "team:a"), n)
        world.ask(wish("b", "team:b"), n)
    assert sorted(granted(world, 20)) == ["a", "b", "b", "b"]
    assert {x.asked for x in world.open.values() if x.state is State.GRANTED} == {0, 1, 2}


def test_who_lost_a_slot_is_before_the_own_team_only() -> None:

    world = World(Fleet(slots(1)), POLICY)
    lease = world.ask(wish("a1", "team:a"), 0)
    world.decide(0)
    world.claim(lease.id, 0)
    world.ask(wish("a2", "team:a"), 1)
    world.ask(wish("b1", "team:b"), 2)
    over, again = fell_ill(world.open[lease.id], "again", 100)
    assert again is not None
    world.put(over)
    world.open[again.id] = again
    world.gone(lease.id, 110)
    world.fleet = Fleet(slots(3))
    # a has used 100 seconds, b nothing; inside a the broken lease comes first, though a2 used nothing
    assert granted(world, 120) == ["b1", "a1", "a2"]


# ---- pools ------------------------------------------------------------------------------------


def test_the_smallest_slot_that_does_is_given() -> None:
    fleet = Fleet(
        slots(1, model="H100") + slots(1, model="MIG", memory=10 * GIB) + slots(1, NPU, "A", 0)
    )
    world = World(fleet, POLICY)
    world.ask(wish("small"), 0)
    world.ask(wish("large", memory=40 * GIB), 0)
    world.ask(wish("npu", kind=NPU), 0)
    world.ask(wish("never", memory=100 * GIB), 0)
    world.ask(wish("other", model="H100"), 1)
    world.decide(1)
    got = {x.request.person: x.model for x in world.open.values() if x.slots}
    assert got == {"small": "MIG", "large": "H100", "npu": "A"}


def test_ill_and_drained_slots_are_not_given() -> None:
    ids = [s.id for s in slots(4)]
    fleet = ill(Fleet(slots(4), drained={ids[1]}, occupied={ids[2]}), ids[0])
    world = World(fleet, POLICY)
    for n in range(4):
        world.ask(wish(f"p{n}"), 0)
    assert [x.slots for x in world.decide(0)] == [(ids[3],)]


@given(
    st.integers(1, 5).flatmap(
        lambda n: st.tuples(st.just(n), st.lists(st.integers(1, 30), max_size=n))
    ),
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 20), st.integers(-2, 2)), max_size=5),
    st.integers(1, 5),
    st.integers(1, 30),
)
def test_a_pools_room_is_what_counting_each_second_says(
    size: tuple[int, list[int]], taken: list[tuple[int, int, int]], count: int, length: int
) -> None:
    pool = pool_of(size[0], 0, size[1])
    room = [size[0] - sum(e > t for e in size[1]) for t in range(200)]
    for begin, long, n in taken:
        pool.take(begin, begin + long, n)
        for t in range(begin, begin + long):
            room[t] -= n
    fitting = [t for t in range(100) if min(room[t : t + length]) >= count]
    assert pool.first(count, length) == (fitting[0] if fitting else None)
    until = next((t for t, r in enumerate(room) if r < count), float("inf"))
    assert pool.room_until(count) == until
    for begin in (0, 7, 33):
        assert pool.least(begin, begin + length) == min(room[begin : begin + length])
        after = next((t for t in range(begin, 200) if room[t] < count), float("inf"))
        assert pool.room_after(begin, count) == after


# ---- shared slots -----------------------------------------------------------------------------


def test_a_slot_is_shared_by_one_team_only() -> None:
    one = slots(1)[0]
    world = World(Fleet((one,), parts={one.id: 3}), POLICY)
    for person, team in (("a1", "team:a"), ("b1", "team:b"), ("a2", "team:a"), ("a3", "team:a")):
        world.ask(wish(person, team, shared=True), 0)
    world.ask(wish("whole", "team:a"), 0)
    world.ask(wish("a4", "team:a", shared=True), 1)
    first = world.decide(1)
    teams = {x.request.team for x in first}
    assert len(teams) == 1
    assert sorted(x.seat for x in first) == list(range(1, len(first) + 1))
    assert all(x.parts == 3 and x.slots == (one.id,) for x in first)
    # the others wait until the last has gone
    for lease in first[:-1]:
        world.release(lease.id, 2)
    assert {x.request.team for x in world.decide(3)} <= teams


def test_a_part_is_only_given_of_what_may_be_shared() -> None:
    world = World(Fleet(slots(2)), POLICY)
    world.ask(wish(shared=True), 0)
    assert world.decide(0) == []


def test_a_part_does_not_hold_a_slot_for_longer_than_was_planned() -> None:
    two = slots(2)
    world = World(Fleet(two, parts={s.id: 4 for s in two}), EVEN)
    held(world, HOUR)
    first = world.ask(wish("a1", "team:a", HOUR, shared=True), 0)
    world.decide(0)
    world.claim(first.id, 0)
    world.ask(wish("big", "team:big", HOUR, count=2), 1)
    world.ask(wish("long", "team:a", 2 * HOUR, shared=True), 2)
    world.ask(wish("short", "team:a", HOUR - 60, shared=True), 3)
    assert granted(world, 60) == ["short"]


# ---- backfill ---------------------------------------------------------------------------------


def test_a_short_request_passes_a_large_one_that_waits_anyway() -> None:
    world = World(Fleet(slots(4)), EVEN)
    held(world, HOUR, count=3)
    world.ask(wish("large", "team:l", HOUR, count=4), 1)
    world.ask(wish("long", "team:m", 2 * HOUR), 2)
    world.ask(wish("short", "team:s", HOUR // 2), 3)
    assert granted(world, 60) == ["short"]
    assert granted(world, 61) == []


def test_a_long_one_passes_where_enough_is_left_over() -> None:
    world = World(Fleet(slots(4)), EVEN)
    held(world, HOUR, count=3)
    world.ask(wish("large", "team:l", HOUR, count=3), 1)
    world.ask(wish("long", "team:m", 8 * HOUR), 2)
    assert granted(world, 60) == ["long"]


# ---- classes ----------------------------------------------------------------------------------

CLASS = Reservation("c", "class:ai", "nvidia.com/gpu", 2, 10 * HOUR, 12 * HOUR)


def test_what_a_class_has_reserved_is_free_when_it_begins() -> None:
    world = World(Fleet(slots(3)), EVEN, classes=[CLASS])
    now = 5 * HOUR
    for n in range(3):
        world.ask(wish(f"early{n}", seconds=6 * HOUR), now)
    assert granted(world, now) == ["early0"]
    world.ask(wish("until", "team:b", 5 * HOUR), now)
    world.ask(wish("too long", "team:c", 5 * HOUR + 1), now)
    assert granted(world, now) == ["until"]


def test_who_asks_for_the_class_is_first_and_only_until_its_end() -> None:
    world = World(Fleet(slots(3)), EVEN, classes=[CLASS])
    now = 11 * HOUR
    for n in range(4):
        world.ask(wish(f"other{n}", "team:b", HOUR), now - 50 + n)
    for n in range(3):
        world.ask(wish(f"pupil{n}", "class:ai", 4 * HOUR), now - 10 + n)
    got = {x.request.person: x for x in world.decide(now)}
    # two from the reservation; the third pupil takes part in the line like everybody, and used more
    assert set(got) == {"pupil0", "pupil1", "other0"}
    assert got["pupil0"].ends == got["pupil1"].ends == CLASS.end
    assert got["pupil0"].window == "c"
    # what a pupil gives back is the class's again
    world.release("r000005", now + 60)
    assert granted(world, now + 61) == ["pupil2"]


def test_a_class_may_share_what_it_reserved() -> None:
    three = slots(3)
    world = World(Fleet(three, parts={s.id: 2 for s in three}), EVEN, classes=[CLASS])
    for n in range(5):
        world.ask(wish(f"pupil{n}", "class:ai", HOUR, shared=True), 11 * HOUR)
    got = world.decide(11 * HOUR)
    assert len(got) == 5
    assert len({x.slots for x in got if x.window}) == 2


def test_the_timetable_gives_the_reservations() -> None:
    table = Timetable(ZoneInfo("Asia/Seoul"), tuple(parse_times("mon,wed 09:00-12:00 lab small")))
    begin = int(datetime(2026, 3, 2, tzinfo=UTC).timestamp())
    found = reservations("class:ai", table, "nvidia.com/gpu", 2, begin, begin + 7 * 86400)
    assert [(r.begin - begin, r.end - begin, r.count) for r in found] == [
        (0, 3 * HOUR, 2),
        (48 * HOUR, 51 * HOUR, 2),
    ]
    assert len({r.id for r in found}) == 2


def test_two_classes_in_two_pools_get_both() -> None:
    fleet = Fleet(slots(2, model="A") + slots(2, model="B"))
    classes = [
        Reservation("x", "class:x", "nvidia.com/gpu", 2, 100, 200),
        Reservation("y", "class:y", "nvidia.com/gpu", 2, 100, 200),
    ]
    world = World(fleet, EVEN, classes=classes)
    world.ask(wish("other", seconds=60), 99)
    for n in range(2):
        world.ask(wish(f"x{n}", "class:x", 60), 100)
        world.ask(wish(f"y{n}", "class:y", 60), 100)
    assert sorted(granted(world, 120)) == ["x0", "x1", "y0", "y1"]


def test_who_has_no_budget_waits() -> None:
    world = World(Fleet(slots(2)), POLICY, barred={"team:a"})
    world.ask(wish("a", "team:a"), 0)
    world.ask(wish("b", "team:b"), 0)
    assert granted(world, 0) == ["b"]


# ---- no starvation ----------------------------------------------------------------------------

SMALL = Policy(longest=120, claim=3, settle=2, patience=200, every=3, half_life=500, gap=400)


def unkind(count: int, size: int) -> list[tuple[int, Request]]:
    """One large request of a team that used much, and for ever newcomers who used nothing."""
    return [
        (n * 20, wish(f"new{n}", f"team:{n}", 60 + n % 50, count=1 + n % size))
        for n in range(count)
    ]


def waits(policy: Policy) -> int:
    """How long the large request waits among newcomers."""
    world = World(Fleet(slots(2)), policy)
    heavy = world.ask(wish("heavy", "team:heavy", 120), 0)
    world.decide(0)
    world.claim(heavy.id, 0)
    arrivals = [*unkind(400, 2), (30, wish("heavy", "team:heavy", 120, count=2))]
    times = run_out(world, arrivals, 8000)
    mine = [x for x in (*world.open.values(), *world.ended) if x.request.person == "heavy"]
    last = max(mine, key=lambda x: x.asked)
    return times[last.id][1] - last.asked if last.id in times else 8000


def test_without_turns_somebody_starves_and_with_them_not() -> None:
    never = replace(SMALL, patience=10**6)
    assert waits(never) > 4000
    assert waits(SMALL) < bound(SMALL, 12)
    assert waits(SMALL) < 2000


REQUESTS = st.lists(
    st.tuples(
        st.integers(0, 1500),
        st.sampled_from(["team:a", "team:b", "team:c", "new"]),
        st.integers(60, 120),
        st.integers(1, 3),
        st.booleans(),
    ),
    min_size=1,
    max_size=40,
)


@settings(deadline=None, max_examples=100)
@given(
    REQUESTS,
    st.integers(1, 4),
    st.integers(0, 3),
    st.integers(1, 4),
    st.sampled_from([10, 200]),
    st.booleans(),
)
def test_nobody_waits_for_longer_than_the_bound(
    wishes: list[tuple[int, str, int, int, bool]],
    whole: int,
    shareable: int,
    every: int,
    patience: int,
    with_classes: bool,
) -> None:
    policy = Policy(
        longest=120, claim=3, settle=2, patience=patience, every=every, half_life=500, gap=400
    )
    fleet = Fleet(
        slots(whole) + slots(shareable, model="S", memory=GIB),
        parts={s.id: 2 for s in slots(shareable, model="S")},
    )
    # 100 seconds of class, then 150 without, for ever
    classes = [
        Reservation(f"c{n}", "class:c", "nvidia.com/gpu", 2, n * 250, n * 250 + 100)
        for n in range(400 if with_classes else 0)
    ]
    world = World(fleet, policy, classes=classes, ahead=900)
    most = max(whole, shareable)
    arrivals = []
    for n, (moment, team, seconds, count, shared) in enumerate(wishes):
        team = f"team:new{n}" if team == "new" else team
        if shared and shareable:
            arrivals.append((moment, wish(f"p{n % 5}", team, seconds, shared=True)))
        else:
            arrivals.append((moment, wish(f"p{n % 5}", team, seconds, count=min(count, most))))
    before: dict[str, int] = {}

    def watch(now: int, world: World) -> None:
        waiting = [x for x in world.open.values() if x.state is State.QUEUED]
        for lease in waiting:
            if now > lease.asked + patience and lease.id not in before:
                mine = (lease.asked, lease.id)
                before[lease.id] = sum((x.asked, x.id) < mine for x in waiting)

    times = run_out(world, arrivals, 90_000, watch)
    assert len(times) == len(wishes)
    for identity, (asked, given_at) in times.items():
        gap = 250 + 100 if with_classes else 0
        assert given_at - asked <= bound(policy, before.get(identity, 0), gap)


# ---- estimates --------------------------------------------------------------------------------


def estimated(world: World, identity: str, now: int) -> Estimate:
    shares = shares_at(now, world.usage, world.open.values(), world.policy)
    return estimate(
        identity,
        now,
        world.fleet,
        world.open.values(),
        shares,
        world.policy,
        classes=world.classes_at(now),
        turns=world.turns,
    )


def test_an_estimate_says_place_and_time() -> None:
    world = World(Fleet(slots(2)), EVEN)
    for n in range(2):
        world.claim(held_one(world, n), 0)
    ids = [world.ask(wish(f"p{n}", f"team:{n}", HOUR), 10 + n).id for n in range(4)]
    never = world.ask(wish("never", memory=200 * GIB), 20).id
    first = estimated(world, ids[0], 100)
    assert (first.place, first.latest) == (1, HOUR)
    assert first.soonest == 100 + (HOUR - 100) // 2
    places = [estimated(world, i, 100).place for i in ids]
    assert places == [1, 2, 3, 4]
    third = estimated(world, ids[2], 100)
    assert third.latest == 2 * HOUR
    nothing = estimated(world, never, 100)
    assert (nothing.latest, nothing.why) == (None, NoEstimate.NONE)
    with pytest.raises(KeyError):
        estimated(world, "nobody", 100)


def held_one(world: World, n: int) -> str:
    lease = world.ask(wish(f"h{n}", "team:h", HOUR), 0)
    world.decide(0)
    return lease.id


def test_an_estimate_knows_that_a_team_shares() -> None:
    """Four of a team that share one slot wait for one slot, not for four, one after the other."""
    one = slots(1)[0]
    world = World(Fleet((one,), parts={one.id: 4}), EVEN)
    world.claim(held_one(world, 0), 0)
    ids = [world.ask(wish(f"p{n}", "team:a", HOUR, shared=True), 10 + n).id for n in range(5)]
    found = [estimated(world, i, 100) for i in ids]
    assert [x.place for x in found] == [1, 2, 3, 4, 5]
    assert {x.latest for x in found[:4]} == {HOUR}
    # the fifth needs the next round of it
    assert found[4].latest == 2 * HOUR + EVEN.claim + EVEN.settle
    # one that is longer than the first would hold the slot for longer
    longer = world.ask(wish("p9", "team:a", 2 * HOUR, shared=True), 9).id
    assert estimated(world, longer, 100).place == 1
    # nor does it join one that was opened for a shorter one
    world.release(longer, 150)
    last = world.ask(wish("p8", "team:a", 2 * HOUR, shared=True), 160).id
    for one_of_them in ids[3:]:
        world.release(one_of_them, 170)
    assert estimated(world, last, 200).latest != HOUR
    # another team has no part of it
    alone = world.ask(wish("q", "team:b", HOUR, shared=True), 200).id
    assert estimated(world, alone, 300).latest != HOUR


def test_classes_that_leave_no_room_are_named() -> None:
    """A reservation without an end in sight: the queue gives such a request no turn."""
    classes = [Reservation("c", "class:c", "nvidia.com/gpu", 2, HOUR, 10**6)]
    world = World(Fleet(slots(2)), EVEN, classes=classes)
    mine = world.ask(wish("minji", seconds=2 * HOUR), 0).id
    assert world.decide(0) == []
    found = estimated(world, mine, 0)
    assert (found.place, found.latest, found.why) == (1, None, NoEstimate.RESERVED)


@pytest.mark.parametrize("drained", [True, False])
def test_what_does_not_go_away_leaves_no_estimate(drained: bool) -> None:
    """A container that outstays its lease, and an operator who drained the other slot."""
    world = World(Fleet(slots(2), drained={"H100-0001"} if drained else ()), EVEN)
    gone_on = world.claim(held_one(world, 0), 0)
    world.tick(gone_on.ends)
    mine = world.ask(wish("minji", count=1 if drained else 2), gone_on.ends).id
    now = gone_on.ends + EVEN.settle
    found = estimated(world, mine, now)
    assert found.why is (NoEstimate.ILL)
    assert (found.place, found.soonest, found.latest) == (1, None, None)


@settings(deadline=None, max_examples=60)
@given(REQUESTS, st.integers(1, 4), st.booleans())
def test_who_stays_first_in_line_is_served_by_the_latest_estimate(
    wishes: list[tuple[int, str, int, int, bool]], count: int, with_classes: bool
) -> None:
    classes = [
        Reservation(f"c{n}", "class:c", "nvidia.com/gpu", 2, n * 300, n * 300 + 100)
        for n in range(60 if with_classes else 0)
    ]
    world = World(Fleet(slots(count)), SMALL, classes=classes, ahead=1500)
    arrivals = [
        (moment, wish(f"p{n}", team, seconds, count=min(many, count)))
        for n, (moment, team, seconds, many, _) in enumerate(wishes)
    ]
    promised: dict[str, int] = {}

    def watch(now: int, world: World) -> None:
        waiting = [x.id for x in world.open.values() if x.state is State.QUEUED]
        for identity in waiting:
            found = estimated(world, identity, now)
            assert found.soonest is not None
            assert found.latest is not None
            assert found.soonest <= found.latest
            if found.place == 1:
                # later estimates of who stays first never get worse
                assert found.latest <= promised.setdefault(identity, found.latest)
                promised[identity] = found.latest
            elif identity in promised:
                # somebody else's turn has come
                del promised[identity]

    times = run_out(world, arrivals, 60_000, watch)
    for identity, latest in promised.items():
        assert times[identity][1] <= latest
