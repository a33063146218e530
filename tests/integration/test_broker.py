"""The broker of accelerators at a real Hub: from the line to the end of a lease, races, restarts, refusals."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from conftest import missing
from support.broker import GPU, LIMIT, Lending, running
from support.broker_browser import Browser
from support.nvml import Device
from support.tracking import wait_until

from madang_hub.accelerators.broker.app import ROUTES
from madang_hub.accelerators.broker.scopes import ACCESS, ADMIN, DEVICES
from madang_hub.accelerators.leases import Policy
from madang_hub.accelerators.store import Leases
from madang_hub.people.service.process import PUBLIC

ONE, TWO = "GPU-11111111-aaaa", "GPU-22222222-bbbb"
TORCH = {"environment": "torch-cuda", "size": "medium"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lending]:
    if shutil.which("cc") is None:
        missing("a C compiler (apt-get install gcc)")
    with running(tmp_path_factory.mktemp("broker"), (ONE, TWO)) as found:
        yield found


@pytest.fixture
def two(stack: Lending) -> Lending:
    """Two GPUs, and nobody has one."""
    stack.clear(ONE, TWO)
    return stack


@pytest.fixture
def one(stack: Lending) -> Lending:
    """One GPU, and nobody has it."""
    stack.clear(ONE)
    return stack


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


# ---- a life ---------------------------------------------------------------------------------


def test_from_the_line_to_the_end(two: Lending) -> None:
    asked = two.asked("ann", team="team:a", count=2, **TORCH)
    # the server is started for her, and she has both
    mine = two.becomes("ann", asked["id"], "active")
    assert sorted(s["id"] for s in mine["slots"]) == [ONE, TWO]
    assert at(mine["ends"]) - at(mine["began"]) == timedelta(hours=1)
    server = wait_until(lambda: two.server("ann"), "ann's server")
    assert server["user_options"] == TORCH

    (first, second) = two.request("ann", asked["id"])["device"]
    assert {first["id"], second["id"]} == {ONE, TWO}
    assert first["used_memory"] is not None

    devices = two.devices("ann")
    assert devices.status_code == 200, devices.text
    assert sorted(devices.json()["devices"]) == [f"{GPU}={ONE}", f"{GPU}={TWO}"]
    assert devices.json()["lease"] == asked["id"]

    (kind,) = two.overview("ben")["free"]
    assert (kind["kind"], kind["total"], kind["free"], kind["waiting"]) == (GPU, 2, 0, 0)
    assert at(kind["next_free"]) - at(mine["ends"]) == timedelta(seconds=60)

    waiting = two.asked("ben")
    assert (waiting["state"], waiting["place"]) == ("queued", 1)
    # 60 seconds for the container to go
    assert at(waiting["latest"]) - at(mine["ends"]) == timedelta(seconds=60)
    assert at(waiting["soonest"]) < at(waiting["latest"])
    assert two.devices("ben").json()["lease"] is None

    refused = two.step("ann", asked["id"], "extend", minutes=120)
    assert refused.status_code == 409
    assert refused.json()["message"].startswith("Others wait")
    assert two.step("ben", waiting["id"], "leave").json()["state"] == "ended"
    extended = two.step("ann", asked["id"], "extend", minutes=120)
    assert extended.status_code == 200, extended.text
    assert at(extended.json()["ends"]) > at(mine["ends"]) + timedelta(minutes=55)

    back = two.step("ann", asked["id"], "give-back")
    assert back.json()["state"] == "ending", back.text
    assert two.devices("ann").json()["lease"] is None
    ended = two.becomes("ann", asked["id"], "ended")
    assert ended["why"] == "released"
    assert two.server("ann") is None
    assert two.free() == [ONE, TWO]


def test_the_own_start_after_taking(one: Lending) -> None:
    """Who asked for no start takes it, and starts the server where it is usually started."""
    asked = one.asked("ann", team="team:a")
    assert asked["state"] == "granted"
    assert at(asked["take_until"]) > at(asked["asked"])
    assert one.devices("ann").json()["lease"] is None
    assert one.vacant() == {ONE: True}
    one.start("ann")
    refused = one.step("ann", asked["id"], "take")
    assert (refused.status_code, refused.json()["status"]) == (409, 409)
    assert "stop the server first" in refused.json()["message"]
    one.stop("ann")
    assert one.step("ann", asked["id"], "take").json()["state"] == "active"
    # the answer was lost: once more is no error
    assert one.step("ann", asked["id"], "take").json()["state"] == "active"
    assert one.step("ann", asked["id"], "leave").status_code == 409
    assert one.devices("ann").json()["devices"] == [f"{GPU}={ONE}"]
    one.start("ann")
    wait_until(lambda: holder(one)["state"] == "active", "the lease")
    # her stop ends the lease: the Hub says that the server is gone
    wait_until(lambda: seen(one, asked["id"]), "the server to be seen")
    assert one.vacant() == {}
    one.stop("ann")
    assert one.becomes("ann", asked["id"], "ended")["why"] == "vanished"
    assert one.vacant() == {ONE: False}


def test_the_running_server_is_started_again_with_it(one: Lending) -> None:
    """The broker dies between the stop of the server and its start."""
    asked = one.asked("ann", team="team:a")
    one.start("ann", **TORCH)
    for body in ({"restart": "yes"}, {"restart": True, "size": "large"}, {"environment": "lab"}):
        assert one.step("ann", asked["id"], "take", **body).status_code == 400
    refused = one.step("ann", asked["id"], "take", restart=True, environment="lab")
    assert (refused.status_code, "cannot use" in refused.json()["message"]) == (400, True)
    before = one.server("ann")
    assert before is not None
    pid = one.broker_pid
    taken = one.step("ann", asked["id"], "take", restart=True)
    assert (taken.json()["state"], taken.json()["restarting"]) == ("granted", True), taken.text
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: one.broker_pid not in (0, pid), "another broker")
    wait_until(one.answers, "the broker")
    mine = one.becomes("ann", asked["id"], "active")
    assert (mine["environment"], mine["size"]) == ("torch-cuda", "medium")
    after = wait_until(lambda: one.server("ann"), "ann's server")
    assert after["user_options"] == TORCH
    assert after["started"] > before["started"]
    assert at(mine["began"]) <= at(after["started"]) + timedelta(seconds=1)
    wait_until(lambda: seen(one, asked["id"]), "the server to be seen")
    assert one.devices("ann").json()["lease"] == asked["id"]


def holder(stack: Lending, slot: str = ONE) -> dict[str, Any]:
    """Who has the slot, as admins see it."""
    slots = stack.admin("GET", "slots").json()["slots"]
    (lease,) = next(s["leases"] for s in slots if s["id"] == slot)
    found: dict[str, Any] = lease
    return found


def seen(stack: Lending, identity: str) -> bool:
    """Whether the broker knows that the lease's server is there."""
    database = stack.database
    lease = Leases(database, Policy()).lease(identity)
    database.close()
    return lease is not None and bool(lease.container)


