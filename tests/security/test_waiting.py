"""A container that waits for its person: what it can reach, how it becomes somebody's, and no other way."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import APIError, NotFound
from support.waiting import waiting

from madang_hub.isolation import networks
from madang_hub.warm.names import container_name, slot_name

from .conftest import Machine, Server, listener

pytestmark = pytest.mark.engine

INDEX = 21


def slot_of(machine: Machine) -> Path:
    folder = machine.folder / "run" / "warm" / slot_name()
    folder.mkdir(parents=True)
    return folder


def asked(machine: Machine, slot: Path, index: int = INDEX) -> dict[str, Any]:
    return waiting(
        machine.gate, machine.catalog, machine.choice, machine.instance, machine.plan(index), slot
    )


@pytest.fixture
def plan(machine: Machine) -> Iterator[networks.NetworkPlan]:
    """A network that nobody is in."""
    made = machine.plan(INDEX)
    machine.gate.create_network(**networks.create_kwargs(made))
    yield made
    machine.direct.remove_network(made.name)


@pytest.fixture
def made(machine: Machine, plan: networks.NetworkPlan) -> Iterator[Server]:
    """One that was made through the gateway, and not started."""
    identity = machine.gate.create_container(**asked(machine, slot_of(machine)))["Id"]
    yield Server(machine.direct, identity, plan, "nobody")
    try:
        machine.direct.remove_container(identity, force=True)
    except NotFound:
        pass  # the test has removed it


@pytest.fixture
def waits(machine: Machine, made: Server) -> Server:
    """One that waits: it runs, and is out of the network ``none``."""
    machine.gate.start(made.identity)
    machine.gate.disconnect_container_from_network(made.identity, "none")
    return made


@pytest.fixture
def stranger(machine: Machine) -> Iterator[str]:
    """A container on the same engine that is not ours, in the network ``none``, with labels like ours."""
    labels: Any = {
        "madang.instance": "other",
        "madang.warm": "0" * 16,
        "madang.network": str(INDEX),
    }
    made = machine.direct.create_container(
        "madang/security-test:0",
        ["sleep", "600"],
        name=f"stranger-{secrets.token_hex(3)}",
        labels=labels,
        host_config=machine.direct.create_host_config(network_mode="none"),
    )
    machine.direct.start(made["Id"])
    yield made["Id"]
    machine.direct.remove_container(made["Id"], force=True)


@pytest.fixture(scope="module")
def cold(machine: Machine) -> Server:
    """A person's server that was made as such (the attacks of other tests have ended other ones)."""
    return machine.start("cold")


def interfaces(server: Server) -> set[str]:
    return set(server.inside("ls /sys/class/net").split())


