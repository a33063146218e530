"""The gateway and containers that wait with an accelerator: its devices, said, and in no other container."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import pytest
from support.bodies import Change, host, label
from support.waiting import waiting

from madang_hub.catalog import Catalog, Choice
from madang_hub.engine.checks import Refused
from madang_hub.engine.devices import check_free, check_whole
from madang_hub.engine.policy import Decision, decide
from madang_hub.engine.rules import rules_for
from madang_hub.isolation import networks
from madang_hub.settings import Settings

CATALOG = Catalog.load(Path(__file__).parents[2] / "images" / "images.toml")
CHOICE = Choice(CATALOG.environments["lab"], CATALOG.sizes["small"])
SETTINGS = Settings.model_validate({"data": "/srv/madang"})
ONE, TWO, OTHER = "acme.com/npu=1", "acme.com/npu=2", "acme.com/npu=9"
RULES = replace(rules_for(SETTINGS, CATALOG), devices=frozenset({ONE, TWO}))
SLOT = "0123456789abcdef"


def body(*devices: str, slot: str = ONE) -> dict[str, Any]:
    """As docker-py writes it for a container that waits with these devices of the accelerator's ``slot``."""
    with closing(docker.APIClient("unix:///nowhere", version="1.45")) as client:
        asked = waiting(
            client,
            CATALOG,
            CHOICE,
            "madang",
            networks.plan(SETTINGS.network, 3),
            Path("/srv/madang/run/warm", SLOT),
            slot,
            devices,
        )
        asked.pop("name")
        return dict(client.create_container_config(**asked))


def create(asked: dict[str, Any]) -> Decision:
    text = json.dumps(asked).encode()
    name = f"name=madang-warm-{SLOT}"
    return decide("POST", "/v1.45/containers/create", name, text, RULES)


@pytest.mark.parametrize("devices", [(ONE,), (ONE, TWO)])
def test_one_passes_and_says_what_it_has(devices: tuple[str, ...]) -> None:
    decision = create(body(*devices))
    assert decision.allow, decision.reason
    sent, plain = (json.loads(d.body or b"") for d in (decision, create(body(slot=""))))
    requests = [{"Driver": "cdi", "DeviceIDs": [*devices]}]
    assert sent["HostConfig"] == plain["HostConfig"] | {"DeviceRequests": requests}
    said = {"madang.slots": ONE, "madang.devices": " ".join(devices)}
    assert sent["Labels"] == plain["Labels"] | said


DENIED: list[tuple[str, Change, str]] = [
    ("no slot", label(madang_slots=None), "madang.slots"),
    ("an empty slot", label(madang_slots=""), "madang.slots"),
    ("two slots", label(madang_slots=f"{ONE} {TWO}"), "madang.slots"),
    ("no devices said", label(madang_devices=None), "madang.devices"),
    ("others said", label(madang_devices=TWO), "madang.devices"),
    ("a lease", label(madang_lease="0" * 32), "Labels"),
    ("a person", label(madang_user="alice"), "madang.user"),
    ("said and not asked for", host(DeviceRequests=None), "Labels"),
    ("not ours to give", host(DeviceRequests=[{"Driver": "cdi", "DeviceIDs": [OTHER]}]), "ours"),
    ("all", host(DeviceRequests=[{"Driver": "cdi", "DeviceIDs": ["acme.com/npu=all"]}]), "ours"),
    ("twice", host(DeviceRequests=[{"Driver": "cdi", "DeviceIDs": [ONE]}] * 2), "twice"),
    ("by number", host(DeviceRequests=[{"Driver": "cdi", "Count": 1}]), "Count"),
    ("another driver", host(DeviceRequests=[{"Driver": "nvidia", "DeviceIDs": [ONE]}]), "Driver"),
    ("a node", host(Devices=[{"PathOnHost": "/dev/mem"}]), "Devices"),
]


@pytest.mark.parametrize(
    ("change", "says"), [row[1:] for row in DENIED], ids=[row[0] for row in DENIED]
)
def test_one_wrong_thing_is_enough(change: Change, says: str) -> None:
    asked = body(ONE)
    change(asked)
    decision = create(asked)
    assert not decision.allow
    assert says in decision.reason


def test_a_divided_one_waits_in_no_container() -> None:
    passed = create(body(ONE)).body or b""
    check_whole(passed, {ONE: 1, TWO: 2})
    with pytest.raises(Refused, match=f"the device {ONE} is divided"):
        check_whole(passed, {ONE: 2})
    # of people's own containers several may have it
    persons = json.loads(passed)
    del persons["Labels"]["madang.warm"]
    check_whole(json.dumps(persons).encode(), {ONE: 2})


def test_one_that_waits_is_a_container_that_has_it() -> None:
    labels = json.loads(create(body(ONE)).body or b"")["Labels"]
    with pytest.raises(Refused, match="in another container"):
        check_free([ONE], [{"Labels": labels}], {ONE: 1})
