"""What is noted about accelerators beside leases, in the Hub's database.

Drained slots, more budget, what classes need, and the servers that are to come back without an accelerator.
"""

from __future__ import annotations

from dataclasses import asdict

import sqlalchemy as sa

from madang_hub.accelerators.accounts import Accounts
from madang_hub.accelerators.leases import Policy
from madang_hub.accelerators.ledger import Allowance
from madang_hub.accelerators.reserving import Need
from madang_hub.accelerators.restarts import Restart
from madang_hub.accelerators.tables import DRAINED, NEEDS, RESTARTS, Drained, drains
from madang_hub.accelerators.transactions import Transactions
from madang_hub.people.database import Database


class Notes(Transactions):
    """The part of :class:`.store.Leases` that is about no lease."""

    def __init__(self, database: Database, policy: Policy) -> None:
        super().__init__(database)
        self.accounts = Accounts(database, policy)
        """What was used, and budgets."""

    def drain(self, slot: str, by: str, why: str, now: int) -> None:
        """Give ``slot`` to nobody any more; who has it keeps it to the end."""

        def work(db: sa.Connection) -> None:
            db.execute(DRAINED.delete().filter_by(slot=slot))
            db.execute(DRAINED.insert().values(slot=slot, by=by, why=why, since=now))

        self._change(work)

    def undrain(self, slot: str) -> None:
        self._change(lambda db: db.execute(DRAINED.delete().filter_by(slot=slot)))

    def drained(self) -> dict[str, Drained]:
        """The drained slots by id."""
        with self._database.transaction() as db:
            return drains(db)

    def allow(self, more: Allowance) -> None:
        """Give a team more for the month that its moment is in."""
        self._change(lambda db: self.accounts.allow(db, more))

    # ---- classes ------------------------------------------------------------------------------

    def needs(self) -> list[Need]:
        """What every class needs, by team."""
        order = (NEEDS.c.team, NEEDS.c.kind, NEEDS.c.model)
        with self._database.transaction() as db:
            rows = db.execute(sa.select(NEEDS).order_by(*order)).mappings()
            return [Need(**row) for row in rows]

    def set_need(self, need: Need) -> None:
        """A class needs so many from now on; a count of 0: none any more."""
        which = {"team": need.team, "kind": need.kind, "model": need.model}

        def work(db: sa.Connection) -> None:
            db.execute(NEEDS.delete().filter_by(**which))
            if need.count:
                db.execute(NEEDS.insert().values(asdict(need)))

        self._change(work)

    # ---- servers that come back ---------------------------------------------------------------

    def restart_later(self, restart: Restart) -> None:
        """Note it; what is noted for the same lease already stays."""

        def work(db: sa.Connection) -> None:
            known = db.execute(sa.select(RESTARTS).filter_by(person=restart.person)).mappings()
            if any(row["lease"] == restart.lease for row in known):
                return
            db.execute(RESTARTS.delete().filter_by(person=restart.person))
            db.execute(RESTARTS.insert().values(asdict(restart)))

        self._change(work)

    def restarts(self) -> list[Restart]:
        """All that are noted."""
        with self._database.transaction() as db:
            rows = db.execute(sa.select(RESTARTS).order_by(RESTARTS.c.since)).mappings()
            return [Restart(**row) for row in rows]

    def forget_restart(self, restart: Restart) -> None:
        """It was done, or is not wanted any more."""
        gone = RESTARTS.delete().filter_by(person=restart.person, lease=restart.lease)
        self._change(lambda db: db.execute(gone))
