"""The audit log: who did what to whom, in a table that is only ever added to.

People read their own lines on their page, mentors those of their classes, admins all; nobody but the
database's owner can change one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from madang_hub.people.database import META, Database, Moment

_audit = sa.Table(
    "madang_audit",
    META,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("time", Moment, nullable=False, index=True),
    sa.Column("actor", sa.String(255), nullable=False, index=True),
    sa.Column("action", sa.String(64), nullable=False),
    sa.Column("subject", sa.String(255), nullable=False, index=True),
    sa.Column("team", sa.String(255), nullable=False, server_default="", index=True),
    sa.Column("detail", sa.JSON, nullable=False),
)


@dataclass(frozen=True)
class Entry:
    """One line. ``actor`` is a user name, or ``madang`` for what the stack did by itself.

    ``action`` is a word with a dot, ``look-in.began``; ``subject`` the person (or team) it was done to.
    """

    time: datetime
    actor: str
    action: str
    subject: str
    team: str
    detail: Mapping[str, Any]


class Audit:
    """Adds and reads lines; there is no way to change one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def write(
        self,
        now: datetime,
        actor: str,
        action: str,
        subject: str,
        *,
        team: str = "",
        **detail: Any,
    ) -> None:
        """Add a line; ``detail`` must be JSON and hold no secret."""
        with self._database.transaction() as db:
            db.execute(
                _audit.insert().values(
                    time=now, actor=actor, action=action, subject=subject, team=team, detail=detail
                )
            )

    def read(
        self, *, about: str = "", team: str = "", action: str = "", limit: int = 200
    ) -> list[Entry]:
        """The newest lines first; ``about`` leaves those where this person is actor or subject."""
        query = sa.select(_audit).order_by(_audit.c.id.desc()).limit(limit)
        if about:
            query = query.where(sa.or_(_audit.c.actor == about, _audit.c.subject == about))
        if team:
            query = query.where(_audit.c.team == team)
        if action:
            query = query.where(_audit.c.action.startswith(action, autoescape=True))
        with self._database.transaction() as db:
            rows = db.execute(query).mappings().all()
        return [Entry(**{k: row[k] for k in Entry.__dataclass_fields__}) for row in rows]
