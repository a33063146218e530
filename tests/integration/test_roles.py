"""The directory decides: groups and roles at a running Hub, and that they end when it says so."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
import sqlalchemy as sa
from support.academy import PASSWORD, Academy, academy, server_token
from support.deployment import ROOT, Deployment, wait_for
from support.people import Person, visible

from madang_hub.people.directory import TeamRole
from madang_hub.places import Places
from madang_hub.settings import Settings

A, B = "class:2026-a", "class:2026-b"
TRAINEE_A: dict[str, TeamRole] = {A: "trainee"}
MENTOR_A: dict[str, TeamRole] = {A: "mentor"}


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    made = Deployment("embedded", tmp_path_factory.mktemp("roles") / "data")
    made.extra["MADANG_REFRESH_AGE"] = "1"
    with made.running():
        yield made


@pytest.fixture(scope="module")
def here(deployment: Deployment) -> Iterator[Academy]:
    with academy(deployment) as opened:
        yield opened


@pytest.fixture(scope="module")
def kim(here: Academy) -> Person:
    return here.comes("kim", TRAINEE_A)


@pytest.fixture(scope="module")
def other(here: Academy) -> Person:
    """A trainee of another class."""
    return here.comes("other", {B: "trainee"})


@pytest.fixture(scope="module")
def mina(here: Academy, kim: Person, other: Person) -> Person:
    """The mentor of kim's class."""
    return here.comes("mina", MENTOR_A)


@pytest.fixture(scope="module")
def fellow(here: Academy) -> Person:
    """Another mentor of kim's class."""
    return here.comes("fellow", MENTOR_A)


@pytest.fixture(scope="module")
def admin(here: Academy) -> Person:
    return here.admin()


def whom(person: Person) -> set[str]:
    """Whom ``person`` can list, besides oneself."""
    reply = person.api("GET", "/users")
    return {u["name"] for u in reply.json()} - {person.name} if reply.ok else set()


def me(person: Person) -> dict[str, Any]:
    found: dict[str, Any] = person.api("GET", "/user").json()
    return found


def status(person: Person, method: str, path: str, **kwargs: Any) -> int:
    return person.api(method, path, **kwargs).status_code


# ---- a mentor ------------------------------------------------------------------------------------


def test_a_mentor_lists_the_class_and_nobody_else(mina: Person, fellow: Person) -> None:
    assert whom(mina) == {"kim"}
    group = mina.api("GET", f"/groups/{A}").json()
    assert (group["name"], group["users"]) == (A, ["kim"])
    assert me(mina)["groups"] == [f"mentor:{A}"]


def test_a_mentor_starts_sees_and_stops_a_trainees_server(mina: Person, kim: Person) -> None:
    path = f"/users/{kim.name}/server"
    options = {"environment": "lab", "size": "small"}
    assert status(mina, "POST", path, json=options) in (201, 202)
    wait_for(lambda: kim.server_ready, "kim's server")
    seen = mina.api("GET", f"/users/{kim.name}").json()
    assert seen["servers"][""]["user_options"] == options
    assert seen["last_activity"]
    # started, but not entered: that takes a share
    page = mina.session.get(f"{mina.url}/user/{kim.name}/lab", timeout=60)
    assert page.status_code in (403, 404), page.status_code
    assert (
        mina.session.get(f"{mina.url}/user/{kim.name}/api/contents", timeout=60).status_code == 403
    )
    assert status(mina, "DELETE", path) in (202, 204)
    wait_for(lambda: not kim.model()["servers"], "kim's server to stop")


@pytest.mark.parametrize("name", ["other", "fellow", "operator"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("GET", "/server"),
        ("POST", "/server"),
        ("DELETE", "/server"),
        ("GET", "/tokens"),
    ],
)
def test_a_mentor_reaches_nobody_else(
    mina: Person, fellow: Person, admin: Person, name: str, method: str, path: str
) -> None:
    assert status(mina, method, f"/users/{name}{path}") in (403, 404)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/users/kim/tokens", {}),
        ("GET", "/users/kim/tokens", None),
        ("PATCH", "/users/kim", {"admin": True}),
        ("PATCH", "/users/mina", {"admin": True}),
        ("DELETE", "/users/kim", None),
        ("POST", f"/groups/{A}/users", {"users": ["other"]}),
        ("DELETE", f"/groups/{A}/users", {"users": ["kim"]}),
        ("POST", f"/groups/mentor:{B}/users", {"users": ["mina"]}),
        ("GET", f"/groups/{B}", None),
        ("GET", f"/groups/mentor:{A}", None),
        ("POST", "/shares/kim/", {"user": "mina"}),
        ("POST", "/share-codes/kim/", {}),
        ("POST", "/users/kim/activity", {"last_activity": "2020-01-01T00:00:00Z"}),
    ],
)
def test_a_mentor_changes_nothing_of_a_trainee(
    mina: Person, method: str, path: str, body: Any
) -> None:
    assert status(mina, method, path, json=body) in (403, 404)


