"""The store: what cannot be stored, what survives, and real processes that race; SQLite and PostgreSQL."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from support.accelerators import ill, slots, wish

from madang_hub.accelerators.leases import (
    ExtensionRefusedError,
    NotYoursError,
    Policy,
    State,
    StateError,
    Why,
)
from madang_hub.accelerators.ledger import Allowance
from madang_hub.accelerators.pools import Fleet, Reservation
from madang_hub.accelerators.reconcile import Action, Container, Do, reconcile
from madang_hub.accelerators.restarts import Restart
from madang_hub.accelerators.store import Leases
from madang_hub.accelerators.tables import EVENTS, LEASES, SEATS, Drained, row_of
from madang_hub.people.database import Database

POLICY = Policy(longest=7200)
SEOUL = ZoneInfo("Asia/Seoul")


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    found = Database(url)
    yield found
    found.close()


@pytest.fixture
def store(database: Database) -> Leases:
    return Leases(database, POLICY)


FLEET = Fleet(slots(2))


def active(store: Leases, identity: str = "r1", now: int = 1000) -> None:
    store.ask(identity, wish(), now)
    store.decide(now, FLEET)
    store.claim(identity, "minji", now)


def test_a_whole_life_survives_restarts_between_all_steps(url: str) -> None:
    def anew() -> Leases:
        return Leases(Database(url), POLICY)

    asked = anew().ask("r1", wish(environment="torch", memory=2**36), 1000)
    assert anew().ask("r1", wish(), 2000) == asked
    assert anew().lease("r1") == asked
    (granted,) = anew().decide(1010, FLEET)
    assert anew().decide(1010, FLEET) == []
    assert anew().lease("r1") == granted
    assert anew().claim("r1", "minji", 1020).began == 1020
    assert anew().claim("r1", "minji", 1021).began == 1020
    assert anew().extend("r1", "minji", 7000, 2000, FLEET).ends == 1020 + 7200
    assert anew().tick(8219) == []
    (over,) = anew().tick(8220)
    assert (over.state, over.why) == (State.ENDING, Why.OVER)
    assert anew().open_ones() == [over]
    (gone,) = anew().carry_out([Action(Do.GONE, "r1")], 8230, 8231)
    assert (gone.state, anew().open_ones()) == (State.ENDED, [])
    (span,) = anew().accounts.spans()
    assert (span.begin, span.end, span.team, span.model) == (1020, 8220, "team:a", "H100")


def test_a_second_holder_cannot_be_stored(store: Leases, database: Database) -> None:
    """Also where every rule has failed."""
    active(store)
    row = {"slot": store.open_ones()[0].slots[0], "lease": "r1", "team": "team:a"}
    with pytest.raises(IntegrityError), database.transaction() as db:
        db.execute(SEATS.insert().values(seat=0, **row))
    # nor a second beginning in the ledger
    with database.transaction() as db:
        began = dict(db.execute(sa.select(EVENTS)).mappings().one())
    del began["seq"]
    with pytest.raises(IntegrityError), database.transaction() as db:
        db.execute(EVENTS.insert().values(began))


def test_a_shared_slot_is_of_one_team_in_the_table_too(store: Leases, database: Database) -> None:
    one = slots(1)[0]
    fleet = Fleet((one,), parts={one.id: 2})
    for name, team in (("r1", "team:a"), ("r2", "team:b"), ("r3", "team:a")):
        store.ask(name, wish(name, team, shared=True), 1000)
    # short enough not to make the other team wait for longer
    store.ask("r4", wish("r4", "team:a", 3000, shared=True), 1001)
    got = store.decide(1000, fleet)
    assert {x.request.team for x in got} == {"team:a"}
    assert sorted(x.seat for x in got) == [1, 2]
    with pytest.raises(IntegrityError), database.transaction() as db:
        db.execute(SEATS.insert().values(slot=one.id, seat=0, lease=None, team="team:b"))
    store.release(got[0].id, 1010)
    (again,) = store.decide(1011, fleet)
    assert again.seat == got[0].seat
    store.release(again.id, 1012)
    assert [x.request.team for x in store.decide(1013, fleet)] == []
    store.release(got[1].id, 1014)
    assert [x.request.team for x in store.decide(1015, fleet)] == ["team:b"]
    with database.transaction() as db:
        assert len(db.execute(sa.select(SEATS)).all()) == 2


def test_extension_only_while_nobody_waits_and_no_class_comes(store: Leases) -> None:
    active(store)
    active(store, "r2")
    store.ask("r3", wish("jisu"), 1100)
    with pytest.raises(ExtensionRefusedError, match="Others wait"):
        store.extend("r1", "minji", 3600, 2000, FLEET)
    assert store.extend("r1", "minji", 3600, 2000, FLEET, barred={"team:a"}).ends == 5600
    store.release("r3", 2001)
    with pytest.raises(NotYoursError):
        store.extend("r2", "jisu", 3600, 2000, FLEET)
    with pytest.raises(StateError):
        store.extend("r9", "minji", 3600, 2000, FLEET)
    coming = [Reservation("c", "class:ai", "nvidia.com/gpu", 2, 5000, 6000)]
    assert store.extend("r2", "minji", 7000, 2000, FLEET, classes=coming).ends <= 5000
    store.drain("H100-0000", "admin", "a fan", 2000)
    store.drain("H100-0001", "admin", "a fan", 2000)
    with pytest.raises(ExtensionRefusedError):
        store.extend("r2", "minji", 7000, 2001, FLEET)


def test_what_is_somebody_elses_is_not_given_back(store: Leases) -> None:
    active(store)
    with pytest.raises(NotYoursError):
        store.release("r1", 1100, person="jisu")
    assert store.release("r1", 1100, person="minji").state is State.ENDING


def test_a_listing_says_nothing_about_what_changed_since_it_began(store: Leases) -> None:
    active(store, now=1000)
    for step in (Do.VANISHED, Do.NEVER_STARTED, Do.GONE):
        assert store.carry_out([Action(step, "r1")], 1000, 1001) == []
    assert store.open_ones()[0].state is State.ACTIVE
    # that a container is there is true whenever it was seen
    (seen,) = store.carry_out([Action(Do.SEEN, "r1", "c1")], 1000, 1001)
    assert seen.container == "c1"
    (over,) = store.carry_out([Action(Do.VANISHED, "r1")], 1001, 1002)
    assert over.why is Why.VANISHED


def test_a_server_that_comes_back_is_noted_once(store: Leases) -> None:
    first = Restart("minji", "r1", "torch", "large", 1000)
    store.restart_later(first)
    store.restart_later(replace(first, environment="lab", since=1005))
    assert store.restarts() == [first]
    second = replace(first, lease="r2", since=2000)
    store.restart_later(second)
    assert store.restarts() == [second]
    # what was done about the first says nothing about the second
    store.forget_restart(first)
    assert store.restarts() == [second]


def test_draining(store: Leases) -> None:
    store.drain("H100-0000", "admin", "a fan", 1000)
    store.drain("H100-0000", "admin", "a fan, again", 1001)
    store.ask("r1", wish(), 1000)
    store.ask("r2", wish(), 1000)
    assert [x.slots for x in store.decide(1002, FLEET)] == [("H100-0001",)]
    assert store.drained() == {"H100-0000": Drained("admin", "a fan, again", 1001)}
    store.undrain("H100-0000")
    assert [x.slots for x in store.decide(1003, FLEET)] == [("H100-0000",)]


def test_a_slot_that_falls_ill_hands_its_person_to_another(store: Leases) -> None:
    active(store)
    store.ask("r2", wish("jisu"), 1001)
    store.decide(1001, FLEET)
    store.ask("r3", wish("later"), 1002)
    broken = store.lease("r1")
    assert broken is not None
    fleet = ill(FLEET, *broken.slots)
    ((over, again),) = store.fell_ill(broken.slots, 1100)
    assert (over.state, over.why) == (State.ENDING, Why.ILL)
    assert again is not None
    assert (again.asked, again.request.seconds) == (1000, 3500)
    assert store.fell_ill(broken.slots, 1101) == []
    assert store.decide(1102, fleet) == []
    store.release("r2", 1103)
    assert [x.id for x in store.decide(1104, fleet)] == [again.id]


def test_the_engine_decides_what_has_ended(store: Leases) -> None:
    for name in ("r1", "r2"):
        active(store, name)
    slot = {x.id: x.slots for x in store.open_ones()}
    there = [Container("c1", "r1", slot["r1"]), Container("c2", "r2", slot["r2"])]

    def listed(now: int, containers: list[Container]) -> list[str]:
        found = reconcile(store.open_ones(), containers, now, now, POLICY)
        return [x.id for x in store.carry_out(found.actions, now, now)]

    assert listed(1060, there) == ["r1", "r2"]
    assert listed(1120, there) == []
    store.release("r1", 1150)
    # r1's container still goes away, r2's is not there any more
    assert listed(1180, there[:1]) == ["r2"]
    assert store.decide(1181, FLEET) == []
    assert sorted(listed(1240, [])) == ["r1", "r2"]
    assert {s.lease: s.end for s in store.accounts.spans()} == {"r1": 1150, "r2": 1120}


def test_budgets_come_from_the_ledger(store: Leases) -> None:
    now = 1_800_000_000
    active(store, "r1", now)
    store.carry_out([], now + 600, now + 600)
    found = store.accounts.budget("team:a", 7200, now + 600, SEOUL)
    assert (found.used, found.promised) == (600, 3000)
    store.allow(Allowance("team:a", 3600, now, "admin", "a demo"))
    assert store.accounts.budget("team:a", 7200, now + 600, SEOUL).limit == 10800


def test_the_estimate_is_the_rules(store: Leases) -> None:
    for name in ("r1", "r2"):
        active(store, name)
    store.ask("r3", wish("jisu"), 1001)
    found = store.estimate("r3", 1002, FLEET)
    assert (found.place, found.latest) == (1, 1000 + 3600 + POLICY.settle)


# ---- real processes -----------------------------------------------------------------------------

RACERS, WANTED = 8, 6
PATIENT = Policy(claim=10**6)
"""Each racer has a clock of its own."""


def race(url: str, number: int, start: object, results: object) -> None:
    """Ask, decide, claim and give back with the others at once."""
    database = Database(url)
    store = Leases(database, PATIENT)
    start.wait()  # type: ignore[attr-defined]  # a barrier
    got = []
    now = 1000
    for n in range(WANTED):
        name = f"p{number}-{n}"
        store.ask(name, wish(name, f"team:{number % 3}"), now)
        for lease in store.decide(now, FOUR):
            got.append((lease.id, lease.slots, "granted"))
        for lease in store.open_ones():
            now += 1
            if lease.state is State.GRANTED and lease.request.person.startswith(f"p{number}-"):
                store.claim(lease.id, lease.request.person, now)
                with database.transaction() as db:
                    # at any moment the four slots have four holders at most
                    rows = db.execute(sa.select(SEATS.c.slot, SEATS.c.lease)).all()
                assert len({r.slot for r in rows}) == len(rows) <= 4
                store.release(lease.id, now)
                store.carry_out([Action(Do.GONE, lease.id)], now + 1, now + 1)
    results.put(got)  # type: ignore[attr-defined]  # a queue
    database.close()


FOUR = Fleet(slots(4))


def test_processes_that_race_never_get_one_slot_twice(url: str) -> None:
    method = multiprocessing.get_context("spawn")
    start, results = method.Barrier(RACERS), method.Queue()
    racers = [method.Process(target=race, args=(url, n, start, results)) for n in range(RACERS)]
    for racer in racers:
        racer.start()
    granted = [grant for _ in racers for grant in results.get(timeout=100)]
    for racer in racers:
        racer.join(60)
        assert racer.exitcode == 0
    names = [name for name, _, _ in granted]
    assert len(names) == len(set(names)) >= RACERS
    database = Database(url)
    store = Leases(database, PATIENT)
    held = [slot for x in store.open_ones() for slot in x.slots]
    assert len(held) == len(set(held)) <= 4
    with database.transaction() as db:
        everything = db.execute(sa.select(LEASES.c.id)).scalars().all()
        events = db.execute(sa.select(EVENTS.c.lease, EVENTS.c.what)).all()
    assert len(everything) == RACERS * WANTED
    told = [tuple(e) for e in events if e.lease]
    assert len(told) == len(set(told)) > 0
    database.close()


def test_a_process_that_dies_in_the_middle_leaves_nothing_half(url: str) -> None:
    """Its lease is stored and its slot is not yet when it is gone."""
    database = Database(url)
    store = Leases(database, POLICY)
    store.ask("r1", wish(), 1000)
    context = multiprocessing.get_context("spawn")
    victim = context.Process(target=die_while_granting, args=(url,))
    victim.start()
    victim.join(60)
    assert victim.exitcode == 9
    assert [x.state for x in store.open_ones()] == [State.QUEUED]
    assert [x.id for x in store.decide(1001, FLEET)] == ["r1"]
    database.close()


def die_while_granting(url: str) -> None:
    database = Database(url)
    store = Leases(database, POLICY)
    store.lease("r1")

    @sa.event.listens_for(sa.Engine, "after_cursor_execute")
    def _(*args: object) -> None:
        if str(args[2]).startswith(f"INSERT INTO {SEATS.name}"):
            os._exit(9)

    store.decide(1001, FLEET)


def test_a_row_is_a_lease_and_back(store: Leases) -> None:
    active(store)
    lease = store.lease("r1")
    assert lease is not None
    assert set(row_of(lease)) == set(LEASES.c.keys())
