"""What the engine's containers say about leases: after a crash, and on a timer. Rules only.

Containers carry their lease in a label, so the engine is the truth about what holds a device. A listing is
taken at a moment, and says nothing about a lease that changed at that moment or later: the container may have
come after it. Only a complete listing may be passed in; when the engine does not answer, there is none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from madang_hub.accelerators.leases import Lease, Policy, State


@dataclass(frozen=True, slots=True)
class Container:
    """A container that has devices. ``lease`` and ``slots`` are its labels'.

    A shared slot is in the labels of as many containers as leases hold a part of it, by the same id: which
    part (seat) a container has is its lease's business. So one that no lease allows keeps the whole slot from
    being given out, until it is gone.

    ``ended``: the moment at which it stopped, as the engine says; 0 while it runs.
    """

    id: str
    lease: str
    slots: tuple[str, ...]
    ended: int = 0


class Do(Enum):
    """What is to be done."""

    SEEN = "seen"
    """The lease's container is there: note it."""
    STOP = "stop"
    """No lease allows this container: remove it."""
    VANISHED = "vanished"
    """The lease is over: its container is not there any more.

    Like any other that is over it holds its slots until a later listing has nothing on them."""
    NEVER_STARTED = "never-started"
    """The lease is over: no container came in time."""
    GONE = "gone"
    """The container of an ending lease is gone: free its slots."""


@dataclass(frozen=True, slots=True)
class Action:
    """One step; ``container`` is empty where there is none, ``moment`` 0 where nobody knows."""

    do: Do
    lease: str
    container: str = ""
    moment: int = 0


@dataclass(frozen=True, slots=True)
class Findings:
    """What :func:`reconcile` found.

    Attributes:
        actions: in any order; each can be done again without harm.
        occupied: slots on which a container works that no lease allows; not to be given out meanwhile.
    """

    actions: tuple[Action, ...]
    occupied: frozenset[str]


def reconcile(
    leases: Iterable[Lease], containers: Iterable[Container], listed: int, now: int, policy: Policy
) -> Findings:
    """Compare open leases with the containers that were there at ``listed`` (when the listing began)."""
    actions: list[Action] = []
    occupied: set[str] = set()
    known = {lease.id: lease for lease in leases}
    there: set[str] = set()
    for container in sorted(containers, key=lambda c: c.id):
        lease = known.get(container.lease)
        if container.ended:
            # what has stopped holds no device any more; its end is known as long as it is not removed
            if lease is None or lease.state is not State.ACTIVE:
                actions.append(Action(Do.STOP, container.lease, container.id))
            elif lease.changed < listed and lease.container in ("", container.id):
                there.add(lease.id)
                actions.append(Action(Do.VANISHED, lease.id, container.id, container.ended))
            continue
        if lease is not None and lease.state is State.ENDING:
            # its server is being stopped; the slots are held until it is gone
            there.add(lease.id)
            actions.append(Action(Do.STOP, lease.id, container.id))
            continue
        if (
            lease is not None
            and lease.state is State.ACTIVE
            and set(container.slots) <= set(lease.slots)
            and lease.container in ("", container.id)
            and lease.id not in there
        ):
            there.add(lease.id)
            if not lease.container:
                actions.append(Action(Do.SEEN, lease.id, container.id))
            continue
        actions.append(Action(Do.STOP, container.lease, container.id))
        occupied.update(container.slots)
    for lease in known.values():
        if lease.id in there or lease.changed >= listed:
            continue
        if lease.state is State.ENDING and not occupied.intersection(lease.slots):
            actions.append(Action(Do.GONE, lease.id))
        elif lease.state is State.ACTIVE and lease.container:
            actions.append(Action(Do.VANISHED, lease.id))
        elif lease.state is State.ACTIVE and now > lease.began + policy.starting:
            actions.append(Action(Do.NEVER_STARTED, lease.id))
    return Findings(tuple(actions), frozenset(occupied))
