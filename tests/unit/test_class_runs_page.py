"""The mentor's page of a class's runs while the Hub is away, at a tracking server that the test decides for."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from support.people import visible
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

from madang_hub.catalog import Catalog
from madang_hub.people.database import Database
from madang_hub.people.directory import Directory, Team
from madang_hub.people.directory import Person as Record
from madang_hub.people.service.app import application
from madang_hub.people.service.base import Base
from madang_hub.people.service.hub import Hub
from madang_hub.people.service.parts import assemble
from madang_hub.permissions import PEOPLE_ON_BEHALF
from madang_hub.places import Places
from madang_hub.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
CLASS = "class:ai-1"
PREFIX = "/services/people/"


class Auth:
    """In place of the Hub's sign-in: whoever the header ``X-Who`` names, with the token ``of-<name>``."""

    hub_prefix = "/hub/"
    hub_host = ""
    base_url = PREFIX
    login_url = "/hub/login"
    access_scopes: frozenset[str] = frozenset()

    def get_user(self, handler: Any, sync: bool = True) -> Any:
        user = {"name": handler.request.headers["X-Who"], "kind": "user", "scopes": []}
        if sync:
            return user

        async def later() -> Any:
            return user

        return later()

    def get_token(self, handler: Any) -> str:
        return f"of-{handler.request.headers['X-Who']}"

    def check_scopes(self, wanted: set[str], user: Any) -> bool:
        assert wanted == set(PEOPLE_ON_BEHALF)
        return bool(user["name"] != "before")


class Gate(RequestHandler):
    """Answers by workspace: ``u-shut`` is closed, ``u-odd`` fails; the others have more runs than are read."""

    async def post(self, what: str) -> None:
        workspace = self.request.headers["X-MLFLOW-WORKSPACE"]
        if self.request.headers["Authorization"] != "Bearer of-teacher":
            self.send_error(401)
        elif workspace == "u-shut":
            self.send_error(403)
        elif workspace == "u-odd":
            self.send_error(500)
        elif what == "experiments":
            self.finish({"experiments": [{"experiment_id": "7", "name": "<i>1과</i>"}]})
        else:
            assert json.loads(self.request.body)["experiment_ids"] == ["7"]
            metrics = [{"key": "<b>acc</b>", "value": 0.5}]
            info = {"run_id": "r", "experiment_id": "7", "status": "FINISHED", "start_time": 1}
            runs = [{"info": info, "data": {"metrics": metrics}}]
            self.finish({"runs": runs, "next_page_token": "more"})


class Desk:
    """The page as ``teacher`` sees it, and the gate behind it."""

    def __init__(self, url: str, gate: HTTPServer) -> None:
        self.url, self.gate = url, gate

    async def page(self, who: str = "teacher", language: str = "en") -> tuple[int, str]:
        headers = {"X-Who": who, "Accept-Language": language}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(f"{self.url}class/{CLASS}/runs") as reply,
        ):
            return reply.status, await reply.text()


@pytest.fixture
async def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    socket, port = bind_unused_port()
    pattern = r"/services/mlflow/api/2.0/mlflow/(experiments|runs)/search"
    gate = HTTPServer(Application([(pattern, Gate)], log_function=print))
    gate.add_socket(socket)
    settings = Settings.model_validate({"data": tmp_path, "tracking_port": port})
    places = Places(settings, "embedded")
    places.hub.mkdir()
    database = Database(places.database_url("hub"))
    directory = Directory(database)
    directory.save_team(Team(CLASS, "인공지능 1반"))
    directory.save_people([Record("ann", "김안나"), Record("teacher", "김멘토")])
    for name in ("ann", "ben", "shut", "odd"):
        directory.set_memberships(name, {CLASS: "trainee"}, "operator")
    for name in ("teacher", "before"):
        directory.set_memberships(name, {CLASS: "mentor"}, "operator")
    hub = Hub("http://127.0.0.1:9/hub/api", "t", "ko")
    parts = assemble(places, Catalog.load(ROOT / "images" / "images.toml"), database, hub)
    monkeypatch.setattr(Base, "_hub_auth", Auth())
    monkeypatch.setattr(Base, "get_current_user", lambda self: self.hub_auth.get_user(self))
    monkeypatch.setattr(Base, "_xsrf_text", lambda self: "xsrf")
    server = HTTPServer(application(parts, PREFIX, "/hub/", b"s" * 32))
    socket, port = bind_unused_port()
    server.add_socket(socket)
    yield Desk(f"http://127.0.0.1:{port}{PREFIX}", gate)
    for one in (server, gate):
        one.stop()
        await one.close_all_connections()
    await parts.tracking.close()
    await hub.close()
    database.close()


async def test_every_answer_has_its_words(desk: Desk) -> None:
    status, page = await desk.page()
    assert status == 200
    said = visible(page)
    assert "2 of 4 have started" in said
    assert "김안나 ann ✓ finished" in said
    assert "0.5 0.5 1+ Open" in said
    assert "odd no answer" in said
    assert "shut cannot be read yet" in said
    assert "For 1 person the tracking server gave no answer in time." in said
    assert "The runs of 1 person cannot be read yet" in said
    assert "Main metric: <b>acc</b> · higher is better" in said
    # what people wrote stays text
    assert "<b>acc" not in page
    assert "<i>1과" not in page
    assert "<i>1과</i> (2 people)" in said
    assert "teacher" not in said.partition("Lesson")[2]


async def test_an_absent_tracking_server_is_said_in_both_languages(desk: Desk) -> None:
    desk.gate.stop()
    await desk.gate.close_all_connections()
    for language, words in {
        "en": "The tracking server does not answer just now, so no runs can be shown.",
        "ko": "지금은 실험 기록 서버가 응답하지 않아 기록을 보여 줄 수 없습니다.",
    }.items():
        status, page = await desk.page(language=language)
        assert status == 503
        assert words in visible(page)
        assert "data-person" not in page


async def test_only_the_classs_mentors_with_the_right_come_so_far(desk: Desk) -> None:
    assert (await desk.page("ann"))[0] == 404
    assert (await desk.page("operator"))[0] == 404  # the admin of the settings
    status, page = await desk.page("before")
    assert status == 403
    assert "Sign out and in again" in visible(page)