def test_a_server_that_the_hub_refuses_holds_nothing(one: Lending) -> None:
    asked = one.asked("gone", **TORCH)
    assert one.becomes("gone", asked["id"], "ended")["why"] == "never-started"
    wait_until(lambda: one.free() == [ONE], "the slot")


# ---- two want the same ------------------------------------------------------------------------


def test_two_race_for_one(one: Lending) -> None:
    for user in ("ann", "dan"):
        one.token(user)
    with ThreadPoolExecutor(2) as pool:
        asked = {
            "ann": pool.submit(one.asked, "ann", team="team:a"),
            "dan": pool.submit(one.asked, "dan"),
        }
        found = {user: reply.result() for user, reply in asked.items()}
    states = {user: one.request(user, r["id"])["state"] for user, r in found.items()}
    assert sorted(states.values()) == ["granted", "queued"]
    first, second = sorted(states, key=lambda user: states[user])
    assert one.request(second, found[second]["id"])["place"] == 1
    # the other cannot take it, not even at the same moment
    with ThreadPoolExecutor(2) as pool:
        taken = {u: pool.submit(one.step, u, found[u]["id"], "take") for u in (first, second)}
        answers = {user: reply.result().status_code for user, reply in taken.items()}
    assert answers == {first: 200, second: 409}
    assert holder(one)["person"] == first
    one.step(first, found[first]["id"], "give-back")
    one.becomes(second, found[second]["id"], "granted")
    assert one.step(second, found[second]["id"], "take").status_code == 200
    assert holder(one)["person"] == second


