"""Servers that are started again without an accelerator. Rules only.

Those whose lease is over, by the operator's policy (:attr:`.policy.Policy.on_cpu`). And, whatever the policy,
those that ran without one and were stopped to be started with one, of which nothing came. What is to be started
is noted before the server is stopped, so that the end of the process between the two loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from madang_hub.accelerators.leases import Lease, State, Why
from madang_hub.accelerators.policy import Policy

BY_US = frozenset({Why.RELEASED, Why.OVER, Why.IDLE})
"""The ends after which a server comes back. Not when an accelerator fell ill: the rest of that time is asked
for again, and the server is started with the next one."""


@dataclass(frozen=True, slots=True)
class Restart:
    """That the server of ``person`` is stopped because ``lease`` is over, or is to come with the next start,
    and what it was started with.

    ``since``: when that was noted.
    """

    person: str
    lease: str
    environment: str
    size: str
    since: int


class Next(Enum):
    """What is to be done about a :class:`Restart`."""

    WAIT = "wait"
    START = "start"
    DROP = "drop"


def comes_back(lease: Lease, policy: Policy) -> bool:
    """Whether the server that ``lease`` still holds is to be started again when it is gone."""
    return policy.on_cpu and lease.state is State.ENDING and lease.why in BY_US


def next_step(
    restart: Restart,
    lease: Lease | None,
    theirs: Iterable[Lease],
    running: int | None,
    now: int,
    policy: Policy,
) -> Next:
    """What to do now.

    Args:
        lease: the one that the restart names, as it is now.
        theirs: the open leases of the person.
        running: when the server that the person has now began; None: there is none, 0: nobody says.
    """
    others = (x for x in theirs if x.id != restart.lease)
    if lease is None or any(x.state in (State.TAKING, State.ACTIVE) for x in others):
        # a server with another accelerator comes, or is there
        return Next.DROP
    if (lease.state is State.ACTIVE and lease.container) or lease.why is Why.ILL:
        # it came with this one, or comes with the next
        return Next.DROP
    if lease.why in BY_US and not policy.on_cpu:
        # it came with this one, which was over before anybody had seen it
        return Next.DROP
    if lease.state is not State.ENDED:
        return Next.WAIT
    if running is not None and running >= restart.since:
        # started by its person meanwhile, or by us before this process ended
        return Next.DROP
    if now > restart.since + policy.starting:
        # too late to be what somebody waits for
        return Next.DROP
    return Next.WAIT if running is not None else Next.START
