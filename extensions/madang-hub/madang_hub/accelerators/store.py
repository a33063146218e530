"""Leases, the ledger and what operators said, in the Hub's database.

Every method is one transaction and blocks. Changes come one after the other (:mod:`.transactions`), and what
must never be twice cannot be stored twice besides (:mod:`.tables`). The rules decide, this keeps: a crash at
any moment leaves the state before or after a step, never one between.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from madang_hub.accelerators import leases as rules
from madang_hub.accelerators.estimate import Estimate, estimate
from madang_hub.accelerators.leases import HELD, OPEN, Lease, Policy, Request, State, Why
from madang_hub.accelerators.ledger import Event, What
from madang_hub.accelerators.notes import Notes
from madang_hub.accelerators.pools import Fleet, Reservation, pools_at
from madang_hub.accelerators.queue import decide
from madang_hub.accelerators.reconcile import Action, Do
from madang_hub.accelerators.tables import (
    EVENTS,
    LEASES,
    STATE,
    drains,
    find,
    hold,
    names,
    row_of,
    row_of_event,
    save,
    select,
)
from madang_hub.people.database import Database
from madang_hub.web.i18n import N_


class SlotTakenError(RuntimeError):
    """A slot has a holder already. Nothing was changed."""


class Leases(Notes):
    """The store; ``policy`` is the operator's. One object for each thread or process."""

    def __init__(self, database: Database, policy: Policy) -> None:
        super().__init__(database, policy)
        self._policy = policy

    # ---- requests and leases --------------------------------------------------------------

    def ask(self, identity: str, request: Request, now: int, parts: int = 1) -> Lease:
        """Bring a request into line. The same id once more gives what became of it.

        Raises:
            RequestRefusedError: see :func:`.leases.ask`.
        """
        lease = rules.ask(identity, request, now, self._policy, parts)

        def work(db: sa.Connection) -> Lease:
            if (known := find(db, identity)) is not None:
                return known
            db.execute(LEASES.insert().values(row_of(lease)))
            return lease

        return self._change(work)

    def decide(
        self,
        now: int,
        fleet: Fleet,
        *,
        classes: Collection[Reservation] = (),
        weights: Mapping[str, float] | None = None,
        barred: Collection[str] = (),
    ) -> list[Lease]:
        """Grant what can be granted, in one transaction for each pass; returns the leases that were.

        Raises:
            SlotTakenError: the rules gave a slot twice, which the table did not take.
        """

        def work(db: sa.Connection) -> list[Lease]:
            offered = _without_drained(db, fleet)
            held = select(db, LEASES.c.state.in_(names(HELD)))
            if not offered.anything_free(held):
                return []
            waiting = select(db, LEASES.c.state == State.QUEUED.value)
            known = {x.id: x for x in (*held, *waiting)}
            turns = db.execute(sa.select(STATE.c.turns)).scalar_one()
            found = decide(
                now,
                offered,
                known.values(),
                lambda: self.accounts.shares(db, now, held, weights),
                self._policy,
                classes=classes,
                turns=turns,
                barred=barred,
            )
            if found.turns != turns:
                db.execute(STATE.update().values(turns=found.turns))
            given = []
            for one in found.grants:
                lease = rules.grant(known[one.lease], one, now)
                hold(db, lease)
                save(db, known[one.lease], lease)
                given.append(lease)
            return given

        granted: list[Lease] = []
        try:
            while found := self._change(work):
                granted += found
            return granted
        except IntegrityError as error:
            raise SlotTakenError("A slot has a holder already; nothing was changed.") from error

    def estimate(
        self,
        identity: str,
        now: int,
        fleet: Fleet,
        *,
        classes: Collection[Reservation] = (),
        weights: Mapping[str, float] | None = None,
        barred: Collection[str] = (),
        usual: float = 0.5,
    ) -> Estimate:
        """Where a waiting request stands.

        Raises:
            KeyError: it does not wait.
        """
        self._prepare()
        with self._database.transaction() as db:
            known = select(db, LEASES.c.state.in_(names(OPEN)))
            turns = db.execute(sa.select(STATE.c.turns)).scalar_one()
            return estimate(
                identity,
                now,
                _without_drained(db, fleet),
                known,
                self.accounts.shares(db, now, known, weights),
                self._policy,
                classes=classes,
                turns=turns,
                barred=barred,
                usual=usual,
            )

    def take(self, identity: str, person: str, environment: str, size: str, now: int) -> Lease:
        """Its person takes a granted lease, and the server that runs is to be stopped first.

        Raises:
            LeaseError: see :func:`.leases.take`.
        """
        return self._step(
            identity, lambda x: rules.take(x, person, environment, size, now, self._policy)
        )

    def claim(self, identity: str, person: str, now: int) -> Lease:
        """Its person takes a granted lease.

        Raises:
            LeaseError: see :func:`.leases.claim`.
        """
        return self._step(identity, lambda x: rules.claim(x, person, now, self._policy))

    def extend(
        self,
        identity: str,
        person: str,
        extra: int,
        now: int,
        fleet: Fleet,
        *,
        classes: Collection[Reservation] = (),
        barred: Collection[str] = (),
    ) -> Lease:
        """Let an active lease go on for ``extra`` seconds from now, while nobody waits for its slots.

        Raises:
            LeaseError: see :func:`.leases.extend`.
        """

        def work(db: sa.Connection) -> Lease:
            lease = _owned(db, identity, person)
            known = select(db, LEASES.c.state.in_(names(OPEN)))
            held = [x for x in known if x.state is not State.QUEUED]
            scene = pools_at(now, _without_drained(db, fleet), held, classes, self._policy)
            waited_for = bool(scene.wanted([lease], _in_line(known, barred)))
            until = scene.free_until(lease)
            after = rules.extend(
                lease,
                extra,
                now,
                self._policy,
                waited_for=waited_for,
                free_until=int(min(until, now + self._policy.longest)),
            )
            save(db, lease, after)
            return after

        return self._change(work)

    def wanted(self, now: int, fleet: Fleet, barred: Collection[str] = ()) -> frozenset[str]:
        """The ids of active leases that hold a slot which somebody in line could use."""
        with self._database.transaction() as db:
            known = select(db, LEASES.c.state.in_(names(OPEN)))
            offered = _without_drained(db, fleet)
        line = _in_line(known, barred)
        if not line:
            return frozenset()
        scene = pools_at(
            now, offered, [x for x in known if x.state is not State.QUEUED], (), self._policy
        )
        return scene.wanted([x for x in known if x.state is State.ACTIVE], line)

    def release(
        self, identity: str, now: int, why: Why = Why.RELEASED, *, person: str = ""
    ) -> Lease:
        """Give it back; ``person``: only if it is theirs.

        Raises:
            LeaseError: see :func:`.leases.release`.
        """
        return self._step(identity, lambda x: rules.release(x, now, why), person)

    def never_started(self, identity: str, now: int) -> Lease:
        """Its server was refused: nothing is charged.

        Raises:
            StateError: it is not active.
        """
        return self._step(identity, lambda x: rules.never_started(x, now))

    def tick(self, now: int) -> list[Lease]:
        """What the clock ends: unclaimed grants and leases that are over. Returns those."""

        def work(db: sa.Connection) -> list[Lease]:
            changed = []
            for lease in select(db, LEASES.c.state.in_(names(HELD))):
                after = rules.due(lease, now, self._policy)
                if after is not lease:
                    save(db, lease, after)
                    changed.append(after)
            return changed

        return self._change(work)

    def fell_ill(self, slots: Collection[str], now: int) -> list[tuple[Lease, Lease | None]]:
        """These slots cannot be used: their leases are over, what was left is asked for again."""

        def work(db: sa.Connection) -> list[tuple[Lease, Lease | None]]:
            found = []
            for lease in select(db, LEASES.c.state.in_(names(HELD - {State.ENDING}))):
                if not set(slots).intersection(lease.slots):
                    continue
                over, again = rules.fell_ill(lease, uuid.uuid4().hex, now)
                save(db, lease, over)
                if again is not None:
                    db.execute(LEASES.insert().values(row_of(again)))
                found.append((over, again))
            return found

        return self._change(work)

    def lease(self, identity: str) -> Lease | None:
        with self._database.transaction() as db:
            return find(db, identity)

    def leases_of(self, person: str, since: int) -> list[Lease]:
        """Open ones, and those that ended at ``since`` or later."""
        recent = LEASES.c.state.in_(names(OPEN)) | (LEASES.c.changed >= since)
        with self._database.transaction() as db:
            return select(db, LEASES.c.person == person, recent)

    def open_ones(self) -> list[Lease]:
        """All that are not ended, in the order in which they were asked for."""
        with self._database.transaction() as db:
            return select(db, LEASES.c.state.in_(names(OPEN)))

    # ---- the engine's word ----------------------------------------------------------------

    def carry_out(self, actions: Iterable[Action], listed: int, now: int) -> list[Lease]:
        """Note what a complete listing of containers, begun at ``listed``, says, and that it was made.

        :data:`Do.STOP` is for whoever owns the containers. A lease that changed since is left for the next
        listing. Returns the leases that changed.
        """

        def work(db: sa.Connection) -> list[Lease]:
            self.accounts.catch_up(db, now)
            last_seen = self.accounts.last_beat
            changed = []
            for action in actions:
                if action.do is Do.STOP or (lease := find(db, action.lease)) is None:
                    continue
                if lease.changed >= listed and action.do is not Do.SEEN:
                    continue
                after = _acted(action, lease, last_seen, now)
                if after is not lease:
                    save(db, lease, after)
                    changed.append(after)
            # the last of all, so that what vanished is not charged up to it
            if listed > last_seen:
                db.execute(EVENTS.insert().values(row_of_event(Event(listed, What.BEAT))))
            return changed

        return self._change(work)

    # ---- transactions ---------------------------------------------------------------------

    def _step(self, identity: str, step: Callable[[Lease], Lease], person: str = "") -> Lease:
        def work(db: sa.Connection) -> Lease:
            lease = _owned(db, identity, person)
            after = step(lease)
            if after is not lease:
                save(db, lease, after)
            return after

        return self._change(work)


def _owned(db: sa.Connection, identity: str, person: str = "") -> Lease:
    lease = find(db, identity)
    if lease is None:
        raise rules.StateError(N_("This request is over. Ask for an accelerator again."))
    if person:
        rules.must_be_of(lease, person)
    return lease


def _in_line(known: Iterable[Lease], barred: Collection[str]) -> list[Request]:
    """What those ask for who wait and may be served."""
    return [x.request for x in known if x.state is State.QUEUED and x.request.team not in barred]


def _acted(action: Action, lease: Lease, last_seen: int, now: int) -> Lease:
    if action.do is Do.GONE and lease.state is State.ENDING:
        return rules.gone(lease, now)
    if lease.state is State.ACTIVE:
        if action.do is Do.SEEN:
            return rules.saw(lease, action.container)
        if action.do is Do.VANISHED:
            return rules.vanished(lease, action.moment or last_seen, now)
        if action.do is Do.NEVER_STARTED:
            return rules.never_started(lease, now)
    return lease


def _without_drained(db: sa.Connection, fleet: Fleet) -> Fleet:
    return replace(fleet, drained=frozenset(drains(db)) | frozenset(fleet.drained))
