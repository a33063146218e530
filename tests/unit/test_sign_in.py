"""Sign-in with a local account: counting wrong passwords, and what the directory says about who comes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from support.accounts import with_one_password
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine

from madang_hub import permissions
from madang_hub.people import passwords
from madang_hub.people.accounts import Account, AccountError, Accounts
from madang_hub.people.authenticator import LocalAuthenticator, NewPasswordNeeded, SignInRefused
from madang_hub.people.directory import Directory, Person

OWN = "마당에서 놀자 오늘"


@pytest.fixture(autouse=True)
def _cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a hash costs is of no interest here."""
    monkeypatch.setattr(passwords, "_N", 2**4)
    passwords.nobody.cache_clear()


@pytest.fixture
def authenticator(tmp_path: Path) -> Iterator[LocalAuthenticator]:
    made = LocalAuthenticator(database_url=f"sqlite:///{tmp_path}/hub.sqlite")
    yield made
    made.close()


@pytest.fixture
def kim(authenticator: LocalAuthenticator) -> dict[str, str]:
    """The form that kim, who has a password of her own, fills in."""
    return newcomer(authenticator, "kim")


def newcomer(authenticator: LocalAuthenticator, name: str) -> dict[str, str]:
    authenticator.accounts.add(name)
    authenticator.accounts.change(name, OWN)
    return {"username": name, "password": OWN}


def visitor(address: str, **headers: str) -> Any:
    """A request that the proxy passed on for ``address``."""
    context = SimpleNamespace(remote_ip="127.0.0.1", protocol="http")
    request = HTTPServerRequest(
        headers=HTTPHeaders(
            {"X-Forwarded-For": address, "Accept-Language": "en", "Host": "localhost", **headers}
        ),
        start_line=RequestStartLine("POST", "/hub/login", "HTTP/1.1"),
        connection=SimpleNamespace(context=context),  # type: ignore[arg-type]  # all of one that is read
    )
    return SimpleNamespace(request=request, settings={})


# ---- guessing ------------------------------------------------------------------------------------


