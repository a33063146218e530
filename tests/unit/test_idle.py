"""When a server ends: the rules, by example and by what must always hold."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Literal, get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang_hub.people import idle
from madang_hub.people.idle import (
    Circumstances,
    ClassEnd,
    EndedServer,
    ExtensionRefused,
    Kept,
    Limits,
    Running,
)
from madang_hub.people.timetable import Meeting

NINE = datetime(2026, 3, 2, 0, 0, tzinfo=UTC)
"""09:00 in Seoul, a Monday."""
LIMITS = Limits()
PLAIN = Circumstances(LIMITS)
WORSE = {"go": 0, "warn": 1, "stop": 2}


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def at(number: float) -> datetime:
    """So many minutes after nine."""
    return NINE + minutes(number)


def used(number: float, started: float = 0) -> Running:
    return Running(at(started), at(number))


# ---- by example -----------------------------------------------------------------------------


def test_a_server_in_use_goes_on() -> None:
    decision = idle.decide(used(30), Kept(), PLAIN, at(31))
    assert decision.action == "go"
    assert (decision.ends, decision.why) == (NINE + timedelta(hours=24), "limit")


def test_an_idle_server_is_warned_ten_minutes_before_its_end() -> None:
    assert idle.decide(used(30), Kept(), PLAIN, at(79.9)).action == "go"
    decision = idle.decide(used(30), Kept(), PLAIN, at(80))
    assert decision == idle.Decision("warn", at(90), "idle", at(80))


def test_it_is_stopped_when_the_warning_has_stood() -> None:
    kept = Kept(seen=at(89), warned=at(80))
    assert idle.decide(used(30), kept, PLAIN, at(89.9)).action == "warn"
    assert idle.decide(used(30), kept, PLAIN, at(90)).action == "stop"


def test_who_looks_late_warns_first() -> None:
    """The culler was away for hours: no stop without a warning."""
    decision = idle.decide(used(30), Kept(), PLAIN, at(300))
    assert decision == idle.Decision("warn", at(310), "idle", at(300))


def test_a_warning_that_nobody_looked_after_begins_anew() -> None:
    """Warned at 80, seen last at 82, then the Hub was away until 95."""
    kept = Kept(seen=at(82), warned=at(80))
    decision = idle.decide(used(30), kept, PLAIN, at(95))
    assert decision == idle.Decision("warn", at(105), "idle", at(95))


def test_a_short_absence_does_not_matter() -> None:
    kept = Kept(seen=at(86.5), warned=at(80))
    assert idle.decide(used(30), kept, PLAIN, at(90)).action == "stop"


def test_using_it_again_takes_the_warning_away() -> None:
    kept = Kept(seen=at(84), warned=at(80))
    assert idle.decide(used(84.5), kept, PLAIN, at(85)).action == "go"
    assert idle.decide(used(84.5), kept, PLAIN, at(85)).warned is None


@pytest.mark.parametrize("why", ["kernel", "accelerator"])
def test_what_runs_counts_as_activity_while_the_report_is_fresh(why: str) -> None:
    kept = Kept(busy_at=at(299), busy_why=why)
    assert idle.decide(used(0), kept, PLAIN, at(300)).action == "go"
    assert idle.decide(used(0), kept, PLAIN, at(352)).action == "warn"


def test_a_server_that_says_it_is_not_busy_any_more_was_active_until_then() -> None:
    kept = Kept(busy_at=at(299), busy_why="")
    assert idle.active(used(0), kept, at(300)) == at(299)


def test_busy_does_not_go_on_beyond_the_longest_time() -> None:
    day = 24 * 60
    kept = Kept(busy_at=at(day), busy_why="kernel", seen=at(day), warned=at(day - 10))
    decision = idle.decide(used(day), kept, PLAIN, at(day))
    assert (decision.action, decision.why) == ("stop", "limit")


def test_no_limits_no_end() -> None:
    free = Circumstances(Limits(idle=None, age=None))
    assert idle.decide(used(0), Kept(), free, NINE + timedelta(days=90)) == idle.Decision("go")


def test_short_limits_are_warned_of_halfway() -> None:
    short = Circumstances(Limits(idle=minutes(6), warning=minutes(10)))
    assert idle.decide(used(0), Kept(), short, at(2.9)).action == "go"
    assert idle.decide(used(0), Kept(), short, at(3)) == idle.Decision(
        "warn", at(13), "idle", at(3)
    )


# ---- the end of class -----------------------------------------------------------------------


def in_class(policy: ClassEnd) -> Circumstances:
    return Circumstances(Limits(class_end=policy), class_end=at(180))


def test_after_class_a_warning_then_the_stop() -> None:
    around = in_class("warn")
    before = idle.decide(used(179), Kept(), around, at(179.9))
    assert (before.action, before.ends, before.why) == ("go", at(190), "class")
    assert idle.decide(used(179), Kept(), around, at(180)) == idle.Decision(
        "warn", at(190), "class", at(180)
    )
    kept = Kept(seen=at(189), warned=at(180))
    assert idle.decide(used(189), kept, around, at(190)).action == "stop"


def test_class_policy_stop_warns_before_the_end() -> None:
    around = in_class("stop")
    assert idle.decide(used(169), Kept(), around, at(170)) == idle.Decision(
        "warn", at(180), "class", at(170)
    )
    kept = Kept(seen=at(179), warned=at(170))
    assert idle.decide(used(179), kept, around, at(180)).action == "stop"


def test_class_policy_keep() -> None:
    assert idle.decide(used(239), Kept(), in_class("keep"), at(240)).action == "go"


def test_who_extends_after_class_stays() -> None:
    around = in_class("warn")
    kept = idle.extend(used(179), Kept(seen=at(182), warned=at(180)), around, at(183))
    assert idle.decide(used(179), kept, around, at(184)).action == "go"
    assert idle.decide(used(400), kept, around, at(401)).action == "go"
    # and is idle one day like everybody
    assert idle.decide(used(179), kept, around, at(240)).why == "idle"


def test_an_extension_before_the_end_of_class_is_none_for_it() -> None:
    kept = Kept(seen=at(179), extended_at=at(150), extended_until=at(210), presses=1)
    assert idle.decide(used(179), kept, in_class("warn"), at(180)).why == "class"


def test_class_policy_stop_cannot_be_extended() -> None:
    kept = Kept(seen=at(174), warned=at(170))
    with pytest.raises(ExtensionRefused, match="when it is over"):
        idle.extend(used(174), kept, in_class("stop"), at(175))
    assert not idle.can_extend(used(174), kept, in_class("stop"), at(175))


def meeting(begin: float, end: float) -> Meeting:
    return Meeting(at(begin), at(end), "lab", "small")


@pytest.mark.parametrize(
    ("started", "ends"),
    [
        (-16, None),  # before anybody comes to class
        (-15, 300),
        (0, 300),
        (179, 300),
        (181, 300),  # in the break: for the next part
        (299, 300),
        (300, None),
        (700, None),
    ],
)
def test_which_class_a_server_is_for(started: float, ends: float | None) -> None:
    """Two parts with a break of ten minutes, and another class in the evening."""
    meetings = [meeting(190, 300), meeting(0, 180), meeting(720, 780)]
    assert idle.class_end(at(started), meetings) == (None if ends is None else at(ends))


def test_a_long_break_divides_meetings() -> None:
    assert idle.class_end(at(1), [meeting(0, 180), meeting(240, 300)]) == at(180)


# ---- the end of access ----------------------------------------------------------------------


@pytest.mark.parametrize("why", ["account", "provider"])
def test_ended_access_stops_at_once_by_policy(why: Literal["account", "provider"]) -> None:
    around = Circumstances(LIMITS, access_ends=at(30), access_why=why)
    decision = idle.decide(used(29), Kept(), around, at(30))
    assert (decision.action, decision.why) == ("stop", why)


def test_ended_access_with_a_warning_by_policy() -> None:
    around = Circumstances(Limits(ended="warn"), access_ends=at(30), access_why="provider")
    decision = idle.decide(used(29), Kept(), around, at(31))
    assert decision == idle.Decision("warn", at(41), "provider", at(31))
    with pytest.raises(ExtensionRefused, match="access ends"):
        idle.extend(used(29), Kept(seen=at(31), warned=at(31)), around, at(32))


def test_an_account_ends_after_its_last_day_and_says_so_before() -> None:
    ends = idle.access_ends(date(2026, 3, 2), ZoneInfo("Asia/Seoul"))
    assert ends == datetime(2026, 3, 2, 15, tzinfo=UTC)
    around = Circumstances(LIMITS, access_ends=ends)
    decision = idle.decide(Running(NINE, ends), Kept(), around, ends - minutes(10))
    assert (decision.action, decision.ends, decision.why) == ("warn", ends, "account")


# ---- extending ------------------------------------------------------------------------------


def test_an_extension_gives_an_hour_from_now() -> None:
    kept = idle.extend(used(30), Kept(seen=at(84), warned=at(80)), PLAIN, at(85))
    assert (kept.extended_until, kept.presses) == (at(145), 1)
    assert idle.decide(used(30), kept, PLAIN, at(134)).action == "go"
    assert idle.decide(used(30), kept, PLAIN, at(135)).action == "warn"


def test_nothing_to_extend() -> None:
    with pytest.raises(ExtensionRefused, match="nothing to extend"):
        idle.extend(used(30), Kept(), PLAIN, at(31))


def test_extensions_are_counted() -> None:
    kept = Kept(seen=at(84), warned=at(80), presses=LIMITS.presses)
    with pytest.raises(ExtensionRefused, match="any more"):
        idle.extend(used(30), kept, PLAIN, at(85))


def test_the_longest_time_cannot_be_extended() -> None:
    day = 24 * 60
    kept = Kept(seen=at(day - 6), warned=at(day - 10))
    with pytest.raises(ExtensionRefused, match="as long as one may"):
        idle.extend(used(day - 6), kept, PLAIN, at(day - 5))


# ---- roles ----------------------------------------------------------------------------------


def test_the_highest_role_counts() -> None:
    assert idle.highest(["trainee", "mentor", "member"]) == "mentor"
    assert idle.highest([]) == "member"


def test_limits_by_role() -> None:
    assert idle.by_role("mentor=240, admin=0", 60) == {
        "trainee": 60,
        "member": 60,
        "mentor": 240,
        "admin": 0,
    }
    assert set(idle.by_role("", 1.5).values()) == {1.5}


@pytest.mark.parametrize("text", ["mentor", "mentor=", "mentor=-1", "boss=5", "=5", "mentor=x"])
def test_limits_that_cannot_be_read(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # float's own for a number that is none
        idle.by_role(text, 60)


# ---- what always holds ----------------------------------------------------------------------

moments = st.integers(-120, 4000).map(at)
maybe = st.none() | moments
spans = st.integers(1, 2000).map(minutes)
limits = st.builds(
    Limits,
    idle=st.none() | spans,
    age=st.none() | spans,
    warning=st.integers(1, 60).map(minutes),
    extend=spans,
    presses=st.integers(0, 4),
    class_end=st.sampled_from(get_args(ClassEnd)),
    ended=st.sampled_from(get_args(EndedServer)),
    gap=st.integers(1, 10).map(minutes),
)
surroundings = st.builds(
    Circumstances,
    limits,
    class_end=maybe,
    access_ends=maybe,
    access_why=st.sampled_from(["account", "provider"]),
)
runs = st.builds(Running, started=moments, active=moments)
memories = st.builds(
    Kept,
    seen=maybe,
    warned=maybe,
    busy_at=maybe,
    busy_why=st.sampled_from(["", "kernel", "accelerator"]),
    extended_at=maybe,
    extended_until=maybe,
    presses=st.integers(0, 5),
)


@given(runs, memories, surroundings, moments)
def test_never_a_stop_without_a_warning_that_stood(
    server: Running, kept: Kept, around: Circumstances, now: datetime
) -> None:
    decision = idle.decide(server, kept, around, now)
    if decision.action != "stop":
        return
    if decision.why in ("account", "provider") and around.limits.ended == "stop":
        return
    assert kept.warned is not None
    assert kept.seen is not None
    assert now - kept.warned >= around.limits.warning
    assert now - kept.seen <= around.limits.gap
    assert decision.ends is not None
    assert decision.ends <= now


@given(runs, memories, surroundings, moments)
def test_a_warning_names_an_end_that_leaves_its_whole_time(
    server: Running, kept: Kept, around: Circumstances, now: datetime
) -> None:
    decision = idle.decide(server, kept, around, now)
    if decision.action == "warn":
        assert decision.ends is not None
        assert decision.warned is not None
        assert decision.ends > now
        assert decision.warned <= now
        assert decision.ends - decision.warned >= around.limits.warning
    if decision.action == "go":
        assert decision.warned is None
        assert decision.why != "idle"


@given(runs, memories, surroundings, moments, spans)
def test_later_use_is_never_worse(
    server: Running, kept: Kept, around: Circumstances, now: datetime, more: timedelta
) -> None:
    first = idle.decide(server, kept, around, now)
    later = idle.decide(replace(server, active=server.active + more), kept, around, now)
    assert WORSE[later.action] <= WORSE[first.action]
    if first.action == later.action != "go":
        assert first.ends is not None
        assert later.ends is not None
        assert later.ends >= first.ends


@given(runs, memories, surroundings, moments)
def test_a_busy_report_is_never_worse(
    server: Running, kept: Kept, around: Circumstances, now: datetime
) -> None:
    first = idle.decide(server, kept, around, now)
    busy = idle.decide(server, replace(kept, busy_at=now, busy_why="kernel"), around, now)
    assert WORSE[busy.action] <= WORSE[first.action]


@given(runs, memories, surroundings, moments)
def test_a_press_only_ever_gives_time(
    server: Running, kept: Kept, around: Circumstances, now: datetime
) -> None:
    before = idle.decide(server, kept, around, now)
    try:
        after = idle.extend(server, kept, around, now)
    except ExtensionRefused:
        assert not idle.can_extend(server, kept, around, now)
        return
    assert before.action != "go"
    assert kept.presses < around.limits.presses
    assert after.presses == kept.presses + 1
    then = idle.decide(server, after, around, now)
    assert WORSE[then.action] <= WORSE[before.action]
    if then.action != "go":
        assert then.ends is not None
        assert before.ends is not None
        assert then.ends > before.ends
    # never beyond the longest time, nor the end of class where it stops servers
    until = after.extended_until
    assert until is not None
    if until != kept.extended_until:
        assert until <= now + around.limits.extend
        if around.limits.age is not None:
            assert until <= server.started + around.limits.age
        if around.class_end is not None and around.limits.class_end == "stop":
            assert until <= around.class_end
    assert {d for d in idle.deadlines(server, after, around, now) if d.why == "limit"} == {
        d for d in idle.deadlines(server, kept, around, now) if d.why == "limit"
    }


@given(surroundings, st.lists(st.integers(1, 400), min_size=1, max_size=60))
def test_a_whole_life_is_looked_at(around: Circumstances, seconds: list[int]) -> None:
    """Rounds with pauses of any length: a stop always follows an unbroken warning of its whole time."""
    around = replace(around, limits=replace(around.limits, ended="warn"))
    server = Running(NINE, NINE)
    kept, now, since = Kept(), NINE, None
    for pause in seconds * 3:
        before, now = now, now + timedelta(seconds=pause * 10)
        broken = now - before > around.limits.gap
        decision = idle.decide(server, kept, around, now)
        if decision.action == "stop":
            assert since is not None
            assert not broken
            assert now - since >= around.limits.warning
            return
        if decision.action == "go":
            since = None
        elif since is None or broken:
            since = now
        kept = replace(kept, seen=now, warned=decision.warned)


@given(limits, st.integers(30, 200))
def test_with_somebody_looking_every_limit_is_kept(chosen: Limits, look: int) -> None:
    """A server that is never used ends at its limit, later at most by the warning and two looks."""
    every = min(timedelta(seconds=look), chosen.gap)
    ends = [d for d in (chosen.idle, chosen.age) if d is not None]
    kept, server, around = Kept(), Running(NINE, NINE), Circumstances(chosen)
    if not ends:
        assert idle.decide(server, kept, around, NINE + timedelta(days=400)).action == "go"
        return
    latest = NINE + min(ends) + chosen.warning + 2 * every
    # nothing is said before this
    now = NINE + min(ends) - min(chosen.warning, min(ends) / 2) - every
    while True:
        decision = idle.decide(server, kept, around, now)
        if not kept.seen:
            assert decision.action == "go"
        if decision.action == "stop":
            assert now >= NINE + min(ends)
            return
        kept = replace(kept, seen=now, warned=decision.warned)
        now += every
        assert now <= latest
