"""What classes need: the reservations that follow, what is refused, and who is served from them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.accelerators import GIB, GPU, NPU, World, ill, slots, wish

from madang_hub.accelerators.leases import Policy, State
from madang_hub.accelerators.pools import Fleet, Reservation, pools_at
from madang_hub.accelerators.reserving import (
    CHECKED,
    DAY,
    Need,
    ReservationRefusedError,
    check,
    coming,
    following,
    horizon,
)
from madang_hub.people.timetable import Timetable, changed, parse_dates, parse_times

HOUR = 3600
MONDAY = int(datetime(2026, 3, 1, 15, tzinfo=UTC).timestamp())
"""Monday 2 March 2026, 00:00 in Seoul."""
POLICY = Policy(longest=8 * HOUR)
SEOUL = ZoneInfo("Asia/Seoul")


def table(*times: str) -> Timetable:
    return Timetable(SEOUL, tuple(w for t in times for w in parse_times(t)))


AI = table("mon,wed 09:00-12:00 lab small")
NEED = Need("class:ai", GPU, "", 2)


def test_a_need_is_a_reservation_for_each_time_ahead() -> None:
    found = coming([NEED], {"class:ai": AI}, MONDAY, 7 * DAY)
    assert [((r.begin - MONDAY) / HOUR, (r.end - MONDAY) / HOUR, r.count) for r in found] == [
        (9, 12, 2),
        (57, 60, 2),
    ]
    assert coming([NEED], {"class:ai": AI}, MONDAY, 9 * HOUR) == []
    # a class whose timetable is gone has none
    assert coming([NEED], {}, MONDAY, 7 * DAY) == []


def test_a_time_stays_the_same_one_while_it_is_on() -> None:
    """Leases remember from which one they were given, also when its first meeting is over."""
    split = table("mon 09:00-10:00 lab small", "mon 10:00-12:00 torch large")
    seen = {
        tuple(r.id for r in coming([NEED], {"class:ai": split}, MONDAY + second, 2 * HOUR))
        for second in range(8 * HOUR, 12 * HOUR, 600)
    }
    assert len(seen) == 1
    (over,) = coming([NEED], {"class:ai": split}, MONDAY + 12 * HOUR, 2 * HOUR)
    assert (over.end, over.id) == (MONDAY + 12 * HOUR, seen.pop()[0])
    assert coming([NEED], {"class:ai": split}, MONDAY + 37 * HOUR, 2 * HOUR) == []


def test_each_kind_and_model_is_one_of_its_own() -> None:
    needs = [NEED, replace(NEED, model="H100"), replace(NEED, kind=NPU), replace(NEED, team="b")]
    found = coming(needs, {"class:ai": AI, "b": AI}, MONDAY, DAY)
    assert len({r.id for r in found}) == 4
    # whatever the names are, a lease can remember it
    long = Need("class:" + "x" * 249, "k" * 255, "m" * 255, 1)
    (one,) = coming([long], {long.team: AI}, MONDAY, DAY)
    assert len(one.id) < 64


def test_when_it_is_next() -> None:
    def at(hour: float) -> tuple[float, float] | None:
        found = following(NEED, AI, MONDAY + int(hour * HOUR))
        return found and ((found[0] - MONDAY) / HOUR, (found[1] - MONDAY) / HOUR)

    assert at(0) == (9, 12)
    assert at(11) == (9, 12)
    assert at(12) == (57, 60)
    # after holidays of a fortnight
    off = changed(AI, off=parse_dates("2026-03-03..2026-03-17"))
    later = following(NEED, off, MONDAY + 13 * HOUR)
    assert later is not None
    assert (later[0] - MONDAY) / HOUR == 16 * 24 + 9
    assert following(NEED, table(), MONDAY) is None


def test_more_than_there_are_is_refused() -> None:
    there = (*slots(2), *slots(1, model="A100", memory=40 * GIB))
    tables = {"class:ai": AI}
    # an ill one counts: it may be well again
    there = ill(Fleet(there), there[0].id).slots
    check(replace(NEED, count=3), [], tables, there, MONDAY, POLICY)
    for need in (
        replace(NEED, count=4),
        replace(NEED, model="A100"),
        replace(NEED, kind=NPU, count=1),
    ):
        with pytest.raises(ReservationRefusedError, match="cannot have") as refused:
            check(need, [], tables, there, MONDAY, POLICY)
        assert refused.value.sentence.text("ko") != refused.value.sentence.text("en")


def test_classes_that_meet_at_the_same_time_share_what_there_is() -> None:
    there = slots(3)
    other = replace(NEED, team="class:bio")
    tables = {"class:ai": AI, "class:bio": table("wed 11:00-14:00 lab small")}
    check(replace(other, count=1), [NEED], tables, there, MONDAY, POLICY)
    with pytest.raises(
        ReservationRefusedError, match="1 would be missing for class:bio on 2026-03-04"
    ):
        check(other, [NEED], tables, there, MONDAY, POLICY)
    # one after the other is no conflict, nor is a change of what the class has itself
    after = {**tables, "class:bio": table("wed 12:00-14:00 lab small")}
    check(replace(other, count=3), [NEED], after, there, MONDAY, POLICY)
    check(replace(NEED, count=3), [NEED], tables, there, MONDAY, POLICY)
    # one class between two that follow each other
    third = Need("class:art", GPU, "", 1)
    tables = {**after, "class:art": table("wed 09:00-14:00 lab small")}
    check(third, [NEED, other], tables, there, MONDAY, POLICY)


@settings(deadline=None, max_examples=100)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(1, 4), st.sampled_from(["", "A", "B"])), max_size=6
    ),
    st.integers(0, 3),
    st.integers(1, 4),
)
def test_what_was_not_refused_is_there(
    wanted: list[tuple[int, int, str]], ones: int, others: int
) -> None:
    """While every class meets, what it reserved is left for it, whoever else asks for slots."""
    there = slots(ones, model="A") + slots(others, model="B")
    needs: dict[tuple[str, str, str], Need] = {}
    tables = {f"class:{n}": table(f"mon {9 + n:02}:00-{11 + n:02}:00 lab small") for n in range(4)}
    for number, count, model in wanted:
        need = Need(f"class:{number}", GPU, model, count)
        try:
            check(need, list(needs.values()), tables, there, MONDAY, POLICY)
            needs[need.what] = need
        except ReservationRefusedError:
            pass
    for one in coming(needs.values(), tables, MONDAY, CHECKED):
        for now in (one.begin - HOUR, one.begin, (one.begin + one.end) // 2, one.end - 1):
            found = coming(needs.values(), tables, now, horizon(POLICY))
            reserved = pools_at(now, Fleet(there), (), found, POLICY).reserved
            assert sum(reserved[one.id].values()) == one.count


def test_a_class_with_two_kinds_is_served_from_both() -> None:
    fleet = Fleet(slots(1) + slots(1, NPU, "RBLN"))
    now = MONDAY + 9 * HOUR
    needs = [Need("class:ai", GPU, "", 1), Need("class:ai", NPU, "", 1)]
    world = World(fleet, POLICY, coming(needs, {"class:ai": AI}, now, horizon(POLICY)))
    world.ask(wish("stranger", seconds=HOUR), now - 60)
    world.ask(wish("stranger", kind=NPU, seconds=HOUR), now - 60)
    for kind in (GPU, NPU):
        world.ask(wish("pupil", "class:ai", 5 * HOUR, kind=kind), now)
    granted = world.decide(now)
    assert {x.request.person for x in granted} == {"pupil"}
    assert {x.request.kind for x in granted} == {GPU, NPU}
    assert all(x.window and x.ends == now + 3 * HOUR for x in granted)


def test_nothing_is_lent_into_a_class_that_the_horizon_shows() -> None:
    """The longest lease of all, asked for at any time, is over when the class begins."""
    fleet = Fleet(slots(1))
    need = [Need("class:ai", GPU, "", 1)]
    begin = MONDAY + 9 * HOUR
    for hours in range(1, 30):
        now = begin - hours * HOUR
        classes = coming(need, {"class:ai": AI}, now, horizon(POLICY))
        world = World(fleet, POLICY, classes)
        world.ask(wish("minji", seconds=POLICY.longest), now)
        for lease in world.decide(now):
            assert lease.state is State.GRANTED
            assert lease.ends + POLICY.settle <= begin


def test_overlaps_are_counted_at_one_moment() -> None:
    """Two that follow each other have one slot, so the third, which meets both, has the other."""
    classes = [
        Reservation("a", "class:a", GPU, 1, 100, 200, "H100"),
        Reservation("b", "class:b", GPU, 1, 200, 300, "H100"),
        Reservation("c", "class:c", GPU, 1, 100, 300),
    ]
    reserved = pools_at(0, Fleet(slots(2)), (), classes, POLICY).reserved
    assert [sum(reserved[c.id].values()) for c in classes] == [1, 1, 1]


def test_who_takes_any_model_leaves_the_one_that_another_named() -> None:
    classes = [
        Reservation("any", "class:a", GPU, 1, 100, 300),
        Reservation("named", "class:b", GPU, 1, 200, 300, "A100"),
    ]
    fleet = Fleet(slots(1, model="A100") + slots(1, model="H100"))
    reserved = pools_at(0, fleet, (), classes, POLICY).reserved
    assert [sum(reserved[c.id].values()) for c in classes] == [1, 1]
