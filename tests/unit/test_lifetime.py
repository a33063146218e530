"""The end of accounts and homes: who is concerned, when, in which order; and that it is really done."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang_hub.homes import home_of
from madang_hub.people.audit import Audit
from madang_hub.people.database import Database
from madang_hub.people.directory import Directory, Membership, Person, Team, TeamRole
from madang_hub.people.endings import Endings
from madang_hub.people.lifetime import Kept, Step, Terms, due, works_until
from madang_hub.places import Places

SEOUL = ZoneInfo("Asia/Seoul")
TERMS = Terms(grace=14, keep=90, admin="operator")
ENDS = date(2026, 6, 30)
A = Team("class:a", ends=ENDS)
LATER = Team("class:later", ends=date(2026, 12, 18))
FIRM = Team("team:firm")
MINJI = Person("minji", "김민지")


def noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=SEOUL)


def member(team: Team, role: TeamRole = "trainee", person: str = "minji") -> Membership:
    return Membership(team.name, person, role, "roster")


@pytest.mark.parametrize(
    ("person", "memberships", "until"),
    [
        (MINJI, [member(A)], date(2026, 7, 14)),
        (MINJI, [member(A), member(LATER)], date(2027, 1, 1)),
        (MINJI, [member(A), member(FIRM, "member")], None),
        (MINJI, [member(A), member(LATER, "mentor")], None),
        (MINJI, [member(A, "mentor")], None),
        (MINJI, [], None),
        (replace(MINJI, expires=ENDS), [], ENDS),  # left every class: the day stays
        (replace(MINJI, admin=True), [member(A)], None),
        (Person("operator"), [member(A, person="operator")], None),
    ],
)
def test_how_long_an_account_works(
    person: Person, memberships: list[Membership], until: date | None
) -> None:
    teams = {t.name: t for t in (A, LATER, FIRM)}
    assert works_until(person, memberships, teams, TERMS) == until


def steps(
    person: Person,
    memberships: list[Membership],
    now: datetime,
    *,
    homes: tuple[str, ...] = ("minji",),
    archives: tuple[Kept, ...] = (),
    busy: tuple[str, ...] = (),
    terms: Terms = TERMS,
) -> list[Step]:
    return due([person], [A, LATER, FIRM], memberships, homes, archives, busy, now, SEOUL, terms)


def test_access_ends_the_day_after_the_last_day_in_the_zone() -> None:
    person = replace(MINJI, expires=date(2026, 7, 14))
    last = datetime(2026, 7, 14, 23, 59, tzinfo=SEOUL)
    assert steps(person, [member(A)], last) == []
    assert steps(person, [member(A)], last + timedelta(minutes=1)) == [Step("ends", "minji")]


def test_a_home_is_archived_a_day_after_access_ended_and_only_without_a_server() -> None:
    ended = noon(date(2026, 7, 15))
    person = replace(MINJI, expires=date(2026, 7, 14), ended=ended, ended_why="expired")
    assert steps(person, [member(A)], ended) == []
    tomorrow = ended + timedelta(days=1)
    assert steps(person, [member(A)], tomorrow) == [Step("archive", "minji")]
    assert steps(person, [member(A)], tomorrow, busy=("minji",)) == []
    assert steps(person, [member(A)], tomorrow, homes=()) == []


def test_a_prolonged_class_gives_access_back_and_touches_no_home() -> None:
    person = replace(
        MINJI, expires=date(2026, 7, 14), ended=noon(date(2026, 7, 15)), ended_why="expired"
    )
    found = steps(person, [member(LATER)], noon(date(2026, 7, 20)))
    assert found == [
        Step("works-until", "minji", date(2027, 1, 1)),
        Step("comes-back", "minji"),
    ]


def test_whom_an_operator_ended_is_left_to_the_operator() -> None:
    person = replace(MINJI, ended=noon(date(2026, 1, 1)), ended_why="removed")
    assert steps(person, [], noon(date(2030, 1, 1))) == []


def test_whom_an_operator_gave_access_again_keeps_it() -> None:
    assert steps(MINJI, [member(A)], noon(date(2026, 8, 1))) == []


def test_whom_the_provider_no_longer_knows_has_the_home_archived_after_the_grace_days() -> None:
    person = replace(MINJI, ended=noon(date(2026, 3, 1)), ended_why="provider")
    assert steps(person, [], noon(date(2026, 3, 14))) == []
    assert steps(person, [], noon(date(2026, 3, 15))) == [Step("archive", "minji")]


def test_archives_go_after_their_time_but_not_those_made_by_hand_or_of_who_came_back() -> None:
    made = noon(date(2026, 7, 16))
    person = replace(
        MINJI, expires=date(2026, 7, 14), ended=noon(date(2026, 7, 15)), ended_why="expired"
    )
    archives = (
        Kept("minji", "a.tar", made, "expired"),
        Kept("minji", "b.tar", made, "operator"),
        Kept("somebody", "c.tar", made, "expired"),
    )
    on = made + timedelta(days=90)
    assert steps(person, [], on, homes=(), archives=archives) == []
    after = on + timedelta(days=1)
    assert steps(person, [], after, homes=(), archives=archives) == [
        Step("forget", "minji", file="a.tar")
    ]
    assert steps(MINJI, [], after, homes=(), archives=archives) == []
    for_ever = replace(TERMS, keep=0)
    assert steps(person, [], after, homes=(), archives=archives, terms=for_ever) == []


_DAYS = st.dates(date(2026, 1, 1), date(2026, 12, 31))
_TEAMS = st.lists(
    st.builds(Team, st.sampled_from(["class:a", "class:b", "team:c"]), ends=st.none() | _DAYS),
    unique_by=lambda t: t.name,
)
_PEOPLE = st.lists(
    st.builds(
        Person,
        st.sampled_from(["minji", "seojun", "hana", "operator"]),
        admin=st.booleans(),
        expires=st.none() | _DAYS,
    ),
    unique_by=lambda p: p.name,
)
_MEMBERS = st.lists(
    st.builds(
        Membership,
        st.sampled_from(["class:a", "class:b", "team:c"]),
        st.sampled_from(["minji", "seojun", "hana", "operator"]),
        st.sampled_from(["trainee", "member", "mentor"]),
        st.just("roster"),
    ),
    unique_by=lambda m: (m.team, m.person),
)


@given(_PEOPLE, _TEAMS, _MEMBERS, _DAYS, st.sets(st.sampled_from(["minji", "seojun"])))
def test_carried_out_nothing_is_due_and_those_who_stay_stay(
    people: list[Person],
    teams: list[Team],
    members: list[Membership],
    day: date,
    busy: set[str],
) -> None:
    homes = {p.name for p in people}
    now = noon(day)
    archives: list[Kept] = []

    def again(when: datetime) -> list[Step]:
        return due(people, teams, members, homes, archives, busy, when, SEOUL, TERMS)

    def carry_out(when: datetime) -> None:
        nonlocal people
        by_name = {p.name: p for p in people}
        for step in again(when):
            person = by_name[step.person]
            if step.kind == "works-until":
                by_name[step.person] = replace(person, expires=step.day)
            elif step.kind == "ends":
                by_name[step.person] = replace(person, ended=when, ended_why="expired")
            elif step.kind == "comes-back":
                by_name[step.person] = replace(person, ended=None, ended_why="")
            elif step.kind == "archive":
                assert person.ended is not None
                assert step.person not in busy
                homes.discard(step.person)
                archives.append(Kept(step.person, "x.tar", when, person.ended_why))
        people = list(by_name.values())

    carry_out(now)
    assert again(now) == []
    assert homes == {p.name for p in people}  # never on the day when access ends
    carry_out(now + timedelta(days=1))
    assert again(now + timedelta(days=1)) == []
    open_teams = {t.name for t in teams if t.ends is None}
    for person in people:
        mine = [m for m in members if m.person == person.name]
        if (
            person.admin
            or person.name == "operator"
            or any(m.role == "mentor" or m.team in open_teams for m in mine)
        ):
            assert person.ended is None
            assert person.name in homes
    for person in people:
        assert person.ended is None or not person.active(day)


# ---- carried out ----------------------------------------------------------------------------


def test_a_class_comes_to_its_end(places: Places, database: Database) -> None:
    directory = Directory(database)
    people = [Person("minji"), Person("hana"), Person("mentor")]
    directory.import_team(A, people, {"minji": "trainee", "hana": "trainee", "mentor": "mentor"})
    for name in ("minji", "hana", "mentor"):
        home = home_of(places.homes, name)
        home.mkdir()
        (home / "work.ipynb").write_text(name)
    endings = Endings(database, places)

    endings.run(noon(date(2026, 6, 1)), [])
    assert {p.name: p.expires for p in directory.people()} == {
        "hana": date(2026, 7, 14),
        "mentor": None,
        "minji": date(2026, 7, 14),
    }
    assert endings.run(noon(date(2026, 7, 14)), []) == []
    assert {s.kind for s in endings.run(noon(date(2026, 7, 15)), [])} == {"ends"}
    minji = directory.person("minji")
    assert minji is not None
    assert minji.ended_why == "expired"

    tomorrow = noon(date(2026, 7, 16))
    assert endings.run(tomorrow, None) == []  # the Hub does not answer: no home is touched
    assert endings.run(tomorrow, ["minji", "hana"]) == []
    assert endings.run(tomorrow, ["minji"]) == [Step("archive", "hana")]
    assert endings.run(tomorrow, []) == [Step("archive", "minji")]
    assert endings.run(tomorrow, []) == []
    assert [p.name for p in places.homes.iterdir()] == ["mentor"]
    assert len(list(places.archive.glob("*.tar"))) == 2

    end = tomorrow + timedelta(days=91)
    assert {s.kind for s in endings.run(end, [])} == {"forget"}
    assert list(places.archive.glob("*.tar")) == []
    said = [e.action for e in Audit(database).read(about="minji")]
    assert said == ["archive.removed", "home.archived", "account.expired"]


def test_a_home_that_cannot_be_archived_holds_nobody_else_up(
    places: Places, database: Database
) -> None:
    directory = Directory(database)
    ended = datetime(2026, 7, 1, tzinfo=UTC)
    directory.save_people(
        [
            Person(n, expires=date(2026, 6, 30), ended=ended, ended_why="expired")
            for n in ("a-odd", "b-good")
        ]
    )
    home_of(places.homes, "a-odd").symlink_to("/etc")
    home_of(places.homes, "b-good").mkdir()
    endings = Endings(database, places)
    now = ended + timedelta(days=2)
    assert endings.run(now, []) == []
    assert endings.run(now, []) == [Step("archive", "b-good")]
    assert endings.run(now, []) == []
    assert home_of(places.homes, "a-odd").is_symlink()
    home_of(places.homes, "a-odd").unlink()
    home_of(places.homes, "a-odd").mkdir()
    assert endings.run(now + timedelta(minutes=59), []) == []
    assert endings.run(now + timedelta(minutes=61), []) == [Step("archive", "a-odd")]
