"""The size of the pool of warm servers: what holds whatever happens."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from madang_hub.warm.pool import (
    Kind,
    Machine,
    Meeting,
    Plan,
    Rule,
    Waiting,
    busiest,
    outdated,
    plan,
    wishes,
)

NOW = datetime(2026, 3, 2, 0, 0, tzinfo=UTC)
RULE = Rule()
MIB = 1 << 20
NAMES = ("lab", "torch", "lab+gpu")

moments = st.integers(-3600, 3600).map(lambda s: NOW + timedelta(seconds=s))
past = st.integers(0, 90_000).map(lambda s: NOW - timedelta(seconds=s))
kinds = st.fixed_dictionaries(
    {
        name: st.builds(
            Kind,
            base=st.integers(0, 4),
            memory=st.integers(1, 200).map(lambda n: n * MIB),
            version=st.just("2"),
            most=st.integers(0, 50),
            more=st.booleans(),
        )
        for name in NAMES
    }
)
meetings = st.lists(
    st.builds(
        Meeting,
        kind=st.sampled_from((*NAMES, "gone")),
        begin=moments,
        people=st.integers(0, 40),
        started=st.integers(0, 50),
    ),
    max_size=4,
)
starts = st.dictionaries(st.sampled_from(NAMES), st.lists(past, max_size=12))
waiting = st.lists(
    st.builds(
        Waiting,
        identity=st.integers(0, 10**9).map(str),
        kind=st.sampled_from((*NAMES, "gone")),
        version=st.sampled_from(("1", "2")),
        made=past,
        ready=st.booleans(),
    ),
    max_size=20,
    unique_by=lambda s: s.identity,
)
machines = st.builds(
    Machine,
    memory=st.integers(0, 16_000).map(lambda n: n * MIB),
    cpu=st.floats(0, 64),
    memory_of_people=st.integers(0, 16_000).map(lambda n: n * MIB),
    cpu_of_people=st.floats(0, 64),
    memory_reserve=st.integers(0, 2_000).map(lambda n: n * MIB),
)
States = tuple[dict[str, Kind], list[Waiting], list[Meeting], dict[str, list[datetime]], Machine]
states = st.tuples(kinds, waiting, meetings, starts, machines)


def planned(state: States, now: datetime = NOW) -> Plan:
    shelf, have, classes, begun, machine = state
    return plan(shelf, have, classes, begun, machine, now, RULE)


def after(state: States, done: Plan, now: datetime = NOW) -> list[Waiting]:
    """What waits when the plan was carried out."""
    kept = [s for s in state[1] if s.identity not in done.remove]
    made = [Waiting(f"new{n}", k, state[0][k].version, now) for n, k in enumerate(done.make)]
    return [replace(s, ready=True) for s in kept] + made


def memory(state: States, servers: list[Waiting]) -> int:
    return sum(state[0][s.kind].memory for s in servers)


@given(states)
def test_what_people_need_is_never_taken(state: States) -> None:
    done = planned(state)
    left = after(state, done)
    # what is made fits, and where too much waits already, nothing is made and the surplus goes
    if done.make:
        assert memory(state, left) <= state[4].room
    wanted = sum(n * state[0][k].memory for k, n in done.wanted.items())
    assert wanted <= state[4].room
    if memory(state, left) > state[4].room:
        for kind, number in done.wanted.items():
            assert sum(s.kind == kind for s in left) <= number


@given(states)
def test_nobody_gets_an_outdated_one(state: States) -> None:
    done = planned(state)
    for server in state[1]:
        if outdated(server, state[0], NOW, RULE):
            assert server.identity in done.remove
    assert all(not outdated(s, state[0], NOW, RULE) for s in after(state, done))


@given(states)
def test_only_what_waits_is_removed_and_only_what_is_known_is_made(state: States) -> None:
    done = planned(state)
    assert done.remove <= {s.identity for s in state[1]}
    assert set(done.make) <= set(state[0])
    made = sum(not s.ready for s in state[1] if s.identity not in done.remove)
    assert len(done.make) <= max(0, RULE.pace - made)


BOTH_ARE_MADE: States = (
    {name: Kind(base=0, memory=MIB, version="2") for name in NAMES},
    [Waiting(name, "lab", "2", NOW, ready=False) for name in ("0", "1")],
    [Meeting("torch", NOW, people=1)],
    {},
    Machine(3 * MIB, 1, 0, 0, 0),
)
"""As many as may be made at the same time, and neither is what is wanted now."""


@example(BOTH_ARE_MADE)
@given(states)
def test_it_comes_to_rest(state: States) -> None:
    """Carried out again and again, with nothing else happening, the plan is empty in the end."""
    steps = 0
    while True:
        done = planned(state)
        if not done.make and not done.remove and all(s.ready for s in state[1]):
            break
        steps += 1
        assert steps < 200
        numbered = [replace(s, identity=f"{steps}-{n}") for n, s in enumerate(after(state, done))]
        state = (state[0], numbered, *state[2:])
    # what is wanted and fits beside what waits is there
    for kind, number in done.wanted.items():
        have = sum(s.kind == kind for s in state[1])
        short = state[4].room - memory(state, state[1]) < state[0][kind].memory
        assert have >= number or short or not state[4].has_cores or not state[0][kind].more


@given(states)
def test_never_more_than_there_are_slots(state: States) -> None:
    done = planned(state)
    for kind, number in done.wanted.items():
        assert number <= state[0][kind].most


@given(states)
def test_of_some_kinds_none_is_made_and_what_waits_stays_where_it_is_wanted(state: States) -> None:
    done = planned(state)
    assert all(state[0][kind].more for kind in done.make)
    for kind, number in done.wanted.items():
        fresh = [s for s in state[1] if s.kind == kind and not outdated(s, state[0], NOW, RULE)]
        kept = [s for s in fresh if s.identity not in done.remove]
        assert len(kept) >= min(number, len(fresh))


@given(states, st.integers(0, 200))
def test_the_most_urgent_are_had_where_there_is_room_for_them_alone(
    state: States, number: int
) -> None:
    shelf, have, classes, begun, _ = state
    first = wishes(shelf, classes, begun, NOW, RULE)[:number]
    room = sum(shelf[kind].memory for kind in first)
    done = plan(shelf, have, classes, begun, Machine(room, 1, 0, 0, 0), NOW, RULE)
    assert done.wanted == {kind: first.count(kind) for kind in shelf}


@given(st.lists(past, max_size=12))
def test_the_busiest_stretch(moments: list[datetime]) -> None:
    found = busiest(moments, NOW, RULE)
    known = [t for t in moments if NOW - t <= RULE.memory_of_demand]
    counts = [sum(t <= u <= t + RULE.stretch for u in known) for t in known]
    assert found == max(counts, default=0)


LAB = {"lab": Kind(base=1, memory=90 * MIB, version="2")}
LARGE = Machine(64_000 * MIB, 16, 0, 0, 1_000 * MIB)


def count(now: datetime, *classes: Meeting, **begun: list[datetime]) -> int:
    return wishes(LAB, classes, begun, now, RULE).count("lab")


def test_a_class_of_forty_at_nine_has_forty_warm_before() -> None:
    nine = Meeting("lab", NOW, 40)
    assert count(NOW - timedelta(minutes=6), nine) == 1
    assert count(NOW - timedelta(minutes=3), nine) == 40
    assert count(NOW, replace(nine, started=30)) == 10
    assert count(NOW + timedelta(minutes=16), nine) == 1
    # two classes at once
    assert count(NOW, nine, Meeting("lab", NOW, 20)) == 60


def test_recent_demand_is_remembered_for_a_while() -> None:
    rush = [NOW + timedelta(seconds=n) for n in range(6)]
    assert count(NOW + timedelta(minutes=1), lab=rush) == 9
    assert count(NOW + timedelta(minutes=31), lab=rush) == 1


def test_a_class_comes_before_bases_where_room_is_short() -> None:
    shelf = {**LAB, "torch": Kind(base=3, memory=90 * MIB, version="2")}
    tight = Machine(900 * MIB, 4, 0, 0, 0)
    done = plan(shelf, [], [Meeting("lab", NOW, 40)], {}, tight, NOW, RULE)
    assert done.wanted == {"lab": 10, "torch": 0}
    assert done.make == ("lab", "lab")


def test_where_people_use_all_cores_none_is_made_and_none_goes() -> None:
    full = replace(LARGE, cpu_of_people=16)
    have = [Waiting("a", "lab", "2", NOW)]
    for machine, made in ((LARGE, ("lab", "lab")), (full, ())):
        done = plan(LAB, have, [Meeting("lab", NOW, 3)], {}, machine, NOW, RULE)
        assert (done.make, done.remove) == (made, frozenset())


def test_a_surplus_stays_a_while() -> None:
    have = [Waiting(str(n), "lab", "2", NOW) for n in range(5)]
    assert planned((LAB, have, [], {}, LARGE)).remove == frozenset()
    assert len(planned((LAB, have, [], {}, LARGE), NOW + timedelta(minutes=11)).remove) == 4
