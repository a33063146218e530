"""Lessons in a real user server: the link that opens one, and what the page in JupyterLab asks and does."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import nbformat
import pytest
from support.deployment import wait_for
from support.fake_hub import FakeHub, fake_hub
from support.lesson_shelf import shelf
from support.people import visible
from support.user_server import MENTOR, OWNER, STRANGER, Server, user_server

COPY = "배움/F0 셀과 커널.ipynb"
LONG_AGO = 1_700_000_000
EVERYBODY = {OWNER: "minji", MENTOR: "kim", STRANGER: "lee"}
LOOK_IN = {"minji", "kim"}


@pytest.fixture(scope="module")
def lessons(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shelf(tmp_path_factory.mktemp("shelf") / "lessons")


@pytest.fixture(scope="module")
def started(
    root: Path, lessons: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    with fake_hub(FakeHub("minji", EVERYBODY, {*LOOK_IN})) as hub:
        home, environ = tmp_path_factory.mktemp("home"), {"MADANG_LESSONS": str(lessons)}
        with user_server(root, home, hub, environ) as server:
            yield server


@pytest.fixture
def server(started: Server, lessons: Path) -> Server:
    """The server with the first version of the lessons and none of them opened."""
    shelf(lessons)
    for folder in ("배움", "lessons", ".madang/lessons"):
        for path in (started.home / folder).rglob("*"):
            if path.is_file():
                path.unlink()
    wait_for(lambda: started.ask("GET", "api/contents", MENTOR).ok, "the mentor to be let in", 10)
    return started


def listed(server: Server, token: str = OWNER, **options: Any) -> dict[str, Any]:
    reply = server.ask("GET", "madang/learn", token, **options)
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


def seen(server: Server) -> dict[str, Any]:
    copy: dict[str, Any] = listed(server)["lessons"][0]["copies"]["ko"]
    return copy


def do(server: Server, what: str, token: str = OWNER, **body: Any) -> Any:
    return server.ask(
        "POST",
        f"madang/learn/f0/{what}",
        token,
        json={"language": "ko", **body},
        headers={"Accept-Language": "ko-KR"},
        allow_redirects=False,
    )


def edit(server: Server, **texts: str) -> None:
    """As JupyterLab does: got, changed, saved, through the server's own contents; a while ago."""
    path = f"api/contents/{quote(COPY)}"
    model = server.ask("GET", path).json()
    for cell in model["content"]["cells"]:
        cell["source"] = texts.get(cell["id"], cell["source"])
    reply = server.ask(
        "PUT", path, json={"type": "notebook", "format": "json", "content": model["content"]}
    )
    assert reply.ok, reply.text
    os.utime(server.home / COPY, (LONG_AGO, LONG_AGO))


def texts(server: Server) -> dict[str, str]:
    model = server.ask("GET", f"api/contents/{quote(COPY)}").json()
    return {cell["id"]: cell["source"] for cell in model["content"]["cells"]}


def test_a_link_opens_a_copy_in_jupyterlab(server: Server) -> None:
    reply = server.ask("GET", "learn/f0", allow_redirects=False)
    assert reply.status_code == 302
    assert reply.headers["Location"] == f"/user/minji/lab/tree/{quote(COPY)}"
    assert texts(server)["fix"] == "print('version', 1)"
    edit(server, answer="mine")
    # again: what is there is opened, not made anew
    assert server.ask("GET", "learn/f0", allow_redirects=False).status_code == 302
    assert texts(server)["answer"] == "mine"
    english = server.ask("GET", "learn/f0?lang=en", allow_redirects=False)
    assert english.headers["Location"] == (
        f"/user/minji/lab/tree/{quote('lessons/F0 Cells and kernels.ipynb')}"
    )
    # Korean unless the link, or what was opened, says otherwise
    (server.home / COPY).unlink()
    assert "lessons" in server.ask("GET", "learn/f0", allow_redirects=False).headers["Location"]


