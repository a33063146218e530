"""Announcements: short texts that people of a team see on the home page and in JupyterLab."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from madang_hub.people.database import META, Database, Moment
from madang_hub.web.i18n import N_

TEXT_LENGTH = 500
HOURS = (1, 4, 24, 168)
"""How long an announcement may be shown."""
EVERYBODY = ""
"""The team of an announcement to all people of this Madang (admins only)."""

_announcements = sa.Table(
    "madang_announcements",
    META,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("team", sa.String(255), nullable=False, index=True),
    sa.Column("author", sa.String(255), nullable=False),
    sa.Column("text", sa.String(TEXT_LENGTH), nullable=False),
    sa.Column("since", Moment, nullable=False),
    sa.Column("until", Moment, nullable=False, index=True),
)


class AnnouncementRefused(ValueError):  # noqa: N818 (as the other refusals)
    """It cannot be announced; ``message`` is a sentence of the catalogues with ``{named}`` places."""

    def __init__(self, message: str, **values: str) -> None:
        super().__init__(message.format(**values))
        self.message = message
        self.values = values


@dataclass(frozen=True)
class Announcement:
    """``text`` is plain (no HTML), shown to ``team`` from ``since`` to ``until``."""

    id: int
    team: str
    author: str
    text: str
    since: datetime
    until: datetime


def announcement(
    team: str, author: str, text: object, hours: object, now: datetime
) -> Announcement:
    """A sound one (with id 0).

    Raises:
        AnnouncementRefused: no text, too long, or a time that is not offered.
    """
    lines = text.strip().splitlines() if isinstance(text, str) else []
    cleaned = "\n".join(" ".join(line.split()) for line in lines)
    if not cleaned or len(cleaned) > TEXT_LENGTH:
        raise AnnouncementRefused(
            N_("Write an announcement of at most {length} characters."), length=str(TEXT_LENGTH)
        )
    if not isinstance(hours, int) or isinstance(hours, bool) or hours not in HOURS:
        raise AnnouncementRefused(N_("Choose how long the announcement is shown."))
    return Announcement(0, team, author, cleaned, now, now + timedelta(hours=hours))


class Announcements:
    """Announcements in the Hub's database; each method is one transaction and blocks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, new: Announcement) -> int:
        """Keep it; returns its id."""
        with self._database.transaction() as db:
            key = db.execute(
                _announcements.insert().values(
                    team=new.team,
                    author=new.author,
                    text=new.text,
                    since=new.since,
                    until=new.until,
                )
            ).inserted_primary_key
        assert key is not None  # noqa: S101  # an insert of one row has one
        return int(key[0])

    def get(self, identity: int) -> Announcement | None:
        with self._database.transaction() as db:
            row = db.execute(sa.select(_announcements).filter_by(id=identity)).mappings().first()
        return Announcement(**row) if row else None

    def shown(self, teams: Collection[str], now: datetime) -> list[Announcement]:
        """What people of ``teams`` see now, the newest first; what is for everybody is among it."""
        query = (
            sa.select(_announcements)
            .where(
                _announcements.c.team.in_({EVERYBODY, *teams}),
                _announcements.c.since <= now,
                _announcements.c.until > now,
            )
            .order_by(_announcements.c.id.desc())
        )
        with self._database.transaction() as db:
            rows = db.execute(query).mappings().all()
        return [Announcement(**r) for r in rows]

    def remove(self, identity: int) -> bool:
        with self._database.transaction() as db:
            done = db.execute(_announcements.delete().filter_by(id=identity))
        return done.rowcount > 0
