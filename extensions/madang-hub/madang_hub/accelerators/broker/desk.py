"""What people and the clock may do with leases, each as a whole: the store with the broker's own checks.

Blocking, and for one thread only (:attr:`.parts.Parts.worker`): what is checked stays so until it is written.
Two rules are the broker's own. A person has one open request at a time, because a server is what holds
accelerators and a person has one. And the time of a lease only begins while no server of that person is there,
because a server has no accelerators but those that it was started with.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from zoneinfo import ZoneInfo

from madang_hub.accelerators.broker.policy import HOUR, Limits
from madang_hub.accelerators.broker.watch import ill_since, lasting
from madang_hub.accelerators.broker.wishes import WishError, check_there, parts_of
from madang_hub.accelerators.estimate import Estimate
from madang_hub.accelerators.idle import Notice, Stretch, follow_all, goes_back, look, notice
from madang_hub.accelerators.inventory import Inventory
from madang_hub.accelerators.leases import (
    HELD,
    Lease,
    Policy,
    Request,
    State,
    StateError,
    Why,
)
from madang_hub.accelerators.ledger import Allowance, Budget
from madang_hub.accelerators.pools import Fleet, Reservation
from madang_hub.accelerators.reconcile import Container, Do, Findings, reconcile
from madang_hub.accelerators.reserving import Need, check, coming, following, horizon
from madang_hub.accelerators.slots import Use
from madang_hub.accelerators.store import Leases
from madang_hub.accelerators.vacant import Vacancy, vacancies
from madang_hub.people.timetable import Timetable
from madang_hub.web.i18n import N_

BEAT = 60
"""Seconds between two beats of the ledger."""
REMEMBERED = 24 * 3600
"""Seconds for which a person is shown a lease that ended."""


def _nobody_says(people: Collection[str], now: int) -> Mapping[str, bool]:
    return {}


def _no_timetables(teams: Collection[str]) -> Mapping[str, Timetable]:
    return {}


@dataclass
class Desk:
    """The store with what is known besides.

    Attributes:
        inventory: the last one.
        occupied: slots that a container has which no lease allows.
        engine_answers: whether the last listing of containers came; nothing is granted while it does not,
            and not before the first.
        ill_seconds: how long a slot must be ill before its lease ends.
        helpers: names of who can grant a team more.
        timetables: of the classes named; others are not in the answer.
        servers_work: whether the servers of the people named work on something at a moment; of whom nobody
            says are not in the answer.
    """

    leases: Leases
    policy: Policy
    limits: Limits
    zone: ZoneInfo
    ill_seconds: int
    helpers: Callable[[], Iterable[str]]
    inventory: Inventory = field(default_factory=Inventory)
    occupied: frozenset[str] = frozenset()
    engine_answers: bool = False
    timetables: Callable[[Collection[str]], Mapping[str, Timetable]] = _no_timetables
    servers_work: Callable[[Collection[str], int], Mapping[str, bool]] = _nobody_says
    _ill: dict[str, int] = field(default_factory=dict)
    _idle: Mapping[str, Stretch] = field(default_factory=dict)
    _taken: int = 0
    _followed: int = 0
    _beat: int = 0

    @property
    def fleet(self) -> Fleet:
        """The slots as of now; the store adds which are drained."""
        slots = self.inventory.slots
        parts = {s.id: s.shares for s in slots if s.shares > 1}
        return Fleet(slots, occupied=self.occupied, parts=parts)

    # ---- people ---------------------------------------------------------------------------

    def ask(self, request: Request, now: int) -> Lease:
        """Bring ``request`` into line, and serve the line.

        Raises:
            WishError: no machine could ever serve it.
            LeaseError: its person has a request already, or the policy does not allow it.
            BudgetSpentError: its team has not enough left.
        """
        check_there(request, self.inventory.slots)
        if any(x.request.person == request.person for x in self._open(but=State.ENDING)):
            raise StateError(
                N_(
                    "You have a request in line or an accelerator already; leave it or give it back first."
                )
            )
        parts = parts_of(request, self.inventory.slots)
        rate = self.policy.rate(request.kind, request.model, request.count, parts)
        self.budget(request.team, now).check(request.seconds * rate, tuple(self.helpers()))
        lease = self.leases.ask(uuid.uuid4().hex, request, now, parts)
        self.advance(now)
        return self._again(lease)

    def take(self, identity: str, person: str, now: int) -> Lease:
        """Its person takes what is granted. The caller has seen that no server of theirs is there.

        Raises:
            LeaseError: see :func:`.leases.claim`; or what this person gave back is still held.
        """
        self._nothing_ends(person)
        return self.leases.claim(identity, person, now)

    def take_after_stop(
        self, identity: str, person: str, environment: str, size: str, now: int
    ) -> Lease:
        """The same while a server of theirs is there: it is stopped first, and started again with what is
        granted (:mod:`.rounds`).

        Raises:
            LeaseError: see :func:`.leases.take`; or what this person gave back is still held.
        """
        self._nothing_ends(person)
        return self.leases.take(identity, person, environment, size, now)

    def _nothing_ends(self, person: str) -> None:
        mine = [x for x in self._open() if x.request.person == person]
        if any(x.state is State.ENDING for x in mine):
            raise StateError(
                N_("The accelerator that you had is still being given back. Try again in a moment.")
            )

    def leave(self, identity: str, person: str, now: int) -> Lease:
        """Out of the line, or out of a grant whose time has not begun.

        Raises:
            LeaseError: it is taken already, or not this person's.
        """
        self._must_be(identity, {State.QUEUED, State.GRANTED, State.TAKING})
        return self._released(identity, person, now)

    def give_back(self, identity: str, person: str, now: int) -> Lease:
        """Before its end; the server that has it is stopped.

        Raises:
            LeaseError: it is not taken, or not this person's.
        """
        self._must_be(identity, {State.ACTIVE, State.ENDING})
        return self._released(identity, person, now)

    def _released(self, identity: str, person: str, now: int) -> Lease:
        lease = self.leases.release(identity, now, person=person)
        self.advance(now)
        return lease

    def extend(self, identity: str, person: str, seconds: int, now: int) -> Lease:
        """For ``seconds`` from now, or as long as may be.

        Raises:
            LeaseError: see :func:`.leases.extend`.
        """
        longer = self.leases.extend(
            identity,
            person,
            seconds,
            now,
            self.fleet,
            classes=self.classes(now),
            barred=self._barred(now),
        )
        # its person is there, and wants it
        self._idle = {k: v for k, v in self._idle.items() if k != identity}
        return longer

    def own(self, identity: str, person: str) -> Lease | None:
        """The lease with this id, if it is this person's."""
        lease = self.leases.lease(identity)
        return lease if lease is not None and lease.request.person == person else None

    def mine(self, person: str, now: int) -> list[Lease]:
        """Open leases of ``person``, and those that ended lately."""
        return self.leases.leases_of(person, now - REMEMBERED)

    def estimate(self, lease: Lease, now: int) -> Estimate | None:
        """Where a waiting request stands; None for one that does not wait."""
        if lease.state is not State.QUEUED:
            return None
        try:
            return self.leases.estimate(
                lease.id,
                now,
                self.fleet,
                classes=self.classes(now),
                weights=self.limits.weights,
                barred=self._barred(now),
            )
        except KeyError:  # it was served meanwhile
            return None

    def budget(self, team: str, now: int) -> Budget:
        limit = self.limits.budget_of(team)
        if limit is None:
            return Budget(team, None, 0.0)
        return self.leases.accounts.budget(team, limit, now, self.zone)

    def held_by(self, person: str, now: int) -> Lease | None:
        """The lease with whose slots a server of ``person`` may be started at ``now``."""
        mine = (x for x in self._open() if x.request.person == person)
        return next((x for x in mine if x.state is State.ACTIVE and now < x.ends), None)

    def vacant(self) -> list[Vacancy] | None:
        """The slots for which a server may wait; None while nobody says what runs."""
        if not self.engine_answers:
            return None
        fleet = replace(self.fleet, drained=frozenset(self.leases.drained()))
        return vacancies(fleet, self.leases.open_ones())

    # ---- the clock ------------------------------------------------------------------------

    def advance(self, now: int) -> list[Lease]:
        """End what is over, and serve the line; the leases that were granted."""
        self.leases.tick(now)
        if not self.engine_answers:
            return []
        return self.leases.decide(
            now,
            self.fleet,
            classes=self.classes(now),
            weights=self.limits.weights,
            barred=self._barred(now),
        )

    def looked(self, inventory: Inventory, now: int) -> list[tuple[Lease, Lease | None]]:
        """There is a new inventory: end the leases of slots that stay ill, and ask for the rest again."""
        self.inventory, self._taken = inventory, now
        held = {slot for x in self._open() if x.state in HELD for slot in x.slots}
        self._ill = ill_since(self._ill, inventory, held, now)
        broken = lasting(self._ill, now, self.ill_seconds) & held
        return self.leases.fell_ill(broken, now) if broken else []

    def find_idle(self, now: int, reports_arrive: bool) -> list[Lease]:
        """Follow what the leases' accelerators do, and end those that lay idle for others to use.

        Once for each inventory, and nothing ends while nobody says which servers there are.

        Args:
            reports_arrive: whether a server that works could have said so.
        """
        if not self.policy.idle or self._taken == self._followed:
            return []
        self._followed = at = self._taken
        held = [x for x in self._open() if x.state is State.ACTIVE and x.container]
        people = {x.request.person for x in held}
        works = self.servers_work(people, now) if people and reports_arrive else {}
        uses = self.inventory.use
        samples = {
            x.id: look((uses.get(s, Use()) for s in x.slots), works.get(x.request.person))
            for x in held
        }
        # the line may be long, and matters only where somebody is warned
        warned = any(at - x.begin >= self.policy.idle for x in self._idle.values())
        wanted = self.leases.wanted(now, self.fleet, self._barred(now)) if warned else ()
        self._idle = follow_all(self._idle, samples, wanted, at, self.policy)
        if not self.engine_answers:
            return []
        return [
            self.leases.release(x.id, now, Why.IDLE)
            for x in held
            if goes_back(self._idle.get(x.id), at, self.policy)
        ]

    def idle(self, lease: Lease) -> Notice | None:
        """What the person of ``lease`` is told about its idle accelerator."""
        if lease.state is not State.ACTIVE:
            return None
        return notice(self._idle.get(lease.id), self.policy)

    def listed(self, containers: Collection[Container], listed: int, now: int) -> Findings:
        """There is a complete listing, begun at ``listed``: note what follows, and that it was made."""
        found = reconcile(self._open(), containers, listed, now, self.policy)
        self.occupied = found.occupied
        self.engine_answers = True
        if listed - self._beat >= BEAT or any(x.do is not Do.STOP for x in found.actions):
            self.leases.carry_out(found.actions, listed, now)
            self._beat = listed
        return found

    def refused(self, identity: str, now: int) -> None:
        """The Hub does not start the server of this lease."""
        self.leases.never_started(identity, now)

    # ---- classes --------------------------------------------------------------------------

    def classes(self, now: int, ahead: int | None = None) -> list[Reservation]:
        """The reservations of the day before, those that are on, and those that begin within ``ahead``
        seconds (None: as far as is planned)."""
        needs = self.leases.needs()
        if not needs:
            return []
        timetables = self.timetables({need.team for need in needs})
        return coming(needs, timetables, now, horizon(self.policy) if ahead is None else ahead)

    def needs(self, now: int) -> list[tuple[Need, tuple[int, int] | None]]:
        """What every class needs, and from when to when it is reserved next."""
        needs = self.leases.needs()
        timetables = self.timetables({need.team for need in needs})
        return [
            (n, following(n, timetables[n.team], now) if n.team in timetables else None)
            for n in needs
        ]

    def reserve(self, need: Need) -> None:
        """A class needs so many from now on; a count of 0: none any more.

        Raises:
            WishError: it is no class.
            ReservationRefusedError: there are not so many for it.
        """
        if need.count:
            needs = self.leases.needs()
            timetables = self.timetables({need.team, *(n.team for n in needs)})
            if need.team not in timetables:
                raise WishError(
                    N_("Accelerators are reserved for classes; {team} is none."), team=need.team
                )
            slots = self.inventory.slots
            check(need, needs, timetables, slots, need.since, self.policy)
        self.leases.set_need(need)
        self.advance(need.since)

    # ---- operators ------------------------------------------------------------------------

    def drain(self, slot: str, by: str, why: str, now: int) -> bool:
        """Give it to nobody any more; False: there is no such slot."""
        if slot not in self.inventory.by_id:
            return False
        self.leases.drain(slot, by, why, now)
        return True

    def undrain(self, slot: str, now: int) -> bool:
        """Give it out again; False: it was not drained."""
        if slot not in self.leases.drained():
            return False
        self.leases.undrain(slot)
        self.advance(now)
        return True

    def allow(self, team: str, hours: float, by: str, why: str, now: int) -> Budget:
        """Grant ``team`` so many weighed hours more this month; its budget after that."""
        self.leases.allow(Allowance(team, round(hours * HOUR), now, by, why))
        self.advance(now)
        return self.budget(team, now)

    # ---- helpers --------------------------------------------------------------------------

    def _open(self, but: State | None = None) -> list[Lease]:
        return [x for x in self.leases.open_ones() if x.state is not but]

    def _again(self, lease: Lease) -> Lease:
        return self.leases.lease(lease.id) or lease

    def _must_be(self, identity: str, states: Collection[State]) -> None:
        lease = self.leases.lease(identity)
        if lease is not None and lease.state not in states and lease.state is not State.ENDED:
            raise StateError(N_("This request has gone on meanwhile. Load the page again."))

    def _barred(self, now: int) -> frozenset[str]:
        """Teams with a request in line and nothing left this month."""
        waiting = {x.request.team for x in self.leases.open_ones() if x.state is State.QUEUED}
        return frozenset(team for team in waiting if self.budget(team, now).spent)