def test_a_mentor_starts_only_what_the_trainee_may(mina: Person) -> None:
    refused = mina.api("POST", "/users/kim/server", json={"environment": "../x", "size": "small"})
    assert refused.status_code in (400, 403)


def test_a_mentors_own_token_has_no_more(mina: Person) -> None:
    made = mina.api("POST", f"/users/{mina.name}/tokens", json={"note": "test"})
    headers = {"Authorization": f"token {made.json()['token']}"}
    listed = requests.get(f"{mina.url}/hub/api/users", headers=headers, timeout=30).json()
    assert {u["name"] for u in listed} == {"kim", "mina"} or {u["name"] for u in listed} == {"kim"}
    for scopes in (["admin:users"], [f"list:users!group={B}"], ["access:servers!user=kim"]):
        refused = mina.api("POST", f"/users/{mina.name}/tokens", json={"scopes": scopes})
        assert refused.status_code in (400, 403), scopes


# ---- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["admin", "mentor.class.2026-a", "user", "server", "mentor"])
def test_a_name_gives_no_rights(here: Academy, mina: Person, name: str) -> None:
    person = here.comes(name)
    found = me(person)
    assert (found["admin"], found["groups"], found["roles"]) == (False, [], ["user"])
    assert whom(person) == set()
    assert status(person, "GET", "/info") == 403


# ---- changes take effect -------------------------------------------------------------------------


def test_a_mentor_who_is_removed_can_do_no_more(here: Academy, kim: Person) -> None:
    former = here.comes("former", {A: "mentor", B: "mentor"})
    assert "kim" in whom(former)
    here.place("former", {B: "mentor"})
    wait_for(lambda: "kim" not in whom(former), "the right over the class to end", 20)
    assert me(former)["groups"] == [f"mentor:{B}"]
    assert status(former, "GET", "/users/kim") == 404
    here.place("former", {})
    wait_for(lambda: me(former)["roles"] == ["user"], "the role to end", 20)
    assert status(former, "GET", "/users") == 403
    # and back
    here.place("former", MENTOR_A)
    wait_for(lambda: "kim" in whom(former), "the role to begin", 20)
    here.place("former", {})


def test_a_trainee_who_moves_is_of_the_new_class(here: Academy, mina: Person) -> None:
    moved = here.comes("moved", TRAINEE_A)
    assert "moved" in whom(mina)
    here.place("moved", {B: "trainee"})
    wait_for(lambda: me(moved)["groups"] == [B], "the new group", 20)
    assert "moved" not in whom(mina)


def test_an_admin_begins_and_ends(here: Academy, admin: Person) -> None:
    person = here.comes("deputy")
    found = here.directory.person("deputy")
    assert found is not None
    here.directory.save_people([type(found)("deputy", admin=True)])
    wait_for(lambda: status(person, "GET", "/info") == 200, "the rights to begin", 20)
    assert set(me(person)["roles"]) == {
        "user",
        "admin",
        "tracking-admin",
        "accelerator-admin",
        "dashboard-admin",
        "dashboard-author",
    }
    here.directory.save_people([type(found)("deputy")])
    wait_for(lambda: status(person, "GET", "/info") == 403, "the rights to end", 20)
    # what somebody sets at the Hub itself is set back
    assert status(admin, "PATCH", "/users/deputy", json={"admin": True}) == 200
    wait_for(lambda: me(person)["admin"] is False, "the flag to be set back", 20)


