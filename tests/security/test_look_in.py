"""Looking in: nobody enters without it, it is told, and when it ends the mentor is out within seconds."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta

import aiohttp
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
from support.people import Person

from madang_hub.people.lookins import LookIns

TEAM = "class:look-in"
OUT_WITHIN = 10.0
"""Seconds from the end of a look-in until the mentor gets nothing new."""
KEPT = 60.0
"""Seconds for which a user server keeps the Hub's answers (jupyter_server_config.json)."""
ENDLESS = "import time\nfor i in range(600):\n    print(i, flush=True)\n    time.sleep(0.2)"


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


def enter(visitor: Person, owner: str) -> requests.Response:
    """Open the server of ``owner`` in a browser; the Hub asks the first time whether that is meant."""
    reply = visitor.session.get(f"{visitor.url}/user/{owner}/lab", timeout=60)
    if reply.status_code == 200 and "oauth2/authorize" in reply.url:
        reply = visitor.session.post(
            reply.url,
            data={
                "_xsrf": visitor.xsrf,
                "scopes": re.findall(r'name="scopes" value="([^"]+)"', reply.text),
            },
            headers={"Referer": reply.url, "Sec-Fetch-Mode": "navigate"},
            timeout=60,
        )
    return reply


def come_in(visitor: Person, owner: str) -> None:
    """Enter. Who was shown out a moment before may have to wait: the server keeps the Hub's "no" so long."""
    wait_for(lambda: enter(visitor, owner).status_code == 200, "the server to open", KEPT + 10)
    wait_for(lambda: may_write(visitor, owner), "the server to let the visitor work", KEPT + 10)


def may_write(visitor: Person, owner: str) -> bool:
    reply = visitor.session.post(
        f"{visitor.url}/user/{owner}/api/contents/",
        json={"type": "directory"},
        headers={"X-XSRFToken": xsrf_at(visitor, owner), "Sec-Fetch-Mode": "cors"},
        timeout=30,
    )
    return reply.status_code == 201


def xsrf_at(visitor: Person, owner: str) -> str:
    found = (
        c.value
        for c in visitor.session.cookies
        if c.name == "_xsrf" and c.path.startswith(f"/user/{owner}")
    )
    return next(found, None) or ""


def read(visitor: Person, owner: str) -> int:
    """The status of reading the home folder of ``owner`` over the server's API."""
    return visitor.session.get(
        f"{visitor.url}/user/{owner}/api/contents/",
        headers={"X-XSRFToken": xsrf_at(visitor, owner), "Sec-Fetch-Mode": "cors"},
        allow_redirects=False,
        timeout=30,
    ).status_code


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


def kernel_of(visitor: Person, owner: str) -> str:
    reply = visitor.session.post(
        f"{visitor.url}/user/{owner}/api/kernels",
        json={"name": "python3"},
        headers={"X-XSRFToken": xsrf_at(visitor, owner), "Sec-Fetch-Mode": "cors"},
        timeout=60,
    )
    assert reply.status_code == 201, reply.text
    found: str = reply.json()["id"]
    return found


def cookies_of(visitor: Person, owner: str) -> str:
    path = f"/user/{owner}/"
    return "; ".join(
        f"{c.name}={c.value}" for c in visitor.session.cookies if path.startswith(c.path)
    )


def execute(code: str) -> str:
    return json.dumps(
        {
            "header": {
                "msg_id": uuid.uuid4().hex,
                "msg_type": "execute_request",
                "username": "x",
                "session": uuid.uuid4().hex,
                "version": "5.3",
            },
            "parent_header": {},
            "metadata": {},
            "content": {"code": code, "silent": False, "allow_stdin": False},
            "channel": "shell",
            "buffers": [],
        }
    )


def test_an_open_kernel_ends_within_seconds(room: Classroom) -> None:
    """The mentor watches output that goes on; after the end nothing more of it comes."""
    mentor, trainee = room.people["li-teacher"], room["li-minji"]
    identity = begin(room)
    come_in(mentor, "li-minji")
    kernel = kernel_of(mentor, "li-minji")
    path = f"/user/li-minji/api/kernels/{kernel}/channels"
    seconds = asyncio.run(last_news(mentor, trainee, path, execute(ENDLESS), identity))
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
    seconds = asyncio.run(last_news(mentor, trainee, path, typed, identity))
    assert seconds <= OUT_WITHIN, f"news came for {seconds:.0f} s after the end"


async def last_news(
    mentor: Person, trainee: AtService, path: str, first: str, identity: int
) -> float:
    """Seconds from the end of the look-in to the last message that the mentor's websocket got."""
    owner = path.split("/")[2]
    async with (
        aiohttp.ClientSession(headers={"Cookie": cookies_of(mentor, owner)}) as http,
        http.ws_connect(mentor.url + path, origin=mentor.url) as socket,
    ):
        await socket.send_str(first)
        for _ in range(10):  # it does run
            got = await asyncio.wait_for(socket.receive(), 30)
            assert got.type is aiohttp.WSMsgType.TEXT
        status = await asyncio.to_thread(
            lambda: trainee.api("POST", f"look-ins/{identity}/end", json={}).status_code
        )
        assert status == 204
        ended = last = time.monotonic()
        while last - ended <= 3 * OUT_WITHIN:
            try:
                got = await asyncio.wait_for(socket.receive(), OUT_WITHIN)
            except TimeoutError:
                break
            if got.type is not aiohttp.WSMsgType.TEXT:
                break
            last = time.monotonic()
        return last - ended


async def refused(mentor: Person, path: str) -> int:
    owner = path.split("/")[2]
    async with aiohttp.ClientSession(headers={"Cookie": cookies_of(mentor, owner)}) as http:
        try:
            async with http.ws_connect(mentor.url + path, origin=mentor.url):
                return 101
        except aiohttp.WSServerHandshakeError as error:
            return error.status
