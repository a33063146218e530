"""The people service at a real Hub: who may ask it what, classes, announcements, rosters, and its own life."""

from __future__ import annotations

import io
import os
import re
import signal
from functools import partial
from typing import Any
from urllib.parse import urljoin

import pytest
import requests
from support.classroom import (
    PREFIX,
    AtService,
    Classroom,
    classroom,
    database,
    healthy,
    join,
    now,
    places,
    service_process,
)
from support.deployment import Deployment, wait_for
from support.people import visible

from madang_hub.deploy import embedded
from madang_hub.people.directory import Person as Record
from madang_hub.people.failures import Failures

TEAM = "class:2026-a"


@pytest.fixture(scope="module")
def room(embedded_mode: Deployment) -> Classroom:
    """A class with a mentor and two trainees, and somebody of another class."""
    found = classroom(
        embedded_mode,
        TEAM,
        "인공지능 기초반",
        {
            "ps-teacher": ("mentor", "김멘토"),
            "ps-minji": ("trainee", "김민지"),
            "ps-jihun": ("trainee", "박지훈"),
        },
    )
    other = classroom(
        embedded_mode,
        "class:2026-b",
        "다른 반",
        {"ps-other": ("mentor", "이멘토"), "ps-seoyeon": ("trainee", "최서연")},
    )
    found.people.update(other.people)
    return found


# ---- who may ask what -----------------------------------------------------------------------

BODY: dict[str, Any] = {"people": None, "environment": "lab", "size": "small"}
MENTORS_ROUTES = [
    ("GET", f"class/{TEAM}", None),
    ("POST", f"class/{TEAM}/start", BODY),
    ("POST", f"class/{TEAM}/stop", BODY),
    ("POST", "announcements", {"team": TEAM, "text": "x", "hours": 1}),
    ("POST", "look-ins", {"trainee": "ps-minji", "reason": "x", "minutes": 15}),
]


@pytest.mark.parametrize(("method", "path", "body"), MENTORS_ROUTES)
@pytest.mark.parametrize("who", ["ps-minji", "ps-jihun", "ps-other", "ps-seoyeon"])
def test_a_class_is_its_mentors_alone(
    room: Classroom, who: str, method: str, path: str, body: Any
) -> None:
    reply = room[who].api(method, path, json=body)
    assert reply.status_code == 404, reply.text
    assert reply.json()["status"] == 404
    # a class that there is reads as one that there is not
    absent = room[who].api(method, path.replace("2026-a", "no-such"), json=body)
    if "class/" in path:
        assert absent.json() == reply.json()


@pytest.mark.parametrize("path", ["", "admin", "import", f"class/{TEAM}"])
def test_pages_are_for_whom_they_are(room: Classroom, path: str) -> None:
    expected = {"": (200, 200), f"class/{TEAM}": (200, 404), "admin": (404, 404)}
    for who, status in zip(("ps-teacher", "ps-minji"), expected.get(path, (200, 404)), strict=True):
        reply = room[who].page(path)
        assert reply.status_code == status, f"{who} {path}: {visible(reply.text)}"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("GET", "admin"),
        ("GET", "import"),
        ("GET", "session"),
        ("GET", f"class/{TEAM}"),
    ],
)
def test_a_stranger_is_sent_to_sign_in(embedded_mode: Deployment, method: str, path: str) -> None:
    reply = requests.request(
        method, embedded_mode.url + PREFIX + path, allow_redirects=False, timeout=30
    )
    assert reply.status_code == 302
    assert reply.headers["Location"].startswith("/hub/api/oauth2/authorize?")


API = [
    ("GET", "me"),
    ("POST", "me/extend"),
    ("POST", "me/busy"),
    ("POST", "look-ins"),
    ("POST", "look-ins/1/end"),
    ("GET", f"class/{TEAM}"),
    ("POST", f"class/{TEAM}/start"),
    ("POST", f"class/{TEAM}/stop"),
    ("POST", "announcements"),
    ("DELETE", "announcements/1"),
    ("POST", "import"),
]


