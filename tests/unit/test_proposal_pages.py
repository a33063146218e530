"""The pages and calls about proposals, served by the people service's own application without a Hub."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from support.people import visible
from support.proposals import FORM, proposal, zipped
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port

from madang_hub.catalog import Catalog
from madang_hub.people.database import Database
from madang_hub.people.directory import Directory, Team
from madang_hub.people.directory import Person as Record
from madang_hub.people.sentences import Sentence
from madang_hub.people.service.app import application
from madang_hub.people.service.base import Base
from madang_hub.people.service.hub import Hub
from madang_hub.people.service.parts import Parts, assemble
from madang_hub.places import Places
from madang_hub.settings import Settings
from madang_hub.shelf import checkout
from madang_hub.shelf.locking import Lock, Locker, LockingError

ROOT = Path(__file__).resolve().parents[2]
CLASS = "class:ai-1"
PREFIX = "/services/people/"
LOCK = Lock("python-docx==1.2.0 \\\n    --hash=sha256:00\n", (("python-docx", "1.2.0"),))


class Auth:
    """In place of the Hub's sign-in: whoever the header ``X-Who`` names."""

    hub_prefix = "/hub/"
    base_url = PREFIX
    login_url = "/hub/login"
    access_scopes: frozenset[str] = frozenset()

    def get_user(self, handler: Any, sync: bool = True) -> Any:
        name = handler.request.headers.get("X-Who") or handler.get_cookie("who")
        user = {"name": name, "kind": "user"} if name else None
        if sync:
            return user

        async def later() -> Any:
            return user

        return later()


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    """An embedded Madang's stores with a class: 김멘토 leads it, 이학생 is in it, 박관리 is an admin."""
    places = Places(Settings.model_validate({"data": tmp_path}), "embedded")
    places.hub.mkdir()
    database = Database(places.database_url("hub"))
    directory = Directory(database)
    directory.save_team(Team(CLASS, "인공지능 1반"))
    directory.save_people(
        [
            Record("teacher", "김멘토"),
            Record("kim", "이학생"),
            Record("other", "최멘토"),
            Record("boss", "박관리", admin=True),
        ]
    )
    directory.set_memberships("teacher", {CLASS: "mentor"}, "operator")
    directory.set_memberships("kim", {CLASS: "trainee"}, "operator")
    directory.set_memberships("other", {"class:b": "mentor"}, "operator")
    hub = Hub("http://127.0.0.1:9/hub/api", "t", "ko")
    yield assemble(places, Catalog.load(ROOT / "images" / "images.toml"), database, hub)
    await hub.close()
    database.close()


