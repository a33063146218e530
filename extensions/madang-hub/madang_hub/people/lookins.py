"""The table of look-ins. Rules are in ``lookin.py``; ``service/visits.py`` gives and takes the Hub's shares."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from madang_hub.people.database import META, Database, Moment
from madang_hub.people.lookin import LookIn, LookInRefused
from madang_hub.web.i18n import N_

_lookins = sa.Table(
    "madang_lookins",
    META,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("mentor", sa.String(255), nullable=False, index=True),
    sa.Column("trainee", sa.String(255), nullable=False, index=True),
    sa.Column("team", sa.String(255), nullable=False),
    sa.Column("server", sa.String(255), nullable=False, server_default=""),
    sa.Column("reason", sa.String(255), nullable=False),
    sa.Column("began", Moment, nullable=False),
    sa.Column("until", Moment, nullable=False),
    sa.Column("ended", Moment),
    sa.Column("ended_by", sa.String(255), nullable=False, server_default=""),
    # when the Hub took the share back; what has ended without it is tried again until it did
    sa.Column("revoked", Moment),
)
# one at a time holds in the table itself, also for two requests in the same moment
for _one in ("mentor", "trainee"):
    sa.Index(
        f"madang_lookins_one_{_one}",
        _lookins.c[_one],
        unique=True,
        sqlite_where=_lookins.c.ended.is_(None),
        postgresql_where=_lookins.c.ended.is_(None),
    )


class LookIns:
    """Look-ins in the Hub's database; each method is one transaction and blocks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, look_in: LookIn) -> LookIn:
        """Keep a new one; returns it with its id.

        Raises:
            LookInRefused: another request was faster.
        """
        values = {k: getattr(look_in, k) for k in LookIn.__dataclass_fields__ if k != "id"}
        try:
            with self._database.transaction() as db:
                key = db.execute(_lookins.insert().values(values)).inserted_primary_key
        except sa.exc.IntegrityError as error:
            raise LookInRefused(
                N_("Another look-in has just begun there. Load the page again.")
            ) from error
        assert key is not None  # noqa: S101  # an insert of one row has one
        return LookIn(id=key[0], **values)

    def get(self, identity: int) -> LookIn | None:
        found = self._select(_lookins.c.id == identity)
        return found[0] if found else None

    def open_ones(self, *, trainee: str = "", mentor: str = "") -> list[LookIn]:
        """Open look-ins in the server of ``trainee`` or (both given) by ``mentor``; without names all."""
        conditions: list[sa.ColumnElement[bool]] = [_lookins.c.ended.is_(None)]
        who: list[sa.ColumnElement[bool]] = []
        if trainee:
            who.append(_lookins.c.trainee == trainee)
        if mentor:
            who.append(_lookins.c.mentor == mentor)
        if who:
            conditions.append(sa.or_(*who))
        return self._select(*conditions)

    def about(self, person: str, limit: int = 50) -> list[LookIn]:
        """The newest first, where this person was the visited one or the mentor."""
        return self._select(
            sa.or_(_lookins.c.trainee == person, _lookins.c.mentor == person), limit=limit
        )

    def not_revoked(self) -> list[LookIn]:
        """Ended, but the Hub has not taken the share back yet."""
        return self._select(_lookins.c.ended.is_not(None), _lookins.c.revoked.is_(None))

    def end(self, identity: int, by: str, now: datetime) -> bool:
        """End an open one; False if it had ended before."""
        with self._database.transaction() as db:
            done = db.execute(
                _lookins.update()
                .where(_lookins.c.id == identity, _lookins.c.ended.is_(None))
                .values(ended=now, ended_by=by)
            )
        return done.rowcount > 0

    def set_revoked(self, identity: int, now: datetime) -> None:
        with self._database.transaction() as db:
            db.execute(_lookins.update().filter_by(id=identity).values(revoked=now))

    def _select(
        self, *conditions: sa.ColumnElement[bool], limit: int | None = None
    ) -> list[LookIn]:
        query = sa.select(_lookins).where(*conditions).order_by(_lookins.c.id.desc()).limit(limit)
        with self._database.transaction() as db:
            rows = db.execute(query).mappings().all()
        return [_look_in(r) for r in rows]


def _look_in(row: Mapping[Any, Any]) -> LookIn:
    return LookIn(**{k: row[k] for k in LookIn.__dataclass_fields__})
