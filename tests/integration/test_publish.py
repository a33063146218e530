"""*Publish* in a real user server: what JupyterLab's page asks and does, and what reaches the service."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from support.dashboards_api import Verdict
from support.deployment import wait_for
from support.publishing import AUTHOR, KEY, Author, author, book, sales
from support.user_server import MENTOR, OWNER, STRANGER

KOREAN = {"Accept-Language": "ko-KR"}
PATH = "판매/판매.ipynb"
AUDIENCE = {"people": ["hana"], "teams": [], "everyone": False}
WISH = {"path": PATH, "title": "판매", "audience": AUDIENCE, "size": "small"}


@pytest.fixture(scope="module")
def started(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Author]:
    with author(root, tmp_path_factory.mktemp("author")) as found:
        yield found


@pytest.fixture
def minji(started: Author) -> Author:
    """The author with one notebook in a folder, at a service that answers."""
    sales(started.home)
    (started.home / "판매" / "key.py").unlink(missing_ok=True)
    api = started.api
    api.away, api.verdict, api.actors[OWNER] = False, Verdict(), AUTHOR
    api.slow.set()
    api.arrived.clear()
    api.seen.clear()
    return started


def mine(minji: Author, path: str = "", token: str = OWNER) -> dict[str, Any]:
    reply = minji.server.ask("GET", f"madang/publish/mine?new=1&path={quote(path)}", token)
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


def planned(minji: Author, path: str = PATH, **options: Any) -> Any:
    return minji.server.ask("GET", f"madang/publish/plan?path={quote(path)}", **options)


def send(minji: Author, body: object = WISH, **options: Any) -> Any:
    return minji.server.ask("POST", "madang/publish/send", json=body, **options)


def end(minji: Author, reply: Any, stages: tuple[str, ...] = ("done", "failed", "stopped")) -> Any:
    """The course that was begun, when it is at one of these stages."""
    assert reply.status_code == 202, reply.text
    found: dict[str, Any] = {}

    def there() -> bool:
        found.update(minji.server.ask("GET", f"madang/publish/courses/{reply.json()['id']}").json())
        return found["stage"] in stages

    wait_for(there, f"one of {stages}", 30)
    return found


def test_from_the_plan_to_the_link(minji: Author) -> None:
    before = mine(minji, PATH)
    assert (before["state"], before["publishes"], before["last"]) == ("on", True, "")
    assert before["teams"][0] == {"name": "class:2026-a", "title": "인공지능 1반"}
    assert before["sizes"][1] == {"name": "medium", "title": "Medium (2 GB)"}
    plan = planned(minji, headers=KOREAN).json()
    assert plan["title"] == "판매 현황"
    assert [f["path"] for f in plan["files"]] == ["판매.ipynb", "표.csv"]
    assert plan["left"] == [{"path": ".env", "why": "hidden"}]
    assert re.fullmatch(r"파일 2개, \d+ (B|KB), 폴더: ~/판매", plan["summary"][0])
    assert (plan["stops"], plan["warnings"], plan["secrets"]) == ([], [], 0)
    course = end(minji, send(minji, {**WISH, "seen": plan["seen"]}, headers=KOREAN))
    assert (course["stage"], course["message"]) == ("done", "‘판매’을(를) 게시했습니다.")
    after = mine(minji, PATH)
    assert after["last"] == course["slug"]
    [one] = [d for d in after["dashboards"] if d["slug"] == course["slug"]]
    assert (one["mine"], one["current"], one["audience"]["people"]) == (True, 1, ["hana"])
    found = minji.api.store.find(course["slug"])
    assert found is not None
    assert found.owner == "minji"


def test_a_cell_that_fails_is_named(minji: Author) -> None:
    minji.api.verdict = Verdict(passed=False, why="ZeroDivisionError", cell=2)
    course = end(minji, send(minji, headers=KOREAN))
    assert (course["stage"], course["cell"], course["traceback"]) == (
        "failed",
        2,
        "ZeroDivisionError",
    )
    assert course["message"].startswith("점검에서 2번 셀이 실패해")


def test_one_at_a_time_and_it_can_be_stopped(minji: Author) -> None:
    minji.api.slow.clear()
    first = send(minji)
    assert minji.api.arrived.wait(30)
    busy = send(minji, headers=KOREAN)
    assert (busy.status_code, busy.json()["message"][:6]) == (409, "이미 게시하")
    stop = f"madang/publish/courses/{first.json()['id']}/stop"
    reply = minji.server.ask("POST", stop)
    assert (reply.status_code, reply.json()["stage"]) == (200, "stopped")
    minji.api.slow.set()
    assert end(minji, first)["stage"] == "stopped"
    # and the next one goes
    assert end(minji, send(minji))["stage"] == "done"


def test_what_is_sent_is_not_stopped_any_more(minji: Author) -> None:
    minji.api.verdict = None
    begun = send(minji)
    assert end(minji, begun, ("checking",))["stoppable"] is False
    stop = f"madang/publish/courses/{begun.json()['id']}/stop"
    reply = minji.server.ask("POST", stop)
    assert (reply.status_code, "take the dashboard off" in reply.json()["message"]) == (409, True)
    minji.api.verdict = Verdict()
    assert end(minji, begun)["stage"] == "done"


def test_warnings_and_secrets(minji: Author) -> None:
    sales(minji.home, ("code", "open('/home/kim/x.csv')"))
    (minji.home / "판매" / "key.py").write_text(f"x = '{KEY}'\n")
    plan = planned(minji).json()
    assert (len(plan["warnings"]), plan["secrets"]) == (2, 1)
    assert KEY not in str(plan)
    refused = end(minji, send(minji, {**WISH, "seen": plan["seen"]}))
    assert (refused["stage"], minji.api.seen) == ("failed", [])
    despite = {**WISH, "seen": plan["seen"], "despite": True}
    assert end(minji, send(minji, despite))["stage"] == "done"
    # not what was looked at
    (minji.home / "판매" / "more.txt").write_text("x")
    assert "has changed" in end(minji, send(minji, despite))["message"]
    (minji.home / "판매" / "more.txt").unlink()


def test_a_notebook_in_the_home_stops_with_a_sentence(minji: Author) -> None:
    (minji.home / "홈.ipynb").write_text(book(("code", "1")), "utf-8")
    plan = planned(minji, "홈.ipynb", headers=KOREAN).json()
    assert (plan["files"], len(plan["stops"])) == ([], 1)
    assert "홈 전체를 게시하게 됩니다" in plan["stops"][0]


@pytest.mark.parametrize(
    "path",
    ["", "판매", "none.ipynb", "판매/표.csv", "../판매.ipynb", "판매/../../x.ipynb", "\0.ipynb"],
)
def test_only_a_notebook_of_the_home(minji: Author, path: str) -> None:
    reply = planned(minji, path, headers=KOREAN)
    assert reply.status_code == 404
    assert reply.json()["message"].startswith("노트북을 찾을 수 없습니다")
    assert send(minji, {**WISH, "path": path}).status_code == 404
    assert minji.api.seen == []


def test_a_link_out_of_the_home_is_no_notebook_of_it(minji: Author, tmp_path: Path) -> None:
    sales(tmp_path)
    link = minji.home / "elsewhere"
    link.symlink_to(tmp_path / "판매")
    try:
        assert planned(minji, "elsewhere/판매.ipynb").status_code == 404
    finally:
        link.unlink()


@pytest.mark.parametrize("body", [[], {}, {"path": PATH}, {**WISH, "title": 5}, "x"])
def test_a_wish_that_is_none(minji: Author, body: object) -> None:
    assert send(minji, body).status_code == 400
    assert minji.api.seen == []


def test_who_looks_in_publishes_nothing(minji: Author) -> None:
    wait_for(
        lambda: minji.server.ask("GET", "api/contents", MENTOR).ok, "the mentor to be let in", 10
    )
    assert mine(minji, token=MENTOR)["state"] == "none"
    course = "madang/publish/courses/" + "a" * 32
    for token in (MENTOR, STRANGER, "x" * 32, ""):
        for method, path in (
            ("GET", f"madang/publish/plan?path={quote(PATH)}"),
            ("POST", "madang/publish/send"),
            ("GET", course),
            ("POST", f"{course}/stop"),
        ):
            reply = minji.server.ask(method, path, token, json=WISH, allow_redirects=False)
            assert reply.status_code in (302, 403), (token, path, reply.status_code)
    assert minji.api.seen == []


def test_who_may_not_publish_is_told_so(minji: Author) -> None:
    minji.api.actors[OWNER] = replace(AUTHOR, publishes=False)
    assert mine(minji)["publishes"] is False
    course = end(minji, send(minji, headers=KOREAN))
    assert course["message"] == "대시보드를 게시할 권한이 없습니다. 멘토나 관리자에게 문의하세요."


def test_the_service_away_and_back(minji: Author) -> None:
    assert mine(minji)["state"] == "on"
    minji.api.away = True
    assert mine(minji)["state"] == "away"
    assert "응답하지 않습니다" in end(minji, send(minji, headers=KOREAN))["message"]
    minji.api.away = False
    assert mine(minji)["state"] == "on"


def test_a_long_wish_is_refused(minji: Author) -> None:
    assert send(minji, {**WISH, "more": "x" * 70_000}).status_code == 413
    assert end(minji, send(minji, {**WISH, "description": "가" * 2000}))["stage"] == "done"


def test_nobody_reads_a_token(minji: Author) -> None:
    answers = [mine(minji), planned(minji).json(), end(minji, send(minji))]
    assert OWNER not in str(answers)
    log = minji.server.log.read_text()
    assert OWNER not in log
    assert "site-packages/madang_lab/" not in log, "a traceback of ours"