@pytest.fixture
async def url(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    monkeypatch.setattr(Base, "_hub_auth", Auth())
    monkeypatch.setattr(Base, "get_current_user", lambda self: self.hub_auth.get_user(self))
    monkeypatch.setattr(Base, "_xsrf_text", lambda self: "xsrf")
    server = HTTPServer(application(parts, PREFIX, "/hub/", b"s" * 32))
    socket, port = bind_unused_port()
    server.add_socket(socket)
    yield f"http://127.0.0.1:{port}{PREFIX}"
    server.stop()
    await server.close_all_connections()


@pytest.fixture
def locked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What uv was asked for; it answers with one package."""
    asked: list[tuple[str, ...]] = []

    def lock(self: Locker, requirements: tuple[str, ...], parent: str) -> Lock:
        asked.append(requirements)
        return LOCK

    monkeypatch.setattr(Locker, "lock", lock)
    return asked


class Visitor:
    """Somebody who asks the service."""

    def __init__(self, url: str, name: str, language: str = "ko") -> None:
        self.url = url
        self.headers = {"X-Who": name, "Accept-Language": language, "X-XSRFToken": "xsrf"}

    async def ask(self, method: str, path: str, **body: Any) -> tuple[int, Any]:
        async with (
            aiohttp.ClientSession(headers=self.headers) as session,
            session.request(method, self.url + path, **body) as reply,
        ):
            is_json = reply.content_type == "application/json"
            return reply.status, await (reply.json() if is_json else reply.text())

    async def page(self, path: str) -> str:
        status, text = await self.ask("GET", path)
        assert status == 200, text
        return visible(text)

    async def propose(self, files: dict[str, str | bytes], **form: Any) -> tuple[int, Any]:
        data = aiohttp.FormData()
        for name, value in {"team": CLASS, **FORM, **form}.items():
            for one in value if isinstance(value, list) else [value]:
                data.add_field(name, one)
        data.add_field("archive", zipped(files), filename="course.zip")
        return await self.ask("POST", "api/proposals", data=data)

    async def decide(self, identity: int, step: str, reason: str = "") -> tuple[int, Any]:
        return await self.ask("POST", f"api/proposals/{identity}/{step}", json={"reason": reason})


async def test_from_the_form_to_the_decision(
    url: str, parts: Parts, locked: list[tuple[str, ...]]
) -> None:
    teacher, boss = Visitor(url, "teacher"), Visitor(url, "boss", "en")
    status, made = await teacher.propose(
        {"requirements.txt": "python-docx>=1", "apt.txt": "tree", "setup.py": "x"}
    )
    assert (status, locked) == (201, [("python-docx>=1",)])
    seen = await boss.page(f"proposals/{made['id']}")
    for words in ("python-docx 1.2.0", "tree", "setup.py is not run", "embedded mode", "김멘토", "Approve",
                  "Makes reports", "보고서와", "course.zip", "--hash=sha256:00"):  # fmt: skip
        assert words in seen, words
    assert "승인" not in await teacher.page(f"proposals/{made['id']}")
    assert (await teacher.decide(made["id"], "approve"))[0] == 404
    assert (await boss.decide(made["id"], "approve"))[0] == 200
    assert "approved, waits for the build" in await boss.page("proposals")
    assert (await boss.decide(made["id"], "reject", "late"))[0] == 409
    status, answer = await teacher.decide(made["id"], "withdraw")
    assert (status, "이유를" in answer["message"]) == (400, True)
    assert (await teacher.decide(made["id"], "withdraw", "학기가 끝났습니다."))[0] == 200
    assert "학기가 끝났습니다." in await teacher.page("proposals")
    actions = [(e.actor, e.action) for e in parts.audit.read(team=CLASS)]
    assert actions == [
        ("teacher", "proposal.withdrawn"),
        ("boss", "proposal.approved"),
        ("teacher", "proposal.made"),
    ]


async def test_all_faults_come_at_once_and_nothing_is_kept(
    url: str, parts: Parts, locked: list[tuple[str, ...]]
) -> None:
    files: dict[str, str | bytes] = {"requirements.txt": "-e .\n", "postBuild": "x", "apt.txt": "A"}
    status, answer = await Visitor(url, "teacher").propose(files)
    assert status == 422
    assert [f.partition(" ")[0] for f in answer["faults"]] == [
        "postBuild:",
        "requirements.txt:1:",
        "apt.txt:1:",
    ]
    assert "저장소의 폴더" in answer["faults"][1]
    assert parts.proposals.read() == []
    assert locked == []


async def test_a_repository_by_its_address(
    url: str, parts: Parts, locked: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(address: str, ref: str, allowed: object, environ: object) -> checkout.Found:
        checkout.checked(address, ref)
        return checkout.Found("0123456789abcdef", {"requirements.txt": b"rich"})

    monkeypatch.setattr(checkout, "fetch", fetch)
    teacher = Visitor(url, "teacher")

    async def propose(address: str, ref: str = "") -> tuple[int, Any]:
        fields = [(n, v) for n, v in FORM.items() if n != "sizes"] + [("sizes", "small")]
        data = aiohttp.FormData([*fields, ("team", CLASS), ("address", address), ("ref", ref)])
        return await teacher.ask("POST", "api/proposals", data=data)

    status, made = await propose("https://git.example.org/course.git", "v1")
    assert status == 201, made
    seen = await teacher.page(f"proposals/{made['id']}")
    assert "https://git.example.org/course.git v1 (0123456789ab)" in seen
    status, answer = await propose("git@example.org:course.git")
    assert (status, "https://server" in answer["faults"][0]) == (422, True)
    assert (await propose(""))[0] == 400
    both = await teacher.propose({"apt.txt": "tree"}, address="https://git.example.org/x")
    assert both[0] == 400


async def test_without_a_package_index_the_person_reads_why(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(self: Locker, *rest: Any) -> Lock:
        raise LockingError(
            Sentence("The packages could not be looked up in time. Try again later."), "uv"
        )

    monkeypatch.setattr(Locker, "lock", away)
    status, answer = await Visitor(url, "teacher").propose({"requirements.txt": "rich"})
    assert (status, answer["message"]) == (
        503,
        "제시간에 패키지를 찾지 못했습니다. 나중에 다시 시도해 주세요.",
    )


@pytest.mark.parametrize(
    "form", [{"title_en": ""}, {"sizes": ["large"]}, {"sizes": []}, {"purpose_ko": "x" * 201}]
)
async def test_a_form_that_cannot_be_is_refused(
    url: str, parts: Parts, locked: list[tuple[str, ...]], form: dict[str, Any]
) -> None:
    status, answer = await Visitor(url, "teacher").propose({"apt.txt": "tree"}, **form)
    assert status == 400
    assert answer["message"]
    assert parts.proposals.read() == []


@pytest.mark.parametrize("who", ["kim", "other", "boss"])
async def test_only_mentors_of_the_team_propose(
    url: str, parts: Parts, locked: list[tuple[str, ...]], who: str
) -> None:
    assert (await Visitor(url, who).propose({"apt.txt": "tree"}))[0] == 404
    assert parts.proposals.read() == []


@pytest.mark.parametrize(
    ("who", "status"), [("kim", 404), ("other", 404), ("teacher", 200), ("boss", 200)]
)
async def test_who_sees_a_proposal(url: str, parts: Parts, who: str, status: int) -> None:
    identity = parts.proposals.add(proposal(CLASS, "teacher", datetime.now(UTC)))
    assert (await Visitor(url, who).ask("GET", f"proposals/{identity}"))[0] == status
    assert ("그래프" in (await Visitor(url, who).ask("GET", "proposals"))[1]) == (status == 200)
    if status == 404:
        for step in ("approve", "reject", "withdraw"):
            assert (await Visitor(url, who).decide(identity, step, "x"))[0] == 404


async def test_a_team_cannot_fill_the_list(
    url: str, parts: Parts, locked: list[tuple[str, ...]]
) -> None:
    for _ in range(20):
        parts.proposals.add(proposal(CLASS, "teacher", datetime.now(UTC)))
    status, answer = await Visitor(url, "teacher").propose({"apt.txt": "tree"})
    assert (status, "20건" in answer["message"]) == (409, True)


async def test_texts_of_people_are_text(url: str, parts: Parts) -> None:
    awkward = "<b>&'\"{x}%s"
    identity = parts.proposals.add(
        proposal(CLASS, "teacher", datetime.now(UTC), files={"apt.txt": awkward}, notes=(awkward,))
    )
    status, text = await Visitor(url, "boss").ask("GET", f"proposals/{identity}")
    assert status == 200
    assert "<b>" not in text
    assert awkward in visible(text)
