"""Leases: every step, what may not follow what, and what a person is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support.accelerators import wish

from madang_hub.accelerators import leases
from madang_hub.accelerators.leases import (
    ExtensionRefusedError,
    Grant,
    Lease,
    NotYoursError,
    Policy,
    RequestRefusedError,
    State,
    StateError,
    Why,
)

POLICY = Policy(longest=7200, claim=120, settle=60)
NEVER = 10**12


def queued(**more: Any) -> Lease:
    return leases.ask("r1", wish(**more), 1000, POLICY)


def granted(now: int = 1100) -> Lease:
    return leases.grant(queued(), Grant("r1", ("g0",), now + 120 + 3600, "H100"), now)


def active(now: int = 1150) -> Lease:
    return leases.claim(granted(), "minji", now, POLICY)


def test_a_whole_life() -> None:
    lease = granted()
    assert (lease.state, lease.slots, lease.ends) == (State.GRANTED, ("g0",), 4820)
    lease = leases.claim(lease, "minji", 1150, POLICY)
    assert (lease.state, lease.began, lease.ends) == (State.ACTIVE, 1150, 4750)
    assert leases.due(lease, 4749, POLICY) is lease
    assert leases.next_due(lease, POLICY) == 4750
    lease = leases.due(lease, 4750, POLICY)
    assert (lease.state, lease.stopped, lease.why) == (State.ENDING, 4750, Why.OVER)
    lease = leases.gone(lease, 4760)
    assert (lease.state, lease.slots) == (State.ENDED, ("g0",))


@pytest.mark.parametrize(
    "request_", [{"seconds": 59}, {"seconds": 7201}, {"count": 0}, {"count": 2, "shared": True}]
)
def test_what_nobody_can_be_given(request_: dict[str, object]) -> None:
    with pytest.raises(RequestRefusedError) as refused:
        queued(**request_)
    assert refused.value.sentence.text("ko") != refused.value.sentence.text("en")


def test_a_grant_is_kept_for_a_stated_time() -> None:
    lease = granted()
    assert leases.due(lease, 1220, POLICY) is lease
    assert leases.claim(lease, "minji", 1220, POLICY).state is State.ACTIVE
    assert leases.next_due(lease, POLICY) == 1221
    late = leases.due(lease, 1221, POLICY)
    assert (late.state, late.why) == (State.ENDED, Why.UNCLAIMED)
    with pytest.raises(StateError, match="kept for 2 minutes"):
        leases.claim(lease, "minji", 1221, POLICY)


def test_a_claim_is_its_persons_and_may_be_said_twice() -> None:
    with pytest.raises(NotYoursError):
        leases.claim(granted(), "somebody", 1150, POLICY)
    lease = active()
    assert leases.claim(lease, "minji", 9999, POLICY) is lease


def taking(now: int = 1150) -> Lease:
    return leases.take(granted(), "minji", "torch-cuda", "large", now, POLICY)


def test_a_server_that_runs_is_stopped_first() -> None:
    lease = taking()
    assert (lease.state, lease.began, lease.ends) == (State.TAKING, 0, granted().ends)
    assert (lease.request.environment, lease.request.size) == ("torch-cuda", "large")
    # once more is no error, also after it was taken; and is no other server
    assert leases.take(lease, "minji", "lab", "small", 1160, POLICY) is lease
    # longer than a grant is kept, but not for longer than a server takes
    last = 1150 + POLICY.starting
    assert leases.due(lease, last, POLICY) is lease
    assert leases.next_due(lease, POLICY) == last + 1
    taken = leases.claim(lease, "minji", last, POLICY)
    assert (taken.state, taken.began) == (State.ACTIVE, last)
    # what was planned for others stays: the wait is not added to the end
    assert taken.ends == min(granted().ends, last + 3600)
    assert leases.take(taken, "minji", "lab", "", 1999, POLICY) is taken
    late = leases.due(lease, last + 1, POLICY)
    assert (late.state, late.why, late.stopped) == (State.ENDED, Why.NEVER_STARTED, 0)
    with pytest.raises(StateError):
        leases.claim(lease, "minji", last + 1, POLICY)


def test_who_may_take_what_while_a_server_runs() -> None:
    with pytest.raises(NotYoursError):
        leases.take(granted(), "somebody", "lab", "", 1150, POLICY)
    with pytest.raises(StateError, match="kept for 2 minutes"):
        leases.take(granted(), "minji", "lab", "", 1221, POLICY)
    with pytest.raises(StateError):
        leases.take(queued(), "minji", "lab", "", 1150, POLICY)
    # it can be left, and its slot may fall ill
    left = leases.release(taking(), 1160)
    assert (left.state, left.why) == (State.ENDED, Why.LEFT)
    over, again = leases.fell_ill(taking(), "r2", 1160)
    assert over.state is State.ENDED
    assert again is not None
    assert (again.request.seconds, again.request.environment) == (3600, "torch-cuda")
    with pytest.raises(StateError):
        leases.vanished(taking(), 1, 2)


def test_a_short_lease_is_over_before_its_server_has_stopped() -> None:
    lease = leases.grant(queued(seconds=60), Grant("r1", ("g0",), 1100 + 120 + 60), 1100)
    lease = leases.take(lease, "minji", "lab", "", 1220, POLICY)
    assert leases.due(lease, 1279, POLICY) is lease
    assert leases.claim(lease, "minji", 1279, POLICY).ends == 1280
    assert leases.due(lease, 1280, POLICY).state is State.ENDED


def test_extension() -> None:
    lease = active()
    for extra, now in ((3600, 4000), (9999, 4000)):
        longer = leases.extend(lease, extra, now, POLICY, waited_for=False, free_until=NEVER)
        assert longer.ends == min(now + extra, lease.began + POLICY.longest)
    with pytest.raises(ExtensionRefusedError, match="Others wait"):
        leases.extend(lease, 3600, 4000, POLICY, waited_for=True, free_until=NEVER)
    # a class has it, it is as long as may be, or it is over
    for most, now in ((4700, 4000), (NEVER, 1150), (NEVER, 4750)):
        with pytest.raises(ExtensionRefusedError, match="cannot be kept"):
            leases.extend(lease, 3600, now, POLICY, waited_for=False, free_until=most)
    with pytest.raises(StateError):
        leases.extend(granted(), 60, 1150, POLICY, waited_for=False, free_until=NEVER)


def test_giving_back() -> None:
    assert leases.release(queued(), 1001).why is Why.LEFT
    assert leases.release(granted(), 1101).state is State.ENDED
    ending = leases.release(active(), 2000)
    assert (ending.state, ending.stopped, ending.why) == (State.ENDING, 2000, Why.RELEASED)
    assert leases.release(ending, 2001) is ending
    with pytest.raises(StateError, match="is over"):
        leases.release(leases.gone(ending, 2002), 2003)


def test_a_slot_that_fell_ill_gives_its_person_the_place_back() -> None:
    over, again = leases.fell_ill(active(), "r2", 2750)
    assert (over.state, over.why, over.stopped) == (State.ENDING, Why.ILL, 2750)
    assert again is not None
    assert (again.id, again.state, again.asked, again.returned) == ("r2", State.QUEUED, 1000, True)
    assert again.request == replace(active().request, seconds=2000)
    over, again = leases.fell_ill(granted(), "r2", 1110)
    assert (over.state, over.why) == (State.ENDED, Why.ILL)
    assert again is not None
    assert again.request.seconds == 3600
    # a part stays a part
    part = replace(active(), request=wish(shared=True), seat=1, parts=4)
    again = leases.fell_ill(part, "r2", 2750)[1]
    assert again is not None
    assert (again.seat, again.parts) == (0, 4)
    # less than a minute is not worth a place
    assert leases.fell_ill(active(), "r2", 4700)[1] is None


def test_what_never_started_costs_nothing_and_what_vanished_until_it_was_seen() -> None:
    assert leases.never_started(active(), 2000).stopped == 1150
    assert leases.vanished(active(), 1900, 2000).stopped == 1900
    # seen before it began, or a clock that was set back: nothing, never less
    assert leases.vanished(active(), 100, 2000).stopped == 1150
    assert leases.release(active(), 1000).stopped == 1150
    assert leases.vanished(active(), 1900, 2000).state is State.ENDING


def test_steps_that_cannot_follow() -> None:
    for step in (
        lambda: leases.grant(granted(), Grant("r1", ("g1",), 9999), 1200),
        lambda: leases.claim(queued(), "minji", 1100, POLICY),
        lambda: leases.gone(active(), 1200),
        lambda: leases.vanished(granted(), 1, 2),
        lambda: leases.fell_ill(queued(), "r2", 1100),
    ):
        with pytest.raises(StateError):
            step()