@pytest.mark.parametrize(("method", "path"), API)
def test_a_strangers_calls_are_refused(embedded_mode: Deployment, method: str, path: str) -> None:
    address = f"{embedded_mode.url}{PREFIX}api/{path}"
    for headers in (
        {},
        {"Authorization": "token 0123456789abcdef"},
        {"Cookie": "service-people=x"},
    ):
        reply = requests.request(method, address, headers=headers, timeout=30)
        assert reply.status_code == 403, f"{method} {path} {headers}: {reply.status_code}"
        assert reply.json()["message"]


@pytest.mark.parametrize(("method", "path"), API)
def test_cookies_alone_are_not_enough(room: Classroom, method: str, path: str) -> None:
    """A page of somebody else's on the same host has the cookies but no XSRF token of this service."""
    someone = room["ps-teacher"]
    hub_token = someone.person.xsrf
    for xsrf in ("", "x", hub_token):
        reply = someone.api(method, path, xsrf=xsrf, json={})
        assert reply.status_code == 403, f"{method} {path} with {xsrf[:5]!r}: {reply.status_code}"


def test_another_persons_xsrf_token_is_worth_nothing(room: Classroom) -> None:
    reply = room["ps-teacher"].api("GET", "me", xsrf=room["ps-minji"].xsrf)
    assert reply.status_code == 403


@pytest.mark.parametrize("mode", ["cors", "no-cors", "same-origin", "websocket"])
def test_a_page_is_not_given_to_scripts(room: Classroom, mode: str) -> None:
    """JupyterHub lets a script of the same host read by GET; an XSRF token would be in that page."""
    reply = room["ps-teacher"].page(**{"Sec-Fetch-Mode": mode, "Sec-Fetch-Site": "same-origin"})
    assert reply.status_code in (302, 403)
    assert 'data-user="ps-teacher"' not in reply.text


def token_of_server(someone: AtService, scopes: list[str]) -> str:
    reply = someone.person.api(
        "POST", f"/users/{someone.name}/tokens", json={"scopes": scopes, "expires_in": 600}
    )
    assert reply.status_code == 201, reply.text
    found: str = reply.json()["token"]
    return found


def with_token(
    deployment: Deployment, token: str, method: str, path: str, **kwargs: Any
) -> requests.Response:
    return requests.request(
        method,
        f"{deployment.url}{PREFIX}api/{path}",
        headers={"Authorization": f"token {token}", "Accept-Language": "en"},
        timeout=30,
        **kwargs,
    )


def test_a_token_is_for_what_concerns_its_owner(room: Classroom) -> None:
    """A server's token (of a mentor's notebook, say) opens ``api/me`` and nothing of a class."""
    token = token_of_server(room["ps-teacher"], ["access:services!service=people"])
    me = with_token(room.deployment, token, "GET", "me")
    assert me.status_code == 200
    assert me.json()["name"] == "ps-teacher"
    busy = {"server": "", "busy": True, "why": "kernel"}
    assert with_token(room.deployment, token, "POST", "me/busy", json=busy).status_code == 204
    none = with_token(room.deployment, token, "POST", "me/extend", json={"server": ""})
    assert none.status_code == 409
    assert none.json()["message"].startswith("There is nothing to extend")
    for method, path, body in [*MENTORS_ROUTES, ("POST", "import", {})]:
        reply = with_token(room.deployment, token, method, path, json=body)
        assert reply.status_code == 403, f"{method} {path}"
        assert "tokens" in reply.json()["message"]
    page = requests.get(
        room.deployment.url + PREFIX, headers={"Authorization": f"token {token}"}, timeout=30
    )
    assert page.status_code == 403


def test_a_token_without_the_scope_is_refused(room: Classroom) -> None:
    token = token_of_server(room["ps-teacher"], ["read:users!user"])
    assert with_token(room.deployment, token, "GET", "me").status_code == 403


@pytest.mark.parametrize("how", ["revoked", "expired"])
def test_a_token_that_has_ended_is_refused(room: Classroom, how: str) -> None:
    """The service keeps the Hub's answer for fifteen seconds."""
    someone = room["ps-jihun"].person
    made = someone.api(
        "POST",
        "/users/ps-jihun/tokens",
        json={
            "scopes": ["access:services!service=people"],
            "expires_in": 2 if how == "expired" else 600,
        },
    ).json()

    def status() -> int:
        return with_token(room.deployment, made["token"], "GET", "me").status_code

    assert status() == 200
    if how == "revoked":
        assert someone.api("DELETE", f"/users/ps-jihun/tokens/{made['id']}").status_code == 204
    wait_for(lambda: status() == 403, "the token to be refused", 25)