@pytest.mark.parametrize(
    ("address", "language", "sentence"),
    [
        ("learn/nothing", "ko", "그런 실습이 없습니다"),
        ("learn/nothing?lang=en", "en", "There is no such lesson"),
        ("learn/%3Cscript%3E?lang=%22%3E", "ko", "그런 실습이 없습니다"),
        ("learn/..%2F..%2Fetc", "ko", "그런 실습이 없습니다"),
    ],
)
def test_an_unknown_lesson_is_a_friendly_page(
    server: Server, address: str, language: str, sentence: str
) -> None:
    reply = server.ask("GET", address, allow_redirects=False)
    assert reply.status_code == 404
    reply.encoding = "utf-8"
    assert sentence in visible(reply.text)
    assert f'lang="{language}"' in reply.text
    assert f'href="/user/minji/learn/f0?lang={language}"' in reply.text
    assert "<script" not in reply.text


def test_from_open_to_update_to_choice_to_reset_and_back(server: Server, lessons: Path) -> None:
    assert listed(server)["lessons"][0]["copies"] == {}
    assert [path["title"]["ko"] for path in listed(server)["paths"]] == ["첫 시간", "에너지"]
    opened = do(server, "open")
    assert opened.json() == {"path": COPY, "changes": [], "choices": []}
    (server.home / ".madang/lessons/progress.json").write_text('{"passed": {"f0.1": {}}}')
    first = listed(server)["lessons"][0]
    assert (first["passed"], first["checks"], first["copies"]["ko"]["path"]) == (1, 2, COPY)

    edit(server, fix="mine")
    shelf(lessons, 2)
    assert seen(server)["update"] is True
    updated = do(server, "update", etag=seen(server)["etag"]).json()
    assert updated["changes"] == [{"kind": "added", "cell": "more-2", "title": "print(2)"}]
    assert [choice["cell"] for choice in updated["choices"]] == ["fix"]
    assert texts(server)["fix"] == "mine"
    [choice] = seen(server)["choices"]
    assert (choice["mine"], choice["new"]) == ("mine", "print('version', 2)")

    chosen = do(server, "choose", cell="fix", how="new", etag=seen(server)["etag"])
    assert chosen.status_code == 200, chosen.text
    assert texts(server)["fix"] == "print('version', 2)"
    assert do(server, "choose", cell="fix", how="new").json()["reason"] == "settled"

    assert do(server, "reset").status_code == 200
    backups = seen(server)["backups"]
    assert len(backups) == 3
    assert do(server, "restore", backup=backups[-1]).status_code == 200
    nbformat.validate(json.loads((server.home / COPY).read_text("utf-8")))


def test_refusals_have_words_and_change_nothing(server: Server, lessons: Path) -> None:
    absent = do(server, "update")
    assert (absent.status_code, absent.json()["reason"]) == (404, "absent")
    do(server, "open")
    edit(server, answer="mine")
    shelf(lessons, 2)
    before = (server.home / COPY).read_bytes()
    stale = do(server, "update", etag="0" * 32)
    assert (stale.status_code, stale.json()["reason"]) == (409, "changed")
    assert "그사이 노트북이 바뀌어" in stale.json()["message"]
    os.utime(server.home / COPY)
    assert do(server, "update").json()["reason"] == "busy"
    (server.home / COPY).chmod(0o444)
    assert do(server, "update").json()["reason"] == "read-only"
    (server.home / COPY).chmod(0o644)
    for body in ({"language": "fr"}, {"etag": 3}, {"language": None}):
        assert do(server, "update", **body).json()["reason"] == "bad"
    assert server.ask("POST", "madang/learn/f0/update", data="[").json()["reason"] == "bad"
    assert do(server, "restore", backup="../../log").json()["reason"] == "no-backup"
    assert server.ask("POST", "madang/learn/zz/open", json={"language": "ko"}).status_code == 404
    assert server.ask("POST", "madang/learn/f0/open", data="x" * 2000).status_code == 413
    assert (server.home / COPY).read_bytes() == before


