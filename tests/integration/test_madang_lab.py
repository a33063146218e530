"""A real user server with Madang's part in it, and a Hub whose answers the test decides."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from support.deployment import wait_for
from support.fake_hub import FakeHub, fake_hub
from support.user_server import MENTOR, OWNER, STRANGER, Server, user_server

from madang_hub.deploy import envs, lab_extension

LOOK_IN = {
    "id": 5,
    "mentor": "kim",
    "mentor_name": "김선생",
    "reason": "질문",
    "began": "2026-11-21T10:00:00+00:00",
    "until": "2026-11-21T10:30:00+00:00",
}
ME = {
    "name": "minji",
    "now": "2026-11-21T10:00:00+00:00",
    "server": {
        "name": "",
        "ends": "2026-11-21T11:00:00+00:00",
        "why": "class",
        "warning": True,
        "can_extend": True,
        "extended_until": None,
    },
    "announcements": [{"id": 1, "text": "안녕", "team": "class:a", "from": "", "until": ""}],
    "look_ins": [LOOK_IN],
}

LEASE = "a" * 32
LENDING = {
    "now": "2026-11-21T10:00:00+00:00",
    "lending": True,
    "longest": 28800,
    "after": "cpu",
    "requests": [
        {
            "id": LEASE,
            "state": "active",
            "ends": "2026-11-21T11:00:00+00:00",
            "slots": [{"id": "GPU-1", "model": "NVIDIA H100", "memory": 2**36, "health": "good"}],
            "device": [{"id": "GPU-1", "utilisation": 37, "used_memory": 2**34}],
        }
    ],
}


@pytest.fixture(scope="module")
def started(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    people = {OWNER: "minji", MENTOR: "kim", STRANGER: "lee"}
    with fake_hub(FakeHub("minji", people, {"minji"})) as hub:
        environ = {
            "MADANG_ACCELERATORS_URL": f"{hub.url}/services/accelerators",
            "MADANG_LEASE": LEASE,
            "MADANG_PEOPLE_URL": f"{hub.url}/services/people",
            "MLFLOW_TRACKING_URI": "http://hub.madang:8000/services/mlflow",
            "MEM_LIMIT": str(3 * 2**30),
        }
        with user_server(root, tmp_path_factory.mktemp("home"), hub, environ) as server:
            yield server


def page_config(server: Server) -> dict[str, Any]:
    page = server.ask("GET", "lab").text
    config = re.search(r'id="jupyter-config-data"[^>]*>(.*?)</script>', page, re.DOTALL)
    assert config
    found: dict[str, Any] = json.loads(config[1])
    return found


def test_the_page_knows_what_kernels_call_the_tracking_server(started: Server) -> None:
    assert page_config(started)["madangTracking"] == "http://hub.madang:8000/services/mlflow"


def test_jupyterlab_is_not_offered_to_be_built_anew(started: Server) -> None:
    """Nobody can build it here, and looking whether it should be starts Node twice for every page."""
    config = page_config(started)
    assert (config["buildAvailable"], config["buildCheck"]) == (False, False)


@pytest.fixture
def server(started: Server) -> Server:
    """The server, with everything as it should be, the mentor inside."""
    hub = started.hub
    hub.me, hub.inside = ME, {"minji", "kim"}
    hub.refusal, hub.down, hub.away, hub.lending = "", False, False, LENDING
    # what a test before saw is old by now for this server
    started.ask("POST", "madang/extend")
    wait_for(lambda: started.ask("GET", "api/contents", MENTOR).ok, "the mentor to be let in", 10)
    hub.told.clear()
    return started


def test_the_owner_sees_memory_time_and_notices(server: Server) -> None:
    found = server.status()
    assert found["owner"] is True
    assert found["memory"]["limit"] == 3 * 2**30
    assert found["memory"]["enforced"] is False
    assert 2**20 < found["memory"]["used"] < 2**33
    assert found["me"]["server"]["why"] == "class"
    assert found["me"]["announcements"][0]["text"] == "안녕"
    assert found["me"]["look_ins"][0]["mentor_name"] == "김선생"


def test_own_packages_are_for_the_owner(server: Server) -> None:
    assert server.status()["packages"] == {"trouble": "", "shadows": [], "key": ""}
    assert server.status(MENTOR)["packages"] is None


def test_no_token_reaches_the_browser(server: Server) -> None:
    server.hub.me = {**ME, "token": OWNER}
    server.ask("POST", "madang/extend")
    assert OWNER not in server.ask("GET", "madang/status").text


def test_all_tabs_together_ask_each_service_once(server: Server) -> None:
    server.ask("POST", f"madang/leases/{LEASE}/leave")
    server.hub.told.clear()
    server.ask("POST", "madang/extend")
    for _ in range(5):
        server.status()
    # the broker has been asked after the step before
    assert [told.path for told in server.hub.told] == ["api/me/extend", "api/me"]


def test_looking_is_no_activity(server: Server) -> None:
    def last() -> str:
        return str(server.ask("GET", "api/status?no_track_activity=1").json()["last_activity"])

    before = last()
    server.status()
    assert last() == before


def test_a_visitor_sees_the_own_look_in_only(server: Server) -> None:
    server.hub.me = {**ME, "look_ins": [LOOK_IN, {**LOOK_IN, "id": 6, "mentor": "other"}]}
    server.ask("POST", "madang/extend")
    found = server.status(MENTOR)
    assert found["owner"] is False
    assert [look["id"] for look in found["me"]["look_ins"]] == ["5"]
    assert found["me"]["announcements"] == []
    assert found["me"]["server"] is None


def test_the_owner_sees_what_is_lent_and_a_visitor_does_not(server: Server) -> None:
    assert server.ask("POST", f"madang/leases/{LEASE}/leave").status_code == 200
    found = server.status()["lending"]
    assert (found["state"], found["after"], found["page"]) == (
        "on",
        "cpu",
        "/services/accelerators/",
    )
    [lease] = found["leases"]
    assert (lease["here"], lease["devices"][0]["used_memory"]) == (True, 2**34)
    assert server.status(MENTOR)["lending"] is None


def test_what_the_owner_does_with_an_accelerator_reaches_the_broker(server: Server) -> None:
    language = {"Accept-Language": "ko-KR"}
    for what, sent, told in (
        ("extend", {"minutes": 90, "more": 1}, {"minutes": 90}),
        ("give-back", {}, {}),
        ("take", {"restart": False}, {"restart": True}),
        ("leave", {}, {}),
    ):
        path = f"madang/leases/{LEASE}/{what}"
        reply = server.ask("POST", path, json=sent, headers=language)
        # what ends the server is answered at once
        last = what in ("give-back", "take")
        assert reply.status_code == (202 if last else 200)
        assert ("lending" in reply.json()) is not last
        [step] = [one for one in server.hub.told if one.path.startswith("api/requests/")]
        assert step.path == f"api/requests/{LEASE}/{what}"
        assert (step.body, step.language) == (told, "ko-KR")
        server.hub.told.clear()
    server.hub.refusal = "기다리는 사람이 있습니다."
    reply = server.ask("POST", f"madang/leases/{LEASE}/extend", json={"minutes": 90})
    assert (reply.status_code, reply.json()["message"]) == (409, server.hub.refusal)


@pytest.mark.parametrize("body", [{}, {"minutes": "9"}, {"minutes": True}, {"minutes": 0}, []])
def test_a_longer_time_is_a_number_of_minutes(server: Server, body: object) -> None:
    reply = server.ask("POST", f"madang/leases/{LEASE}/extend", json=body)
    assert reply.status_code == 400
    assert server.hub.told == []


def test_the_broker_away_breaks_nothing(server: Server) -> None:
    assert server.ask("POST", f"madang/leases/{LEASE}/leave").status_code == 200
    server.hub.lending = None
    reply = server.ask("POST", f"madang/leases/{LEASE}/give-back")
    assert (reply.status_code, reply.json()["message"]) == (503, "")
    server.hub.lending = LENDING
    assert server.ask("POST", f"madang/leases/{LEASE}/leave").json()["lending"]["state"] == "on"
    assert server.process.poll() is None


STEPS = [f"madang/leases/{LEASE}/{what}" for what in ("extend", "give-back", "take", "leave")]


@pytest.mark.parametrize("path", ["madang/extend", "madang/look-ins/5/end", *STEPS])
def test_only_the_owner_changes_something(server: Server, path: str) -> None:
    for token in (MENTOR, STRANGER, "x" * 32, ""):
        reply = server.ask("POST", path, token, allow_redirects=False)
        assert reply.status_code in (302, 403), (token, reply.status_code)
    assert server.hub.told == []


@pytest.mark.parametrize("token", [STRANGER, "x" * 32, ""])
def test_a_stranger_sees_nothing(server: Server, token: str) -> None:
    assert server.ask("GET", "madang/status", token, allow_redirects=False).status_code in (
        302,
        403,
    )


def test_extend_and_refusal_in_the_pages_language(server: Server) -> None:
    language = {"Accept-Language": "ko-KR"}
    assert server.ask("POST", "madang/extend", headers=language).json()["me"]["server"]
    [told] = [one for one in server.hub.told if one.path == "api/me/extend"]
    assert (told.body, told.language) == ({"server": ""}, "ko-KR")
    server.hub.refusal = "더 연장할 수 없습니다."
    reply = server.ask("POST", "madang/extend", headers=language)
    assert (reply.status_code, reply.json()["message"]) == (409, server.hub.refusal)


@pytest.mark.parametrize(
    "path",
    [
        "madang/look-ins/..%2F..%2Fme/end",
        "madang/look-ins/5/6/end",
        "madang/look-ins//end",
        "madang/leases/..%2Fslots/take",
        f"madang/leases/{LEASE}/drain",
        f"madang/leases/{LEASE.upper()}/take",
    ],
)
def test_odd_addresses_reach_nobody(server: Server, path: str) -> None:
    assert server.ask("POST", path).status_code == 404
    assert server.hub.told == []


def test_a_long_body_is_refused(server: Server) -> None:
    assert server.ask("POST", "madang/extend", data="x" * 2000).status_code == 413
    assert server.hub.told == []


def test_the_people_service_away_breaks_nothing(server: Server) -> None:
    server.hub.away = True
    assert server.ask("POST", "madang/extend").status_code == 503
    found = server.status()
    assert found["memory"]["used"] > 0
    # what was known a moment ago may still be shown; a fresh question finds nobody
    server.hub.away = False
    assert server.ask("POST", "madang/extend").status_code == 200
    server.hub.away = True
    assert server.status()["me"] is None or server.status()["me"]["server"]
    assert server.process.poll() is None


async def test_when_a_look_in_ends_the_visitors_connections_close(server: Server) -> None:
    """Kernels, terminals and events; the owner's own stay, and every door is shut at once."""
    kernel = server.ask("POST", "api/kernels", json={"name": "python3"}).json()["id"]
    terminal = server.ask("POST", "api/terminals", json={}).json()["name"]
    paths = [
        f"api/kernels/{kernel}/channels",
        f"terminals/websocket/{terminal}",
        "api/events/subscribe",
    ]
    try:
        async with (
            server.socket(paths[0], MENTOR) as one,
            server.socket(paths[1], MENTOR) as two,
            server.socket(paths[2], MENTOR) as three,
            server.socket(paths[0], OWNER) as mine,
        ):
            assert (await asyncio.to_thread(server.ask, "GET", "api/contents", MENTOR)).ok
            reply = await asyncio.to_thread(server.ask, "POST", "madang/look-ins/5/end")
            assert reply.json()["me"]["look_ins"] == []
            for socket in (one, two, three):
                await asyncio.wait_for(closed(socket), 5)
                assert socket.close_code == 4403
            for path in ("api/contents", "madang/status", "lab", "api/kernels"):
                shut = await asyncio.to_thread(
                    server.ask, "GET", path, MENTOR, allow_redirects=False
                )
                assert shut.status_code in (302, 403), path
            for path in paths:
                with pytest.raises(aiohttp.WSServerHandshakeError):
                    async with server.socket(path, MENTOR):
                        pass
            await mine.send_str(json.dumps(request("kernel_info_request")))
            async with asyncio.timeout(20):
                async for message in mine:
                    if json.loads(message.data)["msg_type"] == "kernel_info_reply":
                        break
            assert not mine.closed
    finally:
        server.ask("DELETE", f"api/kernels/{kernel}")
        server.ask("DELETE", f"api/terminals/{terminal}")


