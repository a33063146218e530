"""Slots for which a server may be made ready before anybody starts one. Rules only.

A device is put into a container when that is made, so such a server waits with the device of one slot. It is
nobody's, holds no lease and is no use; but while a lease is somebody's, no container may have the device that
is not that person's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from madang_hub.accelerators.leases import HELD, Lease, State
from madang_hub.accelerators.pools import Fleet
from madang_hub.accelerators.slots import Slot

COMING = frozenset({State.GRANTED, State.TAKING, State.ACTIVE})
"""The states in which the server of a lease may be started yet, if none was seen."""


@dataclass(frozen=True, slots=True)
class Vacancy:
    """A whole slot that no container has.

    ``lease``: for which it is kept, and whose server alone may get one that waits; None: it is free.
    """

    slot: Slot
    lease: Lease | None = None


def vacancies(fleet: Fleet, leases: Iterable[Lease]) -> list[Vacancy]:
    """The slots for which a server may wait; ``leases`` are the open ones.

    None that is ill, drained or occupied, none that is divided (its parts are several people's at a time), and
    none of a lease that has several: a server that waits has the device of one.
    """
    holders: dict[str, list[Lease]] = {}
    for lease in leases:
        if lease.state in HELD:
            for identity in lease.slots:
                holders.setdefault(identity, []).append(lease)
    found = []
    for slot in fleet.slots:
        whole = slot.shares == 1 and bool(slot.devices)
        if not whole or not fleet.usable(slot):
            continue
        match holders.get(slot.id, []):
            case []:
                found.append(Vacancy(slot))
            case [lease] if _comes(lease):
                found.append(Vacancy(slot, lease))
    return found


def _comes(lease: Lease) -> bool:
    """Whether the one server of this lease is still to be started, as far as is known."""
    alone = len(lease.slots) == 1 and not lease.seat
    return lease.state in COMING and not lease.container and alone
