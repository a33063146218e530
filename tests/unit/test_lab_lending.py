"""What JupyterLab's server part takes from the broker of accelerators, and what the driver adds to it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang_lab import accelerator, herald, lending, service
from madang_lab.accelerator import Gpu

GIB = 2**30
GPU = "GPU-5ae5af4b-1c1e-4b3c-9a38-7d3f3f4d2c11"
SLOT = {"id": GPU, "model": "NVIDIA H100 80GB HBM3", "memory": 80 * GIB, "health": "good"}
USE = {"id": GPU, "model": SLOT["model"], "memory": 80 * GIB, "utilisation": 37}
LEASE: dict[str, Any] = {
    "id": "a" * 32,
    "state": "active",
    "team": "team:vision",
    "kind": "nvidia.com/gpu",
    "model": "NVIDIA H100 80GB HBM3",
    "count": 1,
    "seconds": 3600,
    "environment": "",
    "size": "",
    "asked": "2026-11-27T10:00:00+00:00",
    "returned": False,
    "restarting": False,
    "take_until": None,
    "began": "2026-11-27T10:01:00+00:00",
    "ends": "2026-11-27T11:01:00+00:00",
    "ended": None,
    "why": None,
    "place": None,
    "soonest": None,
    "latest": None,
    "slots": [SLOT],
    "shared": None,
    "idle_since": None,
    "idle_until": None,
    "device": [{**USE, "used_memory": 12 * GIB}],
}
OVERVIEW: dict[str, Any] = {
    "now": "2026-11-27T10:30:00+00:00",
    "lending": True,
    "longest": 8 * 3600,
    "free": [],
    "requests": [LEASE],
    "budgets": [],
}


def test_a_lease_is_taken_over_with_its_use() -> None:
    found = lending.overview(OVERVIEW)
    [lease] = found["leases"]
    assert (found["lending"], found["longest"], found["now"]) == (True, 28800, OVERVIEW["now"])
    assert (lease["state"], lease["ends"], lease["why"]) == ("active", LEASE["ends"], None)
    assert lease["devices"] == [{**SLOT, "utilisation": 37, "used_memory": 12 * GIB}]


def test_a_broker_that_says_less_leaves_unknown_what_it_does_not_say() -> None:
    said = {"idle_since", "idle_until", "shared", "device"}
    older = {key: value for key, value in LEASE.items() if key not in said}
    [lease] = lending.overview({**OVERVIEW, "requests": [older]})["leases"]
    assert lease["devices"] == [{**SLOT, "utilisation": None, "used_memory": None}]
    assert (lease["idle_since"], lease["idle_until"], lease["shared"]) == (None, None, 0)
    assert lending.overview(OVERVIEW)["after"] == ""
    assert lending.overview({**OVERVIEW, "after": "cpu"})["after"] == "cpu"


def test_nothing_unknown_gets_through() -> None:
    raw = {
        **OVERVIEW,
        "token": "secret",
        "after": "<b>",
        "requests": [
            {**LEASE, "token": "secret", "why": "<b>", "slots": [{**SLOT, "health": "secret"}]},
            {**LEASE, "state": "secret"},
            {**LEASE, "id": None},
            "secret",
        ],
    }
    found = lending.overview(raw)
    assert "secret" not in json.dumps(found)
    assert (found["after"], found["leases"][0]["why"]) == ("", None)
    assert len(found["leases"]) == 1


VALUE = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
JSON = (
    VALUE
    | st.lists(VALUE, max_size=2)
    | st.lists(st.dictionaries(st.sampled_from(sorted(SLOT)), VALUE, max_size=3), max_size=2)
)
TWISTED = st.dictionaries(st.sampled_from(sorted(set(LEASE) - {"id", "state"})), JSON, max_size=5)


@given(
    TWISTED,
    st.dictionaries(st.sampled_from(["now", "lending", "longest", "after"]), JSON),
)
def test_any_object_becomes_an_answer_of_the_agreed_shape(
    twisted: dict[str, Any], around: dict[str, Any]
) -> None:
    found = lending.overview({**OVERVIEW, **around, "requests": [{**LEASE, **twisted}]})
    assert set(found) == {"now", "lending", "offered", "longest", "after", "leases"}
    [lease] = found["leases"]
    assert set(lease) == set(lending.overview(OVERVIEW)["leases"][0])
    assert lease["count"] >= 1
    assert lease["ends"] is None or isinstance(lease["ends"], str)
    for device in lease["devices"]:
        assert device["utilisation"] is None or 0 <= device["utilisation"] <= 100
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("raw", [None, [], "free", 5])
def test_anything_else_is_no_answer(raw: object) -> None:
    with pytest.raises(service.AwayError):
        lending.overview(raw)


# ---- the driver ---------------------------------------------------------------------------

SAID = f"{GPU}, 42, 11, 81559, NVIDIA H100 80GB HBM3\n"


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (SAID, [Gpu(GPU, "NVIDIA H100 80GB HBM3", 42, 11 * 2**20, 81559 * 2**20)]),
        (f"{GPU}, [N/A], [N/A], 9, A, B\n", [Gpu(GPU, "A, B", None, None, 9 * 2**20)]),
        ("No devices were found\n", []),
        ("", []),
        (f"{GPU}, 1, 2\n", []),
    ],
)
def test_what_the_driver_says(said: str, found: list[Gpu]) -> None:
    assert accelerator.gpus(said) == found


def test_the_broker_goes_before_the_driver_and_devices_do_not_mix() -> None:
    own = {"id": GPU, "model": "", "memory": None, "health": "good"}
    broker = {**own, "utilisation": 37, "used_memory": None}
    other = {**own, "id": "GPU-other", "utilisation": None, "used_memory": None}
    [first, second] = lending.with_driver([broker, other], accelerator.gpus(SAID))
    assert (first["utilisation"], first["used_memory"]) == (37, 11 * 2**20)
    assert (first["model"], first["memory"]) == ("NVIDIA H100 80GB HBM3", 81559 * 2**20)
    assert second == other


# ---- whether there is a broker ------------------------------------------------------------


class Broker(lending.Lending):
    """Asked without a network: ``says`` is the next answer."""

    says: tuple[int, Any] = (200, OVERVIEW)

    async def ask(self, *words: Any) -> object:
        self.forget()  # the next question is not answered from memory
        status, body = self.says
        data = b"<html>" if body is None else json.dumps(body).encode()
        return service.answer("GET api/", status, data)

    async def again(self, status: int, body: object) -> dict[str, Any] | None:
        self.says = status, body
        self._failures, self._asked = 0, float("-inf")
        return await self.state()


def broker(lease: str | None = None) -> Broker:
    return Broker("http://hub/base/services/accelerators", "token", lease)


@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.parametrize("body", [None, {"message": "not here"}, {}])
async def test_without_a_broker_nothing_is_shown(status: int, body: object) -> None:
    assert await broker().again(status, body) is None


@pytest.mark.parametrize(("status", "body"), [(502, {"message": "away"}), (503, None), (200, None)])
async def test_a_broker_that_does_not_answer_is_away(status: int, body: object) -> None:
    found = await broker().again(status, body)
    assert found == {"state": "away", "expected": False, "devices": []}
    found = await broker("a" * 32).again(status, body)
    assert found is not None
    assert found["expected"] is True


async def test_a_broker_that_was_there_is_away_and_not_absent() -> None:
    asked = broker()
    found = await asked.again(200, OVERVIEW)
    assert found is not None
    assert (found["state"], found["page"]) == ("on", "/base/services/accelerators/")
    found = await asked.again(404, None)
    assert found == {"state": "away", "expected": True, "devices": []}


async def test_it_is_known_whether_this_server_has_the_lease() -> None:
    for lease, here in ((None, None), ("", False), ("a" * 32, True), ("b" * 32, False)):
        found = await broker(lease).again(200, OVERVIEW)
        assert found is not None
        assert [one["here"] for one in found["leases"]] == [here]


async def test_the_driver_is_asked_where_the_broker_is_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\necho asked >>{tmp_path}/log\nprintf '{SAID}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.defpath}")
    monkeypatch.setenv("MADANG_OWN_DEVICES", "1")
    asked = broker("a" * 32)
    assert await asked.again(200, OVERVIEW)
    assert not (tmp_path / "log").exists()
    found = await asked.again(200, {**OVERVIEW, "requests": [{**LEASE, "device": []}]})
    assert found is not None
    assert found["leases"][0]["devices"][0]["utilisation"] == 42
    found = await asked.again(503, None)
    assert found is not None
    assert [(one["id"], one["utilisation"]) for one in found["devices"]] == [(GPU, 42)]
    # all tabs together ask the driver once
    assert (tmp_path / "log").read_text() == "asked\n"


# ---- pages that nobody looks at -----------------------------------------------------------


class Bus:
    """Jupyter Server's event bus."""

    def __init__(self) -> None:
        self.schemas: list[str] = []
        self.said: list[dict[str, Any]] = []

    def register_event_schema(self, schema: dict[str, Any]) -> None:
        self.schemas.append(schema["$id"])

    def emit(self, *, schema_id: str, data: dict[str, Any]) -> None:
        assert schema_id in self.schemas
        self.said.append(data)


