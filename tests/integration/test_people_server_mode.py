"""A class in server mode, from its roster to the end of a look-in: real containers, the stack's own database.

The tests are one story and go on from each other. What each part does with bad input and faults is tested in
embedded mode, where the same code runs (``test_people_service.py``, ``test_look_in.py``, ``test_idle.py``).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import docker
import pytest
from support.classroom import (
    AtService,
    Classroom,
    imported,
    one_time_passwords,
    roster,
)
from support.deployment import Deployment, wait_for
from support.people import Person, visible
from support.visiting import (
    ENDLESS,
    KEPT,
    OUT_WITHIN,
    enter,
    execute,
    kernel_of,
    last_news,
    look_at,
    may_write,
    read,
)

from madang_hub.people.directory import TeamRole

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

TEAM, FIRM = "class:story", "team:story-firm"
PEOPLE: dict[str, tuple[TeamRole, str]] = {
    "st-teacher": ("mentor", "김멘토"),
    "st-minji": ("trainee", "김민지"),
    "st-later": ("trainee", "나중에 올 사람"),
}
IDLE, WARNING, MORE = 24.0, 15.0, 45.0
"""Seconds, for people of firms only: the class of this story has the default times."""


@pytest.fixture(scope="module")
def deployment(
    engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    made = Deployment(
        "server",
        tmp_path_factory.mktemp("people") / "data",
        network="10.235.0.0/24",
        extra={
            "MADANG_LANGUAGE": "en",
            "MADANG_IDLE_MINUTES_BY_ROLE": f"member={IDLE / 60}",
            "MADANG_WARNING_MINUTES": str(WARNING / 60),
            "MADANG_EXTEND_MINUTES": str(MORE / 60),
            "MADANG_EXTEND_TIMES": "1",
        },
    )
    try:
        made.up()
        yield made
    finally:
        print(made.logs())  # shown when a test failed
        made.remove()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rosters")


@pytest.fixture(scope="module")
def room(deployment: Deployment, folder: Path) -> Classroom:
    """The class, looked at first and then imported; all but one of it sign in."""
    file, passwords = roster(folder, PEOPLE), folder / "passwords.csv"
    words = ["class", "import", str(file), "--class", TEAM, "--title", "인공지능 기초반"]
    words += ["--passwords", str(passwords)]
    plan = deployment.madang(*words, "--dry-run")
    assert "New: 김민지 (st-minji, st-minji@example.org) as trainee." in plan
    assert "dry run: nothing was changed" in plan
    assert TEAM not in deployment.madang("class", "list")
    assert not passwords.exists()
    done = deployment.madang(*words)
    assert f"Done: {TEAM} has 3 people, 3 of them with a new account." in done
    assert "There is nothing to change." in deployment.madang(*words)
    found = Classroom(deployment, TEAM, {})
    for name, once in one_time_passwords(passwords).items():
        if name != "st-later":
            found.people[name] = Person(deployment, name, language="en")
            found.people[name].join(once)
    return found


@pytest.fixture(scope="module")
def stranger(deployment: Deployment, folder: Path) -> AtService:
    """A mentor of another class."""
    other = imported(
        deployment, "class:story-b", "다른 반", {"st-other": ("mentor", "이멘토")}, folder
    )
    return other["st-other"]


@pytest.fixture(scope="module")
def minji(room: Classroom, engine: docker.DockerClient) -> Person:
    """The trainee, whose server the mentor started."""
    reply = room["st-teacher"].api(
        "POST",
        f"class/{TEAM}/start",
        json={"people": ["st-minji"], "environment": "lab", "size": "small"},
    )
    assert reply.status_code == 202, reply.text
    assert (reply.json()["asked"], reply.json()["failed"]) == (1, [])
    wait_for(lambda: (state(room, "st-minji")["server"] or {}).get("ready"), "the server", 120)
    assert [name for name in containers(engine, room.deployment) if "minji" in name]
    person = room.people["st-minji"]
    page = person.session.get(f"{person.url}/user/st-minji/lab", timeout=60)
    assert page.url.endswith("/user/st-minji/lab"), page.url
    return person


def containers(engine: docker.DockerClient, deployment: Deployment) -> list[str]:
    """Names of the running user servers' containers."""
    label = f"madang.instance={deployment.instance}"
    return [str(c.name) for c in engine.containers.list(filters={"label": label})]


