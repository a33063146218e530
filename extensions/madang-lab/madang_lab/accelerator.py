"""Whether an accelerator of this server computes, as its driver says.

``nvidia-smi`` is asked, which the container toolkit puts into containers that were given a GPU. Its number is
the share of the last second in which something ran on the GPU: a training in the background counts, a model
that only lies in memory does not. A MIG slice has no such number ("[N/A]"), and other makers' cards are not
asked: there kernels and terminals alone count.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping

OWN_DEVICES = "MADANG_OWN_DEVICES"
"""Set where the devices that the server sees are its alone. In embedded mode they are everybody's, and
somebody else's training must not keep this server up."""
BUSY_PERCENT = 5
"""From here on it computes; a desktop or a monitor makes less."""
SECONDS = 10.0
"""A card that is broken can make the driver hang."""
QUESTION = ("--query-gpu=utilization.gpu", "--format=csv,noheader,nounits")


def computes(said: str) -> bool:
    """Whether one of the GPUs does, by the answer to :data:`QUESTION` (a line with a number each)."""
    lines = (line.strip() for line in said.splitlines())
    return any(int(line) >= BUSY_PERCENT for line in lines if line.isascii() and line.isdecimal())


async def is_busy(environ: Mapping[str, str] = os.environ) -> bool:
    """Ask the driver; False where there is none, or it does not say."""
    if environ.get(OWN_DEVICES) != "1":
        return False
    program = shutil.which("nvidia-smi", path=environ.get("PATH"))
    if program is None:
        return False
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            *QUESTION,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return False
    try:
        said, _ = await asyncio.wait_for(process.communicate(), SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
        return False
    return process.returncode == 0 and computes(said.decode("ascii", "replace"))
