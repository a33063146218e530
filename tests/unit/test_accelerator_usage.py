"""The report of a month: its sums are the ledger's to the second, by whatever it is divided."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.accelerators import GPU, NPU, wish

from madang_hub.accelerators import plots
from madang_hub.accelerators.accounts import Accounts
from madang_hub.accelerators.broker.report_page import Figures, figures, plain, table_of
from madang_hub.accelerators.leases import Lease, Policy, State, Why
from madang_hub.accelerators.ledger import Event, Span, What, booked, seconds
from madang_hub.accelerators.tables import EVENTS, LEASES, row_of, row_of_event
from madang_hub.accelerators.usage import (
    HOUR,
    Wait,
    daily,
    lines,
    month_at,
    month_named,
    rank,
    slot_seconds,
    total,
    waits_of,
)
from madang_hub.people.database import Database
from madang_hub.people.directory import Directory, Team

SEOUL = ZoneInfo("Asia/Seoul")
NOVEMBER = month_named("2026-11", SEOUL)
POLICY = Policy(weights={"H100": 4, NPU: 0.5})
TEAMS = ("team:a", "team:b", "class:c")


def span(
    lease: str = "1", team: str = "team:a", begin: int = 0, end: int = HOUR, **more: int
) -> Span:
    """From and to so many seconds of November."""
    at = NOVEMBER.begin
    values = {"count": 1, "parts": 1, **more}
    return Span(
        lease, "ann", team, GPU, "H100", values["count"], values["parts"], at + begin, at + end
    )


spans = st.lists(
    st.builds(
        lambda n, team, person, model, count, parts, begin, length: Span(
            str(n),
            person,
            team,
            GPU if model == "H100" else NPU,
            model,
            1 if parts > 1 else count,
            parts,
            NOVEMBER.begin + begin,
            NOVEMBER.begin + begin + length,
        ),
        st.uuids(),
        st.sampled_from(TEAMS),
        st.sampled_from(("ann", "ben", "dan")),
        st.sampled_from(("H100", "")),
        st.integers(1, 4),
        st.integers(1, 7),
        st.integers(-40 * 86400, 40 * 86400),
        st.integers(0, 3 * 86400),
    ),
    max_size=12,
)


@given(spans)
def test_every_division_adds_up_to_the_ledger(known: list[Span]) -> None:
    used = seconds(known, NOVEMBER.begin, NOVEMBER.end)
    whole = sum((slot_seconds(s, n) for s, n in used.items()), Fraction(0))
    assert total(used, (), POLICY).used == whole
    for divided in (
        lines(used, (), POLICY, lambda one: one.team),
        lines(used, (), POLICY, lambda one: one.model or one.kind),
    ):
        assert sum((line.used for line in divided), Fraction(0)) == whole
        assert sum(line.leases for line in divided) == len(used)
        assert [x.used for x in divided] == sorted((x.used for x in divided), reverse=True)
    days = daily(known, NOVEMBER.begin, NOVEMBER.end, SEOUL)
    assert len(days) == 30
    assert sum((n for _, n in days), Fraction(0)) == whole


@given(spans)
def test_months_one_after_the_other_lose_no_second(known: list[Span]) -> None:
    months = [
        month_named(name, SEOUL) for name in ("2026-09", "2026-10", "2026-11", "2026-12", "2027-01")
    ]
    for one, other in pairwise(months):
        assert one.end == other.begin
    parts = [total(seconds(known, m.begin, m.end), (), POLICY).used for m in months]
    whole = sum((slot_seconds(s, s.end - s.begin) for s in known), Fraction(0))
    assert sum(parts, Fraction(0)) == whole


def test_a_line_in_full() -> None:
    used = {
        span("1", end=HOUR): HOUR,
        span("2", end=HOUR, count=2): HOUR,
        replace(span("3", end=HOUR, parts=4), person="ben"): HOUR,
    }
    waits = [Wait("team:a", GPU, "H100", n) for n in (600, 10, 60)]
    (line,) = lines(used, waits, POLICY, lambda one: one.team)
    assert (line.name, line.hours, line.weighed_hours) == ("team:a", 3.25, 13.0)
    assert (line.leases, line.people) == (3, 2)
    assert (line.median_wait, line.p95_wait) == (60, 600)


def test_who_waited_and_used_nothing_has_a_line() -> None:
    (line,) = lines({}, [Wait("team:a", GPU, "", 5)], POLICY, lambda one: one.team)
    assert line.used == 0
    assert (line.leases, line.median_wait) == (0, 5)
    assert lines({}, (), POLICY, lambda one: one.team) == []
    assert total({}, (), POLICY).median_wait is None


@pytest.mark.parametrize(
    ("rising", "part", "expected"),
    [((), 0.5, None), ((7,), 0.95, 7), ((1, 2, 3, 4), 0.5, 2), (tuple(range(1, 101)), 0.95, 95)],
)
def test_rank(rising: tuple[int, ...], part: float, expected: int | None) -> None:
    assert rank(rising, part) == expected


def test_waits_are_from_asking_to_the_turn() -> None:
    asked = Lease("1", wish(), asked=100)
    granted = replace(asked, state=State.GRANTED, granted=160, model="H100")
    again = replace(granted, returned=True)
    assert waits_of([asked, granted, again]) == [Wait("team:a", GPU, "H100", 60)]


@pytest.mark.parametrize(
    "text", ["", "2026", "2026-13", "2026-00", "1999-01", "2026-1", "2026-11-1", "x"]
)
def test_no_month(text: str) -> None:
    with pytest.raises(ValueError, match=f"^{text}$"):
        month_named(text, SEOUL)


def test_a_month_is_of_the_operators_zone() -> None:
    assert NOVEMBER.end - NOVEMBER.begin == 30 * 86400
    assert month_at(NOVEMBER.begin - 1, SEOUL).name == "2026-10"
    assert month_at(NOVEMBER.begin, SEOUL) == NOVEMBER


# ---- from the database ------------------------------------------------------------------------


def stored(
    database: Database, identity: str, begin: int, end: int | None, team: str = "team:a"
) -> None:
    """A lease as the store leaves it behind; times are seconds of November."""
    at = NOVEMBER.begin
    request = wish(team=team)
    granted = Lease(
        identity,
        request,
        at + begin - 70,
        State.GRANTED,
        slots=("s",),
        model="H100",
        granted=at + begin - 10,
    )
    active = replace(granted, state=State.ACTIVE, began=at + begin, ends=at + begin + 86400)
    steps = [booked(granted, active)]
    last = active
    if end is not None:
        last = replace(active, state=State.ENDED, stopped=at + end, changed=at + end, why=Why.OVER)
        steps.append(booked(active, last))
    with database.transaction() as db:
        db.execute(LEASES.insert().values(row_of(last)))
        for step in steps:
            assert step is not None
            db.execute(EVENTS.insert().values(row_of_event(step)))


def beat(database: Database, moment: int) -> None:
    with database.transaction() as db:
        db.execute(EVENTS.insert().values(row_of_event(Event(NOVEMBER.begin + moment, What.BEAT))))


def test_a_month_read_is_the_ledgers_own(database: Database) -> None:
    """Whatever reaches into the month, however long ago it began; and nothing else."""
    stored(database, "before", -9 * 86400, -8 * 86400)
    stored(database, "into", -60 * 86400, 100)  # longer than the policy of today allows
    stored(database, "inside", 1000, 2000, "class:c")
    stored(database, "over the end", 30 * 86400 - 50, 30 * 86400 + 50)
    stored(database, "still there", 3000, None)
    stored(database, "after", 31 * 86400, 32 * 86400)
    beat(database, 5000)
    accounts = Accounts(database, POLICY)
    found, granted = accounts.within(NOVEMBER.begin, NOVEMBER.end)
    used = seconds(found, NOVEMBER.begin, NOVEMBER.end)
    assert {s.lease: n for s, n in used.items()} == {
        "into": 100,
        "inside": 1000,
        "over the end": 50,
        "still there": 2000,
    }
    # the whole ledger, cut to the month, says the same
    assert used == seconds(accounts.spans(), NOVEMBER.begin, NOVEMBER.end)
    assert {x.id for x in granted} == {"inside", "over the end", "still there"}
    assert [w.seconds for w in waits_of(granted)] == [60, 60, 60]


def test_counts_are_the_ledgers_own(database: Database) -> None:
    stored(database, "one", 0, 1000)
    stored(database, "two", 500, 700)
    stored(database, "three", 500, None, "class:c")
    counts = Accounts(database, POLICY).counts()
    assert counts.grants == 3
    assert counts.ended == {"over": 2}
    # who has not ended counts when it does, so that the counter never goes back
    assert counts.used == {("team:a", GPU): 1200}


def test_an_industry_is_a_teams_own(database: Database) -> None:
    directory = Directory(database)
    directory.save_team(Team("team:a"))
    assert directory.industries() == {}
    directory.set_industry("team:a", "제조")
    directory.set_industry("team:a", "로봇")
    directory.save_team(Team("team:a", "another title"))
    assert directory.industries() == {"team:a": "로봇"}
    directory.set_industry("team:a", "")
    assert directory.industries() == {}


# ---- what is shown --------------------------------------------------------------------------------


def november(known: Iterable[Span], seen: Iterable[str] = TEAMS) -> Figures:
    return figures(
        NOVEMBER,
        known,
        [Wait("team:a", GPU, "H100", 90), Wait("class:c", GPU, "H100", 30)],
        {"team:a": "=1+1", "class:c": "<b>반</b>"},
        {"team:a": "제조", "class:c": "교육"},
        POLICY,
        lambda mine: daily(mine, NOVEMBER.begin, NOVEMBER.end, SEOUL),
        lambda team: team in tuple(seen),
    )


def test_teams_classes_industries_and_kinds() -> None:
    found = november([span("1"), span("2", "team:b"), span("3", "class:c", end=1800)])
    assert [x.name for x in found.teams] == ["team:a", "team:b"]
    assert [x.name for x in found.classes] == ["class:c"]
    assert {x.name: x.hours for x in found.industries} == {"": 1.0, "제조": 1.0, "교육": 0.5}
    assert [x.name for x in found.kinds] == ["H100"]
    assert found.all.hours == 2.5


def test_a_mentor_sees_nothing_of_others() -> None:
    found = november([span("1"), span("2", "team:b")], seen=["team:b"])
    assert [x.name for x in found.teams] == ["team:b"]
    assert (found.all.hours, found.all.waits) == (1.0, ())
    assert found.classes == []
    assert [x.name for x in found.industries] == [""]
    assert sum(n for _, n in found.days) == HOUR


@pytest.mark.parametrize(("language", "head"), [("ko", "가속기 시간"), ("en", "Accelerator-hours")])
def test_the_table_opens_in_a_spreadsheet(language: str, head: str) -> None:
    text = table_of(november([span("1"), span("3", "class:c", end=1800)]), language)
    assert text.startswith("\ufeff")
    rows = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))
    assert rows[0][5] == head
    assert {len(row) for row in rows} == {11}
    assert rows[1][5:] == ["1.5000", "6.0000", "2", "1", "0.5", "1.5"]
    # a title that a spreadsheet would compute is text
    assert [row[3] for row in rows if row[2] == "team:a"] == ["'=1+1"]
    assert [plain(x) for x in ("-1", "@x", "+1", "\tx", "a=1")] == [
        "'-1",
        "'@x",
        "'+1",
        "'\tx",
        "a=1",
    ]


SVG = "{http://www.w3.org/2000/svg}"


def parsed(drawn: str) -> ElementTree.Element:
    """As XML, stricter than what browsers take."""
    named = drawn.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    return ElementTree.fromstring(named)  # noqa: S314  # made by ourselves a line before


@pytest.mark.parametrize("draw", [plots.standing, plots.lying])
def test_a_plot_is_sound_and_says_what_it_is(draw: object) -> None:
    assert callable(draw)
    hostile = '<script>alert("1")</script>&'
    drawn = str(draw("p", f"Hours {hostile}", "Each day", [(hostile, 0.0), ("나", 12.5)]))
    assert "<script" not in drawn
    root = parsed(drawn)
    assert root.get("role") == "img"
    named = {e.get("id"): e.text for e in root if e.tag in (f"{SVG}title", f"{SVG}desc")}
    assert [named[i] for i in (root.get("aria-labelledby") or "").split()] == [
        f"Hours {hostile}",
        "Each day",
    ]
    assert len(root.findall(f"{SVG}rect")) == 2


def test_bars_are_as_long_as_their_values() -> None:
    drawn = str(plots.standing("p", "t", "d", [("1", 10.0), ("2", 5.0), ("3", 0.0)]))
    root = parsed(drawn)
    heights = [float(e.get("height") or 0) for e in root.findall(f"{SVG}rect")]
    assert heights == [plots.HEIGHT, plots.HEIGHT / 2, 0]
    assert str(plots.standing("p", "t", "d", [("1", 0.0)]))
    assert str(plots.lying("p", "t", "d", []))
