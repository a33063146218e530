"""Which leases let their accelerators lie idle, and when those go back. Rules only.

A *sample* is what one round of the broker sees of a lease: what the driver says about each of its slots, and
what the server says about itself. A lease is **idle** in a sample when

* every slot of it computes at less than :data:`BUSY_PERCENT` percent,
* the memory in use on each is what it was at the beginning of the stretch, up to :data:`STEADY` bytes: data
  that is being loaded onto a device changes it,
* and the server says that no kernel runs a cell and no terminal a program: data that is being read or
  prepared for a device keeps one of them busy, while the device itself does nothing.

Whatever nobody says counts as use: a MIG slice has no utilisation, some makers' drivers say nothing, and a
server that nobody has looked at lately may be busy with anything.

A *stretch* is a time in which every sample was idle, and none was missing for longer than :data:`GAP`: a
broker that was away knows nothing of the time between, and starts anew. When a stretch has lasted for
:attr:`Policy.idle`, its person is warned. The accelerator only goes back while somebody waits who could use
it, and :attr:`Policy.grace` after both were first so; whoever works again, or nobody who waits any more,
begins the whole time, or the grace, anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum

from madang_hub.accelerators.policy import Policy
from madang_hub.accelerators.slots import Use

BUSY_PERCENT = 5
"""As for the activity of a server (``madang_lab.accelerator``): a monitor or a desktop makes less."""
STEADY = 2**20
"""Bytes by which the memory in use may differ and be the same: drivers keep some of their own."""
GAP = 30
"""Seconds: six rounds of the broker."""


class Does(Enum):
    """What a lease's accelerators do in one sample."""

    BUSY = "busy"
    UNKNOWN = "unknown"
    """Somebody does not say; counts as busy."""
    IDLE = "idle"


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a lease, with the bytes in use on each of its slots."""

    does: Does
    memory: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Stretch:
    """A lease has been idle from ``begin`` to ``last``.

    Attributes:
        memory: bytes in use on each slot, at ``begin``.
        wanted: since when the warning stands and somebody waits for it; 0: they do not.
    """

    begin: int
    last: int
    memory: tuple[int, ...]
    wanted: int = 0


@dataclass(frozen=True, slots=True)
class Notice:
    """The warning: idle ``since``, and it goes back at ``until``; None: not while nobody waits for it."""

    since: int
    until: int | None


def look(uses: Iterable[Use], server_works: bool | None) -> Sample:
    """What a lease does, by its slots' use and its server's word (None: nobody says)."""
    known = list(uses)
    memory = [use.memory for use in known if use.memory is not None]
    if server_works or any(u.utilisation is not None and u.busy(BUSY_PERCENT) for u in known):
        return Sample(Does.BUSY)
    silent = any(use.utilisation is None for use in known) or len(memory) < len(known)
    if not known or silent or server_works is None:
        return Sample(Does.UNKNOWN)
    return Sample(Does.IDLE, tuple(memory))


def follow(
    stretch: Stretch | None, sample: Sample, now: int, policy: Policy, *, wanted: bool
) -> Stretch | None:
    """The stretch after a sample at ``now``; None: the lease is not idle.

    Args:
        stretch: after the sample before.
        wanted: whether somebody waits who could use the lease's slots.
    """
    if sample.does is not Does.IDLE:
        return None
    if (
        stretch is None
        or not 0 <= now - stretch.last <= GAP
        or len(stretch.memory) != len(sample.memory)
        or any(abs(a - b) > STEADY for a, b in zip(stretch.memory, sample.memory, strict=True))
    ):
        return Stretch(now, now, sample.memory)
    if not wanted or now - stretch.begin < policy.idle:
        return replace(stretch, last=now, wanted=0)
    return replace(stretch, last=now, wanted=stretch.wanted or now)


def notice(stretch: Stretch | None, policy: Policy) -> Notice | None:
    """What its person is told; None: nothing yet."""
    if not policy.idle or stretch is None or stretch.last - stretch.begin < policy.idle:
        return None
    return Notice(stretch.begin, stretch.wanted + policy.grace if stretch.wanted else None)


def goes_back(stretch: Stretch | None, now: int, policy: Policy) -> bool:
    """Whether the lease is over at ``now``, the moment of its last sample."""
    told = notice(stretch, policy)
    return (
        told is not None
        and told.until is not None
        and stretch is not None
        and stretch.last == now
        and now >= told.until
    )


def follow_all(
    before: Mapping[str, Stretch],
    samples: Mapping[str, Sample],
    wanted: Iterable[str],
    now: int,
    policy: Policy,
) -> dict[str, Stretch]:
    """The stretches by lease after one round; ``wanted`` are the leases whose slots somebody waits for."""
    waited_for = set(wanted)
    found = {
        lease: follow(before.get(lease), sample, now, policy, wanted=lease in waited_for)
        for lease, sample in samples.items()
    }
    return {lease: stretch for lease, stretch in found.items() if stretch is not None}