def state(room: Classroom, name: str) -> dict[str, Any]:
    """What the mentor's page says about ``name``."""
    reply = room["st-teacher"].api("GET", f"class/{TEAM}")
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = next(p for p in reply.json()["people"] if p["name"] == name)
    return found


def lab(person: Person) -> dict[str, Any]:
    """What JupyterLab in the person's container is told (it keeps an answer for ten seconds)."""
    reply = person.server("GET", f"/user/{person.name}/madang/status")
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


def audit(page: str) -> list[tuple[str, str, str]]:
    """Action, who and whom of each line of the audit log on a page, the newest first."""
    found = []
    for action, row in re.findall(r'(?s)<tr data-action="([^"]+)">(.*?)</tr>', page):
        cells = [visible(c) for c in re.findall(r"(?s)<td>(.*?)</td>", row)]
        who, whom = (re.sub(r".*\((.+)\)", r"\1", cells[i]) for i in (1, 3))
        found.append((action, who, whom))
    return found


def test_the_mentor_sees_the_class(room: Classroom, stranger: AtService) -> None:
    teacher = room["st-teacher"]
    assert "인공지능 기초반" in visible(teacher.page().text)
    assert teacher.page(f"class/{TEAM}").status_code == 200
    minji, later = state(room, "st-minji"), state(room, "st-later")
    assert (minji["display_name"], minji["signed_in"], minji["online"]) == ("김민지", True, True)
    assert (later["display_name"], later["signed_in"]) == ("나중에 올 사람", False)
    for who in (stranger, room["st-minji"]):
        assert who.page(f"class/{TEAM}").status_code == 404
        assert who.api("GET", f"class/{TEAM}").status_code == 404


def test_the_mentor_starts_a_container(room: Classroom, minji: Person) -> None:
    assert minji.model()["servers"][""]["user_options"] == {"environment": "lab", "size": "small"}
    assert lab(minji)["memory"]["enforced"] is True
    assert minji.run("import os; print(os.getuid())").strip() != "0"


def test_an_announcement_reaches_jupyterlab_in_the_container(
    room: Classroom, minji: Person
) -> None:
    text = "2시부터 3번 실습을 시작합니다."
    made = room["st-teacher"].api(
        "POST", "announcements", json={"team": TEAM, "text": text, "hours": 1}
    )
    assert made.status_code == 201, made.text

    def heard() -> bool:
        return [a["text"] for a in (lab(minji)["me"] or {}).get("announcements", [])] == [text]

    wait_for(heard, "the announcement in the container", 30)


def test_a_look_in_into_the_container(room: Classroom, minji: Person, stranger: AtService) -> None:
    teacher, name = room.people["st-teacher"], "st-minji"
    saved = minji.server(
        "PUT", "/contents/일지.txt", json={"type": "file", "format": "text", "content": "마당"}
    )
    assert saved.status_code == 201, saved.text
    assert stranger.ask(name).status_code == 404
    for uninvited in (teacher, stranger.person):
        assert enter(uninvited, name).status_code == 403
        assert read(uninvited, name) in (302, 403)

    asked = room["st-teacher"].ask(name)
    assert asked.status_code == 201, asked.text
    identity = asked.json()["id"]
    # the server keeps the Hub's "no" of a moment ago
    wait_for(lambda: enter(teacher, name).status_code == 200, "the server to open", KEPT + 10)
    wait_for(lambda: read(teacher, name) == 200, "the notebook API to open", KEPT + 10)
    assert look_at(teacher, name, "일지.txt").json()["content"] == "마당"
    wait_for(lambda: may_write(teacher, name), "the mentor to work there", KEPT + 10)
    assert enter(stranger.person, name).status_code == 403, "it is for one mentor"

    def told() -> bool:
        return [v["mentor_name"] for v in (lab(minji)["me"] or {}).get("look_ins", [])] == [
            "김멘토"
        ]

    wait_for(told, "the trainee's JupyterLab to say who is in", 30)
    assert state(room, name)["look_in"] is not None
    channels = f"/user/{name}/api/kernels/{kernel_of(teacher, name)}/channels"

    def end() -> None:
        reply = minji.server("POST", f"/user/{name}/madang/look-ins/{identity}/end")
        assert reply.json()["me"]["look_ins"] == []

    seconds = asyncio.run(last_news(teacher, channels, execute(ENDLESS), end))
    assert seconds <= OUT_WITHIN, f"output came for {seconds:.0f} s after the end"
    wait_for(lambda: read(teacher, name) in (302, 403), "the mentor to be out", OUT_WITHIN)
    assert not may_write(teacher, name)
    assert enter(teacher, name).status_code == 403
    assert minji.server("GET", "/contents/일지.txt").status_code == 200, "the owner goes on"


