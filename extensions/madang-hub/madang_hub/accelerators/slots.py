"""A slot: the smallest part of an accelerator that is leased whole.

Words: a *device* is a card; a *slot* is a whole card, one of its MIG slices, or a group of NPUs
that its vendor's driver hands out together. A *kind* names what a slot is good for, as the vendor and
class of CDI (Container Device Interface): ``nvidia.com/gpu``, ``rebellions.ai/npu``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Health(Enum):
    """Whether a slot can be given out."""

    GOOD = "good"
    ILL = "ill"
    """Its driver reports a fault or does not answer, its device node is missing, no CDI specification
    can put it into a container, or it was here and cannot be found any more."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One thing that can be leased.

    Attributes:
        id: stays the same over restarts and re-ordering: NVML's UUID, or the device's full CDI name.
        kind: CDI vendor and class, such as ``nvidia.com/gpu``.
        model: the maker's name, such as ``NVIDIA H100 80GB HBM3`` or ``NVIDIA H100 MIG 1g.10gb``;
            empty where nobody says.
        memory: bytes of the device's own memory; 0 where nobody says.
        cdi: the full CDI name that puts it into a container, such as ``nvidia.com/gpu=0``; for a group
            of NPUs the names of all of them, with a space between. See :attr:`devices`.
        parent: the id of the card that this is a slice of; empty for a whole one.
        health: whether it can be given out.
        why: one plain English sentence when it is ill; empty otherwise.
        shares: how many leases of one team may hold a part of it each; 1: it is only lent whole. The parts are
            turns (time-slicing): all of them see the whole device, and nothing keeps their memory apart.
    """

    id: str
    kind: str
    model: str
    memory: int
    cdi: str
    parent: str = ""
    health: Health = Health.GOOD
    why: str = ""
    shares: int = 1

    @property
    def devices(self) -> tuple[str, ...]:
        """The full CDI names to ask the engine for: ``DeviceRequest(driver="cdi", device_ids=…)``."""
        return tuple(self.cdi.split())


@dataclass(frozen=True, slots=True)
class Use:
    """What a slot does at one moment; None is "nobody says", which is never taken for idle.

    Attributes:
        utilisation: percent of the last sample (a second or less) in which something ran on it.
        memory: bytes in use.
        processes: ids of the processes that hold it, as the machine numbers them.
    """

    utilisation: int | None = None
    memory: int | None = None
    processes: tuple[int, ...] | None = None

    def busy(self, percent: int) -> bool:
        """Whether it computes at ``percent`` or more; unknown counts as busy (a MIG slice always is)."""
        return self.utilisation is None or self.utilisation >= percent
