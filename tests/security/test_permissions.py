"""For each kind of person and each route of the Hub: allowed or refused. And nothing that is not written down.

The person that the routes are about is a trainee of ``class:2026-a`` with a running server (``self``). Routes
of the people service have a table of their own (test_people_routes.py).
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
import sqlalchemy as sa
from security.test_routes import METHODS, SAMPLES, patterns
from support.academy import academy, server_token
from support.deployment import ROOT, Deployment, wait_for
from support.people import Person

from madang_hub import permissions
from madang_hub.places import Places
from madang_hub.settings import Settings

STRANGER = {"stranger"}
SIGNED_IN = {"trainee", "member", "mentor", "other mentor", "admin", "self"}
"""In a browser. ``trainee`` is of the same class, ``mentor`` of that class, ``other mentor`` of another."""
SERVER = {"server"}
"""A program in the running server, with its token."""
EVERYBODY = STRANGER | SIGNED_IN | SERVER
NOBODY: set[str] = set()
ADMIN = {"admin"}
OWN = {"self", "admin"}
CLASS = {"self", "mentor", "admin"}

TABLE: dict[str, dict[str, set[str]]] = {
    # ---- pages
    r"": {"GET": EVERYBODY},
    r"/": {"GET": SIGNED_IN},
    r"/accept-share": {"GET": SIGNED_IN, "POST": SIGNED_IN},
    r"/admin": {"GET": ADMIN},
    r"/error/(\d+)": {"GET": EVERYBODY},
    r"/health$": {"GET": EVERYBODY},
    r"/home": {"GET": SIGNED_IN},
    r"/login": {"GET": EVERYBODY, "POST": NOBODY},  # with a wrong password
    r"/logo": {"GET": EVERYBODY},
    r"/logout": {"GET": EVERYBODY},
    r"/metrics$": {"GET": ADMIN},
    r"/security/csp-report": {"POST": SIGNED_IN},
    r"/spawn": {"GET": SIGNED_IN, "POST": SIGNED_IN},
    r"/spawn/([^/]+)": {"GET": OWN, "POST": OWN},
    r"/spawn/([^/]+)/([^/]+)": {
        "GET": NOBODY,
        "POST": NOBODY,
    },  # only dashboards have servers with names
    r"/spawn-pending/([^/]+)": {"GET": OWN},
    r"/spawn-pending/([^/]+)/([^/]+)": {"GET": NOBODY},  # there are no named servers
    r"/static/(.*)": {"GET": EVERYBODY},
    r"/token": {"GET": SIGNED_IN},
    r"/user-redirect/(.*)?": {"GET": SIGNED_IN},
    # on the way to the server; a mentor gets there by a share only
    r"/user/(?P<user_name>[^/]+)(?P<user_path>/.*)?": {"GET": OWN | SERVER},
    # ---- the API: people and servers
    r"/api/user": {"GET": SIGNED_IN | SERVER},
    r"/api/users": {"GET": {"mentor", "other mentor", "admin"}, "POST": ADMIN},
    r"/api/users/([^/]+)": {
        "GET": CLASS | SERVER,
        "POST": ADMIN,
        "PATCH": ADMIN,
        "DELETE": ADMIN,
    },
    r"/api/users/([^/]+)/activity": {"POST": OWN | SERVER},
    r"/api/users/([^/]+)/admin-access": {"POST": NOBODY},
    r"/api/users/([^/]+)/server": dict.fromkeys(METHODS, CLASS),
    r"/api/users/([^/]+)/server/progress": {"GET": CLASS},
    r"/api/users/([^/]+)/servers/([^/]*)": {
        **dict.fromkeys(METHODS, CLASS),
        "POST": NOBODY,
        "PUT": NOBODY,
    },
    r"/api/users/([^/]+)/servers/([^/]*)/progress": {"GET": CLASS},
    r"/api/users/([^/]+)/shared": {"GET": OWN},
    r"/api/users/([^/]+)/shared/([^/]+)/([^/]*)": {"GET": OWN, "DELETE": OWN},
    r"/api/users/([^/]+)/tokens": {"GET": OWN, "POST": OWN},
    r"/api/users/([^/]+)/tokens/([^/]*)": {"GET": OWN, "DELETE": OWN},
    # a share is given by the people service, for a stated time, or by an admin
    r"/api/shares/([^/]+)": {"GET": OWN},
    r"/api/shares/([^/]+)/([^/]*)": {"GET": OWN, "POST": ADMIN, "PATCH": ADMIN, "DELETE": ADMIN},
    r"/api/share-codes/([^/]+)": {"GET": OWN},
    r"/api/share-codes/([^/]+)/([^/]*)": {"GET": OWN, "POST": ADMIN, "DELETE": ADMIN},
    # ---- the API: groups
    r"/api/groups": {"GET": ADMIN, "POST": ADMIN},
    r"/api/groups/([^/]+)": {"GET": {"mentor", "admin"}, "POST": ADMIN, "DELETE": ADMIN},
    r"/api/groups/([^/]+)/properties": {"PUT": ADMIN},
    r"/api/groups/([^/]+)/shared": {"GET": ADMIN},
    r"/api/groups/([^/]+)/shared/([^/]+)/([^/]*)": {"GET": ADMIN, "DELETE": ADMIN},
    r"/api/groups/([^/]+)/users": {"POST": ADMIN, "DELETE": ADMIN},
    # ---- the API: the Hub itself
    r"/api/?": {"GET": EVERYBODY},
    r"/api/health$": {"GET": EVERYBODY},
    r"/api/info": {"GET": ADMIN},
    r"/api/metrics$": {"GET": ADMIN},
    r"/api/oauth2/authorize": {"GET": SIGNED_IN, "POST": SIGNED_IN},
    r"/api/oauth2/token": {"POST": EVERYBODY},  # who asks shows a service's secret and a code
    r"/api/proxy": {"GET": ADMIN, "POST": ADMIN, "PATCH": ADMIN},
    r"/api/services": {"GET": ADMIN},
    # those of the configuration cannot be removed
    r"/api/services/([^/]+)": {"GET": ADMIN, "POST": ADMIN, "DELETE": NOBODY},
    r"/api/shutdown": {"POST": ADMIN},
    # removed from JupyterHub long ago, see GONE
    r"/api/authorizations/cookie/([^/]+)(?:/([^/]+))?": {},
    r"/api/authorizations/token": {},
    r"/api/authorizations/token/([^/]+)": {},
}
"""Who gets past the permission; every other kind of person and every other method is refused."""

GONE = {pattern for pattern in TABLE if "authorizations" in pattern}
"""These say 404, or fail with 500 before they do anything (JupyterHub 6.1)."""
DESTRUCTIVE = [
    (r"/api/users/([^/]+)/server", "DELETE"),
    (r"/api/groups/([^/]+)", "DELETE"),
    (r"/api/users/([^/]+)", "DELETE"),
    (r"/logout", "GET"),
]
"""Asked at the end, in this order: what comes before needs what they take away."""


def example(pattern: str) -> str:
    """A path of ``pattern`` about the trainee."""
    if pattern == r"/api/services/([^/]+)":
        return "/api/services/mlflow"
    path = SAMPLES.get(pattern)
    if path is not None:
        return path.replace("/operator/", "/kim/")
    path = re.sub(r"(users|spawn|spawn-pending)/\(\[\^/\]\+\)", r"\1/kim", pattern)
    path = re.sub(r"(shares|share-codes)/\(\[\^/\]\+\)", r"\1/kim", path)
    path = re.sub(r"(shares|share-codes)/kim/\(\[\^/\]\*\)", r"\1/kim/", path)
    path = re.sub(r"groups/\(\[\^/\]\+\)", "groups/class:2026-a", path)
    return re.sub(r"\([^)]*\)", "1", path).rstrip("$")


def refused(reply: requests.Response) -> bool:
    """Whether somebody was kept out.

    The API's own 404 for what does not exist is not a refusal: its permission was passed.
    """
    if reply.is_redirect:
        return "/hub/login?next=" in reply.headers["Location"]
    if reply.status_code == 404 and reply.headers["Content-Type"].startswith("application/json"):
        return "No access to resources" in str(reply.json().get("message"))
    # 424: the Hub's answer for a server's address that is not asked by GET
    return reply.status_code in (401, 403, 404, 405, 424)


Ask = Callable[[str, str], requests.Response]


@dataclass
class Survey:
    """What came of each (pattern, method, kind of person): whether refused, and status for messages."""

    found: dict[tuple[str, str, str], tuple[bool, int]]
    roles: dict[str, set[str]]
    server_scopes: set[str]
    clients: dict[str, set[str]]


def _body(method: str, path: str) -> dict[str, Any]:
    """What is sent: nothing that could be done, so that it fails after the permission."""
    if method == "GET":
        return {}
    if not path.startswith("/api"):
        ghost = f"ghost{secrets.token_hex(4)}"
        return {"data": {"username": ghost, "password": "wrong", "nothing of ours": "1"}}
    if path.endswith("/server") and method == "POST":
        return {"json": {"nothing of ours": 1}}
    return {"json": {"proxy": "?"} if "shutdown" in path else {}}


def asks(person: Person) -> Ask:
    """In the browser of ``person``."""

    def ask(method: str, path: str) -> requests.Response:
        return person.session.request(
            method,
            f"{person.url}/hub{path}",
            headers={
                "X-XSRFToken": person.xsrf,
                "Sec-Fetch-Mode": "cors" if path.startswith("/api") else "navigate",
                "Referer": f"{person.url}/hub/home",
            },
            allow_redirects=False,
            timeout=60,
            stream=True,  # progress goes on and on
            **_body(method, path),
        )

    return ask


def asks_with(deployment: Deployment, **headers: str) -> Ask:
    """As a program does, with these headers."""

    def ask(method: str, path: str) -> requests.Response:
        return requests.request(
            method,
            f"{deployment.url}/hub{path}",
            headers={"Accept": "application/json", **headers},
            allow_redirects=False,
            timeout=60,
            stream=True,
            **_body(method, path),
        )

    return ask


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Survey]:
    """Everybody asks for everything."""
    deployment = Deployment("embedded", tmp_path_factory.mktemp("permissions") / "data")
    try:
        deployment.up()
        with academy(deployment) as here:
            kim = here.comes("kim", {"class:2026-a": "trainee"})
            people = {
                "self": kim,
                "trainee": here.comes("lee", {"class:2026-a": "trainee"}),
                "member": here.comes("choi", {"team:firm": "member"}),
                "mentor": here.comes("mina", {"class:2026-a": "mentor"}),
                "other mentor": here.comes("park", {"class:2026-b": "mentor"}),
                "admin": here.admin(),
            }
        kim.start(environment="lab", size="small")
        token = server_token(kim)
        for person in people.values():
            person.session.get(f"{person.url}/hub/home", timeout=30)
        everybody = {kind: asks(person) for kind, person in people.items()}
        everybody["stranger"] = asks_with(deployment)
        everybody["server"] = asks_with(deployment, Authorization=f"token {token}")
        reply = everybody["server"]("GET", "/api/user")
        scopes = set(reply.json()["scopes"])

        found: dict[tuple[str, str, str], tuple[bool, int]] = {}
        rows = [(p, m) for p in patterns() for m in METHODS if (p, m) not in DESTRUCTIVE]
        for pattern, method in [*rows, *DESTRUCTIVE]:
            expected = TABLE.get(pattern, {}).get(method)
            # refused ones first: those that are allowed may change something
            kinds = sorted(everybody, key=lambda kind: kind in (expected or ()))
            for kind in kinds if expected is not None else ("stranger", "server", "self", "admin"):
                with everybody[kind](method, example(pattern)) as reply:
                    found[pattern, method, kind] = (refused(reply), reply.status_code)
                if method == "DELETE" and pattern.endswith("/server") and reply.status_code < 300:
                    wait_for(
                        lambda: not people["admin"].api("GET", "/users/kim").json()["servers"], ""
                    )
        yield Survey(found, _roles(deployment), scopes, _clients(deployment))
    finally:
        deployment.remove()


def _roles(deployment: Deployment) -> dict[str, set[str]]:
    """The roles of the running Hub with their scopes, from its own table."""
    return _scopes(deployment, "SELECT name, scopes FROM roles")


def _clients(deployment: Deployment) -> dict[str, set[str]]:
    """What each service may ask for in the name of its visitors, from the running Hub's own table."""
    rows = _scopes(deployment, "SELECT identifier, allowed_scopes FROM oauth_clients")
    return {
        name.removeprefix("service-"): scopes
        for name, scopes in rows.items()
        if name.startswith("service-")
    }