def test_a_callback_works_once_and_in_its_own_browser(room: Classroom) -> None:
    """The sign-in at the service itself: a forged, stolen or replayed way back opens nothing."""
    deployment, owner = room.deployment, room["ps-jihun"].person
    fresh, thief = requests.Session(), requests.Session()
    for cookie in owner.session.cookies:
        if not cookie.path.startswith(PREFIX.rstrip("/")):
            fresh.cookies.set_cookie(cookie)

    def go(session: requests.Session, address: str) -> requests.Response:
        return session.get(
            urljoin(deployment.url, address),
            headers={"Sec-Fetch-Mode": "navigate"},
            allow_redirects=False,
            timeout=30,
        )

    def way_back() -> str:
        to_hub = go(fresh, PREFIX).headers["Location"]
        found = go(fresh, to_hub).headers["Location"]
        assert found.startswith((PREFIX, deployment.url + PREFIX))
        assert "code=" in found
        return found

    forged = re.sub(r"state=[^&]*", "state=eyJ4IjoxfQ==", way_back())
    assert go(fresh, forged).status_code in (400, 403)
    back = way_back()
    assert go(thief, back).status_code in (400, 403), "another browser"
    robber = requests.Session()
    robber.cookies = fresh.cookies.copy()
    assert go(fresh, back).status_code == 302
    assert go(fresh, PREFIX).status_code == 200
    assert go(robber, back).status_code >= 400, "a second time, with all cookies of the first"
    assert go(robber, PREFIX).status_code == 302
    assert go(thief, PREFIX).status_code == 302, "is still sent to sign in"


@pytest.mark.parametrize(
    "body", [b"[", b"[]", b"3", b'{"busy": "yes"}', b'{"busy": true, "why": "x"}', b"\xff\xfe"]
)
def test_odd_bodies_are_refused(room: Classroom, body: bytes) -> None:
    reply = room["ps-minji"].api("POST", "me/busy", data=body)
    assert reply.status_code == 400
    assert reply.json()["message"]


@pytest.mark.parametrize(
    "path", ["class/class:../x", "class/team:", "class/%2e%2e", "nothing", "look-ins/x/end", "me/"]
)
def test_odd_addresses_are_not_there(room: Classroom, path: str) -> None:
    assert room["ps-teacher"].api("GET", path).status_code == 404


# ---- pages ----------------------------------------------------------------------------------


def test_answers_carry_the_security_headers(room: Classroom) -> None:
    someone = room["ps-teacher"]
    for reply in (
        someone.page(),
        someone.page("nothing-here"),
        someone.api("GET", "me"),
        someone.api("GET", "me", xsrf=""),
        requests.get(room.deployment.url + PREFIX + "oauth_callback", timeout=30),
    ):
        policy = reply.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe-eval" not in policy
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Referrer-Policy"] == "same-origin"
        assert reply.headers["Cache-Control"] == "no-store"
        assert "tornado" not in reply.headers.get("Server", "").lower()
    framed = someone.page("session").headers["Content-Security-Policy"]
    assert "frame-ancestors 'self'" in framed


@pytest.mark.parametrize(
    "query", ["?next=//evil.example", "?code=x&state=y&next=https://evil.example"]
)
def test_the_way_back_leads_nowhere_else(embedded_mode: Deployment, query: str) -> None:
    reply = requests.get(
        f"{embedded_mode.url}{PREFIX}oauth_callback{query}", allow_redirects=False, timeout=30
    )
    assert reply.status_code in (400, 403)
    assert "evil.example" not in reply.headers.get("Location", "")


def test_both_languages(room: Classroom) -> None:
    someone = room["ps-teacher"]
    assert "My classes" in visible(someone.page("?lang=en").text)
    assert "내 반" in visible(someone.page("?lang=ko").text)
    assert someone.api("GET", "class/class:x?lang=en").json()["message"].startswith("There is")


def test_the_class_page_names_people_and_offers(room: Classroom) -> None:
    page = room["ps-teacher"].page(f"class/{TEAM}?lang=en")
    assert page.status_code == 200
    assert "인공지능 기초반" in visible(page.text)
    assert "Data science" in visible(page.text)
    for found in re.findall(r'(?:src|href)="(/hub/static/[^"]+)"', page.text):
        reply = requests.get(room.deployment.url + found, timeout=30)
        assert reply.status_code == 200, found


