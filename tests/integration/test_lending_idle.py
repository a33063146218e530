"""An accelerator that lies idle is found in a Madang as it is, and who waits gets it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import requests
from conftest import missing
from support import broker, nvml
from support.academy import Academy, academy
from support.broker import GPU
from support.deployment import Deployment, wait_for
from support.lending import Borrower
from support.notebook import notebook
from support.nvml import Device, Machine

from madang_hub.people.directory import TeamRole

pytestmark = pytest.mark.long
ONE = "GPU-11111111-aaaa"
IDLE, GRACE = 6, 60
"""Seconds; the grace is as short as may be."""
READS = f"""
import hashlib, time
end = time.monotonic() + {3 * IDLE}
with open("/dev/zero", "rb") as data:
    while time.monotonic() < end:
        hashlib.sha256(data.read(2**20))
"""
"""Works for longer than an accelerator may be idle, on the CPU alone."""


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Academy]:
    if shutil.which("cc") is None:
        missing("a C compiler (apt-get install gcc)")
    folder = tmp_path_factory.mktemp("idle")
    machine = Machine(folder / "gpus")
    machine.has(Device(ONE, used=20 * 2**30))
    nvml.build(folder, machine.path)
    deployment = Deployment(
        "embedded",
        folder / "data",
        extra={
            "LD_LIBRARY_PATH": str(folder),
            "MADANG_ACCELERATOR_IDLE_MINUTES": str(IDLE / 60),
            "MADANG_ACCELERATOR_IDLE_GRACE_MINUTES": str(GRACE / 60),
            "MADANG_ACCELERATOR_AFTER": "cpu",
        },
    )
    broker.cdi(deployment.cdi, [ONE])
    with deployment.running(), academy(deployment) as opened:
        yield opened


def moment(word: str) -> datetime:
    return datetime.fromisoformat(word)


def test_who_loads_data_keeps_it_and_who_has_gone_does_not(here: Academy) -> None:
    """Its GPU does nothing all the time: only what the server says tells the two apart."""
    teams: dict[str, TeamRole] = {"team:lending": "member"}
    minji, jisu = here.comes("minji-idle", teams), here.comes("jisu-waits", teams)
    has, waits = Borrower(minji), Borrower(jisu)
    has.wait_for_slots(GPU, 1)
    lease = has.ask(GPU)
    has.becomes(lease, "granted")
    has.step(lease, "take")
    minji.start(environment="lab", size="small")
    next_one = waits.ask(GPU)

    token = minji.api("POST", f"/users/{minji.name}/tokens", json={}).json()["token"]

    def says(busy: bool) -> None:
        """As its JupyterLab does once a minute."""
        reply = requests.post(
            f"{minji.url}/services/people/api/me/busy",
            json={"server": "", "busy": busy, "why": "kernel"},
            headers={"Authorization": f"token {token}"},
            timeout=30,
        )
        assert reply.status_code == 204, reply.text

    with notebook(minji) as opened:
        says(True)
        wait_for(lambda: has.get()["server"] is None, "the broker to see the server")
        opened.ask(READS, 60)
        assert has.get(f"requests/{lease}")["idle_since"] is None
        left = datetime.now(UTC)
        says(False)
        wait_for(lambda: has.get(f"requests/{lease}")["idle_since"], "the warning", 90)
        told = has.get(f"requests/{lease}")
        assert moment(told["idle_since"]) >= left.replace(microsecond=0)
    ended = has.becomes(lease, "ended", 120)
    assert ended["why"] == "idle"
    assert (moment(ended["ended"]) - moment(told["idle_since"])).total_seconds() >= IDLE + GRACE
    assert waits.becomes(next_one, "granted")
    minji.arrive()
    assert minji.run("import os; print(repr(os.environ['MADANG_LEASE']))").strip() == "''"
    minji.stop()
