"""Changes of a store's tables: one after the other, each whole or not at all.

A change locks one row first, so changes come one after the other whichever process makes them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, OperationalError

from madang_hub.people.database import Database

Found = TypeVar("Found")

_TRIES = 6
"""SQLite waits 5 seconds for another process; so often a change is begun before it is given up."""


class Turns:
    """``row``: a table with the columns ``id`` and ``turns``, of which the store has a single row.

    One object for each thread or process; methods block.
    """

    def __init__(self, database: Database, row: sa.Table) -> None:
        self._database = database
        self._row = row
        self._ready = False

    def change(self, work: Callable[[sa.Connection], Found]) -> Found:
        """Do ``work`` when it is its turn; it may be begun more than once, and is committed once."""
        for left in reversed(range(_TRIES)):
            self.prepare()
            try:
                with self._database.transaction() as db:
                    # takes the row (PostgreSQL) or the file (SQLite) before anything is read
                    locked = db.execute(self._row.update().values(turns=self._row.c.turns))
                    if locked.rowcount == 1:
                        return work(db)
            except OperationalError as error:
                if not left or "locked" not in str(error.orig):
                    raise
            else:
                # where there is no row nothing is locked
                self._ready = False
        raise RuntimeError(f"The row of {self._row.name} that changes lock cannot be made.")

    def prepare(self) -> None:
        """Make the row that is locked, if it is not there."""
        if self._ready:
            return
        try:
            with self._database.transaction() as db:
                if db.execute(sa.select(self._row.c.id)).first() is None:
                    db.execute(self._row.insert().values(id=1, turns=0))
        except DBAPIError:
            # another process was faster; if not, whoever needs the row finds that it is not there
            return
        self._ready = True