def test_everything_is_in_the_log(room: Classroom, minji: Person, deployment: Deployment) -> None:
    story = [
        ("look-in.ended", "st-minji", "st-teacher"),
        ("look-in.began", "st-teacher", "st-minji"),
        ("look-in.asked", "st-teacher", "st-minji"),
    ]
    of_class = audit(room["st-teacher"].page(f"class/{TEAM}").text)
    assert of_class[:4] == [*story, ("announcement.made", "st-teacher", TEAM)]
    assert ("class.started", "st-teacher", TEAM) in of_class
    assert ("class.imported", "Madang", TEAM) in of_class
    for who in ("st-minji", "st-teacher"):
        own = audit(room[who].page().text)
        assert [line for line in own if line[0].startswith("look-in.")] == story
    once = deployment.one_time_password(deployment.madang("user", "password", deployment.admin))
    admin = Person(deployment, deployment.admin, language="en")
    admin.join(once)
    overview = AtService(admin).page("admin")
    assert overview.status_code == 200
    assert set(story) <= set(audit(overview.text))


@pytest.mark.long
def test_extend_from_inside_a_container(
    deployment: Deployment, engine: docker.DockerClient, folder: Path
) -> None:
    """An idle server is warned, goes on when its person presses *extend* there, and ends when nobody does."""
    firm = imported(deployment, FIRM, "한빛", {"st-haeun": ("member", "이하은")}, folder)
    haeun, service = firm.people["st-haeun"], firm["st-haeun"]
    haeun.start(environment="lab", size="small")

    def about() -> dict[str, Any]:
        found: dict[str, Any] = service.me()["server"] or {}
        return found

    wait_for(lambda: about().get("warning"), "the warning", IDLE + 30)
    before = datetime.fromisoformat(about()["ends"])
    reply = haeun.server("POST", "/user/st-haeun/madang/extend")
    assert reply.status_code == 200, reply.text
    assert reply.json()["me"]["server"]["extended_until"]
    assert datetime.fromisoformat(about()["extended_until"]) > before
    wait_for(lambda: about().get("warning"), "the second warning", MORE + 30)
    again = haeun.server("POST", "/user/st-haeun/madang/extend")
    assert again.status_code == 409, "once only"
    assert "더 이상 연장할 수 없" in again.json()["message"]
    assert datetime.fromisoformat(about()["ends"]) > before
    wait_for(lambda: not haeun.model()["servers"], "the server to be stopped", WARNING + 60)
    assert not [name for name in containers(engine, deployment) if "haeun" in name]
    assert ("server.stopped", "Madang", "st-haeun") in audit(service.page("?lang=en").text)


def test_the_mentor_stops_the_class(
    room: Classroom, minji: Person, engine: docker.DockerClient
) -> None:
    reply = room["st-teacher"].api("POST", f"class/{TEAM}/stop", json={"people": None})
    assert (reply.status_code, reply.json()["asked"]) == (202, 1), reply.text
    wait_for(lambda: state(room, "st-minji")["server"] is None, "the server to stop")
    assert not [name for name in containers(engine, room.deployment) if "minji" in name]