def test_trust_in_outputs_survives_an_update(server: Server, lessons: Path) -> None:
    """Else what a learner's own cells drew would be shown as text after it."""
    do(server, "open")
    path = f"api/contents/{quote(COPY)}"
    model = server.ask("GET", path).json()
    cell = next(one for one in model["content"]["cells"] if one["id"] == "answer")
    html = {"text/html": "<b>mine</b>"}
    cell["outputs"] = [{"output_type": "display_data", "data": html, "metadata": {}}]
    server.ask(
        "PUT", path, json={"type": "notebook", "format": "json", "content": model["content"]}
    )
    assert server.ask("POST", f"api/contents/{quote(COPY)}/trust").status_code == 201

    def trusted() -> bool:
        cells = server.ask("GET", path).json()["content"]["cells"]
        [found] = [one for one in cells if one["id"] == "answer"]
        assert found["outputs"][0]["data"] == html
        return bool(found["metadata"].get("trusted"))

    assert trusted()
    os.utime(server.home / COPY, (LONG_AGO, LONG_AGO))
    shelf(lessons, 2)
    assert do(server, "update").status_code == 200
    assert trusted()
    # what was not trusted before does not become so
    strange = json.loads((server.home / COPY).read_text("utf-8"))
    strange["metadata"]["from"] = "elsewhere"
    (server.home / COPY).write_text(json.dumps(strange))
    os.utime(server.home / COPY, (LONG_AGO, LONG_AGO))
    assert not trusted()
    shelf(lessons, 3)
    assert do(server, "update").status_code == 200
    assert not trusted()


def test_a_visitor_sees_but_changes_nothing(server: Server, lessons: Path) -> None:
    assert listed(server, MENTOR)["owner"] is False
    refused = server.ask("GET", "learn/f0", MENTOR, allow_redirects=False)
    assert refused.status_code == 403
    refused.encoding = "utf-8"
    assert "이 서버의 주인만" in visible(refused.text)
    assert not (server.home / COPY).exists()
    do(server, "open")
    edit(server, answer="mine")
    shelf(lessons, 2)
    before = (server.home / COPY).read_bytes()
    shown = server.ask("GET", "learn/f0", MENTOR, allow_redirects=False)
    assert (shown.status_code, "lab/tree" in shown.headers["Location"]) == (302, True)
    for what in ("open", "update", "reset", "choose", "restore"):
        for token in (MENTOR, STRANGER, "x" * 32, ""):
            assert do(server, what, token).status_code in (302, 403), (what, token)
    assert (server.home / COPY).read_bytes() == before


@pytest.mark.parametrize("path", ["learn/f0", "madang/learn"])
@pytest.mark.parametrize("token", [STRANGER, "x" * 32, ""])
def test_a_stranger_sees_nothing(server: Server, path: str, token: str) -> None:
    reply = server.ask("GET", path, token, allow_redirects=False)
    assert reply.status_code in (302, 403)
    assert "lab/tree" not in reply.headers.get("Location", "")
    assert not (server.home / COPY).exists()


def test_looking_is_no_activity(server: Server) -> None:
    def last() -> str:
        return str(server.ask("GET", "api/status?no_track_activity=1").json()["last_activity"])

    before = last()
    listed(server)
    assert last() == before


def test_a_broken_shelf_is_one_sentence_and_everything_else_works(
    server: Server, lessons: Path
) -> None:
    (lessons / "manifest.json").write_text("{")
    for _ in range(3):
        assert listed(server)["lessons"] == []
    assert server.ask("GET", "learn/f0").status_code == 404
    assert server.ask("GET", "madang/status").status_code == 200
    log = server.log.read_text("utf-8")
    assert log.count("There are no lessons: ") == 1
    assert "site-packages/madang_lab/" not in log, "a traceback of ours"
