"""Servers that are started again without an accelerator when their lease is over. Rules only.

By the operator's policy (:attr:`.policy.Policy.on_cpu`). What is to be started is noted before the server is
stopped, so that the end of the process between the two loses nothing.
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
    """That the server of ``person`` is stopped because ``lease`` is over, and what it was started with.

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
        lease: the one that is over, as it is now.
        theirs: the open leases of the person.
        running: when the server that the person has now began; None: there is none, 0: nobody says.
    """
    if lease is None or any(x.state in (State.TAKING, State.ACTIVE) for x in theirs):
        # a server with an accelerator comes, or is there
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
