"""For each kind of person and each route of the people service: allowed or refused; the table is complete."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests
from support.classroom import PREFIX, Classroom, classroom, database, now
from support.deployment import ROOT, Deployment
from support.proposals import proposal

from madang_hub.catalog import Catalog
from madang_hub.people.announcements import Announcements, announcement
from madang_hub.people.directory import Directory, TeamRole
from madang_hub.people.directory import Person as Record
from madang_hub.people.service.app import CLASS as CLASS_NAME
from madang_hub.people.service.app import ROUTES, TEAM
from madang_hub.people.service.contents import FILE, NAME, RELEASE
from madang_hub.people.service.process import PUBLIC
from madang_hub.shelf.proposal_store import Proposals

CLASS = "class:routes-a"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
STRANGER, TOKEN = {"stranger"}, {"server"}
SIGNED_IN = {"trainee", "mentor", "other mentor", "admin"}
"""In a browser: ``trainee`` and ``mentor`` are of one class, ``other mentor`` is of another."""
EVERYBODY = STRANGER | TOKEN | SIGNED_IN
MENTORS = {"mentor", "admin"}
ANY_MENTOR = {"mentor", "other mentor", "admin"}
NOBODY: set[str] = set()

TABLE: dict[str, dict[str, set[str]]] = {
    "health": {"GET": EVERYBODY},
    "oauth_callback": {"GET": NOBODY},  # without a sign-in that was begun here
    "": {"GET": SIGNED_IN},
    "session": {"GET": SIGNED_IN},
    rf"class/{TEAM}": {"GET": MENTORS},
    # the tracking server decides by the visitor's own rights, and an admin has none there
    rf"class/{CLASS_NAME}/runs": {"GET": {"mentor"}},
    "admin": {"GET": {"admin"}},
    "import": {"GET": ANY_MENTOR},
    # of an environment that is open to everybody
    rf"environment/{NAME}": {"GET": SIGNED_IN},
    rf"environment/{NAME}/{RELEASE}": {"GET": SIGNED_IN},
    rf"environment/{NAME}/{RELEASE}/{FILE}": {"GET": SIGNED_IN},
    "proposals": {"GET": ANY_MENTOR},
    "proposals/([0-9]{1,9})": {"GET": MENTORS},  # of its team
    "api/me": {"GET": SIGNED_IN | TOKEN},
    "api/me/extend": {"POST": SIGNED_IN | TOKEN},
    "api/me/busy": {"POST": SIGNED_IN | TOKEN},
    # whether this trainee is one of the own class; an admin who is no mentor of it is not enough
    "api/look-ins": {"POST": {"mentor"}},
    "api/look-ins/([0-9]{1,9})/end": {"POST": NOBODY},  # of a look-in that there is not
    rf"api/class/{TEAM}": {"GET": MENTORS},
    rf"api/class/{TEAM}/start": {"POST": MENTORS},
    rf"api/class/{TEAM}/stop": {"POST": MENTORS},
    "api/import": {"POST": MENTORS},
    # an admin reviews; only the mentors of a team propose for it
    "api/proposals": {"POST": {"mentor"}},
    "api/proposals/([0-9]{1,9})/(approve|reject|withdraw)": {
        "POST": MENTORS
    },  # asked for: withdraw
    "api/announcements": {"POST": MENTORS},
    "api/announcements/([0-9]{1,9})": {"DELETE": MENTORS},
}
"""Who is let in by which method; every other method, and everybody else, is refused."""

BODIES: dict[str, dict[str, Any]] = {
    # whoever lets the sender in refuses each for what it says, or because no server runs (400, 409)
    "api/me/extend": {"server": "no-such"},
    "api/me/busy": {"busy": "x"},
    "api/look-ins": {"trainee": "pr-trainee", "reason": "x", "minutes": 15},
    rf"api/class/{TEAM}/start": {"people": 3},
    rf"api/class/{TEAM}/stop": {"people": 3},
    "api/import": {"team": CLASS},
    "api/proposals": {"team": CLASS},
    "api/announcements": {"team": CLASS, "text": "", "hours": 1},
}
REFUSED = {302, 400, 403, 404, 405}
"""400 only where nobody is let in: a callback that nobody began."""

Ask = Callable[[str, str, dict[str, Any]], int]


@pytest.fixture(scope="module")
def room(embedded_mode: Deployment) -> Classroom:
    people: dict[str, tuple[TeamRole, str]] = {
        "pr-mentor": ("mentor", ""),
        "pr-trainee": ("trainee", ""),
        "pr-admin": ("member", ""),
    }
    found = classroom(embedded_mode, CLASS, "", people)
    other = classroom(embedded_mode, "class:routes-b", "", {"pr-other": ("mentor", "")})
    found.people.update(other.people)
    store = database(embedded_mode)
    directory = Directory(store)
    directory.set_memberships("pr-admin", {}, "operator")
    directory.save_people([Record("pr-admin", admin=True)])
    store.close()
    return found


@pytest.fixture(scope="module")
def asks(room: Classroom) -> dict[str, Ask]:
    """How each kind of person asks; what comes is the status."""
    url = room.deployment.url + PREFIX
    token = room["pr-trainee"].person.api(
        "POST",
        "/users/pr-trainee/tokens",
        json={"scopes": ["access:services!service=people"], "expires_in": 600},
    )
    bearer = {"Authorization": f"token {token.json()['token']}"}

    def bare(headers: dict[str, str]) -> Ask:
        def ask(method: str, path: str, body: dict[str, Any]) -> int:
            return requests.request(
                method, url + path, json=body, headers=headers, timeout=60, allow_redirects=False
            ).status_code

        return ask

    def browser(name: str) -> Ask:
        someone = room[name]
        xsrf = someone.xsrf

        def ask(method: str, path: str, body: dict[str, Any]) -> int:
            if path in ("api/import", "api/proposals"):
                return someone.api(method, path[4:], xsrf, data=body).status_code
            if path.startswith("api/"):
                return someone.api(method, path.removeprefix("api/"), xsrf, json=body).status_code
            return someone.person.session.request(
                method,
                url + path,
                headers={"Sec-Fetch-Mode": "navigate", "X-XSRFToken": xsrf},
                timeout=60,
                allow_redirects=False,
            ).status_code

        return ask

    return {
        "stranger": bare({}),
        "server": bare(bearer),
        "trainee": browser("pr-trainee"),
        "mentor": browser("pr-mentor"),
        "other mentor": browser("pr-other"),
        "admin": browser("pr-admin"),
    }


def test_the_table_has_every_route() -> None:
    assert set(TABLE) == {pattern for pattern, _ in ROUTES}
    public = {p for p, row in TABLE.items() if any(who & STRANGER for who in row.values())}
    assert public <= PUBLIC


def example(room: Classroom, pattern: str, method: str) -> str:
    """A path of this route about the class and its trainee."""
    if pattern == "api/announcements/([0-9]{1,9})":
        store = database(room.deployment)
        new = announcement(CLASS, "pr-mentor", "x", 1, now())
        identity = Announcements(store).add(new)
        store.close()
        return f"api/announcements/{identity}"
    if pattern.startswith(("proposals/", "api/proposals/")):
        store = database(room.deployment)
        identity = Proposals(store).add(proposal(CLASS, "pr-mentor", now()))
        store.close()
        path = pattern.replace("(approve|reject|withdraw)", "withdraw")
        return path.replace("([0-9]{1,9})", str(identity))
    path = pattern.replace(TEAM, CLASS).replace(CLASS_NAME, CLASS)
    release = Catalog.load(ROOT / "images" / "images.toml").release
    path = path.replace(NAME, "lab").replace(RELEASE, release).replace(FILE, "sbom.cdx.json")
    return path.replace("([0-9]{1,9})", "999999")


@pytest.mark.parametrize("pattern", sorted(TABLE))
def test_who_is_let_in(room: Classroom, asks: dict[str, Ask], pattern: str) -> None:
    for method in METHODS:
        allowed = TABLE[pattern].get(method, NOBODY)
        for who, ask in asks.items():
            status = ask(method, example(room, pattern, method), BODIES.get(pattern, {}))
            let_in = status < 300 or (status in (400, 409) and bool(TABLE[pattern].get(method)))
            assert let_in == (who in allowed), f"{who}: {method} {pattern} gave {status}"
            if not let_in:
                assert status in REFUSED, f"{who}: {method} {pattern} gave {status}"
