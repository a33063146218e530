"""Leases: who holds which slots until when. Rules only.

Words: a *request* is what somebody asks for; a *lease* is a request from the moment it is asked to its end.
Moments are whole seconds since 1970 (UTC) and lengths whole seconds, so that the ledger is exact; a moment
of 0 is "not yet". A lease is in one of six states and only moves along these lines::

                    +-> taking --+
                    |            v
    queued -> granted ------> active -> ending -> ended
       |         |  |                              ^
       +---------+--+-- (taking too) --------------+

queued    waits for slots
granted   slots are kept for it; its person must claim it within :attr:`Policy.claim`
taking    its person wants it in the server that runs without it: that is being stopped, for at most
          :attr:`Policy.starting`. Nobody's container has the slots yet
active    claimed: a server holds the slots, and the ledger counts
ending    over, but its container may still be there, so the slots are still held
ended     the slots are free: the engine said that there is no container. Straight from queued, granted and
          taking, which never had one, because a container is only made for an active lease

Every function returns a new lease and leaves the old one as it was.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

# who uses leases needs these too, from the same place
from madang_hub.accelerators.policy import Policy as Policy
from madang_hub.accelerators.refusals import ExtensionRefusedError as ExtensionRefusedError
from madang_hub.accelerators.refusals import LeaseError as LeaseError
from madang_hub.accelerators.refusals import NotYoursError as NotYoursError
from madang_hub.accelerators.refusals import RequestRefusedError as RequestRefusedError
from madang_hub.accelerators.refusals import StateError as StateError
from madang_hub.web.i18n import N_

SHORTEST = 60
"""Seconds of the shortest lease; what is left of a broken one is asked for again from this on."""


class State(Enum):
    """Where a lease is; see the module's first lines."""

    QUEUED = "queued"
    GRANTED = "granted"
    TAKING = "taking"
    ACTIVE = "active"
    ENDING = "ending"
    ENDED = "ended"


class Why(Enum):
    """Why a lease ended, or is ending."""

    LEFT = "left"
    """Its person left the line, or gave a granted one back unclaimed."""
    UNCLAIMED = "unclaimed"
    RELEASED = "released"
    """Given back: by its person, or because the server stopped."""
    OVER = "over"
    IDLE = "idle"
    """Nothing ran on it for long, and somebody waited for it."""
    ILL = "ill"
    """A slot of it fell ill; what was left of its time is asked for again."""
    VANISHED = "vanished"
    """Its container was there and is not any more."""
    NEVER_STARTED = "never-started"
    """It was claimed, and no container came; or the server that ran did not stop for it in time."""
    ADMIN = "admin"