def refused(call: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    with pytest.raises(APIError) as refusal:
        call(*args, **kwargs)
    assert refusal.value.status_code == 403
    return str(refusal.value.explanation)


def name_of(client: docker.APIClient, ref: str) -> str:
    return str(client.inspect_container(ref)["Name"]).removeprefix("/")


def ends_of(client: docker.APIClient, ref: str) -> set[str]:
    return set(client.inspect_container(ref)["NetworkSettings"]["Networks"])


def test_it_has_no_network_no_home_and_no_secret_while_it_waits(
    machine: Machine, made: Server
) -> None:
    machine.gate.start(made.identity)
    assert interfaces(made) == {"lo"}
    machine.gate.disconnect_container_from_network(made.identity, "none")
    assert interfaces(made) == {"lo"}
    assert ends_of(machine.direct, made.identity) == set()
    for host, port in [(str(made.plan.gateway), machine.port), ("127.0.0.1", machine.port)]:
        assert not made.reaches(host, port)
    mounts = [line.split()[4] for line in made.inside("cat /proc/self/mountinfo").splitlines()]
    assert "/run/madang" in mounts
    assert not [place for place in mounts if place.startswith("/home")]
    assert "Read-only" in made.inside("touch /run/madang/x")
    assert set(made.inside("tr '\\0' '\\n' < /proc/1/environ | cut -d= -f1").split()) == {
        "PATH", "HOSTNAME", "HOME",
    }  # fmt: skip


def test_it_becomes_somebodys_and_is_as_a_cold_one_then(
    machine: Machine, waits: Server, cold: Server
) -> None:
    name, gate = f"{machine.instance}-user-warmly", machine.gate
    with ThreadPoolExecutor() as pool:  # side by side, as a claim does it
        calls = [
            pool.submit(gate.rename, waits.identity, name),
            pool.submit(
                gate.connect_container_to_network,
                waits.identity,
                waits.plan.name,
                ipv4_address=str(waits.plan.address),
            ),
        ]
        for call in calls:
            call.result()
    assert name_of(gate, waits.identity) == name
    assert ends_of(gate, name) == {waits.plan.name}
    assert interfaces(waits) == interfaces(cold) == {"lo", "eth0"}
    assert str(waits.plan.address) in waits.inside("cat /proc/net/fib_trie")
    assert waits.inside("getent hosts hub.madang").split()[0] == str(waits.plan.gateway)
    look = "grep ^nameserver /etc/resolv.conf"
    assert waits.inside(look) == cold.inside(look) != ""
    # the guard's rules are those of its bridge
    assert waits.reaches(str(waits.plan.gateway), machine.port)
    with listener() as port:
        assert not waits.reaches(str(waits.plan.gateway), port)
    one, other = (machine.direct.inspect_container(s.identity) for s in (waits, cold))
    for differs in ("Binds", "NetworkMode", "ExtraHosts"):
        del one["HostConfig"][differs], other["HostConfig"][differs]
    assert one["HostConfig"] == other["HostConfig"]
    assert one["Config"]["User"] == other["Config"]["User"]
    gate.logs(name)
    gate.kill(name)
    assert gate.wait(name, timeout=30)["StatusCode"] == 137
    gate.stop(name)
    gate.remove_container(name)
    with pytest.raises(NotFound):
        machine.direct.inspect_container(waits.identity)


def test_one_that_waits_can_be_stopped_and_removed(machine: Machine, waits: Server) -> None:
    name = name_of(machine.gate, waits.identity)
    assert name.startswith(f"{machine.instance}-warm-")
    machine.gate.stop(name)
    machine.gate.remove_container(name, force=True)


def test_no_other_order(machine: Machine, made: Server) -> None:
    gate, ref, name = machine.gate, made.identity, f"{machine.instance}-user-early"
    own: Any = {"ipv4_address": str(made.plan.address)}
    calls: list[tuple[Any, ...]] = [
        (gate.rename, ref, name),
        (gate.disconnect_container_from_network, ref, "none"),
        (gate.connect_container_to_network, ref, made.plan.name),
    ]
    for call in (calls[0], calls[1]):
        assert "does not run" in refused(*call)
    assert "does not run" in refused(*calls[2], **own)
    gate.start(ref)
    assert "still in the network none" in refused(*calls[0])
    assert "in a network already" in refused(*calls[2], **own)
    calls[1][0](*calls[1][1:])
    assert "not in the network none" in refused(*calls[1])
    calls[0][0](*calls[0][1:])
    calls[2][0](*calls[2][1:], **own)
    # it is somebody's: by id and by name, nothing of this a second time
    for again in (ref, name):
        assert "any more" in refused(gate.rename, again, f"{machine.instance}-user-mallory")
        assert "any more" in refused(gate.disconnect_container_from_network, again, "none")
        assert "already" in refused(gate.connect_container_to_network, again, made.plan.name, **own)
    assert name_of(machine.direct, ref) == name
    assert made.running


def test_no_other_subject(machine: Machine, waits: Server, cold: Server, stranger: str) -> None:
    gate = machine.gate
    connect, leave = gate.connect_container_to_network, gate.disconnect_container_from_network
    own: Any = {"ipv4_address": str(waits.plan.address)}
    name = f"{machine.instance}-user-mallory"
    before = machine.direct.inspect_container(stranger)
    for ref in (stranger, stranger[:12], before["Name"].removeprefix("/")):
        for call in (
            lambda ref=ref: gate.rename(ref, name),
            lambda ref=ref: leave(ref, "none"),
            lambda ref=ref: connect(ref, waits.plan.name, **own),
        ):
            assert "not a user server" in refused(call)
    after = machine.direct.inspect_container(stranger)
    for part in ("Name", "State", "NetworkSettings"):
        assert after[part] == before[part]
    assert "not made to wait" in refused(gate.rename, cold.identity, name)
    assert "not made to wait" in refused(connect, cold.identity, waits.plan.name, **own)
    for network in ("bridge", "host", "none"):
        assert "not a user server" in refused(connect, waits.identity, network, **own)
    other: Any = {"ipv4_address": str(cold.plan.address)}
    for address in (own, other):
        assert "not this container's" in refused(connect, waits.identity, cold.plan.name, **address)
    refused(leave, cold.identity, cold.plan.name)
    refused(leave, waits.identity, "none", force=True)
    assert ends_of(machine.direct, waits.identity) == set()
    assert ends_of(machine.direct, cold.identity) == {cold.plan.name}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("NetworkMode", "bridge"),
        ("NetworkMode", "host"),
        ("Binds", ["/:/run/madang:ro"]),
        ("Binds", ["/var/run/docker.sock:/run/madang:ro"]),
        ("Privileged", True),
        ("CapAdd", ["SYS_ADMIN"]),
        ("ExtraHosts", ["hub.madang:1.2.3.4"]),
    ],
)
def test_a_stronger_one_is_refused(machine: Machine, key: str, value: Any) -> None:
    body = asked(machine, slot_of(machine))
    body["host_config"][key] = value
    assert key in refused(machine.gate.create_container, **body)


def test_a_slot_that_is_a_link_is_refused(machine: Machine) -> None:
    slot = slot_of(machine)
    slot.rmdir()
    slot.symlink_to("/")
    assert "not a folder" in refused(machine.gate.create_container, **asked(machine, slot))
    name = container_name(machine.instance, slot.name)
    with pytest.raises(NotFound):
        machine.direct.inspect_container(name)
