"""Which CDI devices the gateway hands out, by the specifications and the operator's table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from madang_hub.accelerators.table import TableError
from madang_hub.engine.devices import devices_to_give

CARD = "GPU-0f3a4a5e-1b2c-4d5e-8f90-123456789abc"


def written(folder: Path, kind: str, nodes: Mapping[str, list[str]]) -> None:
    devices: list[Any] = [
        {"name": name, "containerEdits": {"deviceNodes": [{"path": at} for at in paths]}}
        for name, paths in nodes.items()
    ]
    text = json.dumps({"cdiVersion": "0.5.0", "kind": kind, "devices": devices})
    (folder / f"{kind.replace('/', '-')}.json").write_text(text)


def test_one_name_a_device_and_none_for_several(tmp_path: Path) -> None:
    nodes = {
        "0": ["/dev/nvidia0"],
        CARD: ["/dev/nvidia0"],
        "1": ["/dev/nvidia1"],
        "all": ["/dev/nvidia0", "/dev/nvidia1"],
    }
    written(tmp_path, "nvidia.com/gpu", nodes)
    give = devices_to_give([tmp_path, tmp_path / "none"], tmp_path)
    # missing nodes are the inventory's matter, and the engine's
    assert give() == {f"nvidia.com/gpu={CARD}": 1, "nvidia.com/gpu=1": 1}


def test_it_is_read_anew_each_time(tmp_path: Path) -> None:
    give = devices_to_give([tmp_path], tmp_path)
    assert give() == {}
    written(tmp_path, "acme.com/npu", {"0": ["/dev/acme0"], "1": ["/dev/acme1"]})
    assert give() == {"acme.com/npu=0": 1, "acme.com/npu=1": 1}
    (tmp_path / "accelerators.toml").write_text('["acme.com/npu=0"]\noffered = false\n')
    assert give() == {"acme.com/npu=1": 1}
    (tmp_path / "accelerators.toml").write_text('["acme.com/npu=0"]\nshares = 4\n')
    assert give() == {"acme.com/npu=0": 4, "acme.com/npu=1": 1}


def test_a_group_goes_as_one(tmp_path: Path) -> None:
    nodes = {str(n): [f"/dev/rbln{n}", "/dev/rsd0"] for n in range(2)}
    written(tmp_path, "rebellions.ai/npu", nodes)
    give = devices_to_give([tmp_path], tmp_path)
    assert give() == {"rebellions.ai/npu=0": 1, "rebellions.ai/npu=1": 1}
    (tmp_path / "accelerators.toml").write_text('["rebellions.ai/npu=1"]\noffered = false\n')
    assert give() == {}
    # of several divisions the most careful
    shares = '["rebellions.ai/npu=0"]\nshares = 2\n["rebellions.ai/npu=1"]\nshares = 4\n'
    (tmp_path / "accelerators.toml").write_text(shares)
    assert give() == {"rebellions.ai/npu=0": 2, "rebellions.ai/npu=1": 2}


def test_a_table_that_is_wrong_gives_nothing_away(tmp_path: Path) -> None:
    (tmp_path / "accelerators.toml").write_text("x")
    with pytest.raises(TableError):
        devices_to_give([tmp_path], tmp_path)()
