"""On a machine with an NVIDIA GPU: the inventory agrees with ``nvidia-smi``. Run by hand, from this folder:

``pytest -m gpu tests/gpu/test_accelerators.py``. It needs the packages of ``locks/dev.txt``, and PyTorch.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.deployment import wait_for

from madang_hub.accelerators.slots import Health
from madang_hub.accelerators.sources import Sources

pytestmark = pytest.mark.gpu
QUESTION = "--query-gpu=uuid,name,memory.total,mig.mode.current"
MIB = 2**20


def test_the_inventory_is_what_nvidia_smi_shows(tmp_path: Path) -> None:
    told = subprocess.run(
        ["nvidia-smi", QUESTION, "--format=csv,noheader,nounits"],
        capture_output=True,
        text=True,
        check=True,
    )
    cards = [[cell.strip() for cell in line.split(",")] for line in told.stdout.splitlines()]
    # no folder of CDI specifications: the driver alone
    found = Sources(tmp_path, []).take()
    whole = [slot for slot in found.slots if not slot.parent]
    assert [(slot.id, slot.model) for slot in whole] == [
        (uuid, name) for uuid, name, _, mig in cards if mig != "Enabled"
    ]
    sizes = {uuid: int(total) for uuid, _, total, _ in cards if total.isdecimal()}
    for slot in whole:
        use = found.use[slot.id]
        assert slot.memory // MIB == sizes[slot.id]
        assert use.utilisation in range(101)
        assert use.memory is not None
        assert 0 <= use.memory <= slot.memory
        assert use.processes is not None
        # well, but for the name that a container would get it by
        assert (slot.health, slot.cdi) == (Health.ILL, "")
        assert "No CDI specification names it" in slot.why
    for slot in found.slots:
        if slot.parent:
            assert slot.id.startswith("MIG-")
            assert slot.memory
            assert found.use[slot.id].busy(5), "the driver has no utilisation of a slice"
    assert (found.notes, found.faults) == ((), ())


COMPUTES = """
import torch
a = torch.randn(8192, 8192, device="cuda")
torch.cuda.synchronize()
print("ready", flush=True)
while True:
    b = a @ a
    torch.cuda.synchronize()
"""


@contextmanager
def computing() -> Iterator[int]:
    """A program that computes on the first GPU all the time; its process id."""
    with subprocess.Popen(
        [sys.executable, "-c", COMPUTES], stdout=subprocess.PIPE, text=True
    ) as program:
        try:
            assert program.stdout is not None
            assert program.stdout.readline() == "ready\n"
            yield program.pid
        finally:
            program.kill()


def test_a_gpu_that_computes_is_busy_and_then_idle_again(tmp_path: Path) -> None:
    """What keeps a server from being taken for idle, and a lease from being given back."""
    sources = Sources(tmp_path, [])
    first = next(slot.id for slot in sources.take().slots if not slot.parent)
    with computing() as pid:
        wait_for(lambda: sources.take().use[first].busy(50), "the GPU's work")
        use = sources.take().use[first]
        assert use.processes is not None
        assert pid in use.processes
        assert use.memory is not None
        assert use.memory > 2 * 8192 * 8192 * 4
    wait_for(lambda: not sources.take().use[first].busy(5), "the GPU's rest")
    rest = sources.take().use[first].processes
    assert rest is not None
    assert pid not in rest
