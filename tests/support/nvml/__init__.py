"""A stand-in for NVIDIA's driver library: a machine with the GPUs that a test writes down."""

from __future__ import annotations

import ctypes
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILE = "MADANG_TEST_NVML"
"""The environment variable that names the file with the machine's GPUs."""
SONAME = "libnvidia-ml.so.1"


def build(folder: Path, gpus: Path | None = None) -> Path:
    """The stand-in, made in ``folder`` by the C compiler; ``gpus`` is its file where no variable names one."""
    target = folder / SONAME
    source = Path(__file__).with_name("nvml.c")
    options = ["-std=c11", "-D_POSIX_C_SOURCE=200809L", "-Wall", "-Wextra", "-Werror", "-shared"]
    options += ["-fPIC", f"-Wl,-soname,{SONAME}", f'-DGPUS="{gpus or ""}"']
    subprocess.run(["cc", *options, "-o", str(target), str(source)], check=True)
    return target


def load(library: Path) -> None:
    """Put the stand-in into this process: who opens the soname from now on gets it."""
    ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)


@dataclass
class Device:
    """A line of the file: a card (or, in ``slices``, one of its slices). Sizes in bytes.

    ``facts`` are the stand-in's other words: ``lost`` (only what the driver remembers is answered),
    ``nameless`` (nothing is), ``hang``, ``ecc``, ``pages``, ``rows_pending``, ``rows_failed``,
    ``recovery``; -1 in ``mig``, ``pages``, ``recovery`` means that the driver has no such question.
    """

    uuid: str
    name: str = "NVIDIA H100 80GB HBM3"
    total: int = 80 * 2**30
    used: int = 0
    utilisation: int = 0
    processes: tuple[int, ...] = ()
    slices: list[Device] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def line(self, word: str) -> str:
        pairs = {
            "uuid": self.uuid,
            "total": self.total,
            "used": self.used,
            "utilisation": self.utilisation,
            **({"mig": 1} if self.slices else {}),
            **self.facts,
        }
        words = [f"{key}={value}" for key, value in pairs.items()]
        words += [f"pid={number}" for number in self.processes]
        return f"{word} {' '.join(words)} name={self.name}\n"


class Machine:
    """The file of one machine."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.has()

    def has(self, *cards: Device) -> None:
        """Write it anew, in one step; cards get device nodes 0, 1, … unless ``facts`` say otherwise."""
        text = ""
        for minor, card in enumerate(cards):
            card.facts.setdefault("minor", minor)
            text += card.line("gpu") + "".join(part.line("slice") for part in card.slices)
        draft = self.path.with_suffix(".new")
        draft.write_text(text, encoding="utf-8")
        draft.replace(self.path)
