"""Local accounts on a real database file."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from madang_hub.people.accounts import AccountError, Accounts, unusable
from madang_hub.people.audit import Audit
from madang_hub.people.database import Database
from madang_hub.people.directory import Membership, Person
from madang_hub.people.enrolment import Enrolled, Enrolment, describe

NOW = datetime(2026, 5, 4, 3, tzinfo=UTC)
TODAY = NOW.date()


@pytest.fixture
def accounts(database: Database) -> Accounts:
    return Accounts(database)


@pytest.fixture
def enrolment(database: Database) -> Enrolment:
    return Enrolment(database)


def test_an_account_begins_with_a_one_time_password(accounts: Accounts) -> None:
    password = accounts.add("kim")
    found = accounts.check("kim", password)
    assert found is not None
    assert found.one_time
    accounts.change("kim", "마당에서 놀자 오늘")
    assert accounts.check("kim", password) is None
    found = accounts.check("kim", "마당에서 놀자 오늘")
    assert found is not None
    assert not found.one_time


def test_a_renewed_password_replaces_the_old_one(accounts: Accounts) -> None:
    accounts.add("kim")
    accounts.change("kim", "마당에서 놀자 오늘")
    again = accounts.renew("kim")
    assert accounts.check("kim", "마당에서 놀자 오늘") is None
    assert accounts.check("kim", again)


def test_nobody_gets_in_by_another_name(accounts: Accounts) -> None:
    password = accounts.add("kim")
    assert accounts.check("lee", password) is None
    assert accounts.check("", password) is None


def test_removed_means_gone(accounts: Accounts) -> None:
    password = accounts.add("kim")
    assert accounts.remove("kim")
    assert not accounts.remove("kim")
    assert accounts.check("kim", password) is None


def test_mistakes_are_told(accounts: Accounts) -> None:
    accounts.add("kim")
    with pytest.raises(AccountError, match="already"):
        accounts.add("kim")
    with pytest.raises(AccountError, match="no account lee"):
        accounts.renew("lee")


@pytest.mark.parametrize(
    "name", ["", "../x", "a/b", "Kim", "김민지", "-kim", ".kim", "a" * 61, "a" * 200, "a b"]
)
def test_names_that_cannot_be_user_names(accounts: Accounts, name: str) -> None:
    assert unusable(name)
    with pytest.raises(AccountError, match="cannot be a user name"):
        accounts.add(name)


def actions(database: Database, name: str) -> list[str]:
    return [entry.action for entry in reversed(Audit(database).read(about=name))]


def test_a_new_person_stands_in_the_directory(enrolment: Enrolment, database: Database) -> None:
    password = enrolment.add("minji", NOW, display_name="김민지", email="m@firm.kr", admin=True)
    assert enrolment.accounts.check("minji", password)
    person = enrolment.directory.person("minji")
    assert person == Person("minji", "김민지", "m@firm.kr", admin=True)
    assert actions(database, "minji") == ["account.added"]


def test_a_name_is_never_given_to_another_person(enrolment: Enrolment, database: Database) -> None:
    old = enrolment.add("minji", NOW, display_name="김민지")
    enrolment.end("minji", NOW)
    with pytest.raises(AccountError, match=r"ended on 2026-05-04.*user restore minji"):
        enrolment.add("minji", NOW, display_name="박민지")
    with pytest.raises(AccountError, match="user restore minji"):
        enrolment.password("minji", NOW)
    new = enrolment.restore("minji", NOW, TODAY)
    assert enrolment.accounts.check("minji", old) is None
    assert enrolment.accounts.check("minji", new)
    person = enrolment.directory.person("minji")
    assert person is not None
    assert person.active(TODAY)
    assert person.display_name == "김민지"
    assert actions(database, "minji") == ["account.added", "account.ended", "account.restored"]


def test_nobody_becomes_somebody_who_signs_in_elsewhere(enrolment: Enrolment) -> None:
    enrolment.directory.save_people([Person("lee")])
    with pytest.raises(AccountError, match="somebody already"):
        enrolment.add("lee", NOW)
    assert not enrolment.accounts.exists("lee")
    # the same person may get a password too
    assert enrolment.accounts.check("lee", enrolment.password("lee", NOW))


def test_an_address_of_somebody_else_leaves_nothing_behind(enrolment: Enrolment) -> None:
    enrolment.add("lee", NOW, email="lee@firm.kr")
    with pytest.raises(AccountError, match="address"):
        enrolment.add("kim", NOW, email="lee@firm.kr")
    assert enrolment.directory.person("kim") is None
    assert not enrolment.accounts.exists("kim")


def test_an_account_without_a_person_can_be_ended(enrolment: Enrolment) -> None:
    enrolment.accounts.add("old")
    enrolment.end("old", NOW)
    with pytest.raises(AccountError, match="user restore old"):
        enrolment.add("old", NOW)


def test_only_who_is_there_can_be_ended_and_only_who_was_restored(enrolment: Enrolment) -> None:
    enrolment.add("kim", NOW)
    with pytest.raises(AccountError, match="Nobody"):
        enrolment.end("lee", NOW)
    with pytest.raises(AccountError, match="Nobody was ever"):
        enrolment.restore("lee", NOW, TODAY)
    with pytest.raises(AccountError, match="has not ended"):
        enrolment.restore("kim", NOW, TODAY)
    enrolment.end("kim", NOW)
    with pytest.raises(AccountError, match="Nobody with access"):
        enrolment.end("kim", NOW)


def test_restoring_drops_a_last_day_that_is_over(enrolment: Enrolment) -> None:
    enrolment.add("kim", NOW)
    enrolment.directory.save_people([Person("kim", expires=date(2026, 5, 3))])
    enrolment.restore("kim", NOW, TODAY)
    assert enrolment.directory.person("kim") == Person("kim")


def test_the_list_says_how_each_stands(enrolment: Enrolment) -> None:
    enrolment.add("kim", NOW, display_name="김민지", admin=True)
    enrolment.directory.set_memberships("kim", {"class:2026-a": "mentor"}, "operator")
    enrolment.directory.save_people([Person("lee", expires=date(2026, 5, 3)), Person("park")])
    enrolment.add("yun", NOW)
    enrolment.end("yun", NOW)
    lines = [describe(e, datetime.now(UTC), TODAY, 14, admin=False) for e in enrolment.everybody()]
    assert lines == [
        "kim\t김민지\tone-time password\tadmin, mentor of class:2026-a",
        "lee\t\texpired 2026-05-03\t",
        "park\t\tno password here\t",
        "yun\t\tended 2026-05-04 (removed)\t",
    ]
    kim = enrolment.everybody()[0]
    later = datetime.now(UTC) + timedelta(days=15)
    assert "too old" in describe(kim, later, TODAY, 14, admin=False)
    assert kim.account is not None
    own = replace(kim, account=replace(kim.account, one_time=False))
    assert "\town password\t" in describe(own, later, TODAY, 14, admin=False)
    trainee = Enrolled(
        Person("x"),
        None,
        tuple(Membership("class:a", "x", "trainee", s) for s in ("roster", "operator")),
    )
    assert describe(trainee, NOW, TODAY, 14, admin=True).endswith("admin, trainee of class:a")
