"""Timetables: what meets when, in zones with and without summer time; overlaps and bad words are refused."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from madang_hub.people.classes import Classes
from madang_hub.people.database import Database
from madang_hub.people.directory import Directory, Team
from madang_hub.people.timetable import (
    Timetable,
    TimetableError,
    WeeklyTime,
    changed,
    parse_begin,
    parse_dates,
    parse_days,
    parse_times,
)

SEOUL = ZoneInfo("Asia/Seoul")


def seoul(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SEOUL)


def table(*times: str, off: str = "", first: str = "", last: str = "") -> Timetable:
    return Timetable(
        SEOUL,
        tuple(w for text in times for w in parse_times(text)),
        frozenset(parse_dates(off)) if off else frozenset(),
        date.fromisoformat(first) if first else None,
        date.fromisoformat(last) if last else None,
    )


# Monday 2 March 2026
CLASS = table(
    "mon,wed 09:00-12:00 lab small",
    "mon 12:00-13:00 lab medium",
    off="2026-03-09",
    first="2026-03-02",
    last="2026-03-16",
)


@pytest.mark.parametrize(
    ("now", "going_on", "following"),
    [
        ("2026-02-23 10:00", None, "2026-03-02 09:00"),  # before the first day
        ("2026-03-02 08:59", None, "2026-03-02 09:00"),
        ("2026-03-02 09:00", "2026-03-02 09:00", "2026-03-02 12:00"),
        ("2026-03-02 12:00", "2026-03-02 12:00", "2026-03-04 09:00"),
        ("2026-03-02 13:00", None, "2026-03-04 09:00"),
        ("2026-03-04 12:00", None, "2026-03-11 09:00"),  # the 9th is off
        ("2026-03-09 10:00", None, "2026-03-11 09:00"),
        ("2026-03-16 12:59", "2026-03-16 12:00", None),  # the last day
        ("2026-03-18 10:00", None, None),
    ],
)
def test_what_goes_on_and_what_follows(
    now: str, going_on: str | None, following: str | None
) -> None:
    present, then = CLASS.meeting_at(seoul(now)), CLASS.next_meeting(seoul(now))
    assert (present.begin if present else None) == (seoul(going_on) if going_on else None)
    assert (then.begin if then else None) == (seoul(following) if following else None)


def test_times_without_a_break_end_together() -> None:
    assert CLASS.over_at(seoul("2026-03-02 09:30")) == seoul("2026-03-02 13:00")
    assert CLASS.over_at(seoul("2026-03-04 09:30")) == seoul("2026-03-04 12:00")
    assert CLASS.over_at(seoul("2026-03-03 09:30")) is None
    assert CLASS.spans(seoul("2026-03-02 10:00"), seoul("2026-03-05 00:00")) == [
        (seoul("2026-03-02 09:00"), seoul("2026-03-02 13:00")),
        (seoul("2026-03-04 09:00"), seoul("2026-03-04 12:00")),
    ]


def test_the_end_is_announced_some_minutes_before() -> None:
    assert CLASS.warn_at(seoul("2026-03-04 11:49"), 10) is None
    assert CLASS.warn_at(seoul("2026-03-04 11:50"), 10) == seoul("2026-03-04 12:00")
    assert CLASS.warn_at(seoul("2026-03-02 11:55"), 10) is None  # it goes on at 12:00
    assert CLASS.warn_at(seoul("2026-03-04 12:00"), 10) is None  # over


def test_overlapping_times_are_refused() -> None:
    with pytest.raises(TimetableError, match="overlap: mon 09:00-12:00 lab small and mon 11:00"):
        table("mon 09:00-12:00 lab small", "mon 11:00-13:00 lab small")
    table("mon 09:00-12:00 lab small", "tue 11:00-13:00 lab small")


def test_a_time_must_end_after_it_begins() -> None:
    for text in ("mon 12:00-09:00 lab small", "mon 09:00-09:00 lab small"):
        with pytest.raises(TimetableError, match="the end must come after"):
            parse_times(text)


def test_a_long_break_does_not_hide_what_comes_after_it() -> None:
    long = table("mon 09:00-10:00 lab small", off="2026-03-02..2026-12-31")
    following = long.next_meeting(seoul("2026-03-01 00:00"))
    assert following is not None
    assert following.begin == seoul("2027-01-04 09:00")


# ---- the text form --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("mon", [0]),
        ("Mon,WED", [0, 2]),
        ("mon-fri", [0, 1, 2, 3, 4]),
        ("sat-mon", [0, 5, 6]),
        ("월수금", [0, 2, 4]),
        ("월,수", [0, 2]),
        ("월요일,금요일", [0, 4]),
        ("월-금", [0, 1, 2, 3, 4]),
    ],
)
def test_weekdays(text: str, days: list[int]) -> None:
    assert parse_days(text) == days


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mon",
        "mon 9-12 lab small",
        "mon 09:00-12:00 lab",
        "mon 25:00-26:00 lab small",
        "mon 09:00-24:00 lab small",
        "noday 09:00-12:00 lab small",
        "mon, 09:00-12:00 lab small",
        "mon-- 09:00-12:00 lab small",
        "월x 09:00-12:00 lab small",
        "mon 09:00-12:00 lab small extra",
    ],
)
def test_words_that_are_no_time_are_refused(text: str) -> None:
    with pytest.raises(TimetableError) as error:
        parse_times(text)
    assert len(str(error.value)) < 150


@pytest.mark.parametrize(
    "text", ["", "2026-13-01", "2026-02-29", "25.12.2026", "2026-12-31..2026-12-01", "20261225"]
)
def test_words_that_are_no_dates_are_refused(text: str) -> None:
    with pytest.raises(TimetableError):
        parse_dates(text)


def test_changes_are_made_together() -> None:
    new = changed(
        CLASS,
        parse_times("mon 10:00-12:00 lab small"),
        parse_begin("mon 09:00"),
        parse_dates("2026-03-04,2026-03-11..2026-03-12"),
        parse_dates("2026-03-09"),
    )
    assert [w.text("en") for w in new.weekly] == [
        "mon 10:00-12:00 lab small",
        "mon 12:00-13:00 lab medium",
        "wed 09:00-12:00 lab small",
    ]
    assert sorted(d.day for d in new.off) == [4, 11, 12]
    assert (new.first, new.last) == (CLASS.first, CLASS.last)
    assert changed(CLASS, parse_times("mon 09:00-12:00 lab small")) == CLASS
    with pytest.raises(TimetableError, match="No time of the class begins on tue at 09:00"):
        changed(CLASS, remove=parse_begin("tue 09:00"))


_CLOCK = st.times().map(lambda t: t.replace(second=0, microsecond=0))
_WEEKLY = st.builds(
    lambda day, one, other: (day, min(one, other), max(one, other)),
    st.integers(0, 6),
    _CLOCK,
    _CLOCK,
).filter(lambda w: w[1] < w[2])
_ZONES = st.sampled_from(["Asia/Seoul", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe"])


@st.composite
def timetables(draw: st.DrawFn) -> Timetable:
    weekly: list[WeeklyTime] = []
    for day, begin, end in draw(st.lists(_WEEKLY, max_size=6)):
        if all(day != w.weekday or end <= w.begin or w.end <= begin for w in weekly):
            weekly.append(WeeklyTime(day, begin, end, "lab", "small"))
    days = st.dates(date(2026, 3, 1), date(2026, 4, 30))
    first = draw(st.none() | days)
    return Timetable(
        ZoneInfo(draw(_ZONES)),
        tuple(weekly),
        draw(st.frozensets(days, max_size=5)),
        first,
        first + timedelta(days=draw(st.integers(0, 60))) if first else None,
    )


_MOMENTS = st.datetimes(datetime(2026, 2, 20), datetime(2026, 5, 10), timezones=st.just(UTC))


@given(timetables(), _MOMENTS)
def test_meetings_are_where_the_timetable_says(made: Timetable, now: datetime) -> None:
    here = now.astimezone(made.zone)
    present = made.meeting_at(now)
    if present is not None:
        assert present.begin <= now < present.end
        assert here.date() not in made.off
        assert made.first is None or made.first <= here.date()
        assert made.last is None or here.date() <= made.last
        over = made.over_at(now)
        assert over is not None
        assert over >= present.end
        assert made.meeting_at(over) is None
        assert made.warn_at(now, 10**6) == over
    following = made.next_meeting(now)
    if following is not None:
        assert following.begin > now
        assert made.meeting_at(following.begin) == following
        assert made.meeting_at(following.end - timedelta(microseconds=1)) == following


@given(timetables(), _MOMENTS, st.integers(1, 21))
def test_no_meeting_is_left_out(made: Timetable, now: datetime, days: int) -> None:
    until = now + timedelta(days=days)
    one_by_one = []
    moment = now
    while (following := made.next_meeting(moment)) and following.begin < until:
        one_by_one.append(following)
        moment = following.begin
    assert [m for m in made.between(now, until) if m.begin > now] == one_by_one
    spans = made.spans(now, until)
    assert all(a[1] < b[0] for a, b in pairwise(spans))


@given(timetables(), st.lists(_WEEKLY, min_size=1, max_size=1))
def test_what_overlaps_is_refused_and_nothing_else(
    made: Timetable, more: list[tuple[int, time, time]]
) -> None:
    day, begin, end = more[0]
    new = WeeklyTime(day, begin, end, "lab", "small")
    assume(new not in made.weekly)
    meets = any(w.weekday == day and begin < w.end and w.begin < end for w in made.weekly)
    if meets:
        with pytest.raises(TimetableError):
            changed(made, [new])
    else:
        assert new in changed(made, [new]).weekly


@given(timetables())
def test_the_text_form_says_the_same(made: Timetable) -> None:
    for language in ("ko", "en"):
        assert [w for x in made.weekly for w in parse_times(x.text(language))] == list(made.weekly)


# ---- the store ------------------------------------------------------------------------------


def test_timetables_are_kept(database: Database) -> None:
    team = Team("class:2026-a", "1기", date(2026, 3, 2), date(2026, 3, 16))
    other = Team("class:2026-b")
    for each in (team, other):
        Directory(database).save_team(each)
    classes = Classes(database, SEOUL)
    assert classes.timetable(team) == Timetable(SEOUL, first=team.starts, last=team.ends)
    classes.save(team.name, CLASS)
    classes.save(other.name, table("tue 09:00-10:00 lab small"))
    assert classes.timetable(team) == CLASS
    classes.save(team.name, changed(CLASS, remove=parse_begin("mon,wed 09:00")))
    assert len(Classes(database, SEOUL).timetable(team).weekly) == 1
    assert len(classes.timetable(other).weekly) == 1
    day = (seoul("2026-03-02 00:00"), seoul("2026-03-04 00:00"))
    assert classes.lessons([team.name, other.name], *day) == [
        (seoul("2026-03-02 12:00"), seoul("2026-03-02 13:00")),
        (seoul("2026-03-03 09:00"), seoul("2026-03-03 10:00")),
    ]
    assert classes.lessons([], *day) == []
