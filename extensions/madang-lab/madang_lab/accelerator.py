"""What the driver of this server's accelerators says: whether they compute, and how full they are.

``nvidia-smi`` is asked, which the container toolkit puts into containers that were given a GPU. Its number of
use is the share of the last second in which something ran on the GPU: a training in the background counts, a
model that only lies in memory does not. A MIG slice has no such number ("[N/A]"), and other makers' cards are
not asked: there kernels and terminals alone count as activity.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass

OWN_DEVICES = "MADANG_OWN_DEVICES"
"""Set where the devices that the server sees are its alone. In embedded mode they are everybody's, and
somebody else's training must not keep this server up."""
BUSY_PERCENT = 5
"""From here on it computes; a desktop or a monitor makes less."""
SECONDS = 10.0
"""A card that is broken can make the driver hang."""
FORMAT = "--format=csv,noheader,nounits"
QUESTION = ("--query-gpu=utilization.gpu", FORMAT)
USES = ("--query-gpu=uuid,utilization.gpu,memory.used,memory.total,name", FORMAT)
MIB = 2**20
"""The unit in which memory is said."""


@dataclass(frozen=True)
class Gpu:
    """One as its driver sees it now: percent of use, bytes used and in all; None: it does not say."""

    id: str
    model: str
    utilisation: int | None
    used_memory: int | None
    memory: int | None


def computes(said: str) -> bool:
    """Whether one of the GPUs does, by the answer to :data:`QUESTION` (a line with a number each)."""
    found = (_whole(line) for line in said.splitlines())
    return any(percent >= BUSY_PERCENT for percent in found if percent is not None)


def gpus(said: str) -> list[Gpu]:
    """The GPUs by the answer to :data:`USES`; lines that are not as agreed are left out."""
    found = []
    for line in said.splitlines():
        parts = [part.strip() for part in line.split(",", 4)]
        if len(parts) == 5 and parts[0].startswith("GPU-"):
            use, used, memory = (_whole(part) for part in parts[1:4])
            found.append(Gpu(parts[0], parts[4], use, _bytes(used), _bytes(memory)))
    return found


def _whole(word: str) -> int | None:
    word = word.strip()
    return int(word) if word.isascii() and word.isdecimal() and len(word) <= 9 else None


def _bytes(mib: int | None) -> int | None:
    return None if mib is None else mib * MIB


async def is_busy(environ: Mapping[str, str] = os.environ) -> bool:
    """Ask the driver; False where there is none, or it does not say."""
    return computes(await ask(QUESTION, environ))


async def ask(question: tuple[str, ...], environ: Mapping[str, str] = os.environ) -> str:
    """What the driver of this server's own devices answers; empty where there is none, or it does not say."""
    if environ.get(OWN_DEVICES) != "1":
        return ""
    program = shutil.which("nvidia-smi", path=environ.get("PATH"))
    if program is None:
        return ""
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            *question,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return ""
    try:
        said, _ = await asyncio.wait_for(process.communicate(), SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
        return ""
    return said.decode("ascii", "replace") if process.returncode == 0 else ""
