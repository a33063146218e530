"""What operators said about accelerators, in the Hub's database: drained slots and more budget."""

from __future__ import annotations

import sqlalchemy as sa

from madang_hub.accelerators.accounts import Accounts
from madang_hub.accelerators.leases import Policy
from madang_hub.accelerators.ledger import Allowance
from madang_hub.accelerators.tables import DRAINED, Drained, drains
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
