"""What somebody who has taken over the Hub could do with the engine: start user servers, no more."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import docker
import pytest
from docker.errors import APIError

from madang_hub.isolation import networks

from .conftest import Machine, Server

pytestmark = pytest.mark.engine


@pytest.fixture
def stranger(machine: Machine) -> Iterator[str]:
    """A container on the same engine that is not ours."""
    made = machine.direct.create_container(
        "madang/security-test:0", ["sleep", "600"], name=f"stranger-{secrets.token_hex(3)}"
    )
    machine.direct.start(made["Id"])
    yield made["Id"]
    machine.direct.remove_container(made["Id"], force=True)


@pytest.mark.parametrize(
    "call", ["inspect_container", "start", "stop", "kill", "wait", "logs", "remove_container"]
)
def test_a_strangers_container_is_out_of_reach(machine: Machine, stranger: str, call: str) -> None:
    for ref in (stranger, stranger[:12]):
        with pytest.raises(APIError) as refusal:
            getattr(machine.gate, call)(ref)
        assert refusal.value.status_code == 403
    assert machine.direct.inspect_container(stranger)["State"]["Running"]


def test_lists_show_only_ours(machine: Machine, stranger: str, alice: Server) -> None:
    found = {c["Id"] for c in machine.gate.containers(all=True)}
    assert alice.identity in found
    assert stranger not in found
    assert {n["Name"] for n in machine.gate.networks()} == {s.plan.name for s in machine.servers}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("Privileged", True),
        ("privileged", True),
        ("Binds", ["/:/home/madang:rw"]),
        ("Binds", ["/var/run/docker.sock:/home/madang:rw"]),
        ("CapAdd", ["SYS_ADMIN"]),
        ("NetworkMode", "host"),
        ("PidMode", "host"),
        ("Memory", 0),
        ("PidsLimit", 0),
        ("ReadonlyRootfs", False),
        ("SecurityOpt", ["no-new-privileges", "seccomp=unconfined"]),
        ("Devices", [{"PathOnHost": "/dev/kmsg", "PathInContainer": "/dev/kmsg"}]),
    ],
)
def test_a_stronger_server_is_refused(machine: Machine, key: str, value: Any) -> None:
    body = machine.wanted("mallory", machine.plan(20), machine.choice)
    body["host_config"][key] = value
    with pytest.raises(APIError) as refusal:
        machine.gate.create_container(**body)
    assert refusal.value.status_code == 403
    assert key in str(refusal.value.explanation)


def test_a_home_that_is_a_link_is_refused(machine: Machine) -> None:
    (machine.homes / "link").symlink_to("/")
    body = machine.wanted("link", machine.plan(20), machine.choice)
    with pytest.raises(APIError) as refusal:
        machine.gate.create_container(**body)
    assert refusal.value.status_code == 403


def test_nothing_runs_inside_and_nothing_leaves(machine: Machine, alice: Server) -> None:
    gate: docker.APIClient = machine.gate
    for call in (
        lambda: gate.exec_create(alice.identity, "id"),
        lambda: gate.get_archive(alice.identity, "/etc/passwd"),
        lambda: gate.commit(alice.identity),
        lambda: gate.put_archive(alice.identity, "/tmp", b"x"),
        lambda: list(gate.export(alice.identity)),
        lambda: gate.update_container(alice.identity, mem_limit="1g"),
        lambda: gate.connect_container_to_network(alice.identity, "bridge"),
        lambda: gate.rename(alice.identity, "x"),
        lambda: gate.pull("debian"),
        gate.info,
        gate.volumes,
        gate.images,
        gate.df,
    ):
        with pytest.raises(APIError) as refusal:
            call()
        assert refusal.value.status_code == 403


def test_a_network_that_is_not_planned_is_refused(machine: Machine) -> None:
    wanted = networks.create_kwargs(machine.plan(20))
    changes: list[dict[str, Any]] = [
        {"driver": "macvlan"},
        {"options": {}},
        {"name": "other"},
        {"internal": True},
        {"labels": {}},
    ]
    for change in changes:
        with pytest.raises(APIError) as refusal:
            machine.gate.create_network(**{**wanted, **change})
        assert refusal.value.status_code == 403
    with pytest.raises(APIError) as refusal:
        machine.gate.remove_network("bridge")
    assert refusal.value.status_code == 403