# ---- a class --------------------------------------------------------------------------------


def state(room: Classroom, name: str) -> dict[str, Any]:
    people = room["ps-teacher"].api("GET", f"class/{TEAM}").json()["people"]
    return next(p for p in people if p["name"] == name)


def server_is_ready(room: Classroom, name: str) -> bool:
    return bool((state(room, name)["server"] or {}).get("ready"))


def test_start_and_stop_a_class(room: Classroom) -> None:
    teacher = room["ps-teacher"]
    join(room.deployment, TEAM, "ps-newcomer", "trainee", "아직 안 온 사람")
    try:
        shown = state(room, "ps-newcomer")
        assert (shown["signed_in"], shown["online"], shown["server"]) == (False, False, None)
        assert state(room, "ps-minji")["online"]
        assert state(room, "ps-minji")["display_name"] == "김민지"
        nothing = teacher.api("POST", f"class/{TEAM}/start", json={"people": None})
        assert nothing.status_code == 400, "without a timetable something must be chosen"
        wrong = {"people": None, "environment": "lab", "size": "no-such"}
        assert teacher.api("POST", f"class/{TEAM}/start", json=wrong).status_code == 400
        stranger = {**BODY, "people": ["ps-minji", "ps-seoyeon"]}
        assert teacher.api("POST", f"class/{TEAM}/start", json=stranger).status_code == 404
        reply = teacher.api("POST", f"class/{TEAM}/start", json=BODY)
        assert reply.status_code == 202
        answer = reply.json()
        assert answer["asked"] == 3
        assert [f["person"] for f in answer["failed"]] == ["ps-newcomer"]
        for name in ("ps-minji", "ps-jihun"):
            wait_for(partial(server_is_ready, room, name), f"{name}'s server")
        assert room.people["ps-minji"].model()["servers"][""]["user_options"] == {
            "environment": "lab",
            "size": "small",
        }
        assert room.people["ps-teacher"].model().get("servers") == {}, "the mentor's was not meant"
        again = teacher.api("POST", f"class/{TEAM}/start", json=BODY).json()
        assert (again["asked"], again["already"]) == (1, 2)
        one = teacher.api("POST", f"class/{TEAM}/stop", json={"people": ["ps-jihun"]}).json()
        assert (one["asked"], one["failed"]) == (1, [])
        wait_for(lambda: state(room, "ps-jihun")["server"] is None, "jihun's server to stop")
        assert state(room, "ps-minji")["server"]["ready"]
    finally:
        teacher.api("POST", f"class/{TEAM}/stop", json={"people": None})
        join(room.deployment, TEAM, "ps-newcomer", None)
    wait_for(lambda: state(room, "ps-minji")["server"] is None, "the class to stop")
    actions = [(e.actor, e.action, e.subject) for e in room.audit.read(team=TEAM)]
    assert ("ps-teacher", "class.started", TEAM) in actions
    assert ("ps-teacher", "class.stopped", TEAM) in actions


def test_a_fellow_mentor_is_not_in_a_mentors_hands(room: Classroom) -> None:
    fellow = room.add("ps-fellow", "mentor", "박멘토")
    reply = room["ps-teacher"].api(
        "POST", f"class/{TEAM}/start", json={**BODY, "people": ["ps-fellow"]}
    )
    assert reply.status_code == 404
    assert fellow.person.model().get("servers") == {}


def test_who_is_no_longer_mentor_sees_nothing_at_once(room: Classroom) -> None:
    former = room.add("ps-former", "mentor", "정멘토")
    assert former.api("GET", f"class/{TEAM}").status_code == 200
    join(room.deployment, TEAM, "ps-former", None)
    assert former.api("GET", f"class/{TEAM}").status_code == 404
    room.directory.end("ps-former", "removed", now())
    assert former.page().status_code == 403


