"""The second file for ``docker compose``: what of this machine's accelerators the stack gets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.lending import specification

from madang_hub.accelerators.cdi import Device
from madang_hub.deploy import accelerator_part
from madang_hub.deploy.accelerator_part import (
    Machine,
    compose_file,
    look,
    mounts_below_dev,
    nvidia_names,
)
from madang_hub.settings import Settings

GPU = "nvidia.com/gpu"


def device(name: str, *nodes: str, kind: str = GPU) -> Device:
    return Device(kind, name, frozenset(nodes), frozenset(nodes), "f")


def test_a_machine_without_accelerators_gets_settings_and_nothing_else(tmp_path: Path) -> None:
    environ = Settings.load(tmp_path, {"MADANG_ACCELERATOR_WEIGHTS": "H100=4"}).environ()
    services = compose_file(Machine(), environ)["services"]
    settings = services["hub"]["environment"]
    assert set(settings) == {name for name in environ if name.startswith("MADANG_ACCELERATOR")}
    assert settings["MADANG_ACCELERATOR_WEIGHTS"] == "H100=4.0"
    assert services["engine"] == {"environment": settings, "volumes": []}
    assert services["accelerators"] == {"environment": settings, "volumes": []}


def test_a_machine_with_nvidia_gpus() -> None:
    machine = Machine(
        (Path("/etc/cdi"), Path("/var/run/cdi")),
        Path("/srv/madang/accelerators.toml"),
        (f"{GPU}=all",),
        ("/dev/pts", "/dev/shm"),  # a name, nothing is written there
    )
    services = compose_file(machine, {"MADANG_ACCELERATOR_X": "a$b"})["services"]
    ours = ["/etc/cdi:/etc/cdi:ro", "/var/run/cdi:/var/run/cdi:ro"]
    ours.append("/srv/madang/accelerators.toml:/opt/madang/accelerators.toml:ro")
    assert services["engine"]["volumes"] == ours
    broker = services["accelerators"]
    assert broker["volumes"] == [*ours, "/dev:/host/dev:ro"]
    assert broker["environment"] == {
        "MADANG_ACCELERATOR_CDI": "/etc/cdi /var/run/cdi",
        "MADANG_ACCELERATOR_X": "a$$b",
        "MADANG_DEVICES_UNDER": "/host",
    }
    assert broker["tmpfs"] == [
        "/host/dev/pts:size=4k,mode=000",
        "/host/dev/shm:size=4k,mode=000",
    ]
    (request,) = broker["deploy"]["resources"]["reservations"]["devices"]
    assert request == {"driver": "cdi", "device_ids": [f"{GPU}=all"], "capabilities": ["gpu"]}
    # the Hub gets no device, no specification and no name of one
    assert set(services["hub"]) == {"environment"}


def test_which_names_bring_the_driver() -> None:
    one, two = device("0", "/dev/nvidia0"), device("1", "/dev/nvidia1")
    every = device("all", "/dev/nvidia0", "/dev/nvidia1")
    other = device("0", "/dev/acme0", kind="acme.com/npu")
    assert nvidia_names([one, two, every, other], []) == (f"{GPU}=all",)
    assert nvidia_names([one, two, other], []) == (f"{GPU}=0", f"{GPU}=1")
    # the engine makes no container with a node that is not there
    assert nvidia_names([one, two, every], ["/dev/nvidia1"]) == (f"{GPU}=0",)
    assert nvidia_names([other], []) == ()
    # nor with a name that it cannot resolve
    ambiguous = replace(every, why="two files say it")
    assert nvidia_names([one, two, ambiguous], []) == (f"{GPU}=0", f"{GPU}=1")


def test_mounts_that_come_along() -> None:
    lines = (
        "20 1 0:5 / / rw - ext4 / rw",
        "25 20 0:6 / /dev rw,nosuid - devtmpfs devtmpfs rw",
        "26 25 0:7 / /dev/pts rw - devpts devpts rw",
        "27 25 0:8 / /dev/shm rw - tmpfs tmpfs rw",
        "28 27 0:9 / /dev/shm/x rw - tmpfs tmpfs rw",
        # a space in its name: not written into a file for Compose
        r"30 25 0:9 / /dev/a\040b rw - tmpfs tmpfs rw",
        "29 20 0:9 / /device rw - tmpfs tmpfs rw",
    )
    assert mounts_below_dev("\n".join(lines)) == ("/dev/pts", "/dev/shm")


def test_only_folders_are_covered_with_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "27 25 0:8 / /dev/shm rw - tmpfs tmpfs rw\n28 25 0:9 / /dev/null rw - devpts devpts rw\n"
    )
    monkeypatch.setattr(accelerator_part, "MOUNTS", mounts)
    assert look(None, tmp_path).mounts == ("/dev/shm",)


def test_looking_at_this_machine(tmp_path: Path) -> None:
    assert look(None, tmp_path).folders == ()
    specification(tmp_path / "cdi" / "n.json", GPU, {"0": {"path": "/dev/null"}})
    (tmp_path / "accelerators.toml").write_text("")
    found = look([tmp_path / "cdi", tmp_path / "none"], tmp_path)
    assert found.folders == (tmp_path / "cdi",)
    assert found.table == tmp_path / "accelerators.toml"
    assert found.nvidia == (f"{GPU}=0",)
    specification(tmp_path / "cdi" / "n.json", GPU, {"0": {"path": "/dev/no-such-node"}})
    assert look([tmp_path / "cdi"], tmp_path).nvidia == ()
