"""On a machine with an NVIDIA GPU: the locked PyTorch trains on it. Run by hand: ``pytest -m gpu tests/gpu``.

It needs the packages of ``locks/torch-cuda.txt`` in the interpreter that runs it, and says which differ.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def torch() -> Any:
    return importlib.import_module("torch")


def test_the_version_is_the_locked_one(torch: Any, root: Path) -> None:
    lock = (root / "locks" / "torch-cuda.txt").read_text(encoding="utf-8")
    found = re.search(r"^torch==(\S+)", lock, re.MULTILINE)
    assert found
    assert torch.__version__.split("+")[0] == found[1]


def test_a_small_network_learns_on_the_device(torch: Any) -> None:
    assert torch.cuda.is_available(), "no GPU, or a driver too old for this CUDA"
    device = torch.device("cuda")
    torch.manual_seed(0)
    x = torch.randn(4096, 32, device=device)
    y = (x @ torch.randn(32, 1, device=device)).squeeze() > 0
    net = torch.nn.Sequential(torch.nn.Linear(32, 64), torch.nn.ReLU(), torch.nn.Linear(64, 1)).to(
        device
    )
    optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(200):
        optimiser.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(net(x).squeeze(), y.float())
        loss.backward()
        optimiser.step()
    right = float(((net(x).squeeze() > 0) == y).float().mean())
    assert right > 0.97, right
    assert next(net.parameters()).device.type == "cuda"


def test_reduced_precision_agrees_with_full(torch: Any) -> None:
    a = torch.randn(512, 512, device="cuda")
    exact = a @ a
    rough = (a.bfloat16() @ a.bfloat16()).float()
    relative = float((exact - rough).abs().mean() / exact.abs().mean())
    assert relative < 0.02, relative