OPEN = frozenset({State.QUEUED, State.GRANTED, State.TAKING, State.ACTIVE, State.ENDING})
HELD = OPEN - {State.QUEUED}
"""The states in which a lease's slots are nobody else's."""


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asks for.

    Attributes:
        team: whose share and budget it uses, ``team:…`` or ``class:…``.
        kind: of slot (see :mod:`.slots`); ``model`` narrows it where it is not empty, ``memory`` is the
            least of the device's own, in bytes.
        count: slots, all of one model and memory.
        shared: a part of a slot is enough; the rest of it is only ever given to the same team.
        seconds: how long.
        environment, size: of the server that will hold it.
    """

    person: str
    team: str
    kind: str
    seconds: int
    model: str = ""
    memory: int = 0
    count: int = 1
    shared: bool = False
    environment: str = ""
    size: str = ""


@dataclass(frozen=True, slots=True)
class Lease:
    """A request on its way; the id is the request's too.

    Attributes:
        asked: when its person came into line. A request that replaces a broken lease keeps the old one's.
        returned: it replaces a broken lease, and stands before its team's other requests.
        slots: ids; empty while queued. An ended lease remembers its slots. ``model`` is theirs.
        seat: which part of a shared slot, from 1; 0: whole slots.
        parts: into how many its slot is divided, of which it has one; 1: it has whole ones. While it waits, as
            many as the largest part that it may get is one of.
        ends: the latest moment at which it will be over; it only ever moves later by an extension.
        stopped: until when it is charged.
        changed: when its state last changed.
        container: the engine's id, once it was seen.
        window: the id of the class reservation that it was given from.
    """

    id: str
    request: Request
    asked: int
    state: State = State.QUEUED
    returned: bool = False
    slots: tuple[str, ...] = ()
    model: str = ""
    seat: int = 0
    parts: int = 1
    granted: int = 0
    began: int = 0
    ends: int = 0
    stopped: int = 0
    changed: int = 0
    container: str = ""
    window: str = ""
    why: Why | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """That a queued lease gets ``slots`` until ``ends`` at the latest, the time for claiming it included."""

    lease: str
    slots: tuple[str, ...]
    ends: int
    model: str = ""
    seat: int = 0
    parts: int = 1
    window: str = ""


def ask(identity: str, request: Request, now: int, policy: Policy, parts: int = 1) -> Lease:
    """A new lease in line; ``parts`` as the lease has it while it waits.

    Raises:
        RequestRefusedError: it is too long, too short, or for no slot.
    """
    if not SHORTEST <= request.seconds <= policy.longest:
        raise RequestRefusedError(
            N_("An accelerator is lent for {least} to {most} minutes; choose a time between them."),
            least=SHORTEST // 60,
            most=policy.longest // 60,
        )
    if request.count < 1 or (request.shared and request.count != 1):
        raise RequestRefusedError(
            N_("Ask for one or more whole accelerators, or for a part of one.")
        )
    return Lease(identity, request, asked=now, parts=parts, changed=now)


def grant(lease: Lease, given: Grant, now: int) -> Lease:
    """Keep the slots for it.

    Raises:
        StateError: it does not wait (any more).
    """
    _must_be(lease, State.QUEUED)
    return replace(
        lease,
        state=State.GRANTED,
        slots=given.slots,
        model=given.model,
        seat=given.seat,
        parts=given.parts,
        window=given.window,
        granted=now,
        ends=given.ends,
        changed=now,
    )


def take(lease: Lease, person: str, environment: str, size: str, now: int, policy: Policy) -> Lease:
    """Its person takes it for a server in ``environment`` and ``size``, and the one that runs is to be stopped
    first. Its time does not begin yet, and its end stays where it is. Once more is no error.

    Raises:
        NotYoursError: it is somebody else's.
        StateError: it is not granted, or the time for it has passed.
    """
    must_be_of(lease, person)
    if lease.state in (State.TAKING, State.ACTIVE):
        return lease
    _in_time(lease, now, policy)
    request = replace(lease.request, environment=environment, size=size)
    return replace(lease, request=request, state=State.TAKING, changed=now)


def claim(lease: Lease, person: str, now: int, policy: Policy) -> Lease:
    """Its person takes it; no server of that person is there. Its time begins now. Once more is no error: the
    answer may have been lost.

    Raises:
        NotYoursError: it is somebody else's.
        StateError: it is not granted, or the time for it has passed.
    """
    must_be_of(lease, person)
    if lease.state is State.ACTIVE:
        return lease
    if due(lease, now, policy) is not lease or lease.state is not State.TAKING:
        _in_time(lease, now, policy)
    return replace(
        lease,
        state=State.ACTIVE,
        began=now,
        ends=min(lease.ends, now + lease.request.seconds),
        changed=now,
    )


def must_be_of(lease: Lease, person: str) -> None:
    """Whether it is this person's.

    Raises:
        NotYoursError: it is somebody else's.
    """
    if person != lease.request.person:
        raise NotYoursError(N_("This accelerator is kept for somebody else."))


def _in_time(lease: Lease, now: int, policy: Policy) -> None:
    if lease.state is State.GRANTED and now > lease.granted + policy.claim:
        raise StateError(
            N_("The accelerator was kept for {minutes} minutes and has gone on. Ask for it again."),
            minutes=-(-policy.claim // 60),
        )
    _must_be(lease, State.GRANTED)


def saw(lease: Lease, container: str) -> Lease:
    """Its container is there."""
    return lease if lease.container == container else replace(lease, container=container)


def extend(
    lease: Lease, seconds: int, now: int, policy: Policy, *, waited_for: bool, free_until: int
) -> Lease:
    """It may go on for ``seconds`` from now, or as long as may be.

    Args:
        waited_for: whether somebody in line could use one of its slots.
        free_until: when a class has reserved them.

    Raises:
        ExtensionRefusedError: somebody waits, or it could not go on for longer than it does.
        StateError: it is not active.
    """
    _must_be(lease, State.ACTIVE)
    if waited_for:
        raise ExtensionRefusedError(
            N_("Others wait for this accelerator, so its time stays as it is.")
        )
    ends = min(now + seconds, lease.began + policy.longest, free_until)
    if ends <= lease.ends or now >= lease.ends:
        raise ExtensionRefusedError(
            N_("This accelerator cannot be kept for longer; ask for another time when it is over.")
        )
    return replace(lease, ends=ends)


def release(lease: Lease, now: int, why: Why = Why.RELEASED) -> Lease:
    """It is over. Slots stay held until the container is gone, unless there never was one.

    Raises:
        StateError: it has ended before.
    """
    if lease.state is State.ACTIVE:
        return _stop(lease, now, why)
    if lease.state is State.ENDING:
        return lease
    if lease.state is State.ENDED:
        raise StateError(N_("This request is over. Ask for an accelerator again."))
    left = Why.LEFT if why is Why.RELEASED else why
    return replace(lease, state=State.ENDED, why=left, changed=now)


def gone(lease: Lease, now: int) -> Lease:
    """The engine says that there is no container of it: the slots are free.

    Raises:
        StateError: it is not ending.
    """
    _must_be(lease, State.ENDING)
    return replace(lease, state=State.ENDED, changed=now)


def vanished(lease: Lease, until: int, now: int) -> Lease:
    """Its container was there and is not any more; it is charged until it stopped, or was last known to be.

    Raises:
        StateError: it is not active.
    """
    _must_be(lease, State.ACTIVE)
    ended = _stop(lease, min(until, now), Why.VANISHED)
    return replace(ended, changed=now)


def never_started(lease: Lease, now: int) -> Lease:
    """It was claimed and no container came. Nothing is charged; a late container may still come, so the
    slots stay held until the engine is asked once more.

    Raises:
        StateError: it is not active.
    """
    _must_be(lease, State.ACTIVE)
    ended = _stop(lease, lease.began, Why.NEVER_STARTED)
    return replace(ended, changed=now)


def fell_ill(lease: Lease, identity: str, now: int) -> tuple[Lease, Lease | None]:
    """One of its slots cannot be used: it is over, and the time that was left of it is asked for again.

    Returns:
        the lease, ending or ended, and the request with the id ``identity`` that replaces it, in its old
        place; None when less than :data:`SHORTEST` was left. A class reservation's lease comes back as a
        request like any other of its class.

    Raises:
        StateError: it holds no slots, or has ended.
    """
    if lease.state in (State.GRANTED, State.TAKING):
        over, left = release(lease, now, Why.ILL), lease.request.seconds
    else:
        _must_be(lease, State.ACTIVE)
        over, left = release(lease, now, Why.ILL), lease.ends - now
    if left < SHORTEST:
        return over, None
    request = replace(lease.request, seconds=left)
    again = Lease(identity, request, lease.asked, returned=True, parts=lease.parts, changed=now)
    return over, again


def due(lease: Lease, now: int, policy: Policy) -> Lease:
    """What the clock alone makes of it: unclaimed for too long, its server not stopped in time, or over."""
    if lease.state is State.GRANTED and now > lease.granted + policy.claim:
        return replace(lease, state=State.ENDED, why=Why.UNCLAIMED, changed=now)
    if lease.state is State.TAKING and now > _must_stop_by(lease, policy):
        return replace(lease, state=State.ENDED, why=Why.NEVER_STARTED, changed=now)
    if lease.state is State.ACTIVE and now >= lease.ends:
        return _stop(lease, now, Why.OVER)
    return lease


def next_due(lease: Lease, policy: Policy) -> int | None:
    """The first moment at which :func:`due` changes it; None if the clock alone never does."""
    if lease.state is State.GRANTED:
        return lease.granted + policy.claim + 1
    if lease.state is State.TAKING:
        return _must_stop_by(lease, policy) + 1
    return lease.ends if lease.state is State.ACTIVE else None


def _must_stop_by(lease: Lease, policy: Policy) -> int:
    """The last moment for the server that runs without it; a lease of no time at all is none."""
    return min(lease.changed + policy.starting, lease.ends - 1)


def _stop(lease: Lease, at: int, why: Why) -> Lease:
    """A clock that was set back never makes a charge negative."""
    stopped = max(lease.began, at)
    return replace(lease, state=State.ENDING, stopped=stopped, why=why, changed=max(stopped, at))


def _must_be(lease: Lease, state: State) -> None:
    if lease.state is not state:
        message = {
            State.QUEUED: N_("This request does not wait in line any more. Load the page again."),
            State.GRANTED: N_("No accelerator is kept for this request. Load the page again."),
            State.ACTIVE: N_("This accelerator is not in use. Load the page again."),
            State.ENDING: N_("This accelerator is not being given back. Load the page again."),
        }[state]
        raise StateError(message)