async def test_pages_are_called_once_for_each_change_and_told_nothing_else() -> None:
    asked, bus = broker(), Bus()
    called = herald.Herald(bus, asked)

    async def look(status: int, *leases: dict[str, Any]) -> int:
        asked.says = status, {**OVERVIEW, "requests": list(leases)}
        asked.forget()
        before = len(bus.said)
        await called.look()
        return len(bus.said) - before

    queued = {**LEASE, "state": "queued", "ends": None}
    # while there is nothing to lend, nothing is asked: a page finds it out, if it is looked at
    for _ in range(2 * herald.SELDOM):
        await called.look()
    assert asked._asked == float("-inf")
    assert await asked.again(200, {**OVERVIEW, "free": [{"kind": "x"}], "requests": []})
    # asked for elsewhere: found out by and by
    asked.says = 200, {**OVERVIEW, "free": [{"kind": "x"}], "requests": [queued]}
    asked.forget()
    for _ in range(herald.SELDOM):
        await called.look()
    assert len(bus.said) == 1
    assert await look(200, queued) == 0
    assert await look(503, queued) == 0
    asked._failures = 0
    assert await look(200, {**queued, "state": "granted"}) == 1
    assert await look(200, {**queued, "state": "granted"}) == 0
    assert await look(200, {**LEASE, "ends": "2026-11-27T10:40:01+00:00"}) == 1
    asked.says = 200, {"now": "2026-11-27T10:30:01+00:00", "requests": asked.says[1]["requests"]}
    asked.forget()
    await called.look()
    assert len(bus.said) == 4, "the end is near"
    assert await look(200, {**LEASE, "idle_until": "2026-11-27T10:45:00+00:00"}) == 1
    assert await look(200, {**LEASE, "state": "ended"}) == 1
    assert bus.said == [{}] * 6
