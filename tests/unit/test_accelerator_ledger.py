"""The ledger: seconds that can be recomputed, crashes that lose and double nothing, budgets."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.accelerators import GPU, NPU, wish

from madang_hub.accelerators.leases import Lease, Policy, State
from madang_hub.accelerators.ledger import (
    Allowance,
    Budget,
    BudgetSpentError,
    Event,
    Ledger,
    Span,
    What,
    booked,
    budget_of,
    month,
    seconds,
    totals,
)

SEOUL = ZoneInfo("Asia/Seoul")
NOON = int(datetime(2026, 3, 10, 12, tzinfo=UTC).timestamp())


def event(what: What, moment: int, lease: str = "r1") -> Event:
    if what is What.BEAT:
        return Event(moment, what)
    return Event(moment, what, lease, "minji", "team:a", GPU, "H100")


def spans(*events: Event) -> dict[str, tuple[int, int]]:
    ledger = Ledger()
    ledger.add(events)
    return {s.lease: (s.begin, s.end) for s in ledger.spans()}


BEGAN, ENDED, BEAT = What.BEGAN, What.ENDED, What.BEAT


@pytest.mark.parametrize(
    ("events", "found"),
    [
        ([(BEGAN, 100), (ENDED, 200)], (100, 200)),
        # it goes on: charged to the last beat
        ([(BEGAN, 100)], (100, 100)),
        ([(BEGAN, 100), (BEAT, 160), (BEAT, 220)], (100, 220)),
        ([(BEAT, 60), (BEGAN, 100)], (100, 100)),
        # said twice
        ([(BEGAN, 100), (BEGAN, 130), (ENDED, 200), (ENDED, 250), (BEAT, 300)], (100, 200)),
        ([(BEGAN, 100), (ENDED, 200), (BEGAN, 210), (BEAT, 300)], (100, 200)),
        # a clock that was set back
        ([(BEGAN, 100), (ENDED, 90)], (100, 100)),
    ],
)
def test_a_lease_is_charged_once(events: list[tuple[What, int]], found: tuple[int, int]) -> None:
    assert spans(*(event(what, moment) for what, moment in events)) == {"r1": found}


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(list(What)), st.integers(0, 500), st.sampled_from(["r1", "r2", "r3"])
    ),
    max_size=25,
).map(lambda found: [event(w, m, r) for w, m, r in sorted(found, key=lambda f: f[1])])


@given(EVENTS, st.integers(0, 25))
def test_one_by_one_or_all_at_once_is_the_same(events: list[Event], cut: int) -> None:
    one, other = Ledger(), Ledger()
    closed = one.add(events[:cut]) + one.add(events[cut:])
    for e in events:
        other.add([e])
    assert list(one.spans()) == list(other.spans())
    assert set(closed) <= set(one.spans())


@given(EVENTS, st.lists(st.integers(0, 500), min_size=1, max_size=4))
def test_periods_add_up(events: list[Event], cuts: list[int]) -> None:
    ledger = Ledger()
    ledger.add(events)
    edges = [0, *sorted(cuts), 501]
    whole = seconds(ledger.spans(), 0, 501)
    parts: dict[Span, int] = {}
    for begin, end in pairwise(edges):
        for span, n in seconds(ledger.spans(), begin, end).items():
            parts[span] = parts.get(span, 0) + n
    assert parts == whole
    assert all(n == s.end - s.begin for s, n in whole.items())


def test_weights_are_by_model_or_kind_and_parts() -> None:
    policy = Policy(weights={GPU: 2.0, "MIG": 0.25})
    found = [
        Span("a", "minji", "team:a", GPU, "H100", 2, 1, 0, 100),
        Span("b", "minji", "team:a", GPU, "MIG", 1, 1, 0, 100),
        Span("c", "minji", "team:a", GPU, "H100", 1, 4, 50, 150),
        Span("d", "jisu", "team:a", NPU, "ATOM", 1, 1, 0, 100),
    ]
    assert totals(found, 0, 100, policy) == {
        ("team:a", "minji"): 400 + 25 + 25,
        ("team:a", "jisu"): 100,
    }


def test_only_the_steps_that_matter_are_booked() -> None:
    queued = Lease("r1", wish(), 10)
    granted = replace(queued, state=State.GRANTED, slots=("g",), model="H100")
    active = replace(granted, state=State.ACTIVE, began=20)
    ending = replace(active, state=State.ENDING, stopped=50)
    ended = replace(ending, state=State.ENDED)
    steps = [
        booked(queued, granted),
        booked(granted, active),
        booked(active, replace(active, ends=9)),
    ]
    steps += [booked(active, ending), booked(ending, ended)]
    assert [(e.what, e.moment) if e else None for e in steps] == [
        None,
        (BEGAN, 20),
        None,
        (ENDED, 50),
        None,
    ]


def test_a_month_is_the_zones() -> None:
    begin, end = month(int(datetime(2026, 12, 31, 20, tzinfo=UTC).timestamp()), SEOUL)
    assert datetime.fromtimestamp(begin, SEOUL) == datetime(2027, 1, 1, tzinfo=SEOUL)
    assert datetime.fromtimestamp(end, SEOUL) == datetime(2027, 2, 1, tzinfo=SEOUL)


def test_a_budget_warns_and_then_refuses_with_who_can_help() -> None:
    fresh = Budget("team:a", 36000, 0)
    fresh.check(36000, ["jisu"])
    assert fresh.warning is None
    low = Budget("team:a", 36000, 20000, 8800)
    assert low.warning is not None
    assert str(low.warning).startswith("team:a has used or asked for 80%")
    low.check(7200, ["jisu"])
    with pytest.raises(
        BudgetSpentError, match=r"120 minutes .* jisu, minji can grant more"
    ) as refused:
        low.check(7201, ["jisu", "minji"])
    assert "jisu, minji" in refused.value.sentence.text("ko")
    assert not low.spent
    assert Budget("team:a", 36000, 36000).spent
    Budget("team:a", None, 10**9).check(10**9, [])


def test_a_budget_is_of_the_month_with_what_was_given_and_promised() -> None:
    begin, _ = month(NOON, SEOUL)
    policy = Policy(weights={"H100": 2.0})
    found = budget_of(
        "team:a",
        10000,
        [
            Allowance("team:a", 500, NOON, "admin", "a demo"),
            Allowance("team:a", 500, begin - 1, "admin", "last month"),
            Allowance("team:b", 500, NOON, "admin", "others"),
        ],
        [
            Span("a", "minji", "team:a", GPU, "H100", 1, 1, begin - 50, begin + 100),
            Span("b", "minji", "team:b", GPU, "H100", 1, 1, begin, begin + 100),
        ],
        [
            Lease("c", wish(seconds=300), NOON),
            Lease("d", wish(), NOON, State.ACTIVE, model="H100", parts=2, ends=NOON + 100),
            Lease("e", wish(), NOON, State.ENDING, model="H100", ends=NOON + 100),
            Lease("f", wish(team="team:b"), NOON),
        ],
        NOON,
        SEOUL,
        policy,
    )
    assert found == Budget("team:a", 10500, 200, 300 + 100)
