"""The broker's own rules and its desk, on a real database file and with the clock passed in."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from support.accelerators import GIB, GPU, NPU, slots, wish

from madang_hub.accelerators.broker import views
from madang_hub.accelerators.broker.desk import Desk
from madang_hub.accelerators.broker.policy import Limits, limits_of, policy_of
from madang_hub.accelerators.broker.watch import ill_since, lasting
from madang_hub.accelerators.broker.wishes import (
    RestartWish,
    WishError,
    check_environment,
    check_there,
    need_of,
    restart_of,
    seconds_of,
    wish_of,
)
from madang_hub.accelerators.idle import Notice
from madang_hub.accelerators.inventory import Inventory
from madang_hub.accelerators.leases import (
    ExtensionRefusedError,
    Lease,
    Policy,
    Request,
    State,
    StateError,
    Why,
)
from madang_hub.accelerators.ledger import BudgetSpentError, What
from madang_hub.accelerators.pools import Fleet
from madang_hub.accelerators.reconcile import Container, Do
from madang_hub.accelerators.reserving import Need, ReservationRefusedError
from madang_hub.accelerators.slots import Health, Use
from madang_hub.accelerators.store import Leases
from madang_hub.accelerators.tables import Drained
from madang_hub.catalog import Environment
from madang_hub.people.audit import Entry
from madang_hub.people.database import Database
from madang_hub.people.service.parts import templates
from madang_hub.people.timetable import Timetable, parse_times
from madang_hub.settings import Settings, SettingsError
from madang_hub.texts import Text

POLICY = Policy(longest=4 * 3600, claim=120, starting=300)
NOW = 1_767_225_600
"""The first of January 2026, 09:00 in Seoul."""
MOMENT = datetime.fromtimestamp(NOW, UTC)


# ---- what is asked for ------------------------------------------------------------------------


def test_a_wish_in_full() -> None:
    body = {
        "team": "team:a",
        "kind": GPU,
        "model": "H100",
        "memory": 40 * GIB,
        "count": 2,
        "minutes": 90,
        "environment": "torch-cuda",
        "size": "large",
    }
    assert wish_of(body, "minji", {"team:a", "class:b"}) == Request(
        person="minji",
        team="team:a",
        kind=GPU,
        seconds=5400,
        model="H100",
        memory=40 * GIB,
        count=2,
        environment="torch-cuda",
        size="large",
    )


def test_a_part_is_enough() -> None:
    assert wish_of({"kind": GPU, "minutes": 1, "shared": True}, "minji", {"team:a"}).shared


def test_who_is_in_one_team_need_not_say_which() -> None:
    assert wish_of({"kind": GPU, "minutes": 1}, "minji", {"class:b"}).team == "class:b"


@pytest.mark.parametrize(
    ("changed", "teams", "status", "word"),
    [
        ({"person": "jisu"}, {"team:a"}, 400, "person"),
        ({"seconds": 5}, {"team:a"}, 400, "seconds"),
        ({"shared": 1}, {"team:a"}, 400, "not understood"),
        ({"shared": None}, {"team:a"}, 400, "not understood"),
        ({"kind": ""}, {"team:a"}, 400, "kind"),
        ({"kind": 7}, {"team:a"}, 400, "not understood"),
        ({"kind": "x" * 256}, {"team:a"}, 400, "not understood"),
        ({"minutes": None}, {"team:a"}, 400, "not understood"),
        ({"minutes": True}, {"team:a"}, 400, "not understood"),
        ({"minutes": 1.5}, {"team:a"}, 400, "not understood"),
        ({"minutes": -1}, {"team:a"}, 400, "not understood"),
        ({"count": 0}, {"team:a"}, 400, "not understood"),
        ({"memory": "40G"}, {"team:a"}, 400, "not understood"),
        ({"size": "large"}, {"team:a"}, 400, "environment"),
        ({}, set(), 403, "team or class"),
        ({}, {"team:a", "class:b"}, 400, "class:b, team:a"),
        ({"team": "team:c"}, {"team:a"}, 403, "not in the team"),
    ],
)
def test_a_wish_that_is_none(
    changed: dict[str, Any], teams: set[str], status: int, word: str
) -> None:
    with pytest.raises(WishError, match=word) as refused:
        wish_of({"kind": GPU, "minutes": 60, **changed}, "minji", teams)
    assert refused.value.status == status


@pytest.mark.parametrize("body", [{}, {"minutes": 0}, {"minutes": "5"}, {"minutes": 5, "x": 1}])
def test_minutes_that_are_none(body: dict[str, Any]) -> None:
    with pytest.raises(WishError):
        seconds_of(body)
    assert seconds_of({"minutes": 5}) == 300


@pytest.mark.parametrize(
    ("body", "asked", "running", "found"),
    [
        ({"environment": "a", "size": "x"}, ("b", "y"), {"environment": "c"}, ("a", "x")),
        ({}, ("b", "y"), {"environment": "c"}, ("b", "y")),
        ({}, ("", ""), {"environment": "c", "size": "z"}, ("c", "z")),
        ({}, ("", ""), {"size": "z"}, ("", "")),
        ({"environment": "a"}, ("b", "y"), {}, ("a", "")),
    ],
)
def test_which_server_comes_with_it(
    body: dict[str, str], asked: tuple[str, str], running: dict[str, str], found: tuple[str, str]
) -> None:
    wanted = restart_of({"restart": True, **body})
    assert wanted is not None
    request = wanted.over(wish(environment=asked[0], size=asked[1]), running)
    assert (request.environment, request.size) == found


def test_what_take_does_not_understand() -> None:
    assert restart_of({}) is None
    assert restart_of({"restart": False}) is None
    for body in (
        {"restart": 1},
        {"restart": None},
        {"environment": "lab"},
        {"restart": True, "size": "large"},
        {"restart": True, "person": "x"},
    ):
        with pytest.raises(WishError):
            restart_of(body)
    with pytest.raises(WishError):
        RestartWish().over(wish(), {"environment": ["x"]})


@pytest.mark.parametrize(
    ("request_", "word"),
    [
        (wish(count=2), ""),
        (wish(count=3), "at most 2"),
        (wish(kind=NPU), "no such"),
        (wish(model="L4"), "no such"),
        (wish(model="A100", count=1), ""),
        (wish(memory=80 * GIB, count=2), ""),
        (wish(memory=81 * GIB), "no such"),
    ],
)
def test_nobody_waits_for_what_is_not_there(request_: Request, word: str) -> None:
    """Two that are alike and one that is not; one of them is ill today."""
    there = (*slots(2), *slots(1, model="A100", memory=40 * GIB))
    there = (replace(there[0], health=Health.ILL, why="It is broken."), *there[1:])
    if not word:
        check_there(request_, there)
        return
    with pytest.raises(WishError, match=word):
        check_there(request_, there)


def test_a_part_is_only_asked_for_of_what_is_shared() -> None:
    whole = slots(2)
    with pytest.raises(WishError, match="not shared here") as refused:
        check_there(wish(shared=True), whole)
    assert refused.value.status == 404
    with pytest.raises(WishError, match="no such"):
        check_there(wish(shared=True, kind=NPU), whole)
    parted = (whole[0], replace(whole[1], shares=4))
    check_there(wish(shared=True), parted)
    # whole ones of both sorts are two pools
    with pytest.raises(WishError, match="at most 1"):
        check_there(wish(count=2), parted)


def test_an_environment_must_be_able_to_use_it() -> None:
    text = Text(ko="딥러닝", en="Deep learning")
    environment = Environment("torch", "torch", text, text, ("small",), ("everyone",), (GPU,))
    check_environment(wish(), environment)
    with pytest.raises(WishError, match="Deep learning"):
        check_environment(wish(kind=NPU), environment)


# ---- settings ---------------------------------------------------------------------------------


def settings(**values: str) -> Settings:
    named = {f"MADANG_ACCELERATOR_{name.upper()}": value for name, value in values.items()}
    return Settings.load(Path("/nowhere"), {"MADANG_DATA": "/nowhere", **named})


def test_the_policy_is_the_rules_own_unless_set() -> None:
    assert policy_of(settings()) == Policy()
    assert limits_of(settings()) == Limits()


def test_every_setting_arrives() -> None:
    given = settings(
        longest_hours="12",
        claim_seconds="60",
        start_seconds="400",
        patience_hours="6",
        turn_every="3",
        half_life_days="1",
        after="cpu",
        idle_minutes="15",
        idle_grace_minutes="2.5",
        weights="NVIDIA H100 80GB HBM3=4, rebellions.ai/npu=0.5",
        team_weights="team:a=2",
        budget_hours="100",
        budgets="team:a=1.5, team:b=0",
    )
    assert policy_of(given) == Policy(
        longest=12 * 3600,
        claim=60,
        starting=400,
        patience=6 * 3600,
        every=3,
        half_life=24 * 3600,
        idle=900,
        grace=150,
        on_cpu=True,
        weights={"NVIDIA H100 80GB HBM3": 4, NPU: 0.5},
    )
    limits = limits_of(given)
    assert limits.weights == {"team:a": 2}
    of = {team: limits.budget_of(team) for team in ("team:a", "team:b", "team:c")}
    assert of == {"team:a": 5400, "team:b": None, "team:c": 360_000}
    assert Settings.load(Path("/nowhere"), given.environ()) == given


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("weights", "H100"),
        ("weights", "H100=many"),
        ("weights", "=3"),
        ("weights", "H100=-1"),
        ("weights", "H100=inf"),
        ("team_weights", "team:a=0"),
        ("longest_hours", "0"),
        ("claim_seconds", "0"),
        ("after", "gpu"),
        ("idle_grace_minutes", "0"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"MADANG_ACCELERATOR_{name.upper()}"):
        settings(**{name: value})


# ---- ill slots ----------------------------------------------------------------------------------


def broken(inventory: Inventory, *ids: str) -> Inventory:
    found = (
        replace(s, health=Health.ILL, why="It is broken.") if s.id in ids else s
        for s in inventory.slots
    )
    return replace(inventory, slots=tuple(found))


def test_ill_for_a_moment_is_not_ill_for_long() -> None:
    good = Inventory(slots(2))
    first, second = (s.id for s in good.slots)
    since = ill_since({}, broken(good, first), {first, second}, 100)
    assert since == {first: 100}
    assert lasting(since, 129, 30) == frozenset()
    since = ill_since(since, broken(good, first), {first}, 130)
    assert lasting(since, 130, 30) == {first}
    # well again: the next time counts anew
    since = ill_since(since, good, {first}, 131)
    assert ill_since(since, broken(good, first), {first}, 140) == {first: 140}


def test_a_held_one_that_is_gone_is_ill() -> None:
    rest = Inventory(slots(1))
    assert ill_since({}, rest, {"H100-0000", "H100-0001"}, 100) == {"H100-0001": 100}
    # a clock that was set back makes nobody wait longer
    assert ill_since({"H100-0001": 500}, rest, {"H100-0001"}, 100) == {"H100-0001": 100}


# ---- the desk -----------------------------------------------------------------------------------


@pytest.fixture
def desk(database: Database) -> Desk:
    return desk_on(database)


def desk_on(database: Database, **limits: Any) -> Desk:
    """Two GPUs, and the engine has answered."""
    return Desk(
        Leases(database, POLICY),
        POLICY,
        Limits(**limits),
        ZoneInfo("Asia/Seoul"),
        30,
        lambda: ["operator", "kim"],
        Inventory(slots(2)),
        engine_answers=True,
    )


def box(lease: Lease) -> Container:
    return Container(f"{lease.request.person}/", lease.id, lease.slots)


def served(desk: Desk, person: str, now: int, **more: Any) -> Lease:
    """A lease that its person took, with its container."""
    lease = desk.ask(wish(person, **more), now)
    assert lease.state is State.GRANTED
    desk.take(lease.id, person, now)
    desk.listed([box(x) for x in desk.leases.open_ones() if x.state is State.ACTIVE], now + 1, now)
    found = desk.leases.lease(lease.id)
    assert found is not None
    assert found.container
    return found


def test_nothing_is_granted_while_nobody_says_what_runs(desk: Desk) -> None:
    """A server of an earlier lease may be there that no listing has shown yet."""
    desk.engine_answers = False
    lease = desk.ask(wish(), NOW)
    assert lease.state is State.QUEUED
    assert desk.advance(NOW + 5) == []
    assert desk.vacant() is None
    desk.listed([], NOW + 6, NOW + 6)
    (granted,) = desk.advance(NOW + 6)
    assert granted.id == lease.id
    kept = {v.slot.id: v.lease for v in desk.vacant() or ()}
    assert kept.pop(granted.slots[0]) == granted
    assert set(kept.values()) <= {None}


def test_for_a_drained_one_no_server_waits(desk: Desk) -> None:
    first = desk.inventory.slots[0].id
    desk.drain(first, "chief", "new driver", NOW)
    assert first not in {v.slot.id for v in desk.vacant() or ()}
    desk.undrain(first, NOW)
    assert first in {v.slot.id for v in desk.vacant() or ()}


def test_over_is_stopped_and_then_gone_and_then_the_next(desk: Desk) -> None:
    lease = served(desk, "minji", NOW, count=2, seconds=600)
    following = desk.ask(wish("jisu", "team:b"), NOW + 1)
    assert following.state is State.QUEUED
    assert desk.advance(NOW + 599) == []
    assert desk.advance(NOW + 600) == []
    (action,) = desk.listed([box(lease)], NOW + 605, NOW + 605).actions
    assert (action.do, action.container) == (Do.STOP, "minji/")
    assert desk.advance(NOW + 605) == []
    assert [x.do for x in desk.listed([], NOW + 610, NOW + 610).actions] == [Do.GONE]
    assert [x.id for x in desk.advance(NOW + 610)] == [following.id]
    (span,) = desk.leases.accounts.spans()
    assert (span.begin, span.end) == (NOW, NOW + 600)


def test_one_beat_a_minute(desk: Desk) -> None:
    served(desk, "minji", NOW)
    (lease,) = desk.leases.open_ones()
    for second in range(5, 305, 5):
        desk.listed([box(lease)], NOW + second, NOW + second)
    beats = [e.moment - NOW for e in desk.leases.accounts.events() if e.what is What.BEAT]
    assert beats == [1, 65, 125, 185, 245]


def test_after_a_crash_the_time_is_charged_through(database: Database) -> None:
    lease = served(desk_on(database), "minji", NOW)
    again = desk_on(database)
    again.engine_answers = False
    again.listed([box(lease)], NOW + 1000, NOW + 1000)
    (span,) = again.leases.accounts.spans()
    assert (span.begin, span.end) == (NOW, NOW + 1000)
    # what is gone without a trace is charged to the last beat
    again.listed([], NOW + 1030, NOW + 1030)
    (span,) = again.leases.accounts.spans()
    assert span.end == NOW + 1000


def test_one_request_for_each_person(desk: Desk) -> None:
    lease = served(desk, "minji", NOW)
    with pytest.raises(StateError, match="already"):
        desk.ask(wish("minji", "team:b"), NOW + 1)
    desk.give_back(lease.id, "minji", NOW + 10)
    # one that is being given back does not count, but nothing is taken until it is
    following = desk.ask(wish("minji"), NOW + 11)
    assert following.state is State.GRANTED
    with pytest.raises(StateError, match="still being given back"):
        desk.take(following.id, "minji", NOW + 12)
    desk.listed([], NOW + 13, NOW + 13)
    assert desk.take(following.id, "minji", NOW + 14).state is State.ACTIVE


def test_leaving_stops_no_server_and_giving_back_leaves_no_line(desk: Desk) -> None:
    lease = served(desk, "minji", NOW, count=2)
    with pytest.raises(StateError, match="gone on"):
        desk.leave(lease.id, "minji", NOW + 1)
    waiting = desk.ask(wish("jisu"), NOW + 2)
    with pytest.raises(StateError, match="gone on"):
        desk.give_back(waiting.id, "jisu", NOW + 3)
    assert desk.leave(waiting.id, "jisu", NOW + 4).why is Why.LEFT
    with pytest.raises(StateError, match="is over"):
        desk.leave(waiting.id, "jisu", NOW + 5)
    assert desk.mine("jisu", NOW + 5)[0].id == waiting.id
    assert desk.mine("jisu", NOW + 5 + 24 * 3600) == []


def test_a_driver_that_stumbles_ends_no_lease(desk: Desk) -> None:
    lease = served(desk, "minji", NOW)
    good, bad = desk.inventory, broken(desk.inventory, *lease.slots)
    assert desk.looked(bad, NOW + 5) == []
    assert desk.looked(good, NOW + 10) == []
    assert desk.looked(bad, NOW + 15) == []
    assert desk.looked(bad, NOW + 44) == []
    ((over, again),) = desk.looked(bad, NOW + 45)
    assert (over.id, over.why, over.state) == (lease.id, Why.ILL, State.ENDING)
    assert again is not None
    assert again.returned
    assert desk.looked(bad, NOW + 50) == []
    (granted,) = desk.advance(NOW + 50)
    assert set(granted.slots).isdisjoint(lease.slots)


def test_a_spent_budget_waits_for_more(database: Database) -> None:
    desk = desk_on(database, budgets={"team:a": 3600.0})
    with pytest.raises(BudgetSpentError, match="operator, kim"):
        desk.ask(wish(count=2), NOW)
    lease = served(desk, "minji", NOW, seconds=1800)
    waiting = desk.ask(wish("jisu", seconds=1800), NOW + 1)
    assert waiting.state is State.GRANTED
    with pytest.raises(BudgetSpentError):
        desk.ask(wish("hana", seconds=60), NOW + 2)
    desk.leave(waiting.id, "jisu", NOW + 3)
    queued = desk.ask(wish("jisu", seconds=60, count=2), NOW + 4)
    assert queued.state is State.QUEUED
    # more was used than planned: nothing is left, and what is free stays free
    desk.leases.extend(lease.id, "minji", 7000, NOW + 5, desk.fleet, barred={"team:a"})
    for second in (3000, 3600, 4000):
        desk.listed([box(lease)], NOW + second, NOW + second)
    desk.give_back(lease.id, "minji", NOW + 4000)
    desk.listed([], NOW + 4001, NOW + 4001)
    assert desk.advance(NOW + 4001) == []
    assert desk.estimate(queued, NOW + 4001) is not None
    assert desk.allow("team:a", 2, "operator", "a fair", NOW + 4002).limit == 3 * 3600
    (found,) = desk.mine("jisu", NOW + 4002)[1:]
    assert (found.id, found.state) == (queued.id, State.GRANTED)


def test_who_has_no_budget_left_keeps_nobody_from_extending(desk: Desk) -> None:
    mine = served(desk, "minji", NOW)
    served(desk, "hana", NOW)
    assert desk.ask(wish("dan", "team:b"), NOW + 2).state is State.QUEUED
    with pytest.raises(ExtensionRefusedError):
        desk.extend(mine.id, "minji", 2 * 3600, NOW + 60)
    desk.limits = Limits(budgets={"team:b": 0.0})
    assert desk.extend(mine.id, "minji", 2 * 3600, NOW + 60).ends == NOW + 60 + 2 * 3600


def test_only_what_is_there_is_drained(desk: Desk) -> None:
    assert not desk.drain("H100-9999", "admin", "", NOW)
    assert desk.drain("H100-0000", "admin", "a fan", NOW)
    assert desk.ask(wish(), NOW).slots == ("H100-0001",)
    assert not desk.undrain("H100-0001", NOW)
    assert desk.undrain("H100-0000", NOW)


def test_a_container_that_no_lease_allows_keeps_its_slot_from_others(desk: Desk) -> None:
    orphan = Container("orphan", "lost", ("H100-0000", "H100-0001"))
    (action,) = desk.listed([orphan], NOW, NOW).actions
    assert (action.do, action.container) == (Do.STOP, "orphan")
    lease = desk.ask(wish(), NOW + 1)
    assert lease.state is State.QUEUED
    desk.listed([], NOW + 5, NOW + 5)
    assert [x.id for x in desk.advance(NOW + 5)] == [lease.id]


def test_nobody_comes_into_line_for_what_is_not_there(desk: Desk) -> None:
    with pytest.raises(WishError, match="at most 2"):
        desk.ask(wish(count=3), NOW)
    assert desk.leases.open_ones() == []


def test_whose_server_gets_what(desk: Desk) -> None:
    lease = desk.ask(wish(), NOW)
    assert desk.held_by("minji", NOW) is None
    desk.take(lease.id, "minji", NOW)
    found = desk.held_by("minji", NOW)
    assert found is not None
    assert found.slots == lease.slots
    assert desk.held_by("minji", found.ends) is None
    assert desk.held_by("jisu", NOW) is None
    desk.give_back(lease.id, "minji", NOW + 1)
    assert desk.held_by("minji", NOW) is None


# ---- shared ones ----------------------------------------------------------------------------------


@pytest.fixture
def sharing(desk: Desk) -> Desk:
    """One GPU that two people of a team may share."""
    desk.inventory = Inventory((replace(slots(1)[0], shares=2),))
    return desk


def test_two_of_a_team_share_one_and_another_team_waits(sharing: Desk) -> None:
    first = served(sharing, "minji", NOW, shared=True)
    assert (first.slots, first.seat > 0, first.parts) == (("H100-0000",), True, 2)
    other = sharing.ask(wish("hana", "team:b", shared=True), NOW + 2)
    assert other.state is State.QUEUED
    # a part until the slot is free anyway keeps nobody waiting; for longer it would
    longer = sharing.ask(wish("jisu", shared=True), NOW + 3)
    assert longer.state is State.QUEUED
    sharing.leave(longer.id, "jisu", NOW + 3)
    second = served(sharing, "jisu", NOW + 3, shared=True, seconds=1800)
    assert second.slots == first.slots
    assert second.seat != first.seat
    shown = views.lease_model(second, None, sharing.inventory, POLICY)
    assert (shown["part"], shown["shared"]) == (True, 2)
    waits = views.lease_model(other, sharing.estimate(other, NOW + 4), sharing.inventory, POLICY)
    assert (waits["part"], waits["shared"]) == (True, None)
    # not before both have gone
    assert waits["latest"] == views.moment(first.ends + POLICY.settle)
    # one gives its part back, and the other goes on
    sharing.give_back(first.id, "minji", NOW + 5)
    found = sharing.listed([box(first), box(second)], NOW + 6, NOW + 6)
    assert [(x.do, x.lease) for x in found.actions] == [(Do.STOP, first.id)]
    sharing.listed([box(second)], NOW + 7, NOW + 7)
    assert sharing.advance(NOW + 7) == []
    # now it is the other team's at the end of the second
    waits = views.lease_model(other, sharing.estimate(other, NOW + 8), sharing.inventory, POLICY)
    assert waits["latest"] == views.moment(second.ends + POLICY.settle)


def test_what_is_free_for_whom(sharing: Desk) -> None:
    def shown(*teams: str) -> tuple[int, int, int]:
        leases = sharing.leases.open_ones()
        (found,) = views.free_model(NOW, sharing.fleet, leases, POLICY, teams)
        return found["shares"], found["free"], found["parts_free"]

    assert shown("team:a") == (2, 1, 2)
    served(sharing, "minji", NOW, shared=True)
    assert shown("team:a", "class:x") == (2, 0, 1)
    assert shown("team:b") == (2, 0, 0)
    served(sharing, "jisu", NOW + 2, shared=True)
    assert shown("team:a") == (2, 0, 0)


def test_a_part_costs_a_part(database: Database) -> None:
    desk = desk_on(database, budgets={"team:a": 1800.0})
    desk.inventory = Inventory((replace(slots(1)[0], shares=2),))
    with pytest.raises(BudgetSpentError):
        desk.ask(wish(), NOW)
    lease = served(desk, "minji", NOW, shared=True)
    desk.listed([box(lease)], NOW + 600, NOW + 600)
    desk.give_back(lease.id, "minji", NOW + 600)
    assert desk.budget("team:a", NOW + 600).used == 300


def test_a_part_that_waits_counts_as_a_part(database: Database) -> None:
    """As the largest that it may get; so two halves of two GPUs are no more than one GPU."""
    desk = desk_on(database, budgets={"team:a": 3600.0})
    desk.engine_answers = False
    first, second = slots(2)
    desk.inventory = Inventory((replace(first, shares=4), replace(second, shares=2)))
    for person in ("minji", "jisu"):
        assert desk.ask(wish(person, shared=True), NOW).state is State.QUEUED
    assert desk.budget("team:a", NOW).promised == 3600
    with pytest.raises(BudgetSpentError):
        desk.ask(wish("hana", shared=True, seconds=60), NOW)
    # a whole one is a whole one, also where it may be divided
    desk.inventory = Inventory((replace(first, shares=2),))
    desk.ask(wish("dan", "team:b", seconds=600), NOW)
    desk.limits = Limits(budget=3600.0)
    assert desk.budget("team:b", NOW).promised == 600


# ---- classes --------------------------------------------------------------------------------------

NINE = Timetable(ZoneInfo("Asia/Seoul"), tuple(parse_times("mon-sun 09:00-12:00 lab small")))
NEED = Need("class:ai", GPU, "", 1, "kim", NOW)


@pytest.fixture
def school(desk: Desk) -> Desk:
    """The desk of a class that meets every day from NOW to three hours later."""
    desk.timetables = lambda teams: {"class:ai": NINE} if "class:ai" in teams else {}
    return desk


def test_a_class_is_served_from_what_it_reserved(school: Desk) -> None:
    school.reserve(replace(NEED, since=NOW - 3600))
    # for others there is one, and not into the class's time
    first = school.ask(wish("hana", seconds=3600), NOW - 3000)
    assert first.state is State.GRANTED
    second = school.ask(wish("jisu", seconds=3600), NOW - 3000)
    assert second.state is State.QUEUED
    found = school.estimate(second, NOW - 3000)
    assert found is not None
    assert found.latest is not None
    (pupil,) = [school.ask(wish("pupil", "class:ai", 7200), NOW + 1)]
    assert (pupil.state, bool(pupil.window)) == (State.GRANTED, True)
    assert pupil.ends <= NOW + 3 * 3600
    school.take(pupil.id, "pupil", NOW + 2)
    school.leave(second.id, "jisu", NOW + 3)
    # it cannot go on into the next day's class, nor is it the pupil's after this one
    ahead = [(r.begin - NOW) // 3600 for r in school.classes(NOW, 3 * 24 * 3600)]
    assert ahead == [-24, 0, 24, 48]
    assert [n for n, _ in school.needs(NOW)] == [replace(NEED, since=NOW - 3600)]
    assert school.needs(NOW)[0][1] == (NOW, NOW + 3 * 3600)


def test_nothing_is_extended_into_a_class(school: Desk) -> None:
    before = NOW - 5000
    school.reserve(replace(NEED, count=2, since=before))
    mine = served(school, "minji", before, seconds=1800)
    assert before + 1800 < school.extend(mine.id, "minji", 4 * 3600, before + 60).ends <= NOW


def test_what_a_class_has_left_is_free_for_it_alone(school: Desk) -> None:
    school.reserve(replace(NEED, count=2))

    def shown(*teams: str) -> tuple[int, str]:
        leases = school.leases.open_ones()
        classes = school.classes(NOW + 60)
        (found,) = views.free_model(NOW + 60, school.fleet, leases, POLICY, teams, classes)
        return found["free"], found["next_free"]

    over = views.moment(NOW + 3 * 3600)
    assert shown("team:a") == (0, over)
    assert shown("class:ai") == (2, views.moment(NOW + 60))
    school.ask(wish("pupil", "class:ai", 7200), NOW + 60)
    assert shown("team:a") == (0, over)
    assert shown("class:ai") == (1, views.moment(NOW + 60))


def test_what_a_class_cannot_have(school: Desk) -> None:
    with pytest.raises(WishError, match=r"team:a is none"):
        school.reserve(replace(NEED, team="team:a"))
    with pytest.raises(ReservationRefusedError, match="2 such accelerators"):
        school.reserve(replace(NEED, count=3))
    school.reserve(replace(NEED, count=2))
    school.reserve(replace(NEED, count=0))
    assert school.needs(NOW) == []
    # one that is no class any more can still be removed
    school.leases.set_need(replace(NEED, team="class:gone"))
    assert school.needs(NOW) == [(replace(NEED, team="class:gone"), None)]
    assert school.classes(NOW) == []
    school.reserve(replace(NEED, team="class:gone", count=0))
    assert school.needs(NOW) == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"team": "class:ai", "kind": GPU},
        {"team": "class:ai", "kind": GPU, "count": -1},
        {"team": "class:ai", "kind": GPU, "count": False},
        {"team": "class:ai", "kind": GPU, "count": 1.0},
        {"team": "class:ai", "kind": "", "count": 1},
        {"team": 3, "kind": GPU, "count": 1},
        {"team": "class:ai", "kind": GPU, "count": 1, "by": "somebody"},
    ],
)
def test_a_need_that_is_none(body: dict[str, Any]) -> None:
    with pytest.raises(WishError):
        need_of(body, "kim", NOW)
    whole = {"team": "class:ai", "kind": GPU, "count": 1}
    assert need_of(whole, "kim", NOW) == NEED
    assert need_of({**whole, "count": 0}, "kim", NOW).count == 0


def test_a_reservation_as_it_is_shown() -> None:
    shown = views.need_model(NEED, (NOW, NOW + 60))
    assert shown["next"] == {"starts": views.moment(NOW), "ends": views.moment(NOW + 60)}
    assert (shown["team"], shown["by"], shown["since"]) == ("class:ai", "kim", views.moment(NOW))
    assert views.need_model(NEED, None)["next"] is None


# ---- what is shown ------------------------------------------------------------------------------


def test_what_is_free_and_when_the_next_is(desk: Desk) -> None:
    def shown(now: int) -> dict[str, Any]:
        leases = desk.leases.open_ones()
        (found,) = views.free_model(now, desk.fleet, leases, POLICY)
        return found

    assert (shown(NOW)["free"], shown(NOW)["next_free"]) == (2, views.moment(NOW))
    served(desk, "minji", NOW, seconds=600)
    served(desk, "jisu", NOW, seconds=1200)
    desk.ask(wish("hana"), NOW + 1)
    found = shown(NOW + 1)
    assert (found["total"], found["free"], found["waiting"]) == (2, 0, 1)
    # when it is over, and its container had time to go
    assert found["next_free"] == views.moment(NOW + 600 + POLICY.settle)


def test_what_cannot_be_used_is_counted_beside() -> None:
    first, second, third = slots(3)
    ill = replace(second, health=Health.ILL, why="It is broken.")
    other = replace(third, model="A100", health=Health.ILL, why="It is broken.")
    fleet = Fleet((first, ill, other), drained={first.id, other.id})
    alone = {"total": 0, "free": 0, "next_free": None, "waiting": 0, "shares": 1, "parts_free": 0}
    assert views.free_model(NOW, fleet, [], POLICY) == [
        {"kind": GPU, "model": "A100", "memory": 80 * GIB, **alone, "drained": 1, "ill": 0},
        {"kind": GPU, "model": "H100", "memory": 80 * GIB, **alone, "drained": 1, "ill": 1},
    ]
    some = views.free_model(NOW, replace(fleet, drained={other.id}), [], POLICY)
    counts = [(x["model"], x["total"], x["free"], x["drained"], x["ill"]) for x in some]
    assert counts == [("H100", 1, 1, 0, 1), ("A100", 0, 0, 1, 0)]


def test_every_slot_with_who_and_since(desk: Desk) -> None:
    lease = served(desk, "minji", NOW, count=2)
    inventory = Inventory((desk.inventory.slots[0],), {"H100-0000": Use(97, 3 * GIB, (812, 813))})
    drained = {"H100-0007": Drained("admin", "sold", NOW)}
    first, second, third = views.slots_model(inventory, [lease], drained)
    assert (first["id"], first["there"], first["drained"]) == ("H100-0000", True, None)
    assert (first["utilisation"], first["used_memory"], first["processes"]) == (97, 3 * GIB, 2)
    (holder,) = first["leases"]
    assert (holder["person"], holder["team"], holder["state"]) == ("minji", "team:a", "active")
    assert (holder["since"], holder["ends"]) == (views.moment(NOW), views.moment(NOW + 3600))
    # held, and not there any more
    assert (second["id"], second["there"], second["health"]) == ("H100-0001", False, "ill")
    assert second["leases"] == first["leases"]
    assert (third["id"], third["there"], third["leases"]) == ("H100-0007", False, [])
    assert third["drained"] == {"by": "admin", "why": "sold", "since": views.moment(NOW)}


def test_a_lease_as_its_person_sees_it(desk: Desk) -> None:
    lease = desk.ask(wish(), NOW)
    shown = views.lease_model(lease, None, desk.inventory, POLICY)
    assert (shown["state"], shown["take_until"]) == ("granted", views.moment(NOW + 120))
    assert (shown["began"], shown["ends"], shown["why"], shown["place"]) == (None, None, None, None)
    assert shown["slots"] == [
        {"id": "H100-0000", "model": "H100", "memory": 80 * GIB, "health": "good"}
    ]
    assert shown["device"] == []
    assert (shown["idle_since"], shown["idle_until"]) == (None, None)
    idle = views.lease_model(lease, None, desk.inventory, POLICY, Notice(NOW, None))
    assert (idle["idle_since"], idle["idle_until"]) == (views.moment(NOW), None)


def test_that_a_server_is_stopped_first_is_said_beside_the_state(desk: Desk) -> None:
    lease = desk.ask(wish(), NOW)
    taken = desk.take_after_stop(lease.id, "minji", "torch-cuda", "medium", NOW + 10)
    shown = views.lease_model(taken, None, desk.inventory, POLICY)
    assert (shown["state"], shown["restarting"]) == ("granted", True)
    assert shown["take_until"] == views.moment(NOW + 10 + POLICY.starting)
    assert (shown["environment"], shown["size"], shown["began"]) == ("torch-cuda", "medium", None)
    # it has nothing to do with the one before, which must be gone first
    assert desk.held_by("minji", NOW + 11) is None
    left = desk.leave(lease.id, "minji", NOW + 12)
    assert (left.state, left.why) == (State.ENDED, Why.LEFT)


def test_nothing_is_taken_while_the_one_before_is_being_given_back(desk: Desk) -> None:
    before = served(desk, "minji", NOW)
    desk.give_back(before.id, "minji", NOW + 1)
    lease = desk.ask(wish("minji"), NOW + 2)
    with pytest.raises(StateError, match="still being given back"):
        desk.take_after_stop(lease.id, "minji", "lab", "small", NOW + 3)


def test_what_the_devices_of_a_lease_do(desk: Desk) -> None:
    lease = served(desk, "minji", NOW, count=2)
    inventory = Inventory((desk.inventory.slots[0],), {"H100-0000": Use(97, 3 * GIB, (812,))})
    found = views.lease_model(lease, None, inventory, POLICY)["device"]
    assert found == [
        {
            "id": "H100-0000",
            "model": "H100",
            "memory": 80 * GIB,
            "utilisation": 97,
            "used_memory": 3 * GIB,
        },
        # not there any more
        {"id": "H100-0001", "model": "H100", "memory": 0, "utilisation": None, "used_memory": None},
    ]


def test_why_there_is_no_estimate(desk: Desk) -> None:
    served(desk, "minji", NOW)
    lease = desk.ask(wish("jisu", count=2), NOW + 1)

    def why() -> str | None:
        found = desk.estimate(lease, NOW + 2)
        assert found is not None
        shown = views.lease_model(lease, found, desk.inventory, POLICY)
        assert (shown["latest"] is None) == (shown["why_no_estimate"] is not None)
        said: str | None = shown["why_no_estimate"]
        return said

    assert why() is None
    desk.drain("H100-0001", "admin", "a fan", NOW + 2)
    assert why() == "drained"
    desk.undrain("H100-0001", NOW + 2)
    whole = desk.inventory
    desk.inventory = broken(whole, "H100-0001")
    assert why() == "ill"
    desk.inventory = Inventory(slots(1))
    assert why() == "none"
    desk.inventory, desk.limits = whole, Limits(budgets={"team:a": 0.0})
    assert why() == "budget"


@pytest.mark.parametrize(
    ("language", "words"),
    [
        (
            "en",
            [
                "out of lending: “a fan”",
                "back into lending",
                "granted 12 accelerator-hours",
                "reserved 3 accelerators for the class, H100",
                "took back the class's reservation of accelerators, nvidia.com/gpu",
            ],
        ),
        (
            "ko",
            [
                "대여에서 뺌: “a fan”",
                "다시 대여에 넣음",
                "12시간 더 줌",
                "반의 가속기 3개를 예약함, H100",
                "반의 가속기 예약을 지움, nvidia.com/gpu",
            ],
        ),
    ],
)
def test_the_audit_log_has_words_for_it(language: str, words: list[str]) -> None:
    text = '{% import "audit.html" as audit with context %}{{ audit.what(entry) }}'
    page = templates().from_string(text)
    found = [
        page.render(
            madang_page_language=language,
            entry=Entry(MOMENT, "admin", action, "H100-0000", "", detail),
        )
        for action, detail in (
            ("accelerator.drained", {"why": "a fan"}),
            ("accelerator.undrained", {}),
            ("accelerator.allowed", {"hours": 12, "why": ""}),
            ("accelerator.reserved", {"count": 3, "kind": GPU, "model": "H100"}),
            ("accelerator.reserved", {"count": 0, "kind": GPU, "model": ""}),
        )
    ]
    for said, word in zip(found, words, strict=True):
        assert word in said
