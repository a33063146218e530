"""Looking in: nobody enters without it, it is told, and when it ends the mentor is out within seconds."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import requests
import sqlalchemy as sa
from support.classroom import (
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
from support.visiting import (
    ENDLESS,
    KEPT,
    OUT_WITHIN,
    come_in,
    enter,
    execute,
    kernel_of,
    last_news,
    read,
    refused,
    xsrf_at,
)

from madang_hub.people.lookins import LookIns

TEAM = "class:look-in"


@pytest.fixture(scope="module")
def room(embedded_mode: Deployment) -> Classroom:
    """A class with two mentors and a trainee whose server runs, and an outsider."""
    found = classroom(
        embedded_mode,
        TEAM,
        "들여다보기 반",
        {
            "li-teacher": ("mentor", "김멘토"),
            "li-fellow": ("mentor", "박멘토"),
            "li-minji": ("trainee", "김민지"),
            "li-jihun": ("trainee", "박지훈"),
        },
    )
    other = classroom(embedded_mode, "class:other", "다른 반", {"li-other": ("mentor", "이멘토")})
    found.people.update(other.people)
    found.people["li-minji"].start(environment="lab", size="small")
    return found


@pytest.fixture(autouse=True)
def _ended(room: Classroom) -> Iterator[None]:
    """No look-in is left for the next test."""
    yield
    for one in LookIns(database(room.deployment)).open_ones():
        room[one.trainee].api("POST", f"look-ins/{one.id}/end", json={})


def begin(room: Classroom, mentor: str = "li-teacher", trainee: str = "li-minji") -> int:
    reply = room[mentor].ask(trainee)
    assert reply.status_code == 201, reply.text
    found: int = reply.json()["id"]
    return found


def end(room: Classroom, who: str, identity: int) -> int:
    return room[who].api("POST", f"look-ins/{identity}/end", json={}).status_code


def shares(room: Classroom, owner: str = "li-minji") -> list[str]:
    """Who may enter the server of ``owner`` by a share, as the Hub says."""
    token = (places(room.deployment).secrets / "people_token").read_text().strip()
    reply = requests.get(
        f"http://127.0.0.1:{room.deployment.hub_port}/hub/api/shares/{owner}/",
        headers={"Authorization": f"token {token}"},
        timeout=30,
    )
    assert reply.status_code == 200, reply.text
    return [share["user"]["name"] for share in reply.json()["items"]]


# ---- who gets in ----------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["li-teacher", "li-fellow", "li-other", "li-jihun"])
def test_nobody_enters_without_a_look_in(room: Classroom, who: str) -> None:
    assert enter(room.people[who], "li-minji").status_code == 403
    assert read(room.people[who], "li-minji") in (302, 403)


@pytest.mark.parametrize("who", ["li-other", "li-jihun", "li-minji"])
def test_only_the_mentor_of_the_class_may_ask(room: Classroom, who: str) -> None:
    for trainee in ("li-minji", "li-fellow", "nobody-at-all", "operator", "../li-minji"):
        assert room[who].ask(trainee).status_code == 404
    assert shares(room) == []


def test_a_mentor_asks_for_trainees_only(room: Classroom) -> None:
    for trainee in ("li-fellow", "li-teacher", "li-other", "operator"):
        assert room["li-teacher"].ask(trainee).status_code == 404
    assert room["li-teacher"].ask("li-jihun").status_code == 409, "that server is off"
    assert room["li-teacher"].ask("li-minji", reason=" ").status_code == 400
    assert room["li-teacher"].ask("li-minji", minutes=600).status_code == 400
    assert shares(room) == []


def test_the_trainee_sees_who_is_in_and_ends_it(room: Classroom) -> None:
    mentor, trainee = room.people["li-teacher"], room["li-minji"]
    identity = begin(room)
    [seen] = trainee.me()["look_ins"]
    assert (seen["mentor"], seen["mentor_name"], seen["id"]) == ("li-teacher", "김멘토", identity)
    assert seen["reason"] == "2번 셀의 오류"
    assert room["li-jihun"].me()["look_ins"] == []
    assert enter(mentor, "li-minji").url.endswith("/user/li-minji/lab")
    wait_for(lambda: read(mentor, "li-minji") == 200, "the mentor is in", KEPT + 10)
    assert enter(room.people["li-fellow"], "li-minji").status_code == 403, "it is for one mentor"
    # one at a time
    assert room["li-fellow"].ask("li-minji").status_code == 409
    for who in ("li-fellow", "li-jihun", "li-other"):
        assert end(room, who, identity) == 404
    assert end(room, "li-minji", identity) == 204
    assert trainee.me()["look_ins"] == []
    assert shares(room) == []
    wait_for(lambda: read(mentor, "li-minji") in (302, 403), "the mentor is out", OUT_WITHIN)
    assert end(room, "li-minji", identity) == 204, "a second press changes nothing"
    for who in ("li-minji", "li-teacher"):
        lines = room.audit.read(about=who, action="look-in.", limit=3)
        assert [e.action for e in lines] == ["look-in.ended", "look-in.began", "look-in.asked"]
        assert lines[0].actor == "li-minji"


def test_the_mentor_ends_it(room: Classroom) -> None:
    identity = begin(room)
    assert end(room, "li-teacher", identity) == 204
    assert shares(room) == []
    assert room["li-minji"].me()["look_ins"] == []


def test_with_the_servers_token_only_its_owner_ends(room: Classroom) -> None:
    """A mentor's notebook cannot act for the mentor, and the trainee's JupyterLab can for the trainee."""
    identity = begin(room)
    for who, status in (("li-teacher", 404), ("li-fellow", 404), ("li-minji", 204)):
        made = room.people[who].api(
            "POST",
            f"/users/{who}/tokens",
            json={"scopes": ["access:services!service=people"], "expires_in": 600},
        )
        reply = requests.post(
            f"{room[who].base}api/look-ins/{identity}/end",
            headers={"Authorization": f"token {made.json()['token']}"},
            timeout=30,
        )
        assert reply.status_code == status, f"{who}: {reply.text}"


# ---- it ends --------------------------------------------------------------------------------


def let_time_pass(room: Classroom, identity: int) -> None:
    """The time of this look-in is over (the row's own time is put back; nothing else)."""
    store = database(room.deployment)
    with store.transaction() as db:
        table = sa.table("madang_lookins", sa.column("id"), sa.column("until", sa.String))
        past = (now() - timedelta(seconds=1)).strftime("%Y-%m-%d %H:%M:%S.%f")
        db.execute(table.update().where(table.c.id == identity).values(until=past))
    store.close()


def test_it_ends_by_itself_at_its_time(room: Classroom) -> None:
    identity = begin(room)
    assert shares(room) == ["li-teacher"]
    let_time_pass(room, identity)
    # nobody asks anything: the service's own round does it
    wait_for(lambda: shares(room) == [], "the share to be taken back", 45)
    line = room.audit.read(about="li-minji", action="look-in.", limit=1)[0]
    assert (line.actor, line.action, line.detail["why"]) == ("madang", "look-in.ended", "time")


def test_it_ends_before_an_answer_that_depends_on_it(room: Classroom) -> None:
    identity = begin(room)
    let_time_pass(room, identity)
    assert room["li-minji"].me()["look_ins"] == []
    assert shares(room) == []


def test_it_ends_when_the_mentor_is_no_longer_one(room: Classroom) -> None:
    begin(room, "li-fellow")
    join(room.deployment, TEAM, "li-fellow", None)
    try:
        assert room["li-minji"].me()["look_ins"] == []
        assert shares(room) == []
    finally:
        join(room.deployment, TEAM, "li-fellow", "mentor", "박멘토")


def test_what_ended_while_the_service_was_away_is_made_good(room: Classroom) -> None:
    """The service is killed with a look-in open whose time then passes."""
    identity = begin(room)
    deployment = room.deployment
    before = service_process(deployment)
    os.kill(before, signal.SIGKILL)
    let_time_pass(room, identity)
    wait_for(lambda: service_process(deployment) not in (0, before), "a new process", 90)
    wait_for(lambda: healthy(deployment), "the service", 30)
    wait_for(lambda: shares(room) == [], "the share to be taken back", 10)


# ---- what is open ends too ------------------------------------------------------------------


def ending(trainee: AtService, identity: int) -> Callable[[], None]:
    def end() -> None:
        assert trainee.api("POST", f"look-ins/{identity}/end", json={}).status_code == 204

    return end


def test_an_open_kernel_ends_within_seconds(room: Classroom) -> None:
    """The mentor watches output that goes on; after the end nothing more of it comes."""
    mentor, trainee = room.people["li-teacher"], room["li-minji"]
    identity = begin(room)
    come_in(mentor, "li-minji")
    kernel = kernel_of(mentor, "li-minji")
    path = f"/user/li-minji/api/kernels/{kernel}/channels"
    seconds = asyncio.run(last_news(mentor, path, execute(ENDLESS), ending(trainee, identity)))
    assert seconds <= OUT_WITHIN, f"news came for {seconds:.0f} s after the end"
    again = asyncio.run(refused(mentor, path))
    assert again in (302, 403), "it cannot be opened again"


def test_an_open_terminal_ends_within_seconds(room: Classroom) -> None:
    mentor, trainee = room.people["li-teacher"], room["li-minji"]
    identity = begin(room)
    come_in(mentor, "li-minji")
    made = mentor.session.post(
        f"{mentor.url}/user/li-minji/api/terminals",
        headers={"X-XSRFToken": xsrf_at(mentor, "li-minji"), "Sec-Fetch-Mode": "cors"},
        timeout=60,
    )
    assert made.status_code == 200, made.text
    path = f"/user/li-minji/terminals/websocket/{made.json()['name']}"
    typed = json.dumps(["stdin", "while :; do date; sleep 0.2; done\r"])
    seconds = asyncio.run(last_news(mentor, path, typed, ending(trainee, identity)))
    assert seconds <= OUT_WITHIN, f"news came for {seconds:.0f} s after the end"