def test_one_person_asks_once(two: Lending) -> None:
    with ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(lambda _: two.ask("ann", team="team:a"), range(4)))
    assert sorted(r.status_code for r in replies) == [201, 409, 409, 409]
    assert len(two.free()) == 1


# ---- restarts -----------------------------------------------------------------------------------


def three_in_line(stack: Lending) -> tuple[str, str, str]:
    """ann has the GPU and a server, dan waits before ben; their requests."""
    mine = stack.asked("ann", team="team:a", **TORCH)["id"]
    stack.becomes("ann", mine, "active")
    wait_until(lambda: seen(stack, mine), "the server to be seen")
    dans, bens = stack.asked("dan", **TORCH)["id"], stack.asked("ben")["id"]
    assert (stack.request("dan", dans)["place"], stack.request("ben", bens)["place"]) == (1, 2)
    return mine, dans, bens


def nothing_is_lost(stack: Lending, mine: str, dans: str, bens: str) -> None:
    assert stack.request("ann", mine)["state"] == "active"
    assert stack.server("ann") is not None
    assert (stack.request("dan", dans)["place"], stack.request("ben", bens)["place"]) == (1, 2)
    assert holder(stack)["person"] == "ann"
    stack.step("ann", mine, "give-back")
    assert stack.becomes("dan", dans, "active")["slots"][0]["id"] == ONE
    wait_until(lambda: stack.server("dan"), "dan's server")
    assert stack.request("ann", mine)["state"] == "ended"
    assert stack.request("ben", bens)["place"] == 1


def test_the_queue_outlives_the_broker(one: Lending) -> None:
    requests_of = three_in_line(one)
    browser = Browser(one, "chief")
    assert browser.page("admin").ok
    before = one.broker_pid
    os.kill(before, signal.SIGKILL)
    # the Hub starts another
    wait_until(lambda: one.broker_pid not in (0, before), "another broker")
    wait_until(one.answers, "the broker")
    # so do sessions: nobody is led to the Hub again
    again = browser.get(f"{one.url}admin", timeout=30, allow_redirects=False)
    assert again.status_code == 200, again.text
    nothing_is_lost(one, *requests_of)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_the_queue_outlives_the_hub(one: Lending, how: signal.Signals) -> None:
    requests_of = three_in_line(one)
    one.hub.send_signal(how)
    one.hub.wait(60)
    one.start_hub()
    nothing_is_lost(one, *requests_of)


# ---- devices ----------------------------------------------------------------------------------


def test_who_had_an_ill_one_gets_another(two: Lending) -> None:
    asked = two.asked("ann", team="team:a", **TORCH)
    mine = two.becomes("ann", asked["id"], "active")
    ill, other = mine["slots"][0]["id"], ({ONE, TWO} - {mine["slots"][0]["id"]}).pop()
    two.machine.has(*(Device(n, facts={"lost": 1} if n == ill else {}) for n in (ONE, TWO)))
    ended = two.becomes("ann", asked["id"], "ended")
    assert ended["why"] == "ill"

    def again() -> dict[str, Any] | None:
        rest = [r for r in two.overview("ann")["requests"] if r["returned"]]
        return rest[0] if rest and rest[0]["state"] == "active" else None

    found = wait_until(again, "the rest of it")
    assert [s["id"] for s in found["slots"]] == [other]
    assert found["seconds"] < 3600
    assert two.free() == []
    assert sum(kind["total"] for kind in two.overview("ann")["free"]) == 1
    assert sum(kind["ill"] for kind in two.overview("ann")["free"]) == 1


def test_a_drained_one_is_given_to_nobody(one: Lending) -> None:
    assert one.admin("POST", "slots/drain", {"slot": ONE, "why": "a fan"}).status_code == 204
    assert one.audit("accelerator.")[0] == ("chief", ONE)
    (shown,) = (s for s in one.admin("GET", "slots").json()["slots"] if s["id"] == ONE)
    assert (shown["drained"]["by"], shown["drained"]["why"]) == ("chief", "a fan")
    asked = one.asked("ann", team="team:a")
    assert (asked["state"], asked["latest"]) == ("queued", None)
    assert asked["why_no_estimate"] == "drained"
    free = one.overview("ann")["free"]
    assert (sum(k["total"] for k in free), sum(k["drained"] for k in free)) == (0, 1)
    assert one.admin("POST", "slots/undrain", {"slot": ONE}).status_code == 204
    assert one.becomes("ann", asked["id"], "granted")["slots"][0]["id"] == ONE
    for path in ("slots/drain", "slots/undrain"):
        assert one.admin("POST", path, {"slot": "GPU-none"}).status_code == 404


