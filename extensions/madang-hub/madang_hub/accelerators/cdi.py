"""What CDI specifications say of accelerators, of any maker. Rules; no I/O (that is ``cdi_files.py``).

A CDI file (Container Device Interface, github.com/cncf-tags/container-device-interface, SPEC.md) is written by
the maker's tool. It names devices, and for each the device nodes that a container gets. It says neither how
much memory a device has nor whether it works. What counts here:

- Names with the same device nodes are one device under several names (``0`` and ``GPU-…``).
- A name for several devices (``all``), or for none (``runtime``: libraries only), is nothing to lease.
- A device whose node is not there is ill: the engine would refuse to start a container with it.
- Rebellions: NPUs in one RSD group share the node ``/dev/rsdN``, so the group is leased as a whole. The
  name of the group alone (``rsd0``) brings no NPU.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import yaml

COMPOSITE = frozenset({"all", "runtime"})
"""Names that every maker uses for no single device."""
NOT_ACCELERATORS = frozenset(
    {"nvidia.com/gds", "nvidia.com/gdrcopy", "nvidia.com/mofed", "rebellions.ai/rds"}
)
"""Kinds that add a way to memory or storage to a device's container, and are nothing to lease."""
NOT_FOR_PEOPLE = ("management.", "runtime.")
"""Starts of vendors (``management.nvidia.com``) that stand for devices which others name already."""
ENDINGS = (".json", ".yaml")
"""Of the files that engines read; others are passed over."""

_KIND = re.compile(
    r"[A-Za-z][A-Za-z0-9_.-]*[A-Za-z0-9]/[A-Za-z]([A-Za-z0-9_.-]*[A-Za-z0-9])?", re.A
)
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.:-]*[A-Za-z0-9])?", re.A)
_NUMBER = re.compile(r"(gpu|mig|npu)?\d+(:\d+)?", re.A)
_GROUP = {"rebellions.ai": re.compile(r"/dev/rsd\d+", re.A)}
"""By vendor: a node that the devices of one group share."""


class SpecificationError(ValueError):
    """A file that is no CDI specification; the message names the file and the fault."""


@dataclass(frozen=True, slots=True)
class Device:
    """One name of a file.

    Attributes:
        nodes: device nodes on the machine that this name brings into a container, without those that every
            name of the file brings.
        needed: all device nodes that it brings.
        why: why the engine cannot resolve the name, one sentence; empty when it can.
    """

    kind: str
    name: str
    nodes: frozenset[str]
    needed: frozenset[str]
    file: str
    why: str = ""

    @property
    def full(self) -> str:
        """The full CDI name."""
        return f"{self.kind}={self.name}"


@dataclass(frozen=True, slots=True)
class Part:
    """What can be leased: one device, or a group that goes together.

    Attributes:
        names: every name of it, without the kind, the best first.
        cdi: the full CDI names to ask for: one, or of a group one for each, with a space between.
        nodes: device nodes of its own on the machine.
        why: what is wrong with it, one sentence; empty when nothing is.
    """

    kind: str
    names: tuple[str, ...]
    cdi: str
    nodes: frozenset[str]
    why: str = ""

    @property
    def id(self) -> str:
        """The full CDI name; of a group ``vendor/class=0+1``."""
        return f"{self.kind}={'+'.join(full.partition('=')[2] for full in self.cdi.split())}"


# ---- one file -------------------------------------------------------------------------------------


def parse(text: str, file: str) -> list[Device]:
    """The devices that ``text``, the content of ``file``, names.

    Raises:
        SpecificationError: it is no CDI specification.
    """
    try:
        value = json.loads(text) if file.endswith(".json") else yaml.safe_load(text)
    except json.JSONDecodeError as error:
        raise SpecificationError(f"{file}:{error.lineno}: no JSON ({error.msg}).") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        said = getattr(error, "problem", None) or "it cannot be read"
        raise SpecificationError(f"{file}{line}: no YAML ({said}).") from None
    except RecursionError:
        raise SpecificationError(f"{file}: nested too deeply.") from None

    def need(good: object, what: str) -> None:
        if not good:
            raise SpecificationError(f"{file}: {what}.")

    need(isinstance(value, dict), "a CDI specification is an object with cdiVersion, kind, devices")
    need(isinstance(value.get("cdiVersion"), str), "cdiVersion is missing")
    kind = value.get("kind")
    need(isinstance(kind, str), "kind is missing")
    need(_KIND.fullmatch(kind), f"kind {kind!r} is not of the form vendor.com/class")
    rows = value.get("devices")
    need(isinstance(rows, list), "devices is not a list")
    common = _nodes(value.get("containerEdits"), file, "containerEdits")
    found: dict[str, Device] = {}
    for number, row in enumerate(rows):
        where = f"devices[{number}]"
        need(isinstance(row, dict), f"{where} is not an object")
        name = row.get("name")
        need(isinstance(name, str) and _NAME.fullmatch(name), f"{where} has no valid name")
        need(name not in found, f"the device {name!r} is there twice")
        own = _nodes(row.get("containerEdits"), file, f"{where}.containerEdits")
        found[name] = Device(kind, name, own - common, own | common, file)
    return list(found.values())