def request(kind: str) -> dict[str, Any]:
    header = {"msg_id": "1", "msg_type": kind, "username": "", "session": "1", "version": "5.3"}
    return {
        "header": header,
        "parent_header": {},
        "metadata": {},
        "content": {},
        "channel": "shell",
        "buffers": [],
    }


async def closed(socket: aiohttp.ClientWebSocketResponse) -> None:
    """Return when the connection is; what comes before, such as news of an accelerator, is read."""
    async for _ in socket:
        pass


async def test_a_share_that_is_taken_back_elsewhere_is_noticed_within_seconds(
    server: Server,
) -> None:
    async with server.socket("api/events/subscribe", MENTOR) as socket:
        server.hub.inside = {"minji"}
        await asyncio.wait_for(closed(socket), 8)
        assert socket.close_code == 4403


async def test_a_visitor_stays_while_the_hub_is_away_for_a_moment(server: Server) -> None:
    async with server.socket("api/events/subscribe", MENTOR) as socket:
        server.hub.down = True
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(closed(socket), 7)
        server.hub.down = False
        assert not socket.closed


def test_what_runs_is_reported(server: Server) -> None:
    """A cell that goes on is told to the people service within about a minute."""
    kernel = server.ask("POST", "api/kernels", json={"name": "python3"}).json()["id"]

    async def begin() -> None:
        async with server.socket(f"api/kernels/{kernel}/channels", OWNER) as socket:
            message = request("execute_request")
            message["content"] = {"code": "import time; time.sleep(300)", "silent": False}
            await socket.send_str(json.dumps(message))
            async with asyncio.timeout(30):
                async for raw in socket:
                    if json.loads(raw.data)["msg_type"] == "execute_input":
                        return

    try:
        asyncio.run(begin())
        told = server.hub.told
        wait_for(lambda: any(one.path == "api/me/busy" for one in told), "the report", 90)
        [report] = [one for one in told if one.path == "api/me/busy"][:1]
        assert report.body == {"server": "", "busy": True, "why": "kernel"}
    finally:
        server.ask("DELETE", f"api/kernels/{kernel}")


def test_the_log_names_nobodys_token(server: Server) -> None:
    log = server.log.read_text()
    assert "madang_lab | extension was successfully loaded" in log
    assert not any(token in log for token in (OWNER, MENTOR, STRANGER))
    assert "site-packages/madang_lab/" not in log, "a traceback of ours"


def test_an_error_in_the_sources_stops_the_build(root: Path, tmp_path: Path) -> None:
    """The compiler is as strict as ``tsconfig.json`` says, and its word counts."""
    lab_extension.ensure(root)
    work = tmp_path / "work"
    lab_extension._copy(root / lab_extension.SOURCE, work)
    (work / "node_modules").symlink_to(lab_extension.folder_of(root) / "work" / "node_modules")
    lab_extension._node(work, "Types", "typescript/bin/tsc", "--project", ".")
    (work / "src" / "more.ts").write_text(
        "export const first = (all: string[]): string => all[0];\n"
    )
    with pytest.raises(envs.BuildError, match=r"src/more\.ts.*'string \| undefined'"):
        lab_extension._node(work, "Types", "typescript/bin/tsc", "--project", ".")
