"""For which slots a server may wait: never for one that somebody's server has, or several people's may have."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.accelerators import ill, slots, wish

from madang_hub.accelerators.broker.views import vacancy_model
from madang_hub.accelerators.leases import HELD, Lease, State
from madang_hub.accelerators.pools import Fleet
from madang_hub.accelerators.vacant import COMING, Vacancy, vacancies

CARDS = slots(4)
IDS = [card.id for card in CARDS]
FLEET = Fleet(CARDS)


def lease(state: State, *held: str, **more: object) -> Lease:
    found = Lease("l" + "".join(held), wish(), 0, state=state, slots=held)
    return replace(found, **more)  # type: ignore[arg-type]  # fields by name


leases = st.lists(
    st.builds(
        Lease,
        id=st.uuids().map(lambda u: u.hex),
        request=st.just(wish()),
        asked=st.just(0),
        state=st.sampled_from(State),
        slots=st.lists(st.sampled_from(IDS), max_size=3, unique=True).map(tuple),
        seat=st.integers(0, 2),
        container=st.sampled_from(("", "c")),
    ),
    max_size=5,
)
fleets = st.builds(
    Fleet,
    slots=st.tuples(*(st.builds(replace, st.just(c), shares=st.sampled_from((1, 1, 2))) for c in CARDS)),
    drained=st.frozensets(st.sampled_from(IDS), max_size=2),
    occupied=st.frozensets(st.sampled_from(IDS), max_size=2),
)  # fmt: skip


@given(fleets, leases)
def test_none_for_what_is_somebodys(fleet: Fleet, known: list[Lease]) -> None:
    found = vacancies(fleet, known)
    assert len({v.slot.id for v in found}) == len(found)
    for vacancy in found:
        assert vacancy.slot.shares == 1
        assert fleet.usable(vacancy.slot)
        holders = [x for x in known if x.state in HELD and vacancy.slot.id in x.slots]
        if vacancy.lease is None:
            assert holders == []
        else:
            # nobody else's, and that server alone has this device alone
            assert holders == [vacancy.lease]
            assert vacancy.lease.state in COMING
            assert not vacancy.lease.container
            assert vacancy.lease.slots == (vacancy.slot.id,)


@given(fleets, leases)
def test_every_whole_one_that_nobody_has_is_free(fleet: Fleet, known: list[Lease]) -> None:
    found = {v.slot.id for v in vacancies(fleet, known) if v.lease is None}
    held = {slot for x in known if x.state in HELD for slot in x.slots}
    whole = {s.id for s in fleet.slots if s.shares == 1 and fleet.usable(s)}
    assert found == whole - held


@pytest.mark.parametrize(
    ("state", "kept"),
    [
        (State.GRANTED, True),
        (State.TAKING, True),
        (State.ACTIVE, True),
        (State.ENDING, False),
    ],
)
def test_one_is_kept_until_the_server_of_the_lease_is_seen(state: State, kept: bool) -> None:
    mine = lease(state, IDS[0])
    expected = [Vacancy(CARDS[0], mine)] if kept else []
    assert vacancies(FLEET, [mine])[:-3] == expected
    for other in (
        replace(mine, container="c"),
        replace(mine, seat=1, parts=2),
        replace(mine, slots=tuple(IDS[:2])),
    ):
        assert not [v for v in vacancies(FLEET, [other]) if v.lease]


def test_what_waits_in_line_holds_nothing() -> None:
    assert len(vacancies(FLEET, [lease(State.QUEUED), lease(State.ENDED, IDS[0])])) == 4


def test_an_ill_one_and_one_that_no_container_can_get_are_none() -> None:
    assert {v.slot.id for v in vacancies(ill(FLEET, IDS[0]), [])} == {*IDS[1:]}
    nameless = Fleet((replace(CARDS[0], cdi=""), *CARDS[1:]))
    assert {v.slot.id for v in vacancies(nameless, [])} == {*IDS[1:]}


def test_as_json_has_it() -> None:
    free = vacancy_model(Vacancy(CARDS[0]))
    assert free == {
        "slot": IDS[0],
        "kind": CARDS[0].kind,
        "devices": [CARDS[0].cdi],
        "kept": False,
        "environment": "",
        "size": "",
    }
    mine = lease(State.GRANTED, IDS[0], request=wish(environment="torch", size="small"))
    kept = vacancy_model(Vacancy(CARDS[0], mine))
    assert kept == free | {"kept": True, "environment": "torch", "size": "small"}
