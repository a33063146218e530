"""Local accounts on a real database file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from madang_hub.people.accounts import AccountError, Accounts, unusable


@pytest.fixture
def accounts(tmp_path: Path) -> Iterator[Accounts]:
    table = Accounts(f"sqlite:///{tmp_path}/hub.sqlite")
    yield table
    table.close()


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
    "name", ["", "../x", "a/b", "Kim", "김민지", "-kim", ".kim", "a" * 61, "a b"]
)
def test_names_that_cannot_be_user_names(accounts: Accounts, name: str) -> None:
    assert unusable(name)
    with pytest.raises(AccountError, match="cannot be a user name"):
        accounts.add(name)