def _scopes(deployment: Deployment, query: str) -> dict[str, set[str]]:
    places = Places(Settings.load(ROOT, deployment.environ), "embedded")
    engine = sa.create_engine(places.database_url("hub"))
    try:
        with engine.connect() as db:
            rows = db.execute(sa.text(query)).all()
    finally:
        engine.dispose()
    return {name: set(json.loads(scopes or "[]")) for name, scopes in rows}


def test_the_table_is_complete() -> None:
    """A new route of JupyterHub fails here until somebody decides who may use it."""
    assert sorted(TABLE) == patterns()
    assert all(set(row) <= set(METHODS) for row in TABLE.values())


@pytest.mark.parametrize("pattern", sorted(set(patterns()) & set(TABLE)))
def test_who_gets_past(survey: Survey, pattern: str) -> None:
    wrong = []
    for (asked, method, kind), (was_refused, status) in survey.found.items():
        if asked != pattern:
            continue
        if pattern in GONE:
            if status not in (403, 404, 405, 500):
                wrong.append(f"{method} by {kind}: {status} of a route that is gone")
        elif was_refused != (kind not in TABLE[pattern].get(method, NOBODY)):
            wrong.append(
                f"{method} by {kind}: {'refused' if was_refused else 'allowed'} ({status})"
            )
        elif status >= 500:
            wrong.append(f"{method} by {kind}: {status}")
    assert not wrong, "\n".join(wrong)


