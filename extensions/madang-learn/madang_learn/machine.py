"""What this server may use: cores, memory, accelerators. Read from the machine, not from what was promised."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from madang_learn.words import say

CGROUP = Path("/sys/fs/cgroup")
MEMINFO = Path("/proc/meminfo")


@dataclass(frozen=True)
class Machine:
    """``cores`` that may compute at once (1.5 is possible), ``memory`` in bytes, ``accelerators`` by name."""

    cores: float
    memory: int
    accelerators: tuple[str, ...]

    @property
    def memory_gb(self) -> float:
        """Memory in GB (powers of 1024)."""
        return self.memory / 2**30

    def __str__(self) -> str:
        none = say("없음 (CPU로 계산합니다)", "none (the CPU computes)")
        return "\n".join(
            (
                f"{say('코어', 'cores')}: {self.cores:g}",
                f"{say('메모리', 'memory')}: {self.memory_gb:.1f} GB",
                f"GPU: {', '.join(self.accelerators) or none}",
            )
        )


def machine() -> Machine:
    """This server."""
    return Machine(cores(os.environ), memory(os.environ), accelerators(os.environ))


def cores(environ: Mapping[str, str], cgroup: Path = CGROUP) -> float:
    """The smallest of what the size (``CPU_LIMIT``), the control group and the scheduler allow."""
    found = [float(len(os.sched_getaffinity(0)))]
    with_limit = _number(environ.get("CPU_LIMIT", ""))
    if with_limit:
        found.append(with_limit)
    quota, _, period = _read(cgroup / "cpu.max").partition(" ")
    if quota.isdecimal() and period.strip().isdecimal():
        found.append(int(quota) / int(period))
    return min(found)


def memory(environ: Mapping[str, str], cgroup: Path = CGROUP, meminfo: Path = MEMINFO) -> int:
    """Bytes: the smallest of the size (``MEM_LIMIT``), the control group's limit and the machine's own."""
    found = []
    for line in _read(meminfo).splitlines():
        if line.startswith("MemTotal:"):
            found.append(int(line.split()[1]) * 1024)
    for text in (environ.get("MEM_LIMIT", ""), _read(cgroup / "memory.max")):
        if (limit := _number(text)) > 0:
            found.append(int(limit))
    return min(found, default=0)


def accelerators(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The NVIDIA GPUs that NVIDIA's own program lists; none where there is none, or none is visible."""
    program = shutil.which("nvidia-smi")
    if program is None or environ.get("CUDA_VISIBLE_DEVICES", "all") in ("", "-1"):
        return ()
    command = [program, "--query-gpu=name", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in done.stdout.splitlines() if line.strip())


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
