"""The ledger in the database: what was used, shares and budgets that follow from it. See :mod:`.store`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from madang_hub.accelerators.fairshare import Shares, Usage
from madang_hub.accelerators.leases import OPEN, Lease, Policy, State
from madang_hub.accelerators.ledger import (
    Allowance,
    Budget,
    Event,
    Ledger,
    Span,
    What,
    budget_of,
    month,
    remember,
    shares_at,
)
from madang_hub.accelerators.queue import Line
from madang_hub.accelerators.tables import (
    ALLOWANCES,
    EVENTS,
    LEASES,
    STATE,
    event_of,
    names,
    select,
)
from madang_hub.people.database import Database


@dataclass(frozen=True)
class Counts:
    """What happened so far: grants, ends by reason, slot-seconds of ended leases by (team, kind)."""

    grants: int
    ended: Mapping[str, int]
    used: Mapping[tuple[str, str], Fraction]


class Accounts:
    """Reads the ledger; what it knows of it is kept, because events are only added to.

    One object for each thread or process. Methods that take a connection are part of its transaction.
    """

    def __init__(self, database: Database, policy: Policy) -> None:
        self._database, self._policy = database, policy
        self._ledger, self._usage, self._read = Ledger(), Usage(policy.half_life), 0

    @property
    def last_beat(self) -> int:
        """When everything was last known to be there, as of the last reading."""
        return self._ledger.last_beat

    def events(self) -> list[Event]:
        """All of the ledger, in order."""
        with self._database.transaction() as db:
            rows = db.execute(sa.select(EVENTS).order_by(EVENTS.c.seq)).mappings()
            return [event_of(r) for r in rows]

    def spans(self) -> list[Span]:
        """Every lease's charged time, recomputed from the events."""
        ledger = Ledger()
        ledger.add(self.events())
        return list(ledger.spans())

    def catch_up(self, db: sa.Connection, now: int) -> None:
        """Read the events that came since. To be called before the transaction adds any itself."""
        # what is 20 half-lives old counts a millionth
        since = EVENTS.c.moment >= now - 20 * self._policy.half_life
        found = sa.select(EVENTS).where(EVENTS.c.seq > self._read, EVENTS.c.lease.is_not(None))
        rows = db.execute(found.where(since).order_by(EVENTS.c.seq)).mappings().all()
        closed = self._ledger.add(event_of(r) for r in rows)
        self._ledger.add([Event(_last_beat(db), What.BEAT)])
        self._ledger.forget(now)
        remember(self._usage, closed, self._policy)
        self._read = max((r["seq"] for r in rows), default=self._read)

    def shares(
        self,
        db: sa.Connection,
        now: int,
        leases: Iterable[Lease],
        weights: Mapping[str, float] | None = None,
    ) -> Shares:
        """Who used how much; ``weights`` are the teams'."""
        self.catch_up(db, now)
        return shares_at(now, self._usage, leases, self._policy, weights)

    def within(self, begin: int, end: int) -> tuple[list[Span], list[Lease]]:
        """What was charged in ``begin`` to ``end``: the spans that reach into it, and the leases that were
        granted in it. Read anew from the events each time, so from any thread."""
        over = sa.select(EVENTS.c.lease).where(
            EVENTS.c.what == What.ENDED.value, EVENTS.c.moment <= begin
        )
        begun = sa.select(EVENTS.c.lease).where(
            EVENTS.c.what == What.BEGAN.value, EVENTS.c.moment < end
        )
        theirs = EVENTS.c.lease.in_(begun) & EVENTS.c.lease.not_in(over)
        with self._database.transaction() as db:
            rows = db.execute(sa.select(EVENTS).where(theirs).order_by(EVENTS.c.seq)).mappings()
            ledger = Ledger()
            ledger.add(event_of(r) for r in rows)
            ledger.add([Event(_last_beat(db), What.BEAT)])
            granted = select(db, LEASES.c.granted >= begin, LEASES.c.granted < end)
        return list(ledger.spans()), granted

    def counts(self) -> Counts:
        """For measurements; the database adds up, so that little is read. From any thread."""
        begun, ended = EVENTS.alias(), EVENTS.alias()
        seconds = sa.func.sum((ended.c.moment - begun.c.moment) * begun.c["count"])
        spans = (
            sa.select(begun.c.team, begun.c.kind, begun.c.parts, seconds)
            .join(ended, (ended.c.lease == begun.c.lease) & (ended.c.what == What.ENDED.value))
            .where(begun.c.what == What.BEGAN.value)
            .group_by(begun.c.team, begun.c.kind, begun.c.parts)
        )
        why = sa.select(LEASES.c.why, sa.func.count()).where(LEASES.c.state == State.ENDED.value)
        granted = sa.select(sa.func.count()).select_from(LEASES).where(LEASES.c.granted > 0)
        used: dict[tuple[str, str], Fraction] = {}
        with self._database.transaction() as db:
            for team, kind, parts, found in db.execute(spans):
                before = used.get((team, kind), Fraction(0))
                used[team, kind] = before + Fraction(int(found), parts)
            ends = {name: n for name, n in db.execute(why.group_by(LEASES.c.why)) if name}
            return Counts(db.execute(granted).scalar_one(), ends, used)

    def line(
        self, now: int, weights: Mapping[str, float] | None = None, barred: Collection[str] = ()
    ) -> list[Lease]:
        """Who waits, in the order in which they would be served if everything fitted; ``barred`` teams come
        last, as long as they have nothing left. Not to be called inside a transaction."""
        with self._database.transaction() as db:
            known = select(db, LEASES.c.state.in_(names(OPEN)))
            turns = db.execute(sa.select(STATE.c.turns)).scalar() or 0
            shares = self.shares(db, now, known, weights)
        waiting = [x for x in known if x.state is State.QUEUED]
        served = [x for x in waiting if x.request.team not in barred]
        shut = [x for x in waiting if x.request.team in barred]
        return [*Line(served, shares, self._policy, now, turns), *shut]

    def allow(self, db: sa.Connection, more: Allowance) -> None:
        """Note that a team was given more; nothing is ever taken back from the table."""
        values = {k: getattr(more, k) for k in Allowance.__dataclass_fields__}
        db.execute(ALLOWANCES.insert().values(values))

    def budget(self, team: str, limit: float | None, now: int, zone: ZoneInfo) -> Budget:
        """A team's budget of the month; ``limit`` in weighed slot-seconds, None: no limit."""
        begin, _ = month(now, zone)
        with self._database.transaction() as db:
            # a lease that began before the month may reach into it
            since = EVENTS.c.moment >= begin - self._policy.longest
            mine = sa.select(EVENTS).where(since, EVENTS.c.team == team).order_by(EVENTS.c.seq)
            ledger = Ledger()
            ledger.add(event_of(r) for r in db.execute(mine).mappings())
            ledger.add([Event(_last_beat(db), What.BEAT)])
            given = db.execute(sa.select(ALLOWANCES).filter_by(team=team)).mappings()
            return budget_of(
                team,
                limit,
                [Allowance(**{k: r[k] for k in Allowance.__dataclass_fields__}) for r in given],
                ledger.spans(),
                select(db, LEASES.c.team == team, LEASES.c.state.in_(names(OPEN))),
                now,
                zone,
                self._policy,
            )


def _last_beat(db: sa.Connection) -> int:
    beats = sa.select(EVENTS.c.moment).where(EVENTS.c.lease.is_(None))
    found: int | None = db.execute(beats.order_by(EVENTS.c.seq.desc()).limit(1)).scalar()
    return found or 0
