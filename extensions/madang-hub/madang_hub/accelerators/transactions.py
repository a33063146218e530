"""How the accelerators' tables are changed: one change after the other, each whole or not at all.

A change locks one row first, so changes come one after the other whichever process makes them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, OperationalError

from madang_hub.accelerators.tables import STATE
from madang_hub.people.database import Database

Found = TypeVar("Found")

_TRIES = 6
"""SQLite waits 5 seconds for another process; so often a change is begun before it is given up."""


class Transactions:
    """What the stores have in common. One object for each thread or process; methods block."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ready = False

    def _change(self, work: Callable[[sa.Connection], Found]) -> Found:
        self._prepare()
        for left in reversed(range(_TRIES)):
            try:
                with self._database.transaction() as db:
                    # takes the row (PostgreSQL) or the file (SQLite) before anything is read
                    db.execute(STATE.update().values(turns=STATE.c.turns))
                    return work(db)
            except OperationalError as error:
                if not left or "locked" not in str(error.orig):
                    raise
        raise AssertionError("unreachable")

    def _prepare(self) -> None:
        if self._ready:
            return
        try:
            with self._database.transaction() as db:
                if db.execute(sa.select(STATE.c.id)).first() is None:
                    db.execute(STATE.insert().values(id=1, turns=0))
        except DBAPIError:
            # another process was faster; if not, the next line of whoever called says what is wrong
            pass
        self._ready = True
