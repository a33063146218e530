"""How the accelerators' tables are changed: one change after the other, each whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import sqlalchemy as sa

from madang_hub.accelerators.tables import STATE
from madang_hub.people.database import Database
from madang_hub.people.turns import Turns

Found = TypeVar("Found")


class Transactions:
    """What the stores have in common. One object for each thread or process; methods block."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._turns = Turns(database, STATE)

    def _change(self, work: Callable[[sa.Connection], Found]) -> Found:
        return self._turns.change(work)

    def _prepare(self) -> None:
        self._turns.prepare()