def test_a_budget_ends_and_an_admin_grants_more(one: Lending) -> None:
    minutes = int(LIMIT * 60) + 30
    refused = one.ask("ann", team="class:c", minutes=minutes)
    assert refused.status_code == 403
    assert "chief can grant more" in refused.json()["message"]
    (budget, _) = one.overview("ann")["budgets"]
    assert (budget["team"], budget["limit"], budget["used"]) == ("class:c", LIMIT * 3600, 0)
    given = one.admin("POST", "budgets", {"team": "class:c", "hours": 1, "why": "a fair"})
    assert (given.status_code, given.json()["limit"]) == (201, (LIMIT + 1) * 3600)
    assert one.asked("ann", team="class:c", minutes=minutes)["state"] == "granted"


# ---- classes ----------------------------------------------------------------------------------


def test_a_class_reserves_and_is_served(two: Lending) -> None:
    """Who is in it has its slots while it meets; its mentor says how many."""
    two.meets_today("class:c")
    need = {"team": "class:c", "kind": GPU, "count": 2}
    try:
        # only its mentor, and admins with the scope
        for user in ("ann", "ben", "chief"):
            refused = two.api(user, "POST", "reservations", need)
            assert refused.status_code == 403, refused.text
            assert two.api(user, "GET", "reservations").json() == []
        assert two.admin("POST", "reservations", {**need, "team": "class:none"}).status_code == 404
        too_many = two.api("mia", "POST", "reservations", {**need, "count": 3})
        assert (too_many.status_code, "cannot have 3" in too_many.json()["message"]) == (409, True)
        reserved = two.api("mia", "POST", "reservations", need)
        assert reserved.status_code == 200, reserved.text
        (shown,) = reserved.json()
        assert (shown["team"], shown["count"], shown["by"]) == ("class:c", 2, "mia")
        assert at(shown["next"]["starts"]) <= datetime.now(UTC) < at(shown["next"]["ends"])
        assert two.admin("GET", "reservations").json() == reserved.json()
        assert two.audit("accelerator.")[0] == ("mia", "class:c")
        told = two.overview("ben")["reserved"][0]
        assert (told["team"], told["count"], told["ends"]) == ("class:c", 2, shown["next"]["ends"])
        # ben is in no class; ann is
        bens = two.asked("ben")
        assert bens["state"] == "queued"
        pupil = two.asked("ann", team="class:c")
        assert pupil["state"] == "granted"
        assert at(pupil["take_until"]) <= at(told["ends"])
    finally:
        cleared = two.admin("POST", "reservations", {**need, "count": 0})
        two.meets_today("class:c", False)
    assert cleared.json() == []
    two.becomes("ben", bens["id"], "granted")


# ---- who may not ----------------------------------------------------------------------------------


def addresses() -> list[str]:
    names = {
        r"([0-9a-f]{32})": "0" * 32,
        r"([^/]{1,255})": "ann",
        r"((?:class|team):[a-z0-9-]+)": "team:a",
        r"\.": ".",
    }
    found = []
    for pattern, handler in ROUTES:
        if pattern == "oauth_callback" or getattr(handler, "page", False):
            continue  # test_broker_sign_in.py
        for words, name in names.items():
            pattern = pattern.replace(words, name)
        found.append(pattern)
    return found


@pytest.mark.parametrize("path", addresses())
def test_strangers_are_refused_everywhere(stack: Lending, path: str) -> None:
    for headers in (
        {},
        {"Authorization": "token 0123456789abcdef"},
        {"Cookie": "service-accelerators=x"},
    ):
        for method in ("GET", "POST"):
            reply = requests.request(
                method, stack.url + path, headers=headers, timeout=30, allow_redirects=False
            )
            if path in PUBLIC and method == "GET":
                assert reply.text == "ok"
            else:
                assert reply.status_code in ((405,) if path in PUBLIC else (403,)), reply.text
                assert path in PUBLIC or reply.json()["message"]


