"""The mentor's page of a class's runs, with a real Hub, gate and MLflow: who sees whose, and what is said."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

import pytest
import requests
from support.academy import Academy, academy
from support.classroom import AtService, places
from support.deployment import Deployment
from support.people import Person, visible
from support.runs import Notebook, notebook, tracking_frozen
from tornado.web import create_signed_value

from madang_hub.people.directory import Person as Record
from madang_hub.people.directory import Team
from madang_hub.places import read_secret

CLASS, OTHER = "class:runs-a", "class:runs-b"
LESSON = "1과 회귀/분석"
PAGE = f"class/{CLASS}/runs"


@dataclass
class Room:
    """Everybody has signed in but ``cr-late``."""

    here: Academy
    mentor: AtService
    other_mentor: AtService
    notebooks: dict[str, Notebook]

    def page(self, query: str = "", who: AtService | None = None) -> requests.Response:
        return (who or self.mentor).page(PAGE + query, **{"Accept-Language": "ko"})


@pytest.fixture(scope="module")
def room(embedded_mode: Deployment) -> Iterator[Room]:
    with academy(embedded_mode) as here:
        here.directory.save_team(Team(CLASS, "회귀 입문반"))
        people = {
            name: here.comes(name, {CLASS: "trainee"}) for name in ("cr-ann", "cr-ben", "cr-dan")
        }
        here.directory.save_people(
            [
                Record("cr-ann", "김안나"),
                Record("cr-ben", "<b>이벤</b>"),
                Record("cr-late", "박늦음"),
            ]
        )
        here.place("cr-late", {CLASS: "trainee"})
        outsider = here.comes("cr-out", {OTHER: "trainee"})
        notebooks = {name: notebook(person) for name, person in people.items()}
        notebooks["cr-out"] = notebook(outsider)
        now = time.time()
        ann, ben = notebooks["cr-ann"], notebooks["cr-ben"]
        base = {"madang.role": "baseline", "madang.main_metric": "mae"}
        ann.log(LESSON, "base", {"mae": [9.0]}, started=now - 900, tags=base)
        ann.log(LESSON, "good", {"mae": [8.0, 2.5], "loss": [1]}, started=now - 800)
        ann.log(LESSON, "latest", {"mae": [3.0]}, status="RUNNING", started=now - 700)
        ben.log(LESSON, "only", {"mae": [4.0]}, status="FAILED", started=now - 600)
        notebooks["cr-dan"].log("cr-dan", "somewhere", {"acc": [0.5]})
        notebooks["cr-out"].log(LESSON, "outside", {"mae": [0.1]})
        mentor = here.comes("cr-mia", {CLASS: "mentor"})
        other = here.comes("cr-max", {OTHER: "mentor"})
        yield Room(here, AtService(mentor), AtService(other), notebooks)


def rows(page: str) -> dict[str, str]:
    """What stands in each person's row."""
    found = re.findall(r'(?s)<tr data-person="([^"]+)".*?>(.*?)</tr>', page)
    return {name: visible(row) for name, row in found}


def test_people_stand_side_by_side(room: Room) -> None:
    reply = room.page()
    assert reply.status_code == 200, reply.text
    # the lesson that two people have is shown without asking; the own experiment is offered, too
    assert f'<option value="{LESSON}" selected>' in reply.text
    found = rows(reply.text)
    assert set(found) == {"cr-ann", "cr-ben", "cr-dan", "cr-late"}
    assert re.search(r"김안나 cr-ann ● 실행 중 .* 3 2\.5 2 열기", found["cr-ann"]), found
    assert re.search(r"이벤.* ✕ 실패 .* 4 4 1 열기", found["cr-ben"]), found
    assert "시작하지 않음" in found["cr-dan"]
    assert "로그인한 적 없음" in found["cr-late"]
    said = visible(reply.text)
    assert "4명 중 2명이 시작했습니다" in said
    assert "주요 지표: mae · 낮을수록 좋음" in said
    assert re.search("아직 시작하지 않은 사람: .*박늦음", said)
    assert "<b>이벤" not in reply.text


def test_a_link_leads_to_the_run(room: Room) -> None:
    ann = room.notebooks["cr-ann"]
    experiment = ann.experiment(LESSON)
    [run] = re.findall(
        rf'href="/services/mlflow/#/experiments/{experiment}/runs/([0-9a-f]+)\?workspace=u-cr-ann"',
        room.page().text,
    )
    found = ann.ask("GET", "runs/get", params={"run_id": run}).json()["run"]
    assert found["info"]["run_name"] == "latest"


