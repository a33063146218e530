"""The inventory in words, for ``make doctor`` and ``madang accelerators``. Rules; no I/O."""

from __future__ import annotations

from collections import Counter

from madang_hub.accelerators.inventory import Inventory
from madang_hub.accelerators.nvml import NO_NVML
from madang_hub.accelerators.slots import Health, Slot, Use

GUIDE = "docs/howto/accelerators.md"
HEAD = ("SLOT", "STATE", "MODEL", "MEMORY", "USE", "PROCESSES", "CDI NAME")
UNKNOWN = "?"


def ill(inventory: Inventory) -> list[Slot]:
    """The slots that cannot be given out."""
    return [slot for slot in inventory.slots if slot.health is Health.ILL]


def summary(inventory: Inventory) -> list[str]:
    """A line with what can be given out, then one for each thing that is wrong."""
    good = Counter(_name(s) for s in inventory.slots if s.health is Health.GOOD)
    if good:
        lines = [", ".join(f"{count} × {name}" for name, count in good.items())]
    elif inventory.slots or inventory.faults:
        lines = ["none that can be used"]
    else:
        lines = ["none found; everything runs on CPU"]
    lines += [f"{_name(slot)}, {slot.id}, is ill. {slot.why}" for slot in ill(inventory)]
    # a machine without an NVIDIA card needs no word about NVIDIA's driver
    return [*lines, *inventory.faults, *(note for note in inventory.notes if note != NO_NVML)]


def table(inventory: Inventory) -> list[str]:
    """One line a slot in columns, and below it why it is ill."""
    rows: list[tuple[tuple[str, ...], str]] = [(HEAD, "")]
    for slot in inventory.slots:
        use = inventory.use.get(slot.id, Use())
        percent = UNKNOWN if use.utilisation is None else f"{use.utilisation}%"
        holders = UNKNOWN if use.processes is None else " ".join(map(str, use.processes)) or "-"
        what = (slot.id, slot.health.value, _name(slot), _memory(slot, use))
        rows.append(((*what, percent, holders, slot.cdi or "-"), slot.why))
    widths = [max(len(cells[column]) for cells, _ in rows) for column in range(len(HEAD))]
    lines = []
    for cells, why in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        lines.append(line.rstrip())
        if why:
            lines.append(f"    {why}")
    return lines


def _name(slot: Slot) -> str:
    return slot.model or slot.kind


def _memory(slot: Slot, use: Use) -> str:
    size = f"{slot.memory / 2**30:.1f} GiB" if slot.memory else UNKNOWN
    return size if use.memory is None else f"{use.memory / 2**30:.1f} of {size}"
