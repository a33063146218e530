"""The rules of looking in, of importing by a mentor, and of what is noted about a failed start."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang_hub.options import StartRefused
from madang_hub.people.announcements import AnnouncementRefused, announcement
from madang_hub.people.database import Database
from madang_hub.people.directory import Membership, Team, TeamRole
from madang_hub.people.failures import Failures, failure_of, noting
from madang_hub.people.importing import only_for_admins
from madang_hub.people.lookin import (
    MINUTES,
    LookIn,
    LookInRefused,
    begin,
    due,
    may_end,
    shared_class,
    wish,
)
from madang_hub.people.lookins import LookIns
from madang_hub.people.roster import Roster
from madang_hub.people.roster_plan import Change, Kind, Plan
from madang_hub.people.sentences import Sentence

NOW = datetime(2026, 3, 2, 5, 0, tzinfo=UTC)
CLASS = [
    Membership("class:a", "teacher", "mentor"),
    Membership("class:a", "minji", "trainee"),
    Membership("class:a", "jihun", "trainee"),
    Membership("class:a", "fellow", "mentor"),
    Membership("class:b", "other", "mentor"),
    Membership("class:b", "seoyeon", "trainee"),
    Membership("team:firm", "boss", "mentor"),
    Membership("team:firm", "worker", "member"),
]
ASKED = wish("minji", "3번 셀", 15)


def open_one(mentor: str, trainee: str, **more: object) -> LookIn:
    values: dict[str, object] = {
        "id": 1,
        "mentor": mentor,
        "trainee": trainee,
        "team": "class:a",
        "server": "",
        "reason": "x",
        "began": NOW,
        "until": NOW + timedelta(minutes=15),
        **more,
    }
    return LookIn(**values)  # type: ignore[arg-type]  # any of its fields


# ---- asking ---------------------------------------------------------------------------------


def test_a_mentor_gets_in_for_the_time_asked_for() -> None:
    look_in = begin(wish("minji", "  3번\n셀  ", 30), "teacher", CLASS, True, (), NOW)
    assert look_in.until - look_in.began == timedelta(minutes=30)
    assert (look_in.team, look_in.reason, look_in.open) == ("class:a", "3번 셀", True)


@pytest.mark.parametrize("reason", ["", "   ", "\n", None, 3, ["x"], "x" * 201])
def test_a_reason_is_needed(reason: object) -> None:
    with pytest.raises(LookInRefused) as refused:
        wish("minji", reason, 15)
    assert refused.value.status == 400


@pytest.mark.parametrize("minutes", [0, -15, 14, 61, 15.0, "15", True, None, 10**9])
def test_only_the_offered_times(minutes: object) -> None:
    with pytest.raises(LookInRefused) as refused:
        wish("minji", "x", minutes)
    assert refused.value.status == 400


@pytest.mark.parametrize("trainee", [None, "", 1, ["minji"], {"name": "minji"}])
def test_somebody_must_be_named(trainee: object) -> None:
    with pytest.raises(LookInRefused):
        wish(trainee, "x", 15)


@pytest.mark.parametrize(
    ("mentor", "trainee"),
    [
        ("teacher", "seoyeon"),  # another class
        ("teacher", "fellow"),  # a fellow mentor
        ("teacher", "teacher"),
        ("teacher", "nobody"),
        ("minji", "jihun"),  # a trainee
        ("minji", "minji"),
        ("boss", "worker"),  # a member of a firm is no trainee
        ("stranger", "minji"),
    ],
)
def test_nobody_else_is_looked_in_at(mentor: str, trainee: str) -> None:
    with pytest.raises(LookInRefused) as refused:
        begin(wish(trainee, "x", 15), mentor, CLASS, True, (), NOW)
    assert refused.value.status == 404


def test_who_is_trainee_and_mentor_is_nobodys_to_look_in_at() -> None:
    both = [*CLASS, Membership("class:a", "minji", "mentor", "provider")]
    assert shared_class("teacher", "minji", both) is None


def test_a_server_that_is_off_is_not_entered() -> None:
    with pytest.raises(LookInRefused) as refused:
        begin(ASKED, "teacher", CLASS, False, (), NOW)
    assert refused.value.status == 409


@pytest.mark.parametrize(
    "there",
    [
        open_one("teacher", "minji"),  # in there already
        open_one("teacher", "jihun"),  # the mentor is somewhere else
        open_one("fellow", "minji"),  # somebody else is there
    ],
)
def test_one_at_a_time(there: LookIn) -> None:
    with pytest.raises(LookInRefused) as refused:
        begin(ASKED, "teacher", CLASS, True, [there], NOW)
    assert refused.value.status == 409
    over = open_one(there.mentor, there.trainee, ended=NOW)
    assert begin(ASKED, "teacher", CLASS, True, [over], NOW).open


NAMES = st.sampled_from(["teacher", "fellow", "minji", "jihun", "other", "stranger"])
ROLES = st.sampled_from(get_args(TeamRole))
MEMBERSHIPS = st.lists(
    st.builds(Membership, st.sampled_from(["class:a", "class:b", "team:c"]), NAMES, ROLES)
)


@given(MEMBERSHIPS, NAMES, NAMES, st.sampled_from(MINUTES))
def test_whoever_gets_in_is_mentor_of_a_class_of_that_trainee(
    memberships: list[Membership], mentor: str, trainee: str, minutes: int
) -> None:
    try:
        look_in = begin(wish(trainee, "x", minutes), mentor, memberships, True, (), NOW)
    except LookInRefused:
        return
    assert mentor != trainee
    assert Membership(look_in.team, mentor, "mentor") in memberships
    of_trainee = {m.role for m in memberships if (m.team, m.person) == (look_in.team, trainee)}
    assert of_trainee == {"trainee"}
    assert NOW < look_in.until <= NOW + timedelta(hours=1)
    # as long as nothing changes it ends by its time and not before
    assert not due(look_in, memberships, look_in.until - timedelta(seconds=1))
    assert due(look_in, memberships, look_in.until)


# ---- ending ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("person", "admin", "may"),
    [
        ("minji", False, True),
        ("teacher", False, True),
        ("anybody", True, True),
        ("fellow", False, False),
        ("jihun", False, False),
    ],
)
def test_who_may_end(person: str, admin: bool, may: bool) -> None:
    assert may_end(open_one("teacher", "minji"), person, admin) is may


def test_it_ends_when_the_mentor_is_no_longer_mentor() -> None:
    look_in = open_one("teacher", "minji")
    assert not due(look_in, CLASS, NOW)
    without = [m for m in CLASS if m.person != "teacher"]
    assert due(look_in, without, NOW)
    assert due(look_in, [m for m in CLASS if m.person != "minji"], NOW)
    assert not due(open_one("teacher", "minji", ended=NOW), without, NOW)


# ---- the table ------------------------------------------------------------------------------


def test_one_at_a_time_holds_in_the_table(database: Database) -> None:
    lookins = LookIns(database)
    first = lookins.add(open_one("teacher", "minji"))
    for mentor, trainee in (("teacher", "jihun"), ("fellow", "minji"), ("teacher", "minji")):
        with pytest.raises(LookInRefused):
            lookins.add(open_one(mentor, trainee))
    assert lookins.end(first.id, "minji", NOW)
    assert not lookins.end(first.id, "teacher", NOW), "it ends once"
    ended = lookins.get(first.id)
    assert ended is not None
    assert (ended.ended, ended.ended_by) == (NOW, "minji")
    assert [one.id for one in lookins.not_revoked()] == [first.id]
    lookins.set_revoked(first.id, NOW)
    assert lookins.not_revoked() == []
    assert lookins.add(open_one("teacher", "jihun")).id != first.id
    assert {one.trainee for one in lookins.about("teacher")} == {"minji", "jihun"}
    assert [one.trainee for one in lookins.open_ones(trainee="minji", mentor="teacher")] == [
        "jihun"
    ]


# ---- announcements --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "hours"), [("", 1), ("  \n ", 1), ("x" * 501, 1), (None, 1), ("x", 2), ("x", True)]
)
def test_announcements_have_a_text_and_a_time(text: object, hours: object) -> None:
    with pytest.raises(AnnouncementRefused):
        announcement("class:a", "teacher", text, hours, NOW)


def test_lines_of_an_announcement_stay() -> None:
    made = announcement("class:a", "teacher", " 2시부터   3번\n\t41쪽 ", 4, NOW)
    assert made.text == "2시부터 3번\n41쪽"
    assert made.until == NOW + timedelta(hours=4)


# ---- a mentor's import ----------------------------------------------------------------------


def plan(kind: Kind, person: str, role: TeamRole = "trainee", team: str = "class:a") -> Plan:
    roles: dict[str, TeamRole] = {} if kind in ("leaves", "team") else {person: role}
    change = Change(kind, person, Sentence("x"))
    return Plan(Roster(()), Team(team), (), roles, (), (change,))


@pytest.mark.parametrize(
    ("made", "allowed"),
    [
        (plan("new", "new-one"), True),
        (plan("new", "new-one", "mentor"), False),
        (plan("leaves", "minji"), True),
        (plan("leaves", "fellow"), False),
        (plan("name", "minji"), True),
        (plan("name", "seoyeon"), False),
        (plan("role", "minji", "member"), True),
        (plan("role", "minji", "mentor"), False),
        (plan("role", "fellow", "trainee"), False),
        (plan("joins", "seoyeon"), False),
        (plan("joins", "worker"), False),
        (plan("joins", "stranger"), False),
        (plan("returns", "minji"), False),
        (plan("returns", "stranger"), False),
        (plan("email", "minji"), False),
        (plan("account", "minji"), False),
        (plan("until", "minji"), True),
        (plan("until", "seoyeon"), False),
        (plan("unchanged", "minji"), True),
        (plan("new", "new-one", team="class:b"), False),
    ],
)
def test_what_a_mentor_may_import(made: Plan, allowed: bool) -> None:
    assert (only_for_admins(made, {"class:a"}, CLASS) == []) is allowed


@given(st.sampled_from(get_args(Kind)), NAMES, ROLES, MEMBERSHIPS)
def test_a_mentors_import_never_makes_a_mentor_nor_takes_one_away(
    kind: Kind, person: str, role: TeamRole, memberships: list[Membership]
) -> None:
    made = plan(kind, person, role)
    was = any(m.role == "mentor" and (m.team, m.person) == ("class:a", person) for m in memberships)
    if kind not in ("unchanged", "team") and (made.roles.get(person) == "mentor" or was):
        assert only_for_admins(made, {"class:a"}, memberships)


# ---- failed starts --------------------------------------------------------------------------


def test_a_refusal_is_noted_with_its_words() -> None:
    error = StartRefused("디스크가 가득 찼습니다.", reason="disk-full", log="No space left")
    noted = failure_of("minji", "", error, NOW)
    assert (noted.reason, noted.message, noted.detail) == (
        "disk-full",
        "디스크가 가득 찼습니다.",
        "No space left",
    )
    assert failure_of("minji", "", asyncio.CancelledError(), NOW).reason == "timeout"
    odd = failure_of("minji", "", KeyError("x"), NOW)
    assert (odd.reason, odd.detail) == ("error", "KeyError: 'x'")


class Spawner:
    """As much of a spawner as the hook needs."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error
        self.noted: list[BaseException] = []

    def failed_start_hook(self, spawner: Spawner, error: BaseException) -> None:
        self.noted.append(error)

    @noting
    async def start(self) -> str:
        if self.error:
            raise self.error
        await asyncio.sleep(3600)
        return "never"


def test_a_failed_start_fails_as_before_and_is_noted() -> None:
    spawner = Spawner(RuntimeError("no"))
    with pytest.raises(RuntimeError, match="no"):
        asyncio.run(spawner.start())  # type: ignore[arg-type]  # the wrapped method's type says Awaitable
    assert [str(e) for e in spawner.noted] == ["no"]


def test_a_start_that_takes_too_long_is_noted() -> None:
    async def hub() -> Spawner:
        spawner = Spawner(None)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(spawner.start(), 0.01)
        return spawner

    assert [type(e) for e in asyncio.run(hub()).noted] == [asyncio.CancelledError]


def test_old_failures_are_forgotten(database: Database) -> None:
    failures = Failures(database)
    failures.write(failure_of("minji", "", KeyError("old"), NOW - timedelta(days=31)))
    failures.write(failure_of("jihun", "", KeyError("new"), NOW))
    assert [f.person for f in failures.read()] == ["jihun"]
    assert failures.read(people=[]) == []
    assert [f.person for f in failures.read(people=["jihun", "minji"])] == ["jihun"]
