"""Accelerators in containers: a real engine, stand-in CDI devices, and the broker as a part of the stack.

The tests are one story and go on from each other.
"""

from __future__ import annotations

import errno
import json
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from conftest import missing
from docker.errors import NotFound
from docker.models.containers import Container
from support import nvml
from support.classroom import imported
from support.deployment import Deployment, wait_for
from support.lending import ENGINES_CDI, Borrower, devices_in, specification
from support.nvml import Device, Machine
from support.people import Person

from madang_hub.user_container import DEVICES_LABEL, LEASE_LABEL, SLOTS_LABEL

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

MARK = f"mdl{secrets.token_hex(4)}"
KIND, GPU = f"{MARK}.example/npu", "nvidia.com/gpu"
NODES = {"a": "/dev/fuse", "b": "/dev/loop-control"}
"""Devices that a container may not open by itself, as it may /dev/null."""


@pytest.fixture(scope="module")
def file(engine: docker.DockerClient) -> Iterator[Path]:
    if str(ENGINES_CDI) not in (engine.info().get("CDISpecDirs") or []):
        missing("an engine of scripts/engine, with a folder for CDI specifications")
    made = ENGINES_CDI / f"{MARK}.json"
    nodes = {name: {"path": f"/dev/{MARK}-{name}", "hostPath": at} for name, at in NODES.items()}
    specification(made, KIND, nodes)
    yield made
    made.unlink()


@pytest.fixture(scope="module")
def people(
    server_mode: Deployment, file: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Person]:
    room = imported(
        server_mode,
        "class:lend",
        "가속기반",
        {"le-ann": ("trainee", "안"), "le-ben": ("trainee", "벤")},
        tmp_path_factory.mktemp("lending"),
    )
    return room.people


@pytest.fixture(scope="module")
def ann(people: dict[str, Person]) -> Borrower:
    found = Borrower(people["le-ann"])
    found.wait_for_slots(KIND, 2)
    return found


def container_of(engine: docker.DockerClient, deployment: Deployment, person: Person) -> Container:
    labels = [f"madang.instance={deployment.instance}", f"madang.user={person.name}"]
    (found,) = engine.containers.list(filters={"label": labels})
    return found


def test_exactly_the_leased_device_is_in_the_container(
    engine: docker.DockerClient, server_mode: Deployment, ann: Borrower
) -> None:
    lease = ann.takes(KIND)
    ann.person.start(environment="lab", size="small")
    (slot,) = ann.get(f"requests/{lease}")["slots"]
    name = slot["id"].partition("=")[2]
    assert devices_in(ann.person) == [f"/dev/{MARK}-{name}"]
    assert ann.person.run("import os; print(os.environ['MADANG_LEASE'])").strip() == lease
    container = container_of(engine, server_mode, ann.person)
    labels = container.labels
    assert (labels[LEASE_LABEL], labels[SLOTS_LABEL]) == (lease, slot["id"])
    assert labels[DEVICES_LABEL] == f"{KIND}={name}"
    # neither by a node of its own making: no capability, and the kernel's rules for this container
    refused = ann.person.run(
        "import os\n"
        f"numbers = {[Path(at).stat().st_rdev for at in NODES.values()]!r}\n"
        "for number in numbers:\n"
        "    try: os.mknod(f'/tmp/{number}', 0o20666, number); print('made')\n"
        "    except PermissionError: print('refused')"
    )
    assert refused.split() == ["refused", "refused"]


def test_a_server_without_a_lease_has_none(people: dict[str, Person], ann: Borrower) -> None:
    ben = people["le-ben"]
    ben.start(environment="lab", size="small")
    assert devices_in(ben) == []
    ben.stop()


def test_a_container_that_vanishes_ends_its_lease(
    engine: docker.DockerClient, server_mode: Deployment, ann: Borrower
) -> None:
    (lease,) = (r["id"] for r in ann.get()["requests"] if r["state"] == "active")
    container_of(engine, server_mode, ann.person).remove(force=True)
    assert ann.becomes(lease, "ended")["why"] == "vanished"
    wait_for(lambda: not ann.person.model()["servers"], "the Hub to notice")


def test_what_is_given_back_ends_the_server_and_is_free_again(ann: Borrower) -> None:
    lease = ann.takes(KIND)
    ann.person.start(environment="lab", size="small")
    ann.step(lease, "give-back")
    ann.becomes(lease, "ended")
    (entry,) = (e for e in ann.get()["free"] if e["kind"] == KIND)
    assert entry["free"] == 2
    wait_for(lambda: not ann.person.model()["servers"], "the Hub to have stopped it")


