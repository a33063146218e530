"""Sign-in's counting of wrong passwords, with the database away in between."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from madang_hub.people import passwords
from madang_hub.people.accounts import Accounts
from madang_hub.people.authenticator import LocalAuthenticator, SignInRefused


@pytest.fixture
def authenticator(tmp_path: Path) -> LocalAuthenticator:
    return LocalAuthenticator(database_url=f"sqlite:///{tmp_path}/hub.sqlite")


async def test_tries_while_the_database_is_away_are_no_guesses(
    authenticator: LocalAuthenticator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts = Accounts(f"sqlite:///{tmp_path}/hub.sqlite")
    accounts.add("kim")
    accounts.change("kim", "마당에서 놀자 오늘")
    accounts.close()
    form = {"username": "kim", "password": "마당에서 놀자 오늘"}

    def away(*_: object) -> None:
        raise OperationalError("SELECT", {}, Exception("gone"))

    with monkeypatch.context() as outage:
        outage.setattr(Accounts, "check", away)
        for _ in range(2 * passwords.FREE_TRIES):
            with pytest.raises(OperationalError):
                await authenticator.authenticate(None, form)
    assert await authenticator.authenticate(None, form) == "kim"
    authenticator._accounts.close()


async def test_guessing_is_stopped_even_with_the_right_password(
    authenticator: LocalAuthenticator,
) -> None:
    for _ in range(passwords.FREE_TRIES):
        assert await authenticator.authenticate(None, {"username": "x", "password": "y"}) is None
    with pytest.raises(SignInRefused) as refused:
        await authenticator.authenticate(None, {"username": "x", "password": "y"})
    assert refused.value.status_code == 429
    authenticator._accounts.close()