async def test_tries_while_the_database_is_away_are_no_guesses(
    authenticator: LocalAuthenticator, kim: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise OperationalError("SELECT", {}, Exception("gone"))

    with monkeypatch.context() as outage:
        outage.setattr(Accounts, "check", away)
        for _ in range(2 * passwords.ADDRESS_TRIES):
            with pytest.raises(OperationalError):
                await authenticator.authenticate(None, kim)
    assert await authenticator.authenticate(None, kim)


async def test_guessing_is_stopped_even_with_the_right_password(
    authenticator: LocalAuthenticator, kim: dict[str, str]
) -> None:
    for _ in range(passwords.FREE_TRIES):
        assert await authenticator.authenticate(None, {**kim, "password": "y"}) is None
    with pytest.raises(SignInRefused) as refused:
        await authenticator.authenticate(None, kim)
    assert refused.value.status_code == 429


async def spray(authenticator: LocalAuthenticator, who: Any, count: int) -> list[object]:
    """Try one password on ``count`` names at the same time; what came of each."""
    forms = [{"username": f"n{i}", "password": "마당마당마당1"} for i in range(count)]
    tries = [authenticator.authenticate(who, form) for form in forms]
    return list(await asyncio.gather(*tries, return_exceptions=True))


async def test_one_address_cannot_try_many_names(
    authenticator: LocalAuthenticator, kim: dict[str, str]
) -> None:
    attacker = visitor("203.0.113.9")
    found = await spray(authenticator, attacker, passwords.ADDRESS_TRIES + 50)
    # those that were being checked already when the limit was reached
    assert 0 <= found.count(None) - passwords.ADDRESS_TRIES <= 8
    refused = [f for f in found if isinstance(f, SignInRefused)]
    assert len(refused) + found.count(None) == len(found)
    assert {r.status_code for r in refused} == {429}
    assert "from your network" in refused[0].get_message()
    # neither with a right password nor by claiming another address
    for who in (
        attacker,
        visitor("1.2.3.4, 203.0.113.9"),
        visitor("203.0.113.9", **{"X-Real-Ip": "1.2.3.4"}),
    ):
        with pytest.raises(SignInRefused):
            await authenticator.authenticate(who, kim)
    # others are not concerned
    assert await authenticator.authenticate(visitor("203.0.113.10"), kim)


async def test_who_was_there_before_does_not_wait_for_a_neighbour(
    authenticator: LocalAuthenticator, kim: dict[str, str]
) -> None:
    school = visitor("203.0.113.9")
    assert await authenticator.authenticate(school, kim)
    await spray(authenticator, school, passwords.ADDRESS_TRIES)
    assert await authenticator.authenticate(school, kim)
    # but guessing at that name is stopped as ever
    for _ in range(passwords.FREE_TRIES):
        assert await authenticator.authenticate(school, {**kim, "password": "y"}) is None
    with pytest.raises(SignInRefused):
        await authenticator.authenticate(school, kim)


async def test_a_class_behind_one_address_comes_in_with_typing_errors(
    authenticator: LocalAuthenticator,
) -> None:
    school = visitor("203.0.113.9")
    forms = [newcomer(authenticator, f"trainee{i}") for i in range(40)]

    async def one(form: dict[str, str]) -> object:
        for _ in range(2):
            assert await authenticator.authenticate(school, {**form, "password": "typo"}) is None
        return await authenticator.authenticate(school, form)

    assert all(await asyncio.gather(*map(one, forms)))


async def test_right_passwords_have_no_limit(
    authenticator: LocalAuthenticator, kim: dict[str, str]
) -> None:
    others = [f"t{i}" for i in range(2 * passwords.ADDRESS_TRIES)]
    with_one_password(authenticator.database, others, kim["password"])
    school = visitor("203.0.113.9")
    tries = [authenticator.authenticate(school, {**kim, "username": n}) for n in others]
    assert all(await asyncio.gather(*tries))


# ---- one-time passwords --------------------------------------------------------------------------


async def test_a_one_time_password_is_replaced(authenticator: LocalAuthenticator) -> None:
    form = {"username": "lee", "password": authenticator.accounts.add("lee")}
    with pytest.raises(NewPasswordNeeded):
        await authenticator.authenticate(None, form)
    new = {"new_password": OWN, "new_password_again": OWN}
    assert await authenticator.authenticate(None, {**form, **new})
    assert await authenticator.authenticate(None, form) is None
    assert [e.action for e in authenticator.audit.read(about="lee")] == ["account.password-chosen"]


@pytest.mark.parametrize(("age", "works"), [(13.9, True), (14.1, False)])
async def test_a_one_time_password_grows_old(
    authenticator: LocalAuthenticator, monkeypatch: pytest.MonkeyPatch, age: float, works: bool
) -> None:
    changed = datetime.now(UTC) - timedelta(days=age)
    monkeypatch.setattr(Accounts, "check", lambda *_: Account("lee", True, changed))
    authenticator.directory.save_people([Person("lee")])
    with pytest.raises(SignInRefused) as refused:
        await authenticator.authenticate(visitor("::1"), {"username": "lee", "password": "x"})
    assert isinstance(refused.value, NewPasswordNeeded) == works
    if not works:
        assert "more than 14 days old" in refused.value.get_message()


# ---- the directory -------------------------------------------------------------------------------


async def test_the_directory_gives_groups_and_roles(
    authenticator: LocalAuthenticator, kim: dict[str, str]
) -> None:
    model = await authenticator.authenticate(None, kim)
    assert model is not None
    assert (model["groups"], model["admin"]) == ([], False)
    assert [r["name"] for r in model["roles"]] == ["user"]
    # an account that is older than the directory has its person now
    assert authenticator.directory.person("kim") == Person("kim")
    authenticator.directory.set_memberships("kim", {"class:a": "mentor"}, "operator")
    renewed = await authenticator.refresh_user(SimpleNamespace(name="kim"))
    assert isinstance(renewed, dict)
    assert renewed["groups"] == ["mentor:class:a"]
    assert [r["name"] for r in renewed["roles"]] == [
        "user",
        permissions.DASHBOARD_AUTHOR_ROLE,
        "mentor.class.a",
    ]
    assert [r["name"] for r in await authenticator.load_managed_roles()] == [
        permissions.DASHBOARD_ACCOUNT_ROLE,
        "mentor.class.a",
    ]


async def test_people_are_called_by_the_name_that_the_directory_has(
    authenticator: LocalAuthenticator, kim: dict[str, str]
) -> None:
    authenticator.directory.save_people([Person("kim", "김민지")])
    model = await authenticator.authenticate(None, kim)
    assert model is not None
    assert model["user_info"] == {"name": "김민지", "display_name": "김민지"}
    authenticator.directory.save_people([Person("kim")])
    again = await authenticator.refreshed("kim")
    assert again is not None
    assert again["user_info"] == {}


async def test_admins_are_marked_in_the_directory_or_named_in_the_settings(
    authenticator: LocalAuthenticator, kim: dict[str, str]
) -> None:
    lee = newcomer(authenticator, "lee")
    authenticator.directory.save_people([Person("kim", admin=True)])
    authenticator.admin_users = {"lee"}
    for form in (kim, lee, newcomer(authenticator, "admin")):
        model = await authenticator.authenticate(None, form)
        assert model is not None
        assert model["admin"] == (form["username"] != "admin")
        assert ("admin" in [r["name"] for r in model["roles"]]) == model["admin"]


@pytest.mark.parametrize(
    "person",
    [
        Person("kim", ended=datetime(2026, 1, 1, tzinfo=UTC)),
        Person("kim", expires=date(2026, 1, 1)),
    ],
)
async def test_who_has_no_access_any_more_is_refused(
    authenticator: LocalAuthenticator, kim: dict[str, str], person: Person
) -> None:
    authenticator.directory.save_people([person])
    with pytest.raises(SignInRefused) as refused:
        await authenticator.authenticate(visitor("203.0.113.9"), kim)
    assert "Your access has ended" in refused.value.get_message()
    assert await authenticator.refresh_user(SimpleNamespace(name="kim")) is False
    # and with a wrong password nobody learns that
    assert await authenticator.authenticate(None, {**kim, "password": "y"}) is None


async def test_nobody_is_no_user(authenticator: LocalAuthenticator) -> None:
    assert await authenticator.refresh_user(SimpleNamespace(name="ghost")) is False


async def test_a_database_that_is_away_is_no_end_of_access(
    authenticator: LocalAuthenticator, kim: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise OperationalError("SELECT", {}, Exception("gone"))

    monkeypatch.setattr(Directory, "person", away)
    with pytest.raises(OperationalError):
        await authenticator.refresh_user(SimpleNamespace(name="kim"))
    with pytest.raises(OperationalError):
        await authenticator.authenticate(None, kim)


async def test_nobody_is_the_account_of_apps(authenticator: LocalAuthenticator) -> None:
    """Also where a person had its name before; the Hub may go on with it, as it starts apps in its name."""
    authenticator.directory.save_people([Person("dashboards", admin=True)])
    assert authenticator.model_of("dashboards") is None
    with pytest.raises(SignInRefused):
        await authenticator.admitted(None, "dashboards")
    assert await authenticator.refresh_user(SimpleNamespace(name="dashboards")) is True
    with pytest.raises(AccountError):
        authenticator.accounts.add("dashboards")