@pytest.fixture
def orphan(engine: docker.DockerClient, server_mode: Deployment) -> Iterator[Container]:
    """A container that nobody's lease allows, as a crash may leave one behind."""
    made = engine.containers.run(
        "debian:bookworm-slim",
        ["sleep", "600"],
        name=f"{server_mode.instance}-user-le-orphan",
        labels={
            "madang.instance": server_mode.instance,
            "madang.user": "le-orphan",
            LEASE_LABEL: "0" * 32,
            SLOTS_LABEL: f"{KIND}=a",
            DEVICES_LABEL: f"{KIND}=a",
        },
        network_mode="none",
        init=True,
        detach=True,
    )
    yield made
    try:
        made.remove(force=True)
    except NotFound:
        pass


def test_a_container_without_a_lease_is_removed(
    engine: docker.DockerClient, orphan: Container
) -> None:
    def gone() -> bool:
        try:
            engine.containers.get(str(orphan.id))
        except NotFound:
            return True
        return False

    wait_for(gone, "the orphan to be removed", 40)


def test_the_part_sees_names_and_opens_nothing(server_mode: Deployment) -> None:
    script = (
        "import json, os\n"
        "found = {'who': os.getuid(), 'names': os.path.exists('/host/dev/fuse')}\n"
        "try: open('/host/dev/fuse'); found['opens'] = 0\n"
        "except OSError as error: found['opens'] = error.errno\n"
        "found['shm'] = os.listdir('/host/dev/shm')\n"
        "found['caps'] = [l for l in open('/proc/self/status') if l.startswith('CapEff')][0].split()[1]\n"
        "print(json.dumps(found))"
    )

    def inside(*options: str) -> dict[str, Any]:
        words = ["exec", "-T", *options, "accelerators", "python", "-c", script]
        found: dict[str, Any] = json.loads(server_mode.compose(*words).splitlines()[-1])
        assert found["names"]
        assert int(found["caps"], 16) == 0
        return found

    with tempfile.NamedTemporaryFile(dir="/dev/shm"):
        part = inside()
    assert part["who"] == 990
    assert part["opens"]
    assert part["shm"] == [], "what programs of the machine keep there is not seen"
    # not the file's mode keeps it closed, which lets its owner in, but the rule of the control group
    assert inside("--user", "0")["opens"] == errno.EPERM


# ---- NVIDIA's driver ------------------------------------------------------------------------------

CARDS = ("GPU-6d61646e-0000-4000-8000-000000000001", "GPU-6d61646e-0000-4000-8000-000000000002")


@pytest.fixture
def machine(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Two stand-in GPUs with a CDI specification as NVIDIA's tool writes it: library, settings, nodes."""
    folder = Path(tempfile.mkdtemp(prefix="madang-nvml-"))
    folder.chmod(0o755)  # the part is not root
    nvml.build(folder)
    found = Machine(folder / "gpus")
    found.has(*map(Device, CARDS))
    nodes = [{"path": f"/dev/nvidia{n}", "hostPath": at} for n, at in enumerate(NODES.values())]
    devices: list[Any] = [
        {"name": card, "containerEdits": {"deviceNodes": [node]}}
        for card, node in zip(CARDS, nodes, strict=True)
    ]
    devices.append({"name": "all", "containerEdits": {"deviceNodes": nodes}})
    edits = {
        "env": [f"{nvml.FILE}=/run/nvml/gpus"],
        "mounts": [
            {
                "hostPath": str(folder / nvml.SONAME),
                "containerPath": f"/usr/lib/{nvml.SONAME}",
                "options": ["ro", "nosuid", "nodev", "bind"],
            },
            {
                "hostPath": str(folder),
                "containerPath": "/run/nvml",
                "options": ["ro", "nosuid", "nodev", "bind"],
            },
        ],
    }
    text = {"cdiVersion": "0.5.0", "kind": GPU, "containerEdits": edits, "devices": devices}
    spec = ENGINES_CDI / f"{MARK}-nvidia.json"
    draft = spec.with_suffix(".draft")
    draft.write_text(json.dumps(text))
    draft.rename(spec)
    yield found
    spec.unlink()
    shutil.rmtree(folder)


def test_nvidias_driver_is_asked_in_the_part(
    server_mode: Deployment, ann: Borrower, machine: Machine
) -> None:
    server_mode.up()  # what NVIDIA's driver needs comes with the next start of the part

    def gpus() -> list[dict[str, Any]]:
        return [entry for entry in ann.get()["free"] if entry["kind"] == GPU]

    wait_for(lambda: sum(int(e["total"]) for e in gpus()) == 2, "the GPUs")
    (entry,) = gpus()
    # the model is NVML's word: no specification has it
    assert (entry["model"], entry["memory"]) == ("NVIDIA H100 80GB HBM3", 80 * 2**30)
    machine.has(Device(CARDS[0]), Device(CARDS[1], facts={"lost": 1}))
    wait_for(lambda: sum(int(e["free"]) for e in gpus()) == 1, "the lost GPU to be ill")


def test_without_it_the_stack_comes_up_as_before(server_mode: Deployment, ann: Borrower) -> None:
    server_mode.up()
    ann.wait_for_slots(GPU, 0)
    ann.wait_for_slots(KIND, 2)