def test_other_lessons_and_orders(room: Room) -> None:
    own = room.page("?experiment=").text
    assert "✓ 완료" in rows(own)["cr-dan"]
    assert "시작하지 않음" in rows(own)["cr-ann"]
    unknown = room.page("?experiment=nobody-has-it").text
    assert "4명 중 0명이 시작했습니다" in visible(unknown)
    lesson = quote(LESSON, safe="")
    best = list(rows(room.page(f"?experiment={lesson}&sort=best").text))
    assert best[:2] == ["cr-ann", "cr-ben"], "lower is better comes first"
    worst = room.page(f"?experiment={lesson}&sort=best&order=down").text
    assert list(rows(worst))[:2] == ["cr-ben", "cr-ann"]
    assert 'aria-sort="descending"' in worst
    # nonsense is the usual order
    assert set(rows(room.page("?sort=nonsense&order=sideways").text)) == set(best)


def test_nobody_else_sees_it(room: Room) -> None:
    trainee = AtService(Person(room.here.deployment, "cr-ann", "세 낱말로 된 비밀번호"))
    trainee.person.sign_in(follow=False)
    for someone in (room.other_mentor, trainee, AtService(room.here.admin())):
        reply = room.page(who=someone)
        assert reply.status_code == 404, someone.name
        assert "cr-ben" not in reply.text
    # a team's people share a workspace; there is nothing to show side by side
    assert room.mentor.page("class/team:runs/runs").status_code == 404
    stranger = requests.get(room.mentor.base + PAGE, timeout=30, allow_redirects=False)
    assert stranger.is_redirect
    # and the link to it is only for mentors
    assert PAGE in room.mentor.page(f"class/{CLASS}").text
    assert PAGE not in AtService(room.here.admin()).page(f"class/{CLASS}").text


def test_the_service_itself_may_read_nothing(room: Room) -> None:
    """What the page shows, it reads with the mentor's token and the mentor's rights."""
    secret = read_secret(places(room.here.deployment).secrets, "people_token")
    ann = room.notebooks["cr-ann"]
    by_service = Notebook(ann.deployment, "cr-ann", secret)
    assert by_service.ask("POST", "experiments/search", json={}).status_code == 403
    assert ann.ask("POST", "experiments/search", json={"max_results": 1}).status_code == 200


def test_the_gates_word_counts_not_the_directorys(room: Room) -> None:
    """Somebody who is put into the class and does not come by is in no group of the Hub's yet."""
    room.here.place("cr-out", {CLASS: "trainee"})
    try:
        reply = room.page()
        assert "아직 읽을 수 없음" in rows(reply.text)["cr-out"]
        assert "1명의 기록은 아직 읽을 수 없습니다" in visible(reply.text)
        assert "cr-ann" in rows(reply.text)
    finally:
        room.here.place("cr-out", {OTHER: "trainee"})


def test_a_sign_in_without_the_right_is_told_what_to_do(room: Room) -> None:
    """As browsers had it before the page came with an update."""
    body = {"scopes": ["access:services!service=people"], "expires_in": 600}
    person = room.mentor.person
    token = person.api("POST", f"/users/{person.name}/tokens", json=body).json()["token"]
    secret = bytes.fromhex(read_secret(places(room.here.deployment).secrets, "people_cookies"))
    cookie = create_signed_value(secret, "service-people", token).decode()
    reply = requests.get(
        room.mentor.base + PAGE,
        headers={"Cookie": f"service-people={cookie}", "Sec-Fetch-Mode": "navigate"},
        timeout=60,
        allow_redirects=False,
    )
    reply.encoding = "utf-8"
    assert reply.status_code == 403, reply.text
    assert "다시 로그인해 주세요" in reply.text


def test_an_absent_tracking_server_is_said(room: Room) -> None:
    with tracking_frozen(room.here.deployment):
        began = time.monotonic()
        reply = room.page()
        assert time.monotonic() - began < 25
        assert reply.status_code == 503
        assert "실험 기록 서버가 응답하지 않아" in visible(reply.text)
        assert room.mentor.page(f"class/{CLASS}").status_code == 200
    assert room.page().status_code == 200
