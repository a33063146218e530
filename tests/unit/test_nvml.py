"""What is read of NVIDIA GPUs, by the real nvidia-ml-py from a stand-in for NVIDIA's driver library."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import missing
from support import nvml as stand_in
from support.nvml import Device, Machine

from madang_hub.accelerators.nvml import Nvml, Reading
from madang_hub.accelerators.slots import Use

GIB = 2**30


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("cc") is None:
        missing("a C compiler (apt-get install gcc)")
    return stand_in.build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def machine(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    stand_in.load(library)
    monkeypatch.setenv(stand_in.FILE, str(tmp_path / "gpus"))
    return Machine(tmp_path / "gpus")


def read() -> Reading:
    return Nvml().read()


def sliced(uuid: str = "GPU-b") -> Device:
    def part(name: str, gib: int) -> Device:
        return Device(f"MIG-{name}", f"NVIDIA H100 MIG {name}", gib * GIB)

    return Device(uuid, slices=[part("1g.10gb", 10), part("3g.40gb", 40)])


# ---- what there is --------------------------------------------------------------------------------


def test_cards_with_model_memory_and_use(machine: Machine) -> None:
    machine.has(
        Device("GPU-a", used=3 * GIB, utilisation=97, processes=(812, 4711)),
        Device("GPU-b", "NVIDIA L4", 23 * GIB, facts={"minor": 5}),
    )
    reading = read()
    assert (reading.present, reading.complete, reading.notes) == (True, True, ())
    first, second = reading.gpus
    assert (first.uuid, first.index, first.node) == ("GPU-a", "0", "/dev/nvidia0")
    assert (first.model, first.memory) == ("NVIDIA H100 80GB HBM3", 80 * GIB)
    assert first.use == Use(97, 3 * GIB, (812, 4711))
    assert (second.uuid, second.index, second.node) == ("GPU-b", "1", "/dev/nvidia5")
    assert second.use == Use(0, 0, ())
    assert not any(gpu.why or gpu.parent or gpu.sliced for gpu in reading.gpus)


def test_it_is_read_anew_each_time(machine: Machine) -> None:
    nvml = Nvml()
    machine.has(Device("GPU-a"))
    assert [gpu.uuid for gpu in nvml.read().gpus] == ["GPU-a"]
    machine.has(Device("GPU-a", utilisation=40), Device("GPU-c"))
    reading = nvml.read()
    assert [gpu.uuid for gpu in reading.gpus] == ["GPU-a", "GPU-c"]
    assert reading.gpus[0].use.utilisation == 40
    machine.has()
    assert nvml.read() == Reading()


def test_a_sliced_card_comes_with_its_slices(machine: Machine) -> None:
    card = sliced()
    card.slices[1].used, card.slices[1].processes = 7 * GIB, (99,)
    machine.has(Device("GPU-a"), card)
    whole, parent, small, large = read().gpus
    assert (whole.sliced, parent.sliced, small.sliced) == (False, True, False)
    assert (parent.uuid, parent.index) == ("GPU-b", "1")
    assert (small.uuid, small.index, small.parent) == ("MIG-1g.10gb", "1:0", "GPU-b")
    assert (large.model, large.memory) == ("NVIDIA H100 MIG 3g.40gb", 40 * GIB)
    assert large.use == Use(None, 7 * GIB, (99,)), "the driver has no utilisation of a slice"
    assert large.use.busy(5)
    assert not whole.use.busy(5)


def test_a_sliced_card_without_slices_is_explained(machine: Machine) -> None:
    machine.has(Device("GPU-a", facts={"mig": 1}))
    reading = read()
    assert [gpu.sliced for gpu in reading.gpus] == [True]
    assert len(reading.notes) == 1
    assert "GPU-a" in reading.notes[0]
    assert "no slices" in reading.notes[0]


def test_an_old_card_with_an_old_driver(machine: Machine) -> None:
    facts = {"mig": -1, "pages": -1, "recovery": -1}
    machine.has(Device("GPU-a", "Tesla P4", total=0, utilisation=-1, facts=facts))
    (gpu,) = read().gpus
    assert (gpu.memory, gpu.use, gpu.why) == (0, Use(None, None, ()), "")


# ---- health ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"lost": 1}, "is lost"),
        ({"ecc": 2}, "2 error(s)"),
        ({"pages": 1}, "next reset"),
        ({"rows_pending": 1}, "next reset"),
        ({"rows_failed": 1}, "could not be replaced"),
        ({"recovery": 1}, "asks for a reset"),
        ({"recovery": 2}, "asks for a restart of the machine"),
    ],
)
@pytest.mark.parametrize("card", [Device, sliced])
def test_an_ill_card_and_its_slices_say_why(
    machine: Machine, card: Callable[[str], Device], facts: dict[str, int], says: str
) -> None:
    ill = card("GPU-a")
    ill.facts.update(facts)
    machine.has(ill, Device("GPU-z"))
    *broken, well = read().gpus
    assert {gpu.uuid for gpu in broken} == {"GPU-a", *(part.uuid for part in ill.slices)}
    for gpu in broken:
        assert says in gpu.why
        assert gpu.why.endswith(".")
    assert (well.uuid, well.why) == ("GPU-z", "")


def test_work_between_cards_is_no_illness(machine: Machine) -> None:
    """Recovery actions 3 and 5 concern the links between cards and between machines."""
    machine.has(Device("GPU-a", facts={"recovery": 3}), Device("GPU-b", facts={"recovery": 5}))
    assert [gpu.why for gpu in read().gpus] == ["", ""]


def test_a_lost_card_that_cannot_say_which_it_is(machine: Machine) -> None:
    machine.has(Device("GPU-a", facts={"nameless": 1}), Device("GPU-b"))
    reading = read()
    assert [gpu.uuid for gpu in reading.gpus] == ["GPU-b"]
    assert not reading.complete
    assert len(reading.notes) == 1
    assert "NVIDIA GPU 0 is lost" in reading.notes[0]


# ---- time -----------------------------------------------------------------------------------------


def test_a_driver_that_hangs_costs_the_time_limit_once(machine: Machine) -> None:
    nvml = Nvml(seconds=0.3)
    stuck = Device("GPU-b", facts={"hang": 1})
    machine.has(Device("GPU-a"), stuck, Device("GPU-c"))
    began = time.monotonic()
    reading = nvml.read()
    assert time.monotonic() - began < 5
    assert [gpu.uuid for gpu in reading.gpus] == ["GPU-a"], "what was read before it hung"
    assert (reading.present, reading.complete) == (True, False)
    assert "does not answer within 0.3 seconds (asking for GPU 1)" in reading.notes[0]

    again = nvml.read()
    assert "since an earlier question" in again.notes[0]
    waiting = [thread for thread in threading.enumerate() if thread.name == "nvml"]
    assert len(waiting) == 1, "questions do not pile up"

    stuck.facts["hang"] = 0
    machine.has(Device("GPU-a"), stuck, Device("GPU-c"))
    waiting[0].join(10)
    nvml.seconds = 20
    assert [gpu.uuid for gpu in nvml.read().gpus] == ["GPU-a", "GPU-b", "GPU-c"]


# ---- no driver ------------------------------------------------------------------------------------


def test_a_driver_that_is_not_loaded(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(stand_in.FILE)
    reading = read()
    assert (reading.gpus, reading.present, reading.complete) == ((), False, True)
    assert "Driver Not Loaded" in reading.notes[0]


def test_a_machine_without_the_library() -> None:
    """In a process of its own: a library that is loaded stays."""
    if shutil.which("nvidia-smi"):
        pytest.skip("this machine has NVIDIA's library")
    program = (
        "from madang_hub.accelerators.nvml import Nvml; reading = Nvml().read()\n"
        "assert not reading.gpus and not reading.present and reading.complete\n"
        "print(*reading.notes)"
    )
    environ = {"PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "NVIDIA GPUs are not looked for: "
        "no NVIDIA driver library (libnvidia-ml.so.1) on this machine.\n"
    )
