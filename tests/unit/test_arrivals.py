"""People of a provider in the directory: bound for ever, renamed, removed, let in again."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from threading import Thread
from typing import Literal

import pytest

from madang_hub.people.accounts import Accounts
from madang_hub.people.arrivals import Arrivals, NotAdmittedError
from madang_hub.people.audit import Audit
from madang_hub.people.claims import Claimed
from madang_hub.people.database import Database
from madang_hub.people.directory import Directory, Person, Team

ISSUER = "https://id.example.org"
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
TODAY = date(2026, 3, 2)


def arrivals(
    database: Database, tmp_path: Path, admit: Literal["mapped", "everyone"] = "everyone"
) -> Arrivals:
    return Arrivals(database, admit, {"admin"}, tmp_path / "homes")


@pytest.fixture
def door(database: Database, tmp_path: Path) -> Arrivals:
    return arrivals(database, tmp_path)


def claimed(subject: str = "s-1", name: str = "minji", **more: object) -> Claimed:
    return Claimed(ISSUER, subject, name, **more)  # type: ignore[arg-type]  # any of its fields


def enter(door: Arrivals, who: Claimed) -> str:
    return door.sign_in(who, NOW, TODAY)


def test_a_new_person_is_written_down(
    door: Arrivals, directory: Directory, database: Database
) -> None:
    who = claimed(display_name="김민지", email="minji@a.kr", roles={"class:2026-a": "trainee"})
    assert enter(door, who) == "minji"
    person = directory.person("minji")
    assert person is not None
    assert (person.display_name, person.email, person.admin) == ("김민지", "minji@a.kr", False)
    [membership] = directory.memberships(person="minji")
    assert (membership.team, membership.role, membership.source) == (
        "class:2026-a",
        "trainee",
        "provider",
    )
    [line] = Audit(database).read(about="minji")
    assert (line.action, line.detail["new"]) == ("identity.bound", True)


def test_a_rename_at_the_provider_makes_no_new_person(door: Arrivals, directory: Directory) -> None:
    enter(door, claimed(display_name="김민지"))
    assert enter(door, claimed(name="minji.kim", display_name="이민지")) == "minji"
    person = directory.person("minji")
    assert person is not None
    assert person.display_name == "이민지"
    assert directory.person("minji.kim") is None


def test_a_name_given_to_somebody_else_there_takes_over_nobody(door: Arrivals) -> None:
    assert enter(door, claimed("s-1")) == "minji"
    assert enter(door, claimed("s-2")) == "minji-2"
    assert enter(door, claimed("s-1", "other")) == "minji"


def test_the_same_subject_of_another_issuer_is_somebody_else(door: Arrivals) -> None:
    enter(door, claimed())
    assert enter(door, Claimed("https://other.example.org", "s-1", "minji")) == "minji-2"


def test_names_that_were_somebodys(
    door: Arrivals, directory: Directory, database: Database, tmp_path: Path
) -> None:
    directory.save_people([Person("gone", ended=NOW, ended_why="removed")])
    Accounts(database).add("teacher")
    (tmp_path / "homes" / "older").mkdir(parents=True)
    assert enter(door, claimed("s-1", "gone")) == "gone-2"
    assert enter(door, claimed("s-2", "teacher")) == "teacher-2"
    assert enter(door, claimed("s-3", "older")) == "older-2"
    assert enter(door, claimed("s-4", "admin")) == "admin-2"


def test_a_rosters_person_comes_by_the_address(door: Arrivals, directory: Directory) -> None:
    directory.import_team(
        Team("class:a"), [Person("kim01", "김민지 (가반)", "Minji@a.kr")], {"kim01": "trainee"}
    )
    who = claimed(email="minji@a.kr", display_name="Minji Kim", roles={"team:x": "member"})
    assert enter(door, who) == "kim01"
    person = directory.person("kim01")
    assert person is not None
    assert person.display_name == "김민지 (가반)", "the roster's spelling stays"
    assert {m.team for m in directory.memberships(person="kim01")} == {"class:a", "team:x"}
    # the address is given to the next person at the institution: that is somebody else
    assert enter(door, claimed("s-2", "minji", email="minji@a.kr")) == "minji"


def test_the_roster_alone_is_enough_to_enter(
    database: Database, directory: Directory, tmp_path: Path
) -> None:
    door = arrivals(database, tmp_path, "mapped")
    directory.import_team(Team("class:a"), [Person("kim01", "", "m@a.kr")], {"kim01": "trainee"})
    with pytest.raises(NotAdmittedError):
        enter(door, claimed("s-2", "stranger"))
    assert directory.person("stranger") is None, "who may not enter leaves no trace"
    assert enter(door, claimed(email="m@a.kr")) == "kim01"


def test_an_address_opens_no_account_of_an_admin(door: Arrivals, directory: Directory) -> None:
    directory.save_people(
        [Person("admin", email="ops@a.kr"), Person("boss", email="boss@a.kr", admin=True)]
    )
    assert enter(door, claimed("s-1", "x", email="ops@a.kr")) == "x"
    assert enter(door, claimed("s-2", "y", email="boss@a.kr")) == "y"
    for name in ("x", "y"):
        person = directory.person(name)
        assert person is not None
        assert not person.admin
        assert person.email is None


def test_groups_at_the_provider_are_followed(door: Arrivals, directory: Directory) -> None:
    directory.save_people([Person("minji", email="m@a.kr")])
    directory.set_memberships("minji", {"team:firm": "member"}, "operator")
    enter(door, claimed(email="m@a.kr", roles={"class:a": "trainee", "class:b": "mentor"}))
    assert door.refresh(claimed(roles={"class:b": "trainee"}), "minji", NOW)
    said = {(m.team, m.role, m.source) for m in directory.memberships(person="minji")}
    assert said == {("team:firm", "member", "operator"), ("class:b", "trainee", "provider")}


def test_who_is_admin_by_the_provider_is_it_only_as_long(
    door: Arrivals, directory: Directory, database: Database
) -> None:
    def is_admin() -> bool:
        found = directory.person("minji")
        assert found is not None
        return found.admin

    enter(door, claimed(admin=True))
    assert is_admin()
    door.refresh(claimed(admin=False), "minji", NOW)
    assert not is_admin()
    directory.save_people([Person("minji", admin=True)])
    door.refresh(claimed(admin=None), "minji", NOW)
    assert is_admin(), "the mapping says nothing of admins: the operator's word stays"
    actions = [line.action for line in Audit(database).read(about="minji")]
    assert actions == ["admin.withdrawn", "admin.granted", "identity.bound"]


def test_without_a_group_a_person_has_no_access_any_more(
    database: Database, directory: Directory, tmp_path: Path
) -> None:
    door = arrivals(database, tmp_path, "mapped")
    enter(door, claimed(roles={"class:a": "trainee"}))
    assert not door.refresh(claimed(), "minji", NOW)
    assert directory.memberships(person="minji") == []


def test_let_go_and_in_again(door: Arrivals, directory: Directory, database: Database) -> None:
    enter(door, claimed())
    door.let_go("minji", NOW)
    door.let_go("minji", NOW)
    person = directory.person("minji")
    assert person is not None
    assert person.ended_why == "provider"
    assert not door.refresh(claimed(), "minji", NOW), "only by signing in"
    assert enter(door, claimed()) == "minji"
    person = directory.person("minji")
    assert person is not None
    assert person.ended is None
    actions = [line.action for line in Audit(database).read(about="minji")]
    assert actions == ["access.returned", "access.ended", "identity.bound"]


@pytest.mark.parametrize("why", ["removed", "expired"])
def test_whose_access_the_operator_ended_stays_out(
    door: Arrivals, directory: Directory, why: str
) -> None:
    enter(door, claimed())
    directory.end("minji", why, NOW)
    with pytest.raises(NotAdmittedError, match="no access any more"):
        enter(door, claimed())


def test_a_new_class_of_an_expired_person_is_noted(door: Arrivals, directory: Directory) -> None:
    """So that the account can come back by itself, as it does with a new roster."""
    enter(door, claimed(roles={"class:a": "trainee"}))
    directory.end("minji", "expired", NOW)
    with pytest.raises(NotAdmittedError):
        enter(door, claimed(roles={"class:b": "trainee"}))
    assert [m.team for m in directory.memberships(person="minji")] == ["class:b"]
    directory.reopen("minji")
    assert enter(door, claimed(roles={"class:b": "trainee"})) == "minji"


def test_a_refresh_never_makes_one_person_into_another(door: Arrivals) -> None:
    enter(door, claimed("s-1", "a"))
    enter(door, claimed("s-2", "b"))
    assert not door.refresh(claimed("s-2"), "a", NOW)
    assert not door.refresh(claimed("s-3"), "a", NOW)


def test_a_whole_class_with_one_name_at_once(door: Arrivals, directory: Directory) -> None:
    names: list[str] = []
    threads = [
        Thread(target=lambda n=n: names.append(enter(door, claimed(f"s-{n}")))) for n in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(names)) == 12
    assert len(directory.people()) == 12