def test_failed_starts_are_shown_with_their_cause(room: Classroom, importer: AtService) -> None:
    person = room.people["ps-jihun"]
    reply = person.api(
        "POST", "/users/ps-jihun/server", json={"environment": "nothing", "size": "x"}
    )
    assert reply.status_code in (201, 202, 403)
    wait_for(lambda: state(room, "ps-jihun")["failure"], "the failure to be noted")
    failure = state(room, "ps-jihun")["failure"]
    assert failure["reason"] == "environment"
    assert "nothing" in failure["message"]
    assert "detail" not in failure, "the log's text is the admin's"
    noted = Failures(database(room.deployment)).read(people=["ps-jihun"])
    assert noted[0].reason == "environment"
    # the admin's page has the cause as well, newest first
    rows = re.findall(
        r'(?s)<tr data-reason="([^"]+)">(.*?)</tr>', importer.page("admin?lang=en").text
    )
    assert rows[0][0] == "environment"
    assert "박지훈" in visible(rows[0][1])
    assert failure["message"] in visible(rows[0][1]) or "nothing" in visible(rows[0][1])


# ---- announcements --------------------------------------------------------------------------


def test_announcements_reach_the_class_and_nobody_else(room: Classroom) -> None:
    text = "2시부터 <b>3번</b> 실습"
    made = room["ps-teacher"].api(
        "POST", "announcements", json={"team": TEAM, "text": text, "hours": 1}
    )
    assert made.status_code == 201
    identity = made.json()["id"]
    assert [a["text"] for a in room["ps-minji"].me()["announcements"]] == [text]
    assert room["ps-seoyeon"].me()["announcements"] == []
    for who in ("ps-minji", "ps-other"):
        assert room[who].api("DELETE", f"announcements/{identity}").status_code == 404
    everybody = {"team": "", "text": "x", "hours": 1}
    assert room["ps-teacher"].api("POST", "announcements", json=everybody).status_code == 404
    assert room["ps-teacher"].api("DELETE", f"announcements/{identity}").status_code == 204
    assert room["ps-minji"].me()["announcements"] == []


# ---- rosters --------------------------------------------------------------------------------

ROSTER = "이름,이메일\n새사람,new1@example.org\n또다른,new2@example.org\n"


def send(someone: AtService, content: bytes, **fields: str) -> requests.Response:
    return someone.api(
        "POST",
        "import",
        data={"team": "class:ps-import", **fields},
        files={"roster": ("명단.csv", io.BytesIO(content), "text/csv")},
    )


@pytest.fixture(scope="module")
def importer(room: Classroom) -> AtService:
    """An admin by the directory."""
    admin = room.add("ps-admin", "member", "관리자")
    room.directory.save_people([Record("ps-admin", "관리자", admin=True)])
    return admin


def test_a_roster_is_looked_at_first_then_done(room: Classroom, importer: AtService) -> None:
    content = ROSTER.encode("cp949")  # as Korean Excel writes it
    look = send(importer, content, title="가져온 반")
    assert look.status_code == 200, look.text
    assert (look.json()["done"], look.json()["nothing"]) == (False, False)
    assert room.directory.team("class:ps-import") is None, "a look changes nothing"
    wrong = send(importer, content, title="가져온 반", confirm="0" * 64)
    assert wrong.json()["done"] is False
    assert room.directory.team("class:ps-import") is None
    done = send(importer, content, title="가져온 반", confirm=look.json()["mark"])
    assert done.json()["done"] is True, done.text
    accounts = done.json()["accounts"]
    assert {a["display_name"] for a in accounts} == {"새사람", "또다른"}
    assert all(len(a["password"]) > 8 for a in accounts)
    again = send(importer, content)
    assert again.json()["nothing"] is True
    assert not any(a["password"] in again.text for a in accounts), "shown once"
    lines = room.audit.read(team="class:ps-import", action="class.imported")
    assert [e.actor for e in lines] == ["ps-admin"]
    assert not any(a["password"] in str(e.detail) for a in accounts for e in lines)


def test_faults_are_told_by_line_and_nothing_is_done(room: Classroom, importer: AtService) -> None:
    content = "이름,이메일\n가,not-an-address\n나,b@example.org\n다,b@example.org\n".encode()
    reply = send(importer, content, team="class:ps-faulty")
    assert reply.status_code == 422
    faults = reply.json()["faults"]
    assert len(faults) >= 2
    assert any("2" in f for f in faults)
    assert any("4" in f for f in faults)
    assert room.directory.team("class:ps-faulty") is None