def _nodes(edits: Any, file: str, where: str) -> frozenset[str]:
    """Paths of device nodes on the machine."""
    if edits is None:
        return frozenset()
    rows = edits.get("deviceNodes") if isinstance(edits, dict) else "?"
    if rows is None:
        return frozenset()
    if not isinstance(rows, list):
        raise SpecificationError(f"{file}: {where}.deviceNodes is not a list.")
    found = set()
    for row in rows:
        path = (row.get("hostPath") or row.get("path")) if isinstance(row, dict) else None
        if not isinstance(path, str) or not path.startswith("/"):
            raise SpecificationError(f"{file}: {where} has a device node without a path.")
        found.add(path)
    return frozenset(found)


# ---- all files ------------------------------------------------------------------------------------


def resolve(folders: Iterable[Sequence[Device]]) -> list[Device]:
    """One device a full name, as engines resolve it.

    ``folders`` are in rising priority: a later one wins. Within one folder nobody wins; such a device
    is returned with ``why``.
    """
    found: dict[str, Device] = {}
    for devices in folders:
        here: dict[str, Device] = {}
        for device in devices:
            first = here.get(device.full)
            why = (
                ""
                if first is None
                else f"It is in both {first.file} and {device.file}; remove one."
            )
            here[device.full] = replace(device, why=why)
        found.update(here)
    return list(found.values())


def parts(devices: Iterable[Device], trouble: Callable[[str], str]) -> list[Part]:
    """What can be leased, in the order of the files.

    Args:
        devices: from :func:`resolve`.
        trouble: why a device node cannot be used ("is missing"); empty when it can.
    """
    named: dict[tuple[str, frozenset[str]], list[Device]] = {}
    for device in devices:
        if device.nodes and not _passed_over(device):
            named.setdefault((device.kind, device.nodes), []).append(device)
    nodes = list(named)
    single = [
        _part(sorted(names, key=_rank), trouble)
        for (kind, own), names in named.items()
        # a name for several of the others
        if sum(kind == other and some < own for other, some in nodes) < 2
    ]
    return _grouped(single)


def _passed_over(device: Device) -> bool:
    return (
        device.name in COMPOSITE
        or device.kind in NOT_ACCELERATORS
        or device.kind.startswith(NOT_FOR_PEOPLE)
        or device.nodes == _group_nodes(device)
    )


def _group_nodes(device: Device | Part) -> frozenset[str]:
    pattern = _GROUP.get(device.kind.partition("/")[0])
    return frozenset(node for node in device.nodes if pattern and pattern.fullmatch(node))


def _rank(device: Device) -> tuple[bool, bool, int, str]:
    """Names that work first, then names that stay when cards are re-ordered (``GPU-…``)."""
    number = _NUMBER.fullmatch(device.name) is not None
    return bool(device.why), number, len(device.name), device.name


def _part(names: Sequence[Device], trouble: Callable[[str], str]) -> Part:
    best = names[0]
    why = best.why
    for node in sorted(best.needed):
        if not why and (said := trouble(node)):
            why = f"Its device node {node} {said}."
    return Part(best.kind, tuple(d.name for d in names), best.full, best.nodes, why)


def _grouped(single: Sequence[Part]) -> list[Part]:
    groups: dict[object, list[Part]] = {}
    for part in single:
        shared = _group_nodes(part)
        groups.setdefault((part.kind, shared) if shared else part, []).append(part)
    return [_joined(group) if len(group) > 1 else group[0] for group in groups.values()]


def _joined(group: Collection[Part]) -> Part:
    first = next(iter(group))
    why = next((f"{part.cdi}: {part.why}" for part in group if part.why), "")
    return Part(
        first.kind,
        tuple(name for part in group for name in part.names),
        " ".join(part.cdi for part in group),
        frozenset().union(*(part.nodes for part in group)),
        why,
    )
