"""Every slot of this machine, joined from what NVIDIA's driver, CDI specifications and the operator say.

Rules; no I/O (that is ``sources.py``). NVML knows what a GPU is, how it is and what it does; CDI knows by which
name a container gets it. They are joined by UUID where the specification has it, otherwise by device
node, so that a specification made for other cards is noticed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from madang_hub.accelerators.cdi import Part
from madang_hub.accelerators.nvml import Gpu, Reading
from madang_hub.accelerators.slots import Health, Slot, Use
from madang_hub.accelerators.table import FILE, Row

NVIDIA = "nvidia.com/"
NVIDIA_GPU = "nvidia.com/gpu"
_UUID = re.compile(r"(GPU|MIG)-[0-9A-Za-z-]{4,}", re.ASCII)
NO_NAME = (
    "No CDI specification names it, so no container can get it; "
    "make one anew with 'nvidia-ctk cdi generate'."
)
NOT_SHOWN = (
    "NVIDIA's driver does not show it; if the cards have changed, "
    "make the CDI specification anew with 'nvidia-ctk cdi generate'."
)
SILENT = "NVIDIA's driver does not answer for it."


@dataclass(frozen=True)
class Inventory:
    """What there is at one moment.

    Attributes:
        slots: each id once.
        use: by slot id; what nobody says is missing or None.
        notes: sentences for the operator, about what is as it may be.
        faults: sentences for the operator, about what could not be read.
    """

    slots: tuple[Slot, ...] = ()
    use: Mapping[str, Use] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def by_id(self) -> dict[str, Slot]:
        return {slot.id: slot for slot in self.slots}


@dataclass(frozen=True)
class Changes:
    """What differs between two inventories. A slot is in one of them at most, as it is now or last was."""

    came: tuple[Slot, ...] = ()
    went: tuple[Slot, ...] = ()
    fell_ill: tuple[Slot, ...] = ()
    well_again: tuple[Slot, ...] = ()


def changes(before: Inventory, now: Inventory) -> Changes:
    """What came, went, fell ill and is well again. A slot that comes ill has come, not fallen ill."""
    old, new = before.by_id, now.by_id
    stayed = [(old[slot.id], slot) for slot in now.slots if slot.id in old]
    return Changes(
        came=tuple(slot for slot in now.slots if slot.id not in old),
        went=tuple(slot for slot in before.slots if slot.id not in new),
        fell_ill=tuple(n for o, n in stayed if (o.health, n.health) == (Health.GOOD, Health.ILL)),
        well_again=tuple(n for o, n in stayed if (o.health, n.health) == (Health.ILL, Health.GOOD)),
    )


def join(
    reading: Reading,
    parts: Sequence[Part],
    table: Mapping[str, Row],
    faults: Iterable[str] = (),
    last: Inventory | None = None,
) -> Inventory:
    """The inventory of now.

    Args:
        reading: what NVIDIA's driver says.
        parts: what the CDI specifications offer.
        table: what the operator wrote, by full CDI name.
        faults: sentences about files that could not be read.
        last: the inventory before: where the driver does not answer, its GPUs are ill and not gone.
    """
    notes = [*reading.notes] if reading.complete else []
    faults = [*faults] if reading.complete else [*reading.notes, *faults]
    slots: dict[str, Slot] = {}
    use: dict[str, Use] = {}
    left = list(parts)
    left_out: list[str] = []

    def add(slot: Slot, part: Part | None, does: Use) -> None:
        rows = _rows(table, part)
        if not all(row.offered for row in rows):
            left_out.append(slot.id)
            return
        slots.setdefault(slot.id, _described(slot, rows))
        use.setdefault(slot.id, does)

    for gpu in reading.gpus:
        found = next((part for part in left if _is(gpu, part)), None)
        if found:
            left.remove(found)
        if not gpu.sliced:
            add(_gpu_slot(gpu, found), found, gpu.use)
    if not reading.complete and last is not None:
        seen = {gpu.uuid for gpu in reading.gpus}
        for slot in last.slots:
            if slot.kind.startswith(NVIDIA) and slot.id not in seen:
                slots.setdefault(slot.id, _ill(slot, SILENT))
                left = [part for part in left if part.cdi != slot.cdi]
    for part in left:
        uuid = next((name for name in part.names if _UUID.fullmatch(name)), "")
        slot = Slot(part.id, part.kind, "", 0, part.cdi)
        if reading.present and part.kind.startswith(NVIDIA):
            why = NOT_SHOWN if reading.complete else SILENT
            slot = _ill(replace(slot, id=uuid or slot.id), why)
        add(_ill(slot, part.why) if part.why else slot, part, Use())
    named = {f"{part.kind}={name}" for part in parts for name in part.names}
    for name, row in table.items():
        if row.offered and name not in named:
            kind = name.partition("=")[0]
            lost = Slot(name, kind, row.model, row.memory, name, shares=row.shares)
            why = f"It is named in {FILE}, but no CDI specification has it."
            slots.setdefault(name, _ill(lost, why))
    if left_out:
        notes.append(f"Left out by {FILE}: {', '.join(left_out)}.")
    return Inventory(tuple(slots.values()), use, tuple(notes), tuple(faults))


def _ill(slot: Slot, why: str) -> Slot:
    return replace(slot, health=Health.ILL, why=why)


def _gpu_slot(gpu: Gpu, part: Part | None) -> Slot:
    why = gpu.why or (part.why if part else NO_NAME)
    kind, name = (part.kind, part.cdi) if part else (NVIDIA_GPU, "")
    slot = Slot(gpu.uuid, kind, gpu.model, gpu.memory, name, gpu.parent)
    return _ill(slot, why) if why else slot


def _is(gpu: Gpu, part: Part) -> bool:
    """Whether the CDI device is this GPU or slice."""
    if not part.kind.startswith(NVIDIA):
        return False
    if gpu.uuid in part.names:
        return True
    if any(_UUID.fullmatch(name) for name in part.names):
        return False  # it is another one, whatever number it has
    of_a_slice = any(node.startswith("/dev/nvidia-caps/") for node in part.nodes)
    if gpu.node and (gpu.node not in part.nodes or of_a_slice != bool(gpu.parent)):
        return False
    # a card is known by its node; slices of a card share it, and their number tells them apart
    numbers = {gpu.index, f"{'mig' if gpu.parent else 'gpu'}{gpu.index}"}
    return bool(gpu.node and not gpu.parent) or not numbers.isdisjoint(part.names)


def _rows(table: Mapping[str, Row], part: Part | None) -> list[Row]:
    """What is written of the part: a row for each device of a group that has one."""
    if part is None:
        return []
    together = part.cdi.split()
    names = together if len(together) > 1 else [f"{part.kind}={name}" for name in part.names]
    found = [table[name] for name in names if name in table]
    return found if len(together) > 1 else found[:1]


def _described(slot: Slot, rows: Sequence[Row]) -> Slot:
    """With the operator's words where the source had none."""
    models = sorted({row.model for row in rows} - {""})
    model = " + ".join(models)
    if len(models) == 1 and len(rows) > 1:
        model = f"{len(rows)} × {model}"
    return replace(
        slot,
        model=slot.model or model,
        memory=slot.memory or sum(row.memory for row in rows),
        shares=min((row.shares for row in rows), default=1),
    )
