"""Embedded mode: how long somebody waits for the first cell, with and without a warm parent."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path

from support.deployment import Deployment, kill, wait_for
from support.people import newcomer

from bench.clients import client_of
from bench.result import Result

RUNS = 7


def first_cell_warm_embedded() -> list[Result]:
    """Start request → first executed cell; the baseline is the cold start of the same installation.

    Median of 7 after one warm-up. A cold start is had by killing the parent a moment before.
    """
    runs = []
    with tempfile.TemporaryDirectory(prefix="madang-bench-") as folder:
        deployment = Deployment(
            "embedded", Path(folder) / "data", extra={"MADANG_WARM": "1"}, tracking_workers=2
        )
        with deployment.running():
            client = client_of(
                newcomer(deployment, "single"), {"environment": "lab", "size": "small"}
            )
            socket = deployment.data / "run" / "warm" / "lab" / "socket"
            for counted in (False, *[True] * RUNS):
                times = []
                for warm in (True, False):
                    wait_for(socket.exists, "the warm parent")
                    if not warm:
                        kill(deployment, "madang-warm")
                    times.append(asyncio.run(client.first_cell()))
                    asyncio.run(client.stop())
                if counted:
                    runs.append((times[0], times[1]))
    return [Result.smaller("first_cell_warm_embedded", "s", runs)]


ALONE: dict[str, Callable[[], list[Result]]] = {
    "first_cell_warm_embedded": first_cell_warm_embedded
}
