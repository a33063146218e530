"""The tables of leases, held slots, the ledger and what operators said; see :mod:`.store`.

What must never be twice cannot be stored twice: a slot has one holder, a seat of a shared slot one lease, and
a lease one beginning and one end in the ledger.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

import sqlalchemy as sa

from madang_hub.accelerators.leases import HELD, OPEN, Lease, Request, State, Why
from madang_hub.accelerators.ledger import Event, What, booked
from madang_hub.people.database import META


def names(states: Iterable[State]) -> list[str]:
    """As the tables write them."""
    return sorted(state.value for state in states)


# one row, which every change locks first; ``turns`` is the queue's
STATE = sa.Table(
    "madang_accelerators",
    META,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("turns", sa.Integer, nullable=False),
)
LEASES = sa.Table(
    "madang_leases",
    META,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("person", sa.String(255), nullable=False, index=True),
    sa.Column("team", sa.String(255), nullable=False, index=True),
    sa.Column("kind", sa.String(255), nullable=False),
    sa.Column("seconds", sa.Integer, nullable=False),
    sa.Column("wanted_model", sa.String(255), nullable=False),
    sa.Column("memory", sa.BigInteger, nullable=False),
    sa.Column("count", sa.Integer, nullable=False),
    sa.Column("shared", sa.Boolean, nullable=False),
    sa.Column("environment", sa.String(255), nullable=False),
    sa.Column("size", sa.String(255), nullable=False),
    sa.Column("asked", sa.BigInteger, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("returned", sa.Boolean, nullable=False),
    # ids, one a line: 10,000 waiting requests are read faster than with JSON
    sa.Column("slots", sa.Text, nullable=False),
    sa.Column("model", sa.String(255), nullable=False),
    sa.Column("seat", sa.Integer, nullable=False),
    sa.Column("parts", sa.Integer, nullable=False),
    sa.Column("granted", sa.BigInteger, nullable=False),
    sa.Column("began", sa.BigInteger, nullable=False),
    sa.Column("ends", sa.BigInteger, nullable=False),
    sa.Column("stopped", sa.BigInteger, nullable=False),
    sa.Column("changed", sa.BigInteger, nullable=False),
    sa.Column("container", sa.String(255), nullable=False),
    sa.Column("window", sa.String(255), nullable=False),
    sa.Column("why", sa.String(16)),
)
sa.Index(
    "madang_leases_open",
    LEASES.c.state,
    sqlite_where=LEASES.c.state.in_(names(OPEN)),
    postgresql_where=LEASES.c.state.in_(names(OPEN)),
)
# seat 0 is the slot itself: held by one lease, or (lease empty) by the team whose leases share it
SEATS = sa.Table(
    "madang_held_slots",
    META,
    sa.Column("slot", sa.String(255), primary_key=True),
    sa.Column("seat", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("lease", sa.ForeignKey("madang_leases.id"), index=True),
    sa.Column("team", sa.String(255), nullable=False),
)
# only ever added to; a beat has no lease
EVENTS = sa.Table(
    "madang_accelerator_events",
    META,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("moment", sa.BigInteger, nullable=False, index=True),
    sa.Column("what", sa.String(16), nullable=False),
    sa.Column("lease", sa.String(64)),
    sa.Column("person", sa.String(255), nullable=False),
    sa.Column("team", sa.String(255), nullable=False),
    sa.Column("kind", sa.String(255), nullable=False),
    sa.Column("model", sa.String(255), nullable=False),
    sa.Column("count", sa.Integer, nullable=False),
    sa.Column("parts", sa.Integer, nullable=False),
    sa.UniqueConstraint("lease", "what"),
)
DRAINED = sa.Table(
    "madang_drained_slots",
    META,
    sa.Column("slot", sa.String(255), primary_key=True),
    sa.Column("by", sa.String(255), nullable=False),
    sa.Column("why", sa.String(255), nullable=False),
    sa.Column("since", sa.BigInteger, nullable=False),
)
# only ever added to
ALLOWANCES = sa.Table(
    "madang_accelerator_allowances",
    META,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("team", sa.String(255), nullable=False, index=True),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("moment", sa.BigInteger, nullable=False),
    sa.Column("by", sa.String(255), nullable=False),
    sa.Column("why", sa.String(255), nullable=False),
)
# what a class needs while it meets; an empty model is any
NEEDS = sa.Table(
    "madang_class_accelerators",
    META,
    sa.Column("team", sa.String(255), primary_key=True),
    sa.Column("kind", sa.String(255), primary_key=True),
    sa.Column("model", sa.String(255), primary_key=True),
    sa.Column("count", sa.Integer, nullable=False),
    sa.Column("by", sa.String(255), nullable=False),
    sa.Column("since", sa.BigInteger, nullable=False),
)
# servers that are stopped because a lease is over, and are to be started again without it
RESTARTS = sa.Table(
    "madang_accelerator_restarts",
    META,
    sa.Column("person", sa.String(255), primary_key=True),
    sa.Column("lease", sa.String(64), nullable=False),
    sa.Column("environment", sa.String(255), nullable=False),
    sa.Column("size", sa.String(255), nullable=False),
    sa.Column("since", sa.BigInteger, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Drained:
    """That a slot is given to nobody any more: who said so, why, and since when."""

    by: str
    why: str
    since: int


_REQUEST = [f.name for f in fields(Request)]
_LEASE = [f.name for f in fields(Lease) if f.name != "request"]


def row_of(lease: Lease) -> dict[str, Any]:
    """A lease as a row of :data:`LEASES`."""
    row = {name: getattr(lease.request, name) for name in _REQUEST if name != "model"}
    row |= {name: getattr(lease, name) for name in _LEASE}
    row |= {
        "wanted_model": lease.request.model,
        "state": lease.state.value,
        "slots": "\n".join(lease.slots),
        "why": lease.why.value if lease.why else None,
    }
    return row


def lease_of(row: Any) -> Lease:
    """A row of :data:`LEASES` as a lease."""
    request = Request(
        person=row.person,
        team=row.team,
        kind=row.kind,
        seconds=row.seconds,
        model=row.wanted_model,
        memory=row.memory,
        count=row.count_,
        shared=row.shared,
        environment=row.environment,
        size=row.size,
    )
    return Lease(
        id=row.id,
        request=request,
        asked=row.asked,
        state=State(row.state),
        returned=row.returned,
        slots=tuple(row.slots.split("\n")) if row.slots else (),
        model=row.model,
        seat=row.seat,
        parts=row.parts,
        granted=row.granted,
        began=row.began,
        ends=row.ends,
        stopped=row.stopped,
        changed=row.changed,
        container=row.container,
        window=row.window,
        why=Why(row.why) if row.why else None,
    )


# ``count`` is a method of rows, so it has another name
_COLUMNS = [c.label("count_") if c.name == "count" else c for c in LEASES.c]


def find(db: sa.Connection, identity: str) -> Lease | None:
    found = select(db, LEASES.c.id == identity)
    return found[0] if found else None


def select(db: sa.Connection, *conditions: sa.ColumnElement[bool]) -> list[Lease]:
    """Leases in the order in which they were asked for."""
    query = sa.select(*_COLUMNS).where(*conditions).order_by(LEASES.c.asked, LEASES.c.id)
    return [lease_of(row) for row in db.execute(query)]


def save(db: sa.Connection, before: Lease, after: Lease) -> None:
    """Keep a step of a lease: its row, what the ledger says about it, and that its slots are free."""
    db.execute(LEASES.update().where(LEASES.c.id == after.id).values(row_of(after)))
    if (event := booked(before, after)) is not None:
        db.execute(EVENTS.insert().values(row_of_event(event)))
    if before.state in HELD and after.state not in HELD:
        db.execute(SEATS.delete().where(SEATS.c.lease == after.id))
        if after.seat:
            others = sa.select(SEATS.c.slot).where(SEATS.c.seat > 0)
            shared = SEATS.c.slot.in_(after.slots) & SEATS.c.lease.is_(None)
            db.execute(SEATS.delete().where(shared, SEATS.c.slot.not_in(others)))


def hold(db: sa.Connection, lease: Lease) -> None:
    """Take a granted lease's slots.

    Raises:
        IntegrityError: one has a holder already.
    """
    team = lease.request.team
    for slot in lease.slots:
        if lease.seat:
            ours = sa.select(SEATS.c.team).where(
                SEATS.c.slot == slot, SEATS.c.lease.is_(None), SEATS.c.team == team
            )
            if db.execute(ours).first() is None:
                db.execute(SEATS.insert().values(slot=slot, seat=0, team=team))
        db.execute(SEATS.insert().values(slot=slot, seat=lease.seat, lease=lease.id, team=team))


def drains(db: sa.Connection) -> dict[str, Drained]:
    """The drained slots by id."""
    rows = db.execute(sa.select(DRAINED)).mappings()
    return {row["slot"]: Drained(row["by"], row["why"], row["since"]) for row in rows}


def row_of_event(event: Event) -> dict[str, Any]:
    """An event as a row of :data:`EVENTS`."""
    row = {f.name: getattr(event, f.name) for f in fields(Event)}
    return row | {"what": event.what.value, "lease": event.lease or None}


def event_of(row: Any) -> Event:
    """A row of :data:`EVENTS` as an event."""
    values = {f.name: row[f.name] for f in fields(Event)}
    return Event(**(values | {"what": What(row["what"]), "lease": row["lease"] or ""}))