def test_a_mentor_imports_into_the_own_class_only(room: Classroom) -> None:
    teacher = room["ps-teacher"]
    assert send(teacher, ROSTER.encode(), team="class:2026-b").status_code == 404
    assert send(teacher, ROSTER.encode(), team="class:ps-brand-new").status_code == 404
    mentors = "이름,이메일,역할\n누구,who@example.org,멘토\n".encode()
    reply = send(teacher, mentors, team=TEAM)
    assert reply.status_code == 422
    assert send(room["ps-minji"], ROSTER.encode(), team=TEAM).status_code == 404
    assert room.directory.team("class:ps-brand-new") is None


# ---- the admin ------------------------------------------------------------------------------


def test_the_admins_overview(room: Classroom, importer: AtService) -> None:
    page = importer.page("admin?q=ps-minji&lang=en")
    assert page.status_code == 200, visible(page.text)
    rows = re.findall(r'data-person="([^"]+)"', page.text)
    assert rows == ["ps-minji"]
    everything = importer.page("admin?lang=en").text
    assert "Data science" in visible(everything)
    assert "인공지능 기초반" in visible(everything)
    odd = importer.page("admin?q=%3Cscript%3Ealert(1)%3C/script%3E&page=-9")
    assert odd.status_code == 200
    assert "<script>alert" not in odd.text
    assert importer.api("GET", f"class/{TEAM}").status_code == 200


# ---- the service's own life -----------------------------------------------------------------


def test_the_hub_starts_it_again(room: Classroom) -> None:
    deployment = room.deployment
    before = service_process(deployment)
    assert before
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: service_process(deployment) not in (0, before), "a new process", 90)
    wait_for(lambda: healthy(deployment), "the service", 30)
    assert room["ps-minji"].me()["name"] == "ps-minji", "sessions outlive it"


def test_it_holds_no_more_than_its_scopes(room: Classroom) -> None:
    token = (places(room.deployment).secrets / "people_token").read_text().strip()
    api = f"http://127.0.0.1:{room.deployment.hub_port}/hub/api"
    headers = {"Authorization": f"token {token}"}
    for method, path in (
        ("POST", "/users/ps-minji/tokens"),
        ("DELETE", "/users/ps-minji"),
        ("POST", "/users/ps-x"),
        ("PATCH", "/users/ps-minji"),
        ("POST", "/groups/class:new"),
        ("DELETE", "/groups/class:2026-b"),
        ("GET", "/services"),
        ("GET", "/proxy"),
        ("POST", "/shutdown"),
    ):
        reply = requests.request(method, api + path, headers=headers, json={}, timeout=30)
        assert reply.status_code in (403, 404), f"{method} {path}: {reply.status_code}"


@pytest.mark.parametrize("how", ["stopped", "silent"])
def test_without_the_hub_nothing_is_decided(room: Classroom, how: str) -> None:
    """The Hub is away, or takes calls and never answers: a sentence comes, and nothing that is not known."""
    minji, deployment = room["ps-minji"], room.deployment
    assert minji.page().status_code == 200
    here = places(deployment)
    if how == "stopped":
        # the service ends with its Hub; its other state, a Hub that hangs, is the second case
        embedded._control(here, "stop", "hub")
    pid = "" if how == "stopped" else embedded._control(here, "pid", "hub").strip()
    if pid:
        os.kill(int(pid), signal.SIGSTOP)
    try:
        if how == "stopped":
            wait_for(lambda: service_process(deployment) == 0, "the service to end", 30)
            assert not healthy(deployment)
            return
        # an answer that the Hub has not given before must not be waited for without end
        address = f"http://127.0.0.1:{deployment.people_port}{PREFIX}api/me"
        reply = requests.get(
            address, headers={"Authorization": "token 0123", "Accept-Language": "en"}, timeout=40
        )
        assert reply.status_code == 502
        assert reply.json()["message"].startswith("The Hub does not answer")
        direct = f"http://127.0.0.1:{deployment.people_port}{PREFIX}health"
        assert requests.get(direct, timeout=5).text == "ok", "others are served meanwhile"
    finally:
        if pid:
            os.kill(int(pid), signal.SIGCONT)
        else:
            embedded._control(here, "start", "hub")
        wait_for(lambda: healthy(deployment), "the service with the Hub", 90)
    wait_for(lambda: minji.page().status_code == 200, "sessions that outlive it", 60)