def test_what_needs_a_right(one: Lending) -> None:
    asked = one.asked("ann", team="team:a")
    # another's request reads as one that is not there
    for what in ("take", "leave", "extend", "give-back"):
        body = {"minutes": 5} if what == "extend" else {}
        theirs = one.step("ben", asked["id"], what, **body)
        absent = one.step("ben", "0" * 32, what, **body)
        assert (theirs.status_code, theirs.json()) == (404, absent.json())
    assert one.request("ann", asked["id"])["state"] == "granted"
    # without a team, and for another's
    assert one.ask("carl").status_code == 403
    assert one.ask("dan", team="team:a").status_code == 403
    # a token that does not open the broker
    blind = one.token("ann", "read:users:name!user")
    assert one.call("GET", "api/", blind).status_code == 403
    # admins' calls: neither for others nor for the token in an admin's own server
    for user in ("ann", "chief"):
        assert one.api(user, "GET", "slots").status_code == 403
        for path in ("slots/drain", "slots/undrain", "budgets"):
            refused = one.api(user, "POST", path, {"slot": ONE, "team": "team:a", "hours": 1})
            assert refused.status_code == 403
            assert ADMIN in refused.json()["message"]
    # nobody can make a token with more than the own rights
    made = one.keeper("POST", "/users/ann/tokens", json={"scopes": [ACCESS, ADMIN]})
    assert made.status_code == 400
    # what starts servers: a service with the scope, and no person
    one.step("ann", asked["id"], "take")
    for path in ("api/devices/ann", "api/vacant"):
        stranger = one.call("GET", path, one.given["tokens"]["stranger"])
        assert stranger.status_code == 403
        assert one.call("GET", path, one.token("ann")).status_code == 403
        for scope in (ADMIN, DEVICES):
            admins = one.token("chief", ACCESS, scope)
            assert one.call("GET", path, admins).status_code == 403
    assert one.devices("ann").status_code == 200
    # and a service is no person
    assert one.call("GET", "api/", one.given["tokens"]["spawner"]).status_code == 403


@pytest.mark.parametrize(
    ("wish", "status"),
    [
        ({"minutes": 0}, 400),
        ({"minutes": 100000}, 400),
        ({"minutes": "60"}, 400),
        ({"count": 3}, 400),
        ({"kind": "other.example/npu"}, 404),
        ({"kind": ""}, 400),
        ({"model": "NVIDIA L4"}, 404),
        ({"person": "ben"}, 400),
        ({"environment": "lab"}, 400),
        ({"environment": "nothing"}, 400),
        ({"size": "medium"}, 400),
    ],
)
def test_what_cannot_be_asked_for(two: Lending, wish: dict[str, Any], status: int) -> None:
    reply = two.ask("ann", **{"team": "team:a", **wish})
    assert reply.status_code == status, reply.text
    assert reply.json()["message"]
    assert two.overview("ann")["requests"] == [] or two.free() == [ONE, TWO]


def test_sentences_in_korean(one: Lending) -> None:
    reply = one.call(
        "POST", "api/requests", one.token("carl"), {"kind": GPU, "minutes": 5}, **KOREAN
    )
    assert "팀" in reply.json()["message"]


KOREAN = {"Accept-Language": "ko"}


def test_without_the_hub_nobody_gets_anything(one: Lending) -> None:
    one.asked("ann", team="team:a")
    fresh = one.token("dan", fresh=True)
    wish = {"kind": GPU, "minutes": 60}
    with one.hub_frozen():
        refused = one.call("POST", "api/requests", fresh, wish)
        assert refused.status_code == 502, refused.text
        assert "Hub does not answer" in refused.json()["message"]
        # who was known a moment ago is not known for long
        known = one.token("ann")
        wait_until(
            lambda: one.call("GET", "api/", known).status_code == 502, "ann to be forgotten", 60
        )
    assert [r for r in one.overview("dan")["requests"] if r["state"] != "ended"] == []
    assert one.call("POST", "api/requests", fresh, wish).status_code == 201
