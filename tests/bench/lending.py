"""From asking for an accelerator to a cell that sees it, beside a server that simply gets the device."""

from __future__ import annotations

import asyncio
import os
import secrets
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from support.classroom import imported
from support.deployment import ROOT, Deployment, wait_for
from support.lending import Borrower, specification
from support.people import Person

from bench.clients import Client, client_of
from bench.plain import plain_hub
from bench.result import Result
from madang_hub.catalog import Catalog
from madang_hub.people.directory import TeamRole

RUNS = 5
ENGINE = "/var/lib/madang-engine"


def _borrowed(client: Client, borrower: Borrower, kind: str) -> float:
    """Seconds from the request to the first cell's reply; the accelerator is free, and is again afterwards."""
    begin = time.perf_counter()
    lease = borrower.ask(kind)
    borrower.becomes(lease, "granted")
    borrower.step(lease, "take")
    asyncio.run(client.first_cell())
    seconds = time.perf_counter() - begin
    # a server that goes before the broker has seen it could yet come, and its lease waits for it
    wait_for(lambda: borrower.get()["server"] is None, "the broker to see the server")
    asyncio.run(client.stop())
    borrower.becomes(lease, "ended")
    return seconds


def _plain(client: Client) -> float:
    seconds = asyncio.run(client.first_cell())
    asyncio.run(client.stop())
    return seconds


def device_visible(ours: Deployment, size: str) -> Result:
    """Median of 5 after one warm-up. What Madang does more: the request, the queue, the lease, the label."""
    mark = f"mdb{secrets.token_hex(4)}"
    kind, node = f"{mark}.example/npu", f"/dev/{mark}"
    file = Path(os.environ.get("MADANG_ENGINE_DIR", ENGINE)) / "cdi" / f"{mark}.json"
    specification(file, kind, {"0": {"path": node, "hostPath": "/dev/zero"}})
    code = f"import os; os.stat({node!r})"
    catalog = Catalog.load(ROOT / "images" / "images.toml")
    try:
        with tempfile.TemporaryDirectory(prefix="madang-bench-") as folder:
            people: dict[str, tuple[TeamRole, str]] = {"borrower": ("trainee", "borrower")}
            room = imported(ours, "class:bench", "bench", people, Path(folder))
            borrower = Borrower(room.people["borrower"])
            borrower.wait_for_slots(kind, 1)
            options = {"environment": "lab", "size": size}
            here = replace(client_of(borrower.person, options), code=code)
            with plain_hub(
                Path(folder), catalog, size, name="plain-lend", device=f"{kind}=0"
            ) as plain:
                there = Person(plain, "borrower", password="bench")
                there.sign_in(follow=False).raise_for_status()
                beside = replace(client_of(there, {}), code=code)
                runs = [(_borrowed(here, borrower, kind), _plain(beside)) for _ in range(RUNS + 1)]
    finally:
        file.unlink()
    return Result.smaller("lease_device_visible", "s", runs[1:])
