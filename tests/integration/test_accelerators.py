"""A slot's devices in a container, on a real engine with stand-in CDI devices."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from conftest import missing
from docker.types import DeviceRequest

from madang_hub.accelerators.inventory import Inventory
from madang_hub.accelerators.nvml import Nvml, Reading
from madang_hub.accelerators.slots import Health, Slot
from madang_hub.accelerators.sources import Sources
from madang_hub.deploy.engine import cdi_folders, look

pytestmark = pytest.mark.engine

NODES = {"a": Path("/dev/fuse"), "b": Path("/dev/loop-control")}
"""Devices that a container may not open by itself, as it may /dev/null and /dev/net/tun."""
IMAGE = "debian:bookworm-slim"


class NoDriver(Nvml):
    """A machine without NVIDIA's driver, whatever this one has."""

    def read(self) -> Reading:
        return Reading(present=False)


class Accelerators:
    """Stand-in devices of a maker of this test's own: two, a third that is missing, and a name for all."""

    def __init__(self, folder: Path) -> None:
        mark = f"mdt{secrets.token_hex(4)}"
        self.kind = f"{mark}.example/npu"
        self.file = folder / f"{mark}.json"
        self.node = {name: f"/dev/{mark}-{name}" for name in (*NODES, "gone")}
        hosts = {**NODES, "gone": Path(f"/dev/{mark}-gone")}
        edits = {
            name: [{"path": self.node[name], "hostPath": str(host)}] for name, host in hosts.items()
        }
        edits["all"] = [*edits["a"], *edits["b"]]
        devices = [
            {"name": name, "containerEdits": {"deviceNodes": nodes}}
            for name, nodes in edits.items()
        ]
        # the engine watches the folder: the whole file comes at once
        draft = folder / f"{mark}.draft"
        draft.write_text(json.dumps({"cdiVersion": "0.5.0", "kind": self.kind, "devices": devices}))
        draft.rename(self.file)

    def inventory(self, root: Path) -> Inventory:
        folders = cdi_folders(look())
        assert folders, "the engine names no folders of CDI specifications"
        return Sources(root, folders, NoDriver()).take()

    def slots(self, root: Path) -> dict[str, Slot]:
        found = [slot for slot in self.inventory(root).slots if slot.kind == self.kind]
        return {slot.id.partition("=")[2]: slot for slot in found}


@pytest.fixture(scope="module")
def accelerators(engine: docker.DockerClient) -> Iterator[Accelerators]:
    folder = Path(os.environ.get("MADANG_ENGINE_DIR", "/var/lib/madang-engine")) / "cdi"
    if str(folder) not in (engine.info().get("CDISpecDirs") or []):
        missing("an engine of scripts/engine, with a folder for CDI specifications")
    for node in NODES.values():
        if not node.exists():
            missing(f"the device {node}")
    made = Accelerators(folder)
    yield made
    made.file.unlink()


def runs(
    engine: docker.DockerClient, script: str, slots: tuple[Slot, ...], **options: Any
) -> list[str]:
    """The lines that ``script`` prints in a container that is given ``slots``."""
    requests = [DeviceRequest(driver="cdi", device_ids=list(slot.devices)) for slot in slots]
    said: bytes = engine.containers.run(
        IMAGE,
        ["sh", "-c", script],
        device_requests=requests,
        network_mode="none",
        remove=True,
        **options,
    )
    return said.decode().splitlines()


def test_the_inventory_knows_them(accelerators: Accelerators, tmp_path: Path) -> None:
    slots = accelerators.slots(tmp_path)
    assert set(slots) == {"a", "b", "gone"}
    assert {name for name, slot in slots.items() if slot.health is Health.GOOD} == {"a", "b"}
    assert slots["gone"].why == f"Its device node {accelerators.node['gone']} is missing."


@pytest.mark.parametrize("given", [(), ("a",), ("b",), ("a", "b")])
def test_a_container_has_the_devices_of_its_slots_and_no_other(
    engine: docker.DockerClient,
    accelerators: Accelerators,
    tmp_path: Path,
    given: tuple[str, ...],
) -> None:
    """As people's servers are started: user 1000, no capabilities, read-only."""
    slots = accelerators.slots(tmp_path)
    listed = runs(
        engine,
        "find /dev -type b -o -type c",
        tuple(slots[name] for name in given),
        user="1000:1000",
        cap_drop=["ALL"],
        read_only=True,
        security_opt=["no-new-privileges"],
    )
    usual = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "console"}
    extra = {path for path in listed if path.removeprefix("/dev/").split("/")[-1] not in usual}
    assert extra == {accelerators.node[name] for name in given}


@pytest.mark.parametrize(("given", "other"), [("a", "b"), ("b", "a")])
def test_root_with_a_node_of_its_own_making_reaches_no_other(
    engine: docker.DockerClient,
    accelerators: Accelerators,
    tmp_path: Path,
    given: str,
    other: str,
) -> None:
    """Not the names that a program sees keep it out (CUDA_VISIBLE_DEVICES), but the kernel."""

    def made(name: str) -> str:
        number = NODES[name].stat().st_rdev
        return f"mknod /tmp/{name} c {os.major(number)} {os.minor(number)}"

    script = f"""
        {made(given)} && {made(other)} || exit 1
        for node in {accelerators.node[given]} /tmp/{given} /tmp/{other}; do
            (exec 3<>$node) 2>/dev/null && echo "$node opens" || echo "$node is refused"
        done
    """
    assert runs(engine, script, (accelerators.slots(tmp_path)[given],)) == [
        f"{accelerators.node[given]} opens",
        f"/tmp/{given} opens",
        f"/tmp/{other} is refused",
    ]


def test_the_operator_sees_them(accelerators: Accelerators, tmp_path: Path) -> None:
    (tmp_path / "accelerators.toml").write_text(
        f'["{accelerators.kind}=a"]\nmodel = "A7"\nmemory = "16G"\n'
    )
    done = subprocess.run(
        [sys.executable, "-m", "madang_hub", "accelerators"],
        env={**os.environ, "MADANG_ROOT": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    (line,) = (line for line in lines if line.startswith(f"{accelerators.kind}=a "))
    assert line.split() == [
        f"{accelerators.kind}=a",
        *("good", "A7", "16.0", "GiB", "?", "?"),
        f"{accelerators.kind}=a",
    ]
    place = next(n for n, line in enumerate(lines) if line.startswith(f"{accelerators.kind}=gone "))
    assert lines[place + 1].strip().startswith("Its device node")