def test_every_kind_of_person_was_asked(survey: Survey) -> None:
    for pattern, row in TABLE.items():
        for method in row:
            assert {k for p, m, k in survey.found if (p, m) == (pattern, method)} == EVERYBODY


def test_every_scope_of_the_running_hub_is_written_down(survey: Survey) -> None:
    expected = {
        "user": set(permissions.USER_SCOPES),
        "admin": set(permissions.ADMIN_SCOPES),
        permissions.TRACKING_ADMIN_ROLE: set(permissions.TRACKING_ADMIN_SCOPES),
        permissions.ACCELERATOR_ADMIN_ROLE: set(permissions.ACCELERATOR_ADMIN_SCOPES),
        permissions.DASHBOARD_ADMIN_ROLE: set(permissions.DASHBOARD_ADMIN_SCOPES),
        permissions.DASHBOARD_AUTHOR_ROLE: set(permissions.DASHBOARD_AUTHOR_SCOPES),
        **{name: set(scopes) for name, scopes in permissions.SERVICE_SCOPES.items()},
        "mentor.class.2026-a": {f"{s}!group=class:2026-a" for s in permissions.MENTOR_SCOPES},
        "mentor.class.2026-b": {f"{s}!group=class:2026-b" for s in permissions.MENTOR_SCOPES},
    }
    assert {n: s for n, s in survey.roles.items() if n not in permissions.HUB_ROLES} == expected
    assert set(permissions.HUB_ROLES) <= set(survey.roles)


def test_what_services_may_do_for_their_visitors_is_written_down(survey: Survey) -> None:
    expected = {name: set(scopes) for name, scopes in permissions.ON_BEHALF_SCOPES.items()}
    # JupyterHub lets every service know that the visitor may enter it
    found = {n: s - {f"access:services!service={n}"} for n, s in survey.clients.items()}
    assert {name: scopes for name, scopes in found.items() if scopes} == expected


def test_a_servers_token_has_what_is_written_down(survey: Survey) -> None:
    # JupyterHub says it in full: each with its owner, with what it implies, and with what /api/user
    # itself tells the bearer about the owner
    implied = {f"read:users:{what}!user=kim" for what in ("activity", "name", "groups")}
    said = {s.replace("!user=kim", "!user") for s in survey.server_scopes - implied}
    said = {s.replace("!server=kim/", "!server") for s in said}
    # the Hub gives a token what its owner has: a trainee may not publish
    assert said == set(permissions.SERVER_TOKEN_SCOPES) - set(permissions.DASHBOARD_AUTHOR_SCOPES)