def test_who_has_no_access_any_more_is_out(here: Academy) -> None:
    leaver = here.comes("leaver", TRAINEE_A)
    token = leaver.api("POST", "/users/leaver/tokens", json={"note": "test"}).json()["token"]

    def by_token() -> int:
        headers = {"Authorization": f"token {token}"}
        return requests.get(f"{leaver.url}/hub/api/user", headers=headers, timeout=30).status_code

    assert by_token() == 200
    here.directory.end("leaver", "expired", datetime.now(UTC))
    wait_for(lambda: by_token() == 403, "the token to end", 20)
    wait_for(lambda: status(leaver, "GET", "/user") == 403, "the session to end", 20)
    home = leaver.session.get(f"{leaver.url}/hub/home", timeout=30, allow_redirects=False)
    assert home.is_redirect
    assert "/hub/login" in home.headers["Location"]
    again = Person(here.deployment, "leaver", PASSWORD, language="en")
    assert "Your access has ended" in visible(again.sign_in().text)
    assert not again.signed_in


def test_removed_on_the_command_line(here: Academy, deployment: Deployment) -> None:
    output = deployment.madang("user", "add", "minji", "--name", "김민지", "--email", "m@firm.kr")
    minji = Person(deployment, "minji", language="en")
    minji.join(deployment.one_time_password(output))
    assert "minji\t김민지\town password\t" in deployment.madang("user", "list")
    deployment.madang("user", "remove", "minji")
    assert status(minji, "GET", "/user") == 403
    refused = deployment.madang("user", "add", "minji", check=False)
    assert "user restore minji" in refused
    restored = deployment.madang("user", "restore", "minji")
    Person(deployment, "minji").join(deployment.one_time_password(restored))
    assert [e.action for e in here.enrolment.audit.read(about="minji", action="account.")] == [
        "account.password-chosen",
        "account.restored",
        "account.ended",
        "account.password-chosen",
        "account.added",
    ]


# ---- what must go on -----------------------------------------------------------------------------


def test_a_servers_own_token_works_beyond_the_refresh(kim: Person) -> None:
    kim.start(environment="lab", size="small")
    headers = {"Authorization": f"token {server_token(kim)}"}
    url = f"{kim.url}/hub/api"

    def reports() -> int:
        body = {"servers": {"": {"last_activity": datetime.now(UTC).isoformat()}}}
        return requests.post(
            f"{url}/users/kim/activity", json=body, headers=headers, timeout=30
        ).status_code

    first = requests.get(f"{url}/user", headers=headers, timeout=30).json()["scopes"]
    # longer than the time after which the directory is read again
    began = datetime.now(UTC)
    wait_for(lambda: (datetime.now(UTC) - began).total_seconds() > 2, "two seconds")
    assert reports() == 200
    assert requests.get(f"{url}/user", headers=headers, timeout=30).json()["scopes"] == first
    assert requests.get(f"{url}/users", headers=headers, timeout=30).status_code == 403
    kim.stop()


def test_rights_outlive_a_restart_and_dead_roles_do_not(
    here: Academy, deployment: Deployment, mina: Person, fellow: Person, admin: Person
) -> None:
    gone = here.comes("gone", {"class:old": "mentor"})
    here.place("gone", {})  # and never seen again: the Hub still has the role
    assert "mentor.class.old" in _roles(deployment)
    here.place("fellow", {"team:firm-": "mentor"})  # a name that no role's name may end with
    deployment.down()
    deployment.up()
    assert "mentor.class.old" not in _roles(deployment)
    assert me(gone)["roles"] == ["user"]
    assert "kim" in whom(mina)
    assert set(me(fellow)["roles"]) == {"user", "mentor.team.firm-~0", "dashboard-author"}
    assert status(admin, "GET", "/info") == 200


def _roles(deployment: Deployment) -> set[str]:
    places = Places(Settings.load(ROOT, deployment.environ), "embedded")
    engine = sa.create_engine(places.database_url("hub"))
    try:
        with engine.connect() as db:
            return set(db.execute(sa.text("SELECT name FROM roles")).scalars())
    finally:
        engine.dispose()


def test_a_trainee_who_moves_and_stays_away_leaves_the_old_mentors_hands(
    here: Academy, mina: Person
) -> None:
    here.comes("away", TRAINEE_A)
    wait_for(lambda: "away" in whom(mina), "the mentor to see the newcomer")
    here.place("away", {B: "trainee"})
    # not a request of the trainee's own: those would renew the groups
    wait_for(lambda: "away" not in whom(mina), "the people service to see to it", 60)
    assert mina.api("POST", "/users/away/server", json={}).status_code in (403, 404)
