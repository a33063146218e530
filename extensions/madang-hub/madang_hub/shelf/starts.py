"""The last start of each environment by each person: who still uses which version.

Written by the container spawner when a server answers, read by the picker and by `madang images prune`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from madang_hub.people.database import META, Database, Moment
from madang_hub.shelf.versions import Start

log = logging.getLogger("jupyterhub.madang")

_starts = sa.Table(
    "madang_starts",
    META,
    sa.Column("person", sa.String(255), primary_key=True),
    sa.Column("environment", sa.String(64), primary_key=True),
    sa.Column("release", sa.String(64), nullable=False),
    sa.Column("time", Moment, nullable=False),
)


class Starts:
    """Last starts in the Hub's database; each method is one transaction and blocks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, start: Start) -> None:
        """Put ``start`` in place of the person's former one of that environment."""
        key = {"person": start.person, "environment": start.environment}
        values = {"release": start.release, "time": start.time}
        with self._database.transaction() as db:
            if not db.execute(_starts.update().filter_by(**key).values(values)).rowcount:
                db.execute(_starts.insert().values(**key, **values))

    def of(self, person: str) -> dict[str, Start]:
        """By environment."""
        with self._database.transaction() as db:
            rows = db.execute(sa.select(_starts).filter_by(person=person)).mappings().all()
        return {row["environment"]: Start(**row) for row in rows}

    def all(self) -> list[Start]:
        with self._database.transaction() as db:
            rows = db.execute(sa.select(_starts)).mappings().all()
        return [Start(**row) for row in rows]


def hook(starts: Starts) -> Callable[[Any], None]:
    """The value of the spawner's trait ``started_hook``: writes beside the loop, waits for nothing."""
    writing: set[asyncio.Future[None]] = set()

    def note(start: Start) -> None:
        try:
            starts.note(start)
        except SQLAlchemyError as error:
            log.error("A start could not be noted: %s", type(error).__name__)

    def begin(spawner: Any) -> None:
        environment, _, _ = spawner.environment_name.partition("@")
        start = Start(spawner.user.name, environment, spawner.version, datetime.now(UTC))
        written = asyncio.get_running_loop().run_in_executor(None, note, start)
        writing.add(written)
        written.add_done_callback(writing.discard)

    return begin
